"""The state of a single example, memorised one by one by the unsupervised rule: overlap n_1 with it, n' with the others.

h = (n_1 chi_1 + n' S)/(M R) + sqrt(load p) z with S the sum of the other M - 1 signs. The state is found at a small load and
followed to the load asked for; where it merges with the archetype's, or ends at a fold before, it does not exist.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import erf

from quenched.numerics import checks
from quenched.numerics.quadrature import binomial
from quenched.theory.hopfield.fields import FieldLaw, State, grid
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.retrieval import check_temperature, retrieval
from quenched.theory.saddle_point import Branch, follow, iterate

# where the branch begins: small against any critical load, large enough for the noise to be smooth
_FIRST_LOAD = 1e-3
# overlaps with the example and with the others that are closer than this belong to the archetype's state
_SAME = 1e-3

Vector = Float[np.ndarray, " 3"]


class _Equations:
    """F(x; load) at one temperature, x = (n_1, n', q), or (n_1, n', C) at T = 0."""

    def __init__(self, law: PatternLaw, temperature: float):
        self.law, self.temperature = law, temperature
        agree, weights = binomial(int(law.examples) - 1, (1 + law.quality) / 2)
        self.others = 2 * agree - (law.examples - 1)
        # (sign of the example, sum of the others), in the gauge xi = 1
        self.own = np.repeat([1.0, -1.0], len(agree))
        self.sums = np.tile(self.others, 2)
        self.weights = np.concatenate([(1 + law.quality) / 2 * weights, (1 - law.quality) / 2 * weights])

    def susceptibility(self, x: Vector) -> float:
        return float(x[2] if self.temperature == 0 else (1 - x[2]) / self.temperature)

    def width(self, x: Vector, load: float) -> float:
        """Standard deviation of the field: sqrt(load p)."""
        q = 1.0 if self.temperature == 0 else max(x[2], 0.0)
        return float(np.sqrt(load * q / max(float(self.law.inverse_noise(self.susceptibility(x))), 1e-12)))

    def fields(self, x: Vector) -> np.ndarray:
        return (x[0] * self.own + x[1] * self.sums) / (self.law.examples * self.law.second_moment)

    def signs(self, x: Vector, load: float) -> tuple[np.ndarray, np.ndarray]:
        """E_z tanh(beta h) for every configuration of signs, and E_z tanh^2 (T > 0) or twice the density of h = 0 (T = 0)."""
        h, s = self.fields(x), self.width(x, load)
        if self.temperature == 0:
            scaled = h / (np.sqrt(2) * s)
            return erf(scaled), np.sqrt(2 / np.pi) / s * np.exp(-(scaled**2))
        z, normal = grid(s / self.temperature)
        f = np.tanh((h[:, None] + s * z) / self.temperature)
        return f @ normal, f**2 @ normal

    def update(self, x: Vector, load: float) -> Vector:
        first, second = self.signs(x, load)
        others = self.weights @ (self.sums * first) / (self.law.examples - 1)
        return np.array([self.weights @ (self.own * first), others, self.weights @ second])


def example_state(law: PatternLaw, load: float, temperature: float) -> tuple[State, float]:
    """The state of one example, and n'. Raises ``NoSolutionError`` where it does not exist, ``ConvergenceError`` as ``follow``.

    For M = 1 it is the archetype's. Raises ``IncompatibleError`` for the supervised rule, which stores no single example, and
    ``ParameterError`` for the Gaussian average, in which none can be told from the others, or load 0.
    """
    check_temperature(temperature)
    if law.rule == "supervised":
        raise checks.IncompatibleError("state='example' needs rule='unsupervised': the supervised rule stores averages only")
    if law.average == "gaussian":
        raise checks.ParameterError("average must be 'binomial' for state='example', got 'gaussian'")
    checks.positive("load", load)
    if law.examples == 1:
        state = retrieval(law, load, temperature)
        return state, state.n
    equations = _Equations(law, temperature)
    branch = _branch(equations, load)
    if branch.ended != "until":
        at = f", at load {branch.folds[-1].parameter:.6g}" if branch.folds else ""
        raise checks.NoSolutionError(f"no state of a single example at load {load:.6g}: its branch ends before{at}")
    x = branch.points[-1]
    if x[0] - x[1] < _SAME:
        raise checks.NoSolutionError(f"no state of a single example at load {load:.6g}: it has merged with the archetype's")
    return _state(equations, x, load), float(x[1])


def _branch(equations: _Equations, load: float) -> Branch:
    law = equations.law
    first = min(_FIRST_LOAD, load)
    start = np.array([1.0, law.quality**2, 0.01 if equations.temperature == 0 else 0.99])

    def reason(x: Vector) -> str:
        if equations.susceptibility(x) >= 1:
            return "C >= 1"
        return "it is the archetype's state" if x[0] - x[1] < _SAME else ""

    try:
        found = iterate(lambda x: equations.update(x, first), start, tolerance=1e-11, admissible=reason)
    except checks.NoSolutionError as error:
        raise checks.NoSolutionError(f"no state of a single example at load {load:.6g}: {error}") from None
    if first == load:
        return Branch(np.array([load]), found.value[None], np.array([True]), (), "until")
    return follow(
        lambda x, at: equations.update(x, at) - x,
        found.value,
        first,
        until=load,
        step=0.1,
        stop_at_fold=True,
        admissible=lambda x, at: equations.susceptibility(x) < 1 and at > 0,
    )


def _state(equations: _Equations, x: Vector, load: float) -> State:
    law, temperature = equations.law, equations.temperature
    first, _ = equations.signs(x, load)
    count = law.examples
    q = 1.0 if temperature == 0 else float(x[2])
    return State(
        load=load,
        temperature=temperature,
        m=float(equations.weights @ first),
        n=float((x[0] + (count - 1) * x[1]) / count),
        q=q,
        square=float((x[0] ** 2 + (count - 1) * x[1] ** 2) / count),
        largest=float(x[0]),
        susceptibility=equations.susceptibility(x),
        fields=FieldLaw(equations.fields(x), equations.weights, equations.width(x, load)),
    )
