"""A Hopfield model at one load and temperature, by theory and by simulations of several sizes extrapolated to N -> infinity.

What the two studies of memories share: the point of a phase diagram. Three simulations of every size answer it. From the
archetype, at the temperature: is it retrieved? From random spins, cooled down to the temperature: the glass, and its free energy

    beta f(beta) = -ln 2 + int_0^beta e(beta') dbeta'.

From the archetype, heated up to the temperature: the free energy of retrieval, beta f = beta_0 e(beta_0) - int_beta^beta_0 e,
with beta_0 so large that there is no entropy. The difference of the two changes its sign at the first-order line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.dynamics import AbstractDynamics, Glauber, PiecewiseConstant, SingleFlipStable
from quenched.dynamics.simulate import simulate
from quenched.models import Hopfield
from quenched.numerics import checks
from quenched.observables import EdwardsAnderson, time_averages
from quenched.records.labels import LABELS, Label, register_label
from quenched.studies.summary import by_engine, ends, number
from quenched.theory import hopfield

for _name, _label in {
    "glass_overlap": Label("Edwards-Anderson overlap after cooling random spins", "q"),
    "advantage": Label("free energy of retrieval less that of the glass", r"f_R-f_{SG}"),
    "glass_energy": Label("energy per spin after cooling random spins", "e_{SG}"),
}.items():
    register_label(_name, _label)

COLD = 0.05
"""Temperature, in units Gamma = R, that stands for zero at the end of a cooling and at the beginning of a heating."""

RETRIEVAL = ("archetype_overlap", "example_overlap", "largest_example_overlap", "edwards_anderson", "spin_energy")
GLASS = ("glass_overlap", "glass_energy")
POINT = (*RETRIEVAL, *GLASS, "advantage")
"""Numbers of a point, each with its standard error ``*_error``."""

POWERS = dict.fromkeys(RETRIEVAL, 1.0) | {"largest_example_overlap": 0.5} | dict.fromkeys((*GLASS, "advantage"), 2 / 3)
"""Leading correction N^-power: 1/N in a state with finite susceptibility, N^-1/2 for the maximum of M overlaps that fluctuate,
N^-2/3 in the glass, as in the Sherrington-Kirkpatrick model (Boettcher, Eur. Phys. J. B 46 (2005) 501)."""

_LEFT_BEHIND = 0.3


class Effort(NamedTuple):
    """How much a simulation is: data sets, sweeps before and during the averages, sweeps per temperature and temperatures of a
    cooling."""

    disorder: int = 16
    settle: int = 60
    sweeps: int = 200
    hold: int = 10
    plateaus: int = 40


def retrieved(model: Hopfield, temperature: float, size: int, effort: Effort, seed: int) -> xr.Dataset:
    """Order parameters from the model's start, one number per data set: where T = 0 dynamics stops, or averages over time."""
    if temperature == 0:
        run = at_rest(model, size, effort, seed)
        last = run[[name for name in RETRIEVAL if name in run]].isel(t=-1, drop=True)
        return last.assign(edwards_anderson=xr.ones_like(last["spin_energy"])).mean("replica")
    steps = effort.settle + effort.sweeps
    run = simulate(
        model,
        Glauber(temperature),
        steps=steps,
        times=range(0, steps + 1, 5),
        size=size,
        disorder=effort.disorder,
        seed=seed,
        accumulators=(EdwardsAnderson(effort.settle),),
    )
    return time_averages(run, effort.settle)[list(RETRIEVAL)].mean("replica")


def at_rest(model: Hopfield, size: int, effort: Effort, seed: int, **measured: Any) -> xr.Dataset:
    """A run of sequential dynamics at T = 0 until nothing moves; ``measured`` are further arguments of ``simulate``.

    Descent of a bounded energy ends by itself: raises ``ConvergenceError`` after 2000 sweeps, far more than it needs.
    """
    options: dict[str, Any] = {"size": size, "disorder": effort.disorder, "seed": seed, **measured}
    run = simulate(model, Glauber(), steps=2000, times=[2000], stop=SingleFlipStable(), **options)
    moving = run["stop_step"].values < 0
    if np.any(moving):
        raise checks.ConvergenceError(f"{int(np.sum(moving))} of {moving.size} runs at T = 0 still move after 2000 sweeps")
    return run


