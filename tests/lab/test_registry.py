"""Studies are found through entry points; a broken one does not take the others with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from quenched.lab import registry
from quenched.studies import Study
from tests.lab.toy import install, install_toy


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(install_toy(tmp_path))
    return tmp_path


def test_studies_of_another_package_are_registered_and_loaded(toy: Path) -> None:
    assert {"toy-walk", "toy-wrong", "toy-broken"} <= set(registry.registered())
    study = registry.load("toy-walk")
    assert issubclass(study, Study)
    assert registry.title("toy-walk") == study.title == "A toy random walk"


def test_an_unknown_name_suggests_the_nearest(toy: Path) -> None:
    with pytest.raises(registry.UnknownStudyError, match=r"'toy-wlak'.*did you mean toy-walk"):
        registry.load("toy-wlak")
    with pytest.raises(registry.UnknownStudyError, match=r"registered: .*toy-walk"):
        registry.title("xyz")


def test_a_broken_entry_point_is_named(toy: Path) -> None:
    for question in (registry.load, registry.title):
        with pytest.raises(registry.BrokenStudyError, match=r"toy-broken \(toystudies.absent:Nothing\).*No module named"):
            question("toy-broken")


@pytest.mark.parametrize("source", ["raise SystemError('no licence')", "S = 3", "class S: pass", "class S(:"])
def test_anything_that_is_not_a_study_is_named(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = f"odd{abs(hash(source))}"
    folder = install(tmp_path, package, {"__init__.py": source}, f"[quenched.studies]\nodd = {package}:S\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(registry.BrokenStudyError, match=f"odd .{package}:S.*"):
        registry.load("odd")


def test_a_title_that_is_not_a_literal_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from quenched.studies import Study\nclass S(Study):\n    name = 'odd'\n    title = 'com' + 'puted'\n"
    monkeypatch.syspath_prepend(install(tmp_path, "computed", {"__init__.py": source}, "[quenched.studies]\nodd = computed:S\n"))
    assert registry.title("odd") == "computed"
