"""The effective potential that SGD samples in one dimension, and what temperature does to training and test loss.

With D = T Sigma(x), T = eta/(2 S), the stationary law is p = exp(-v/T)/Z with

    v(x) = int U'/Sigma + T ln Sigma                              ("covariance": the noise of a batch)

Deep in v is not deep in the training loss U: only noise that is the same everywhere makes them proportional. With
``moment="raw"`` the diffusion is the full second moment of a step, T Sigma + eta U'^2/2, whose variance is exact for a quadratic
loss at any eta, while its tails are too heavy. Source: Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
from quenched.records.datasets import dataset, describe_argument
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


MOMENTS = ("covariance", "raw")


class Grid(NamedTuple):
    """Points, loss, slope of the loss, and noise Sigma, in float64."""

    x: Float[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    slope: Float[np.ndarray, " n"]
    noise: Float[np.ndarray, " n"]

    def potential(self, temperature: float, lr: float | None = None) -> Float[np.ndarray, " n"]:
        """v at the points, up to a constant; ``lr`` adds the square of the mean step (``moment="raw"``)."""
        sigma = self.noise if lr is None else self.noise + lr * self.slope**2 / (2 * temperature)
        return cumulative_simpson(self.slope / sigma, x=self.x, initial=0.0) + temperature * np.log(sigma)

    def log_probability(self, temperature: float, lr: float | None = None, wall: float = 0.0) -> Float[np.ndarray, " n"]:
        """Logarithms of probabilities of the points, which sum to 1; refuses a box whose ends are not ``wall`` below the top."""
        log_p = -self.potential(temperature, lr) / temperature
        log_p -= log_p.max()
        end = -max(log_p[0], log_p[-1])
        if end < wall:
            raise checks.ParameterError(
                f"the box must reach to where v is {wall:g} T above its minimum, got {end:.3g} at an end of "
                f"[{self.x[0]:g}, {self.x[-1]:g}]; widen it, or pass wall=0"
            )
        return log_p - logsumexp(log_p)


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
    wall: float | int = 10.0,
) -> xr.Dataset:
    """v and ln p on [low, high] at one temperature, by Simpson's rule on ``points`` points.

    ``noise`` Sigma, a function of x written with ``jax.numpy``, default 1. ``moment``: "covariance", or "raw", which needs the
    learning rate ``lr``. ``wall``: how far v/T has to rise towards both ends. Variables ``effective_potential``, ``log_density``
    (theta,), v shifted to a minimum of 0. Raises ``ParameterError`` for T <= 0, a noise that is not positive (with the place), a
    loss that is not finite in the box, or a box that is too small.
    """
    checks.positive("temperature", temperature)
    eta = _rate(moment, lr)
    grid = on_grid(loss, noise, low, high, points)
    t = float(temperature)
    v = grid.potential(t, eta)
    log_p = grid.log_probability(t, eta, float(wall)) - np.log(grid.x[1] - grid.x[0])
    variables = {"effective_potential": (("theta",), v - v.min()), "log_density": (("theta",), log_p)}
    record = {"engine": "effective_potential", "loss": recorded(loss), "noise": noise, "temperature": t, "lr": eta}
    return dataset(variables, {"theta": grid.x}, record, moment=moment)


def temperature_scan(
    loss: AbstractLandscape,
    test_loss: AbstractLandscape,
    temperatures: Any,
    barrier: float | int,
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    lr: float | int | None = None,
    moment: str = "covariance",
    points: int = 120_001,
    wall: float | int = 10.0,
) -> xr.Dataset:
    """E[U], E[U_te] and the probability right of ``barrier`` at every temperature; dims (temperature,).

    Variables ``mean_loss``, ``mean_test_loss``, ``flat_mass``. Options and errors as ``effective_potential``.
    """
    t = np.atleast_1d(np.asarray(temperatures, float))
    for value in t:
        checks.positive("temperature", float(value))
    eta = _rate(moment, lr)
    grid = on_grid(loss, noise, low, high, points)
    u_test = values_on(test_loss, grid.x)
    p = np.exp([grid.log_probability(float(value), eta, float(wall)) for value in t])
    variables = {
        "mean_loss": (("temperature",), p @ grid.loss),
        "mean_test_loss": (("temperature",), p @ u_test),
        "flat_mass": (("temperature",), p @ (grid.x > float(barrier))),
    }
    record = {"engine": "temperature_scan", "loss": recorded(loss), "test_loss": recorded(test_loss), "noise": noise, "lr": eta}
    return dataset(variables, {"temperature": t}, {**record, "barrier": float(barrier)}, moment=moment)


def optimal_temperature(
    loss: AbstractLandscape,
    test_loss: AbstractLandscape,
    between: tuple[float, float],
    low: float | int,
    high: float | int,
    *,
    noise: Function | None = None,
    points: int = 40_001,
    wall: float | int = 10.0,
) -> tuple[float, float]:
    """The temperature in ``between`` with the smallest mean test loss, and that loss, by golden section in ln T.

    Raises ``ConvergenceError`` where the optimum lies at an end: there is no interior one.
    """
    for value in between:
        checks.positive("temperature", value)
    grid = on_grid(loss, noise, low, high, points)
    u_test = values_on(test_loss, grid.x)

    def cost(log_t: float) -> float:
        return float(np.exp(grid.log_probability(float(np.exp(log_t)), wall=float(wall))) @ u_test)

    ends = np.log(between)
    found = minimize_scalar(cost, bounds=tuple(ends), method="bounded", options={"xatol": 1e-4})
    if min(abs(found.x - ends[0]), abs(found.x - ends[1])) < 1e-2 or found.fun > min(cost(ends[0]), cost(ends[1])):
        raise checks.ConvergenceError(
            f"the mean test loss has no minimum inside temperatures {between[0]:g} to {between[1]:g}; it is smallest at an end"
        )
    return float(np.exp(found.x)), float(found.fun)


def values_on(loss: AbstractLandscape, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The loss at points of a line."""
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(lambda p: loss.potential(p[None]))(jnp.asarray(x)), float)