def cooled(model: Hopfield, temperature: float, size: int, effort: Effort, seed: int) -> xr.Dataset:
    """``glass_overlap``, ``glass_energy`` and ``glass_free_energy`` of random spins cooled down to the temperature."""
    unit = _unit(model)
    last = max(temperature, COLD * unit)
    betas = np.linspace(0, 1 / last, effort.plateaus + 1)
    start = dataclasses.replace(model, start="random")
    run = _through(start, 1 / betas[1:], size, effort, seed)
    energies = _plateaus(run, effort)
    free = -np.log(2) + np.trapezoid(np.pad(energies, ((0, 0), (1, 0))), betas, axis=1)
    values = {
        "glass_overlap": run["edwards_anderson"].mean("replica").values,
        "glass_energy": energies[:, -1],
        "glass_free_energy": free * last,
    }
    return xr.Dataset({name: ("disorder", value) for name, value in values.items()})


def heated(model: Hopfield, temperature: float, size: int, effort: Effort, seed: int) -> Float[np.ndarray, " disorder"]:
    """Free energy of retrieval; NaN where the archetype was left behind on the way."""
    unit = _unit(model)
    first = COLD * unit
    temperatures = np.array([first]) if temperature <= first else np.linspace(first, temperature, effort.plateaus // 2)
    run = _through(dataclasses.replace(model, start="archetype"), temperatures, size, effort, seed)
    energies, betas = _plateaus(run, effort), 1 / temperatures
    free = (betas[0] * energies[:, 0] + np.trapezoid(energies, betas, axis=1)) / betas[-1]
    there = run["archetype_overlap"].isel(t=slice(-effort.hold, None)).mean(("t", "replica")).values
    return np.where(there > _LEFT_BEHIND, free, np.nan)


def sample(model: Hopfield, temperature: float, size: int, effort: Effort, seed: int) -> xr.Dataset:
    """All numbers of a point, ``POINT``, one per data set. The three simulations have the same data sets."""
    start = retrieved(model, temperature, size, effort, seed)
    glass = cooled(model, temperature, size, effort, seed)
    difference = heated(model, temperature, size, effort, seed) - glass["glass_free_energy"].values
    return xr.merge([start, glass[list(GLASS)], xr.Dataset({"advantage": ("disorder", difference)})])


def along_sizes(model: Hopfield, temperature: float, sizes: Sequence[int], effort: Effort, seed: int) -> xr.Dataset:
    """Means and standard errors of a point along ``size``, and extrapolated as the last entry, size infinity.

    ``advantage`` is NaN where half of the networks left retrieval on the way.
    """
    parts = []
    for size in sizes:
        values = sample(model, temperature, size, effort, seed)
        # the free energy of a metastable state is that of the networks that are still in it
        stayed = values["advantage"].dropna("disorder")
        half = 2 * stayed.size >= values["advantage"].size
        parts.append(ends(values).assign(ends(xr.Dataset({"advantage": stayed})) if half else {}))
    found = xr.concat(parts, xr.IndexVariable("size", np.asarray(sizes, np.float64)))
    return labelled(xr.concat([found, extrapolated(found)], "size"))


def extrapolated(ds: xr.Dataset) -> xr.Dataset:
    """The limit N -> infinity of x(N) = x + c N^-power, weighted least squares, one entry at size infinity.

    With one size it is the value there. Where all errors are zero every size counts the same.
    """
    sizes = ds["size"].values
    found: dict[str, Any] = {}
    for name in POINT:
        if name in ds:
            value, error = _limit(sizes ** -POWERS[name], ds[name].values, ds[f"{name}_error"].values)
            found |= {name: ("size", [value]), f"{name}_error": ("size", [error])}
    return xr.Dataset(found, {"size": [np.inf]})


def expected(model: Hopfield, temperature: float) -> xr.Dataset:
    """The same numbers by replica-symmetric theory; NaN for a state that does not exist."""
    retrieval, glass = (_state(model, temperature, state) for state in ("archetype", "spin_glass"))
    found = {name: retrieval[name] for name in RETRIEVAL}
    found |= {"glass_overlap": glass["edwards_anderson"], "glass_energy": glass["spin_energy"]}
    found["advantage"] = retrieval["spin_free_energy"] - glass["spin_free_energy"]
    return labelled(xr.Dataset({name: ((), float(value)) for name, value in found.items()}))


def summarise(tree: xr.DataTree) -> xr.Dataset:
    """``POINT`` by engine: theory, and the extrapolation of the simulations."""
    parts = {engine: part["point"].to_dataset() for engine, part in tree.children.items() if "point" in part.children}
    if "experiment" in parts:
        parts["experiment"] = parts["experiment"].isel(size=-1, drop=True)
    return by_engine({engine: _numbers(part) for engine, part in parts.items()})


def _numbers(part: xr.Dataset) -> xr.Dataset:
    found: dict[str, xr.DataArray] = {}
    for name in POINT:
        error = part.get(f"{name}_error", xr.zeros_like(part[name]))
        found |= number(name, part[name], error, part[name].attrs)
    return xr.Dataset(found)


def check_temperature(model: Hopfield, temperature: float) -> None:
    """Raise ``ParameterError`` for T < 0, and for T > 0 so small that theory cannot average over it."""
    checks.non_negative("temperature", temperature)
    lowest = hopfield.LOWEST_TEMPERATURE * _unit(model)
    if 0 < temperature < lowest:
        raise checks.ParameterError(f"temperature must be 0 or >= {lowest:g}, got {temperature!r}")


def _state(model: Hopfield, temperature: float, state: str) -> dict[str, float]:
    names = (*RETRIEVAL, "spin_free_energy")
    try:
        found = hopfield.equilibrium(model, temperature, state=state)
    except checks.NoSolutionError:
        return dict.fromkeys(names, np.nan)
    return {name: float(found[name]) for name in names}


def labelled(ds: xr.Dataset) -> xr.Dataset:
    """With long names, symbols and units."""
    for name in ds.data_vars:
        known = LABELS[str(name).removesuffix("_error")].attributes()
        prefix = "standard error of " if str(name).endswith("_error") else ""
        ds[name].attrs = known | {"long_name": prefix + known["long_name"]}
    return ds


def _limit(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    if len(x) == 1:
        return float(y[0]), float(error[0])
    if not np.all(np.isfinite(y)):
        return np.nan, np.nan
    weights = np.ones_like(x) if not np.all(error > 0) else 1 / error
    matrix = weights[:, None] * np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(matrix.T @ matrix)
    value = (inverse @ matrix.T @ (weights * y))[0]
    return float(value), float(np.sqrt(inverse[0, 0])) if np.all(error > 0) else 0.0


def _unit(model: Hopfield) -> float:
    """What a temperature of units Gamma = R is in the model's own."""
    return 1.0 if model.normalise else float(model.second_moment)


def _through(model: Hopfield, temperatures: np.ndarray, size: int, effort: Effort, seed: int) -> xr.Dataset:
    """A run through the temperatures, ``hold`` sweeps at each and ten times as many at the last; q of the last."""
    before = effort.hold * len(temperatures)
    starts = effort.hold * np.arange(1, len(temperatures))
    rule: AbstractDynamics = Glauber(PiecewiseConstant(tuple(temperatures), tuple(starts)))
    steps = before + 10 * effort.hold
    return simulate(
        model,
        rule,
        steps=steps,
        times=range(1, before + 1),
        size=size,
        disorder=effort.disorder,
        seed=seed,
        accumulators=(EdwardsAnderson(before, effort.hold),),
    )


def _plateaus(run: xr.Dataset, effort: Effort) -> Float[np.ndarray, "disorder temperature"]:
    """Mean energy of the second half of every plateau."""
    energies = run["spin_energy"].mean("replica").values
    return energies.reshape(len(energies), -1, effort.hold)[:, :, effort.hold // 2 :].mean(axis=-1)
