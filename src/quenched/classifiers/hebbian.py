"""The supervised Hebbian network: one hidden unit per class."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from quenched.classifiers.base import AbstractPrototypeClassifier, Spins


class HebbianClassifier(AbstractPrototypeClassifier):
    """One hidden unit per class, whose weights are the mean of its examples: supervised Hebbian learning (arXiv:2203.01304).

    It is the restricted Boltzmann machine with one "grandmother cell" per class that is dual to the Hopfield model with
    J_ij proportional to sum_c W_i^c W_j^c, read as a classifier: the class of the image x is that of the most active unit.

    Parameters, all by keyword:
        scoring      rule of the activity, one of ``overlap``, ``centred``, ``cosine`` (default), ``euclid``, ``sign``; see
                     ``classifiers.scoring.hidden_layer``. Plain Hebb is ``overlap``; it needs classes of equal norm that do
                     not overlap, as random archetypes are and images are not.
        threshold    None (default): pixels must be +-1. A number: pixels above it are +1, the others -1.
        sharpness    b > 0 in ``predict_proba``, P(c) proportional to exp(b s_c); default 100. It changes no prediction.

    After ``fit``: ``classes_``, ``mean_`` (N,) over all examples, ``class_means_`` = ``prototypes_`` (classes, N),
    ``prototype_classes_``, and the hidden layer ``weights_``, ``biases_``.

    On random archetypes (N, K, M, r) the accuracy with ``overlap`` is E_g Phi((r^2 + s_1 g)/s_0)^(K-1), s_0^2 = R/N, s_1^2 =
    (R - r^4)/N, R = r^2 + (1 - r^2)/M. A class is whatever label occurs in ``y``, as everywhere in scikit-learn, so that none
    is empty. Raises as ``fit`` says.
    """

    def __init__(self, *, scoring: Any = "cosine", threshold: Any = None, sharpness: Any = 100.0):
        self.scoring = scoring
        self.threshold = threshold
        self.sharpness = sharpness

    def _group(self, spins: Spins) -> Int[np.ndarray, " n"]:
        return np.zeros(len(spins), int)
