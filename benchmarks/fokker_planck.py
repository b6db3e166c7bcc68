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
OURS, THEIRS = (50, 100, 200), (200, 400, 800)


def start(x: np.ndarray) -> np.ndarray:
    p = np.exp(-((x + 1) ** 2) / (2 * SMOOTH**2))
    return p / p.sum()


def ours(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell centres and density at the end."""
    process = fp.line(DoubleWell(), T, LOW, HIGH, cells, wall=0)
    found = fp.relax(process, start(process.x), [END])
    return process.x, found.density.values[0]


class Theirs:
    """The same by a general solver: explicit steps of adaptive size, compiled by numba once, before it is timed."""

    def __init__(self, cells: int):
        import pde

        self.grid = pde.CartesianGrid([(LOW, HIGH)], cells)
        self.x = self.grid.axes_coords[0]
        potential = 0.25 * (self.x**2 - 1) ** 2 * (1 - 0.6 * np.tanh(2 * self.x))
        equation: Any = pde.PDE(
            {"p": f"{T} * laplace(p) + p * laplace(u) + inner(gradient(p), gradient(u))"},
            consts={"u": pde.ScalarField(self.grid, potential)},
            bc={"derivative": 0},
        )
        self.first = pde.ScalarField(self.grid, start(self.x) / (self.x[1] - self.x[0]))
        solver = pde.solvers.SolverBase.from_name("runge-kutta", pde=equation, adaptive=True)
        self.step = solver.make_stepper(self.first, dt=1e-4)
        self.step(self.first.copy(), 0, 0.01)

    def __call__(self) -> tuple[np.ndarray, np.ndarray]:
        state = self.first.copy()
        self.step(state, 0, END)
        return self.x, state.data


def error(found: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray]) -> float:
    """L1 distance of the densities, on the coarser grid."""
    x, p = found
    return float(np.sum(np.abs(p - np.interp(x, *exact))) * (x[1] - x[0]))


def table() -> str:
    """Markdown: error and seconds of both, on growing grids."""
    warnings.simplefilter("ignore")
    exact = ours(3000)
    peers = {n: Theirs(n) for n in THEIRS}
    jobs: dict[str, Any] = {f"ours {n}": (lambda n=n: ours(n)) for n in OURS}
    jobs |= {f"theirs {n}": peer for n, peer in peers.items()}
    seconds = in_turn(jobs, repeats=3)
    lines = [
        f"Density of the double well at T = {T}, from a Gaussian at the sharp minimum to time {END:g}; L1 error against 3000 "
        "cells; float64. The compilation of numba is not counted.",
        "",
        "| solver | cells | error | seconds |",
        "|---|---|---|---|",
    ]
    errors = {f"ours {n}": error(ours(n), exact) for n in OURS} | {f"theirs {n}": error(p(), exact) for n, p in peers.items()}
    for name, value in errors.items():
        who, cells = name.split()
        lines.append(f"| {'quenched' if who == 'ours' else 'py-pde'} | {cells} | {value:.1e} | {seconds[name]:.4f} |")
    best = min((name for name in errors if name.startswith("theirs")), key=lambda name: errors[name])
    # the coarsest of ours that is at least as good
    equal = next(name for name in jobs if name.startswith("ours") and errors[name] <= errors[best])
    lines += ["", f"At an error of {errors[best]:.1e} or better: **{seconds[best] / seconds[equal]:.0f}** times as fast."]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
