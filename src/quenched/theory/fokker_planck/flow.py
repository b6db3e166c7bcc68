"""The Fokker-Planck equation in two dimensions with noise that depends on place and direction, and forces with a curl.

    dp/dt = sum_i d_i [(d_i L - f_i) p + d_i (D_i p)],    D = T diag(noise(theta)),  Ito's sense

Detailed balance is broken, the stationary state carries currents, and its law is no formula: it is the null vector of a sparse
matrix. Fluxes are those of ``line``: positive, conservative, exact where there is balance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse import csc_matrix, diags, lil_matrix
from scipy.sparse.linalg import ArpackNoConvergence, eigs, splu

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.theory.fokker_planck.line import bernoulli
from quenched.theory.fokker_planck.temperature import Temperature, natural_unit, temperature_of


class Flow(NamedTuple):
    """Cell centres along both axes, stationary probabilities, stationary currents through the faces along x and along y, and
    the generator: dp/dt = generator p, p raveled."""

    x: Float[np.ndarray, " nx"]
    y: Float[np.ndarray, " ny"]
    stationary: Float[np.ndarray, "nx ny"]
    current_x: Float[np.ndarray, "facesx ny"]
    current_y: Float[np.ndarray, "nx facesy"]
    generator: csc_matrix
    time_unit: str


def flow(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    box: tuple[tuple[float | int, float | int], tuple[float | int, float | int]],
    cells: tuple[int, int] = (120, 80),
    *,
    noise: Callable[[Any], Any] | None = None,
    force: Callable[[Any], Any] | None = None,
) -> Flow:
    """The process on ``cells`` of ``box`` and its stationary state, by sparse LU with one equation replaced by normalisation.

    ``noise``: theta (2,) -> the diagonal (2,) of D/T, or a matrix (2, 2) that is diagonal; default 1. ``force``: theta (2,) ->
    a force (2,) added to -grad L. Both written with ``jax.numpy``. No flux leaves the box.

    Raises ``ParameterError`` for another dimension, noise that is not diagonal (turn the axes: the scheme would not be positive)
    or not positive (with the place), ``ConvergenceError`` if the stationary state has negative probabilities.
    """
    t = temperature_of(temperature)
    checks.instance("landscape", landscape, AbstractLandscape)
    if landscape.dimension != 2:
        raise checks.ParameterError(f"landscape must have two dimensions, got {landscape.dimension}")
    for count in cells:
        checks.integer_at_least("cells", count, 3)
    widths = [(high - low) / count for (low, high), count in zip(box, cells, strict=True)]
    x, y = (low + h * (np.arange(n) + 0.5) for (low, _), h, n in zip(box, widths, cells, strict=True))
    centres = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    with jax.enable_x64(True):
        level = _over(landscape.potential, centres)
        if not np.all(np.isfinite(level)):
            raise checks.ParameterError("the loss must be finite in the box, got an entry that is not")
        strength = _diagonal(noise, centres)
        rates = []
        for axis, h in enumerate(widths):
            before, after = np.delete(centres, -1, axis), np.delete(centres, 0, axis)
            middle = (before + after) / 2
            d = t * _diagonal(noise, middle)[..., axis]
            push = np.zeros(d.shape) if force is None else _over(force, middle)[..., axis]
            # the difference of Phi: of L/D, of the work of the force, and Ito's ln D
            w = (np.diff(level, axis=axis) - push * h) / d + np.diff(np.log(strength[..., axis]), axis=axis)
            up, down = (d * bernoulli(sign * w.ravel()).reshape(w.shape) / h**2 for sign in (1, -1))
            rates.append((up, down))
    matrix = _generator(rates, (cells[0], cells[1]))
    p = _null_vector(matrix).reshape(cells)
    (up_x, down_x), (up_y, down_y) = rates
    current_x = (up_x * p[:-1] - down_x * p[1:]) / widths[1]
    current_y = (up_y * p[:, :-1] - down_y * p[:, 1:]) / widths[0]
    return Flow(x, y, p, current_x, current_y, matrix, natural_unit(temperature))


def flow_gap(process: Flow) -> complex:
    """The slowest decay rate but zero, complex where the way back is a spiral: the one of smallest real part.

    Raises ``ConvergenceError`` where the solver fails, or where the rate drowns in rounding, below 1e-13 of the largest rate.
    """
    largest = float(np.abs(process.generator.diagonal()).max())
    try:
        rates = eigs(
            -process.generator,
            k=4,
            sigma=-1e-10 * largest,
            which="LM",
            v0=np.ones(process.stationary.size),
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        raise checks.ConvergenceError(f"the spectral gap did not converge: {error}") from error
    rest = np.delete(rates, np.argmin(np.abs(rates)))
    slowest = complex(rest[np.argmin(rest.real)])
    if not slowest.real > 1e-13 * largest:
        raise checks.ConvergenceError(
            f"the spectral gap must be > 1e-13 of the largest rate {largest:.3g}, got {slowest.real:.3g}"
        )
    return slowest


def _over(function: Callable[[Any], Any], points: Float[np.ndarray, "a b two"]) -> Float[np.ndarray, ...]:
    return np.asarray(jax.vmap(jax.vmap(function))(jnp.asarray(points)), float)


def _diagonal(noise: Callable[[Any], Any] | None, points: Float[np.ndarray, "a b two"]) -> Float[np.ndarray, "a b two"]:
    if noise is None:
        return np.ones_like(points)
    values = _over(noise, points)
    if values.shape == (*points.shape, 2):
        off = np.abs(values[..., [0, 1], [1, 0]]).max()
        if off > 1e-12 * np.abs(values).max():
            raise checks.ParameterError(
                f"noise must be diagonal on the grid of two dimensions, got an entry {off:.3g} off the diagonal: turn the axes"
            )
        values = values[..., [0, 1], [0, 1]]
    if values.shape != points.shape:
        raise checks.ParameterError(f"noise must have the shape (2,) or (2, 2), got {values.shape[2:]}")
    bad = ~(values > 0)
    if bad.any():
        place = points[np.nonzero(bad)[:2]][0]
        raise checks.ParameterError(f"noise must be > 0 everywhere in the box, got {values[bad][0]:.4g} at theta = {place}")
    return values


def _generator(rates: list[tuple[np.ndarray, np.ndarray]], cells: tuple[int, int]) -> csc_matrix:
    n = cells[0] * cells[1]
    diagonal, bands, offsets = np.zeros(cells), [], []
    for axis, (up, down) in enumerate(rates):
        lower, upper = [slice(None)] * 2, [slice(None)] * 2
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        diagonal[tuple(lower)] -= up
        diagonal[tuple(upper)] -= down
        stride = cells[1] if axis == 0 else 1
        for rate, offset in ((up, -stride), (down, stride)):
            band = np.zeros(cells)
            band[tuple(lower)] = rate
            bands.append(band.ravel()[: n - stride])
            offsets.append(offset)
    return diags([diagonal.ravel(), *bands], [0, *offsets], format="csc")


def _null_vector(matrix: csc_matrix) -> Float[np.ndarray, " n"]:
    n = matrix.shape[0]
    closed = lil_matrix(matrix)
    # the equations add to zero: one of them is free to say that probabilities add to one
    closed[n // 2] = np.ones(n)
    p = splu(csc_matrix(closed)).solve((np.arange(n) == n // 2).astype(float))
    if not p.min() > -1e-12:
        raise checks.ConvergenceError(
            f"the stationary probabilities must be >= 0, got {p.min():.3g}: fewer cells, or a smaller box"
        )
    p = np.maximum(p, 0.0)
    return p / p.sum()
