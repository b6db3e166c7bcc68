"""Data of a known teacher."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quenched.data import GaussianTeacher
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe


def test_the_law_of_the_inputs() -> None:
    data = GaussianTeacher(dimension=4, train=40_000, test=1)
    arrays = data.load()
    variances = 2.0 * np.arange(1, 5) ** -0.7
    np.testing.assert_allclose(np.cov(arrays.x.T), np.diag(variances), atol=0.05)
    assert set(np.unique(arrays.y)) == {-1.0, 1.0}


def test_labels_follow_the_teacher() -> None:
    data = GaussianTeacher(dimension=3, train=20_000, test=10, labels="numbers", noise=0.3)
    arrays = data.load()
    w, residual = np.linalg.lstsq(arrays.x, arrays.y)[:2]
    np.testing.assert_allclose(w, np.random.default_rng(0).normal(size=3), atol=0.02)
    assert residual[0] / 20_000 == pytest.approx(0.09, rel=0.05)


def test_another_domain_changes_the_test_inputs_only() -> None:
    own = GaussianTeacher(dimension=5, train=30, test=20)
    moved = dataclasses.replace(own, test_scale=2.0, test_angle=np.pi / 2)
    a, b = own.load(), moved.load()
    for name in ("x", "y", "y_test"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    turned = np.stack([-a.x_test[:, 1], a.x_test[:, 0], -a.x_test[:, 3], a.x_test[:, 2], a.x_test[:, 4]], axis=1)
    np.testing.assert_allclose(b.x_test, 2 * turned, atol=1e-12)


def test_a_file_brings_it_back() -> None:
    data = GaussianTeacher(seed=3, test_scale=1.5)
    assert build(describe(data)) == data


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dimension": 0}, "dimension must be an integer >= 1"),
        ({"variance": 0.0}, "variance must be > 0"),
        ({"test_scale": -1.0}, "test_scale must be > 0"),
        ({"labels": "words"}, "labels must be one of"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_bad_values(fields, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GaussianTeacher(**fields)
