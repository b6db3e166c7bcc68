"""``quenched sweep``: what it understands, prints, refuses. Its cluster is threads of this process, which start at once."""

from __future__ import annotations

import contextlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from quenched.cli import main
from quenched.lab import cluster, registry
from quenched.lab.store import Store, StoreFullError
from quenched.lab.sweep import SweepInterrupted
from quenched.records.datasets import provenance
from quenched.records.files import load
from tests.lab.sweep_toy import Toy, install_toy


@pytest.fixture(autouse=True)
def folder(threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the toy study and no other."""
    monkeypatch.syspath_prepend(install_toy(tmp_path / "site"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    points = {"toy-point": registry.registered()["toy-point"]}
    monkeypatch.setattr(registry, "registered", lambda: points)
    monkeypatch.setattr(cluster, "local", lambda count: contextlib.nullcontext(threads))
    monkeypatch.setenv("COLUMNS", "160")
    return work


def parameters(store: Path) -> list[dict[str, Any]]:
    """Of every point in a store."""
    return [provenance(load(path, consent=True))["parameters"] for path in sorted(store.glob("*.nc"))]


@pytest.mark.slow
def test_it_says_what_was_done_and_what_comes_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "toy-point", "--over", "x=0.5:2:4", "--over", "flag=true,false", "--seeds", "2"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "points   16",
        "computed 16",
        "found    0",
        "failed   0",
        "store    stores/toy-point",
        "next     quenched report stores/toy-point",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == ["computed 0", "found    16"]
    assert {one["x"] for one in parameters(folder / "stores" / "toy-point")} == {0.5, 1.0, 1.5, 2.0}


def test_values_reach_the_study_as_they_were_written(folder: Path) -> None:
    words = ["--over", "x=0.1,0.3", "--over", "rule.batches=Full,IID", "--over", "word=01,true", "--store", "s"]
    assert main(["sweep", "toy-point", *words]) == 0
    found = parameters(folder / "s")
    assert {one["x"] for one in found} == {0.1, 0.3}
    assert {one["word"] for one in found} == {"01", "true"}
    assert {one["rule"]["batches"]["class"] for one in found} == {"Full", "IID"}
    assert len(found) == 8


def test_the_other_options_set_what_is_not_swept(folder: Path) -> None:
    words = ["--scale", "paper", "--over", "x=1,2", "--model.alpha", "2.5", "--seed", "5", "--store", "s"]
    assert main(["sweep", "toy-point", *words]) == 0
    assert {(one["count"], one["model"]["alpha"]) for one in parameters(folder / "s")} == {(9, 2.5)}
    assert {provenance(load(path, consent=True))["seed"] for path in (folder / "s").iterdir()} == {5}


@pytest.mark.slow
def test_a_configuration_file_is_the_sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--over", "x=0.1,0.3", "--over", "flag=true", "--seeds", "2", "--count", "7", "--store", "s"]
    assert main(["sweep", "toy-point", *words, "--print_config"]) == 0
    (folder / "sweep.yaml").write_text(capsys.readouterr().out)
    assert main(["sweep", "toy-point", "--config", "sweep.yaml"]) == 0
    assert {(one["x"], one["flag"], one["count"]) for one in parameters(folder / "s")} == {(0.1, True, 7), (0.3, True, 7)}
    (folder / "short.yaml").write_text("over: ['x=1:2:2']\nstore: t\n")
    assert main(["sweep", "toy-point", "--config", "short.yaml"]) == 0
    assert {one["x"] for one in parameters(folder / "t")} == {1.0, 2.0}
    assert main(["sweep", "toy-point", "--config", "short.yaml", "--over", "flag=true,false"]) == 0
    assert len(parameters(folder / "t")) == 4


@pytest.mark.parametrize("over", ["5", "{x: 1}", "[x=1, 3]"])
def test_a_configuration_file_holds_texts(over: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sweep.yaml").write_text(f"over: {over}\n")
    assert main(["sweep", "toy-point", "--config", "sweep.yaml"]) == 2
    assert "over must be a list of texts PATH=VALUES, got" in capsys.readouterr().err


def test_failed_points_are_listed_and_the_status_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "toy-point", "--over", "mode=diverge,bug", "--over", "x=1,2", "--over", "rule.batches=Full,IID"]
    assert main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:8] == [
        "failed   8",
        "         mode=diverge x=1.0 rule.batches=Full seed=0: DivergenceError: norm is not finite at step 3",
        "         mode=diverge x=1.0 rule.batches=IID seed=0: DivergenceError: norm is not finite at step 3",
        "         mode=diverge x=2.0 rule.batches=Full seed=0: DivergenceError: norm is not finite at step 3",
        "         and 5 more",
    ]
    assert main([*words, "--retry"]) == 1


BAD = {
    "--over x": "over must be PATH=FIRST:LAST:COUNT",
    "--over x=1:2": "x must be a range FIRST:LAST:COUNT",
    "--over x=1,b": "at the point x=b: x must be a finite number, got 'b'",
    "--over xx=1": "there is no parameter xx: Toy has model, rule,",
    "--over model.alpha=1,-1": "at the point model.alpha=-1: alpha must be > 0, got -1.0",
    "--over count=1:4:3": "at the point count=2.5: count must be an integer, got 2.5",
    "--over rule.batches=Ful": "got 'Ful'; did you mean Full?",
    "--over x=1 --over x=2": "x must be swept once, got it twice",
    "--over": "--over: expected one argument",
    "--over x=1 --seeds 0": "seeds must be an integer >= 1, got 0",
    "--over x=1 --seeds x": "--seeds must be of type int, got x",
    "--over x=1 --seed -1": "seed must be an integer with 0 <= seed < 2**32, got -1",
    "--over x=1 --workers 0": "workers must be an integer >= 1, got 0",
    "--over x=1 --scheduler nonsense": "scheduler must be the address of a running dask scheduler, got nonsense",
    "--over x=1 --store file": "store must be a folder, but file is a file",
    "--over x=1 --model.alpha -1": "alpha must be > 0, got -1.0",
    "--over x=1 --nope 3": "unrecognized arguments: --nope 3",
    "--over x=1 --scale huge": "scale must be one of quick, paper",
    "--over x=1 --config none.yaml": "config none.yaml cannot be read",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_line_status_2_and_no_file(words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("")
    assert main(["sweep", "toy-point", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("quenched: ")
    assert BAD[words] in err
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["file"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sweep", "the following arguments are required: STUDY"),
        ("sweep --over x=1 toy-point", "the name of the study comes first: quenched sweep STUDY"),
        ("sweep toy-pint --over x=1", "there is no study 'toy-pint'; did you mean toy-point?"),
    ],
)
def test_bad_commands_too(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (StoreFullError("the store s is full: 10 bytes were needed"), 1, "quenched: the store s is full: 10 bytes were needed\n"),
        (SweepInterrupted("interrupted; 3 of 4 points are safe"), 130, "quenched: interrupted; 3 of 4 points are safe\n"),
        (KeyboardInterrupt(), 130, "quenched: interrupted\n"),
        (PermissionError(13, "Permission denied", "s"), 1, "quenched: [Errno 13] Permission denied: 's'\n"),
    ],
)
def test_what_ends_a_sweep_is_one_line(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tidy(self: Store) -> None:
        raise error

    monkeypatch.setattr(Store, "tidy", tidy)
    assert main(["sweep", "toy-point", "--over", "x=1"]) == status
    assert capsys.readouterr().err == line


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "toy-point", "--over", "x=b", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "sweep "),
        (["--help"], "report "),
        (["sweep", "--help"], "--over model.alpha=0.5:4:15 --over rule.batches.fraction=0.1,0.3,1.0"),
        (["sweep", "toy-point", "--help"], "from 0.5 to 4 in 15 values, both ends included"),
        (["sweep", "toy-point", "--help"], "--over rule.lr=0.01:1:5:log"),
        (["sweep", "toy-point", "--help"], "run the same command"),
        (["sweep", "toy-point", "--help"], "--scheduler SCHEDULER"),
        (["sweep", "toy-point", "--help"], "What happens instead of an answer."),
        (["sweep", "toy-point", "--help"], "--model.help GaussianMixture"),
    ],
)
def test_help_is_enough_to_learn_from(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert expected in capsys.readouterr().out


def test_the_words_of_report_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[list[str]] = []
    module = types.ModuleType("quenched.lab.report_command")
    module.report_command = lambda words: heard.append(words) or 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "quenched.lab.report_command", module)
    assert main(["report", "-o", "page.html", "stores/x", "--help"]) == 7
    assert heard == [["-o", "page.html", "stores/x", "--help"]]


def test_a_store_folder_with_a_space_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "toy-point", "--over", "x=1", "--store", "my store"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["store    my store", "next     quenched report 'my store'"]


def test_the_toy_is_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert registry.load("toy-point") is Toy
