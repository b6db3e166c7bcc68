"""The retrieval state of the archetype, as a branch given explicitly: no iteration, hence no false solution.

T > 0: with a = beta n/R and w = beta sqrt(load p) the equations read n(a, w) = a T R, one monotone equation for w, then
C = (1 - q)/T and load = T^2 w^2/(q g(C)). T = 0: with s^2 = load p and y = n/(sqrt(2) R s), n, m and C follow from y, and
load = s^2/g(C). The stable state is on the branch to the right of the maximum, which is the critical load.
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


def branch(law: PatternLaw, temperature: float) -> Curve:
    """The load along the branch, as a function of r a (T > 0) or r y (T = 0)."""
    check_temperature(temperature)
    if temperature == 0:
        return Curve(lambda y: _zero_load(law, y / law.quality), np.geomspace(1e-3, _FAR, 800), "load")
    if temperature >= 1:
        raise checks.NoSolutionError(f"no retrieval at any load at temperature {temperature:g} >= 1 (units Gamma = R)")
    # all of retrieval may lie within a few per cent of the end of the branch, where the load is 0
    places = law.quality * _noiseless(law, temperature) * (1 - np.geomspace(0.999, 1e-8, 160))
    return Curve(lambda y: _thermal_load(law, y / law.quality, temperature), places, "load")


def retrieval(law: PatternLaw, load: float, temperature: float) -> State:
    """The stable retrieval state. Raises ``NoSolutionError``, naming the critical load, where there is none."""
    if load > 0:
        return state_at(law, solve_level(branch(law, temperature), load), temperature)
    branch(law, temperature)  # refuses temperatures without retrieval
    state = state_at(law, _FAR if temperature == 0 else law.quality * _noiseless(law, temperature), temperature)
    if state.susceptibility >= 1:
        raise checks.NoSolutionError("no retrieval state at load 0 and temperature 0: spins whose examples tie are free (C >= 1)")
    return state


def critical(law: PatternLaw, temperature: float) -> State:
    """The retrieval state at the critical load."""
    return state_at(law, maximum(branch(law, temperature)).y, temperature)


def state_at(law: PatternLaw, place: float, temperature: float) -> State:
    """The state at a place of ``branch``."""
    y = np.array([place / law.quality])
    second = law.second_moment
    if temperature == 0:
        m, n, zero = (float(part[0]) for part in law.zero(y))
        c = _zero_susceptibility(law, y, np.array([n]), np.array([zero]))[0]
        s = n / (np.sqrt(2) * y[0] * second)
        return State(float(_zero_load(law, y)[0]), 0.0, m, n, 1.0, n**2, n, float(c), law.fields(n / second, float(s)))
    w = _noise(law, y, temperature)
    m, n, q = (float(part[0]) for part in law.thermal(y, w))
    c = (1 - q) / temperature
    load = float(temperature**2 * w[0] ** 2 / q * law.inverse_noise(c))
    fields = law.fields(temperature * float(y[0]), temperature * float(w[0]))
    return State(load, temperature, m, n, q, n**2, n, c, fields)


def _zero_susceptibility(law: PatternLaw, y: np.ndarray, n: np.ndarray, zero: np.ndarray) -> Float[np.ndarray, " k"]:
    """C = 2 P(h = 0)."""
    return 2 / np.sqrt(np.pi) * y * law.second_moment / n * zero


def _zero_load(law: PatternLaw, y: np.ndarray) -> Float[np.ndarray, " k"]:
    moments = law.zero(y)
    c = _zero_susceptibility(law, y, moments.n, moments.zero)
    return (moments.n / (y * law.second_moment)) ** 2 / 2 * law.inverse_noise(c)


def _noiseless(law: PatternLaw, temperature: float) -> float:
    """a of the state without load: E chibar tanh(a chibar) = a T R, the largest on the branch."""
    second = law.second_moment

    def difference(a: float) -> float:
        return float(law.thermal(np.array([a]), np.zeros(1)).n[0]) / (a * second) - temperature

    # tanh <= 1 bounds a from above; from below the expansion tanh x = x - x^3/3 does, E chibar^4 <= 1
    high = 1.0 / (temperature * second)
    low = min(high, np.sqrt(3 * (1 - temperature) * second)) / 2
    return float(brentq(difference, low, high, xtol=1e-15, rtol=1e-14))


def _noise(law: PatternLaw, a: np.ndarray, temperature: float) -> Float[np.ndarray, " k"]:
    """w at which n(a, w) = a T R; zero beyond the end of the branch."""
    goal = a * temperature * law.second_moment

    def difference(w: np.ndarray, a: np.ndarray, goal: np.ndarray) -> np.ndarray:
        return law.thermal(a, w).n / goal - 1

    # E tanh(b + w z) <= b sqrt(2/pi)/w
    widest = np.full_like(a, 0.8 / temperature)
    result = find_root(difference, (np.zeros_like(a), widest), args=(a, goal), tolerances={"xatol": 1e-14, "xrtol": 1e-14})
    return np.where(result.success, result.x, 0.0)


def _thermal_load(law: PatternLaw, a: np.ndarray, temperature: float) -> Float[np.ndarray, " k"]:
    w = _noise(law, a, temperature)
    q = law.thermal(a, w).q
    return temperature**2 * w**2 / q * law.inverse_noise((1 - q) / temperature)
