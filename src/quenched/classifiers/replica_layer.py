"""The replica hidden layer: several sub-archetypes per class, found by clustering its examples."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from jaxtyping import Int
from sklearn.cluster import AgglomerativeClustering, KMeans, MiniBatchKMeans

from quenched.classifiers.base import AbstractPrototypeClassifier, Spins
from quenched.numerics import checks

CLUSTERINGS = ("kmeans", "minibatch", "ward")
BATCH = 1024


class ReplicaLayerClassifier(AbstractPrototypeClassifier):
    """L hidden units per class: Hebb's rule inside sub-classes, because a class of real images is a tree and not one archetype.

    The examples of each class are clustered into L groups and every group is a hidden unit with the mean of its examples as
    weights; the label layer takes the class of the most active one. With L = 1 it is ``HebbianClassifier``. The idea is that of
    arXiv:2203.01304; the pre-processing and the clustering are this library's, because the paper's are not published in full.

    Parameters, all by keyword:
        replicas     L >= 1 (default 10), at most the number of examples of the smallest class. A class with fewer *different*
                     examples than L gets one unit for each.
        scoring      rule of the activity: ``overlap``, ``centred``, ``cosine`` (default), ``euclid``, ``sign``; see
                     ``classifiers.scoring.hidden_layer``.
        clustering   ``kmeans`` (default), ``minibatch`` (k-means on batches of 1024 examples), or ``ward`` (the agglomerative
                     tree cut at L leaves; memory grows as the square of the size of a class).
        label_layer  ``winner`` (default): the class of the largest s. ``softmax``: of the largest sum_l exp(b s_cl).
        sharpness    b > 0, default 100, for scores of order 1.
        threshold    None (default): pixels must be +-1. A number: pixels above it are +1, the others -1.
        n_init       starts of k-means of which the best is kept, default 3; Ward's tree has none.
        random_state seed of k-means (None: another one every time).

    After ``fit``: ``classes_``, ``mean_`` (N,), ``class_means_`` (classes, N), ``prototypes_`` (units, N) ordered by class,
    ``prototype_classes_`` (units,), and the hidden layer ``weights_``, ``biases_``. Raises as ``fit`` says.
    """

    def __init__(
        self,
        *,
        replicas: Any = 10,
        scoring: Any = "cosine",
        clustering: Any = "kmeans",
        label_layer: Any = "winner",
        sharpness: Any = 100.0,
        threshold: Any = None,
        n_init: Any = 3,
        random_state: Any = None,
    ):
        self.replicas = replicas
        self.scoring = scoring
        self.clustering = clustering
        self.label_layer = label_layer
        self.sharpness = sharpness
        self.threshold = threshold
        self.n_init = n_init
        self.random_state = random_state

    def _check(self, smallest: tuple[Any, int]) -> None:
        super()._check(smallest)
        checks.integer_at_least("replicas", _plain(self.replicas), 1)
        checks.integer_at_least("n_init", _plain(self.n_init), 1)
        checks.one_of("clustering", self.clustering, CLUSTERINGS)
        label, count = smallest
        if self.replicas > count:
            raise checks.ParameterError(
                f"replicas must be at most the number of examples of the smallest class, got {self.replicas} where class "
                f"{label!r} has {count} sample{'s' * (count > 1)}"
            )

    def _group(self, spins: Spins) -> Int[np.ndarray, " n"]:
        # a clustering cannot tell equal images apart, and would warn
        different = len(np.unique(np.packbits(spins > 0, axis=1), axis=0))
        groups = min(int(self.replicas), different)
        if groups == 1:
            return np.zeros(len(spins), int)
        if self.clustering == "ward":
            return AgglomerativeClustering(groups, linkage="ward").fit_predict(spins)
        common = {"n_init": int(self.n_init), "random_state": self.random_state}
        means = KMeans(groups, **common) if self.clustering == "kmeans" else MiniBatchKMeans(groups, batch_size=BATCH, **common)
        # float32 holds +-1 exactly and halves memory and time
        return means.fit_predict(spins.astype(np.float32))


def _plain(value: Any) -> Any:
    """A Python integer of any integer: grids of parameters are often NumPy arrays."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value
