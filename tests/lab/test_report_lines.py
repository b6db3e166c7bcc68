"""Lines between phases on the maps of a page: whose, where, from which study, and what becomes of those that fail."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from quenched.dynamics import AbstractBatches, Epochs
from quenched.lab.report import maps
from quenched.lab.report.content import Part, Picture
from quenched.lab.report.parts import sweep_part
from quenched.lab.report.pictures import Album
from quenched.lab.report.sources import Sweep, read
from quenched.studies import Study
from tests.lab.report_pages import filled

LOADS, TEMPERATURES = [0.1, 0.2, 0.3], [1.0, 2.0, 3.0, 4.0]
PLANE: dict[str, Any] = {"load": LOADS, "temperature": TEMPERATURES}
LABEL = "end of a phase"


@dataclasses.dataclass(frozen=True)
class Lined(Study):
    """One line; it tells the parameters that it was asked for."""

    name: ClassVar[str] = "lined"
    title: ClassVar[str] = "A study that knows where its phases end"
    paper: ClassVar[str] = "nobody, nowhere"

    batches: AbstractBatches = Epochs(fraction=0.5)
    load: float = 0.1
    temperature: float = 1.0
    size: int = 10
    mode: str = ""

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        value = self.load * self.temperature
        match self.mode:
            case "curve":
                return xr.Dataset({"overlap": ("t", [value, 1.0])}, {"t": [0.0, 1.0]})
            case "namesake":
                return xr.Dataset({"load": value})
        return xr.Dataset({"overlap": ("engine", [value, 2 * value])}, {"engine": ["theory", "experiment"]})

    def transitions(self, x: str, y: str) -> Mapping[str, Any]:
        if self.mode == "broken":
            raise ValueError("no such $ line")
        fraction = getattr(self.batches, "fraction", 1.0)
        places = {"load": [0.1, 0.3], "temperature": [float(self.size), fraction]}
        return {LABEL: (places[x], places[y])}


@dataclasses.dataclass(frozen=True)
class Bare(Study):
    """The same parameters, and no lines."""

    name: ClassVar[str] = "lined"

    load: float = 0.1
    temperature: float = 1.0


class Kept(Album):
    """Keeps the figures of its pictures."""

    def __init__(self) -> None:
        super().__init__(room=3_000_000)
        self.figures: list[Figure] = []

    def picture(self, name: str, figure: Figure, caption: str = "") -> Picture | None:
        self.figures.append(figure)
        return super().picture(name, figure, caption)


def page(folder: Path, over: dict[str, Any], study: type[Study] | None = Lined, **parameters: Any) -> tuple[Part, Kept]:
    (sweep,) = read(filled(folder / "store", Lined(**parameters), over))
    assert isinstance(sweep, Sweep)
    album = Kept()
    return sweep_part(sweep, study, album, 100_000), album


def lines(album: Kept) -> list[np.ndarray]:
    return [line.get_xydata() for figure in album.figures for ax in figure.axes for line in ax.lines]


def test_both_panels_have_the_lines_of_the_study_and_one_legend_above_them(tmp_path: Path) -> None:
    part, album = page(tmp_path, PLANE)
    assert part.notes == []
    (figure,) = album.figures
    panels = [ax for ax in figure.axes if ax.get_title(loc="right")]
    assert [ax.get_title(loc="right") for ax in panels] == ["theory", "simulation"]
    # the long dimension is across
    for ax in panels:
        assert [line.get_xydata().tolist() for line in ax.lines] == [[[10.0, 0.1], [0.5, 0.3]]]
        assert ax.get_legend() is None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [LABEL]
    figure.canvas.draw()
    below = legend.get_window_extent().y0
    assert all(ax.get_tightbbox().y1 <= below for ax in panels)


def test_further_parameters_are_at_the_values_of_the_section(tmp_path: Path) -> None:
    part, album = page(tmp_path, PLANE | {"size": [7, 8, 9]})
    assert [picture.caption for picture in part.pictures] == ["at size = 8"]
    assert {line[0, 0] for line in lines(album)} == {8.0}


def test_a_swept_class_has_the_arguments_of_its_points(tmp_path: Path) -> None:
    """Whichever point comes first: one without batches has no fraction to give."""
    (sweep,) = read(filled(tmp_path / "store", Lined(batches=Epochs(fraction=0.25)), PLANE | {"batches": ["Epochs", "Full"]}))
    assert isinstance(sweep, Sweep)
    for first in ("Full", "Epochs"):
        sweep.records.sort(key=lambda record: record["parameters"]["batches"]["class"] != first)
        sweep_part(sweep, Lined, album := Kept(), 100_000)
        assert {line[1, 0] for line in lines(album)} == {0.25}


def test_a_parameter_that_shares_its_name_with_a_variable_has_its_own_path(tmp_path: Path) -> None:
    part, album = page(tmp_path, PLANE, mode="namesake")
    assert part.notes == []
    assert len(lines(album)) == 1


@pytest.mark.parametrize(
    ("over", "mode"),
    [
        ({"load": LOADS}, ""),
        ({"load": LOADS}, "curve"),
        ({"load": LOADS, "batches": ["Full", "IID", "Persistent"]}, ""),
    ],
)
def test_only_planes_of_two_numeric_parameters_have_lines(tmp_path: Path, over: dict[str, Any], mode: str) -> None:
    part, album = page(tmp_path, over, mode=mode)
    assert part.notes == []
    assert LABEL not in str([line.get_label() for figure in album.figures for ax in figure.axes for line in ax.lines])


def test_a_study_that_cannot_give_its_lines_costs_no_map(tmp_path: Path) -> None:
    part, album = page(tmp_path, PLANE, mode="broken")
    assert len(part.pictures) == 1
    assert lines(album) == []
    assert part.notes == ["No transition lines in the plane of temperature and load: ValueError: no such $ line"]


@pytest.mark.parametrize("answer", [None, {"a": 3}, {"a": ([0.0], [1.0, 2.0])}, {"a": (["word"], [1.0])}])
def test_an_answer_that_is_no_line_costs_no_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    monkeypatch.setattr(Lined, "transitions", lambda self, x, y: answer)
    part, _ = page(tmp_path, PLANE)
    assert len(part.pictures) == 1
    assert len(part.notes) == 1
    assert part.notes[0].startswith("No transition lines in the plane of temperature and load: ")


def test_labels_that_are_no_formulas_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {r"$\frac{": ([1.0, 2.0], [0.1, np.nan]), "a\n" * 100: ([np.inf, 2.0], [0.1, 0.2]), "none": ([], [])}
    monkeypatch.setattr(Lined, "transitions", lambda self, x, y: answer)
    part, _ = page(tmp_path, PLANE)
    assert len(part.pictures) == 1
    assert part.notes == []


def test_no_lines_where_the_study_is_not_at_hand_or_has_none(tmp_path: Path) -> None:
    for number, study in enumerate((None, Bare)):
        (tmp_path / str(number)).mkdir()
        part, album = page(tmp_path / str(number), PLANE, study)
        assert (len(part.pictures), lines(album), part.notes) == (1, [], [])


def test_lines_of_another_version_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sweep,) = read(filled(tmp_path / "store", Lined(), PLANE))
    assert isinstance(sweep, Sweep)
    monkeypatch.setattr(Lined, "version", "2")
    part = sweep_part(sweep, Lined, Kept(), 100_000)
    assert part.notes == ["Made by version 1 of the study; the transition lines are drawn by the installed version 2."]


@pytest.mark.parametrize("as_class", [True, False])
def test_nothing_that_a_store_names_is_imported_without_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_class: bool
) -> None:
    """Also where the first point is harmless, and where a word stands in the place of a component."""
    (tmp_path / "strange_lines.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    names = ["Epochs", "strange_lines.A", "strange_lines.B"]
    records = []
    for name in names:
        for load in LOADS:
            for temperature in TEMPERATURES:
                record = Lined(load=load, temperature=temperature).provenance(0)
                if name != "Epochs":
                    record["parameters"]["batches"] = {"class": name} if as_class else name
                records.append(record)
    shape = (len(TEMPERATURES), len(LOADS), len(names))
    values = np.arange(float(np.prod(shape))).reshape(shape)
    ds = xr.Dataset({"overlap": (("temperature", "load", "batches"), values)}, PLANE | {"batches": names})
    part = sweep_part(Sweep(tmp_path, ds, records, [], []), Lined, Kept(), 100_000)
    assert "strange_lines" not in sys.modules
    assert len(part.pictures) == 1
    if as_class:
        assert "consent" in part.notes[0]


@pytest.mark.parametrize("wrong", [([0.0, 1.0], [1.0]), ([[0.0]], [[1.0]]), (["a"], [1.0])])
def test_a_line_is_two_arrays_of_numbers(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"two arrays|could not convert"):
        maps.line(*wrong)
