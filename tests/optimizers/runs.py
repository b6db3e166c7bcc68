"""Runs of an optax optimiser on a loss, and the losses that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Trace(NamedTuple):
    """End of a run, and the loss and parameters before every step."""

    params: Any
    state: Any
    losses: Any
    path: Any


def trace(loss: Callable, start: Any, optimiser: Any, steps: int, *, key: Any = None, path: bool = True) -> Trace:
    """``steps`` steps from ``start``; with a ``key`` the optimiser's own random key is replaced."""
    optimiser = optax.with_extra_args_support(optimiser)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(grads, state, params, value=value)
        return (optax.apply_updates(params, updates), state), (value, params if path else None)

    state = optimiser.init(start)
    if key is not None:
        state = state._replace(key=jax.random.key_data(key))
    (params, state), (losses, points) = jax.lax.scan(step, (start, state), length=steps)
    return Trace(params, state, losses, points)


def run(loss: Callable, start: Any, optimiser: Any, steps: int, dtype: str = "float64") -> Trace:
    """The same, compiled, in double precision."""
    with jax.enable_x64(True):
        moved = jax.jit(lambda x: trace(loss, x, optimiser, steps))(jnp.asarray(start, dtype))
        return jax.tree.map(np.asarray, moved)


def zakharov(x: Any) -> Any:
    """|x|^2 + b^2 + b^4, b = sum i x_i/2."""
    b = jnp.sum(jnp.arange(1, x.shape[0] + 1) * x) / 2
    return jnp.sum(x**2) + b**2 + b**4


def ackley(x: Any) -> Any:
    """Ackley's function with the decay 0.02 of arXiv:2201.11137."""
    return -20 * jnp.exp(-0.02 * jnp.sqrt(jnp.mean(x**2))) - jnp.exp(jnp.mean(jnp.cos(2 * jnp.pi * x))) + 20 + jnp.e


def two_basins(x: Any) -> Any:
    """A wide minimum at (-2, -2) and a narrow one at (2, 2), of equal depth."""
    wide, narrow = jnp.sum((x + 2) ** 2), jnp.sum((x - 2) ** 2)
    return 1 - jnp.exp(-0.4 * wide) - (1 - 2.75e-6) * jnp.exp(-0.8 * narrow) + 1e-3 * wide * narrow
