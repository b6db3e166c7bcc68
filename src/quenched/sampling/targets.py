"""Targets: densities known up to a constant, rho_1 = exp(log_density)/Z_1, seen from N(0, I), Z_0 = (2 pi)^(d/2)."""

# annotations are evaluated: Equinox takes a stringified AbstractVar for a field

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp as jax_logsumexp
from jaxtyping import Array, Float
from scipy.special import logsumexp
from scipy.stats import chi2

from quenched.numerics import checks
from quenched.numerics.quadrature import normal_panels
from quenched.records.datasets import describe_function
from quenched.records.description import public

Point = Float[Array, " d"]
Scalar = Float[Array, ""]


def base_log_constant(dimension: int) -> float:
    """ln Z_0 = (d/2) ln(2 pi), the constant of the base density exp(-|x|^2/2)."""
    return dimension / 2 * math.log(2 * math.pi)


def base_log_density(x: Point) -> Scalar:
    """-|x|^2/2: the base law, without its constant."""
    return -jnp.sum(x**2) / 2


class AbstractTarget(eqx.Module):
    """A density on R^d up to its constant. ``dimension`` is d; what is exactly known about it stands beside it, None where it is
    not: ``log_constant`` is ln Z_1, and ``log_second_moment`` is that of vanilla importance sampling.
    """

    dimension: eqx.AbstractVar[int]

    @abc.abstractmethod
    def log_density(self, x: Point) -> Scalar:
        """ln of the unnormalised density at ONE point (d,); -infinity outside the support."""

    def log_constant(self) -> float | None:
        """ln Z_1, where it is known."""
        return None

    def log_second_moment(self) -> float | None:
        """ln E[w^2] of the weight w = exp(|x|^2/2) density(x), x ~ N(0, I), where it is known; infinity if it diverges."""
        return None

    def vanilla_relative_variance(self) -> float | None:
        """Var w/(E w)^2 of importance sampling from the base law itself, where constant and second moment are known."""
        constant, moment = self.log_constant(), self.log_second_moment()
        if constant is None or moment is None:
            return None
        return float(np.expm1(moment - 2 * (constant - base_log_constant(self.dimension))))


@public
class LogDensity(AbstractTarget):
    """A user's own target: ``function(x)`` is the logarithm of the unnormalised density at one point x (``dimension``,), written
    with ``jax.numpy``. Raises ``ParameterError`` if it does not take such a point, or returns no scalar.
    """

    function: Callable[[Any], Any] = eqx.field(static=True)
    dimension: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.integer_at_least("dimension", self.dimension, 1)
        if not callable(self.function):
            raise checks.ParameterError(f"log_density must be a function of one point, got {self.function!r}")
        try:
            shape = jax.eval_shape(self.function, jax.ShapeDtypeStruct((self.dimension,), jnp.result_type(float)))
        except Exception as error:
            first = str(error).partition("\n")[0]
            raise checks.ParameterError(f"log_density must take a point of shape ({self.dimension},): {first}") from error
        if getattr(shape, "shape", None) != ():
            raise checks.ParameterError(f"log_density must return a scalar for one point, got {shape}")

    def log_density(self, x: Point) -> Scalar:
        return jnp.asarray(self.function(x))

    def described(self) -> dict[str, Any]:
        return {"function": describe_function(self.function), "dimension": self.dimension}


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _rows(values: Any) -> tuple[tuple[float, ...], ...]:
    return tuple(_numbers(row) for row in values)


@public
class MixtureTarget(AbstractTarget):
    """density(x) = sum_k w_k exp(-sum_i (x_i - mu_ki)^2/(2 s_ki)): Gaussian modes along the axes, everything known.

    ``weights`` (K,) > 0 multiply Gaussians *without* their constants, so that Z_1/Z_0 = sum_k w_k prod_i sqrt(s_ki); ``means``
    (K, d); ``variances`` (K, d) > 0. Raises ``ParameterError`` for shapes that disagree and values out of range.
    """

    weights: tuple[float, ...] = eqx.field(converter=_numbers)
    means: tuple[tuple[float, ...], ...] = eqx.field(converter=_rows)
    variances: tuple[tuple[float, ...], ...] = eqx.field(converter=_rows)
    dimension: int = eqx.field(init=False, static=True)

    def __post_init__(self) -> None:
        self.dimension = len(self.means[0]) if len(self.means) else 0

    def __check_init__(self) -> None:
        checks.integer_at_least("len(weights)", len(self.weights), 1)
        lengths = {len(row) for row in self.means + self.variances}
        if len(self.means) != len(self.weights) or len(self.variances) != len(self.weights) or len(lengths) != 1:
            raise checks.ParameterError(f"means and variances must have {len(self.weights)} rows of d numbers, one per weight")
        checks.integer_at_least("dimension", self.dimension, 1)
        for weight in self.weights:
            checks.positive("weights", weight)
        for row, variance_row in zip(self.means, self.variances, strict=True):
            for mean, variance in zip(row, variance_row, strict=True):
                checks.finite("means", mean)
                checks.positive("variances", variance)

    def log_density(self, x: Point) -> Scalar:
        means, variances = jnp.asarray(self.means, x.dtype), jnp.asarray(self.variances, x.dtype)
        return jax_logsumexp(jnp.log(jnp.asarray(self.weights, x.dtype)) - jnp.sum((x - means) ** 2 / variances, axis=1) / 2)

    def log_constant(self) -> float:
        logs = np.log(self.weights) + np.log(self.variances).sum(1) / 2
        return float(logsumexp(logs)) + base_log_constant(self.dimension)

    def log_second_moment(self) -> float:
        """A sum over pairs of modes: exp(|x|^2/2) times two Gaussians is a Gaussian, with precision 1/s_i + 1/s_j - 1."""
        mu, precision, log_w = np.asarray(self.means), 1 / np.asarray(self.variances), np.log(self.weights)
        total = precision[:, None] + precision[None] - 1
        if np.any(total <= 0):
            return math.inf
        pull = precision * mu
        linear = pull[:, None] + pull[None]
        own = (mu * pull).sum(1)
        exponent = ((linear**2 / total).sum(-1) - own[:, None] - own[None] - np.log(total).sum(-1)) / 2
        return float(logsumexp(exponent + log_w[:, None] + log_w[None]))


