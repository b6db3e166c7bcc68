"""The phase diagram in the plane of load and temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.hopfield.glass import spin_glass_temperature
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.lines import critical_load, first_order_load, instability_temperature

for _name, _label in {
    "critical_load": Label("largest load of retrieval", r"\alpha_M"),
    "first_order_load": Label("load below which retrieval is the global minimum", r"\alpha_1"),
    "spin_glass_temperature": Label("temperature of the spin-glass transition", r"T_{SG}"),
    "instability_temperature": Label("temperature below which retrieval breaks replica symmetry", r"T_{AT}"),
}.items():
    register_label(_name, _label)


def phase_diagram(
    law: PatternLaw,
    temperatures: Sequence[float] | Float[np.ndarray, " t"],
    loads: Sequence[float] | Float[np.ndarray, " a"],
    *,
    instability: bool = True,
) -> xr.Dataset:
    """Lines of the phase diagram: what each function of this room gives, at ``temperatures`` (units Gamma = R) and ``loads``.

    ``critical_load`` and ``first_order_load`` (temperature,), ``spin_glass_temperature`` and ``instability_temperature``
    (load,); NaN where a line does not exist, and all of the last one without ``instability``: it costs most. Raises
    ``ParameterError`` for negative temperatures and loads.
    """
    temperatures, loads = np.asarray(temperatures, float), np.asarray(loads, float)

    def unstable(load: float) -> float:
        if not instability:
            return float("nan")
        # at load 0 nothing breaks
        return instability_temperature(load, law) if load > 0 else 0.0

    variables: dict[str, Any] = {
        "critical_load": ("temperature", _line(lambda t: critical_load(law, t).load, temperatures)),
        "first_order_load": ("temperature", _line(lambda t: first_order_load(law, t), temperatures)),
        "spin_glass_temperature": ("load", _line(lambda a: spin_glass_temperature(a, law), loads)),
        "instability_temperature": ("load", _line(unstable, loads)),
    }
    provenance = {"engine": "phase_diagram", "law": vars(law), "temperature": temperatures, "load": loads}
    return dataset(variables, {"temperature": ("temperature", temperatures), "load": ("load", loads)}, provenance)


def _line(function: Callable[[float], float], places: np.ndarray) -> Float[np.ndarray, " n"]:
    def value(place: float) -> float:
        try:
            return function(place)
        except checks.NoSolutionError:
            return float("nan")

    return np.array([value(float(place)) for place in places])
