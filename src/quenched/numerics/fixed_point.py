"""Fixed points x = f(x) by damped iteration, with optional Anderson mixing, and a certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from quenched.numerics import checks


@dataclass(frozen=True)
class FixedPoint:
    """A solution: ``value``, the ``residual`` max|f(x) - x|/(1 + |x|) and the number of ``iterations`` (evaluations of f)."""

    value: Float[np.ndarray, ...]
    residual: float
    iterations: int


def fixed_point(
    function: Callable[[Float[np.ndarray, ...]], Float[np.ndarray, ...]],
    start: Float[np.ndarray, ...],
    *,
    damping: float = 0.5,
    tolerance: float = 1e-10,
    max_iterations: int = 10_000,
    memory: int = 0,
    on_failure: str = "raise",
) -> FixedPoint:
    """Iterate x <- (1 - p) x + p f(x) until the residual max|f(x) - x|/(1 + |x|) is below ``tolerance``.

    ``damping`` = p in (0, 1] is the weight of the new value. ``memory`` > 0 mixes the last iterates so as to minimise the
    linearised residual (Anderson): 3 to 5 turn the hundreds of iterations of a slow problem into tens; 0 is plain damping,
    the most robust. Raises ``ConvergenceError`` with the residual after ``max_iterations`` or at a non-finite value;
    ``on_failure="last"`` returns the last finite iterate instead, whose residual then tells.
    """
    checks.in_interval("damping", damping, 0.0, 1.0, closed="right")
    checks.positive("tolerance", tolerance)
    checks.integer_at_least("max_iterations", max_iterations, 1)
    checks.integer_at_least("memory", memory, 0)
    checks.one_of("on_failure", on_failure, ("raise", "last"))
    x = np.array(start, np.float64)
    best = FixedPoint(x, np.inf, 0)
    history: list[tuple[np.ndarray, np.ndarray]] = []
    for iteration in range(1, max_iterations + 1):
        # an overflow is reported as non-convergence, with the residual, not as a warning
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            step = np.asarray(function(x), np.float64) - x
        if not np.all(np.isfinite(step)):
            return _failed(best, tolerance, on_failure, f"a non-finite value at iteration {iteration}")
        best = FixedPoint(x, float(np.max(np.abs(step) / (1 + np.abs(x)), initial=0.0)), iteration)
        if best.residual <= tolerance:
            return best
        history = [*history[-memory:], (x, step)] if memory else [(x, step)]
        x = _mixed(history, damping)
    return _failed(best, tolerance, on_failure, f"{max_iterations} iterations")


def _mixed(history: list[tuple[np.ndarray, np.ndarray]], damping: float) -> np.ndarray:
    """The next iterate: damped step from the combination of past iterates whose linearised residual is smallest."""
    x, step = history[-1]
    if len(history) == 1:
        return x + damping * step
    dx = np.stack([(b[0] - a[0]).ravel() for a, b in pairwise(history)], axis=1)
    df = np.stack([(b[1] - a[1]).ravel() for a, b in pairwise(history)], axis=1)
    gamma = np.linalg.lstsq(df, step.ravel(), rcond=1e-10)[0]
    return x + damping * step - ((dx + damping * df) @ gamma).reshape(x.shape)


def _failed(last: FixedPoint, tolerance: float, on_failure: str, why: str) -> FixedPoint:
    if on_failure == "last":
        return last
    raise checks.ConvergenceError(
        f"the fixed point did not converge: {why}, residual {last.residual:.3g}, tolerance {tolerance:.3g}"
    )
