"""Ultrametricity: trees by construction, independent pixels, the honest error, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quenched.numerics.checks import ParameterError
from quenched.observables.ultrametricity import (
    as_spins,
    cophenetic_correlation,
    distances,
    independent_pixels,
    ordered_overlaps,
    ultrametric_index,
    ultrametricity,
)


def tree(depth: int, pixels: int, flipped: float, rng: np.random.Generator) -> np.ndarray:
    """The 2^depth leaves of a binary tree: every child differs from its parent in a fraction of pixels of its own level."""
    nodes = np.ones((1, pixels))
    for _ in range(depth):
        children = np.repeat(nodes, 2, axis=0)
        nodes = np.where(rng.random(children.shape) < flipped, -children, children)
    return nodes


def strict_tree(depth: int) -> np.ndarray:
    """A tree in which every edge flips pixels of its own, as many as all others of its level: exactly ultrametric."""
    leaves = np.arange(2**depth)
    columns = [
        np.where(leaves >> (depth - level) == node, -1.0, 1.0) for level in range(1, depth + 1) for node in range(2**level)
    ]
    return np.stack(columns, axis=1)


def test_an_exact_tree_has_index_0_and_correlation_1() -> None:
    x = strict_tree(7)
    d = distances(x)
    assert len(np.unique(d)) == 8
    ds = ultrametricity(x, groups=10, triangles=2000)
    assert float(ds.ultrametric_index.sel(ensemble="data")) == 0
    assert float(ds.cophenetic_correlation.sel(ensemble="data")) == pytest.approx(1, abs=1e-12)
    assert float(ds.ultrametric_index.sel(ensemble="surrogate")) > 0.3


def test_independent_pixels_have_the_index_of_three_gaussian_sides() -> None:
    """Distances of independent images are Gaussian and independent at large N: U is that of three normal numbers.

    For pixels of mean m the sides share their images and are correlated alike, which subtracts a common number from all three
    and leaves the ratio as it is.
    """
    rng = np.random.default_rng(0)
    sides = np.sort(rng.normal(size=(3, 400_000)), axis=0)
    expected = np.mean((sides[2] - sides[1]) / (sides[2] - sides[0]))
    # by the symmetry of three normal numbers under a change of sign
    assert expected == pytest.approx(0.5, abs=0.002)
    for mean in (0.0, 0.4):
        x = np.where(rng.random((600, 3000)) < (1 + mean) / 2, 1.0, -1.0)
        value, error = ultrametric_index(x, 40_000, 20, rng)
        assert abs(value - 0.5) < 4 * error + 0.005
        assert error < 0.01


def test_the_error_is_that_of_new_images() -> None:
    """Over new sets of images the index spreads as its error says; triangles alone would say less."""
    independent = [np.where(np.random.default_rng(s).random((120, 200)) < 0.7, 1.0, -1.0) for s in range(100)]
    values, errors = np.transpose([ultrametric_index(x, 4000, 10, np.random.default_rng(s)) for s, x in enumerate(independent)])
    # variance of a variance from 100 values, and from 10 groups each: about 15 per cent
    assert np.std(values, ddof=1) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.3)


def test_a_noisy_tree_lies_between() -> None:
    """The noise of the branch lengths is 1/sqrt(N): with more pixels the tree is nearer to an exact one."""
    trees = {pixels: ultrametricity(tree(8, pixels, 0.02, np.random.default_rng(1))) for pixels in (100, 1600, 25600)}
    index = [float(ds.ultrametric_index.sel(ensemble="data")) for ds in trees.values()]
    error = max(float(ds.ultrametric_index_error.sel(ensemble="data")) for ds in trees.values())
    assert index[0] > index[1] + 3 * error > index[2] + 6 * error > 0
    x = tree(8, 1600, 0.02, np.random.default_rng(1))
    ds = ultrametricity(x, seed=2)
    assert ds.ultrametric_index.sel(ensemble="surrogate") == pytest.approx(0.5, abs=0.02)
    assert ds.cophenetic_correlation.sel(ensemble="data") > ds.cophenetic_correlation.sel(ensemble="surrogate") + 0.2
    assert ds.ultrametric_index.attrs["symbol"] == "U"
    assert ds.attrs == {"samples": 256, "tree_samples": 256, "triangles": 20000, "groups": 20}
    assert ultrametricity(x, seed=2).equals(ds)


def test_the_surrogate_keeps_the_means_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.random(4000) < 0.3
    # pixels 0 and 1 are one, pixel 2 is constant
    x = np.stack([np.where(hidden, 1.0, -1.0), np.where(hidden, 1.0, -1.0), np.ones(4000)], axis=1)
    y = independent_pixels(x, rng)
    error = 1 / np.sqrt(4000)
    np.testing.assert_allclose(y.mean(0), x.mean(0), atol=4 * error)
    assert (y[:, 2] == 1).all()
    assert abs(np.corrcoef(y[:, 0], y[:, 1])[0, 1]) < 4 * error


def test_distances_count_pixels() -> None:
    x = np.array([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]])
    np.testing.assert_array_equal(distances(x), [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])


def test_overlaps_in_the_order_of_the_leaves() -> None:
    x = strict_tree(4)
    order = np.random.default_rng(0).permutation(16)
    ds = ordered_overlaps(x[order], labels=order // 8)
    back = order[ds.sample.values]
    np.testing.assert_allclose(ds.sample_overlap, 1 - 2 * distances(x[back]))
    np.testing.assert_array_equal(ds.label, back // 8)
    # blocks: the two halves of the tree lie side by side
    assert len(set(ds.label.values[:8])) == 1
    assert ds.link.shape == (15, 2)
    np.testing.assert_allclose(np.unique(ds.link_height), np.unique(distances(x))[1:])
    assert ds.sample_overlap.attrs["symbol"] == "q_{ab}"
    assert "label" not in ordered_overlaps(x)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: ultrametricity(x * 0.5), r"x must be \+1 or -1, got -0.5"),
        (lambda x: ultrametricity(np.full((60, 5), np.nan)), r"x must be \+1 or -1, got nan"),
        (lambda x: ultrametricity(x[0]), "x must be images times pixels"),
        (lambda x: ultrametricity(x[:0]), "x must be images times pixels"),
        (lambda x: ultrametricity(x, groups=1), "groups must be an integer >= 2"),
        (lambda x: ultrametricity(x, groups=40), "at least 3 images in each of 40 groups, got 64 images"),
        (lambda x: ultrametricity(x, triangles=0), "triangles must be"),
        (lambda x: ultrametricity(x, tree_samples=2), "tree_samples must be"),
        (lambda x: ultrametricity(x, seed=-1), "seed must be"),
        (lambda x: ultrametricity(np.ones((64, 3))), "equal images"),
        (lambda x: cophenetic_correlation(np.ones((5, 3))), "different distances"),
        (lambda x: ordered_overlaps(x, labels=[1, 2]), "labels must have one entry per image, 64"),
        (lambda x: ordered_overlaps(x, method="ward"), "method must be one of"),
        (lambda x: ordered_overlaps(x[:1]), "at least 2 images"),
    ],
)
def test_refusals(call: Any, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        call(strict_tree(6))


def test_integers_are_spins_too() -> None:
    assert as_spins(np.array([[1, -1]], np.int8)).dtype == np.float64
