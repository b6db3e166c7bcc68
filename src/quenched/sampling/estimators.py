r"""Weights of non-equilibrium importance sampling: exact in the mean for every smooth flow, whatever it does.

Along the orbit X_t of x, with ln J_t the integral of div b, F_k(t) = exp(ln density_k(X_t)) J_t are the densities pulled back. A
window t_- <= 0 <= t_+ of length 1 gives

    A(x) = int_{t_-}^{t_+} F_1(t)/B(t) dt,    B(t) = int_{t - t_+}^{t - t_-} F_0(s) ds,    E_{x ~ rho_0}[A] = Z_1/Z_0.

Why: with y = X_t(x), dy = J_t dx and J_s(X_{-t}(y)) = J_{s-t}(y)/J_{-t}(y), the mean of A is an integral over y of density_1(y)
times int dt F_0(-t, y)/int_{-t_+}^{-t_-} F_0(s, y) ds, and this factor is 1, because -t sweeps the window of the denominator.
The proof needs a field without time. Source: arXiv:2206.09908.
"""

# annotations are evaluated: Equinox takes a stringified AbstractVar for a field

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from quenched.numerics import checks
from quenched.records.description import public
from quenched.sampling.fields import AbstractField, Parameters
from quenched.sampling.flow import path, runge_kutta, two_sided
from quenched.sampling.targets import AbstractTarget, base_log_density

Function = Callable[[Any], Any]
Point = Float[Array, " d"]
Scalar = Float[Array, ""]

# coordinates beyond it have no square among the floating numbers, or none worth asking for
_INFINITY = 1e100


class Problem(NamedTuple):
    """Functions of one point: velocity and divergence of the flow, logarithms of base and target density without constants."""

    velocity: Function
    divergence: Function
    log_base: Function
    log_target: Function


def problem(field: AbstractField, parameters: Parameters, target: AbstractTarget) -> Problem:
    """From N(0, I) to the target along a field."""
    return Problem(
        lambda x: field.velocity(parameters, x),
        lambda x: field.divergence(parameters, x),
        base_log_density,
        target.log_density,
    )


class Weighed(NamedTuple):
    """ln A of one base point, and the mean of the observables along its orbit with the weights that add up to A."""

    log_weight: Scalar
    mean: PyTree


def nothing(x: Point) -> PyTree:
    """The observable of those who want none."""
    return ()


class AbstractEstimator(eqx.Module):
    """How the weight of a base point follows from its orbit. ``steps`` is the number of Runge-Kutta steps per unit of time."""

    steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def weigh(self, given: Problem, x: Point, observe: Function = nothing) -> Weighed:
        """The weight of ONE base point x (d,), and the mean of ``observe(point)`` (a pytree of arrays) along the orbit."""

    @property
    @abc.abstractmethod
    def queries(self) -> int:
        """Evaluations of the target density per base point."""

    @abc.abstractmethod
    def refined(self) -> "AbstractEstimator":
        """The same with half the step."""


@public
class FiniteTime(AbstractEstimator):
    """The window [``start``, ``start`` + 1] by the trapezoidal rule on N = ``steps`` steps (default 50) each way, in logarithms.

    ``start`` = t_- in [-1, 0] (default 0), a multiple of 1/N. Every denominator is a sum of two integrals that begin at 0, one in
    each direction: nothing cancels. The error is of order 1/N^2. 2 N Runge-Kutta steps, N + 1 evaluations of the target.
    """

    start: float = eqx.field(default=0.0, converter=float)
    steps: int = eqx.field(default=50, static=True)

    def __check_init__(self) -> None:
        checks.in_interval("start", self.start, -1.0, 0.0)
        checks.integer_at_least("steps", self.steps, 2)
        if abs(self.start * self.steps - round(self.start * self.steps)) > 1e-9:
            raise checks.ParameterError(f"start must be a multiple of 1/steps = 1/{self.steps}, got {self.start!r}")

    @property
    def queries(self) -> int:
        return self.steps + 1

    def refined(self) -> "FiniteTime":
        return FiniteTime(start=self.start, steps=2 * self.steps)

    def weigh(self, given: Problem, x: Point, observe: Function = nothing) -> Weighed:
        n, h = self.steps, 1 / self.steps
        first = n + round(self.start * n)
        orbit = two_sided(given.velocity, given.divergence, x, h, n)
        f0 = _pulled_back(given.log_base, orbit.points, orbit.log_jacobian)
        forward, backward = _log_integral(f0[n:], h), _log_integral(f0[n::-1], h)
        points, logs = orbit.points[first : first + n + 1], orbit.log_jacobian[first : first + n + 1]
        return _weighed(_pulled_back(given.log_target, points, logs) - jnp.logaddexp(forward, backward[::-1]), points, h, observe)


