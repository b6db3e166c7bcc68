"""Closed forms for the square loss: the ridge minimiser and the stationary state of SGD and Langevin dynamics around it.

Two clusters, linear output, data x = c v/sqrt(d) + sqrt(Delta) z. In the basis of the data the stationary fluctuations of the
weights decouple: a mode of curvature x, drawn from the Marchenko-Pastur law of Delta Z^T Z/d, contracts by 1 - lr q per step,
q = lam + beta x, where s in {0, 1} (or {0, 1/b}) has mean beta and variance v. The noise of a mode has variance lr^2 v E2 x +
2 T lr, hence the variance of a mode

    V(x) = E2 S(x) + G(x),   S = lr v x / (q (2 - lr q)),   G = 2 T / (q (2 - lr q)),

and E2 = <(r - y)^2> closes on itself, E2 = e0 + <x V(x)>/alpha, with e0 the value at the minimiser. At lam = 0 these are the
formulas S = lr (1 - b)/(2 - lr b x), e0 = (1 - 1/alpha) Delta/(1 + Delta). The theory is that of Mignacco and Urbani,
arXiv:2112.10852.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import erfc

from quenched.dynamics.batches import IID, Full, Persistent
from quenched.dynamics.schedules import AbstractSchedule
from quenched.numerics import checks
from quenched.numerics.quadrature import marchenko_pastur, marchenko_pastur_edges
from quenched.theory.oracle import refuses, selection_moments

Modes = Float[np.ndarray, " q"]
Lags = int | Int[np.ndarray, "..."]


@dataclass(frozen=True)
class RidgeMinimiser:
    """The minimiser of sum_mu (y - r)^2/2 + lam/2 |w|^2: ``overlap`` m, ``norm`` C, ``mean_square`` <(y - r)^2>,
    ``susceptibility`` V = <1/(lam + x)>."""

    overlap: float
    norm: float
    mean_square: float
    susceptibility: float


def ridge_minimiser(alpha: float, noise: float, ridge: float) -> RidgeMinimiser:
    """Ridge regression of y = c on two clusters, in the limit of infinite size.

    V solves V (lam + k Delta) = 1 with k = alpha/(1 + Delta V); then m = k/(lam + k (1 + Delta)), <(y - r)^2> = k^2/alpha^2
    [(1 - m)^2 + Delta C] and C = m^2 + alpha Delta V^2 <(y - r)^2>. ``ridge`` may be 0 for alpha > 1. Raises
    ``ParameterError`` otherwise.
    """
    checks.positive("alpha", alpha)
    checks.positive("noise", noise)
    checks.non_negative("ridge", ridge)
    if ridge == 0 and alpha <= 1:
        raise checks.ParameterError(f"ridge must be > 0 for alpha <= 1, where the minimiser is not unique, got alpha={alpha!r}")
    # lam Delta V^2 + (lam + (alpha - 1) Delta) V - 1 = 0, without cancellation for either sign of the middle coefficient
    middle = ridge + (alpha - 1) * noise
    root = np.sqrt(middle**2 + 4 * ridge * noise)
    v = float(2 / (middle + root)) if middle >= 0 else float((root - middle) / (2 * ridge * noise))
    k = alpha / (1 + noise * v)
    m = k / (ridge + k * (1 + noise))
    gain = (k / alpha) ** 2
    feedback = alpha * noise**2 * v**2 * gain
    norm = (m**2 + alpha * noise * v**2 * gain * (1 - m) ** 2) / (1 - feedback)
    return RidgeMinimiser(m, norm, gain * ((1 - m) ** 2 + noise * norm), v)


@dataclass(frozen=True)
class StationaryState:
    """Stationary state of a square-loss dynamics, as averages over the modes of the data.

    ``curvature`` x and ``weight`` are the spectral quadrature, ``decay`` q = lam + beta x the relaxation rate per unit time,
    ``variance`` V(x) the variance per weight of a mode; ``mean_square`` is E2 = <(r - y)^2>.
    """

    minimiser: RidgeMinimiser
    noise: float
    lr: float
    curvature: Modes
    weight: Modes
    decay: Modes
    variance: Modes
    mean_square: float

    @property
    def overlap(self) -> float:
        """m = w.v/d: that of the minimiser."""
        return self.minimiser.overlap

    @property
    def norm(self) -> float:
        """C(t,t) = abs(w)^2/d."""
        return self.minimiser.norm + float(self.weight @ self.variance)

    @property
    def loss(self) -> float:
        """Mean loss of a sample, E2/2."""
        return self.mean_square / 2

    @property
    def test_error(self) -> float:
        """Probability of misclassifying a new sample."""
        return float(erfc(self.overlap / np.sqrt(2 * self.noise * self.norm)) / 2)

    @property
    def replica_distance(self) -> float:
        """Mean squared distance per weight of two replicas with common data, 2 <V(x)>."""
        return 2 * float(self.weight @ self.variance)

    @property
    def mode_temperature(self) -> Modes:
        """T(x) = q V(x): each mode obeys the fluctuation-dissipation theorem at a temperature of its own."""
        return self.decay * self.variance

    def correlation(self, lag: Lags) -> Float[np.ndarray, ...]:
        """C(t + k, t) = C_min + <V(x) (1 - lr q)^k> at lags k >= 0, in steps."""
        return self.minimiser.norm + self._power(lag) @ (self.weight * self.variance)

    def half_displacement(self, lag: Lags) -> Float[np.ndarray, ...]:
        """B(k) = <V(x) [1 - (1 - lr q)^k]>."""
        return (1 - self._power(lag)) @ (self.weight * self.variance)

    def integrated_response(self, lag: Lags) -> Float[np.ndarray, ...]:
        """chi(k) = lr <sum_(j<k) (1 - lr q)^j> = <[1 - (1 - lr q)^k]/q>."""
        return (1 - self._power(lag)) @ (self.weight / self.decay)

    def effective_temperature(self, lag: Lags) -> Float[np.ndarray, ...]:
        """T_eff(k) = B(k)/chi(k), k >= 1. Independent of the lag only where all modes share one temperature."""
        if np.any(np.asarray(lag) < 1):
            raise checks.ParameterError(f"lag must be >= 1, got {lag!r}")
        return self.half_displacement(lag) / self.integrated_response(lag)

    def _power(self, lag: Lags) -> Float[np.ndarray, "... q"]:
        return (1 - self.lr * self.decay) ** np.asarray(lag)[..., None]


def stationary_state(model: Any, rule: Any, *, order: int = 400) -> StationaryState:
    """The stationary state of a system that the oracle covers (square loss, full or independent batches) at a constant
    learning rate.

    ``order`` is the number of spectral nodes. Raises ``IncompatibleError`` for other systems, ``ParameterError`` where there
    is no stationary state: a schedule, alpha <= 1 without ridge (the loss tends to 0 and SGD stops by itself: measure the
    replica distance instead), or a learning rate beyond the stability of the mean or of the fluctuations.
    """
    reason = refuses(model, rule)
    if reason is not None:
        raise checks.IncompatibleError(reason)
    if isinstance(rule.lr, AbstractSchedule):
        raise checks.ParameterError(f"lr must be constant in a stationary state, got {rule.lr!r}")
    alpha, noise, lr, ridge = model.alpha, model.noise, rule.lr, rule.ridge
    if ridge == 0 and alpha <= 1:
        raise checks.ParameterError(
            f"alpha must be > 1 without ridge: at alpha={alpha!r} the loss tends to 0 and SGD stops, there is no stationary "
            "noise; use the replica distance"
        )
    beta, variance = selection_moments(rule)
    top = largest_curvature(alpha, noise)
    if lr * (ridge + beta * top) >= 2:
        raise checks.ParameterError(f"lr must be < {2 / (ridge + beta * top):g} for a stable mean, got {lr!r}")
    # the loss is beta (sum of samples) + ridge on average, hence the minimiser at ridge/beta
    minimiser = ridge_minimiser(alpha, noise, ridge / beta)
    x, weight = marchenko_pastur(alpha, noise, order)
    decay = ridge + beta * x
    damping = decay * (2 - lr * decay)
    batch, thermal = lr * variance * x / damping, 2 * rule.temperature / damping
    gain = float(weight @ (x * batch)) / alpha
    if gain >= 1:
        raise checks.ParameterError(f"lr must be small enough for finite fluctuations, got lr={lr!r} with gain {gain:g} >= 1")
    mean_square = (minimiser.mean_square + float(weight @ (x * thermal)) / alpha) / (1 - gain)
    return StationaryState(minimiser, noise, lr, x, weight, decay, mean_square * batch + thermal, mean_square)


def persistent_plateau(model: Any, rule: Any, *, order: int = 400) -> float:
    """Plateau of T_eff of persistent SGD with a short memory, (2 b tau - lr) v alpha Delta E2/2, v = b (1 - b) for selections
    in {0, 1}.

    A selection with autocovariance b (1 - b) rho^k, rho = 1 - lr/(b tau), acts at long lags like an independent one with lr
    replaced by the correlation sum 2 b tau - lr; E2 is taken in the stationary state of that SGD. Leading order in b tau
    times the curvature; the plateau is seen at lags b tau << lr k << relaxation time. No ridge, no thermal noise. b tau = lr
    is vanilla SGD. Raises ``IncompatibleError`` for batches other than ``Persistent``, otherwise as ``stationary_state``.
    """
    batches = getattr(rule, "batches", None)
    if type(batches) is not Persistent:
        raise checks.IncompatibleError(f"the plateau needs Persistent batches, got {type(batches).__name__}")
    if isinstance(rule.lr, AbstractSchedule):
        raise checks.ParameterError(f"lr must be constant in a stationary state, got {rule.lr!r}")
    if rule.ridge != 0 or rule.temperature != 0:
        raise checks.ParameterError(f"ridge and temperature must be 0, got {rule.ridge!r} and {rule.temperature!r}")
    b = batches.fraction
    effective = 2 * b * batches.time - rule.lr
    if effective <= 0:
        return 0.0
    white = replace(rule, lr=effective, batches=IID(b)) if b < 1 else replace(rule, batches=Full())
    state = stationary_state(model, white, order=order)
    variance = selection_moments(white)[1]
    return effective * variance * model.alpha * model.noise * state.mean_square / 2


def largest_curvature(alpha: float, noise: float) -> float:
    """Largest eigenvalue of X^T X/d for two clusters: the edge of the bulk, or the outlier (Delta + 1)(alpha + Delta) if
    Delta < sqrt(alpha)."""
    bulk = marchenko_pastur_edges(alpha, noise)[1]
    return max(bulk, (noise + 1) * (alpha + noise)) if noise < alpha**0.5 else bulk
