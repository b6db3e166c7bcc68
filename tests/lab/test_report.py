"""The report: what is on the page, what is left out of it and said so, and that it believes nothing it reads."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from quenched import cli
from quenched.lab.report import spelling
from quenched.lab.report.report import report
from quenched.lab.run import run, write, write_claims
from quenched.lab.verify import verify
from quenched.numerics.checks import ParameterError
from quenched.records.files import load, save
from quenched.studies import Study
from tests.lab.report_pages import HOSTILE, filled, hostile_report, install_study, load_study


class Page(HTMLParser):
    """The text of a page outside of scripts and styles, its elements with their attributes, and the JSON of its viewers."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[Any] = []
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "application/json":
            self.numbers.append(json.loads(data))
        elif not self._inside:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == "img"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Study]:
    monkeypatch.syspath_prepend(install_study(tmp_path / "package"))
    return load_study()


@pytest.fixture
def folder(study: type[Study], tmp_path: Path) -> Path:
    """What ``quenched run`` leaves."""
    write(run(study(note="a remark"), seed=3), tmp_path / "run")
    write_claims("page-study", verify([study])[0], tmp_path / "run")
    return tmp_path / "run"


def test_a_run_has_text_equations_figures_claims_parameters_and_provenance(folder: Path, tmp_path: Path) -> None:
    page = Page(report(folder, tmp_path / "page.html"))
    for text in (
        "The error of a study that is swept",
        "A test error that is known",
        "paragraphs & a <sign>",
        "arXiv:2112.10852",
        r"\nonsense{",
        "1 of 2 hold",
        "1.01 ± 0.01",
        "by hand",
        "✓ holds",
        "✗ fails",
        "1 of the study's claims was not judged",
        "GaussianMixture(alpha=1.0,",
        "What is learned.",
        "'a remark'",
        "page-study, version 1",
        "fingerprint",
        "/theory: test_error",
    ):
        assert text in page.text, text
    (image,) = page.images()
    assert str(image["src"]).startswith("data:image/svg+xml;base64,")
    assert image["alt"] == "drawing. A drawing: epsilon: error against t: time"
    assert page.count("math") > 2
    assert page.count("script") == 0


def test_a_run_shows_its_numbers_at_the_end(folder: Path, tmp_path: Path) -> None:
    root = load(folder / "page-study.nc").to_dataset()
    mean, error = (float(root[name].sel(engine="experiment")) for name in ("test_error", "test_error_error"))
    text = Page(report(folder / "page-study.nc", tmp_path / "page.html")).text
    assert spelling.with_error(mean, error) in text
    assert f"{0.75 * np.exp(-1):.5g}" in text


def test_a_sweep_has_a_viewer_a_figure_per_variable_and_its_failures(study: type[Study], tmp_path: Path) -> None:
    over = {"model.alpha": [0.5, 1.0, 2.0, 4.0], "rule.batches.fraction": [0.1, 0.3, 1.0]}
    store = filled(tmp_path / "store", study(), over, seeds=2, failing=[0, 7])
    page = Page(report(store, tmp_path / "page.html"))
    assert len(page.images()) == 2
    assert "22 finished, 2 failed" in page.text
    assert "model.alpha = 0.5, rule.batches.fraction = 0.1" in page.text
    assert "DivergenceError: norm is not finite at step 7" in page.text
    assert "alpha=0.5, 1, 2, 4" in page.text
    assert "3 of the study's claims were not judged" in page.text
    (numbers,) = page.numbers
    assert [axis["values"] for axis in numbers["axes"]] == list(over.values())
    assert [axis["logarithmic"] for axis in numbers["axes"]] == [True, True]
    assert [variable["text"] for variable in numbers["variables"]] == ["test error", "training loss"]


