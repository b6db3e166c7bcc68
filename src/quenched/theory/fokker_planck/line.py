"""The Fokker-Planck equation in one dimension: conservative, positive, with the exact stationary law at every cell.

    dp/dt = (L' p)' + ((D p)' - (1 - a) D' p)',    a = 1 Ito, 1/2 Stratonovich, 0 anti-Ito

for d theta = -L' dt + sqrt(2 D) dW; SGD is Ito, with D = eta Sigma/(2 S) and time eta k. With Phi = int L'/D + a ln D, so that
the stationary law is exp(-Phi), the flux between neighbouring cells is that of Scharfetter and Gummel: rates D B(w)/h^2 up and D
B(-w)/h^2 down, w the difference of Phi and B(w) = w/(e^w - 1). The generator is that of a reversible Markov chain.

Source: Dai, Zhu, arXiv:2112.00987, for the equation; Chang, Cooper 1970 and Scharfetter, Gummel 1969 for the scheme.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.linalg import eigh, eigh_tridiagonal, solve_banded
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.fokker_planck.temperature import Temperature, temperature_of

for _name, _label in {
    "theta": Label("parameter", r"\theta"),
    "density": Label("probability density", r"p(\theta,t)"),
    "stationary_density": Label("stationary density", r"p_\infty(\theta)"),
    "potential": Label("loss", "L"),
    "gap_rate": Label("spectral gap", r"\lambda_1"),
    "basin_mass": Label("probability of a basin", "P"),
}.items():
    register_label(_name, _label)

CONVENTIONS = {"ito": 1.0, "stratonovich": 0.5, "anti-ito": 0.0}
BOUNDARIES = ("reflecting", "absorbing", "periodic")
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)


class Line(NamedTuple):
    """A discretised process: cell centres, their width, Phi there, rates up (i -> i+1) and down (i+1 -> i) across faces.

    For absorbing ends ``loss`` is the rate out of the first and of the last cell; a periodic line has one more face, from the
    last cell to the first.
    """

    x: Float[np.ndarray, " n"]
    width: float
    phi: Float[np.ndarray, " n"]
    up: Float[np.ndarray, " faces"]
    down: Float[np.ndarray, " faces"]
    loss: tuple[float, float]
    boundary: str
    time_unit: str

    @property
    def stationary(self) -> Float[np.ndarray, " n"]:
        """Probabilities of the cells in the stationary state; for absorbing ends, the reference measure."""
        return np.exp(-self.phi - logsumexp(-self.phi))


def line(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    low: float | int,
    high: float | int,
    cells: int = 1000,
    *,
    noise: Callable[[Any], Any] | None = None,
    convention: str = "ito",
    boundary: str = "reflecting",
    wall: float | int = 15.0,
) -> Line:
    """The process of a landscape of one dimension on ``cells`` equal cells of [low, high], time in units of eta k.

    ``temperature`` T, and ``noise``, a function of theta (written with ``jax.numpy``) that multiplies it: D = T noise(theta),
    default 1. ``boundary``: "reflecting", "absorbing" at both ends, or "periodic" (the landscape has to be). With reflecting
    ends Phi must be at least ``wall`` above its minimum there, or the walls would be felt; 0 allows anything.

    Raises ``ParameterError`` for T <= 0, a landscape of more dimensions, a noise that is not positive (with the place), a box
    that is too small, or bad names.
    """
    t = temperature_of(temperature)
    checks.instance("landscape", landscape, AbstractLandscape)
    if landscape.dimension != 1:
        raise checks.ParameterError(f"landscape must have one dimension, got {landscape.dimension}")
    checks.integer_at_least("cells", cells, 3)
    checks.one_of("convention", convention, CONVENTIONS)
    checks.one_of("boundary", boundary, BOUNDARIES)
    if not low < high:
        raise checks.ParameterError(f"low must be < high, got {low!r}, {high!r}")
    h = (high - low) / cells
    x = low + h * (np.arange(cells) + 0.5)
    outer = np.concatenate([[x[0] - h], x, [x[-1] + h]])
    with jax.enable_x64(True):
        phi = _exponent(landscape, t, noise, CONVENTIONS[convention], outer)
        faces = t * _noise_at(noise, (outer[:-1] + outer[1:]) / 2)
    w = np.diff(phi)
    up, down = faces * bernoulli(w) / h**2, faces * bernoulli(-w) / h**2
    inner = phi[1:-1]
    if boundary == "reflecting":
        ends = np.minimum(inner[0], inner[-1]) - inner.min()
        if ends < wall:
            raise checks.ParameterError(
                f"the box must reach up to {wall:g} T above the minimum at both ends, got {ends:.3g} in [{low:g}, {high:g}]; "
                "widen it, or pass wall=0 for a real wall"
            )
    loss = (float(down[0]), float(up[-1])) if boundary == "absorbing" else (0.0, 0.0)
    around = slice(1, None) if boundary == "periodic" else slice(1, -1)
    if boundary == "periodic" and abs(phi[-1] - phi[1]) > 1e-6 * max(1.0, np.ptp(inner)):
        raise checks.ParameterError(f"a periodic box must hold whole periods of the landscape, got [{low:g}, {high:g}]")
    return Line(x, h, inner - inner.min(), up[around], down[around], loss, boundary, "eta_k")


def bernoulli(z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """z/(e^z - 1), with its limit 1 at 0 and without overflow."""
    small = np.abs(z) < 1e-5
    safe = np.where(small, 1.0, np.clip(z, -700, 700))
    return np.where(small, 1 - z / 2 + z**2 / 12, safe / np.expm1(safe))


def _noise_at(noise: Callable[[Any], Any] | None, points: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    if noise is None:
        return np.ones_like(points)
    values = np.asarray(jax.vmap(noise)(jnp.asarray(points)), float)
    bad = ~(values > 0)
    if bad.any():
        raise checks.ParameterError(
            f"noise must be > 0 everywhere in the box, got {values[bad][0]:.4g} at theta = {points[bad][0]:.6g}: it cuts the "
            "line there"
        )
    return values


def _exponent(
    landscape: AbstractLandscape, t: float, noise: Callable[[Any], Any] | None, a: float, x: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Phi at the points, up to a constant."""
    values = np.asarray(jax.vmap(lambda p: landscape.potential(p[None]))(jnp.asarray(x)), float)
    if not np.all(np.isfinite(values)):
        raise checks.ParameterError(f"the loss must be finite in the box, got {values[~np.isfinite(values)][0]}")
    if noise is None:
        return values / t
    half = np.diff(x)[:, None] / 2
    points = ((x[:-1] + x[1:]) / 2)[:, None] + half * _POINTS
    slope = jax.vmap(jax.grad(lambda p: landscape.potential(p[None])))
    force = np.asarray(slope(jnp.asarray(points.ravel())), float).reshape(points.shape)
    steps = np.sum(half * _WEIGHTS * force / (t * _noise_at(noise, points.ravel()).reshape(points.shape)), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)]) + a * np.log(_noise_at(noise, x))


