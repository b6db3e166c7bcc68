"""Matching minima of two losses: one is followed while the training loss is turned into the test loss.

U_lambda = (1 - lambda) U + lambda U_te,    lambda = 0, 1/10, ..., 1
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.observables.loss_curvature import DENSE, lower_end
from quenched.observables.shift_curvature import as_vector

METHODS = ("auto", "newton", "lbfgs")
FLAT = 1e-10
"""Relative to the largest, an eigenvalue below which Newton's step is not taken as it is."""
FLOOR = 1e-3
"""What the smallest eigenvalue is raised to then (Levenberg), relative to the largest."""


class Minimum(NamedTuple):
    """``position``, a pytree like the start; the loss there; the gradient that is left; the smallest eigenvalue of the
    Hessian.
    """

    position: Any
    value: float
    gradient: float
    lowest: float


class MinimumPair(NamedTuple):
    """The minimum of the training loss, that of the test loss, and how far the minimum moved at every stage."""

    train: Minimum
    test: Minimum
    jumps: Float[np.ndarray, " stage"]


def minimum(
    loss: Callable[[Any], Any],
    start: Any,
    *,
    method: str = "auto",
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    indefinite: str = "refuse",
) -> Minimum:
    """The local minimum of a loss of a pytree of parameters that is reached from ``start``, in double precision.

    ``method``: "newton", damped, with the Hessian raised where it is not positive (Levenberg) and backtracking; "lbfgs"
    (optax); "auto": Newton up to 500 weights. ``indefinite="project"`` accepts a Hessian with negative eigenvalues, as at the
    end of the training of a network; ``shift_curvature(..., indefinite="project")`` then leaves them out.

    Raises ``ConvergenceError`` with the gradient that is left above ``tolerance``, or if the Hessian is not positive there.
    """
    with jax.enable_x64(True):
        vector, back = as_vector("start", jax.tree.map(lambda a: np.asarray(a, np.float64), start))
        found = _minimise(lambda v, _: loss(back(v)), vector, 0.0, method, tolerance, max_iterations)
        return _certified(lambda v: loss(back(v)), back, found, tolerance, indefinite)


def minimum_pair(
    train_loss: Callable[[Any], Any],
    test_loss: Callable[[Any], Any],
    start: Any,
    *,
    method: str = "auto",
    stages: int = 11,
    largest_jump: float = 10.0,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    indefinite: str = "refuse",
) -> MinimumPair:
    """The minimum of ``train_loss`` reached from ``start``, and the minimum of ``test_loss`` that belongs to it.

    The latter is found by continuation in ``stages`` steps, each from the minimum before. The minimum of a test *set* of a
    network that can memorise it is no test minimum: keep the same weight decay in both losses. Options as ``minimum``.

    Raises as ``minimum``, and ``ConvergenceError`` where the minimum moves by more than ``largest_jump`` times the median of
    all stages: the branch has ended, the two minima do not belong together.
    """
    checks.integer_at_least("stages", stages, 2)
    checks.positive("largest_jump", largest_jump)
    with jax.enable_x64(True):
        vector, back = as_vector("start", jax.tree.map(lambda a: np.asarray(a, np.float64), start))

        def mixed(v: Array, share: Array) -> Array:
            params = back(v)
            return (1 - share) * train_loss(params) + share * test_loss(params)

        found = [_minimise(mixed, vector, 0.0, method, tolerance, max_iterations)]
        for share in np.linspace(0.0, 1.0, stages)[1:]:
            found.append(_minimise(mixed, found[-1].place, float(share), method, tolerance, max_iterations))
        jumps = np.linalg.norm(np.diff(np.stack([one.place for one in found]), axis=0), axis=1)
        typical = max(float(np.median(jumps)), 100 * tolerance)
        if jumps.max() > largest_jump * typical:
            at = int(np.argmax(jumps))
            raise checks.ConvergenceError(
                f"the minima of train and test loss must be connected, but the minimum jumps by {jumps[at]:.3g} between lambda = "
                f"{at / (stages - 1):.3g} and {(at + 1) / (stages - 1):.3g} (median {np.median(jumps):.3g})"
            )
        train = _certified(lambda v: train_loss(back(v)), back, found[0], tolerance, indefinite)
        test = _certified(lambda v: test_loss(back(v)), back, found[-1], tolerance, indefinite)
    return MinimumPair(train, test, jumps)


