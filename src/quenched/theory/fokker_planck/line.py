"""The Fokker-Planck equation in one dimension: conservative, positive, with the exact stationary law at every cell.

    dp/dt = (L' p)' + ((D p)' - (1 - a) D' p)',    a = 1 Ito, 1/2 Stratonovich, 0 anti-Ito

for d theta = -L' dt + sqrt(2 D) dW; SGD is Ito, with D = eta Sigma/(2 S) and time eta k. With Phi = int L'/D + a ln D, so that
the stationary law is exp(-Phi), the flux between neighbouring cells is that of Scharfetter and Gummel: rates D B(w)/h^2 up and D
B(-w)/h^2 down, w the difference of Phi and B(w) = w/(e^w - 1). The generator is that of a reversible Markov chain.

Source: Dai, Zhu, arXiv:2112.00987, for the equation; Chang, Cooper 1970 and Scharfetter, Gummel 1969 for the scheme.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.theory.fokker_planck.temperature import Temperature, natural_unit, temperature_of

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
    """The process of a landscape of one dimension on ``cells`` equal cells of [low, high].

    Time is eta k; for a ``Temperature`` with momentum it is t' = eta k/(1-beta), and the process its limit of small mass.

    ``temperature`` T, and ``noise``, a function of theta (written with ``jax.numpy``) that multiplies it: D = T noise(theta),
    default 1. ``boundary``: "reflecting", "absorbing" at both ends, or "periodic" (the landscape has to be). With reflecting
    ends Phi must be at least ``wall`` above its minimum there, or the walls would be felt; 0 allows anything.

    Raises ``ParameterError`` for T <= 0, a landscape of more dimensions or one that does not confine, a noise that is not
    positive (with the place), a box that is too small, or bad names.
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
        if wall > 0 and np.argmin(inner) in (0, cells - 1):
            raise checks.ParameterError(
                f"the loss must confine: it is lowest at the end of the box, theta = {x[np.argmin(inner)]:.6g}; pass wall=0 for "
                "a real wall there"
            )
        if ends < wall:
            raise checks.ParameterError(
                f"the box must reach up to {wall:g} T above the minimum at both ends, got {ends:.3g} in [{low:g}, {high:g}]; "
                "widen it, or pass wall=0 for a real wall"
            )
    # the density vanishes at the wall itself, half a cell from the last centre
    out = 2 * faces[[0, -1]] * bernoulli(np.array([-w[0], w[-1]]) / 2) / h**2
    loss = (float(out[0]), float(out[1])) if boundary == "absorbing" else (0.0, 0.0)
    around = slice(1, None) if boundary == "periodic" else slice(1, -1)
    if boundary == "periodic" and abs(phi[-1] - phi[1]) > 1e-6 * max(1.0, np.ptp(inner)):
        raise checks.ParameterError(f"a periodic box must hold whole periods of the landscape, got [{low:g}, {high:g}]")
    return Line(x, h, inner - inner.min(), up[around], down[around], loss, boundary, natural_unit(temperature))


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
