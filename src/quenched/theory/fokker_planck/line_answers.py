"""What a discretised process in one dimension says: stationary law, rates, relaxation, schedules."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy.linalg import eigh, eigh_tridiagonal, solve_banded

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.fokker_planck.line import Line, _exponent, _noise_at, line
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

    Accurate to 1e-15 of the largest rate; lambda_1 between reflecting ends is taken from ``gap`` where that is not enough.
    Raises ``ConvergenceError`` where another rate drowns in rounding, below 1e-13 of the largest.
    """
    checks.integer_at_least("count", count, 1)
    diagonal, off = _symmetric(process)
    last, largest = min(count, len(diagonal)) - 1, float(np.abs(diagonal).max())
    if process.boundary == "periodic":
        matrix = np.diag(-diagonal) - np.diag(off, 1) - np.diag(off, -1)
        matrix[0, -1] = matrix[-1, 0] = -np.sqrt(process.up[-1] * process.down[-1])
        rates = eigh(matrix, eigvals_only=True, subset_by_index=(0, last))
    else:
        rates = eigh_tridiagonal(-diagonal, -off, eigvals_only=True, select="i", select_range=(0, last))
    if process.boundary != "absorbing":
        rates[0] = 0.0
    if process.boundary == "reflecting" and last > 0 and rates[1] < 1e-9 * largest:
        rates[1] = gap(process)
    slow = rates[(0 if process.boundary == "absorbing" else 1 + (process.boundary == "reflecting")) :]
    if np.any(slow < 1e-13 * largest):
        raise checks.ConvergenceError(f"a rate must be > 1e-13 of the largest rate {largest:.3g}, got {slow.min():.3g}")
    return rates


def gap(process: Line, tolerance: float = 1e-12) -> float:
    """The spectral gap lambda_1 of a line with reflecting ends, to full relative precision however small.

    Inverse iteration for the flux, whose operator has no zero mode and whose inverse is two sums of positive terms: no digits
    are lost where wells exchange probability once in 10^12 units of time. Raises ``ConvergenceError`` with the residual.
    """
    return slowest(process, tolerance)[0]


def slowest(process: Line, tolerance: float = 1e-12) -> tuple[float, Float[np.ndarray, " n"]]:
    """lambda_1 and its left eigenvector r (p_inf r is the right one), which is nearly constant in each of two wells."""
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
            return rate, np.pad(r, (seen[0], len(process.x) - 1 - seen[-1]), mode="edge")
    raise checks.ConvergenceError(f"the spectral gap did not converge: last change {abs(rate - before):.3g} of {rate:.6g}")


def gap_derivative(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    low: float | int,
    high: float | int,
    cells: int = 1000,
    *,
    noise: Callable[[Any], Any] | None = None,
) -> float:
    """d lambda_1/dT between reflecting ends, by Hellmann and Feynman: of the quotient that lambda_1 minimises, at fixed mode.

    T lambda_1'/lambda_1 tends to dE/T at low temperature. As T = eta sigma^2/(2 S): d lambda_1/d eta = (T/eta) d lambda_1/dT, and
    d lambda_1/dS = -(T/S) d lambda_1/dT. Arguments and errors are those of ``line``.
    """
    t = temperature_of(temperature)
    mode = slowest(line(landscape, t, low, high, cells, noise=noise))[1]
    h = (high - low) / cells
    x = low + h * (np.arange(cells) + 0.5)
    with jax.enable_x64(True):
        psi = jnp.asarray(_exponent(landscape, 1.0, noise, 0.0, x))
        n, faces = jnp.asarray(_noise_at(noise, x)), jnp.asarray(_noise_at(noise, (x[1:] + x[:-1]) / 2))
        r = jnp.asarray(mode)

        def quotient(t: Array) -> Array:
            phi = psi / t + jnp.log(n)
            half = jnp.diff(phi) / 2
            # D B(w) p_i = D (w/2)/sinh(w/2) sqrt(p_i p_(i+1))
            small = jnp.abs(half) < 1e-4
            safe = jnp.where(small, 1.0, half)
            shape = jnp.where(small, 1 - half**2 / 6, safe / jnp.sinh(safe))
            log_p = -phi - jax.nn.logsumexp(-phi)
            flux = t * faces * shape * jnp.exp((log_p[1:] + log_p[:-1]) / 2) * jnp.diff(r) ** 2 / h**2
            p = jnp.exp(log_p)
            return jnp.sum(flux) / jnp.sum(p * (r - jnp.sum(p * r)) ** 2)

        return float(jax.grad(quotient)(jnp.asarray(t)))


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
