"""Classifiers made of prototypes by Hebb's rule, in scikit-learn's conventions."""

from quenched.classifiers.hebbian import HebbianClassifier
from quenched.classifiers.replica_layer import ReplicaLayerClassifier

__all__ = ["HebbianClassifier", "ReplicaLayerClassifier"]