class Solved(NamedTuple):
    """The end of an iteration: place, loss, norm of the gradient."""

    place: np.ndarray
    value: float
    left: float


def _certified(
    loss: Callable[[Array], Array], back: Callable[[Array], Any], found: Solved, tolerance: float, indefinite: str
) -> Minimum:
    checks.one_of("indefinite", indefinite, ("refuse", "project"))
    if not found.left < tolerance:
        raise checks.ConvergenceError(f"the minimum must have a gradient < {tolerance:g}, got {found.left:.3g}")
    here = jnp.asarray(found.place)
    rates, _, largest = lower_end(lambda v: jax.jvp(jax.grad(loss), (here,), (v,))[1], len(here), here.dtype)
    lowest = float(rates[0])
    if indefinite == "refuse" and not lowest > -1e-8 * largest:
        raise checks.ConvergenceError(
            f"the Hessian at the minimum must be positive, got an eigenvalue {lowest:.3g}: a saddle; "
            "indefinite='project' accepts it"
        )
    return Minimum(jax.tree.map(np.asarray, back(here)), found.value, found.left, lowest)


Loss = Callable[[Array, Array], Array]


def _minimise(loss: Loss, start: np.ndarray, share: float, method: str, tolerance: float, limit: int) -> Solved:
    checks.one_of("method", method, METHODS)
    checks.positive("tolerance", tolerance)
    checks.integer_at_least("max_iterations", limit, 1)
    newton = method == "newton" or (method == "auto" and len(start) <= DENSE)
    solver = _newton if newton else _lbfgs
    place, value, left = solver(loss, jnp.asarray(start), jnp.asarray(share), tolerance, limit)
    return Solved(np.asarray(place), float(value), float(left))


@functools.partial(jax.jit, static_argnums=(0, 4))
def _newton(loss: Loss, x: Array, share: Array, tolerance: Real, limit: int) -> tuple[Array, Array, Array]:
    def own(v: Array) -> Array:
        return loss(v, share)

    def direction(x: Array, gradient: Array) -> Array:
        rates, vectors = jnp.linalg.eigh(jax.hessian(own)(x))
        top = jnp.max(jnp.abs(rates))
        raised = jnp.where(rates[0] > FLAT * top, 0.0, FLOOR * top - rates[0])
        return -vectors @ ((vectors.T @ gradient) / (rates + raised))

    def step(carry: Any) -> Any:
        x, value, gradient, count = carry
        d = direction(x, gradient)
        fall = jnp.dot(gradient, d)

        def too_far(trial: Any) -> Array:
            length, halvings = trial
            # rounding of the loss must not stop the last steps
            allowed = value + 1e-4 * length * fall + 1e-14 * jnp.abs(value)
            return ~(own(x + length * d) <= allowed) & (halvings < 60)

        begin = (jnp.ones((), x.dtype), jnp.zeros((), jnp.int32))
        length, _ = lax.while_loop(too_far, lambda t: (t[0] / 2, t[1] + 1), begin)
        x = x + length * d
        return x, *jax.value_and_grad(own)(x), count + 1

    def unfinished(carry: Any) -> Array:
        # below what is asked for: Newton's last step gains many digits
        return (jnp.linalg.norm(carry[2]) > tolerance / 100) & (carry[3] < limit)

    start = (x, *jax.value_and_grad(own)(x), jnp.zeros((), jnp.int32))
    x, value, gradient, _ = lax.while_loop(unfinished, step, start)
    return x, value, jnp.linalg.norm(gradient)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _lbfgs(loss: Loss, x: Array, share: Array, tolerance: Real, limit: int) -> tuple[Array, Array, Array]:
    def own(v: Array) -> Array:
        return loss(v, share)

    rule, slope = optax.lbfgs(memory_size=20), optax.value_and_grad_from_state(own)

    def step(carry: Any) -> Any:
        x, state, _, count = carry
        value, gradient = slope(x, state=state)
        updates, state = rule.update(gradient, state, x, value=value, grad=gradient, value_fn=own)
        return optax.apply_updates(x, updates), state, jnp.linalg.norm(optax.tree.get(state, "grad")), count + 1

    def unfinished(carry: Any) -> Array:
        return (carry[2] > tolerance / 2) & (carry[3] < limit)

    start = (x, rule.init(x), jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), jnp.int32))
    x = lax.while_loop(unfinished, step, start)[0]
    return x, own(x), jnp.linalg.norm(jax.grad(own)(x))
