"""Where energy-conserving descent spends its time, if its motion mixes: the microcanonical measure.

The momenta integrated out of delta(H - E), the density of the n parameters is

    BBI      rho ~ V^(-n/2) (1 - V^2/E^2)^((n-2)/2)                  on V < E,
    ECDSep   rho ~ V^(-eta n/2) (1 - s V^eta/E_c)^((n-2)/2)          on s V^eta < E_c,

V = F - V0 the loss above the offset. With a density of states g(V) the loss has the law p(V) ~ g(V) rho(V). n is the number of
effective dimensions. The optimisers follow this law in the limit of a small step: at dt of order 1/m (m^2 the curvature) a
first-order error in dt moves p(V) to lower V.

Source: De Luca, Silverstein, arXiv:2201.11137; De Luca, Gatti, Silverstein, arXiv:2306.00352.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.integrate import cumulative_simpson
from scipy.special import log_expit, xlogy

from quenched.numerics import checks

_POINTS = 8001
_DEPTH = 60.0
"""Natural logarithm of the ratio of a density to its maximum below which it is left out."""


class Shell(NamedTuple):
    """rho = V^(-steepness n/2) (1 - (V/top)^power)^((n-2)/2): both measures have this form; ``top`` may be infinite."""

    dimension: int
    steepness: float
    power: float
    top: float


def shell(dimension: int, energy: float, kind: str = "bbi", exponent: float = 1.0, regularisation: int = 1) -> Shell:
    """The measure of n = ``dimension`` >= 1 parameters at an ``energy`` > 0: E for kind "bbi", E_c (not its logarithm) for "sep".

    ``exponent`` = eta >= 1 and ``regularisation`` = s, 0 or 1, are those of ECDSep; with s = 0 V is not bounded from above.
    """
    checks.integer_at_least("dimension", dimension, 1)
    checks.positive("energy", energy)
    checks.one_of("kind", kind, ("bbi", "sep"))
    checks.one_of("regularisation", regularisation, (0, 1))
    checks.finite("exponent", exponent)
    if exponent < 1:
        raise checks.ParameterError(f"exponent must be >= 1, got {exponent!r}")
    if kind == "bbi":
        return Shell(dimension, 1.0, 2.0, float(energy))
    return Shell(dimension, float(exponent), float(exponent), energy ** (1 / exponent) if regularisation else math.inf)


def log_weight(potential: Any, measure: Shell) -> Float[np.ndarray, ...]:
    """log rho at potentials V, up to a constant: -infinity where V >= top; V has to be > 0."""
    potential = np.asarray(potential, float)
    if potential.size and not potential.min() > 0:
        raise checks.ParameterError(f"potential must be > 0, got {potential.min()!r}")
    inside = potential < measure.top
    with np.errstate(divide="ignore"):
        depth = measure.power * np.log(np.where(inside, potential, 1.0) / measure.top)
    return np.where(inside, _log_rho(np.where(inside, potential, 1.0), np.where(inside, depth, -1.0), measure), -np.inf)


def _log_rho(potential: np.ndarray, depth: np.ndarray, measure: Shell) -> np.ndarray:
    """log rho from V and ``depth`` = log (V/top)^power < 0."""
    n = measure.dimension
    return np.asarray(-measure.steepness * n / 2 * np.log(potential) + (n - 2) / 2 * np.log(-np.expm1(depth)))


def weights(potential: Any, measure: Shell) -> Float[np.ndarray, " sample"]:
    """Weights, of sum 1, that turn points drawn uniformly in a box into points of the measure, from their V.

    Averages are sums of weights times values, quantiles ``np.quantile(V, q, weights=..., method="inverted_cdf")``. Raises
    ``NoSolutionError`` if no point lies on the shell.
    """
    logs = log_weight(potential, measure)
    top = logs.max(initial=-np.inf)
    if not np.isfinite(top):
        raise checks.NoSolutionError(f"no sample has a potential below the energy: the lowest is {np.min(potential)!r}")
    unnormalised = np.exp(logs - top)
    return unnormalised / unnormalised.sum()


# ---- the law of the loss


@dataclasses.dataclass(frozen=True)
class LossDistribution:
    """The law of V: ``density`` p(V) and distribution function ``cumulated`` at increasing ``potential``, each of shape (q,)."""

    potential: Float[np.ndarray, " q"]
    density: Float[np.ndarray, " q"]
    cumulated: Float[np.ndarray, " q"]

    def quantile(self, probability: Any) -> Float[np.ndarray, ...]:
        """The V below which lies the given probability in (0, 1), elementwise; interpolated in log V."""
        probability = np.asarray(probability, float)
        for value in probability.ravel():
            checks.in_interval("probability", float(value), 0.0, 1.0, closed="neither")
        return np.exp(np.interp(probability, self.cumulated, np.log(self.potential)))

    def average(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """<f(V)>, from the increments of the distribution function."""
        values = function(self.potential)
        return float(np.sum((values[1:] + values[:-1]) / 2 * np.diff(self.cumulated)))


def loss_distribution(
    log_states: Callable[[np.ndarray], np.ndarray], measure: Shell, minimum: float, *, points: int = _POINTS
) -> LossDistribution:
    """p(V) ~ g(V) rho(V) on minimum < V < top, from the logarithm of a density of states.

    ``log_states`` gives log g, up to a constant, at an array of excesses V - minimum > 0; ``minimum`` = Vm >= 0 is the lowest V.
    In the variable x = log((V - Vm)/(top - V)), or log(V - Vm) without a top, the density decays exponentially on both sides,
    and its logarithm is integrated on ``points`` equidistant nodes where it matters.

    Raises ``NoSolutionError`` where the law has no norm: for V0 at the minimum of a quadratic loss (Vm = 0) all of it
    sits at V = 0.
    """
    checks.non_negative("minimum", minimum)
    checks.integer_at_least("points", points, 101)
    if not minimum < measure.top:
        raise checks.ParameterError(f"minimum must be < {measure.top:g}, the largest potential of this energy, got {minimum!r}")

    def logarithms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(V, dV/dx as a logarithm, log of p in x)."""
        if math.isfinite(measure.top):
            span = measure.top - minimum
            log_excess, log_gap = math.log(span) + log_expit(x), math.log(span) + log_expit(-x)
            slope = log_excess + log_gap - math.log(span)
            depth = measure.power * np.log1p(-np.exp(log_gap) / measure.top) if minimum > 0 else None
            excess = np.exp(log_excess)
            if depth is None:
                depth = measure.power * log_expit(x)
        else:
            slope, excess, depth = x, np.exp(x), np.full_like(x, -np.inf)
        with np.errstate(divide="ignore"):
            density = np.asarray(log_states(excess), float)
        return minimum + excess, slope, density + slope + _log_rho(minimum + excess, depth, measure)

    low, high = (-150.0, 150.0) if math.isfinite(measure.top) else (-600.0, 600.0)
    for _ in range(3):
        x = np.linspace(low, high, points)
        potential, slope, logs = logarithms(x)
        if np.isnan(logs).any() or np.max(logs) == np.inf:
            raise checks.ParameterError("log_states must be a number or -infinity at every potential, got NaN or infinity")
        seen = np.flatnonzero(logs > logs.max() - _DEPTH)
        if abs(low) in (150.0, 600.0) and (seen[0] == 0 or seen[-1] == points - 1):
            raise checks.NoSolutionError("the measure has no norm: the density does not decay at an end of its support")
        low, high = float(x[max(seen[0] - 1, 0)]), float(x[min(seen[-1] + 1, points - 1)])
    relative = np.exp(logs - logs.max())
    cumulated = np.maximum.accumulate(cumulative_simpson(relative, x=x, initial=0.0))
    norm = cumulated[-1]
    return LossDistribution(potential, relative / norm * np.exp(-slope), cumulated / norm)


