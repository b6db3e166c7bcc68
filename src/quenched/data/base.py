"""Data that are given, not drawn: what a data set is, and data that a user brings."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import numpy as np

from quenched.numerics import checks
from quenched.records.description import public


class AbstractData(eqx.Module):
    """A data set. Its fields say which one; ``load`` reads it."""

    @abc.abstractmethod
    def load(self) -> Arrays:
        """The samples as NumPy arrays."""


def _array(value: Any) -> np.ndarray | None:
    return None if value is None else np.asarray(value)


@public
class Arrays(AbstractData):
    """Data in memory: ``x`` (n, ...) and ``y`` (n, ...), with held-out ``x_test``, ``y_test`` of the same sample shapes.

    Kept as NumPy arrays as they come. A file stores shape, type and SHA-256 of each; to rebuild a run, pass the data again. Two
    are equal if their contents are.

    Raises ``ParameterError``, by name, for empty or non-finite arrays and for shapes that do not fit.
    """

    x: np.ndarray = eqx.field(converter=_array)
    y: np.ndarray = eqx.field(converter=_array)
    x_test: np.ndarray | None = eqx.field(default=None, converter=_array)
    y_test: np.ndarray | None = eqx.field(default=None, converter=_array)

    def __check_init__(self) -> None:
        if (self.x_test is None) != (self.y_test is None):
            missing = "x_test" if self.x_test is None else "y_test"
            raise checks.ParameterError(f"{missing} must be given too: held-out data are x_test and y_test, or neither")
        _check_pair(("x", self.x), ("y", self.y))
        if self.x_test is not None and self.y_test is not None:
            _check_pair(("x_test", self.x_test), ("y_test", self.y_test))
            _check_trailing("x_test", self.x_test, self.x)
            _check_trailing("y_test", self.y_test, self.y)

    def load(self) -> Arrays:
        return self


def _check_pair(x: tuple[str, np.ndarray], y: tuple[str, np.ndarray]) -> None:
    for name, array in (x, y):
        if array.ndim == 0 or array.shape[0] == 0:
            raise checks.ParameterError(f"{name} must have at least one sample along its first axis, got shape {array.shape}")
        if array.dtype.kind not in "biuf":
            raise checks.ParameterError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
        if not np.all(np.isfinite(array)):
            raise checks.ParameterError(f"{name} must be finite, got {np.sum(~np.isfinite(array))} bad entries")
    if len(x[1]) != len(y[1]):
        raise checks.ParameterError(f"{y[0]} must have as many samples as {x[0]}, got {len(y[1])} and {len(x[1])}")


def _check_trailing(name: str, test: np.ndarray, train: np.ndarray) -> None:
    if test.shape[1:] != train.shape[1:]:
        raise checks.ParameterError(
            f"{name} must have the sample shape {train.shape[1:]} of the training data, got {test.shape[1:]}"
        )
