"""What the two energy-conserving optimisers have in common: the state, the checks, and how a momentum gets its direction.

A particle moves without friction on V = F - V0. Its energy is exact: after every step the length of the momentum is put back on
the shell of the conserved energy, by one factor for all parameters. Clipping or any other change of the gradient before the
optimiser breaks this bookkeeping; a schedule of the learning rate, the step of time, does not.

Source: De Luca, Silverstein, arXiv:2201.11137; De Luca, Gatti, Silverstein, arXiv:2306.00352.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from quenched.numerics import checks
from quenched.numerics.precision import Real

RESCALE_ABOVE = 1e-10
"""The momentum is rescaled where its square misses that of the energy shell by at least so much."""

FREEZE_BELOW = 1e-40
"""A potential this small is zero: the particle stands."""

Scalar = float | int | Float[Array, ""]
Rate = Scalar | Callable[[Any], Any]
Draw = Callable[[Int[Array, ""], PyTree], PyTree]


class EnergyState(NamedTuple):
    """State of an energy-conserving optimiser.

    ``best_value`` and ``best_params`` are the lowest loss seen and where: the last iterate is not the best. ``energy`` is the
    conserved one (its logarithm, log E_c, for ``ecd_sep``), ``potential`` V and ``drift`` are those that the last update saw:
    ``drift`` is the relative error of the energy before the momentum was rescaled. ``bounces`` counts all bounces, ``frozen``
    tells whether the last update stood still because V <= 0: V0 is then above the minimum of the loss.
    """

    steps: Int[Array, ""]
    key: UInt32[Array, " words"]
    momentum: PyTree
    energy: Float[Array, ""]
    started: Bool[Array, ""]
    since_fixed: Int[Array, ""]
    since_progress: Int[Array, ""]
    fixed_done: Int[Array, ""]
    bounces: Int[Array, ""]
    frozen: Bool[Array, ""]
    potential: Float[Array, ""]
    drift: Float[Array, ""]
    best_value: Float[Array, ""]
    best_params: PyTree


def initial_state(params: PyTree, seed: int, since_fixed: int) -> EnergyState:
    """The state before the first update: at rest, with an energy that the first loss will set."""
    dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(params))
    zero, none, nan = jnp.zeros((), jnp.int32), jnp.zeros((), bool), jnp.full((), jnp.nan, dtype)
    return EnergyState(
        steps=zero,
        key=jax.random.PRNGKey(seed),
        momentum=jax.tree.map(jnp.zeros_like, params),
        energy=nan,
        started=none,
        since_fixed=jnp.full((), since_fixed, jnp.int32),
        since_progress=zero,
        fixed_done=zero,
        bounces=zero,
        frozen=none,
        potential=nan,
        drift=jnp.zeros((), dtype),
        best_value=jnp.full((), jnp.inf, dtype),
        best_params=jax.tree.map(jnp.asarray, params),
    )


# ---- checks


def concrete(value: Any) -> bool:
    """Whether a value can be looked at: it is not an unknown of a function under compilation."""
    return not isinstance(value, jax.core.Tracer)


def check_options(learning_rate: Rate, signs: dict[str, Scalar]) -> None:
    """Require a learning rate > 0 (a schedule is taken as it is) and, by name, numbers >= 0; traced values pass."""
    if not callable(learning_rate) and concrete(learning_rate):
        checks.positive("learning_rate", float(learning_rate))
    for name, value in signs.items():
        if concrete(value):
            checks.non_negative(name, float(value))


def check_call(params: PyTree | None, value: Any, caller: str) -> None:
    """Refuse an update without what the energy needs."""
    if value is None:
        raise checks.ParameterError(
            f"value must be given to the update of {caller}: the loss of the step, as in optimiser.update(grads, state, params, "
            "value=loss)"
        )
    if params is None:
        raise checks.ParameterError(f"params must be given to the update of {caller}: it keeps the best ones")
    if jnp.ndim(value) != 0:
        raise checks.ParameterError(f"value must be a scalar, got shape {jnp.shape(value)}")


def check_start(started: Bool[Array, ""], value: Any, offset: Scalar, grads: PyTree, extra_energy: Scalar) -> None:
    """Look at the first loss outside ``jit``: refuse an illegal one, warn of a start without a direction."""
    leaves = [started, value, offset, extra_energy, *jax.tree.leaves(grads)]
    if not all(map(concrete, leaves)) or bool(started):
        return
    first_loss(float(value), float(offset), float(optax.tree.norm(grads)), float(extra_energy))


def first_loss(loss: float, offset: float, slope: float, extra_energy: float) -> None:
    """Refuse a loss F that is not finite or not above the offset V0; warn where the gradient is zero and E > V."""
    if not math.isfinite(loss):
        raise checks.ParameterError(f"value must be finite at the start, got {loss!r}")
    if not loss > offset:
        raise checks.ParameterError(f"offset must be < the loss at the start, {loss!r}, got {offset!r}")
    if slope == 0 and extra_energy > 0:
        warnings.warn(
            "the gradient at the start is zero: the direction of the first momentum is random",
            checks.QuenchedWarning,
            stacklevel=4,
        )


# ---- one step


def rate_of(learning_rate: Rate, count: Int[Array, ""], dtype: Any) -> Float[Array, ""]:
    """The step of time dt."""
    return jnp.asarray(learning_rate(count) if callable(learning_rate) else learning_rate, dtype)


def drawn(kind: str | Draw, state: EnergyState, purpose: int) -> PyTree:
    """Random numbers like the parameters: N(0, 1) or uniform in [-1/2, 1/2], or those of one's own function (step, params).

    They follow from the state's key, the step and a number for the ``purpose``: a step that needs none pays for none.
    """
    if callable(kind):
        return kind(state.steps, state.momentum)
    leaves, structure = jax.tree.flatten(state.momentum)
    keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(state.key, state.steps), purpose), len(leaves))
    if kind == "cube":
        numbers = [jax.random.uniform(k, x.shape, x.dtype, -0.5, 0.5) for k, x in zip(keys, leaves, strict=True)]
    else:
        numbers = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, numbers)


def turned(
    due: Bool[Array, ""],
    starting: Bool[Array, ""],
    momentum: PyTree,
    grads: PyTree,
    length: Float[Array, ""],
    draw: Callable[[], PyTree],
) -> PyTree:
    """The momentum with another direction where that is ``due``: down the gradient with the given ``length`` at the start, at
    random with its own length later. Where the first gradient is zero the direction is random too."""

    def turn(p: PyTree) -> PyTree:
        down = starting & (optax.tree.norm(grads) > 0)
        direction = jax.tree.map(lambda g, z: jnp.where(down, -g, z), grads, draw())
        scale = jnp.where(starting, length, optax.tree.norm(p)) / optax.tree.norm(direction)
        return jax.tree.map(lambda d, old: (scale * d).astype(old.dtype), direction, p)

    return jax.lax.cond(due, turn, lambda p: p, momentum)


def rescaling(square: Float[Array, ""], shell: Float[Array, ""], conserve: bool) -> Float[Array, ""]:
    """The factor r that puts a momentum of ``square`` |p|^2 on the energy ``shell``; 1 where there is none (V > E, or p = 0)."""
    if not conserve:
        return jnp.ones_like(shell)
    wanted = (jnp.abs(square - shell) >= RESCALE_ABOVE) & (shell >= 0) & (square > 0)
    return jnp.where(wanted, jnp.sqrt(jnp.where(wanted, shell, 1.0)) / jnp.sqrt(jnp.where(wanted, square, 1.0)), 1.0)


def kept_best(
    state: EnergyState, better: Bool[Array, ""], loss: Float[Array, ""], params: PyTree
) -> tuple[Float[Array, ""], PyTree]:
    """(lowest loss, its parameters) after this step."""
    where = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, state.best_params)
    return jnp.where(better, loss, state.best_value), where


def real(value: Real | int, dtype: Any) -> Float[Array, ""]:
    """An option as a scalar of the state's type."""
    return jnp.asarray(value, dtype)