def two_modes() -> MixtureTarget:
    """Two narrow modes of masses 0.2 and 0.8 at (5, 0) and (0, -5); Z_1/Z_0 = 0.1 (arXiv:2206.09908, first example)."""
    return MixtureTarget((0.2, 0.8), ((5, 0), (0, -5)), ((0.1, 0.1),) * 2)


def four_modes() -> MixtureTarget:
    """Four equal modes in ten dimensions, on a circle of radius 5; Z_1/Z_0 = 1 (arXiv:2206.09908, second example)."""
    means = tuple((*pair, *(0.0,) * 8) for pair in ((5, 0), (0, 5), (-5, 0), (0, -5)))
    return MixtureTarget((1 / (4 * 0.1 * 0.5**4),) * 4, means, ((0.1, 0.1, *(0.5,) * 8),) * 4)


@public
class Funnel(AbstractTarget):
    """Neal's funnel in a ball: -ln density = x_1^2/(2 s^2) + (d - 1) x_1/2 + exp(-x_1) sum_{i > 1} x_i^2/2 for |x| < R, infinite
    outside.

    ``dimension`` d >= 2 (default 10), ``width`` s (default 3), ``radius`` R (default 25). Z_1/Z_0 is s times the mass in the
    ball, a quadrature over x_1. Vanilla importance sampling has a second moment that is finite in the ball and of no use.
    """

    dimension: int = eqx.field(default=10, static=True)
    width: float = eqx.field(default=3.0, converter=float)
    radius: float = eqx.field(default=25.0, converter=float)

    def __check_init__(self) -> None:
        checks.integer_at_least("dimension", self.dimension, 2)
        checks.positive("width", self.width)
        checks.positive("radius", self.radius)

    def log_density(self, x: Point) -> Scalar:
        inside = jnp.sum(x**2) < self.radius**2
        # the origin stands in for points outside, so that no gradient there is infinity times zero
        y = jnp.where(inside, x, 0.0)
        first = y[0]
        value = -(first**2) / (2 * self.width**2) - (self.dimension - 1) * first / 2 - jnp.exp(-first) * jnp.sum(y[1:] ** 2) / 2
        return jnp.where(inside, value, -jnp.inf)

    def log_constant(self) -> float:
        edge = self.radius / self.width
        nodes, weights = normal_panels((-edge, edge), panels=16)
        first = self.width * nodes
        room = np.maximum(self.radius**2 - first**2, 0.0) * np.exp(-first)
        mass = float(weights @ chi2.cdf(room, self.dimension - 1))
        return math.log(self.width * mass) + base_log_constant(self.dimension)


@public
class DoubleWells(AbstractTarget):
    """A product of double wells: -ln density = sum_i [height ((x_i/a)^2 - 1)^2 + tilt x_i/a], with 2^d modes near x_i = +-a.

    ``dimension`` d (default 20), ``height`` > 0 of the barrier (default 1), ``distance`` a > 0 (default 1), ``tilt`` (default
    0.5; half the difference of the wells). Constant and second moment are d-th powers of one-dimensional quadratures.
    """

    dimension: int = eqx.field(default=20, static=True)
    height: float = eqx.field(default=1.0, converter=float)
    distance: float = eqx.field(default=1.0, converter=float)
    tilt: float = eqx.field(default=0.5, converter=float)

    def __check_init__(self) -> None:
        checks.integer_at_least("dimension", self.dimension, 1)
        checks.positive("height", self.height)
        checks.positive("distance", self.distance)
        checks.finite("tilt", self.tilt)

    def log_density(self, x: Point) -> Scalar:
        u = x / self.distance
        return -jnp.sum(self.height * (u**2 - 1) ** 2 + self.tilt * u)

    def _log_integral(self, power: int, curvature: float) -> float:
        """ln of the integral of density(x)^power exp(curvature x^2/2) in one dimension."""
        # the quartic wins beyond the radius where it exceeds every other term by far; analytic and decaying: equidistant nodes
        scale = self.distance**2 * max(curvature, 0.0) / (2 * self.height) + abs(self.tilt) / self.height
        limit = 2 + math.sqrt(800 / self.height) + 2 * scale
        u = np.linspace(-limit, limit, 200_001)
        exponent = -power * (self.height * (u**2 - 1) ** 2 + self.tilt * u) + curvature * (self.distance * u) ** 2 / 2
        return float(logsumexp(exponent)) + math.log(self.distance * (u[1] - u[0]))

    def log_constant(self) -> float:
        return self.dimension * self._log_integral(1, 0.0)

    def log_second_moment(self) -> float:
        return self.dimension * self._log_integral(2, 1.0) - base_log_constant(self.dimension)
