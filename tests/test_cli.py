"""The command line: what it prints, what it writes, how it says no."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import quenched
from quenched.cli import main
from quenched.lab import registry
from quenched.records.files import load
from tests.lab.toy import install_toy


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the toy studies on the path and no others."""
    monkeypatch.syspath_prepend(install_toy(tmp_path / "site"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    points = {name: point for name, point in registry.registered().items() if name.startswith("toy-")}
    monkeypatch.setattr(registry, "registered", lambda: points)
    monkeypatch.setenv("COLUMNS", "200")
    return work


def process(toy: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    paths = os.pathsep.join([str(toy.parent / "site"), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(toy.parent / "cache"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "quenched", *words], env=env, cwd=toy, capture_output=True, text=True, check=False
    )


def test_list_names_studies_and_the_broken_one(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert "toy-walk" in out
    assert "A toy random walk" in out
    assert "toy-broken" not in out
    assert err.count("\n") == 1
    assert "study toy-broken (toystudies.absent:Nothing) cannot be imported" in err


def test_show_tells_what_a_study_is(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "toy-walk"]) == 0
    out = capsys.readouterr().out
    for text in (
        "arXiv:0000.00000",
        "A random walk of unit steps.",
        "<x(t)^2> = t",
        "--scale_factor",
        "Length of a step.",
        "quick, paper",
    ):
        assert text in out
    assert "the walk is [diffusive]" in out


def test_run_writes_everything_and_prints_where(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "toy-walk", "--out", "here", "--seed", "5"]) == 0
    out = capsys.readouterr().out
    for name in ("toy-walk.nc", "square.svg", "square.png", "claims.md"):
        assert str(Path("here") / name) in out
        assert (toy / "here" / name).stat().st_size > 0
    assert '"seed":5' in load(toy / "here" / "toy-walk.nc").attrs["provenance"]


def parameters(toy: Path, *words: str) -> dict[str, object]:
    assert main(["run", "toy-walk", *words, "--claims", "none", "--out", "out"]) == 0
    return quenched.records.datasets.provenance(load(toy / "out" / "toy-walk.nc", consent=True))["parameters"]


def test_scale_gives_the_defaults(toy: Path) -> None:
    assert parameters(toy)["steps"] == 20
    assert parameters(toy, "--scale", "paper")["steps"] == 200
    assert parameters(toy, "--scale=paper", "--steps", "3")["steps"] == 3


def test_components_are_chosen_by_name_and_their_fields_by_dots(toy: Path) -> None:
    found = parameters(
        toy, "--model.loss", "Square", "--rule.lr", "0.1", "--rule.batches", "Epochs", "--rule.batches.fraction", "0.5"
    )
    assert found["model"]["loss"]["class"] == "Square"  # type: ignore[index]
    assert found["model"]["alpha"] == 3.0  # type: ignore[index]
    assert found["rule"]["lr"] == 0.1  # type: ignore[index]
    assert found["rule"]["batches"] == {"class": "Epochs", "fraction": 0.5}  # type: ignore[index]


def test_changing_a_component_keeps_values_of_equal_name(toy: Path) -> None:
    found = parameters(toy, "--rule.batches.fraction", "0.7", "--rule.batches", "IID")
    assert found["rule"]["batches"] == {"class": "IID", "fraction": 0.7}  # type: ignore[index]


def test_a_class_of_ones_own_by_import_path(toy: Path) -> None:
    words = ["--model", "toystudies.walk.Spins", "--model.bias", "0.25", "--rule", "toystudies.walk.Idle"]
    assert parameters(toy, *words)["model"] == {"class": "toystudies.walk.Spins", "bias": 0.25}


@pytest.mark.slow
def test_a_configuration_file_is_the_run(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--scale", "paper", "--seed", "9", "--rule.batches", "IID", "--scale_factor", "2"]
    assert main(["run", "toy-walk", *words, "--print_config"]) == 0
    text = capsys.readouterr().out
    (toy / "run.yaml").write_text(text)
    assert parameters(toy, "--config", "run.yaml") == parameters(toy, *words)
    (toy / "short.yaml").write_text("scale: paper\nscale_factor: 3\n")
    found = parameters(toy, "--config", "short.yaml")
    assert (found["steps"], found["scale_factor"]) == (200, 3.0)


BAD = {
    "--model.alpha -1": "alpha must be > 0, got -1.0",
    "--model.alpha abc": "--model.alpha must be of type float, got abc",
    "--model.alpa 1": "--model.alpa is not an option",
    "--model Nope": "--model: Nope is not a known class; see --model.help",
    "--model.loss os.system": "--model.loss: Importing 'os.system' is not allowed",
    "--model.loss numpy.sum": "numpy.sum does not correspond to a subclass of AbstractLoss",
    "--model.loss.output Door --model.loss.output.width 0": "width must be > 0, got 0.0",
    "--steps 1.5": "--steps must be of type int, got 1.5",
    "--rule.lr abc": "--rule.lr must be one of float, AbstractSchedule, got abc",
    "--rule.lr -0.1": "lr must be > 0, got -0.1",
    "--rule.batches.fraction 1.3": "batch fraction must lie in (0, 1], got 1.3",
    "--rule.batches.fraction 0.1": "leaving the batch",
    "--rule.batches.time 0.05": "persistence time",
    "--rule.batches Epochs --rule.batches.fraction 0.3": "1/integer",
    "--rule.ridge nan": "--rule.ridge must be of type float, got nan",
    "--rule.ridge .nan": "ridge must be a finite number",
    "--nope 3": "unrecognized arguments: --nope 3",
    "--model": "--model: expected one argument",
    "--seed -1": "seed must be an integer with 0 <= seed < 2**32, got -1",
    "--seed 4294967296": "seed must be an integer",
    "--seed x": "--seed must be of type int, got x",
    "--scale huge": "scale must be one of quick, paper for toy-walk, got 'huge'",
    "--claims some": "--claims must be of type Literal",
    "--config none.yaml": "config none.yaml cannot be read",
    "--config broken.yaml": "config broken.yaml cannot be read",
    "--config list.yaml": "",
    "--model toystudies.walk.Spins": "Gradient needs a model with a loss; Spins has none",
    "--model toystudies.walk.Spins --model.bias": "expected one argument",
    "--fails diverge": "norm is not finite at step 3",
    "--out file/inside": "out must be a folder, but",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_one_line_status_2_and_no_file(words: str, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (toy / "broken.yaml").write_text("a: [1\n")
    (toy / "list.yaml").write_text("- 1\n")
    (toy / "file").write_text("")
    before = sorted(toy.rglob("*"))
    assert main(["run", "toy-walk", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("quenched: ")
    assert BAD[words] in err
    assert sorted(toy.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run toy-wlak", "there is no study 'toy-wlak'; did you mean toy-walk"),
        ("show toy-wlak", "did you mean toy-walk"),
        ("verify toy-wlak", "did you mean toy-walk"),
        ("run toy-broken", "toy-broken (toystudies.absent:Nothing) cannot be imported"),
        ("run --seed 1 toy-walk", "the name of the study comes first"),
        ("run", "the following arguments are required: STUDY"),
        ("frob", "invalid choice: 'frob'"),
    ],
)
def test_bad_commands_too(words: str, message: str, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_debug_shows_the_traceback(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "toy-walk", "--model.alpha", "-1", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_and_an_interrupt(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "toy-walk", "--fails", "bug"]) == 1
    assert "unforeseen RuntimeError: a bug (--debug" in capsys.readouterr().err
    assert main(["run", "toy-walk", "--fails", "interrupt"]) == 130
    assert list(toy.iterdir()) == []


def test_verify_tells_pass_from_fail(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "toy-walk"]) == 0
    out = capsys.readouterr().out
    assert "1 of 1 claims pass; 1 slow ones skipped (--slow)" in out
    assert "1.01 ± 0.01" in out
    assert main(["verify", "toy-walk", "--slow"]) == 0
    assert "2 of 2 claims pass" in capsys.readouterr().out
    assert main(["verify", "toy-wrong"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_verify_of_all_studies_reports_the_broken_one(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 1
    out, err = capsys.readouterr()
    assert "1 of 2 claims pass" in out
    assert "toy-broken" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "quenched run effective-noise"),
        (["--help"], "verify"),
        (["run", "--help"], "--print_config > first.yaml"),
        (["verify", "--help"], "exit status 1"),
        (["run", "toy-walk", "--help"], "--model.help GaussianMixture"),
        (["run", "toy-walk", "--help"], "keeps the values of arguments with the same name"),
        (["run", "toy-walk", "--help"], "Length of a step."),
        (["run", "toy-walk", "--help"], "GaussianMixture(loss=Logistic(output=Linear())"),
        (["run", "toy-walk", "--scale", "paper", "--help"], "default: 200"),
        (["run", "toy-walk", "--model.help", "GaussianMixture"], "--model.alpha"),
        (["run", "toy-walk", "--rule.help", "Gradient"], "--rule.batches"),
    ],
)
def test_help_is_enough_to_learn_from(words: list[str], expected: str, toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.slow
def test_a_process_keeps_its_compiled_code(toy: Path) -> None:
    """The second process finds on disk all that the first one compiled; importing the library writes nothing."""
    cache = toy.parent / "cache" / "quenched" / "compiled"

    def entries() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in cache.rglob("*-cache")}

    for run in range(2):
        done = process(toy, "run", "toy-compiled", "--claims", "none")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        if run == 0:
            first = entries()
            assert first
    assert entries() == first


def test_list_and_version_start_lean(toy: Path) -> None:
    """Neither JAX nor xarray is imported to print a list of titles."""
    code = (
        "import sys; from quenched.cli import main; from quenched.lab import registry;"
        "points = registry.registered(); registry.registered = lambda: {'toy-walk': points['toy-walk']};"
        "assert main(['list']) == 0 and main(['--version']) == 0;"
        "assert not {'jax', 'xarray', 'matplotlib', 'numpy'} & set(sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(toy.parent / "site")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "A toy random walk" in done.stdout
