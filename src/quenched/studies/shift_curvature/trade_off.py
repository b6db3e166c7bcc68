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

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory import fokker_planck as fp
from quenched.theory.effective_potential import effective_potential, optimal_temperature, temperature_scan

if TYPE_CHECKING:
    from quenched.studies.shift_curvature.study import ShiftCurvature

register_label("theta", Label("parameter", r"\theta"))
register_label("potential", Label("loss", "L"))
register_label("density", Label("probability density", r"p(\theta,t)"))
register_label("best_temperature", Label("temperature of the smallest mean test loss", "T^*"))
register_label("best_test_loss", Label("smallest mean test loss", r"E[U_{\mathrm{te}}](T^*)"))

CONSTANT, SLOPED = "constant noise", "noise larger at the sharp minimum"
POINTS = 20_001
MEANS = ("mean_loss", "mean_test_loss", "flat_mass")


class Shifted(AbstractLandscape):
    """[U(x - offset) + U(x + offset)]/2: the test loss where the minimum is shifted by ``offset`` with a random sign."""

    train: AbstractLandscape
    offset: float

    def potential(self, theta: Float[Any, " d"]) -> Float[Any, ""]:
        return (self.train.potential(theta - self.offset) + self.train.potential(theta + self.offset)) / 2


class Place(NamedTuple):
    """The two minima and the barrier."""

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
    return beside({n: [one[n].values for one in both] for n in MEANS}, [CONSTANT, SLOPED], "sgd_temperature", grid)


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
    found = beside(rows, [f"T={t:g}" for t in study.particles_at], "theta", x[every])
    return found.assign(potential=("theta", losses[0]), test_potential=("theta", losses[1]))


def beside(rows: Any, rules: list[str], dim: str, places: Any) -> xr.Dataset:
    """Variables (rule, dim) with labels."""
    coords = {"rule": rules, dim: np.asarray(places, float)}
    return dataset({n: (("rule", dim), np.asarray(r, float)) for n, r in rows.items()}, coords, {"engine": "shift-curvature"})
