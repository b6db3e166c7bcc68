"""SGD on the landscape, with constant noise and with noise that is larger at the sharp minimum."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.models.landscape import AbstractLandscape
from quenched.models.on_landscape import AbstractLandscapeNoise, AdditiveNoise, MultiplicativeNoise, OnLandscape
from quenched.numerics.precision import Real
from quenched.studies.shift_curvature.trade_off import CONSTANT, MEANS, SLOPED, Shifted, beside, place_of, sloped
from quenched.theory import fokker_planck as fp
from quenched.theory.effective_potential.line import values_on

if TYPE_CHECKING:
    from quenched.studies.shift_curvature.study import ShiftCurvature

SAMPLES = 4096
RECORDS = 60
SHORTEST = 100.0
"""Time lr k of a run that mixes quickly."""
RELAXATIONS = {CONSTANT: 3.0, SLOPED: 20.0}
"""Relaxation times of a run: starts from both sides leave little to relax where the wells are alike, half of it where not."""
OTHER = 2**31


class Slope(AbstractLandscape):
    """phi with phi' = sqrt(variance (1 - slope tanh 2x)): samples l + xi phi have the gradient noise Sigma = phi'^2.

    SGD sees the derivative only; phi itself is in the losses of single samples, and zero on average.
    """

    variance: float = eqx.field(converter=float)
    slope: float = eqx.field(converter=float)

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return _with_slope(theta[0], self.variance, self.slope)


@jax.custom_jvp
def _with_slope(x: Float[Array, ""], variance: Real, slope: Real) -> Float[Array, ""]:
    """phi in closed form: with u = sqrt(1 - a tanh 2x), alpha^2 = 1 - a, beta^2 = 1 + a, phi = -(alpha/4) ln((u - alpha)/(u +
    alpha)) - (beta/4) ln((beta + u)/(beta - u))."""
    u, low, high = (jnp.sqrt(1 + s) for s in (-slope * jnp.tanh(2 * x), -slope, slope))
    tiny = jnp.finfo(u.dtype).tiny
    first = low * jnp.log(jnp.maximum(u - low, tiny) / (u + low))
    second = high * jnp.log((high + u) / jnp.maximum(high - u, tiny))
    return -jnp.sqrt(variance) * (first + second) / 4


@_with_slope.defjvp
def _slope_of(primals: Any, tangents: Any) -> Any:
    x, variance, slope = primals
    # near the ends of tanh the closed form cancels, its derivative does not
    return _with_slope(*primals), jnp.sqrt(variance * (1 - slope * jnp.tanh(2 * x))) * tangents[0]


def noises(study: ShiftCurvature, t: float) -> dict[str, AbstractLandscapeNoise]:
    """Both kinds of noise whose batches give the temperature ``t``."""
    variance = 2 * study.particle_batch * t / study.particle_lr
    found: dict[str, AbstractLandscapeNoise] = {CONSTANT: AdditiveNoise((variance,))}
    if study.noise_slope > 0:
        found[SLOPED] = MultiplicativeNoise(Slope(variance, study.noise_slope))
    return found


def factor(study: ShiftCurvature, name: str) -> Any:
    """Sigma over its value for constant noise."""
    return sloped(study) if name == SLOPED else None


def finite_rate(study: ShiftCurvature) -> xr.Dataset:
    """Mean losses and populations at the learning rate of the particles, exactly: dims (rule, sgd_temperature)."""
    place, test = place_of(study), Shifted(study.landscape, study.offset)
    names = list(noises(study, 1.0))
    means: dict[str, list[list[float]]] = {name: [] for name in MEANS}
    for name in names:
        rows = []
        for t in study.particles_at:
            heat = fp.Temperature(study.particle_lr, study.particle_batch, 2 * study.particle_batch * t / study.particle_lr)
            found = fp.transfer(study.landscape, heat, study.low, study.high, noise=factor(study, name))
            h = found.x[1] - found.x[0]
            beyond = np.clip((found.x + h / 2 - place.barrier) / h, 0, 1)
            values = (values_on(study.landscape, found.x), values_on(test, found.x), beyond)
            rows.append([float(found.stationary @ v) for v in values])
        for i, variable in enumerate(MEANS):
            means[variable].append([row[i] for row in rows])
    return beside(means, names, "sgd_temperature", study.particles_at)


def simulated(study: ShiftCurvature, seed: int, progress: bool) -> tuple[xr.Dataset, xr.Dataset]:
    """SGD, half of the runs from either minimum: means (rule, sgd_temperature), and densities for constant noise (rule, theta).

    Runs last a few relaxation times, 100 at least and ``particle_time`` at most; the second half counts.
    """
    place, test = place_of(study), Shifted(study.landscape, study.offset)
    edges = np.linspace(study.low, study.high, 81)
    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(lambda x: jnp.stack([study.landscape.potential(x), test.potential(x)])))
    names = list(noises(study, 1.0))
    columns: dict[str, list[list[float]]] = {f"{n}{end}": [[] for _ in names] for n in MEANS for end in ("", "_error")}
    densities = []
    for t in study.particles_at:
        for row, (name, noise) in enumerate(noises(study, t).items()):
            x = _positions(study, t, name, noise, seed, progress)
            with jax.enable_x64(True):
                u = np.asarray(both(jnp.asarray(x.reshape(-1, 1), float))).reshape(*x.shape, 2)
            each = np.stack([u[..., 0], u[..., 1], (x > place.barrier).astype(float)]).mean(axis=2)
            for variable, runs in zip(MEANS, each, strict=True):
                columns[variable][row].append(float(runs.mean()))
                columns[f"{variable}_error"][row].append(float(runs.std(ddof=1) / np.sqrt(len(runs))))
            if name == CONSTANT:
                densities.append(np.histogram(x, edges)[0] / (x.size * (edges[1] - edges[0])))
    rules = [f"T={t:g}" for t in study.particles_at]
    means = beside(columns, names, "sgd_temperature", study.particles_at)
    return means, beside({"density": densities}, rules, "theta", (edges[1:] + edges[:-1]) / 2)


def _positions(
    study: ShiftCurvature, t: float, name: str, noise: AbstractLandscapeNoise, seed: int, progress: bool
) -> Float[np.ndarray, "run record"]:
    place = place_of(study)
    gap = fp.gap(fp.line(study.landscape, t, study.low, study.high, 1500, noise=factor(study, name), wall=3))
    steps = round(min(max(RELAXATIONS[name] / gap, SHORTEST), study.particle_time) / study.particle_lr)
    rows = []
    # seeds of their own: equal noise would bring the two starts together
    for start, own in ((place.left, seed), (place.right, operator.xor(seed, OTHER))):
        run = simulate(
            OnLandscape(study.landscape, noise, start=(start,), count=SAMPLES),
            Gradient(lr=study.particle_lr, batches=Minibatch(study.particle_batch)),
            steps=steps,
            times=np.unique(np.linspace(steps // 2, steps, RECORDS).astype(int)).tolist(),
            replicas=study.particles // 2,
            seed=own,
            progress=progress,
        )
        rows.append(run["position"].values[0, :, :, 0])
    return np.concatenate(rows)
