r"""Flows without variance: a constant field on the line, a map between Gaussians, the Poisson equation on the torus.

Cut at +-T, the weight of the constant field b = 1 is A(x) = P_1(x - T, x + T)/P_0(x - T, x + T) times Z_1/Z_0, in closed form.
With div b = rho_1 - rho_0, d J/dt = (rho_1 - rho_0) J along an orbit, and what is missing from A = Z_1/Z_0 is exactly

    A/(Z_1/Z_0) - 1 = (J_T - J_{-T})/int_{-T}^{T} rho_0 J dt.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.stats import norm

from quenched.records.labels import Label, register_label
from quenched.sampling import InfiniteTime, MixtureTarget, ModuleField, Problem, problem, torus_field, torus_problem, transport
from quenched.sampling.flow import two_sided
from quenched.studies.neis.parts import labelled

for _name, _label in {
    "start": Label("start of the orbit", "x"),
    "window": Label("half the time of an orbit", "T"),
    "weight": Label("weight over the ratio of constants", "A(x)/(Z_1/Z_0)"),
    "weight_spread": Label("standard deviation of the weight over its mean", r"\sigma_A"),
    "image": Label("image of the start", "T(x)"),
}.items():
    register_label(_name, _label)

LINE = MixtureTarget((0.3, 0.7), ((2,), (-1,)), ((0.09,), (0.25,)))
WINDOWS = (1.0, 2.0, 20.0)
TORUS_WINDOWS = (5.0, 10.0, 20.0, 40.0)
TRANSPORTED = 300
# N(0, 1) to N(shift, width^2)
SHIFT, WIDTH = 1.0, 0.5
DEPTH = 0.9
"""rho_1 = 1 - DEPTH cos 2 pi x cos 2 pi y on the torus."""
CENTRES = ((0.3, 0.3), (0.7, 0.3), (0.5, 0.7))


def log_wave(x: Any) -> Any:
    """The density of one pair of Fourier modes."""
    return jnp.log(1 - DEPTH * jnp.cos(2 * jnp.pi * x[0]) * jnp.cos(2 * jnp.pi * x[1]))


def log_three(x: Any) -> Any:
    """Three bumps exp(2 cos 2 pi (x - a) + 2 cos 2 pi (y - b)) on the torus."""
    return jax.nn.logsumexp(2 * jnp.sum(jnp.cos(2 * jnp.pi * (x - jnp.asarray(CENTRES))), axis=1))


@functools.cache
def torus(log_density: Any, points: int) -> tuple[Problem, float]:
    """The Poisson flow from the uniform law, and ln Z_1."""
    field, log_constant = torus_field(log_density, 2, points=points)
    return torus_problem(field, log_density), log_constant


def weights(given: Problem, x: Float[np.ndarray, "n d"], time: float, steps: int) -> Float[np.ndarray, " n"]:
    """A of ``InfiniteTime`` at points x (n, d)."""
    rule = InfiniteTime(time=time, steps=steps)
    with jax.enable_x64(True):
        logs = jax.jit(lambda y: jax.lax.map(lambda z: rule.weigh(given, z).log_weight, y, batch_size=min(250, len(x))))
        return np.exp(np.asarray(logs(jnp.asarray(x))))


# ---- one dimension


def _starts(count: int) -> Float[np.ndarray, " n"]:
    return np.linspace(-3, 3, count)


def line_expected(count: int) -> xr.Dataset:
    """A(x)/(Z_1/Z_0) of b = 1 for windows +-T, and without a flow (window 0)."""
    x, shares = _starts(count), LINE_SHARES
    rows = [sum(p * norm.pdf(x, m, s) for p, m, s in shares) / norm.pdf(x)]
    for window in WINDOWS:
        before, after = x - window, x + window
        target = sum(p * (norm.cdf(after, m, s) - norm.cdf(before, m, s)) for p, m, s in shares)
        rows.append(target / (norm.cdf(after) - norm.cdf(before)))
    return labelled({"weight": (("window", "start"), np.array(rows))}, {"window": [0.0, *WINDOWS], "start": x})


def _shares() -> list[tuple[float, float, float]]:
    """Probability, mean and standard deviation of the modes of ``LINE``."""
    spreads = np.sqrt([v[0] for v in LINE.variances])
    masses = np.array(LINE.weights) * spreads
    return [(p, m[0], s) for p, m, s in zip(masses / masses.sum(), LINE.means, spreads, strict=True)]


LINE_SHARES = _shares()


def line_measured(count: int) -> xr.Dataset:
    """The same by Runge-Kutta orbits and the trapezoidal rule."""
    x = _starts(count)
    given = problem(ModuleField(jnp.ones_like), None, LINE)
    constant = float(np.exp(LINE.log_constant() - 0.5 * np.log(2 * np.pi)))
    rows = [weights(given, x[:, None], window, 50) / constant for window in WINDOWS]
    return labelled({"weight": (("window", "start"), np.array(rows))}, {"window": list(WINDOWS), "start": x})


def gaussians() -> Problem:
    """From N(0, 1) to N(SHIFT, WIDTH^2) along b = x - SHIFT/(1 - WIDTH): no variance though the field has a zero."""
    return problem(ModuleField(lambda x: x - SHIFT / (1 - WIDTH)), None, MixtureTarget((1,), ((SHIFT,),), ((WIDTH**2,),)))


def map_expected(count: int) -> xr.Dataset:
    """The map that transports N(0, 1) to N(SHIFT, WIDTH^2)."""
    x = _starts(count)
    return labelled({"image": ("start", WIDTH * x + SHIFT)}, {"start": x})


def map_measured(count: int) -> xr.Dataset:
    """The same from where the shares of the two laws along an orbit agree."""
    x = _starts(count)
    ends, _ = transport(gaussians(), jnp.asarray(x[:, None]), time=40, steps=100)
    return labelled({"image": ("start", ends[:, 0])}, {"start": x})


# ---- the torus


def torus_measured(count: int, seed: int) -> xr.Dataset:
    """Spread of A over uniform starts against the window, T = 0 being no flow."""
    given, _ = torus(log_wave, 8)
    x = np.random.default_rng(seed).random((count, 2))
    plain = np.exp(jax.vmap(log_wave)(x))
    spread = [float(np.std(plain)), *(float(np.std(weights(given, x, window, 20))) for window in TORUS_WINDOWS)]
    return labelled({"weight_spread": ("window", np.array(spread))}, {"window": [0.0, *TORUS_WINDOWS]})


def torus_expected(count: int, seed: int) -> xr.Dataset:
    """The same from the volumes at the ends of the orbits."""
    x = np.random.default_rng(seed).random((count, 2))
    spread = [DEPTH / 2, *(float(np.std(remainder(x, window, 20))) for window in TORUS_WINDOWS)]
    return labelled({"weight_spread": ("window", np.array(spread))}, {"window": [0.0, *TORUS_WINDOWS]})


def remainder(x: Float[np.ndarray, "n d"], time: float, steps: int) -> Float[np.ndarray, " n"]:
    """(J_T - J_{-T})/int rho_0 J dt of the orbits of x: what A/(Z_1/Z_0) - 1 has to be."""
    given, _ = torus(log_wave, 8)

    def one(y: Any) -> Any:
        logs = two_sided(given.velocity, given.divergence, y, 1 / steps, round(time * steps)).log_jacobian
        volume = jnp.exp(logs)
        return (volume[-1] - volume[0]) / (jnp.trapezoid(volume) / steps)

    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(x)))


def torus_transported(count: int, seed: int) -> xr.Dataset:
    """Uniform points, their images under the transport of the Poisson flow to three bumps, and the orbits between."""
    given, _ = torus(log_three, 16)
    x = np.random.default_rng(seed).random((min(count, TRANSPORTED), 2))
    ends, times = transport(given, jnp.asarray(x), time=8, steps=20)
    return xr.Dataset(
        {
            "point": (("sample", "coordinate"), x),
            "image_point": (("sample", "coordinate"), ends % 1.0),
            "travel_time": ("sample", times),
        }
    )
