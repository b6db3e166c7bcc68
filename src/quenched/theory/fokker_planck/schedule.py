"""A temperature that changes in time: learning-rate decay or growing batches, compiled and differentiable."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.theory.fokker_planck.line import line
from quenched.theory.fokker_planck.line_answers import _start

ROUGH = 4
"""Half steps of implicit Euler at the start, which damp what a point-like start would leave ringing (Rannacher 1984)."""


def anneal(
    landscape: AbstractLandscape,
    temperature_at: Callable[[Any], Any],
    low: float | int,
    high: float | int,
    cells: int,
    start: Any,
    times: Any,
    *,
    substeps: int = 100,
    order: int = 1,
    wall: float | int = 15.0,
) -> xr.Dataset:
    """The density while the temperature follows ``temperature_at``, a function of t = sum of learning rates in ``jax.numpy``.

    T(t) = eta(t) sigma^2/(2 S(t)): a decay of eta and a growth of S are the same but for the number of steps that a unit of t
    takes. ``start``: a point or probabilities of the cells; ``times``: increasing, in eta k; ``substeps`` implicit steps between
    neighbouring ones. ``order`` 1 (default): implicit Euler, positive at any step. ``order`` 2: Crank-Nicolson after four half
    steps of implicit Euler; it may leave negative probabilities of its own error's size. Probability is conserved. Variable
    ``density`` (t, theta).

    Raises ``ParameterError`` for bad values, a temperature that is not positive at a step, or a box too small for the hottest.
    """
    checks.one_of("order", order, (1, 2))
    checks.integer_at_least("substeps", substeps, 1)
    t = np.atleast_1d(np.asarray(times, float))
    if t.min() < 0 or np.any(np.diff(t) <= 0):
        raise checks.ParameterError(f"times must increase from 0, got {times!r}")
    grid, weights = _steps(t, substeps, order)
    # an implicit step takes the temperature of its end, a symmetric one that of its middle
    taken = np.where(weights == 1, grid[1:], (grid[1:] + grid[:-1]) / 2)
    with jax.enable_x64(True):
        heat = np.broadcast_to(np.asarray(jax.vmap(temperature_at)(jnp.asarray(taken)), float), taken.shape)
        if not (np.all(np.isfinite(heat)) and heat.min() > 0):
            raise checks.ParameterError(f"temperature_at must be > 0 at every step, got {heat.min()!r}")
        process = line(landscape, float(heat.max()), low, high, cells, wall=wall)
        level = process.phi * heat.max()
        begin = jnp.asarray(_start(process, start))
        arguments = (jnp.asarray(a) for a in (level, heat, process.width, begin, np.diff(grid), weights))
        rows = np.concatenate([begin[None], annealed(*arguments)])
    kept = rows[np.searchsorted(grid, t, side="right") - 1]
    variables = {"density": (("t", "theta"), kept / process.width)}
    return dataset(variables, {"t": t, "theta": process.x}, {"engine": "fokker_planck.anneal"}, time_unit="eta_k")


@jax.jit
def annealed(
    level: Float[Array, " n"],
    heat: Float[Array, " steps"],
    width: float | Float[Array, ""],
    start: Float[Array, " n"],
    steps: Float[Array, " steps"],
    weights: Float[Array, " steps"],
) -> Float[Array, "steps n"]:
    """Probabilities after every step: a pure function of the loss at the cells, the temperatures and the start.

    ``weights``: 1 for implicit Euler, 1/2 for Crank-Nicolson. Differentiable in every array.
    """

    def step(p: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        t, dt, weight = now
        w = jnp.diff(level) / t
        up, down = t * _bernoulli(w) / width**2, t * _bernoulli(-w) / width**2
        flux = up * p[:-1] - down * p[1:]
        change = jnp.pad(flux, (1, 0)) - jnp.pad(flux, (0, 1))
        out = jnp.pad(up, (0, 1)) + jnp.pad(down, (1, 0))
        implicit = weight * dt
        new = lax.linalg.tridiagonal_solve(
            jnp.pad(-implicit * up, (1, 0)),
            1 + implicit * out,
            jnp.pad(-implicit * down, (0, 1)),
            (p + (1 - weight) * dt * change)[:, None],
        )[:, 0]
        return new, new

    return lax.scan(step, start, (heat, steps, weights))[1]


def _bernoulli(z: Float[Array, " n"]) -> Float[Array, " n"]:
    small = jnp.abs(z) < 1e-5
    safe = jnp.where(small, 1.0, jnp.clip(z, -700, 700))
    return jnp.where(small, 1 - z / 2 + z**2 / 12, safe / jnp.expm1(safe))


def _steps(times: Float[np.ndarray, " t"], substeps: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Times between the steps, from 0, and the weight of every step: 1 implicit, 1/2 symmetric."""
    edges = itertools.pairwise([0.0, *times])
    grid = np.unique(np.concatenate([np.linspace(a, b, substeps + 1) for a, b in edges]))
    if order == 1:
        return grid, np.ones(len(grid) - 1)
    halved = min(ROUGH // 2, len(grid) - 1)
    early = np.interp(np.arange(2 * halved + 1) / 2, np.arange(len(grid)), grid)
    grid = np.concatenate([early, grid[halved + 1 :]])
    return grid, np.where(np.arange(len(grid) - 1) < 2 * halved, 1.0, 0.5)
