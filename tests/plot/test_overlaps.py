"""Overlap maps and prototypes: what is drawn is what the Dataset says, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import quenched.plot as qp
from quenched.classifiers import HebbianClassifier, ReplicaLayerClassifier
from quenched.numerics.checks import ParameterError
from quenched.observables import ordered_overlaps

RNG = np.random.default_rng(0)
CENTRES = RNG.choice([-1, 1], (3, 64))
CLASSES = np.repeat([4, 7, 9], 10)
IMAGES = np.where(RNG.random((30, 64)) < 0.1, -1, 1) * CENTRES[np.repeat([0, 1, 2], 10)]


def texts(figure: Figure) -> set[str]:
    labels = {text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left"))}
    return {text for text in labels if text}


def test_the_map_shows_the_overlaps_in_the_order_of_the_leaves() -> None:
    ds = ordered_overlaps(IMAGES, labels=CLASSES)
    figure = qp.overlap_map(ds)
    maps = {len(ax.images[0].get_array().T): ax for ax in figure.axes if ax.images}
    np.testing.assert_allclose(maps[30].images[0].get_array(), ds.sample_overlap)
    strip = maps[1].images[0].get_array()
    np.testing.assert_array_equal(np.array([4, 7, 9])[np.asarray(strip)[:, 0]], ds.label)
    assert texts(figure) == {
        "image, in the order of the leaves",
        "$q_{ab}$: overlap of two images",
        "$d$: distance at which branches meet",
    }
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["4", "7", "9"]
    assert figure.legends[0].get_title().get_text() == "$c$: class"


def test_brackets_join_their_branches_at_their_height_on_their_branches() -> None:
    ds = ordered_overlaps(IMAGES)
    figure = qp.overlap_map(ds)
    (tree,) = (ax for ax in figure.axes if any(len(c.get_paths()) == 29 for c in ax.collections))
    brackets = [path.vertices for path in tree.collections[0].get_paths()]
    np.testing.assert_allclose([b[1, 1] for b in brackets], ds.link_height)
    feet = sorted(x for b in brackets for x, y in (b[0], b[3]) if y == 0)
    assert feet == list(range(30))
    # the other feet stand in the middle of a bracket, each on one of its own
    middles = [((b[0, 0] + b[3, 0]) / 2, b[1, 1]) for b in brackets]
    assert sorted((x, y) for b in brackets for x, y in (b[0], b[3]) if y > 0) == sorted(middles[:-1])
    assert not figure.legends


def test_colours_of_both_signs_are_symmetric_and_limits_can_be_given() -> None:
    def clim(**given: Any) -> tuple[float, float]:
        figure = qp.overlap_map(ordered_overlaps(IMAGES), **given)
        return next(ax for ax in figure.axes if ax.images).images[0].get_clim()

    low, high = clim()
    assert low == -high
    assert clim(limits=(0.0, 1.0)) == (0.0, 1.0)


def test_many_classes_have_different_colours() -> None:
    figure = qp.overlap_map(ordered_overlaps(IMAGES, labels=np.arange(30) % 10))
    assert len({patch.get_facecolor() for patch in figure.legends[0].get_patches()}) == 10


def drawn(figure: Figure) -> np.ndarray:
    """The mosaic of all images; cells without an image are NaN."""
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


def cells(figure: Figure, height: int, width: int) -> list[np.ndarray]:
    """Its images in reading order: runs of rows and columns that are not empty."""
    canvas = drawn(figure)
    rows, columns = (np.flatnonzero(~np.isnan(canvas).all(axis=axis)) for axis in (1, 0))
    parts = [canvas[np.ix_(r, c)] for r in rows.reshape(-1, height) for c in columns.reshape(-1, width)]
    return [part for part in parts if not np.isnan(part).any()]


def test_prototypes_are_rows_of_a_class() -> None:
    model = ReplicaLayerClassifier(replicas=4, random_state=0).fit(IMAGES, CLASSES)
    figure = qp.prototypes(model.to_dataset())
    np.testing.assert_array_equal(cells(figure, 8, 8), model.prototypes_.reshape(12, 8, 8))
    titles = figure.axes[0].texts
    assert [text.get_text() for text in titles] == ["4", "7", "9"]
    assert len({text.get_position()[0] for text in titles}) == 1
    assert texts(figure) == {"$W$: weights of a hidden unit", "$c$: class"}
    few = qp.prototypes(model.to_dataset(), columns=2, order=np.arange(12)[::-1])
    np.testing.assert_array_equal(cells(few, 8, 8), model.prototypes_.reshape(12, 8, 8)[[3, 2, 7, 6, 11, 10]])


def test_classes_of_unequal_numbers_leave_cells_empty() -> None:
    x = np.concatenate([np.repeat(CENTRES[:1], 10, axis=0), IMAGES[10:]])
    model = ReplicaLayerClassifier(replicas=3, random_state=0).fit(x, CLASSES)
    figure = qp.prototypes(model.to_dataset())
    np.testing.assert_array_equal(cells(figure, 8, 8), model.prototypes_.reshape(7, 8, 8))
    figure.canvas.draw()


def test_one_prototype_of_each_class_is_a_table() -> None:
    model = HebbianClassifier().fit(IMAGES, CLASSES)
    figure = qp.prototypes(model.to_dataset(), shape=(4, 16))
    np.testing.assert_array_equal(cells(figure, 4, 16), model.prototypes_.reshape(3, 4, 16))
    assert [text.get_text() for text in figure.axes[0].texts] == ["4", "7", "9"]
    assert len({text.get_position()[1] for text in figure.axes[0].texts}) == 1


def test_equal_figures_give_equal_files(tmp_path: Any) -> None:
    ds = ordered_overlaps(IMAGES, labels=CLASSES)
    first, second = (qp.save_figure(qp.overlap_map(ds), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ParameterError, match="'link' must be in the Dataset"):
        qp.overlap_map(ordered_overlaps(IMAGES).drop_vars("link"))
    with pytest.raises(ParameterError, match=r"at most 20 classes .* got 30"):
        qp.overlap_map(ordered_overlaps(IMAGES, labels=np.arange(30)))
    with pytest.raises(ParameterError, match="'prototype' and 'label' must be"):
        qp.prototypes(xr.Dataset())
    with pytest.raises(ParameterError, match=r"shape must hold 64 pixels, got \(7, 9\)"):
        qp.prototypes(HebbianClassifier().fit(IMAGES, CLASSES).to_dataset(), shape=(7, 9))