@public
class InfiniteTime(AbstractEstimator):
    """A = int F_1 dt/int F_0 dt over all times, cut at +-``time`` (default 10), with ``steps`` (default 50) per unit of time.

    In one dimension it has no variance if b has no zero; in general none if div b = rho_1 - rho_0 (``sampling.poisson``). Outside
    such cases the integrals have to converge within ``time`` on both sides of every orbit.
    """

    time: float = eqx.field(default=10.0, converter=float)
    steps: int = eqx.field(default=50, static=True)

    def __check_init__(self) -> None:
        checks.positive("time", self.time)
        checks.integer_at_least("steps", self.steps, 2)

    @property
    def _each_way(self) -> int:
        return max(1, round(self.time * self.steps))

    @property
    def queries(self) -> int:
        return 2 * self._each_way + 1

    def refined(self) -> "InfiniteTime":
        return InfiniteTime(time=self.time, steps=2 * self.steps)

    def weigh(self, given: Problem, x: Point, observe: Function = nothing) -> Weighed:
        h = 1 / self.steps
        orbit = two_sided(given.velocity, given.divergence, x, h, self._each_way)
        f0, f1 = (_pulled_back(f, orbit.points, orbit.log_jacobian) for f in (given.log_base, given.log_target))
        whole = _log_sum(f0 + _log_trapezoid(len(f0), h))
        return _weighed(f1 - whole, orbit.points, h, observe)


@public
class LaggedTime(AbstractEstimator):
    """The window [0, 1] by integrating A and B along with the orbit and with a copy of it that lags by 1: of fourth order.

    Backward, (X, ln J, B); then forward, dB/dt = F_0(t) - F_0(t - 1) and dA/dt = F_1(t)/B(t). In linear space, where weights
    beyond exp(700) overflow, and where B is a difference: a check of ``FiniteTime``. ``steps`` (default 50).
    """

    steps: int = eqx.field(default=50, static=True)

    def __check_init__(self) -> None:
        checks.integer_at_least("steps", self.steps, 2)

    @property
    def queries(self) -> int:
        return 4 * self.steps

    def refined(self) -> "LaggedTime":
        return LaggedTime(steps=2 * self.steps)

    def weigh(self, given: Problem, x: Point, observe: Function = nothing) -> Weighed:
        h, level, zero = 1 / self.steps, given.log_base(x), jnp.zeros((), x.dtype)

        def moving(y: Point) -> tuple[Point, Scalar]:
            return given.velocity(y), given.divergence(y)

        def base(y: Point, log_jacobian: Scalar) -> Scalar:
            return jnp.exp(given.log_base(y) + log_jacobian - level)

        def back(state: tuple[Point, Scalar, Scalar]) -> tuple[Point, Scalar, Scalar]:
            y, log_jacobian, _ = state
            return (*moving(y), -base(y, log_jacobian))

        def ahead(state: Any) -> Any:
            (y, log_jacobian), (late, late_jacobian), whole, _, _ = state
            rate = jnp.exp(given.log_target(y) + log_jacobian - level) / whole
            change = base(y, log_jacobian) - base(late, late_jacobian)
            return moving(y), moving(late), change, rate, jax.tree.map(lambda value: rate * value, observe(y))

        late, late_jacobian, whole = _repeat(back, (x, zero, zero), -h, self.steps)
        start = (x, zero), (late, late_jacobian), whole, zero, jax.tree.map(jnp.zeros_like, observe(x))
        *_, total, observed = _repeat(ahead, start, h, self.steps)
        return Weighed(jnp.log(total), jax.tree.map(lambda value: value / total, observed))


