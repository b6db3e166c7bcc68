"""Plots: what is drawn, its labels, its bytes, and what importing them does not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

import quenched.plot as qp
from quenched.numerics.checks import ParameterError
from quenched.observables import gaps
from quenched.plot.curves import spread_out
from quenched.records.datasets import dataset

RNG = np.random.default_rng(9)
STEPS = 60


def theory(scale: float = 1.0) -> xr.Dataset:
    t = np.arange(STEPS + 1) * 0.1
    gap = t[:, None] - t
    variables = {
        "test_error": (("t",), 0.5 * np.exp(-scale * t)),
        "correlation": (("t", "t_prime"), np.exp(-np.abs(gap))),
        "response": (("t", "t_prime"), np.tril(np.exp(-gap), -1)),
    }
    return dataset(variables, {"t": t, "step": ("t", np.arange(STEPS + 1)), "t_prime": t}, {"engine": "toy"})


def experiment(scale: float = 1.0, disorder: int = 5) -> xr.Dataset:
    t = np.arange(STEPS + 1) * 0.1
    values = 0.5 * np.exp(-scale * t) + 0.01 * RNG.normal(size=(disorder, 2, STEPS + 1))
    return dataset({"test_error": (("disorder", "replica", "t"), values)}, {"t": t}, {"engine": "toy"})


def temperatures(value: float, error: float = np.nan) -> xr.Dataset:
    chi = np.linspace(0.1, 1, 8)
    curves = {"half_displacement": value * chi, "integrated_response": chi, "temperature": np.full(8, value)}
    variables = {name: (("lag",), curve) for name, curve in curves.items()}
    variables |= {f"{name}_error": (("lag",), np.full(8, error)) for name in curves}
    return dataset(variables, {"lag": np.arange(1, 9), "lag_time": ("lag", 0.1 * np.arange(1, 9))}, {"engine": "toy"})


def texts(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [t.get_text() for t in legend.get_texts()]


def test_compare_draws_line_points_and_published_markers() -> None:
    ax = qp.compare(theory(), experiment(), "test_error", published={"": ([1.0], [0.2])})
    assert ax.get_xlabel() == "$t$: time (sum of learning rates)"
    assert ax.get_ylabel() == r"$\epsilon$: test error"
    line, points, published = ax.lines[0], ax.containers[0].lines[0], ax.lines[-1]
    np.testing.assert_allclose(line.get_ydata(), theory().test_error)
    assert len(points.get_xdata()) <= 30
    assert published.get_markerfacecolor() == "none"
    assert "theory" in texts(ax)
    assert "simulation" in texts(ax)


def test_error_bars_are_standard_errors_over_disorder() -> None:
    ds = experiment()
    ax = qp.compare(None, ds, "test_error")
    _, _, (bars,) = ax.containers[0].lines
    x = ax.containers[0].lines[0].get_xdata()
    error = ds.test_error.mean("replica").std("disorder", ddof=1) / np.sqrt(5)
    lengths = np.array([segment[1, 1] - segment[0, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(lengths, 2 * error.sel(t=x), rtol=1e-10)


def test_several_systems_share_colour_between_line_and_points() -> None:
    labels = ("SGD", "full batch")
    ax = qp.compare(dict.fromkeys(labels, theory()), {labels[1]: experiment(), labels[0]: experiment()}, "test_error")
    colours = {line.get_label(): line.get_color() for line in ax.lines}
    assert colours["SGD"] == qp.COLOURS[0]
    assert colours["full batch"] == qp.COLOURS[1]
    assert ax.containers[0].lines[0].get_color() == qp.COLOURS[1]
    assert texts(ax) == ["SGD", "full batch", "theory", "simulation"]


def test_a_dimension_rule_is_a_set_of_curves() -> None:
    both = xr.concat([theory(1.0), theory(2.0)], xr.IndexVariable("rule", ["slow", "fast"]))
    ax = qp.compare(both, None, "test_error")
    assert texts(ax) == ["slow", "fast"]
    np.testing.assert_allclose(ax.lines[1].get_ydata(), theory(2.0).test_error)


def test_sampled_theory_has_a_band_and_a_single_run_no_bars() -> None:
    ax = qp.compare(experiment(disorder=4), experiment(disorder=1).isel(replica=[0]), "test_error")
    assert len(ax.collections) == 1
    assert ax.containers[0].lines[2] == ()


def test_wrong_variable_or_dimension_is_named() -> None:
    with pytest.raises(ParameterError, match="'overlap' must be in the Dataset"):
        qp.compare(theory(), None, "overlap")
    with pytest.raises(ParameterError, match="no other than samples"):
        qp.compare(theory(), None, "correlation")
    with pytest.raises(ParameterError, match="both are None"):
        qp.compare(None, None, "loss")
    with pytest.raises(ParameterError, match="t_prime"):
        qp.two_time_map(theory(), "test_error")


def test_parametric_plot_has_slope_one_over_temperature() -> None:
    ax = qp.parametric_fdt(temperatures(0.2), temperatures(0.2, 0.01), temperature=0.2)
    line = ax.lines[0]
    assert line.get_xdata()[0] == line.get_ydata()[0] == 0
    np.testing.assert_allclose(line.get_ydata()[1:] / line.get_xdata()[1:], 5.0)
    assert ax.get_xlabel() == "$B(t,t_w)$: half mean-square displacement"
    assert "$T=0.2$" in texts(ax)
    against = qp.temperature_against_lag(temperatures(0.2), {"a": temperatures(0.3, 0.02)})
    assert against.get_xscale() == "log"
    np.testing.assert_allclose(against.lines[0].get_xdata(), 0.1 * np.arange(1, 9))


def test_gap_histogram_marks_the_margin_and_ends_below_the_smallest_density() -> None:
    h = xr.DataArray(RNG.normal(1.5, 0.3, size=(3, 100)), dims=("disorder", "sample"))
    ax = qp.gap_histogram({"GD": gaps.histogram(h), "SGD": gaps.histogram(h + 1)}, margin=1.0)
    assert texts(ax) == ["GD", "SGD", r"$\kappa=1$"]
    density = gaps.histogram(h).density
    assert 0 < ax.get_ylim()[0] < float(density.where(density > 0).min())


def test_map_shows_the_causal_half_of_a_response() -> None:
    ax = qp.two_time_map(theory(), "response")
    shown = np.ma.filled(ax.collections[0].get_array(), np.nan).reshape(STEPS + 1, STEPS + 1)
    assert np.isnan(shown[np.triu_indices(STEPS + 1)]).all()
    assert ax.figure.axes[1].get_ylabel() == "$R(t,t')$: response"


def test_label_forms() -> None:
    bare = xr.DataArray(0.0, name="something")
    assert qp.axis_label(bare) == "something"
    assert qp.axis_label(bare.assign_attrs(long_name="power", symbol="P", units="W")) == "$P$: power (W)"
    assert qp.axis_label(bare.assign_attrs(long_name="power")) == "power"


def test_points_are_spread_along_the_axis() -> None:
    x = np.geomspace(1, 1000, 400)
    linear, logarithmic = spread_out(x, 10), spread_out(x, 10, logarithmic=True)
    assert len(logarithmic) == 10
    assert np.ptp(np.diff(np.log(x[logarithmic]))) < 0.05
    assert np.sum(x[linear] > 500) >= 4


@pytest.mark.slow
def test_files_are_functions_of_the_figure(tmp_path: Path) -> None:
    data = experiment()
    before = dict(mpl.rcParams)
    for name in ("one", "two"):
        figure, axes = qp.panels(1, 2)
        qp.compare(theory(), data, "test_error", axes[0])
        qp.two_time_map(theory(), "correlation", axes[1])
        paths = qp.save_figure(figure, tmp_path / "new" / f"{name}.v1")
        assert [p.name for p in paths] == [f"{name}.v1.svg", f"{name}.v1.png"]
    for ending in ("svg", "png"):
        assert (tmp_path / f"new/one.v1.{ending}").read_bytes() == (tmp_path / f"new/two.v1.{ending}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "new/one.v1.svg").read_bytes()
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_importing_and_drawing_leave_the_global_state_alone() -> None:
    code = (
        "import sys, quenched, quenched.plot as qp; assert 'matplotlib' not in sys.modules; "
        "qp.panels(1, 2); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
