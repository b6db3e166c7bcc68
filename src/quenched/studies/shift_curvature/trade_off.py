"""Depth against flatness on a landscape with a deep, sharp minimum and a shallow, flat one: what temperature and noise
choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.models.landscape import AbstractLandscape
from quenched.models.on_landscape import AdditiveNoise, OnLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory import fokker_planck as fp
from quenched.theory.effective_potential import effective_potential, optimal_temperature, temperature_scan
from quenched.theory.effective_potential.line import values_on

if TYPE_CHECKING:
    from quenched.studies.shift_curvature.study import ShiftCurvature

register_label("theta", Label("parameter", r"\theta"))
register_label("potential", Label("loss", "L"))
register_label("density", Label("probability density", r"p(\theta,t)"))
register_label("best_temperature", Label("temperature of the smallest mean test loss", "T^*"))
register_label("best_test_loss", Label("smallest mean test loss", r"E[U_{\mathrm{te}}](T^*)"))

CONSTANT, SLOPED = "constant noise", "noise larger at the sharp minimum"
POINTS = 20_001
SAMPLES = 4096
SHORTEST = 100.0
"""Time lr k of a run that mixes quickly."""
OTHER = 2**31
MEANS = ("mean_loss", "mean_test_loss", "flat_mass")


class Shifted(AbstractLandscape):
    """[U(x - offset) + U(x + offset)]/2: the test loss where the minimum is shifted by ``offset`` with a random sign."""

    train: AbstractLandscape
    offset: float

    def potential(self, theta: Float[Any, " d"]) -> Float[Any, ""]:
        return (self.train.potential(theta - self.offset) + self.train.potential(theta + self.offset)) / 2


class Place(NamedTuple):
    """The two minima, the barrier, and boxes for the constant noise and for the other, which spreads further."""

    left: float
    right: float
    barrier: float


def place_of(study: ShiftCurvature) -> Place:
    """The two wells of the landscape. Raises ``ParameterError`` unless there are two in the box."""
    minima, tops = fp.barriers(study.landscape, study.low, study.high, wells=2)
    if len(minima) != 2:
        raise checks.ParameterError(f"landscape must have two minima in [{study.low:g}, {study.high:g}], got {len(minima)}")
    left, right = (float(m.position[0]) for m in minima)
    (barrier,) = (float(top.position[0]) for top in tops if left < top.position[0] < right)
    return Place(left, right, barrier)


def sloped(study: ShiftCurvature) -> Any:
    """Sigma = 1 - slope tanh 2x."""
    return lambda x: 1 - study.noise_slope * jnp.tanh(2 * x)


def curves(study: ShiftCurvature) -> xr.Dataset:
    """E[U], E[U_te] and the probability of the right well, for both kinds of noise: dims (rule, sgd_temperature)."""
    place, test = place_of(study), Shifted(study.landscape, study.offset)
    coldest, hottest = study.temperatures
    grid = np.geomspace(coldest, hottest, 41)
    both = [
        temperature_scan(study.landscape, test, grid, place.barrier, study.low, study.high, noise=noise, points=POINTS, wall=3)
        for noise in (None, sloped(study))
    ]
    return _beside({n: [one[n].values for one in both] for n in MEANS}, [CONSTANT, SLOPED], "sgd_temperature", grid)


def best(study: ShiftCurvature) -> xr.Dataset:
    """T* and the mean test loss there, for constant noise; NaN where there is no optimum inside."""
    test = Shifted(study.landscape, study.offset)
    try:
        t, value = optimal_temperature(study.landscape, test, study.temperatures, study.low, study.high, points=POINTS, wall=3)
    except checks.ConvergenceError:
        t, value = np.nan, np.nan
    return dataset({"best_temperature": ((), t), "best_test_loss": ((), value)}, {}, {"engine": "shift-curvature"})


def potentials(study: ShiftCurvature) -> xr.Dataset:
    """v and the density at the temperatures of the particles, constant noise: dims (rule, theta); the losses (theta,)."""
    options: dict[str, Any] = {"points": POINTS, "wall": 3}
    each = [effective_potential(study.landscape, t, study.low, study.high, **options) for t in study.particles_at]
    options["noise"] = sloped(study)
    bent = [effective_potential(study.landscape, t, study.low, study.high, **options) for t in study.particles_at]
    x = each[0].theta.values
    every = slice(None, None, 20)
    test = Shifted(study.landscape, study.offset)
    with jax.enable_x64(True):
        points = jnp.asarray(x[every])[:, None]
        losses = [np.asarray(jax.vmap(u.potential)(points)) for u in (study.landscape, test)]
    rows = {
        "density": [np.exp(one.log_density.values[every]) for one in each],
        "effective_potential": [one.effective_potential.values[every] for one in bent],
    }
    found = _beside(rows, [f"T={t:g}" for t in study.particles_at], "theta", x[every])
    return found.assign(potential=("theta", losses[0]), test_potential=("theta", losses[1]))


def finite_rate(study: ShiftCurvature) -> xr.Dataset:
    """The same means at the learning rate of the particles, constant noise, exactly: dims (rule, sgd_temperature)."""
    place, test = place_of(study), Shifted(study.landscape, study.offset)
    rows = []
    for t in study.particles_at:
        noise = 2 * study.particle_batch * t / study.particle_lr
        heat = fp.Temperature(study.particle_lr, study.particle_batch, noise)
        found = fp.transfer(study.landscape, heat, study.low, study.high)
        h = found.x[1] - found.x[0]
        beyond = np.clip((found.x + h / 2 - place.barrier) / h, 0, 1)
        rows.append([found.stationary @ values_on(study.landscape, found.x), found.stationary @ values_on(test, found.x)])
        rows[-1].append(found.stationary @ beyond)
    means = {n: [[row[i] for row in rows]] for i, n in enumerate(MEANS)}
    return _beside(means, [CONSTANT], "sgd_temperature", study.particles_at)


def particles(study: ShiftCurvature, seed: int, progress: bool) -> tuple[xr.Dataset, xr.Dataset]:
    """SGD with constant noise, half of the runs from either minimum: means (rule, sgd_temperature), densities (rule, theta).

    Runs last three relaxation times, 100 at least and ``particle_time`` at most; the second half counts.
    """
    place, test = place_of(study), Shifted(study.landscape, study.offset)
    edges = np.linspace(study.low, study.high, 81)
    values, errors, densities = [], [], []
    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(lambda x: jnp.stack([study.landscape.potential(x), test.potential(x)])))
    for t in study.particles_at:
        gap = fp.gap(fp.line(study.landscape, t, study.low, study.high, 1500, wall=3))
        steps = round(min(max(3 / gap, SHORTEST), study.particle_time) / study.particle_lr)
        noise = AdditiveNoise((2 * study.particle_batch * t / study.particle_lr,))
        rule = Gradient(lr=study.particle_lr, batches=Minibatch(study.particle_batch))
        rows = []
        # seeds of their own: equal noise would bring the two starts together
        for start, own in ((place.left, seed), (place.right, seed ^ OTHER)):
            run = simulate(
                OnLandscape(study.landscape, noise, start=(start,), count=SAMPLES),
                rule,
                steps=steps,
                times=np.unique(np.linspace(steps // 2, steps, 60).astype(int)).tolist(),
                replicas=study.particles // 2,
                seed=own,
                progress=progress,
            )
            rows.append(run["position"].values[0, :, :, 0])
        x = np.concatenate(rows)
        with jax.enable_x64(True):
            u = np.asarray(both(jnp.asarray(x.reshape(-1, 1), float))).reshape(*x.shape, 2)
        each = np.stack([u[..., 0], u[..., 1], (x > place.barrier).astype(float)]).mean(axis=2)
        values.append(each.mean(axis=1))
        errors.append(each.std(axis=1, ddof=1) / np.sqrt(len(x)))
        densities.append(np.histogram(x, edges)[0] / (x.size * (edges[1] - edges[0])))
    columns = {n: [[row[i] for row in values]] for i, n in enumerate(MEANS)}
    columns |= {f"{n}_error": [[row[i] for row in errors]] for i, n in enumerate(MEANS)}
    means = _beside(columns, [CONSTANT], "sgd_temperature", study.particles_at)
    rules = [f"T={t:g}" for t in study.particles_at]
    return means, _beside({"density": densities}, rules, "theta", (edges[1:] + edges[:-1]) / 2)


def _beside(rows: Any, rules: list[str], dim: str, places: Any) -> xr.Dataset:
    coords = {"rule": rules, dim: np.asarray(places, float)}
    return dataset({n: (("rule", dim), np.asarray(r, float)) for n, r in rows.items()}, coords, {"engine": "shift-curvature"})
