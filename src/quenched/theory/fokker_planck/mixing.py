"""Where SGD ends and how long it takes, by every method in one form: a Dataset with its method and its unit of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import logsumexp

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.numerics.critical_points import CriticalPoint, critical_point
from quenched.observables.wells import TIME_UNITS
from quenched.records.datasets import dataset
from quenched.records.description import describe
from quenched.records.labels import Label, register_label
from quenched.theory.fokker_planck.kinetic import kinetic_spectrum
from quenched.theory.fokker_planck.line import line
from quenched.theory.fokker_planck.line_answers import gap
from quenched.theory.fokker_planck.passage import barriers, escape_rate, mass_ratio, mean_first_passage
from quenched.theory.fokker_planck.plane import plane, plane_gap
from quenched.theory.fokker_planck.temperature import Temperature, natural_unit, temperature_of
from quenched.theory.fokker_planck.transfer import transfer

METHODS = ("eigen", "asymptotic", "eyring-kramers", "kramers", "transfer", "kinetic")
register_label("mixing_time", Label("mixing time", r"1/\lambda_1"))
register_label("theta_2", Label("second parameter", r"\theta_2"))


class _Found(NamedTuple):
    """The gap and its unit, cell centres along every axis and the probabilities of the cells; no cells: None."""

    rate: float
    unit: str
    axes: tuple[Float[np.ndarray, " n"], ...]
    cells: Float[np.ndarray, ...] | None


def mixing(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    box: Sequence[Any],
    *,
    method: str = "eigen",
    time_unit: str | None = None,
    minima: Sequence[Any] | None = None,
    saddle: Any = None,
    noise: Callable[[Any], Any] | None = None,
    cells: Any = None,
    functions: int = 32,
) -> xr.Dataset:
    """The stationary law, the probabilities of the basins and the spectral gap of a landscape in a ``box``.

    ``method``: "eigen", finite volumes in one or two dimensions; "asymptotic", 1/tau_ab + 1/tau_ba from exact passage times
    between two wells of one dimension; "eyring-kramers", rates and masses to leading order at small T, in any dimension, and
    "kramers", the same with inertia; "transfer", the exact operator of a step at the given learning rate; "kinetic", with
    inertia and ``functions`` Hermite functions. The last three need a ``Temperature``.

    ``box``: (low, high), or a pair of them in two dimensions. ``time_unit``: "steps", "eta_k" or "t_prime"; default eta k, with
    momentum t'. ``minima`` and ``saddle`` (guesses for two minima and the saddle between them) have to be given beyond one
    dimension; in one they are found, and every well is a basin. ``noise`` multiplies T (one dimension; "eigen", "asymptotic",
    "transfer"). ``cells`` default to 1000; (120, 80); 600 for "transfer"; 150 for "kinetic".

    Returns ``stationary_density`` on ``theta`` (and ``theta_2``; not for the two formulas), ``basin_mass`` (basin), ``gap_rate``
    and ``mixing_time`` = 1/gap; attributes ``method`` and ``time_unit``. Errors are those of the solvers.
    """
    checks.one_of("method", method, METHODS)
    checks.instance("landscape", landscape, AbstractLandscape)
    t = temperature_of(temperature)
    unit = natural_unit(temperature) if time_unit is None else time_unit
    checks.one_of("time_unit", unit, TIME_UNITS)
    if noise is not None and method in ("eyring-kramers", "kramers", "kinetic"):
        raise checks.ParameterError(f"noise must be None for method={method!r}, which knows constant noise only")
    wells, tops = _stations(landscape, box, minima, saddle, 2 if method in ("asymptotic", "eyring-kramers", "kramers") else 1)
    if method == "eigen":
        found = _eigen(landscape, temperature, box, cells, noise)
    elif method == "transfer":
        own = transfer(landscape, _with_parts(temperature, method), box[0], box[1], cells or 600, noise=noise)
        found = _Found(own.gap, "eta_k", (own.x,), own.stationary)
    elif method == "kinetic":
        found = _kinetic(landscape, _with_parts(temperature, method), box, cells or 150, functions)
    elif method == "asymptotic":
        found = _two_states(landscape, temperature, box, cells, noise, wells)
    else:
        heavy = method == "kramers"
        given = _with_parts(temperature, method) if heavy else temperature
        way = {"dynamics": "momentum" if heavy else "overdamped"}
        rates = [escape_rate(landscape, given, well.position, tops[0].position, **way) for well in wells]
        found = _Found(sum(rates), "eta_k" if heavy else natural_unit(temperature), (), None)
    if found.cells is None:
        ratio = mass_ratio(landscape, t, wells[1].position, wells[0].position)
        basins = np.array([1, ratio]) / (1 + ratio)
    else:
        basins = basin_masses(found.axes[0], found.cells, [float(top.position[0]) for top in tops])
    names = ("theta", "theta_2")[: len(found.axes)]
    variables: dict[str, Any] = {"basin_mass": (("basin",), basins)}
    if found.cells is not None:
        volume = np.prod([x[1] - x[0] for x in found.axes])
        variables["stationary_density"] = (names, found.cells / volume)
    variables |= {"gap_rate": ((), found.rate), "mixing_time": ((), 1 / found.rate)}
    how = {"engine": "fokker_planck.mixing", "landscape": _described(landscape), "temperature": _parts(temperature), "box": box}
    answer = dataset(variables, dict(zip(names, found.axes, strict=True)), how, method=method, time_unit=found.unit)
    return answer if unit == found.unit else in_unit(answer, unit, _with_parts(temperature, f"time_unit={unit!r}"))


def in_unit(answer: xr.Dataset, unit: str, temperature: Temperature) -> xr.Dataset:
    """The same answer with its rates and times in another unit of time; ``temperature`` knows how long a step is.

    Raises ``ParameterError`` for an unknown unit, or for a Dataset that does not say its own.
    """
    own = same_unit(answer)
    checks.instance("temperature", temperature, Temperature)
    longer = temperature.per_step(unit) / temperature.per_step(own)
    powers = {"gap_rate": -1, "relaxation_rate": -1, "arrival_rate": -1, "mixing_time": 1, "t": 1}
    with xr.set_options(keep_attrs=True):
        changed = {
            name: answer[name] * longer ** powers[name.removesuffix("_error")]
            for name in map(str, answer.variables)
            if name.removesuffix("_error") in powers
        }
        return (
            answer.assign_coords({k: v for k, v in changed.items() if k in answer.coords})
            .assign({k: v for k, v in changed.items() if k not in answer.coords})
            .assign_attrs(time_unit=unit)
        )


def same_unit(*answers: xr.Dataset) -> str:
    """The unit of time that all answers have. Raises ``ParameterError`` where they differ: times would be mixed."""
    for answer in answers:
        if answer.attrs.get("time_unit") not in TIME_UNITS:
            raise checks.ParameterError(
                f"every answer must have a time_unit in {TIME_UNITS}, got {answer.attrs.get('time_unit')!r}"
            )
    units = list(dict.fromkeys(answer.attrs["time_unit"] for answer in answers))
    if len(units) != 1:
        raise checks.ParameterError(f"answers must have one time_unit, got {', '.join(units)}: convert them with in_unit")
    return str(units[0])


def basin_masses(
    x: Float[np.ndarray, " n"], cells: Float[np.ndarray, ...], tops: Sequence[float]
) -> Float[np.ndarray, " basins"]:
    """Probabilities between the barriers ``tops`` along the first axis, a cell that is cut counting in part."""
    along, h = cells.reshape(len(x), -1).sum(axis=1), x[1] - x[0]
    below = [float(np.sum(along * np.clip((top - (x - h / 2)) / h, 0, 1))) for top in tops]
    return np.diff([0.0, *below, float(along.sum())])


def _stations(
    landscape: AbstractLandscape, box: Sequence[Any], minima: Sequence[Any] | None, saddle: Any, wells: int
) -> tuple[list[CriticalPoint], list[CriticalPoint]]:
    """Minima and the barriers between them."""
    if minima is not None and saddle is not None:
        if len(minima) != 2:
            raise checks.ParameterError(f"minima must be two, got {len(minima)}")
        return [critical_point(landscape.potential, m) for m in minima], [critical_point(landscape.potential, saddle, 1)]
    if landscape.dimension > 1:
        raise checks.ParameterError(
            f"minima and saddle must be given in {landscape.dimension} dimensions: guesses, to be refined"
        )
    found, tops = barriers(landscape, box[0], box[1], wells=wells)
    # a barrier outside the outermost minima bounds no basin
    inner = [top for top in tops if found[0].position[0] < top.position[0] < found[-1].position[0]]
    if wells == 2 and len(found) != 2:
        raise checks.ParameterError(f"the landscape must have two wells for this method, got {len(found)}")
    return found, inner


def _eigen(landscape: AbstractLandscape, temperature: Any, box: Sequence[Any], cells: Any, noise: Any) -> _Found:
    if landscape.dimension == 2:
        if noise is not None:
            raise checks.ParameterError("noise must be None in two dimensions: flow has noise that depends on the place")
        own = plane(landscape, temperature, (tuple(box[0]), tuple(box[1])), cells or (120, 80))
        return _Found(plane_gap(own), natural_unit(temperature), (own.x, own.y), own.stationary)
    process = line(landscape, temperature, box[0], box[1], cells or 1000, noise=noise)
    return _Found(gap(process), process.time_unit, (process.x,), process.stationary)


def _two_states(
    landscape: AbstractLandscape, temperature: Any, box: Sequence[Any], cells: Any, noise: Any, wells: list[CriticalPoint]
) -> _Found:
    process = line(landscape, temperature, box[0], box[1], cells or 1000, noise=noise)
    left, right = (float(well.position[0]) for well in wells)
    there = mean_first_passage(landscape, temperature, left, right, far=box[0], noise=noise)
    back = mean_first_passage(landscape, temperature, right, left, far=box[1], noise=noise)
    return _Found(1 / there + 1 / back, process.time_unit, (process.x,), process.stationary)


def _kinetic(landscape: AbstractLandscape, temperature: Temperature, box: Sequence[Any], nodes: int, functions: int) -> _Found:
    rates = kinetic_spectrum(landscape, temperature, box[0], box[1], nodes=nodes, functions=functions, count=3)
    slowest = np.sort(np.delete(rates, np.argmin(np.abs(rates))).real)[0]
    if not slowest > 1e-12:
        raise checks.ConvergenceError(f"the kinetic gap must be > 1e-12 to be seen in an eigenvalue, got {slowest:.3g}")
    x = np.linspace(float(box[0]), float(box[1]), nodes)
    with jax.enable_x64(True):
        phi = np.asarray(jax.vmap(lambda p: landscape.potential(p[None]))(jnp.asarray(x)), float) / temperature.value
    return _Found(float(slowest), "eta_k", (x,), np.exp(-phi - logsumexp(-phi)))


def _with_parts(temperature: Any, why: str) -> Temperature:
    if not isinstance(temperature, Temperature):
        raise checks.ParameterError(f"temperature must be a Temperature with its parts for {why}, got {temperature!r}")
    return temperature


def _parts(temperature: Temperature | float | int) -> Any:
    """A temperature as plain numbers: files are read without this floor."""
    if isinstance(temperature, Temperature):
        return {name: getattr(temperature, name) for name in ("lr", "batch_size", "noise", "momentum")}
    return float(temperature)


def _described(landscape: AbstractLandscape) -> Any:
    """A landscape of a function that no file can bring back is named by its class."""
    try:
        return describe(landscape)
    except checks.ParameterError:
        return type(landscape).__name__