def on_grid(loss: AbstractLandscape, noise: Function | None, low: float | int, high: float | int, points: int) -> Grid:
    """Loss, slope and noise on equidistant points, with every check of them."""
    checks.instance("loss", loss, AbstractLandscape)
    if loss.dimension != 1:
        raise checks.ParameterError(f"loss must have one dimension, got {loss.dimension}")
    checks.integer_at_least("points", points, 101)
    if not low < high:
        raise checks.ParameterError(f"low must be < high, got {low!r}, {high!r}")
    x = np.linspace(float(low), float(high), points)
    u = values_on(loss, x)
    with jax.enable_x64(True):
        slope = np.asarray(jax.vmap(jax.grad(lambda p: loss.potential(p[None])))(jnp.asarray(x)), float)
        sigma = np.ones_like(x) if noise is None else np.asarray(jax.vmap(noise)(jnp.asarray(x)), float)
    if not np.all(np.isfinite(u)):
        raise checks.ParameterError("the loss must be finite in the box, got a value that is not")
    if not np.all(sigma > 0):
        bad = int(np.argmin(sigma > 0))
        raise checks.ParameterError(f"noise must be > 0 in the box, got {sigma[bad]:.4g} at theta = {x[bad]:.6g}")
    return Grid(x, u, slope, sigma)


def recorded(loss: Any) -> Any:
    """What a file says of a loss: all of it, or the bare name of one that is made of functions that cannot be imported."""
    try:
        return describe_argument(loss)
    except checks.ParameterError:
        return {"unstored": type(loss).__name__}


def _rate(moment: str, lr: float | int | None) -> float | None:
    """The learning rate of the raw moment, None for the covariance."""
    checks.one_of("moment", moment, MOMENTS)
    if moment == "covariance":
        return None
    if lr is None:
        raise checks.ParameterError("lr must be given for moment='raw', got None")
    checks.positive("lr", lr)
    return float(lr)