def _repeat(derivative: Function, state: Any, h: float, steps: int) -> Any:
    step = jax.checkpoint(lambda s, _: (runge_kutta(derivative, s, h), None), prevent_cse=False)
    return jax.lax.scan(step, state, None, length=steps)[0]


def _pulled_back(log_density: Function, points: Float[Array, "k d"], logs: Float[Array, " k"]) -> Float[Array, " k"]:
    """ln F along an orbit. Points that have left for infinity weigh nothing; elsewhere a density that is NaN stays NaN."""
    gone = ~(jnp.all(jnp.abs(points) < _INFINITY, axis=1) & jnp.isfinite(logs))
    values = jax.vmap(log_density)(jnp.where(gone[:, None], 0.0, points))
    return jnp.where(gone, -jnp.inf, values + logs)


def _log_trapezoid(count: int, h: float) -> Float[Array, " k"]:
    return jnp.log(h * jnp.ones(count).at[jnp.array([0, count - 1])].set(0.5))


def _log_integral(logs: Float[Array, " k"], h: float) -> Float[Array, " k"]:
    """ln of the cumulative trapezoidal integral of exp(logs), from the first node to each; -infinity at the first."""
    pieces = jnp.logaddexp(logs[:-1], logs[1:]) + jnp.log(h / 2)
    return jnp.concatenate([jnp.full(1, -jnp.inf), jax.lax.cumlogsumexp(pieces)])


def _log_sum(logs: Float[Array, " k"]) -> Scalar:
    """ln sum exp, whose derivative is zero and not NaN where every term is zero."""
    some = jnp.any(logs != -jnp.inf)
    return jnp.where(some, jax.nn.logsumexp(jnp.where(some, logs, 0.0)), -jnp.inf)


def _weighed(log_rates: Float[Array, " k"], points: Float[Array, "k d"], h: float, observe: Function) -> Weighed:
    """Integrate exp(log_rates) over the times of the points; the mean of the observable with the same weights."""
    terms = log_rates + _log_trapezoid(len(log_rates), h)
    total = _log_sum(terms)
    shares = jnp.where(total > -jnp.inf, jnp.exp(terms - jnp.where(total > -jnp.inf, total, 0.0)), 0.0)

    def mean(values: Array) -> Array:
        # a point without weight may lie where the observable is no number
        held = jnp.where(jnp.reshape(shares > 0, (-1, *(1,) * (values.ndim - 1))), values, 0)
        return jnp.tensordot(shares, held, axes=1)

    return Weighed(total, jax.tree.map(mean, jax.vmap(observe)(points)))


def flow_lines(
    field: AbstractField, parameters: Parameters, x: Float[Array, "n d"], time: float | int = 1.0, steps: int = 50
) -> Float[Array, "n k d"]:
    """Orbits of the points ``x`` up to ``time`` (negative: backward), at ``steps`` steps per unit of time: for plots."""
    checks.integer_at_least("steps", steps, 1)
    checks.finite("time", float(time))
    count = max(1, round(abs(time) * steps))

    def one(y: Point) -> Float[Array, "k d"]:
        return path(lambda z: field.velocity(parameters, z), lambda z: jnp.zeros((), z.dtype), y, time / count, count).points

    return jax.jit(jax.vmap(one))(x)
