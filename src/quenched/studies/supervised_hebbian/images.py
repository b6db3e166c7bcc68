"""Supervised Hebbian learning on images: how far one archetype per class goes, and what a layer of replicas adds.

Nothing is chosen on the test set: every layer is learnt twice, from the training images without the last ``held_out`` ones,
whose accuracy is what a choice would be made on, and from all of them for the accuracy on the test set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched.classifiers import HebbianClassifier, ReplicaLayerClassifier
from quenched.classifiers.scoring import SCORINGS
from quenched.data.digits import AbstractDigits
from quenched.numerics import checks
from quenched.observables import ordered_overlaps, ultrametricity
from quenched.records.labels import Label, register_label

if TYPE_CHECKING:
    from quenched.studies.supervised_hebbian.study import SupervisedHebbian

register_label("image_accuracy", Label("accuracy on images", "A"))

SETS = ("validation", "test")
_SHOWN = 10
_TRIANGLE_IMAGES = 6000

Labelled = tuple[np.ndarray, np.ndarray]


def measured(study: SupervisedHebbian, seed: int) -> dict[str, xr.Dataset]:
    """Parts ``layers``, ``saturation``, ``prototypes``, ``overlaps`` and ``ultrametricity`` of the experiment."""
    if study.data is None:
        return {}
    training, test = binary(study.data, study.ink)
    rest = len(training[0]) - study.held_out
    if rest < max(study.replicas):
        raise checks.ParameterError(f"held_out must leave images to learn from, got {study.held_out} of {len(training[0])}")
    kept = training[0][:rest], training[1][:rest]
    validation = training[0][rest:], training[1][rest:]
    scores, layer = layers(study.replicas, {"validation": (kept, validation), "test": (training, test)}, seed)
    return {
        "layers": scores,
        "saturation": saturation(training, test, study.per_class, study.draws, seed),
        "prototypes": layer.to_dataset(),
        "overlaps": ordered_overlaps(training[0][: study.tree_images], training[1][: study.tree_images]),
        "ultrametricity": trees(training, study.tree_images, seed),
    }


def binary(data: AbstractDigits, ink: float) -> tuple[Labelled, Labelled]:
    """Training and test images of +-1 pixels, and their classes."""
    (x, y), (x_test, y_test) = data.images()
    return (_signs(x, ink), y), (_signs(x_test, ink), y_test)


def layers(
    replicas: tuple[int, ...], tasks: dict[str, tuple[Labelled, Labelled]], seed: int
) -> tuple[xr.Dataset, ReplicaLayerClassifier]:
    """``image_accuracy`` (set, scoring, replicas) and the layer of about ten replicas that was learnt from everything."""
    values = np.empty((len(tasks), len(SCORINGS), len(replicas)))
    kept: dict[int, ReplicaLayerClassifier] = {}
    for i, (learnt, asked) in enumerate(tasks.values()):
        for k, count in enumerate(replicas):
            layer = ReplicaLayerClassifier(replicas=count, clustering="minibatch", random_state=seed).fit(*learnt)
            values[i, :, k] = [layer.with_scoring(name).score(*asked) for name in SCORINGS]
            kept[count] = layer
    count = min(replicas, key=lambda value: abs(value - _SHOWN))
    coords = {"set": list(tasks), "scoring": list(SCORINGS), "replicas": ("replicas", list(replicas), _REPLICAS)}
    return xr.Dataset({"image_accuracy": (("set", "scoring", "replicas"), values)}, coords), kept[count]


def saturation(training: Labelled, test: Labelled, per_class: tuple[int, ...], draws: int, seed: int) -> xr.Dataset:
    """``image_accuracy`` (per_class,) of one archetype per class, scoring "centred", with its error over random choices."""
    x, y = training
    members = [np.flatnonzero(y == label) for label in np.unique(y)]
    rng = np.random.default_rng(seed)
    values = np.empty((len(per_class), draws))
    for i, count in enumerate(per_class):
        for j in range(draws):
            chosen = np.concatenate([rng.choice(own, min(count, len(own)), replace=False) for own in members])
            values[i, j] = HebbianClassifier(scoring="centred").fit(x[chosen], y[chosen]).score(*test)
    coords = {"per_class": ("per_class", list(per_class), {"long_name": "examples per class", "symbol": "M", "units": "1"})}
    variables = {"image_accuracy": values.mean(1), "image_accuracy_error": values.std(1, ddof=1) / draws**0.5}
    return xr.Dataset({name: ("per_class", value) for name, value in variables.items()}, coords)


def trees(training: Labelled, tree_images: int, seed: int) -> xr.Dataset:
    """Ultrametric index and cophenetic correlation of every class and of all images, beside the surrogate's."""
    x, y = training[0][:_TRIANGLE_IMAGES], training[1][:_TRIANGLE_IMAGES]
    sets = {"all": x} | {str(label): x[y == label] for label in np.unique(y)}
    parts = [ultrametricity(own, tree_samples=min(tree_images, len(own)), seed=seed) for own in sets.values()]
    names = xr.IndexVariable("class", list(sets), {"long_name": "class", "symbol": "c", "units": "1"})
    return xr.concat(parts, names, combine_attrs="drop_conflicts")


_REPLICAS = {"long_name": "sub-archetypes per class", "symbol": "L", "units": "1"}


def _signs(x: np.ndarray, ink: float) -> np.ndarray:
    return np.where(x > ink, np.int8(1), np.int8(-1))
