"""What one step, or one look at the class means, can tell: signal against noise, without a saddle point."""

from __future__ import annotations

import numpy as np
from scipy.special import erf, ndtr

from quenched.models.hopfield import Hopfield
from quenched.numerics import checks
from quenched.numerics.quadrature import normal_grid
from quenched.theory.hopfield.law import PatternLaw


def one_step_overlap(model: Hopfield, average: str = "auto") -> float:
    """m after one parallel step from the archetype at T = 0, N -> infinity: E erf((chibar/r)/sqrt(2 v)).

    v = load (1 + (1 - r^4)/(M r^4)) unsupervised, load (1 + rho)^2 supervised; ``average`` as in ``PatternLaw.of``. Its Gaussian
    form erf(1/sqrt(2 (rho + v))) is the rule of thumb of arXiv:2109.00454: about enough examples where rho + v <= 1.
    """
    law = PatternLaw.of(model, average)
    r, count = model.quality, model.examples
    excess = (1 + law.entropy) ** 2 if law.rule == "supervised" else 1 + (1 - r**4) / (count * r**4)
    noise = model.load * excess
    if law.average == "gaussian":
        total = law.entropy + noise
        return float(erf(1 / np.sqrt(2 * total))) if total > 0 else 1.0
    values, weights = law.chibar()
    if noise == 0:
        return float(weights @ np.sign(values))
    return float(weights @ erf(values / (r * np.sqrt(2 * noise))))


def classifier_accuracy(size: int, classes: int, examples: int, quality: float | int) -> float:
    """P(the class mean with the largest overlap is the right one) for a fresh example among K ``classes`` of N = ``size`` pixels.

    E_g Phi((r^2 + s_1 g)/s_0)^(K - 1), s_0^2 = R/N, s_1^2 = (R - r^4)/N, for means of M ``examples``. Raises ``ParameterError``
    for N < 2, K < 1, M < 1, r outside (0, 1]. Source: arXiv:2203.01304 (model); signal and noise to leading order in N.
    """
    checks.integer_at_least("size", size, 2)
    checks.integer_at_least("classes", classes, 1)
    law = PatternLaw(examples, quality, "supervised")
    g, weights = normal_grid(0.02)
    second = law.second_moment
    right = quality**2 + np.sqrt((second - quality**4) / size) * g
    return float(weights @ ndtr(right / np.sqrt(second / size)) ** (classes - 1))


def mean_cosine(law: PatternLaw) -> float:
    """Cosine between the mean of M examples and their archetype: 1/sqrt(1 + rho)."""
    return float(1 / np.sqrt(1 + law.entropy))


def sign_overlap(law: PatternLaw) -> float:
    """Overlap of the sign of an example average with the archetype: E sign chibar (ties count 0), or erf(1/sqrt(2 rho))."""
    if law.average == "binomial":
        values, weights = law.chibar()
        return float(weights @ np.sign(values))
    return float(erf(1 / np.sqrt(2 * law.entropy))) if law.entropy else 1.0
