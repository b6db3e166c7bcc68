"""How many examples make a concept: the sample size above which the archetype, never shown, is a state of the network."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf

from quenched.numerics import checks
from quenched.theory.hopfield.law import AVERAGES, PatternLaw
from quenched.theory.hopfield.lines import critical_load
from quenched.theory.saddle_point import Curve, maximum

# the load that T = 0 can carry when the archetypes themselves are stored
_LARGEST_LOAD = 0.13790556


def critical_sample_size(
    load: float | int,
    quality: float | int,
    *,
    rule: str = "unsupervised",
    temperature: float | int = 0.0,
    average: str = "binomial",
) -> float | int:
    """M_c: the archetype is a state of the network at this many examples and at every larger number.

    One example always works (it is then itself the pattern), and the critical load first falls and then rises with M: M_c is on
    the rising side. ``average`` "binomial" (default) gives the integer of the exact average, "gaussian" a real number. At small
    r, M_c grows as r^-2 with a teacher (``rule="supervised"``) and as r^-4 without.

    Raises ``NoSolutionError`` where the archetypes themselves could not be stored at that load and temperature, and
    ``ParameterError`` for load <= 0, r outside (0, 1]. Source: arXiv:2109.00454.
    """
    checks.positive("load", float(load))
    checks.one_of("average", average, AVERAGES)
    temperature = float(temperature)
    most = critical_load(PatternLaw(), temperature).load
    if load >= most:
        raise checks.NoSolutionError(f"no number of examples is enough at load {load:g}: known archetypes allow {most:.6g}")

    def margin(examples: float | int, kind: str) -> float:
        try:
            return critical_load(PatternLaw(examples, quality, rule, kind), temperature).load - load
        except checks.NoSolutionError:
            return -load

    first = PatternLaw(1, quality, rule)
    if quality == 1:
        return 1 if average == "binomial" else 1.0
    # upper end: double until the archetype is a state, from where blur alone would allow it
    high = max(2.0, (1 - first.quality**2) / first.quality**2)
    while margin(high, "gaussian") < 0:
        high *= 2
    low = high
    lowest = 1.0 if rule == "unsupervised" else 1e-6
    while low > lowest and margin(low, "gaussian") >= 0:
        low = max(lowest, low / 1.3)
    smooth = low if margin(low, "gaussian") >= 0 else float(brentq(lambda m: margin(m, "gaussian"), low, high, xtol=1e-10))
    if average == "gaussian":
        return smooth
    # numbers of examples with a tie are worse than their neighbours: descend one by one from where the two averages agree
    examples = int(np.ceil(1.1 * smooth)) + 20
    while examples > 1 and margin(examples - 1, "binomial") >= 0:
        examples -= 1
    return examples


def critical_entropy(load: float | int) -> float:
    """rho_c(load): the largest data-set entropy (1 - r^2)/(M r^2) with retrieval at T = 0, supervised rule, Gaussian average.

    M_c = (1 - r^2)/(rho_c r^2). Raises ``ParameterError`` for a load outside (0, 0.1379). Source: arXiv:2203.01304.
    """
    checks.in_interval("load", float(load), 0.0, _LARGEST_LOAD, closed="neither")

    def excess(log_entropy: float) -> float:
        return critical_load(PatternLaw.supervised(float(np.exp(log_entropy)))).load - load

    low, high = np.log(1e-9), 0.0
    while excess(high) > 0:
        high += 1
    return float(np.exp(brentq(excess, low, high, xtol=1e-13)))


def weak_example_load(kappa: float | int) -> float:
    """The critical load at T = 0 of the unsupervised rule for many weak examples, r -> 0 at kappa = (1 - r^2)^2/(M r^4).

    max_y [erf(y)^2/(2 y^2)]/[(1 - C)^-2 + kappa], C = (2/sqrt(pi)) y exp(-y^2)/erf(y); 2/(pi kappa) for large kappa. Raises
    ``ParameterError`` for kappa < 0. Source: arXiv:2109.00454, its limit r -> 0.
    """
    checks.non_negative("kappa", float(kappa))

    def load(y: np.ndarray) -> np.ndarray:
        c = 2 / np.sqrt(np.pi) * y * np.exp(-(y**2)) / erf(y)
        return erf(y) ** 2 / (2 * y**2) / (1 / (1 - c) ** 2 + kappa)

    return maximum(Curve(load, np.geomspace(1e-3, 1e3, 800), "load")).level


def critical_sample_constant(load: float | int) -> float:
    """kappa_c(load): at small r the unsupervised rule needs M_c = 1/(kappa_c r^4) examples, T = 0.

    Raises ``ParameterError`` for a load outside (0, 0.1379).
    """
    checks.in_interval("load", float(load), 0.0, _LARGEST_LOAD, closed="neither")
    high = 2 / (np.pi * load)
    return float(brentq(lambda kappa: weak_example_load(float(kappa)) - load, 0.0, high, xtol=1e-13))
