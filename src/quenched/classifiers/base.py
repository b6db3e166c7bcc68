"""What classifiers made of prototypes have in common: one hidden unit per prototype, one label unit per class."""

from __future__ import annotations

import abc
import copy
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int, Int8
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from quenched.classifiers.scoring import hidden_layer
from quenched.numerics import checks
from quenched.records.labels import LABELS, Label, register_label

register_label("prototype", Label("weights of a hidden unit", "W", dims=("unit", "pixel")))

CHUNK = 4096
"""Images whose hidden activity is in memory at once."""

POOLS = {"winner": np.maximum, "softmax": np.logaddexp}

Spins = Int8[np.ndarray, "n N"]


class AbstractPrototypeClassifier(ClassifierMixin, BaseEstimator):
    """Supervised Hebbian learning on images of +-1 pixels: the weights of a hidden unit are the mean of examples of one class.

    Subclasses say by ``_group`` which examples of a class share a unit. Fields ``scoring``, ``threshold``, ``sharpness``,
    ``label_layer`` are explained in ``ReplicaLayerClassifier``. scikit-learn's conventions: constructors store, ``fit`` checks.
    """

    # one unit per class has no choice to make; a subclass with several makes it a parameter
    label_layer: Any = "winner"
    scoring: Any
    threshold: Any
    sharpness: Any

    @abc.abstractmethod
    def _group(self, spins: Spins) -> Int[np.ndarray, " n"]:
        """The hidden unit, a number from 0, of every example of one class."""

    def _check(self, smallest: tuple[Any, int]) -> None:
        """Raise ``ParameterError`` for parameters that do not fit; ``smallest`` is a class with fewest examples, and how many."""
        if self.threshold is not None:
            checks.finite("threshold", self.threshold)
        checks.positive("sharpness", self.sharpness)
        checks.one_of("label_layer", self.label_layer, POOLS)

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from images ``X`` (n, N) and their classes ``y`` (n,), any labels; returns the classifier.

        Raises ``ParameterError`` for pixels that are not +-1 where ``threshold`` is None, and for the parameters' own rules;
        ``ValueError`` (scikit-learn's) for NaN, empty or ragged arrays.
        """
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        self.classes_, members, counts = np.unique(y, return_inverse=True, return_counts=True)
        self._check((self.classes_.tolist()[counts.argmin()], int(counts.min())))
        spins = self._spins(X)
        self.mean_ = spins.mean(axis=0)
        parts = [spins[members == c] for c in range(len(self.classes_))]
        self.class_means_ = np.stack([part.mean(axis=0) for part in parts])
        means = [_means(part, self._group(part)) for part in parts]
        self.prototypes_ = np.concatenate(means)
        self.prototype_classes_ = np.repeat(self.classes_, [len(m) for m in means])
        self._starts = np.cumsum([0, *(len(m) for m in means[:-1])])
        self.weights_, self.biases_ = hidden_layer(self.scoring, self.prototypes_, self.mean_)
        return self

    def with_scoring(self, scoring: str) -> Any:
        """A fitted copy with the same prototypes under another rule of the activity: no clustering is done again."""
        check_is_fitted(self)
        other = copy.copy(self).set_params(scoring=scoring)
        other.weights_, other.biases_ = hidden_layer(scoring, self.prototypes_, self.mean_)
        return other

    def hidden_activity(self, X: Any) -> Float[np.ndarray, "n units"]:
        """s of every hidden unit on every image, as ``scoring`` says; of order 1 at every N."""
        return self._hidden(self._validated(X))

    def _class_activity(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """max_l s ("winner") or (1/b) ln sum_l exp(b s) ("softmax") over the units l of each class."""
        X = self._validated(X)
        activity = np.empty((len(X), len(self.classes_)))
        for begin in range(0, len(X), CHUNK):
            part = slice(begin, begin + CHUNK)
            scaled = self.sharpness * self._hidden(X[part])
            activity[part] = POOLS[self.label_layer].reduceat(scaled, self._starts, axis=1) / self.sharpness
        return activity

    def decision_function(self, X: Any) -> Float[np.ndarray, ...]:
        """Activity of the label units (n, classes): of the winner among the hidden units of a class, or their soft maximum.

        Two classes: (n,), the second minus the first, as everywhere in scikit-learn.
        """
        activity = self._class_activity(X)
        return activity[:, 1] - activity[:, 0] if len(self.classes_) == 2 else activity

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:
        """P(c) proportional to exp(b a_c) with a_c the activity of label unit c: to sum_l exp(b s_cl) for ``softmax``.

        A ranking, not a calibrated probability: b = ``sharpness`` is given, not learnt.
        """
        return softmax(self.sharpness * self._class_activity(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The class (n,) of the most active label unit."""
        winners = self._class_activity(X).argmax(axis=1)
        return self.classes_[winners]

    def to_dataset(self) -> xr.Dataset:
        """``prototype`` (unit, pixel) with the coordinate ``label``, the class of each unit: what ``plot.prototypes`` draws."""
        check_is_fitted(self)
        labels = ("unit", self.prototype_classes_, {"long_name": "class", "symbol": "c", "units": "1"})
        variable = (("unit", "pixel"), self.prototypes_, LABELS["prototype"].attributes())
        return xr.Dataset({"prototype": variable}, {"label": labels})

    def _validated(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype="numeric", reset=False)

    def _hidden(self, X: np.ndarray) -> Float[np.ndarray, "n units"]:
        # divided last, so that the integer scores of "sign" tie exactly
        return (self._spins(X) @ self.weights_.T + self.biases_) / X.shape[1]

    def _spins(self, X: np.ndarray) -> Spins:
        if self.threshold is not None:
            return np.where(self.threshold < X, np.int8(1), np.int8(-1))
        wrong = np.abs(X) != 1
        if wrong.any():
            raise checks.ParameterError(
                f"X must be +1 or -1 where threshold is None (a number makes pixels above it +1), got {X[wrong][0].item()!r}"
            )
        return X.astype(np.int8)


def _means(spins: Spins, group: Int[np.ndarray, " n"]) -> Float[np.ndarray, "groups N"]:
    """Hebb's rule inside each group."""
    return np.stack([spins[group == k].mean(axis=0) for k in np.unique(group)])
