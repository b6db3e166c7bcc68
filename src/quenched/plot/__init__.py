"""Plots: they know the labels and attributes of Datasets, no physics. matplotlib is imported when the first figure is drawn."""

from quenched.plot.compare import compare, two_time_map
from quenched.plot.fdt import parametric_fdt, temperature_against_lag
from quenched.plot.gaps import gap_histogram
from quenched.plot.overlaps import overlap_map, prototypes
from quenched.plot.phase import over_seeds, phase_diagram
from quenched.plot.style import COLOURS, axis_label, panels, save_figure, style

__all__ = [
    "COLOURS",
    "axis_label",
    "compare",
    "gap_histogram",
    "over_seeds",
    "overlap_map",
    "panels",
    "parametric_fdt",
    "phase_diagram",
    "prototypes",
    "save_figure",
    "style",
    "temperature_against_lag",
    "two_time_map",
]