@pytest.mark.slow
def test_at_most_fifty_failures_are_listed(study: type[Study], tmp_path: Path) -> None:
    store = filled(tmp_path / "store", study(), {"size": list(range(10, 70))}, failing=range(57))
    page = Page(report(store, tmp_path / "page.html"))
    assert "57, of which 50 are shown" in page.text
    assert page.text.count("DivergenceError") == 50
    # in the order of the parameter, not of the text
    assert page.text.index("size = 10") < page.text.index("size = 59")
    assert "size = 60" not in page.text


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"model.alpha": [0.1, 1.0, 10.0]}, "against"),
        ({"rule.batches": ["Full", "IID"]}, "against"),
        ({"model.alpha": [0.5, 1.0], "rule.batches": ["Full", "IID"]}, "against"),
        (
            {"model.alpha": [0.5, 1.0], "rule.batches.fraction": [0.1, 0.5], "size": [10, 20, 30]},
            "at rule.batches.fraction = 0.1",
        ),
    ],
)
def test_sweeps_over_one_two_three_parameters_and_names(
    study: type[Study], tmp_path: Path, over: dict[str, list[Any]], words: str
) -> None:
    page = Page(report(filled(tmp_path / "store", study(), over), tmp_path / "page.html"))
    assert len(page.images()) == 2
    assert words in page.text + str(page.images())
    assert len(page.numbers[0]["axes"]) == len(over)


def test_a_store_of_one_point_shows_its_numbers(study: type[Study], tmp_path: Path) -> None:
    page = Page(report(filled(tmp_path / "store", study(), {"size": [100]}), tmp_path / "page.html"))
    assert "Numbers at the end" in page.text
    assert not page.numbers
    assert not page.images()


def test_points_that_fill_no_grid_are_named(study: type[Study], tmp_path: Path) -> None:
    for alpha, size in ((1.0, 10), (2.0, 20), (3.0, 10), (4.0, 30), (5.0, 20)):
        filled(tmp_path / "store", study(), {"model.alpha": [alpha], "size": [size]})
    page = Page(report(tmp_path / "store", tmp_path / "page.html"))
    (axis,) = page.numbers[0]["axes"]
    assert axis["shown"][1] == "model.alpha=3.0, size=10" or axis["shown"][1] == "size=10, model.alpha=3.0"
    assert not axis["numeric"]


def test_a_store_in_which_all_failed_says_so(study: type[Study], tmp_path: Path) -> None:
    page = Page(report(filled(tmp_path / "store", study(), {"size": [10, 20]}, failing=[0, 1]), tmp_path / "page.html"))
    assert "there is nothing to draw" in page.text
    assert "0 finished, 2 failed" in page.text
    assert "size = 20" in page.text


def test_several_studies_have_a_table_of_contents(study: type[Study], folder: Path, tmp_path: Path) -> None:
    other = save(xr.DataTree.from_dict({"/theory": xr.Dataset({"x": 1.0})}), tmp_path / "other.nc")
    tree = load(other)
    tree.attrs = {"provenance": json.dumps(study().provenance(0) | {"study": "unheard-of"})}
    save(tree, other)
    page = Page(report([folder, other], tmp_path / "page.html", title="For you"))
    assert page.text.count("For you") == 2
    anchors = [attributes["href"] for tag, attributes in page.elements if tag == "a" and str(attributes["href"]).startswith("#")]
    assert anchors == ["#study-1", "#study-2"]
    assert {"study-1", "study-2"} <= {attributes.get("id") for _, attributes in page.elements}
    # a study that is not installed: data and provenance, and the reason
    assert "there is no study 'unheard-of'" in page.text
    assert "/theory: x" in page.text


def test_foreign_components_are_imported_with_consent_only(study: type[Study], tmp_path: Path) -> None:
    import pagestudies.study

    write(run(study(model=pagestudies.study.Foreign())), tmp_path / "run")
    page = Page(report(tmp_path / "run", tmp_path / "page.html"))
    assert not page.images()
    assert "not rebuilt without consent" in page.text
    assert "pagestudies.study.Foreign(alpha=1.0)" in page.text
    assert len(Page(report(tmp_path / "run", tmp_path / "page.html", consent=True)).images()) == 1


@pytest.mark.parametrize(("claims", "judged"), [("stored", 0), ("none", 0), ("quick", 2), ("all", 3)])
def test_claims_are_judged_on_request(study: type[Study], tmp_path: Path, claims: str, judged: int) -> None:
    write(run(study()), tmp_path / "run")
    page = Page(report(tmp_path / "run", tmp_path / "page.html", claims=claims))
    assert page.text.count("✓ holds") + page.text.count("✗ fails") == judged
    assert ("not judged" in page.text) is (claims in ("stored", "quick"))


