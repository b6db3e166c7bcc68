"""CONTRIBUTING.md, followed literally: its package is installed into a folder, its script and its commands are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from quenched.records.files import load
from tests.lab.toy import install

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|toml|console)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
FILES = {m[1]: text for _, text in BLOCKS if (m := re.match(r"# (\S+/\S+\.py|pyproject\.toml)\n", text))}
SCRIPT = next(text for language, text in BLOCKS if language == "python" and not text.startswith("# "))
COMMANDS = next(text for language, text in BLOCKS if language == "console").splitlines()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and the metadata that pip would make of its pyproject.toml."""
    points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    lines = [line for group, entries in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))]
    sources = {name.removeprefix("spinlab/"): text for name, text in FILES.items() if name.startswith("spinlab/")}
    return install(tmp_path_factory.mktemp("site"), "spinlab", {"__init__.py": "", **sources}, "\n".join(lines) + "\n")


def python(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(site / "cache"), "COLUMNS": "160"}
    return subprocess.run([sys.executable, *words], env=env, cwd=site, capture_output=True, text=True, check=False)


def test_the_page_has_a_model_a_rule_an_observable_and_a_study() -> None:
    assert set(FILES) == {f"spinlab/{name}.py" for name in ("hopfield", "glauber", "observables", "retrieval")} | {
        "pyproject.toml"
    }


def test_each_of_them_is_short() -> None:
    code = {name: [line for line in text.splitlines()[1:] if line.strip()] for name, text in FILES.items()}
    assert all(len(lines) <= 35 for name, lines in code.items() if name != "spinlab/retrieval.py"), {
        n: len(t) for n, t in code.items()
    }
    # the study's claim and figure are parts of their own
    assert len(code["spinlab/retrieval.py"]) <= 60


@pytest.mark.slow
def test_spins_without_a_loss_go_through_the_engine(site: Path) -> None:
    checks = (
        "\nassert run.sizes['replica'] == 4 and run.sizes['disorder'] == 2\n"
        "import numpy as np\n"
        "twice = run.overlap.values.astype(float) * 100\n"
        "assert np.allclose(twice, np.round(twice), atol=1e-3), 'the overlap of N = 200 spins is an even number over N'\n"
        "assert run.energy.attrs['symbol'] == 'e'\n"
        "assert (run.energy.values[..., -1] < run.energy.values[..., 0]).all()\n"
        "assert ((run.flips.values > 0) & (run.flips.values < 0.5)).all()\n"
    )
    done = python(site, "-W", "error", "-c", SCRIPT + checks)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_gradient_rule_refuses_the_spins_by_name(site: Path) -> None:
    done = python(
        site,
        "-c",
        "import quenched as qd\nfrom spinlab.hopfield import Hopfield\nfrom spinlab.glauber import Glauber\n"
        "for model, rule in ((Hopfield(), qd.dynamics.Gradient()), (qd.models.GaussianMixture(), Glauber())):\n"
        "    try:\n        qd.simulate(model, rule, steps=1, size=10)\n"
        "    except qd.numerics.checks.IncompatibleError as error:\n        print(error)\n",
    )
    assert done.stdout.splitlines() == [
        "Gradient needs a model with a loss; Hopfield has none",
        "Glauber needs a spin model with a local field; GaussianMixture has none",
    ], done.stderr


@pytest.mark.slow
def test_the_commands_work_as_printed(site: Path) -> None:
    output = {}
    for line in COMMANDS:
        words = shlex.split(line)
        assert words[0] == "quenched"
        done = python(site, "-m", *words)
        assert done.returncode == 0, (line, done.stderr)
        output[words[1]] = done.stdout
    assert "Retrieval in the Hopfield model" in output["list"]
    assert "Number N of spins." in output["show"]
    assert "1 of 1 claims pass" in output["verify"]
    for name in ("hopfield-retrieval.nc", "overlap.svg", "overlap.png", "claims.md"):
        assert f"runs/first/{name}" in output["run"]
        assert (site / "runs" / "first" / name).stat().st_size > 0
    tree = load(site / "runs" / "first" / "hopfield-retrieval.nc", consent=True)
    assert tree["experiment"].sizes["replica"] == 8
    # deep in the retrieval phase: the pattern is nearly recovered from 20 % flipped spins
    assert np.all(tree["experiment"]["overlap"].values[..., -1] > 0.8)


@pytest.mark.slow
def test_bad_input_to_a_study_from_outside(site: Path) -> None:
    done = python(site, "-m", "quenched", "run", "hopfield-retrieval", "--rule.temperature", "0", "--out", "bad")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "quenched: temperature must be > 0, got 0.0\n")
    assert not (site / "bad").exists()
