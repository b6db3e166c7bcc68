"""Data that a user brings: equality by content, description by checksum, refusals."""

from __future__ import annotations

import hashlib

import jax.numpy as jnp
import numpy as np
import pytest

from quenched.data import Arrays
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, canonical_json, describe

X, Y = np.arange(12.0).reshape(4, 3), np.array([1, -1, 1, -1])


def test_content_decides_equality() -> None:
    assert Arrays(X, Y) == Arrays(X.copy(), Y.copy())
    assert Arrays(X, Y) != Arrays(X + 1, Y)
    assert Arrays(X, Y) != Arrays(X, Y, X, Y)


def test_arrays_stay_as_they_come() -> None:
    data = Arrays(X, Y.tolist(), jnp.asarray(X[:1]), [1])
    assert isinstance(data.x_test, np.ndarray)
    assert data.x.dtype == np.float64
    assert data.load() is data


def test_the_description_is_a_checksum() -> None:
    text = canonical_json(describe(Arrays(X, Y)))
    assert hashlib.sha256(X.tobytes()).hexdigest() in text
    assert len(text) < 500
    with pytest.raises(ParameterError, match="pass the data again"):
        build(describe(Arrays(X, Y)))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((X, Y[:3]), "y must have as many samples as x, got 3 and 4"),
        ((X[:0], Y[:0]), "x must have at least one sample"),
        ((X, 1.0), "y must have at least one sample"),
        ((np.full((4, 3), np.nan), Y), "x must be finite, got 12 bad"),
        ((X, np.array([1, np.inf, 1, 1])), "y must be finite"),
        ((X, np.array(["a", "b", "c", "d"])), "y must be an array of real numbers"),
        ((X, Y, X), "y_test must be given too"),
        ((X, Y, None, Y), "x_test must be given too"),
        ((X, Y, X[:, :2], Y), "x_test must have the sample shape"),
        ((X, Y, X, Y[:, None]), "y_test must have the sample shape"),
        ((X, Y, X, Y[:2]), "y_test must have as many samples as x_test"),
    ],
)
def test_refusals(arguments: tuple, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        Arrays(*arguments)
