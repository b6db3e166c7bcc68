"""The retrieval state of the archetype, as a branch given explicitly: no iteration, hence no false solution.

With y = n/(sqrt(2) R s), s^2 = load p, the field is s (sqrt(2) y chibar + z). T = 0: n, m and C follow from y, and load =
s^2/g(C). T > 0: with w = s/T the equation for n reads n(y, w) = sqrt(2) y w T R, which has one root w; then C = (1 - q)/T and
load = T^2 w^2/(q g(C)). The stable state is on the branch to the right of the maximum, which is the critical load; y grows to
infinity as the load falls to zero.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.optimize.elementwise import find_root

from quenched.numerics import checks
from quenched.theory.hopfield.fields import State
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.saddle_point import Curve, maximum, solve_level

LOWEST_TEMPERATURE = 1e-3
"""Below, averages over tanh(h/T) would need more than 50,000 nodes; T = 0 has equations of its own."""

# y of T = 0 at which a load is as good as 0
_FAR = 1e6


def check_temperature(temperature: float) -> None:
    """Require T = 0 or T >= 1e-3."""
    checks.non_negative("temperature", temperature)
    if 0 < temperature < LOWEST_TEMPERATURE:
        raise checks.ParameterError(
            f"temperature must be 0 or >= {LOWEST_TEMPERATURE:g} (in units Gamma = R), got {temperature!r}"
        )


def _check_retrieval(temperature: float) -> None:
    """Refuse temperatures at which no load has retrieval, besides those that nothing can be computed at."""
    check_temperature(temperature)
    if temperature >= 1:
        raise checks.NoSolutionError(f"no retrieval at any load at temperature {temperature:g} >= 1 (units Gamma = R)")


def branch(law: PatternLaw, temperature: float) -> Curve:
    """The load along the branch, as a function of r y."""
    _check_retrieval(temperature)
    if temperature == 0:
        return Curve(lambda y: _zero_load(law, y / law.quality), np.geomspace(1e-3, _FAR, 800), "load")
    # the maximum is at r y of order 1, and of order 1/sqrt(rho) for very blurred examples; small y cost most
    low = 0.3 / np.sqrt(1 + 10 * law.entropy)
    places = np.geomspace(low, _FAR, int(np.log(_FAR / low) / np.log(1.16)))
    return Curve(lambda y: _thermal_load(law, y / law.quality, temperature), places, "load")


def retrieval(law: PatternLaw, load: float, temperature: float) -> State:
    """The stable retrieval state. Raises ``NoSolutionError``, naming the critical load, where there is none."""
    if load > 0:
        return state_at(law, solve_level(branch(law, temperature), load), temperature)
    _check_retrieval(temperature)
    state = state_at(law, _FAR, temperature) if temperature == 0 else _without_load(law, temperature)
    if state.susceptibility >= 1:
        raise checks.NoSolutionError("no retrieval state at load 0 and temperature 0: spins whose examples tie are free (C >= 1)")
    return state


def critical(law: PatternLaw, temperature: float) -> State:
    """The retrieval state at the critical load."""
    return state_at(law, maximum(branch(law, temperature)).y, temperature)


def state_at(law: PatternLaw, place: float, temperature: float) -> State:
    """The state at a place of ``branch``."""
    y = np.array([place / law.quality])
    if temperature == 0:
        m, n, zero = (float(part[0]) for part in law.zero(y))
        c = _zero_susceptibility(law, y, np.array([n]), np.array([zero]))[0]
        s = n / (np.sqrt(2) * y[0] * law.second_moment)
        fields = law.fields(n / law.second_moment, float(s))
        return State(float(_zero_load(law, y)[0]), 0.0, m, n, 1.0, n**2, n, float(c), fields)
    w = float(_noise(law, y, temperature)[0])
    return _thermal_state(law, float(np.sqrt(2) * y[0] * w), w, temperature)


def _thermal_state(law: PatternLaw, a: float, w: float, temperature: float) -> State:
    """The state with beta h = a chibar + w z."""
    m, n, q = (float(part[0]) for part in law.thermal(np.array([a]), np.array([w])))
    c = (1 - q) / temperature
    load = float(temperature**2 * w**2 / q * law.inverse_noise(c))
    return State(load, temperature, m, n, q, n**2, n, c, law.fields(temperature * a, temperature * w))


def _without_load(law: PatternLaw, temperature: float) -> State:
    """The state without load: E chibar tanh(a chibar) = a T R."""
    second = law.second_moment

    def difference(a: float) -> float:
        return float(law.thermal(np.array([a]), np.zeros(1)).n[0]) / (a * second) - temperature

    # n <= E|chibar| <= sqrt(R) bounds a from above; at small a the difference is 1 - T
    high = 1.01 / (temperature * np.sqrt(second))
    return _thermal_state(law, float(brentq(difference, 1e-8 * high, high, xtol=1e-15, rtol=1e-14)), 0.0, temperature)


def _zero_susceptibility(law: PatternLaw, y: np.ndarray, n: np.ndarray, zero: np.ndarray) -> Float[np.ndarray, " k"]:
    """C = 2 P(h = 0)."""
    return 2 / np.sqrt(np.pi) * y * law.second_moment / n * zero


def _zero_load(law: PatternLaw, y: np.ndarray) -> Float[np.ndarray, " k"]:
    moments = law.zero(y)
    c = _zero_susceptibility(law, y, moments.n, moments.zero)
    return (moments.n / (y * law.second_moment)) ** 2 / 2 * law.inverse_noise(c)


def _noise(law: PatternLaw, y: np.ndarray, temperature: float) -> Float[np.ndarray, " k"]:
    """w at which n = sqrt(2) y w T R."""
    slope = np.sqrt(2) * y * law.second_moment * temperature

    def difference(w: np.ndarray, y: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return law.thermal(np.sqrt(2) * y * w, w).n / (slope * w) - 1

    # n <= E|chibar| <= sqrt(R), and E_z tanh(b + w z) <= b sqrt(2/pi)/w; at small w the difference is 1/T - 1
    widest = np.minimum(0.8 / temperature, 1.01 * np.sqrt(law.second_moment) / slope)
    tolerances = {"xatol": 0.0, "xrtol": 1e-14}
    return find_root(difference, (1e-8 * widest, widest), args=(y, slope), tolerances=tolerances).x


def _thermal_load(law: PatternLaw, y: np.ndarray, temperature: float) -> Float[np.ndarray, " k"]:
    w = _noise(law, y, temperature)
    q = law.thermal(np.sqrt(2) * y * w, w).q
    return temperature**2 * w**2 / q * law.inverse_noise((1 - q) / temperature)
