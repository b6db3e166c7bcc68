"""Data sets with checksums, and data that a user brings."""

from quenched.data.base import AbstractData, Arrays
from quenched.data.cifar import Cifar10
from quenched.data.digits import AbstractDigits, Digits, Mnist
from quenched.data.mnist import DamagedDataError, MissingDataError
from quenched.data.teacher import GaussianTeacher

__all__ = [
    "AbstractData",
    "AbstractDigits",
    "Arrays",
    "Cifar10",
    "DamagedDataError",
    "Digits",
    "GaussianTeacher",
    "MissingDataError",
    "Mnist",
]
