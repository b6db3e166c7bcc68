"""The Fokker-Planck equation in two dimensions, isotropic noise: finite volumes, conservative, positive, well-balanced."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse import csc_matrix, diags
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.theory.fokker_planck.line import bernoulli
from quenched.theory.fokker_planck.temperature import Temperature, temperature_of


class Plane(NamedTuple):
    """Cell centres along both axes, the stationary probabilities, and the symmetrised generator (zero flux at the ends)."""

    x: Float[np.ndarray, " nx"]
    y: Float[np.ndarray, " ny"]
    stationary: Float[np.ndarray, "nx ny"]
    generator: csc_matrix


def plane(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    box: tuple[tuple[float | int, float | int], tuple[float | int, float | int]],
    cells: tuple[int, int] = (120, 80),
    wall: float | int = 15.0,
) -> Plane:
    """A landscape of two dimensions on ``cells`` of ``box`` ((x_low, x_high), (y_low, y_high)); diffusion T along both axes.

    The stationary law is exact at the centres of cells. Raises ``ParameterError`` for another dimension, or where L/T at the edge
    is less than ``wall`` above the minimum.
    """
    t = temperature_of(temperature)
    if landscape.dimension != 2:
        raise checks.ParameterError(f"landscape must have two dimensions, got {landscape.dimension}")
    for count in cells:
        checks.integer_at_least("cells", count, 3)
    widths = [(high - low) / count for (low, high), count in zip(box, cells, strict=True)]
    x, y = (low + h * (np.arange(n) + 0.5) for (low, _), h, n in zip(box, widths, cells, strict=True))
    with jax.enable_x64(True):
        grid = jnp.stack(jnp.meshgrid(jnp.asarray(x), jnp.asarray(y), indexing="ij"), axis=-1)
        phi = np.asarray(jax.vmap(jax.vmap(landscape.potential))(grid), float) / t
    phi -= phi.min()
    edge = min(phi[0].min(), phi[-1].min(), phi[:, 0].min(), phi[:, -1].min())
    if edge < wall:
        raise checks.ParameterError(
            f"the box must reach up to {wall:g} T above the minimum at its edge, got {edge:.3g}; widen it"
        )
    n = phi.size
    diagonal, bands = np.zeros(phi.shape), []
    for axis, h in enumerate(widths):
        w = np.diff(phi, axis=axis)
        up, down = t * bernoulli(w.ravel()).reshape(w.shape) / h**2, t * bernoulli(-w.ravel()).reshape(w.shape) / h**2
        lower, upper = [slice(None)] * 2, [slice(None)] * 2
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        diagonal[tuple(lower)] -= up
        diagonal[tuple(upper)] -= down
        band = np.zeros(phi.shape)
        band[tuple(lower)] = np.sqrt(up * down)
        stride = phi.shape[1] if axis == 0 else 1
        bands.append((band.ravel()[: n - stride], stride))
    offsets = [0] + [s for _, k in bands for s in (k, -k)]
    values = [diagonal.ravel()] + [band for band, _ in bands for _ in range(2)]
    return Plane(x, y, np.exp(-phi - logsumexp(-phi)), diags(values, offsets, format="csc"))


def plane_gap(process: Plane) -> float:
    """The spectral gap per unit of eta k, by inverse iteration around zero with the stationary mode projected out.

    Raises ``ConvergenceError`` where the solver fails, or where the gap drowns in rounding, below 1e-13 of the largest rate.
    """
    largest = float(np.abs(process.generator.diagonal()).max())
    start = np.ones(process.stationary.size)
    try:
        values = np.sort(eigsh(-process.generator, k=2, sigma=-1e-12 * largest, which="LM", v0=start, return_eigenvectors=False))
    except ArpackNoConvergence as error:
        raise checks.ConvergenceError(f"the spectral gap did not converge: {error}") from error
    if not values[1] > 1e-13 * largest:
        raise checks.ConvergenceError(f"the spectral gap must be > 1e-13 of the largest rate {largest:.3g}, got {values[1]:.3g}")
    return float(values[1])


def plane_masses(process: Plane, barrier: float | int) -> tuple[float, float]:
    """The stationary probability at x < ``barrier`` and beyond, a cell that is cut counting in part."""
    h = process.x[1] - process.x[0]
    along = process.stationary.sum(axis=1)
    left = float(np.sum(along * np.clip((barrier - (process.x - h / 2)) / h, 0, 1)))
    return left, 1 - left
