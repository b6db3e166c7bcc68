"""A result file may come from anybody: reading it runs nothing and imports nothing that it names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.records import UnknownClassError

# a module whose import leaves a trace on the disk
TRAP = "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\nclass Model: pass\n"
READ = """
import sys
import quenched as qd
before = set(sys.modules)
refused = []
for path in sys.argv[1:]:
    try:
        qd.load(path)
    except Exception as error:
        refused.append((type(error).__name__, str(error)))
assert len(refused) == len(sys.argv) - 1, refused
for name, text in refused:
    assert name == "UnknownClassError" and "nothing was imported" in text, (name, text)
assert "trap_module" not in sys.modules
assert not {"antigravity", "this"} & set(sys.modules)
print("; ".join(text for _, text in refused))
"""


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return qd.simulate(qd.models.GaussianMixture(), qd.dynamics.Gradient(), steps=2, size=10)


def forged(result: xr.Dataset, place: str, name: str) -> xr.Dataset:
    """The result, with a class or a function of somebody else's written into its provenance."""
    record = json.loads(result.attrs["provenance"])
    if place == "model":
        record["model"] = {"class": name, "command": "touch sprung"}
    elif place == "loss":
        record["model"]["loss"] = {"class": name}
    elif place == "observable":
        record["observables"] = {"norm": {"function": name}}
    else:
        record["rule"]["batches"]["mapping"] = {"deep": [{"class": name}]}
    return result.assign_attrs(provenance=json.dumps(record))


PLACES = ("model", "loss", "observable", "deep")


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_names_os_system_is_refused(result: xr.Dataset, place: str, tmp_path: Path) -> None:
    path = qd.save(forged(result, place, "os.system"), tmp_path / "result.nc")
    with pytest.raises(UnknownClassError, match=r"result\.nc names 'os\.system'.*nothing was imported"):
        qd.load(path)


def test_a_group_of_a_file_is_no_hiding_place(result: xr.Dataset, tmp_path: Path) -> None:
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/theory": result, "/experiment/deep": forged(result, "model", "os.system")})
    path = qd.save(tree, tmp_path / "tree.nc")
    with pytest.raises(UnknownClassError, match=r"os\.system"):
        qd.load(path)


@pytest.mark.slow
def test_nothing_is_imported(result: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "trap_module.py").write_text(TRAP)
    paths = []
    for place in PLACES:
        for name in ("os.system", "trap_module.Model", "antigravity.fly"):
            paths.append(str(qd.save(forged(result, place, name), tmp_path / f"{place}-{name}.nc")))
    done = subprocess.run([sys.executable, "-c", READ, *paths], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("names 'os.system'") == len(PLACES)
    assert not (tmp_path / "sprung").exists()


def test_with_consent_a_name_is_imported_but_never_called_unless_it_is_a_component(result: xr.Dataset, tmp_path: Path) -> None:
    path = qd.save(forged(result, "model", "os.system"), tmp_path / "result.nc")
    trusted = qd.load(path, consent=True)
    np.testing.assert_array_equal(trusted.norm, result.norm)
    with pytest.raises(UnknownClassError, match="nothing was imported"):
        qd.records.rebuild(trusted)
    with pytest.raises(UnknownClassError, match=r"os\.system is not a component"):
        qd.records.rebuild(trusted, consent=True)


@pytest.mark.slow
def test_an_honest_file_is_read_and_run_again(result: xr.Dataset, tmp_path: Path) -> None:
    again = qd.simulate(**qd.records.rebuild(qd.load(qd.save(result, tmp_path / "result.nc"))))
    assert again.identical(result)