# ---- answers


def _symmetric(process: Line) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of the symmetrised generator; of a periodic one without the corners."""
    n = len(process.x)
    up, down = process.up[: n - 1], process.down[: n - 1]
    diagonal = -(np.concatenate([up, [process.loss[1]]]) + np.concatenate([[process.loss[0]], down]))
    if process.boundary == "periodic":
        diagonal[-1] -= process.up[-1]
        diagonal[0] -= process.down[-1]
    return diagonal, np.sqrt(up * down)


def spectrum(process: Line, count: int = 6) -> Float[np.ndarray, " count"]:
    """The ``count`` smallest decay rates lambda_0 <= lambda_1 <= ..., lambda_0 = 0 unless the ends absorb.

    Accurate to 1e-15 of the largest rate: use ``gap`` for slow ones.
    """
    checks.integer_at_least("count", count, 1)
    diagonal, off = _symmetric(process)
    last = min(count, len(diagonal)) - 1
    if process.boundary == "periodic":
        matrix = np.diag(-diagonal) - np.diag(off, 1) - np.diag(off, -1)
        matrix[0, -1] = matrix[-1, 0] = -np.sqrt(process.up[-1] * process.down[-1])
        return eigh(matrix, eigvals_only=True, subset_by_index=(0, last))
    return eigh_tridiagonal(-diagonal, -off, eigvals_only=True, select="i", select_range=(0, last))


def gap(process: Line, tolerance: float = 1e-12) -> float:
    """The spectral gap lambda_1 of a line with reflecting ends, to full relative precision however small.

    Inverse iteration for the flux, whose operator has no zero mode and whose inverse is two sums of positive terms: no digits
    are lost where wells exchange probability once in 10^12 units of time. Raises ``ConvergenceError`` with the residual.
    """
    if process.boundary != "reflecting":
        raise checks.ParameterError(f"gap needs reflecting ends, got {process.boundary}; spectrum has the others")
    # cells at the far ends that are never visited carry no flux, and would overflow
    seen = np.flatnonzero(process.phi < 500)
    inside = slice(seen[0], seen[-1] + 1)
    p = process.stationary[inside]
    # differences of p/p_inf over a face are flux/k^2, sums of probability give the flux back
    k = np.sqrt(process.up[inside][: len(p) - 1] * p[:-1])
    z = k / np.linalg.norm(k)
    rate = 0.0
    for _ in range(2000):
        r = np.concatenate([[0.0], -np.cumsum(z / k)])
        r -= np.sum(p * r)
        # the sum from the nearer end: both are positive, and neither cancels
        left = np.cumsum(p * r)[:-1]
        right = -np.cumsum((p * r)[::-1])[::-1][1:]
        new = np.where(np.abs(left) < np.abs(right), left, right) / k
        before, rate = rate, float(np.sum(z * z) / np.sum(z * new))
        z = new / np.linalg.norm(new)
        if abs(rate - before) < tolerance * rate:
            return rate
    raise checks.ConvergenceError(f"the spectral gap did not converge: last change {abs(rate - before):.3g} of {rate:.6g}")


def stationary(process: Line) -> xr.Dataset:
    """The stationary law: ``stationary_density`` (theta,), exact at the centres of the cells up to normalisation."""
    if process.boundary == "absorbing":
        raise checks.ParameterError("a line with absorbing ends has no stationary state")
    variables = {"stationary_density": (("theta",), process.stationary / process.width)}
    return dataset(variables, {"theta": process.x}, {"engine": "fokker_planck.line"}, time_unit=process.time_unit)


def basin_mass(process: Line, barrier: float | int) -> tuple[float, float]:
    """The stationary probability left and right of ``barrier``, a cell that is cut counting in part."""
    if not process.x[0] < barrier < process.x[-1]:
        raise checks.ParameterError(f"barrier must lie in the box, got {barrier!r}")
    return masses(process, process.stationary, barrier)


def masses(process: Line, p: Float[np.ndarray, " n"], barrier: float | int) -> tuple[float, float]:
    """The probability of cells p left and right of ``barrier``."""
    left = float(np.sum(p * np.clip((barrier - (process.x - process.width / 2)) / process.width, 0, 1)))
    return left, float(np.sum(p)) - left


def relax(process: Line, start: float | int | Float[np.ndarray, " n"], times: Any) -> xr.Dataset:
    """The density at ``times`` (in units of the process) from a point, or from probabilities of the cells; exact in time.

    p(t) = sqrt(p_inf) V exp(Lambda t) V^T p_0/sqrt(p_inf) with all eigenvectors of the symmetrised generator. Variable
    ``density`` (t, theta). Raises ``ParameterError`` for a start outside, negative times, or periodic ends.
    """
    if process.boundary == "periodic":
        raise checks.ParameterError("relax needs reflecting or absorbing ends, got periodic")
    t = np.atleast_1d(np.asarray(times, float))
    if not np.all(np.isfinite(t)) or t.min() < 0:
        raise checks.ParameterError(f"times must be >= 0 and finite, got {times!r}")
    begin = _start(process, start)
    diagonal, off = _symmetric(process)
    rates, vectors = eigh_tridiagonal(diagonal, off)
    s = np.sqrt(np.maximum(process.stationary, 1e-300))
    amplitudes = vectors.T @ (begin / s)
    p = s * ((np.exp(np.outer(t, np.minimum(rates, 0.0))) * amplitudes) @ vectors.T)
    # what rounding leaves below zero is no probability
    p = np.where((p < 0) & (p > -1e-10), 0.0, p)
    variables = {"density": (("t", "theta"), p / process.width)}
    return dataset(variables, {"t": t, "theta": process.x}, {"engine": "fokker_planck.line"}, time_unit=process.time_unit)


def evolve(process_at: Callable[[float], Line], start: Any, times: Any, substeps: int = 20) -> xr.Dataset:
    """The density under a schedule: ``process_at(t)`` is the process at time t (one grid), stepped implicitly.

    Implicit Euler with ``substeps`` steps between neighbouring ``times`` (which begin at 0 or later): positive and conservative
    at any step, first order in it.
    """
    t = np.concatenate([[0.0], np.atleast_1d(np.asarray(times, float))])
    if np.any(np.diff(t) < 0):
        raise checks.ParameterError(f"times must increase from 0, got {times!r}")
    checks.integer_at_least("substeps", substeps, 1)
    process = process_at(0.0)
    p, rows = _start(process, start), []
    for begin, end in itertools.pairwise(t):
        dt = (end - begin) / substeps
        for k in range(substeps if dt > 0 else 0):
            now = process_at(begin + (k + 1) * dt)
            if now.boundary == "periodic":
                raise checks.ParameterError("evolve needs reflecting or absorbing ends, got periodic")
            banded = np.zeros((3, len(p)))
            banded[0, 1:], banded[2, :-1] = -dt * now.down, -dt * now.up
            banded[1] = 1 - dt * _symmetric(now)[0]
            p = solve_banded((1, 1), banded, p)
        rows.append(p / process.width)
    variables = {"density": (("t", "theta"), np.stack(rows))}
    return dataset(variables, {"t": t[1:], "theta": process.x}, {"engine": "fokker_planck.line"}, time_unit=process.time_unit)


def _start(process: Line, start: Any) -> Float[np.ndarray, " n"]:
    if np.ndim(start) == 0:
        place = float(start)
        if not process.x[0] - process.width / 2 <= place <= process.x[-1] + process.width / 2:
            raise checks.ParameterError(f"start must lie in the box, got {place!r}")
        return (np.arange(len(process.x)) == np.argmin(np.abs(process.x - place))).astype(float)
    p = np.asarray(start, float)
    if p.shape != process.x.shape or p.min() < 0 or abs(p.sum() - 1) > 1e-6:
        raise checks.ParameterError(f"start must be a point or the probabilities of {len(process.x)} cells, got shape {p.shape}")
    return p
