"""The state without retrieval: spin glass, q > 0, below the spin-glass temperature, and paramagnet above it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from quenched.numerics import checks
from quenched.theory.hopfield.fields import State
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.retrieval import check_temperature


def spin_glass_temperature(load: float | int, law: PatternLaw) -> float:
    """Where q continuously leaves 0: the largest root T of load sum_k mu_k lambda_k^2/(T - lambda_k)^2 = 1 (units Gamma = R).

    1 + sqrt(load) for the supervised rule, at any data-set entropy. Raises ``ParameterError`` for load < 0. Source:
    arXiv:2109.00454.
    """
    checks.non_negative("load", float(load))
    if load == 0:
        return 1.0
    values, counts = law.spectrum
    if len(values) == 1:
        return float(1 + np.sqrt(load))

    # in t = T - 1, the distance from the largest eigenvalue, which may be far below the rounding of T
    def excess(t: float) -> float:
        return float(load * np.sum(counts * (values / (t + (1 - values))) ** 2)) - 1

    # the root lies between that of the largest eigenvalue alone and that with t in place of t + 1 - lambda
    low, high = (float(np.sqrt(load * total)) for total in (1.0, np.sum(counts * values**2)))
    return 1 + float(brentq(excess, low * (1 - 1e-6), high * (1 + 1e-6), rtol=1e-14))


def spin_glass(law: PatternLaw, load: float, temperature: float) -> State:
    """The state with m = n = 0; q = 0 above the spin-glass temperature. Raises ``NoSolutionError`` at load 0 below T = 1."""
    check_temperature(temperature)
    if load == 0 and temperature <= 1:
        raise checks.NoSolutionError(f"no state without retrieval at load 0 and temperature {temperature:g} <= 1")
    if temperature >= spin_glass_temperature(load, law):
        return _state(law, load, temperature, 0.0, 1 / temperature, 0.0)
    if temperature == 0:
        # s^2 = load g(C) and C = 2 P(h = 0) = sqrt(2/pi)/s
        def excess(c: float) -> float:
            return float(np.log(load * np.pi / 2) + 2 * np.log(c) - np.log(law.inverse_noise(c)))

        c = float(brentq(excess, 1e-12, 1 - 1e-12, xtol=1e-16, rtol=1e-14))
        return _state(law, load, 0.0, 1.0, c, float(np.sqrt(2 / np.pi) / c))

    def overlap(w: float) -> float:
        return float(law.thermal(np.zeros(1), np.array([w])).q[0])

    def excess_load(w: float) -> float:
        q = overlap(w)
        return float(temperature**2 * w**2 / q * law.inverse_noise((1 - q) / temperature)) - load

    low, high = 1e-6, 1.0 / temperature
    while excess_load(high) < 0:
        high *= 2
    w = float(brentq(excess_load, low, high, xtol=1e-15, rtol=1e-14))
    q = overlap(w)
    return _state(law, load, temperature, q, (1 - q) / temperature, temperature * w)


def _state(law: PatternLaw, load: float, temperature: float, q: float, c: float, width: float) -> State:
    return State(load, temperature, 0.0, 0.0, q, 0.0, 0.0, c, law.fields(0.0, width))
