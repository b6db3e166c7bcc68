"""Phase diagrams: what is averaged, what is drawn, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

import quenched.plot as qp
from quenched.numerics.checks import ParameterError
from quenched.plot.phase import is_logarithmic

ALPHA = np.linspace(0.5, 4, 8)
FRACTION = np.array([0.01, 0.1, 1.0])
NAMES = ("test_error", "model.alpha", "fraction")


def sweep(seeds: int = 3, **replaced: Any) -> xr.Dataset:
    """test_error[engine, seed, alpha, fraction] = alpha * fraction, plus seed/10 in the experiment."""
    exact = np.broadcast_to(ALPHA[:, None] * FRACTION, (seeds, len(ALPHA), len(FRACTION)))
    values = np.stack([exact, exact + 0.1 * np.arange(seeds)[:, None, None]])
    dims = ("engine", "seed", "model.alpha", "fraction")
    label = {"long_name": "test error", "symbol": r"\epsilon"}
    own = (dims, np.full(values.shape, 0.5))
    coords = {"engine": ["theory", "experiment"], "seed": np.arange(seeds), "model.alpha": ALPHA, "fraction": FRACTION}
    return xr.Dataset({"test_error": (dims, values, label), "test_error_error": own}, {**coords, **replaced})


def shown(ax: Axes) -> np.ndarray:
    mesh = ax.collections[0]
    rows, columns = (n - 1 for n in mesh.get_coordinates().shape[:2])
    return np.ma.filled(mesh.get_array(), np.nan).reshape(rows, columns)


def test_a_map_has_labels_scales_and_the_mean_over_seeds() -> None:
    ax = qp.phase_diagram(sweep(), "test_error", "model.alpha", "fraction", engine="experiment")
    np.testing.assert_allclose(shown(ax), (ALPHA[:, None] * FRACTION).T + 0.1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model.alpha", "fraction")
    assert ax.figure.axes[1].get_ylabel() == r"$\epsilon$: test error"
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert ax.get_legend() is None


def test_cells_lie_around_their_points() -> None:
    ax = qp.phase_diagram(sweep(), "test_error", "model.alpha", "fraction")
    corners = ax.collections[0].get_coordinates()
    x, y = corners[0, :, 0], corners[:, 0, 1]
    np.testing.assert_allclose((x[1:] + x[:-1]) / 2, ALPHA)
    np.testing.assert_allclose(np.sqrt(y[1:] * y[:-1]), FRACTION)
    np.testing.assert_allclose(ax.get_xlim(), x[[0, -1]])
    np.testing.assert_allclose(ax.get_ylim(), y[[0, -1]])


def test_theory_comes_first_unless_it_has_no_value() -> None:
    ds = sweep()
    np.testing.assert_allclose(
        shown(qp.phase_diagram(ds, "test_error", "model.alpha", "fraction")), (ALPHA[:, None] * FRACTION).T
    )
    without = ds.where(ds.engine == "experiment")
    expected = (ALPHA[:, None] * FRACTION).T + 0.1
    np.testing.assert_allclose(shown(qp.phase_diagram(without, "test_error", "model.alpha", "fraction")), expected)


def test_points_without_a_value_are_hatched() -> None:
    ds = sweep()
    ds["test_error"][:, 0, 3, 1] = np.nan
    ds["test_error"][:, :, 5, 2] = np.nan
    ax = qp.phase_diagram(ds, "test_error", "model.alpha", "fraction")
    assert np.argwhere(np.isnan(shown(ax))).tolist() == [[2, 5]]
    assert ax.patches[0].get_hatch() == "///"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no value"]


def test_a_grid_in_any_order_is_drawn_in_ascending_order() -> None:
    ds = sweep().isel({"model.alpha": slice(None, None, -1)})
    ax = qp.phase_diagram(ds, "test_error", "model.alpha", "fraction")
    np.testing.assert_allclose(shown(ax), (ALPHA[:, None] * FRACTION).T)


def test_names_and_booleans_are_places() -> None:
    ds = sweep(fraction=["IID", "a $ sign", "a name that is a good deal longer than this"])
    ax = qp.phase_diagram(ds, "test_error", "model.alpha", "fraction")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["IID", r"a \$ sign", "a name that is a good d…"]
    ax.figure.canvas.draw()
    ax = qp.phase_diagram(sweep(fraction=[0, 1, 2]).isel(fraction=[0, 1]).assign_coords(fraction=[False, True]), *NAMES)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["False", "True"]


def test_contours_transition_and_published_points() -> None:
    ds = sweep()
    ax = qp.phase_diagram(ds, *NAMES, contours=[0.1, 1.0], transition=lambda x: 0.1 * x, published={"": ([1.0], [0.05])})
    contours = ax.collections[1]
    np.testing.assert_allclose(contours.levels, [0.1, 1.0])
    assert {text.get_text() for text in ax.texts} == {"0.1", "1"}
    line, published = ax.lines
    np.testing.assert_allclose(line.get_ydata(), 0.1 * line.get_xdata())
    assert published.get_markerfacecolor() == "none"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["transition", "published"]


@pytest.mark.parametrize("as_dataset", [False, True])
def test_a_transition_may_be_arrays_or_a_dataset(as_dataset: bool) -> None:
    x, y = np.array([1.0, 2.0]), np.array([0.1, 0.5])
    line: Any = xr.Dataset({"fraction": ("model.alpha", y)}, {"model.alpha": x}) if as_dataset else (x, y)
    ax = qp.phase_diagram(sweep(), *NAMES, transition=line)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.column_stack([x, y]))
    # the line does not stretch the map
    assert ax.get_xlim()[1] < 4.3


def test_several_lines_have_their_labels_and_looks() -> None:
    lines: dict[str, Any] = {"a sentence about one": ([1.0, 2.0], [0.1, 0.5]), "another": lambda x: 0.1 * x}
    lines |= {"a third": xr.Dataset({"fraction": ("model.alpha", [0.1, 0.5])}, {"model.alpha": [1.0, 2.0]})}
    lines |= {f"number {i}": ([0.0, 90.0], [1e-5, 10.0 + i]) for i in range(3)}
    bare = qp.phase_diagram(sweep(), *NAMES)
    ax = qp.phase_diagram(sweep(), *NAMES, transition=lines)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(lines)
    # the legend tells them apart by their dashes too
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in ax.lines}
    assert len(looks) == len(lines)
    assert len({line.get_color() for line in ax.lines[:5]}) == 5
    assert (ax.get_xlim(), ax.get_ylim()) == (bare.get_xlim(), bare.get_ylim())
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1


def test_numbers_that_are_not_finite_break_a_line() -> None:
    x, y = np.linspace(1, 3, 5), np.array([0.1, 0.1, np.nan, 0.2, 0.2])
    ax = qp.phase_diagram(sweep(), *NAMES, transition={"broken": (x, y)})
    pieces = ax.lines[0].get_path().cleaned(remove_nans=True)
    assert [code for _, code in pieces.iter_segments()].count(pieces.MOVETO) == 2
    assert qp.phase_diagram(sweep(), *NAMES, transition={}).get_legend() is None


def test_both_signs_have_a_diverging_scale_and_limits_are_shared() -> None:
    mesh = qp.phase_diagram(sweep() - 1, *NAMES).collections[0]
    assert mesh.get_cmap().name == "RdBu_r"
    assert mesh.get_clim() == (-3.0, 3.0)
    assert qp.phase_diagram(sweep(), *NAMES, limits=(0.0, 5.0)).collections[0].get_clim() == (0.0, 5.0)


def test_what_cannot_be_drawn_is_refused() -> None:
    ds = sweep()
    with pytest.raises(ParameterError, match="'loss' must be in the Dataset"):
        qp.phase_diagram(ds, "loss", "model.alpha", "fraction")
    with pytest.raises(ParameterError, match="no dimension but"):
        qp.phase_diagram(ds.expand_dims(size=2), *NAMES)
    with pytest.raises(ParameterError, match="two dimensions"):
        qp.phase_diagram(ds, "test_error", "model.alpha", "size")
    with pytest.raises(ParameterError, match="engine"):
        qp.phase_diagram(ds, *NAMES, engine="both")
    with pytest.raises(ParameterError, match="no value at any point"):
        qp.phase_diagram(ds * np.nan, *NAMES)
    with pytest.raises(ParameterError, match="contours need"):
        qp.phase_diagram(sweep(fraction=["a", "b", "c"]), *NAMES, contours=3)
    with pytest.raises(ParameterError, match="'fraction'"):
        qp.phase_diagram(ds, *NAMES, transition=xr.Dataset({"model.alpha": ("i", ALPHA)}))


def test_errors_are_over_seeds_where_there_are_several() -> None:
    ds = sweep(seeds=3)
    both = qp.over_seeds(ds, "test_error").sel(engine="experiment")
    np.testing.assert_allclose(both["test_error_error"], 0.1 / np.sqrt(3))
    assert both["test_error"].attrs["symbol"] == r"\epsilon"
    np.testing.assert_allclose(qp.over_seeds(sweep(seeds=1), "test_error")["test_error_error"], 0.5)


def test_seeds_that_agree_have_no_error() -> None:
    theory = qp.over_seeds(sweep(seeds=3), "test_error").sel(engine="theory")
    assert (theory["test_error_error"] == 0).all()


def test_seeds_without_a_value_are_left_out() -> None:
    ds = sweep(seeds=3)
    ds["test_error"][1, 0, 0, 0] = np.nan
    ds["test_error"][1, :2, 1, 0] = np.nan
    ds["test_error"][1, :, 2, 0] = np.nan
    both = qp.over_seeds(ds, "test_error").sel(engine="experiment").isel(fraction=0)
    np.testing.assert_allclose(both["test_error"][:3] - 0.01 * ALPHA[:3], [0.15, 0.2, np.nan])
    # two seeds: their spread; one: its own error; none: no error
    np.testing.assert_allclose(both["test_error_error"][:3], [0.05, 0.5, np.nan])


def test_samples_are_averaged_as_everywhere() -> None:
    samples = np.array([1.0, 2.0, 3.0])
    ds = xr.Dataset({"x": (("a", "disorder"), np.stack([samples, samples + 1]))}, {"a": [0.0, 1.0]})
    both = qp.over_seeds(ds, "x")
    np.testing.assert_allclose(both["x"], [2, 3])
    np.testing.assert_allclose(both["x_error"], 1 / np.sqrt(3))


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ([1, 10, 100], True),
        ([0.1, 0.3, 1.0], True),
        ([100, 1, 10], True),
        ([1, 2, 5, 10, 20, 50], True),
        ([1, 2, 3], False),
        ([0, 1, 10], False),
        ([1, 10], False),
        ([2.0], False),
    ],
)
def test_logarithmic_grids_are_recognised(grid: list[float], expected: bool) -> None:
    assert is_logarithmic(grid) is expected
