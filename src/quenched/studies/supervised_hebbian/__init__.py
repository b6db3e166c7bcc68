"""Supervised Hebbian learning: a teacher, a phase diagram, and a hidden layer of replicas for real images."""

from quenched.studies.supervised_hebbian.study import SupervisedHebbian

__all__ = ["SupervisedHebbian"]
