"""How a hidden unit scores an image: every rule is an affine map of the pixels, that is weights and biases of an RBM."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from quenched.numerics.checks import ParameterError, one_of

SCORINGS = ("overlap", "centred", "cosine", "euclid", "sign")
"""Names of the rules, see ``hidden_layer``."""

Layer = tuple[Float[np.ndarray, "units N"], Float[np.ndarray, " units"]]


def hidden_layer(scoring: str, prototypes: Float[np.ndarray, "units N"], mean: Float[np.ndarray, " N"]) -> Layer:
    """Weights A and biases b of the hidden units: the activity of unit k on the image x is s_k = (A_k.x + b_k)/N, pixels +-1.

    With W_k the prototype of unit k (the mean of the examples that it stores) and mu the mean over all training examples:

        overlap   s = x.W/N                   plain Hebb's rule on the means
        centred   s = (x - mu).(W - mu)/N     without what all classes have in common
        cosine    s = x.W/(|W| sqrt(N))       every unit normalised by its own second moment R = |W|^2/N
        euclid    s = (2 x.W - |W|^2)/N       = 1 - |x - W|^2/N: Hebb's rule with the bias of a hidden unit
        sign      s = x.sign(W)/N             the estimated archetype itself, sign(0) = 0

    Scores are of order 1 at every N. Raises ``ParameterError`` for another name, and for ``cosine`` with W = 0.
    """
    one_of("scoring", scoring, SCORINGS)
    squared = np.sum(prototypes**2, axis=1)
    bias = np.zeros(len(prototypes))
    if scoring == "overlap":
        return prototypes, bias
    if scoring == "centred":
        weights = prototypes - mean
        return weights, -weights @ mean
    if scoring == "euclid":
        return 2 * prototypes, -squared
    if scoring == "sign":
        return np.sign(prototypes), bias
    if not np.all(squared > 0):
        raise ParameterError(f"scoring='cosine' must have prototypes other than zero, got |W| = 0 in unit {squared.argmin()}")
    return prototypes * np.sqrt(prototypes.shape[1] / squared)[:, None], bias
