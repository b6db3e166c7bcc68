"""ECDSep: energy-conserving descent with a separable Hamiltonian, and a rotation of the momentum at every step.

    H = log(s + p^2) + eta log(F - F0) = log E_c,
    dq/dt = 2 p/(s + p^2),     dp/dt = -eta grad F/(F - F0),     p^2 = E_c/(F - F0)^eta - s  on shell.

Source: De Luca, Gatti, Silverstein, arXiv:2306.00352.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

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


def log_hamiltonian(potential: Any, square: Any, exponent: Any, regularisation: int = 1) -> Any:
    """log E_c = log(s + p^2) + eta log V from V = F - F0 and the ``square`` p^2; NumPy or JAX, by ``jax.numpy``."""
    return jnp.log(regularisation + square) + exponent * jnp.log(potential)


def on_shell(potential: Any, log_energy: Any, exponent: Any, regularisation: int = 1) -> Any:
    """p^2 = exp(log E_c - eta log V) - s."""
    return jnp.exp(log_energy - exponent * jnp.log(potential)) - regularisation


def coefficients(potential: Any, square: Any, exponent: Any, regularisation: int = 1) -> tuple[Any, Any]:
    """(2/(s + p^2), eta/V): dq/dt = first * p and dp/dt = -second * grad F."""
    return 2 / (regularisation + square), exponent / potential


def check_exponents(offset: Scalar, exponent: Scalar, regularisation: int, directions: Any) -> None:
    """Refuse, by name, options of the Hamiltonian that make no sense; traced values pass."""
    if concrete(exponent):
        checks.finite("exponent", float(exponent))
        if exponent < 1:
            raise checks.ParameterError(f"exponent must be >= 1, got {exponent!r}")
    checks.one_of("regularisation", regularisation, (0, 1))
    if not callable(directions):
        checks.one_of("directions", directions, ("gaussian", "cube"))
    if concrete(offset):
        checks.finite("offset", float(offset))


def ecd_sep(
    learning_rate: Rate,
    *,
    offset: Scalar = 0.0,
    extra_energy: Scalar = 0.0,
    exponent: Scalar = 1.0,
    regularisation: int = 1,
    noise: Scalar = 1e-5,
    weight_decay: Scalar = 0.0,
    directions: str | Draw = "gaussian",
    conserve: bool = True,
    seed: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Separable energy-conserving descent as an optax optimiser: ``update(grads, state, params, value=loss)``.

    One step, from the loss F and gradient g at q, after rescaling p to the energy shell, with L = F + (w/2)|q|^2 - F0:

        p <- p - dt (eta/L) (g + w q),    q <- q + dt 2p/(s + p^2),    p <- |p| u/|u| with u = p/|p| + nu z, z ~ N(0, 1).

    Args:
        learning_rate: dt > 0, or an optax schedule.
        offset: F0, the expected minimum of the loss. The particle stands for ever at L <= 0 (``state.frozen``).
        extra_energy: dE >= 0; E_c = L^eta (s + dE) at the start, with a first momentum of length sqrt(dE) down the gradient.
        exponent: eta >= 1, how strongly the measure concentrates at low loss.
        regularisation: s, 0 or 1. With s = 0 the energy only sets the unit of p, and dE is taken as 1.
        noise: nu >= 0, strength of the rotation that makes the motion mix; it keeps the energy.
        weight_decay: w >= 0.
        directions: z, "gaussian" or "cube", or a function (step, params) that gives arrays like the parameters.
        conserve: rescale.
        seed: of the rotations.

    The state is an ``EnergyState`` whose ``energy`` is log E_c and whose ``best_value`` is that of F + (w/2)|q|^2.

    Raises ``ParameterError`` as ``bbi`` does, and for eta < 1 or s other than 0 and 1.
    """
    check_options(learning_rate, {"extra_energy": extra_energy, "noise": noise, "weight_decay": weight_decay})
    check_exponents(offset, exponent, regularisation, directions)
    s, extra = regularisation, (extra_energy if regularisation else 1.0)
    decays = not concrete(weight_decay) or float(weight_decay) > 0
    rotates = not concrete(noise) or float(noise) > 0

    def init(params: PyTree) -> EnergyState:
        return initial_state(params, seed, 0)

    def update(
        grads: PyTree, state: EnergyState, params: PyTree | None = None, *, value: Any = None, **_: Any
    ) -> tuple[PyTree, EnergyState]:
        check_call(params, value, "ecd_sep")
        dtype = state.energy.dtype
        loss = jnp.asarray(value, dtype)
        if decays:
            loss = loss + weight_decay / 2 * optax.tree.norm(params, squared=True).astype(dtype)
            grads = jax.tree.map(lambda g, q: (g + weight_decay * q).astype(g.dtype), grads, params)
        check_start(state.started, loss, offset, grads, extra)
        eta = real(exponent, dtype)
        potential = loss - real(offset, dtype)
        frozen = (potential <= 0) | (eta * jnp.log(jnp.where(potential > 0, potential, 1.0)) <= math.log(FREEZE_BELOW))
        safe = jnp.where(frozen, 1.0, potential)
        starting = ~state.started & ~frozen
        energy = jnp.where(starting, log_hamiltonian(safe, real(extra, dtype), eta, s), state.energy)

        momentum = turned(
            starting,
            starting,
            state.momentum,
            grads,
            jnp.sqrt(real(extra, dtype)),
            lambda: drawn("gaussian", state, 0),
        )
        square = optax.tree.norm(momentum, squared=True).astype(dtype)
        drift = jnp.where(frozen, state.drift, jnp.expm1(log_hamiltonian(safe, square, eta, s) - energy))
        scale = rescaling(square, on_shell(safe, energy, eta, s), conserve)
        rate = rate_of(learning_rate, state.steps, dtype)
        force = coefficients(safe, square, eta, s)[1]
        kicked = jax.tree.map(lambda p, g: scale * p - rate * force * g, momentum, grads)
        square = optax.tree.norm(kicked, squared=True).astype(dtype)
        velocity = coefficients(safe, square, eta, s)[0]
        updates = jax.tree.map(lambda k, p: jnp.where(frozen, 0.0, rate * velocity * k).astype(p.dtype), kicked, momentum)
        if rotates:
            kicked = rotated(kicked, jnp.sqrt(square), drawn(directions, state, 1), real(noise, dtype))
        momentum = jax.tree.map(lambda k, p: jnp.where(frozen, p, k).astype(p.dtype), kicked, momentum)
        best_value, best_params = kept_best(state, loss < state.best_value, loss, params)
        return updates, state._replace(
            steps=state.steps + 1,
            momentum=momentum,
            energy=energy,
            started=state.started | starting,
            frozen=frozen,
            potential=potential,
            drift=drift,
            best_value=best_value,
            best_params=best_params,
        )

    return optax.GradientTransformationExtraArgs(init, update)


def rotated(momentum: PyTree, length: Float[Array, ""], numbers: PyTree, noise: Float[Array, ""]) -> PyTree:
    """|p| u/|u| with u = p/|p| + nu z; a momentum of ``length`` |p| = 0 stays."""
    inverse = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1.0), 0.0)
    moved = jax.tree.map(lambda p, z: inverse * p + noise * z, momentum, numbers)
    scale = length / optax.tree.norm(moved)
    return jax.tree.map(lambda p, u: jnp.where(length > 0, scale * u, p), momentum, moved)