def quadratic_states(dimension: int) -> Callable[[np.ndarray], np.ndarray]:
    """log g for V = Vm + sum_i m_i^2 theta_i^2/2 in n dimensions: (n/2 - 1) log(V - Vm), whatever the curvatures are."""
    checks.integer_at_least("dimension", dimension, 1)
    return lambda excess: xlogy(dimension / 2 - 1, excess)


def quadratic(measure: Shell, minimum: float) -> LossDistribution:
    """The law of V of a quadratic loss with ``minimum`` Vm > 0 in the n dimensions of the measure."""
    checks.positive("minimum", minimum)
    return loss_distribution(quadratic_states(measure.dimension), measure, minimum)


# ---- minima


def occupation_ratio(first: Any, second: Any) -> float:
    """Time spent in the first over that in the second of two minima of equal depth: sqrt(det H2/det H1). Wide minima win.

    ``first`` and ``second``: the Hessians (n, n), or their eigenvalues (n,), all > 0.
    """
    logs = []
    for name, hessian in (("first", first), ("second", second)):
        values = np.asarray(hessian, float)
        values = np.linalg.eigvalsh(values) if values.ndim == 2 else values
        if values.ndim != 1 or not values.size or not values.min() > 0:
            raise checks.ParameterError(f"{name} must be a positive definite Hessian or its eigenvalues, got {hessian!r}")
        logs.append(float(np.sum(np.log(values))))
    return math.exp((logs[1] - logs[0]) / 2)


def valley_rate(curvature: float) -> float:
    """m/sqrt(2): BBI approaches a minimum V = m^2 theta^2/2 as exp(-m t/sqrt 2); ``curvature`` = m^2 > 0."""
    checks.positive("curvature", curvature)
    return math.sqrt(curvature / 2)


def largest_step(curvature: float) -> float:
    """2 sqrt(2)/M: BBI is linearly stable near a minimum of largest ``curvature`` M^2 > 0 for dt below."""
    checks.positive("curvature", curvature)
    return 2 * math.sqrt(2 / curvature)
