"""Mean times of passage and rates of escape: exact in one dimension, asymptotic in any."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.numerics.critical_points import CriticalPoint, critical_point
from quenched.theory.fokker_planck.line import _exponent, _noise_at
from quenched.theory.fokker_planck.temperature import Temperature, temperature_of


def mean_first_passage(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    start: float | int,
    target: float | int,
    *,
    far: float | int,
    noise: Any = None,
    points: int = 40_000,
) -> float:
    """The mean time from ``start`` to the first visit of ``target``, reflected at ``far`` on the other side.

    In units of eta k; with momentum, of t' = eta k/(1-beta), for small mass.

    tau = int_a^b dy e^Psi(y) int_far^y dz e^-Psi(z)/D(z), Psi = int L'/D, in Ito's sense; evaluated in logarithms, so that
    e^(dE/T) may be any number below 1e300. Raises ``ParameterError`` if start does not lie between target and far.
    """
    t = temperature_of(temperature)
    if not (far < start < target or target < start < far):
        raise checks.ParameterError(f"start must lie between target and far, got start={start!r}, target={target!r}, far={far!r}")
    y = np.linspace(far, target, points)
    with jax.enable_x64(True):
        psi = _exponent(landscape, t, noise, 0.0, y)
        log_d = np.log(t * _noise_at(noise, y))
    h = abs(y[1] - y[0])
    # trapezoid: every cell is the mean of its ends
    inner = np.logaddexp(-psi[1:] - log_d[1:], -psi[:-1] - log_d[:-1]) + np.log(h / 2)
    within = np.concatenate([[-np.inf], np.logaddexp.accumulate(inner)])
    outer = psi + within
    cells = np.logaddexp(outer[1:], outer[:-1]) + np.log(h / 2)
    beyond = np.abs(y[1:] - far) > abs(start - far) + h / 2
    return float(np.exp(logsumexp(cells[beyond])))


def escape_rate(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    minimum: Any,
    saddle: Any,
    *,
    dynamics: str = "overdamped",
) -> float:
    """The rate of escape over a saddle as T -> 0: Eyring-Kramers, in any dimension.

    Overdamped: r = |lambda_s|/(2 pi) sqrt(det H_min/|det H_saddle|) exp(-dE/T), lambda_s the negative eigenvalue at the saddle,
    per unit of eta k (with momentum, of t' = eta k/(1-beta)). "momentum" (needs a ``Temperature`` with its parts): Kramers' rate
    at mass m and friction g, [sqrt(g^2/4m^2 + |lambda_s|/m) - g/2m]/(2 pi) sqrt(det H_min/|det H_saddle|) exp(-dE/T), per unit
    of eta k, for g/m not far below sqrt(|lambda_s|/m).

    ``minimum`` and ``saddle`` are guesses: the critical points are found from them. Raises ``ConvergenceError`` where there is no
    minimum or no saddle with one negative eigenvalue. Source: Kramers 1940; Langer 1969.
    """
    checks.one_of("dynamics", dynamics, ("overdamped", "momentum"))
    t = temperature_of(temperature)
    low, top = critical_point(landscape.potential, minimum), critical_point(landscape.potential, saddle, 1)
    if not top.value > low.value:
        raise checks.ParameterError(f"the saddle must lie above the minimum, got {top.value:.6g} and {low.value:.6g}")
    falling = float(np.linalg.eigvalsh(top.hessian)[0])
    shape = np.sqrt(np.linalg.det(low.hessian) / abs(np.linalg.det(top.hessian))) * np.exp(-(top.value - low.value) / t)
    if dynamics == "overdamped":
        return float(abs(falling) / (2 * np.pi) * shape)
    if not isinstance(temperature, Temperature):
        raise checks.ParameterError("temperature must be a Temperature with its parts for dynamics='momentum', got a number")
    m, g = temperature.mass, temperature.friction
    growth = np.sqrt(g**2 / (4 * m**2) + abs(falling) / m) - g / (2 * m)
    return float(growth / (2 * np.pi) * shape)


def mass_ratio(landscape: AbstractLandscape, temperature: Temperature | float | int, first: Any, second: Any) -> float:
    """P_first/P_second of two basins by Laplace: sqrt(det H_second/det H_first) exp(-(L_first - L_second)/T)."""
    t = temperature_of(temperature)
    a, b = (critical_point(landscape.potential, guess) for guess in (first, second))
    return float(np.sqrt(np.linalg.det(b.hessian) / np.linalg.det(a.hessian)) * np.exp(-(a.value - b.value) / t))


def barriers(
    landscape: AbstractLandscape, low: float | int, high: float | int, points: int = 2001, *, wells: int = 1
) -> tuple[list[CriticalPoint], list[CriticalPoint]]:
    """Minima and barriers of a landscape of one dimension in [low, high], from left to right.

    Raises ``ParameterError`` if there are fewer than ``wells`` (default 1) minima inside.
    """
    checks.integer_at_least("wells", wells, 1)
    x = np.linspace(low, high, points)
    with jax.enable_x64(True):
        slope = np.asarray(jax.vmap(jax.grad(lambda p: landscape.potential(p[None])))(jnp.asarray(x)), float)
    up = np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
    down = np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0))
    if len(up) < wells:
        raise checks.ParameterError(
            f"the landscape must have a minimum in [{low:g}, {high:g}] for every well, got {len(up)} of {wells}"
        )
    small = (high - low) / points
    minima = [critical_point(landscape.potential, [x[i] + small / 2], radius=small) for i in up]
    return minima, [critical_point(landscape.potential, [x[i] + small / 2], 1, radius=small) for i in down]
