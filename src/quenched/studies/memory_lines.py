"""Lines of the phase diagram of a Hopfield model, in the units of its temperature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.models import Hopfield
from quenched.theory import hopfield

LOAD, TEMPERATURE = "model.load", "temperature"
NAMES = {
    "critical_load": "retrieval ends",
    "first_order_load": "retrieval is the global minimum below",
    "spin_glass_temperature": "spin glass below",
    "instability_temperature": "replica symmetry of retrieval breaks below",
}
"""The lines, in words."""

Line = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def diagram(model: Hopfield, points: int, *, instability: bool = True) -> xr.Dataset:
    """``theory.hopfield.phase_diagram`` of the model, from load 0 to beyond its critical load and from T = 0 to the glass.

    Gaussian average: the lines are those of the paper. Without ``instability`` that line, which costs most, is NaN.
    """
    law = hopfield.PatternLaw.of(model, "gaussian")
    unit = 1.0 if model.normalise else law.second_moment
    top = hopfield.critical_load(law).load
    loads = np.linspace(0, 1.4 * top, points)
    lines = hopfield.phase_diagram(law, np.linspace(0, 0.999, points), loads, instability=instability)
    lines = lines.assign_coords(temperature=lines["temperature"] * unit)
    for name in ("spin_glass_temperature", "instability_temperature"):
        lines[name] = (lines[name] * unit).assign_attrs(lines[name].attrs)
    return lines


def curves(lines: xr.Dataset) -> dict[str, Line]:
    """Every line of a diagram as loads and temperatures, by its name in words."""
    loads, temperatures = lines["load"].values, lines["temperature"].values
    found = {NAMES[name]: (lines[name].values, temperatures) for name in ("critical_load", "first_order_load")}
    found |= {NAMES[name]: (loads, lines[name].values) for name in ("spin_glass_temperature", "instability_temperature")}
    return {name: line for name, line in found.items() if np.isfinite(line[0] + line[1]).sum() > 1}


def transitions(model: Hopfield, x: str, y: str) -> Mapping[str, Line]:
    """The lines in the plane of two swept parameters; none in another plane than load and temperature."""
    if {x, y} != {LOAD, TEMPERATURE}:
        return {}
    found = curves(diagram(model, 33, instability=False))
    return found if x == LOAD else {name: (line[1], line[0]) for name, line in found.items()}
