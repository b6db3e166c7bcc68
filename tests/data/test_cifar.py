"""The CIFAR-10 subset: two-class tasks, search order, the messages when the file is missing or another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pooch
import pytest

from quenched.data import Cifar10, DamagedDataError, MissingDataError, cifar
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe

# read at import, before a test replaces the environment
CIFAR = Path(os.environ.get("QUENCHED_DATA", "/nowhere")) / cifar.FILE
needs_the_file = pytest.mark.skipif(not CIFAR.is_file(), reason=f"{cifar.FILE} is not in QUENCHED_DATA")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty QUENCHED_DATA folder, an empty cache, and no network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setenv("QUENCHED_DATA", str(tmp_path / "given"))
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    for folder in ("given", "cache"):
        (tmp_path / folder).mkdir()
    return tmp_path


@needs_the_file
def test_the_subset_has_every_class_as_often() -> None:
    arrays = cifar.read_cifar10()
    assert {name: a.shape for name, a in arrays.items()} == cifar.SHAPES
    assert all(a.dtype == np.uint8 for a in arrays.values())
    assert np.bincount(arrays["y_train"]).tolist() == [1000] * 10
    assert np.bincount(arrays["y_test"]).tolist() == [200] * 10


@needs_the_file
def test_one_class_against_another() -> None:
    data = Cifar10(positive=(3,), negative=(5,), test=100).load()
    assert data.x.shape == (2000, 3072)
    assert data.x_test.shape == (100, 3072)
    assert data.x.dtype == data.y.dtype == np.float32
    assert 0 <= data.x.min() < data.x.max() <= 1
    assert (data.y == 1).sum() == (data.y == -1).sum() == 1000
    arrays = cifar.read_cifar10()
    cats = {image.tobytes() for image in arrays["x_train"][arrays["y_train"] == 3]}
    images = np.rint(data.x[:50] * 255).astype(np.uint8)
    assert [image.tobytes() in cats for image in images] == (data.y[:50] == 1).tolist()


@needs_the_file
def test_the_cache_serves_too(nowhere: Path) -> None:
    (nowhere / "cache" / cifar.FILE).symlink_to(CIFAR.resolve())
    assert Cifar10(train=10, test=5).load().x.shape == (10, 3072)


def test_a_missing_file_says_what_to_put_where(nowhere: Path) -> None:
    with pytest.raises(MissingDataError, match="QUENCHED_DATA") as error:
        Cifar10().load()
    message = str(error.value)
    for part in (str(nowhere / "given"), str(nowhere / "cache"), cifar.FILE, "x_train (10000, 32, 32, 3)", cifar.SHA256):
        assert part in message


def test_a_damaged_file_is_named_and_the_given_folder_comes_first(nowhere: Path) -> None:
    for folder in ("cache", "given"):
        path = nowhere / folder / cifar.FILE
        np.savez(path, x_train=np.zeros(3, np.uint8))
        with pytest.raises(DamagedDataError, match="is not the CIFAR-10 subset") as error:
            Cifar10().load()
        assert str(path) in str(error.value)


def test_it_survives_its_description() -> None:
    data = Cifar10(positive=(1,), negative=(9,), train=100)
    assert build(describe(data)) == data


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"negative": (10,)}, "negative must be different"),
        ({"positive": (1, 2), "negative": (2, 3)}, "negative must not share"),
        ({"train": 0}, "train must be an integer >= 1"),
    ],
)
def test_refusals(arguments: dict, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        Cifar10(**arguments)