def test_a_figure_that_fails_does_not_take_the_page_with_it(
    study: type[Study], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def figures(self: Study, tree: xr.DataTree) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(study, "figures", figures)
    assert "drawing them failed with ZeroDivisionError: by zero" in Page(report(folder, tmp_path / "page.html")).text


def test_lines_that_fail_keep_the_page(study: type[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(tmp_path / "store", study(), {"model.alpha": [0.5, 1.0, 1.5], "size": [10, 20]})
    images = Page(report(store, tmp_path / "page.html")).images()
    monkeypatch.setattr(study, "transitions", lambda self, x, y: 1 / 0)
    page = Page(report(store, tmp_path / "page.html"))
    assert "No transition lines in the plane of model.alpha and size: ZeroDivisionError: division by zero" in page.text
    assert page.images() == images


def test_equal_inputs_give_equal_pages(study: type[Study], folder: Path, tmp_path: Path) -> None:
    store = filled(tmp_path / "store", study(), {"model.alpha": [0.5, 1.0], "size": [10, 20]})
    first, second = (report([folder, store], tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_values_from_files_are_text(study: type[Study], tmp_path: Path) -> None:
    page = Page(hostile_report(study, tmp_path))
    assert [attributes.get("type") for tag, attributes in page.elements if tag == "script"] == ["application/json", None]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(str(image["src"]).startswith("data:") for image in page.images())
    for hostile in HOSTILE:
        # as long name and units of a variable, and as a value of a swept parameter
        assert page.text.count(spelling.clipped(hostile)) >= 3
    assert f"{HOSTILE[0]!r}" in page.text
    assert sorted(page.numbers[0]["axes"][0]["shown"]) == sorted(spelling.clipped(hostile, 200) for hostile in HOSTILE)


def test_very_long_texts_are_cut_off_and_say_so(study: type[Study], tmp_path: Path) -> None:
    save(study(note="x" * 300_000).run(0), tmp_path / "run.nc")
    page = report(tmp_path / "run.nc", tmp_path / "page.html")
    assert "more characters)" in Page(page).text
    assert page.stat().st_size < 200_000


def test_half_a_character_pair_is_shown_by_its_number(study: type[Study], tmp_path: Path) -> None:
    tree = study().run(0)
    tree.attrs["provenance"] = tree.attrs["provenance"].replace('"note":""', r'"note":"\ud800"')
    save(tree, tmp_path / "run.nc")
    assert "ud800" in Page(report(tmp_path / "run.nc", tmp_path / "page.html")).text


def test_bad_input_is_one_clear_line(study: type[Study], folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(ParameterError, match=r"there is no .*absent"):
        report(tmp_path / "absent", page)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="has no netCDF file"):
        report(tmp_path / "empty", page)
    with pytest.raises(ParameterError, match="at least one"):
        report([], page)
    with pytest.raises(ParameterError, match="claims must be one of"):
        report(folder, page, claims="some")
    with pytest.raises(ParameterError, match="existing folder"):
        report(folder, tmp_path / "absent" / "page.html")
    save(xr.Dataset({"x": 1.0}, attrs={"provenance": "{}"}), tmp_path / "other.nc")
    with pytest.raises(ParameterError, match="not the outcome of a study"):
        report(tmp_path / "other.nc", page)
    (folder / "claims.json").write_text("{}")
    with pytest.raises(ParameterError, match=r"claims\.json cannot be read"):
        report(folder, page)
    assert not page.exists()


def test_the_command_writes_the_page_and_says_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "run", "-o", "page.html", "--claims", "quick", "--title", "A title"]) == 0
    assert capsys.readouterr().out == "page     page.html\n"
    assert "A title" in Page(tmp_path / "page.html").text
    assert cli.main(["report", "run"]) == 0
    assert (tmp_path / "report.html").is_file()
    assert cli.main(["report", "nowhere"]) == 2
    assert cli.main(["report", "--claims", "some", "run"]) == 2
    assert cli.main(["report", "--help"]) == 0
