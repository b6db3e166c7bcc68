"""What the spins of a network feel: the law of the local fields, whose gap at T = 0 is the reaction of the others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from quenched.models.hopfield import Hopfield
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.retrieval import retrieval


def reaction(law: PatternLaw, load: float, susceptibility: float) -> float:
    """Delta in xi_i sum_j J_ij <sigma_j> = h + Delta <sigma>: load sum_k mu_k lambda_k^2 C/(1 - lambda_k C), J_ii = 0.

    The spin polarises the overlaps with all other patterns, each by lambda/(1 - lambda C), and these act back; the part
    lambda of it that is its own diagonal coupling is left out.
    """
    values, counts = law.spectrum
    return float(load * np.sum(counts * values**2 * susceptibility / (1 - values * susceptibility)))


def local_field_density(model: Hopfield, fields: Float[np.ndarray, " n"], *, average: str = "auto") -> Float[np.ndarray, " n"]:
    """Density of the local fields xi_i sum_j J_ij sigma_j of the retrieval state at T = 0, at ``fields`` (n,).

    A mixture of Gaussians, one for each value of the example average, cut in two at 0 and moved apart by twice the reaction
    Delta = load sum_k mu_k lambda_k^2 C/(1 - lambda_k C): no spin feels less than Delta. Compare ``field_histogram``.
    ``average`` as in ``equilibrium``; raises ``NoSolutionError`` above the critical load.
    """
    law = PatternLaw.of(model, average)
    state = retrieval(law, model.load, 0.0)
    unit = 1.0 if model.normalise else law.second_moment
    h = np.asarray(fields, float) / unit
    gap = reaction(law, model.load, state.susceptibility)
    return np.where(np.abs(h) < gap, 0.0, state.fields.density(h - gap * np.sign(h))) / unit
