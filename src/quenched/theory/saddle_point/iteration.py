"""Damped iteration of saddle-point equations that refuses what is no solution: two-cycles and inadmissible fixed points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from quenched.numerics import checks
from quenched.numerics.fixed_point import FixedPoint, fixed_point

Update = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


def iterate(
    update: Update,
    start: Float[np.ndarray, " n"],
    *,
    damping: float = 0.5,
    tolerance: float = 1e-10,
    admissible: Callable[[Float[np.ndarray, " n"]], str] | None = None,
    max_iterations: int = 10_000,
) -> FixedPoint:
    """Iterate x <- (1 - p) x + p F(x), p = ``damping``, until max|F(x) - x|/(1 + |x|) is below ``tolerance``.

    ``admissible(x)`` returns "" for a state and otherwise the reason why the solution is none (a susceptibility at or above 1,
    say). Raises ``NoSolutionError`` with that reason; ``ConvergenceError`` with the residual where the iteration does not
    settle, naming both points where it alternates between two: these solve F(F(x)) = x, or its damped form, and no equation of
    state.
    """

    def damped(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return (1 - damping) * x + damping * np.asarray(update(x), float)

    last = fixed_point(update, start, damping=damping, tolerance=tolerance, max_iterations=max_iterations, on_failure="last")
    if last.residual > tolerance:
        with np.errstate(all="ignore"):
            other = damped(last.value)
            again = damped(other)
        where = f"residual {last.residual:.3g} after {last.iterations} iterations, tolerance {tolerance:.3g}"
        returned = np.max(np.abs(again - last.value) / (1 + np.abs(again)))
        if np.isfinite(returned) and returned <= max(tolerance, 1e-3 * last.residual):
            raise checks.ConvergenceError(
                f"the iteration ended in a two-cycle between {_numbers(last.value)} and {_numbers(other)}: "
                f"neither is a solution ({where})"
            )
        raise checks.ConvergenceError(f"the iteration did not converge: {where}")
    reason = admissible(last.value) if admissible else ""
    if reason:
        raise checks.NoSolutionError(f"the solution {_numbers(last.value)} is not admissible: {reason}")
    return last


def _numbers(x: Float[np.ndarray, " n"]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in np.ravel(x)) + ")"
