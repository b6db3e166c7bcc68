"""The replica hidden layer against scikit-learn's restricted Boltzmann machine with logistic regression on its hidden units.

MNIST where ``QUENCHED_DATA`` has it, binarised alike for both. The larger machine has as many hidden units as the replica layer.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline

from quenched.classifiers import HebbianClassifier, ReplicaLayerClassifier
from quenched.data import Mnist

UNITS = 100
"""Hidden units per class of the replica layer."""


def machine(units: int, epochs: int) -> Any:
    """The common pipeline; the learning rate is the one that scikit-learn's own example on digits found by a grid search."""
    rbm = BernoulliRBM(units, learning_rate=0.06, n_iter=epochs, batch_size=100, random_state=0)
    return make_pipeline(rbm, LogisticRegression())


def measured(model: Any, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """Seconds to learn, seconds to classify the test set, accuracy on it; learning is timed once, it takes minutes."""
    begin = time.perf_counter()
    model.fit(*train)
    learnt = time.perf_counter()
    accuracy = model.score(*test)
    return learnt - begin, time.perf_counter() - learnt, accuracy


def table() -> str:
    """Markdown: time and accuracy of each."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    (x, y), (x_test, y_test) = Mnist().images()
    ink, ink_test = x > 0.5, x_test > 0.5
    spins = [np.where(image, np.int8(1), np.int8(-1)) for image in (ink, ink_test)]
    # what each expects: +-1, and probabilities in [0, 1]
    inputs = {"spins": spins, "bits": [image.astype(np.float32) for image in (ink, ink_test)]}
    layer = ReplicaLayerClassifier(replicas=UNITS, clustering="minibatch", random_state=0)
    lloyd = ReplicaLayerClassifier(replicas=UNITS, n_init=1, random_state=0)
    entries: dict[str, tuple[Any, str]] = {
        "quenched, class means, cosine": (HebbianClassifier(), "spins"),
        f"quenched, replica layer, L = {UNITS}, mini-batch k-means": (layer, "spins"),
        f"quenched, replica layer, L = {UNITS}, Lloyd's k-means, one start": (lloyd, "spins"),
        "scikit-learn, logistic regression on pixels": (LogisticRegression(), "bits"),
        "scikit-learn, RBM of 100 units, 10 epochs": (machine(100, 10), "bits"),
        f"scikit-learn, RBM of {10 * UNITS} units, 5 epochs": (machine(10 * UNITS, 5), "bits"),
    }
    lines = [
        f"MNIST, pixels above 127 are ink, {len(y)} training and {len(y_test)} test images, one core. Every model is trained "
        "once, with its seed; none was tuned on these images. RBM: `BernoulliRBM` and `LogisticRegression` on its hidden units.",
        "",
        "| model | training, s | test, s | accuracy |",
        "|---|---|---|---|",
    ]
    for name, (model, kind) in entries.items():
        images, images_test = inputs[kind]
        seconds, test, accuracy = measured(model, (images, y), (images_test, y_test))
        lines.append(f"| {name} | {seconds:.1f} | {test:.2f} | {accuracy:.4f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
