"""What the study computes and measures, by theory and by simulation, with the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from quenched.dynamics import Gradient, Minibatch, Momentum, Plain
from quenched.models.on_landscape import AdditiveNoise, OnLandscape
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.observables.wells import contrast_rate
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.studies.simulations import Simulation
from quenched.theory import fokker_planck as fp

if TYPE_CHECKING:
    from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck

MOMENTS = 20
"""How often SGD is looked at."""
METHODS = {"eigen": "Fokker–Planck", "eyring-kramers": "Eyring–Kramers", "transfer": "transfer operator"}
FROM_SHARP, FROM_FLAT = "sharp", "flat"

for _name, _label in {
    "examples": Label("examples seen", "kS"),
    "flat_fraction": Label("probability of the flat minimum", r"P_{\mathrm{flat}}"),
    "final_flat_fraction": Label("probability of the flat minimum in the end", r"P_{\mathrm{flat}}(\infty)"),
    "mixing_steps": Label("mixing time", r"1/\lambda_1", "steps"),
    "escape_rate": Label("relaxation rate", r"\lambda_1", "per η k/(1-β)"),
    "log_preference": Label("preference", r"\ln(P_{\mathrm{flat}}/P_{\mathrm{sharp}})"),
}.items():
    register_label(_name, _label)


class Wells(NamedTuple):
    """Places of the sharp and of the flat minimum and of the barrier, and whether the flat one lies to the right."""

    sharp: float
    flat: float
    top: float
    right: bool


def wells(study: SgdFokkerPlanck) -> Wells:
    """The two wells of the landscape. Raises ``ParameterError`` unless there are two in the box."""
    minima, tops = fp.barriers(study.landscape, study.low, study.high, wells=2)
    if len(minima) != 2:
        raise ParameterError(f"landscape must have two minima in [{study.low:g}, {study.high:g}], got {len(minima)}")
    left, right = minima
    between = [float(top.position[0]) for top in tops if left.position[0] < top.position[0] < right.position[0]]
    flat_right = bool(right.hessian[0, 0] <= left.hessian[0, 0])
    sharp, flat = (left, right) if flat_right else (right, left)
    return Wells(float(sharp.position[0]), float(flat.position[0]), between[0], flat_right)


# ---- theory


def mixing_times(study: SgdFokkerPlanck, place: Wells) -> xr.Dataset:
    """Mixing time in steps and final probability of the flat minimum by every method, NaN unknown: dims (rule, batch_size)."""
    steps, flat = np.full((2, len(METHODS), len(study.sizes)), np.nan)
    for i, method in enumerate(METHODS):
        cells = study.cells if method == "eigen" else None
        for k, size in enumerate(study.sizes):
            try:
                found = _mixing(study, size, 0.0, "steps", method=method, cells=cells)
            except ConvergenceError:
                # the transfer operator cannot see a gap below rounding
                continue
            steps[i, k], flat[i, k] = float(found.mixing_time), float(found.basin_mass[int(place.right)])
    return _beside({"mixing_steps": steps, "final_flat_fraction": flat}, list(METHODS.values()), "batch_size", study.sizes)


def populations(study: SgdFokkerPlanck, place: Wells) -> xr.Dataset:
    """Probability of the flat minimum after equal numbers of examples, from the sharp one: dims (rule, examples).

    By powers of the transfer operator, which is exact at finite learning rate.
    """
    rows = []
    for size in study.sizes:
        x, matrix = fp.transfer_matrix(study.landscape, study.temperature(size), study.low, study.high)
        beyond = _flat_side(x, place)
        p = (np.arange(len(x)) == np.argmin(np.abs(x - place.sharp))).astype(float)
        row, powers = [], {0: np.eye(len(p))}
        for steps in np.diff(study.moments(size), prepend=0):
            if steps not in powers:
                powers[steps] = np.linalg.matrix_power(matrix, int(steps))
            p = powers[steps] @ p
            row.append(p[beyond].sum())
        rows.append(row)
    return _beside({"flat_fraction": np.array(rows)}, _names(study), "examples", _examples(study))


def densities(study: SgdFokkerPlanck, place: Wells) -> xr.Dataset:
    """The density after the examples, and in the end, by the Fokker-Planck equation: dims (rule, theta)."""
    now, late = [], []
    for size in study.sizes:
        process = fp.line(study.landscape, study.temperature(size), study.low, study.high, study.cells)
        now.append(fp.relax(process, place.sharp, [study.lr * study.examples / size])["density"].values[0])
        late.append(process.stationary / process.width)
    with jax.enable_x64(True):
        level = np.asarray(jax.vmap(lambda x: study.landscape.potential(x[None]))(jnp.asarray(process.x)))
    found = _beside({"density": np.array(now), "stationary_density": np.array(late)}, _names(study), "theta", process.x)
    return found.assign(potential=("theta", level))


def momentum_rates(study: SgdFokkerPlanck, place: Wells) -> xr.Dataset:
    """Gaps per unit of t' = eta k/(1-beta) at one temperature: the kinetic equation and Kramers' formula; (rule, momentum)."""
    rows = []
    momenta = np.unique([*study.momenta, *np.linspace(min(study.momenta), max(study.momenta), 8)])
    # little friction takes more Hermite functions
    how = {"cells": 240, "functions": 48}
    for method in ("kinetic", "kramers"):
        found = [_mixing(study, study.momentum_batch / (1 - beta), beta, "t_prime", method=method, **how) for beta in momenta]
        rows.append([float(one.gap_rate) for one in found])
    return _beside({"escape_rate": np.array(rows)}, ["kinetic equation", "Kramers' formula"], "momentum", momenta)


def preferences(study: SgdFokkerPlanck, place: Wells) -> xr.Dataset:
    """ln(P_flat/P_sharp) in the end for constant noise and for noise along the curvature: dims (rule, batch_size)."""
    box = (-study.wide, study.wide)
    rows = []
    for noise in (None, along_curvature(study, place)):
        row = []
        for size in study.sizes:
            process = fp.line(study.landscape, study.temperature(size), *box, 2 * study.cells, noise=noise, wall=5)
            left, right = fp.basin_mass(process, place.top)
            row.append(np.log(right / left) * (1 if place.right else -1))
        rows.append(row)
    return _beside({"log_preference": np.array(rows)}, ["constant noise", "noise along the curvature"], "batch_size", study.sizes)


def along_curvature(study: SgdFokkerPlanck, place: Wells) -> Any:
    """Sigma/sigma^2 as a function of theta: the curvature, rounded off where it changes sign, 1 on average over the minima."""

    def shape(x: Array) -> Array:
        return jnp.sqrt(study.landscape.hessian(x[None])[0, 0] ** 2 + 0.25)

    with jax.enable_x64(True):
        mean = float(shape(jnp.asarray(place.sharp)) + shape(jnp.asarray(place.flat))) / 2
    return jax.jit(lambda x: shape(x) / mean)


# ---- simulation


def simulations(study: SgdFokkerPlanck) -> dict[tuple[str, str, str], Simulation]:
    """SGD from either minimum, by part, name and start. The two starts of a pair have the same random numbers."""
    place = wells(study)
    found = {}
    runs = [
        ("populations", name, size, 0.0, np.union1d(study.moments(size), _early(study, size)))
        for name, size in zip(_names(study), study.sizes, strict=True)
    ]
    for beta in study.momenta:
        size = _heavy_batch(study, beta)
        runs.append(("momentum", f"{beta:g}", size, beta, _heavy_moments(study, size, beta)))
    for part, name, size, beta, times in runs:
        rule = Gradient(lr=study.lr, batches=Minibatch(size), transform=Momentum(beta) if beta else Plain())
        for start, point in ((FROM_SHARP, place.sharp), (FROM_FLAT, place.flat)):
            model = OnLandscape(study.landscape, AdditiveNoise((study.noise,)), start=(point,), count=study.samples)
            arguments = {"steps": int(times[-1]), "times": times.tolist(), "replicas": study.chains}
            found[part, name, start] = Simulation(model, rule, arguments)
    return found


def measured(study: SgdFokkerPlanck, answers: Mapping[tuple[str, str, str], xr.Dataset]) -> dict[str, xr.Dataset]:
    """Populations, mixing times and densities of the runs, with errors over runs."""
    place = wells(study)
    names = _names(study)
    sharp = []
    for name, size in zip(names, study.sizes, strict=True):
        run = answers["populations", name, FROM_SHARP]
        sharp.append(_there(run, place)[:, np.searchsorted(run["step"].values, study.moments(size))])
    fraction = np.array([marks.mean(axis=0) for marks in sharp])
    spread = np.array([marks.std(axis=0, ddof=1) / np.sqrt(len(marks)) for marks in sharp])
    found = {
        "populations": _beside({"flat_fraction": fraction, "flat_fraction_error": spread}, names, "examples", _examples(study))
    }
    rates = [
        _relaxation(study, answers, "populations", name, place, 1.0, int(_early(study, size)[-1]))
        for name, size in zip(names, study.sizes, strict=True)
    ]
    value, error = np.array(rates).T
    found["mixing"] = _beside(
        {"mixing_steps": (1 / value)[None], "mixing_steps_error": (error / value**2)[None]}, ["SGD"], "batch_size", study.sizes
    )
    edges = np.linspace(study.low, study.high, 81)
    last = [answers["populations", name, FROM_SHARP]["position"].values[0, :, -1, 0] for name in names]
    histograms = np.array([np.histogram(x, edges)[0] for x in last]) / (study.chains * (edges[1] - edges[0]))
    found["densities"] = _beside({"density": histograms}, names, "theta", (edges[1:] + edges[:-1]) / 2)
    if study.momenta:
        pairs = [_relaxation(study, answers, "momentum", f"{beta:g}", place, study.lr / (1 - beta)) for beta in study.momenta]
        value, error = np.array(pairs).T
        found["momentum"] = _beside(
            {"escape_rate": value[None], "escape_rate_error": error[None]}, ["SGD with momentum"], "momentum", study.momenta
        )
    return found


def _mixing(study: SgdFokkerPlanck, size: float | int, beta: float, unit: str, **how: Any) -> xr.Dataset:
    return fp.mixing(study.landscape, study.temperature(size, beta), (study.low, study.high), time_unit=unit, **how)


def _relaxation(
    study: SgdFokkerPlanck,
    answers: Mapping[Any, xr.Dataset],
    part: str,
    name: str,
    place: Wells,
    per_step: float,
    until: int | None = None,
) -> tuple[float, float]:
    """Rate and error per unit of time of ``per_step``, from the steps ``until``; NaN where too few have crossed to tell."""
    both = [answers[part, name, start] for start in (FROM_SHARP, FROM_FLAT)]
    if until is not None:
        both = [one.isel(t=one["step"].values <= until) for one in both]
    try:
        # time in steps: a fit likes numbers of order one
        found = contrast_rate(both[0]["step"].values * per_step, *(_there(one, place) for one in both), paired=True)
    except ConvergenceError:
        return np.nan, np.nan
    rate, error = float(found["relaxation_rate"]), float(found["relaxation_rate_error"])
    return (rate, error) if rate > 2 * error else (np.nan, np.nan)


def _there(run: xr.Dataset, place: Wells) -> Float[np.ndarray, "run t"]:
    return _flat_side(run["position"].values[0, :, :, 0], place).astype(float)


def _flat_side(x: np.ndarray, place: Wells) -> np.ndarray:
    return x > place.top if place.right else x < place.top


def _heavy_batch(study: SgdFokkerPlanck, beta: float) -> int:
    return round(study.momentum_batch / (1 - beta))


def _early(study: SgdFokkerPlanck, size: int) -> np.ndarray:
    """Steps of three mixing times, by the formula, or of the whole run: later the wells have forgotten each other."""
    found = _mixing(study, size, 0.0, "steps", method="eyring-kramers")
    last = int(study.moments(size)[-1])
    return np.unique(np.linspace(0, min(max(3 * float(found.mixing_time), MOMENTS), last), MOMENTS + 1).astype(int)[1:])


def _heavy_moments(study: SgdFokkerPlanck, size: int, beta: float) -> np.ndarray:
    """Steps of one and a half mixing times, by Kramers' formula: with less friction there are more of them."""
    found = _mixing(study, size, beta, "steps", method="kramers")
    steps = int(np.clip(1.5 * float(found.mixing_time), MOMENTS, 20_000))
    return np.unique(np.linspace(0, steps, MOMENTS + 1).astype(int)[1:])


def _names(study: SgdFokkerPlanck) -> list[str]:
    return [f"S={size}" for size in study.sizes]


def _examples(study: SgdFokkerPlanck) -> np.ndarray:
    return np.arange(1, MOMENTS + 1) * study.examples / MOMENTS


def _beside(variables: Mapping[str, Any], rules: list[str], dim: str, values: Any) -> xr.Dataset:
    """Variables (rule, dim) with labels."""
    coords = {"rule": rules, dim: np.asarray(values, float)}
    return dataset({name: (("rule", dim), rows) for name, rows in variables.items()}, coords, {"engine": "sgd-fokker-planck"})
