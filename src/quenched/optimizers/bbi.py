"""BBI, Born-Infeld dynamics with bounces: a relativistic particle whose speed limit is the square root of the loss.

    H = sqrt(V (V + p^2)) = E,     V = F - V0,
    d theta/dt = (V/E) p,          dp/dt = -1/2 (V/E + E/V) grad V,          p^2 = V ((E/V)^2 - 1)  on shell.

The particle cannot stop where V > 0 and slows down only as V -> 0; where the motion mixes, time averages follow the
microcanonical measure of ``theory.microcanonical``.

Source: De Luca, Silverstein, arXiv:2201.11137.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from quenched.numerics import checks
from quenched.optimizers.base import (
    FREEZE_BELOW,
    Draw,
    EnergyState,
    Rate,
    Scalar,
    check_call,
    check_options,
    check_start,
    concrete,
    drawn,
    initial_state,
    kept_best,
    rate_of,
    real,
    rescaling,
    turned,
)


def hamiltonian(potential: Any, square: Any) -> Any:
    """H = sqrt(V (V + p^2)) from V and the ``square`` p^2, elementwise."""
    return (potential * (potential + square)) ** 0.5


def on_shell(potential: Any, energy: Any) -> Any:
    """p^2 = E (E/V) - V, in the order of operations that does not overflow where V is tiny."""
    return energy * (energy / potential) - potential


def coefficients(potential: Any, energy: Any) -> tuple[Any, Any]:
    """(V/E, (V/E + E/V)/2): d theta/dt = first * p and dp/dt = -second * grad V."""
    ratio = potential / energy
    return ratio, (ratio + energy / potential) / 2


def check_bounces(
    offset: Scalar, fixed_interval: int | None, fixed_bounces: int, progress_interval: int | None, bounce: Any
) -> None:
    """Refuse, by name, options of the bounces that make no sense; traced values pass."""
    for name, interval in (("fixed_interval", fixed_interval), ("progress_interval", progress_interval)):
        if interval is not None:
            checks.integer_at_least(name, interval, 1)
    checks.integer_at_least("fixed_bounces", fixed_bounces, 0)
    if not callable(bounce):
        checks.one_of("bounce", bounce, ("gaussian", "cube"))
    if concrete(offset):
        checks.finite("offset", float(offset))


def bbi(
    learning_rate: Rate,
    *,
    offset: Scalar = 0.0,
    extra_energy: Scalar = 0.0,
    fixed_interval: int | None = 1000,
    fixed_bounces: int = 1,
    progress_interval: int | None = 3000,
    bounce: str | Draw = "gaussian",
    conserve: bool = True,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Born-Infeld dynamics as an optax optimiser: ``update(grads, state, params, value=loss)``.

    One step (semi-implicit Euler), from the loss F and gradient g at theta, after rescaling p to the energy shell:

        p <- p - (dt/2) (V/E + E/V) g,    theta <- theta + dt (V/E) p,    V = F - V0 of before.

    Args:
        learning_rate: dt > 0, or an optax schedule. Stable below 2 sqrt(2)/M for a largest curvature M^2.
        offset: V0, the expected minimum of the loss. The particle stands for ever at V <= 0 (``state.frozen``).
        extra_energy: dE >= 0; E = V + dE at the start, with a first momentum down the gradient.
        fixed_interval: steps between the first ``fixed_bounces`` bounces; None for no such bounces.
        fixed_bounces: how many of these, >= 0.
        progress_interval: steps without a new lowest loss after which there is a bounce; None for no such bounces.
        bounce: direction of a bounce, which keeps the length of p and costs a step: "gaussian" is isotropic and preserves the
            microcanonical measure; "cube" is uniform in a cube, as in the authors' code; or a function (step, params) that
            gives arrays like the parameters.
        conserve: rescale. Without it the energy drifts, and stiff problems diverge.
        seed: of the random directions.

    The state is an ``EnergyState``. All numbers may be traced, so that starts, seeds and learning rates can be mapped over. With
    minibatches V is the loss of the batch, and E that of the first one.

    Raises ``ParameterError`` for a value out of range, a missing ``value``, and, outside ``jit``, where the first loss is not
    finite or not above ``offset``; warns where the first gradient is zero and dE > 0 (the direction is then random).
    """
    check_options(learning_rate, {"extra_energy": extra_energy})
    check_bounces(offset, fixed_interval, fixed_bounces, progress_interval, bounce)
    # the authors' way to switch fixed bounces off: a counter that has gone past its mark
    past = 0 if fixed_interval is None else fixed_interval + 1

    def init(params: PyTree) -> EnergyState:
        return initial_state(params, seed, past if fixed_bounces == 0 else 0)

    def update(
        grads: PyTree, state: EnergyState, params: PyTree | None = None, *, value: Any = None, **_: Any
    ) -> tuple[PyTree, EnergyState]:
        check_call(params, value, "bbi")
        check_start(state.started, value, offset, grads, extra_energy)
        dtype = state.energy.dtype
        loss = jnp.asarray(value, dtype)
        potential = loss - real(offset, dtype)
        frozen = potential <= FREEZE_BELOW
        safe = jnp.where(frozen, 1.0, potential)
        starting = ~state.started & ~frozen
        energy = jnp.where(starting, potential + real(extra_energy, dtype), state.energy)
        shell = on_shell(safe, energy)

        no = jnp.zeros((), bool)
        fixed = no if fixed_interval is None else ~frozen & (state.since_fixed == fixed_interval)
        stuck = no if progress_interval is None else ~frozen & (state.since_progress == progress_interval)
        bouncing = fixed | stuck
        moving = ~frozen & ~bouncing

        first_length = jnp.sqrt(jnp.maximum(shell, 0.0))
        momentum = turned(
            starting | bouncing,
            starting,
            state.momentum,
            grads,
            first_length,
            lambda: drawn(bounce, state, 0),
        )
        square = optax.tree.norm(momentum, squared=True).astype(dtype)
        drift = jnp.where(moving, hamiltonian(safe, square) / energy - 1, state.drift)
        scale = rescaling(square, shell, conserve)
        velocity, force = coefficients(safe, energy)
        rate = rate_of(learning_rate, state.steps, dtype)
        momentum = _selected(moving, lambda p, g: scale * p - rate * force * g, momentum, grads)
        updates = jax.tree.map(lambda p: jnp.where(moving, rate * velocity * p, 0.0).astype(p.dtype), momentum)

        better = ~bouncing & (loss < state.best_value)
        best_value, best_params = kept_best(state, better, loss, params)
        fixed_done = state.fixed_done + fixed
        since_fixed = jnp.where(fixed, jnp.where(fixed_done < fixed_bounces, 0, past), state.since_fixed + moving)
        since_progress = jnp.where(bouncing | (moving & better), 0, state.since_progress + moving)
        return updates, EnergyState(
            steps=state.steps + 1,
            key=state.key,
            momentum=momentum,
            energy=energy,
            started=state.started | starting,
            since_fixed=since_fixed,
            since_progress=since_progress,
            fixed_done=fixed_done,
            bounces=state.bounces + bouncing,
            frozen=frozen,
            potential=potential,
            drift=drift,
            best_value=best_value,
            best_params=best_params,
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _selected(moving: Array, kick: Any, momentum: PyTree, grads: PyTree) -> PyTree:
    return jax.tree.map(lambda p, g: jnp.where(moving, kick(p, g), p).astype(p.dtype), momentum, grads)
