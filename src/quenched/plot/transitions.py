"""Lines between phases on a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics import checks
from quenched.plot.style import Axes, colour

Line = tuple[Any, Any] | Callable[[Any], Any] | xr.Dataset
"""A line y(x): two arrays (x, y), a function of the array x, or a Dataset with the variables or coordinates x and y."""

Transition = Line | Mapping[str, Line] | None
"""A line, or several by their labels."""

# inks that viridis and red-blue maps leave readable; five and four are coprime, so that twenty lines differ
_INKS = (1, 6, 0, 3, 2)
_DASHES: tuple[Any, ...] = ("-", (0, (4.0, 1.6)), (0, (6.0, 1.4, 1.2, 1.4)), (0, (1.6, 1.2)))


def by_label(transition: Transition) -> dict[str, Line]:
    """Lines by their labels; one line alone is "transition"."""
    if transition is None:
        return {}
    # a Dataset is a mapping too
    if isinstance(transition, Mapping) and not isinstance(transition, xr.Dataset):
        return dict(transition)
    return {"transition": transition}


def draw_lines(ax: Axes, lines: Mapping[str, Line], x: str, y: str, across: Float[np.ndarray, " n"]) -> None:
    """Draw each line in its own look, with a white rim for the dark colours below; the view is left as it is.

    Functions are evaluated at the values ``across`` of x; a number that is not finite breaks a line. Raises
    ``ParameterError`` for a Dataset without ``x`` or ``y``.
    """
    from matplotlib.patheffects import withStroke

    for i, (label, line) in enumerate(lines.items()):
        ax.plot(
            *_points(line, x, y, across),
            color=colour(_INKS[i % len(_INKS)]),
            linestyle=_DASHES[i % len(_DASHES)],
            label=label,
            zorder=3,
            path_effects=[withStroke(linewidth=4.2, foreground="white")],
            scalex=False,
            scaley=False,
        )


def _points(line: Line, x: str, y: str, across: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(line, xr.Dataset):
        missing = [name for name in (x, y) if name not in line]
        if missing:
            raise checks.ParameterError(f"transition must have the variables {x!r} and {y!r}, it has no {', '.join(missing)}")
        at, values = line[x].values, line[y].values
    elif callable(line):
        at, values = across, line(across)
    else:
        at, values = line
    return np.asarray(at, np.float64), np.asarray(values, np.float64)
