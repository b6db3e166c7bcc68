"""The effective potential that SGD samples in one dimension, and what temperature does to training and test loss.

With D = T Sigma(x), T = eta/(2 S), the stationary law is p = exp(-v/T)/Z with

    v(x) = int U'/Sigma + T ln Sigma                              ("covariance": the noise of a batch)

Deep in v is not deep in the training loss U: only noise that is the same everywhere makes them proportional. With
``moment="raw"`` the diffusion is the full second moment of a step, T Sigma + eta U'^2/2, whose variance is exact for a quadratic
loss at any eta, while its tails are too heavy. Source: Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.integrate import cumulative_simpson
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "effective_potential": Label("effective potential", "v"),
    "log_density": Label("logarithm of the stationary density", r"\ln p"),
    "mean_loss": Label("mean training loss of the stationary state", "E[U]"),
    "mean_test_loss": Label("mean test loss of the stationary state", r"E[U_{\mathrm{te}}]"),
    "flat_mass": Label("probability right of the barrier", r"P_{\mathrm{flat}}"),
}.items():
    register_label(_name, _label)

Function = Callable[[Any], Any]


def effective_potential(
    loss: AbstractLandscape,
    temperature: float | int,
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    lr: float | int | None = None,
    moment: str = "covariance",
    points: int = 120_001,
) -> xr.Dataset:
    """v and ln p on [low, high] at one temperature, by Simpson's rule on ``points`` points.

    ``noise`` Sigma, a function of x written with ``jax.numpy``, default 1. ``moment``: "covariance", or "raw", which needs the
    learning rate ``lr``. Variables ``effective_potential``, ``log_density`` (theta,), v shifted to a minimum of 0. Raises
    ``ParameterError`` for T <= 0, a noise that is not positive, or a loss that is not finite in the box.
    """
    checks.positive("temperature", temperature)
    checks.one_of("moment", moment, ("covariance", "raw"))
    x, _, slope, sigma = _on_grid(loss, noise, low, high, points)
    t = float(temperature)
    if moment == "raw":
        if lr is None:
            raise checks.ParameterError("lr must be given for moment='raw', got None")
        checks.positive("lr", lr)
        sigma = sigma + float(lr) * slope**2 / (2 * t)
    v = cumulative_simpson(slope / sigma, x=x, initial=0.0) + t * np.log(sigma)
    v -= v.min()
    log_p = -v / t
    log_p -= logsumexp(log_p) + np.log(x[1] - x[0])
    variables = {"effective_potential": (("theta",), v), "log_density": (("theta",), log_p)}
    record = {"engine": "effective_potential", "loss": type(loss).__name__, "temperature": t, "moment": moment}
    return dataset(variables, {"theta": x}, record, moment=moment)


def temperature_scan(
    loss: AbstractLandscape,
    test_loss: AbstractLandscape,
    temperatures: Any,
    barrier: float | int,
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    points: int = 120_001,
) -> xr.Dataset:
    """E[U], E[U_te] and the probability right of ``barrier`` at every temperature; dims (temperature,).

    Variables ``mean_loss``, ``mean_test_loss``, ``flat_mass``. Errors as ``effective_potential``.
    """
    t = np.atleast_1d(np.asarray(temperatures, float))
    for value in t:
        checks.positive("temperature", float(value))
    x, u, slope, sigma = _on_grid(loss, noise, low, high, points)
    u_test = _values(test_loss, x)
    # the part of v that does not contain T is integrated once
    fixed = cumulative_simpson(slope / sigma, x=x, initial=0.0)
    log_p = -fixed[None, :] / t[:, None] - np.log(sigma)
    p = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    variables = {
        "mean_loss": (("temperature",), p @ u),
        "mean_test_loss": (("temperature",), p @ u_test),
        "flat_mass": (("temperature",), p @ (x > float(barrier))),
    }
    record = {"engine": "temperature_scan", "loss": type(loss).__name__, "barrier": float(barrier)}
    return dataset(variables, {"temperature": t}, record)


def optimal_temperature(
    loss: AbstractLandscape,
    test_loss: AbstractLandscape,
    between: tuple[float, float],
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    points: int = 40_001,
) -> tuple[float, float]:
    """The temperature in ``between`` with the smallest mean test loss, and that loss, by golden section in ln T.

    Raises ``ConvergenceError`` where the optimum lies at an end: there is no interior one.
    """
    for value in between:
        checks.positive("temperature", value)

    def cost(log_t: float) -> float:
        scan = temperature_scan(loss, test_loss, [np.exp(log_t)], 0.0, low, high, noise=noise, points=points)
        return float(scan["mean_test_loss"][0])

    ends = np.log(between)
    found = minimize_scalar(cost, bounds=tuple(ends), method="bounded", options={"xatol": 1e-4})
    if min(abs(found.x - ends[0]), abs(found.x - ends[1])) < 1e-2 or found.fun > min(cost(ends[0]), cost(ends[1])):
        raise checks.ConvergenceError(
            f"the mean test loss has no minimum inside temperatures {between[0]:g} to {between[1]:g}; it is smallest at an end"
        )
    return float(np.exp(found.x)), float(found.fun)


def _values(loss: AbstractLandscape, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(lambda p: loss.potential(p[None]))(jnp.asarray(x)), float)


def _on_grid(
    loss: AbstractLandscape, noise: Function | None, low: float | int, high: float | int, points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points, loss, slope and noise."""
    checks.instance("loss", loss, AbstractLandscape)
    if loss.dimension != 1:
        raise checks.ParameterError(f"loss must have one dimension, got {loss.dimension}")
    checks.integer_at_least("points", points, 101)
    if not low < high:
        raise checks.ParameterError(f"low must be < high, got {low!r}, {high!r}")
    x = np.linspace(float(low), float(high), points)
    u = _values(loss, x)
    with jax.enable_x64(True):
        slope = np.asarray(jax.vmap(jax.grad(lambda p: loss.potential(p[None])))(jnp.asarray(x)), float)
        sigma = np.ones_like(x) if noise is None else np.asarray(jax.vmap(noise)(jnp.asarray(x)), float)
    if not np.all(np.isfinite(u)):
        raise checks.ParameterError("the loss must be finite in the box, got a value that is not")
    if not np.all(sigma > 0):
        bad = int(np.argmin(sigma > 0))
        raise checks.ParameterError(f"noise must be > 0 in the box, got {sigma[bad]:.4g} at theta = {x[bad]:.6g}")
    return x, u, slope, sigma
