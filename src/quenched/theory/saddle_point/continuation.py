"""Solutions followed in a parameter by pseudo-arclength continuation, round folds, with their stability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from quenched.numerics import checks

Residual = Callable[[Float[np.ndarray, " n"], float], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class Fold:
    """A turning point of a branch in the ``parameter``, at the solution ``point`` (n,): a spinodal."""

    parameter: float
    point: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Branch:
    """Solutions ``points`` (k, n) at ``parameters`` (k,) along a branch, whether each is ``stable``, and the ``folds`` passed.

    ``ended`` says why the branch stops: "until" (the parameter asked for, which then is the last point), "fold",
    "inadmissible" or "points" (their number).
    """

    parameters: Float[np.ndarray, " k"]
    points: Float[np.ndarray, "k n"]
    stable: Bool[np.ndarray, " k"]
    folds: tuple[Fold, ...]
    ended: str


def follow(
    residual: Residual,
    start: Float[np.ndarray, " n"],
    parameter: float,
    *,
    until: float,
    step: float = 0.02,
    max_points: int = 2000,
    tolerance: float = 1e-10,
    scale: float | None = None,
    stop_at_fold: bool = False,
    admissible: Callable[[Float[np.ndarray, " n"], float], bool] | None = None,
) -> Branch:
    """Follow the solution of ``residual(x, parameter)`` = 0 (shape (n,)) from ``start``, towards the parameter ``until``.

    Every step goes ``step`` (at most; halved where Newton's method fails, doubled where it is quick) along the tangent in the
    space (x, parameter/``scale``), |until - parameter| being the default scale, and back to the branch by Newton's method
    orthogonal to it, so that a fold is a point like any other. Derivatives are central differences: x should be of order 1. With
    residual = F(x) - x a point is ``stable`` when all eigenvalues of d residual/dx have a negative real part, that is when the
    iteration dx/dt = F(x) - x returns to it. Folds are located to 1e-10 along the arc.

    The branch ends at ``until``, in either direction; at the first fold with ``stop_at_fold``; where ``admissible(x,
    parameter)`` fails; or after ``max_points``. Raises ``ConvergenceError`` with the residual where Newton's method fails at
    the start or at every step length.
    """
    checks.positive("step", step)
    checks.positive("tolerance", tolerance)
    checks.integer_at_least("max_points", max_points, 1)
    width = abs(until - parameter) if scale is None else scale
    checks.positive("scale", width)

    def extended(u: Float[np.ndarray, " n1"]) -> Float[np.ndarray, " n"]:
        return np.asarray(residual(u[:-1], u[-1] * width), float)

    here = np.append(np.asarray(start, float), parameter / width)
    flat = np.zeros_like(here)
    flat[-1] = 1.0
    here, error, _ = _newton(extended, here, here, flat, tolerance)
    if not error <= tolerance:
        raise checks.ConvergenceError(f"no solution near the start at parameter {parameter:.6g}: residual {error:.3g}")
    goal = until / width
    tangent = _tangent(extended, here, flat * np.sign(goal - here[-1]))
    found, folds, length, ended = [here], [], step, "points"
    while len(found) < max_points:
        there, length = _advance(extended, here, tangent, length, step, tolerance, width)
        if admissible is not None and not admissible(there[:-1], float(there[-1] * width)):
            ended = "inadmissible"
            break
        turned = _tangent(extended, there, tangent)
        if turned[-1] * tangent[-1] < 0:
            folds.append(_fold(extended, here, tangent, float((there - here) @ tangent), tolerance, width))
            if stop_at_fold:
                ended = "fold"
                break
        if (there[-1] - goal) * (here[-1] - goal) <= 0:
            guess = here + (there - here) * (goal - here[-1]) / (there[-1] - here[-1])
            guess[-1] = goal
            last, error, _ = _newton(extended, guess, guess, flat, tolerance)
            if error <= tolerance:
                found.append(last)
                ended = "until"
                break
        found.append(there)
        here, tangent = there, turned
    points = np.stack(found)
    stable = np.array([_stable(extended, point) for point in points])
    return Branch(points[:, -1] * width, points[:, :-1], stable, tuple(folds), ended)


def _jacobian(function: Callable[[np.ndarray], np.ndarray], u: np.ndarray) -> Float[np.ndarray, "n n1"]:
    moves = 6e-6 * (1 + np.abs(u))
    columns = [(function(u + e) - function(u - e)) / (2 * h) for h, e in zip(moves, np.diag(moves), strict=True)]
    return np.stack(columns, axis=1)


def _tangent(function: Callable[[np.ndarray], np.ndarray], u: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Unit vector along the branch, in the direction of the one before."""
    direction = np.linalg.svd(_jacobian(function, u))[2][-1]
    return direction if direction @ before >= 0 else -direction


def _newton(
    function: Callable[[np.ndarray], np.ndarray], u: np.ndarray, base: np.ndarray, normal: np.ndarray, tolerance: float
) -> tuple[np.ndarray, float, int]:
    """The solution in the plane through ``base`` with ``normal``; its residual, and the number of steps."""
    error = np.inf
    for count in range(20):
        value = function(u)
        error = float(np.max(np.abs(value)))
        if not np.isfinite(error) or (error <= tolerance and count > 0):
            break
        matrix = np.vstack([_jacobian(function, u), normal])
        if not np.all(np.isfinite(matrix)):
            return u, np.inf, count
        u = u - np.linalg.lstsq(matrix, np.append(value, normal @ (u - base)), rcond=None)[0]
    return u, error, count


def _advance(
    function: Callable[[np.ndarray], np.ndarray],
    here: np.ndarray,
    tangent: np.ndarray,
    length: float,
    longest: float,
    tolerance: float,
    width: float,
) -> tuple[np.ndarray, float]:
    """The next point of the branch, and the length to try after it."""
    while length > 1e-9:
        guess = here + length * tangent
        there, error, count = _newton(function, guess, guess, tangent, tolerance)
        # a point far from the guess lies on another branch
        if error <= tolerance and np.linalg.norm(there - guess) <= 0.5 * length:
            return there, min(longest, 2 * length) if count <= 3 else length
        length /= 2
    raise checks.ConvergenceError(
        f"the branch is lost at parameter {here[-1] * width:.8g}: residual {error:.3g} at every step length"
    )


def _fold(
    function: Callable[[np.ndarray], np.ndarray],
    here: np.ndarray,
    tangent: np.ndarray,
    length: float,
    tolerance: float,
    width: float,
) -> Fold:
    """Where the tangent has no component along the parameter, between ``here`` and ``length`` further."""

    def at(distance: float) -> np.ndarray:
        guess = here + distance * tangent
        return _newton(function, guess, guess, tangent, tolerance)[0]

    place = at(float(brentq(lambda s: float(_tangent(function, at(s), tangent)[-1]), 0.0, length, xtol=1e-10)))
    return Fold(float(place[-1] * width), place[:-1])


def _stable(function: Callable[[np.ndarray], np.ndarray], u: np.ndarray) -> bool:
    return bool(np.all(np.linalg.eigvals(_jacobian(function, u)[:, :-1]).real < 0))
