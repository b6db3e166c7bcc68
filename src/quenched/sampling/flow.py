"""The flow of a velocity field and its volume: dX/dt = b(X), d ln J/dt = div b(X), by Runge-Kutta steps of fixed length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.numerics.precision import Real

State = TypeVar("State")


class Path(NamedTuple):
    """Points (k, d) of one orbit at equidistant times, and ln J (k,) there."""

    points: Float[Array, "k d"]
    log_jacobian: Float[Array, " k"]


def runge_kutta(derivative: Callable[[State], State], state: State, h: Real) -> State:
    """One classical fourth-order step of length ``h`` (negative: backward in time) of a pytree of arrays."""

    def ahead(slope: State, length: Any) -> State:
        return jax.tree.map(lambda s, d: s + length * d, state, slope)

    k1 = derivative(state)
    k2 = derivative(ahead(k1, h / 2))
    k3 = derivative(ahead(k2, h / 2))
    k4 = derivative(ahead(k3, h))
    return ahead(jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4), h)


def path(velocity: Callable[[Any], Any], divergence: Callable[[Any], Any], x: Float[Array, " d"], h: Real, steps: int) -> Path:
    """The orbit of ``x`` at times 0, h, ..., ``steps`` h; a negative ``h`` runs it backward. ln J is 0 at time 0.

    Differentiates in reverse mode, where every step is computed twice and only its start is kept.
    """

    def derivative(state: tuple[Array, Array]) -> tuple[Array, Array]:
        return velocity(state[0]), divergence(state[0])

    def step(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        new = runge_kutta(derivative, state, h)
        return new, new

    start = (x, jnp.zeros((), x.dtype))
    _, (points, logs) = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), start, None, length=steps)
    return Path(jnp.concatenate([x[None], points]), jnp.concatenate([start[1][None], logs]))


def two_sided(
    velocity: Callable[[Any], Any], divergence: Callable[[Any], Any], x: Float[Array, " d"], h: float, steps: int
) -> Path:
    """The orbit at times -``steps`` h, ..., ``steps`` h, in this order: 2 ``steps`` + 1 points with ``x`` in the middle."""
    forward = path(velocity, divergence, x, h, steps)
    backward = path(velocity, divergence, x, -h, steps)
    return Path(*(jnp.concatenate([b[:0:-1], f]) for b, f in zip(backward, forward, strict=True)))
