"""A physics-informed network: a partial differential equation on the unit disc, solved by descent on its residual."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.models.base import AbstractLossModel, squared_norm
from quenched.models.given import no_size
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.numerics.pytrees import dimension
from quenched.records.description import public
from quenched.records.labels import Label, register_label

register_label("solution_error", Label("relative L2 error of the solution", r"\|u-u^*\|/\|u^*\|"))

# nodes of the rule for the L2 norm: Gauss-Legendre in r^2, equidistant in the angle
_RADII, _ANGLES = 96, 32


class DiscPoints(eqx.Module):
    """Points x (n, 2) of the closed disc, the source f (n,) there, and whether they lie on the boundary, 0 or 1 (n,)."""

    x: Float[Array, "n 2"]
    source: Float[Array, " n"]
    on_boundary: Float[Array, " n"]


class ResidualWeights(eqx.Module):
    """W_in (H, 2), b_in (H,); W (L, H, H), b (L, H) of the residual layers; a (H,), c () of the output."""

    first: Float[Array, "h 2"]
    first_bias: Float[Array, " h"]
    inner: Float[Array, "l h h"]
    inner_bias: Float[Array, "l h"]
    readout: Float[Array, " h"]
    readout_bias: Float[Array, ""]


class Jet(NamedTuple):
    """A function of the plane at n points: its values (n, ...), its two derivatives (2, n, ...) and its Laplacian (n, ...)."""

    value: Array
    slope: Array
    laplacian: Array


def exact_solution(x: Float[Array, "*n 2"], frequency: Real) -> Float[Array, "*n"]:
    """u(x) = sin^2(k |x|^2)."""
    return jnp.sin(frequency * jnp.sum(x**2, axis=-1)) ** 2


def source(x: Float[Array, "*n 2"], frequency: Real) -> Float[Array, "*n"]:
    """f = -Lap u + u^2 of the exact solution: -8 k^2 r^2 cos(2 k r^2) - 4 k sin(2 k r^2) + sin^4(k r^2)."""
    square = jnp.sum(x**2, axis=-1)
    phase = frequency * square
    return -8 * frequency * phase * jnp.cos(2 * phase) - 4 * frequency * jnp.sin(2 * phase) + jnp.sin(phase) ** 4


@public
class PoissonDisc(AbstractLossModel):
    """-Lap u + u^2 = f in the unit disc and u = sin^2(k) on its boundary, with the f that u = sin^2(k r^2) solves.

    ``frequency`` is k > 0 (default 20). u(x) is a network of ``width`` H (default 200): h = s(W_in x + b_in), then ``layers`` L
    (default 3) times h <- h + s(W h + b), then a.h + c, with the logistic function s. Weights start Gaussian of variance 2/(fan
    in + fan out), biases at 0. ``interior`` (default 10,000) and ``boundary`` (default 1,000) points are drawn once, uniformly:
    they are the disorder. The energy is

        E = mean over all n points of (-Lap u + u^2 - f)^2  +  penalty * mean over the boundary of (u - sin^2 k)^2,

    ``penalty`` > 0 (default 1e5); the loss of a boundary point has the factor penalty n/``boundary``, and loss_scale = 1/n. The
    weight decay of the paper, 2e-4 |w|^2, is a rule's ``ridge`` 4e-4, here of the biases too. Derivatives in x are exact, carried
    along through the layers. ``solution_error`` is the relative L2 error on the disc, by quadrature; frequencies beyond 60 are
    refused, where it would be too coarse. ``size`` is None.

    Raises ``ParameterError`` for values out of range. Source: arXiv:2201.11137.
    """

    frequency: float = eqx.field(default=20.0, converter=float)
    width: int = 200
    layers: int = 3
    interior: int = 10_000
    boundary: int = 1_000
    penalty: float = eqx.field(default=1e5, converter=float)

    def __check_init__(self) -> None:
        checks.in_interval("frequency", self.frequency, 0.0, 60.0, closed="right")
        for name, low in (("width", 1), ("layers", 0), ("interior", 1), ("boundary", 1)):
            checks.integer_at_least(name, getattr(self, name), low)
        checks.positive("penalty", self.penalty)

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        return self.interior, self.boundary

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> DiscPoints:
        inner, outer = sizes
        key_angle, key_radius = jax.random.split(key)
        angles = 2 * jnp.pi * jax.random.uniform(key_angle, (inner + outer,), dtype)
        radii = jnp.concatenate([jnp.sqrt(jax.random.uniform(key_radius, (inner,), dtype)), jnp.ones(outer, dtype)])
        x = radii[:, None] * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
        marks = jnp.concatenate([jnp.zeros(inner, dtype), jnp.ones(outer, dtype)])
        return DiscPoints(x, source(x, self.frequency), marks)

    def initial(self, key: PRNGKeyArray, disorder: DiscPoints) -> ResidualWeights:
        h, deep, dtype = self.width, self.layers, disorder.x.dtype
        k1, k2, k3 = jax.random.split(key, 3)
        return ResidualWeights(
            (2 / (h + 2)) ** 0.5 * jax.random.normal(k1, (h, 2), dtype),
            jnp.zeros(h, dtype),
            h**-0.5 * jax.random.normal(k2, (deep, h, h), dtype),
            jnp.zeros((deep, h), dtype),
            (2 / (h + 1)) ** 0.5 * jax.random.normal(k3, (h,), dtype),
            jnp.zeros((), dtype),
        )

    def solution(self, weights: ResidualWeights, x: Float[Array, "n 2"]) -> Float[Array, " n"]:
        """u at points of the plane."""
        h = jax.nn.sigmoid(x @ weights.first.T + weights.first_bias)
        for w, b in zip(weights.inner, weights.inner_bias, strict=True):
            h = h + jax.nn.sigmoid(h @ w.T + b)
        return h @ weights.readout + weights.readout_bias

    def jet(self, weights: ResidualWeights, x: Float[Array, "n 2"]) -> Jet:
        """u, its two derivatives and its Laplacian at points of the plane."""
        slope = jnp.broadcast_to(weights.first.T[:, None], (2, len(x), self.width))
        flat = jnp.zeros((len(x), self.width), x.dtype)
        h = _sigmoid(Jet(x @ weights.first.T + weights.first_bias, slope, flat))
        for w, b in zip(weights.inner, weights.inner_bias, strict=True):
            h = jax.tree.map(jnp.add, h, _sigmoid(_linear(h, w.T, b)))
        return _linear(h, weights.readout, weights.readout_bias)

    def losses(self, weights: ResidualWeights, disorder: DiscPoints) -> Float[Array, " n"]:
        u = self.jet(weights, disorder.x)
        residual = -u.laplacian + u.value**2 - disorder.source
        miss = u.value - jnp.sin(self.frequency) ** 2
        share = self.penalty * (self.interior + self.boundary) / self.boundary
        return residual**2 + share * disorder.on_boundary * miss**2

    def batch_losses(self, weights: ResidualWeights, disorder: DiscPoints, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        return self.losses(weights, jax.tree.map(lambda values: values[indices], disorder))

    def samples(self, disorder: DiscPoints) -> int:
        return disorder.x.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: ResidualWeights, disorder: DiscPoints) -> dict[str, Array]:
        return {
            "norm": squared_norm(weights) / dimension(weights),
            "loss": jnp.mean(self.losses(weights, disorder)),
            "solution_error": self._error(weights, disorder.x.dtype),
        }

    def _error(self, weights: ResidualWeights, dtype: Any) -> Float[Array, ""]:
        """|u - u*|/|u*| on the disc."""
        points, rule = disc_rule()
        x, w = jnp.asarray(points, dtype), jnp.asarray(rule, dtype)
        exact = exact_solution(x, self.frequency)
        return jnp.sqrt(w @ (self.solution(weights, x) - exact) ** 2 / (w @ exact**2))


def disc_rule() -> tuple[Float[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """Nodes and weights of the mean over the unit disc."""
    t, weights = np.polynomial.legendre.leggauss(_RADII)
    radii = np.sqrt((1 + t) / 2)
    angles = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    points = np.stack([np.outer(radii, np.cos(angles)), np.outer(radii, np.sin(angles))], axis=-1).reshape(-1, 2)
    return points, np.repeat(weights / 2 / _ANGLES, _ANGLES)


def _linear(h: Jet, matrix: Array, bias: Array) -> Jet:
    return Jet(h.value @ matrix + bias, h.slope @ matrix, h.laplacian @ matrix)


def _sigmoid(z: Jet) -> Jet:
    s = jax.nn.sigmoid(z.value)
    first = s * (1 - s)
    second = first * (1 - 2 * s)
    return Jet(s, first * z.slope, first * z.laplacian + second * jnp.sum(z.slope**2, axis=0))
