"""What reports are put together from: formulas, Python text, numbers as JSON, figures as addresses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import xarray as xr

from quenched.lab.report import equations, maps, slices, spelling
from quenched.lab.report.pictures import Album
from quenched.plot import panels
from tests.lab.report_pages import HOSTILE


def test_viewer_numbers_are_means_and_errors_over_seeds() -> None:
    values = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, np.nan], [np.nan] * 3])
    ds = xr.Dataset({"x": (("a", "seed"), values), "x_error": (("a", "seed"), np.full((3, 3), 0.25))}, {"a": [1.0, 2.0, 3.0]})
    viewer, _ = slices.viewer(ds, room=10_000)
    assert viewer is not None
    (series,) = json.loads(viewer.numbers)["variables"][0]["series"]
    assert series == {"engine": "value", "mean": [2.0, 4.0, None], "error": [0.57735, 0.25, None]}


@pytest.mark.parametrize("hostile", [*HOSTILE, r"\frac{", "$", "a$b", r"\unknown", "\x07", ""])
def test_labels_that_are_no_formulas_can_be_drawn(hostile: str) -> None:
    label = {"long_name": hostile, "symbol": hostile, "units": hostile}
    ds = xr.Dataset({"x": ("a", [1.0, 2.0], label)}, {"a": ("a", [hostile, f"{hostile} again"], label)})
    (picture,) = maps.pictures(ds, Album(room=1_000_000))
    assert picture.uri.startswith("data:image/svg+xml")


def test_what_would_turn_the_lines_of_a_page_is_shown_by_number() -> None:
    assert spelling.clipped("a\u202eb\x00\n\u2028\ud800") == "a\\u202eb\\u0000\n\\u2028\\ud800"
    assert spelling.clipped("Ω é 𝛼", 3) == "Ω é… (2 more characters)"


def test_embedded_json_cannot_end_its_element() -> None:
    text = "</script><!-- & \u2028\u2029"
    embedded = slices.embedded({"a": text})
    assert not re.search("[<>&\u2028\u2029]", embedded)
    assert json.loads(embedded) == {"a": text}


def test_what_has_no_room_is_named() -> None:
    figure, (ax,) = panels()
    ax.plot([0, 1], [0, 1])
    album = Album(room=20_000)
    assert album.picture("first", figure) is not None
    for name in ("second", "third"):
        album.picture(name, figure)
    assert album.left_out == ["second", "third"]
    assert album.room >= 0
    ds = xr.Dataset({name: ("a", np.arange(100.0)) for name in ("x", "y")}, {"a": np.arange(100.0)})
    viewer, left_out = slices.viewer(ds, room=900)
    assert viewer is not None
    assert left_out == ["y"]


def test_a_drawing_that_is_larger_than_its_picture_becomes_a_picture() -> None:
    figure, (ax,) = panels()
    ax.scatter(*np.random.default_rng(0).normal(size=(2, 20_000)))
    picture = Album(room=3_000_000).picture("cloud", figure)
    assert picture is not None
    assert picture.uri.startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "latex", [r"\sqrt{", r"\nonsense{x}", r"\left( a", "a}", "x" * 3000, "\x00", "\ue000", r"\href{javascript:alert(1)}{x}"]
)
def test_an_equation_that_cannot_be_converted_is_shown_as_written(latex: str) -> None:
    shown = str(equations.equation(latex))
    assert shown.startswith("<code>")
    assert "href=" not in shown


@pytest.mark.parametrize(
    "text", [r"\text{<b>x</b>}", r"\style{color:red}{x}", "<img src=x onerror=alert(1)>", r"\mathrm{<a>}", *HOSTILE]
)
def test_formulas_have_known_elements_only(text: str) -> None:
    for formula in (equations.equation(text), equations.symbol(text) or "", equations.label("x", {"symbol": text})):
        tags = set(re.findall(r"</?([a-z]+)", str(formula)))
        assert tags <= {"math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "msub", "msup", "msubsup", "mstyle", "code"}
        assert not re.search(r"\s(style|href|on\w+)=", re.sub(r">[^<]*<", "><", str(formula)))


def test_plain_text_among_latex_reads_well() -> None:
    formula = str(equations.equation(r"dist(t) = <w^2>,  same data and start"))
    assert "<mtext>dist</mtext>" in formula
    assert "⟨" in formula
    assert "same\xa0data\xa0and\xa0start" in formula
    assert formula.count("<math") == 2


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.12341, 0.0067, "0.1234 ± 0.0067"),
        (1.0, 0.0, "1"),
        (2.0, np.nan, "2"),
        (np.nan, 1.0, ""),
        (1e9, 12.0, "1e+09 ± 1.2e+01"),
    ],
)
def test_numbers_carry_their_error(value: float, error: float, text: str) -> None:
    assert spelling.with_error(value, error) == text


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.geomspace(0.05, 1, 3), ["0.05", "0.2236", "1"]),
        (np.array([10, 12345]), ["10", "12345"]),
        (np.array([1.0, 1.0000001]), ["1", "1.0000001"]),
        (np.array([1e-7, 1e12]), ["1e-07", "1e+12"]),
    ],
)
def test_values_of_an_axis_are_short_and_distinct(values: np.ndarray, shown: list[str]) -> None:
    assert slices.short_numbers(values) == shown


def test_descriptions_are_spelled_as_python() -> None:
    description = {
        "class": "Rule",
        "lr": 0.1,
        "name": "a",
        "none": None,
        "batches": [{"class": "IID", "fraction": 0.3}, {"class": "Full"}],
        "one": [1],
        "options": {"mapping": {"b1": 0.9}},
        "function": {"function": "numpy.sin"},
        "data": {"array": {"shape": [2, 3], "dtype": "float64", "sha256": "0123456789abcdef"}},
    }
    assert spelling.spelled(description, {"batches.0.fraction": "0.1, 0.3"}) == (
        "Rule(lr=0.1, name=&#39;a&#39;, none=None, batches=(IID(fraction=<mark>0.1, 0.3</mark>), Full()), one=(1,), "
        "options={&#39;b1&#39;: 0.9}, function=numpy.sin, data=array(shape=[2, 3], float64, sha256=0123456789ab…))"
    )
