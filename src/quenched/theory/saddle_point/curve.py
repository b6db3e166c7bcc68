"""Branches of solutions given explicitly: the control parameter as a function of a number that runs along the branch.

A saddle point x = F(x; alpha) is often linear in alpha once x is chosen: then alpha(y) is a formula, and no equation is left to
solve. Fold points (spinodals) are its maxima, and the solutions at a given alpha its roots. Written so by Amit, Gutfreund and
Sompolinsky, Ann. Phys. 173 (1987) 30, for the Hopfield model at T = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, minimize_scalar

from quenched.numerics import checks

Level = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class Curve:
    """The control parameter ``level(y)`` along a branch, known at ``places`` y (k,), which increase.

    ``level`` takes and returns an array (n,); NaN where y belongs to no admissible solution. ``places`` is where maxima and
    roots are first looked for, so that two of them between neighbouring places are taken for one; ``levels`` (k,) is evaluated
    there once. ``name`` is what the level is called in messages. Raises ``ParameterError`` for fewer than three places, or
    unordered ones.
    """

    level: Level
    places: Float[np.ndarray, " k"]
    name: str = "the level"
    levels: Float[np.ndarray, " k"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.places) < 3 or not np.all(np.diff(self.places) > 0):
            raise checks.ParameterError(f"places must be at least three increasing numbers, got {self.places!r}")
        object.__setattr__(self, "levels", np.asarray(self.level(self.places), float))

    def at(self, y: float) -> float:
        """The level at one place."""
        return float(self.level(np.array([y]))[0])


@dataclass(frozen=True)
class Top:
    """The ``level`` at the maximum of a curve, reached at the place ``y``."""

    y: float
    level: float


def maximum(curve: Curve) -> Top:
    """The largest level of a curve: beyond it the state does not exist (spinodal).

    The best place is refined between its neighbours; y is then known to the square root of the rounding, the level
    to the rounding. Raises ``NoSolutionError`` where the curve has no admissible point, and where its maximum is the first or the
    last place: these then do not reach far enough.
    """
    y, levels = curve.places, curve.levels
    if not np.any(np.isfinite(levels)):
        raise checks.NoSolutionError(f"no admissible solution at any {curve.name}")
    best = int(np.nanargmax(levels))
    if best in (0, len(y) - 1):
        raise checks.NoSolutionError(f"{curve.name} has no maximum between y = {y[0]:g} and {y[-1]:g}")

    def depth(place: float) -> float:
        level = curve.at(place)
        # a finite number, with which the search can calculate
        return -level if np.isfinite(level) else abs(float(levels[best]))

    options = {"xatol": 1e-10 * abs(y[best])}
    found = minimize_scalar(depth, bounds=(y[best - 1], y[best + 1]), method="bounded", options=options)
    # the maximum of an admissible piece may be its end, where the refinement is no better than the grid
    if -found.fun < levels[best]:
        return Top(float(y[best]), float(levels[best]))
    return Top(float(found.x), -float(found.fun))


def solve_level(curve: Curve, level: float) -> float:
    """The last place y, to the right of the maximum, at which the curve comes down to ``level``: the stable state.

    Where the curve has several maxima above the level there are several stable states, and this is the one furthest along the
    branch. Raises ``NoSolutionError``, naming the largest level, above it, and where the branch ends before it comes down.
    """
    top = maximum(curve)
    if level > top.level:
        raise checks.NoSolutionError(f"no such state at {curve.name} {level:.8g}: it exists up to {top.level:.8g}")
    # the maximum is a place too: it may rise above the level between two that do not
    at = np.searchsorted(curve.places, top.y)
    y, levels = np.insert(curve.places, at, top.y), np.insert(curve.levels, at, top.level)
    down = np.flatnonzero((levels[:-1] >= level) & (levels[1:] <= level) & (y[:-1] >= top.y))
    if not down.size:
        raise checks.NoSolutionError(f"the branch ends above {curve.name} {level:.8g}, at y = {y[-1]:g}")
    last = down[-1]
    return float(brentq(lambda place: curve.at(place) - level, y[last], y[last + 1], xtol=1e-15, rtol=1e-14))


def equal_free_energy(difference: Callable[[float], float], low: float, high: float, what: str) -> float:
    """The parameter in [``low``, ``high``] at which two states have equal free energy: a first-order transition.

    ``difference(parameter)`` is the free energy of one minus that of the other. Raises ``NoSolutionError`` with its values at
    both ends where these have one sign; ``what`` names the parameter there.
    """
    ends = difference(low), difference(high)
    if not ends[0] * ends[1] <= 0:
        raise checks.NoSolutionError(
            f"no first-order transition between {what} {low:.6g} and {high:.6g}: the difference of the free energies is "
            f"{ends[0]:.3g} and {ends[1]:.3g} there"
        )
    return float(brentq(difference, low, high, xtol=1e-14, rtol=1e-12))
