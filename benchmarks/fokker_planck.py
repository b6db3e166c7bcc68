"""The Fokker-Planck equation of the double well: ours against ``py-pde`` at equal error."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from benchmarks.timing import in_turn
from quenched.models.landscape import DoubleWell
from quenched.theory import fokker_planck as fp

T, END, LOW, HIGH = 0.1, 20.0, -2.2, 2.6
SMOOTH = 0.15
"""The start is a Gaussian of this width at the sharp minimum: a point would have no error on a grid."""
OURS, THEIRS = (50, 100, 200), (50, 100, 200)


def start(x: np.ndarray) -> np.ndarray:
    p = np.exp(-((x + 1) ** 2) / (2 * SMOOTH**2))
    return p / p.sum()


def ours(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell centres and density at the end."""
    process = fp.line(DoubleWell(), T, LOW, HIGH, cells, wall=0)
    found = fp.relax(process, start(process.x), [END])
    return process.x, found.density.values[0]


def theirs(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by a general solver: explicit Runge-Kutta with adaptive steps, compiled by numba, its default for such equations."""
    import pde

    grid = pde.CartesianGrid([(LOW, HIGH)], cells)
    x = grid.axes_coords[0]
    potential = pde.ScalarField(grid, np.asarray(0.25 * (x**2 - 1) ** 2 * (1 - 0.6 * np.tanh(2 * x))))
    equation: Any = pde.PDE(
        {"p": f"{T} * laplace(p) + p * laplace(u) + inner(gradient(p), gradient(u))"},
        consts={"u": potential},
        bc={"derivative": 0},
    )
    state = pde.ScalarField(grid, start(x) / (x[1] - x[0]))
    result = equation.solve(state, t_range=END, adaptive=True, tracker=None)
    return x, result.data


def error(found: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray]) -> float:
    """L1 distance of the densities, on the coarser grid."""
    x, p = found
    return float(np.sum(np.abs(p - np.interp(x, *exact))) * (x[1] - x[0]))


def table() -> str:
    """Markdown: error and seconds of both, on growing grids."""
    warnings.simplefilter("ignore")
    exact = ours(3000)
    jobs = {f"ours {n}": (lambda n=n: ours(n)) for n in OURS} | {f"theirs {n}": (lambda n=n: theirs(n)) for n in THEIRS}
    seconds = in_turn(jobs, repeats=3)
    lines = [
        f"Density of the double well at T = {T}, from a Gaussian at the sharp minimum to time {END:g}; L1 error against 3000 cells; "
        "float64; the compilation of numba is not counted.",
        "",
        "| cells | quenched: error | s | py-pde: error | s | ratio of times |",
        "|---|---|---|---|---|---|",
    ]
    for n in OURS:
        mine, peer = error(ours(n), exact), error(theirs(n), exact)
        a, b = seconds[f"ours {n}"], seconds[f"theirs {n}"]
        lines.append(f"| {n} | {mine:.1e} | {a:.4f} | {peer:.1e} | {b:.3f} | **{b / a:.0f}** |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
