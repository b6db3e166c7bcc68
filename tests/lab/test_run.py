"""A run's outcome on disk: complete, readable, reproducible, and from which the run is rebuilt."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from quenched.lab import registry
from quenched.lab.run import check_folder, rebuild, run, write, write_claims
from quenched.lab.verify import from_json, verify
from quenched.numerics.checks import ParameterError
from quenched.records.description import UnknownClassError
from quenched.records.files import load
from quenched.studies import Study
from tests.lab.toy import install_toy


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Study]:
    monkeypatch.syspath_prepend(install_toy(tmp_path / "toy"))
    return registry.load("toy-walk")


def test_an_outcome_is_one_data_file_figures_and_a_table(walk: type[Study], tmp_path: Path) -> None:
    outcome = run(walk(), seed=3)
    rows, _ = verify([walk])
    paths = write(outcome, tmp_path / "out")
    assert {kind: [path.name for path in found] for kind, found in paths.items()} == {
        "data": ["toy-walk.nc"],
        "figures": ["square.svg", "square.png"],
    }
    table, record = write_claims("toy-walk", rows, tmp_path / "out")
    names = ["claims.json", "claims.md", "square.png", "square.svg", "toy-walk.nc"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert from_json(record.read_text())[0].passed
    tree = load(paths["data"][0])
    assert isinstance(tree, xr.DataTree)
    xr.testing.assert_identical(tree["theory"].to_dataset(), outcome.tree["theory"].to_dataset())
    assert "| the walk is [diffusive] | 1.01 ± 0.01 | 1 | 4 s.e. | exact: by hand | pass |" in table.read_text()


def test_the_same_run_gives_the_same_bytes(walk: type[Study], tmp_path: Path) -> None:
    first, second = (write(run(walk(), seed=3), tmp_path / name) for name in ("a", "b"))
    for one, two in zip(first["data"] + first["figures"], second["data"] + second["figures"], strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
    other = write(run(walk(), seed=4), tmp_path / "c")
    assert other["data"][0].read_bytes() != first["data"][0].read_bytes()


def test_data_are_safe_before_a_figure_is_drawn(walk: type[Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def figures(self: Study, tree: xr.DataTree) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(walk, "figures", figures)
    with pytest.raises(ZeroDivisionError):
        write(run(walk()), tmp_path)
    assert isinstance(load(tmp_path / "toy-walk.nc"), xr.DataTree)


def test_a_run_is_rebuilt_from_its_file(walk: type[Study], tmp_path: Path) -> None:
    study = walk(steps=7, scale_factor=0.1)
    path = write(run(study, seed=11), tmp_path)["data"][0]
    again, seed = rebuild(load(path))
    assert (again, seed) == (study, 11)


def test_rebuilding_a_foreign_component_needs_consent(walk: type[Study], tmp_path: Path) -> None:
    import toystudies.walk

    study = walk(model=toystudies.walk.Spins(bias=0.25), rule=toystudies.walk.Idle())
    path = write(run(study, seed=0), tmp_path)["data"][0]
    with pytest.raises(UnknownClassError, match=r"toystudies\.walk\.Spins"):
        load(path)
    tree = load(path, consent=True)
    with pytest.raises(UnknownClassError, match=r"toystudies\.walk\.Spins"):
        rebuild(tree)
    assert rebuild(tree, consent=True)[0] == study


def test_a_folder_is_checked_without_being_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="file"):
        check_folder(tmp_path / "file" / "b")
