"""Two-class tasks on digits, and the MNIST file: content check, search order, the message when it is missing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pooch
import pytest
from sklearn.datasets import load_digits

from quenched.data import AbstractDigits, DamagedDataError, Digits, MissingDataError, Mnist, mnist
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe

# read at import, before a test replaces the environment
MNIST = Path(os.environ.get("QUENCHED_DATA", "/nowhere")) / "mnist.npz"


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty QUENCHED_DATA folder, an empty cache, and no network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setenv("QUENCHED_DATA", str(tmp_path / "given"))
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    for folder in ("given", "cache"):
        (tmp_path / folder).mkdir()
    return tmp_path


def small(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {name: rng.integers(0, 256, (20, *shape[1:]), np.uint8) for name, shape in mnist.SHAPES.items()}
    return {name: a % 10 if name.startswith("y") else a for name, a in arrays.items()}


def test_parity_of_the_bundled_digits() -> None:
    data = Digits().load()
    assert data.x.shape == (1438, 64)
    assert data.x_test is not None
    assert data.x_test.shape == (359, 64)
    assert data.x.dtype == data.y.dtype == np.float32
    assert data.x.min() == 0
    assert data.x.max() == 1
    pixels, digits = load_digits(return_X_y=True)
    odd = {(p / 16).astype(np.float32).tobytes(): d % 2 for p, d in zip(pixels, digits, strict=True)}
    for x, y in ((data.x, data.y), (data.x_test, data.y_test)):
        assert all((odd[row.tobytes()] == 1) == (label == 1) for row, label in zip(x, y, strict=True))


def test_training_and_test_samples_are_disjoint() -> None:
    data = Digits().load()
    assert not {row.tobytes() for row in data.x} & {row.tobytes() for row in data.x_test}


def test_one_digit_against_another() -> None:
    data = Digits(positive=(3,), negative=(8,)).load()
    _, digits = load_digits(return_X_y=True)
    assert len(data.y) + len(data.y_test) == np.isin(digits, (3, 8)).sum()
    assert (data.y == 1).sum() + (data.y_test == 1).sum() == (digits == 3).sum()


def test_subsamples_are_nested_and_fixed_by_the_seed() -> None:
    large, few, other = (Digits(train=n, test=30, seed=s).load() for n, s in ((200, 0), (50, 0), (50, 1)))
    np.testing.assert_array_equal(large.x[:50], few.x)
    np.testing.assert_array_equal(large.x_test, few.x_test)
    assert not np.array_equal(few.x, other.x)
    assert Digits(train=50).load() == Digits(train=50).load()


def test_a_data_set_survives_its_description() -> None:
    for data in (Digits(positive=(1,), negative=(7,), train=10), Mnist(test=5)):
        assert build(describe(data)) == data


@pytest.mark.parametrize("kind", [Digits, Mnist])
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"positive": ()}, "positive must be different digits"),
        ({"negative": (10,)}, "negative must be different digits"),
        ({"positive": (1, 1), "negative": (2,)}, "positive must be different digits"),
        ({"positive": (1, 2), "negative": (2, 3)}, "negative must not share a digit with positive"),
        ({"train": 0}, "train must be an integer >= 1"),
        ({"test": -1}, "test must be an integer >= 1"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_refusals(kind: type[AbstractDigits], arguments: dict, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        kind(**arguments)


def test_more_samples_than_there_are() -> None:
    with pytest.raises(ParameterError, match="train must be at most 1438"):
        Digits(train=2000).load()
    with pytest.raises(ParameterError, match="test must be at most"):
        Digits(positive=(0,), negative=(1,), test=300).load()


@pytest.mark.skipif(not MNIST.is_file(), reason="mnist.npz is not in QUENCHED_DATA")
def test_mnist_is_the_original() -> None:
    data = Mnist(train=1000, test=500).load()
    assert data.x.shape == (1000, 784)
    assert data.x_test.shape == (500, 784)
    assert 0 <= data.x.min() < data.x.max() == 1
    arrays = mnist.read_mnist()
    assert np.bincount(arrays["y_train"]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.skipif(not MNIST.is_file(), reason="mnist.npz is not in QUENCHED_DATA")
def test_one_changed_pixel_is_noticed_in_any_container(nowhere: Path) -> None:
    arrays = dict(np.load(MNIST))
    np.savez(nowhere / "cache" / "mnist.npz", extra=np.zeros(3), **arrays)
    assert mnist.read_mnist()["x_test"].shape == (10000, 28, 28)
    arrays["x_test"][17, 3, 4] ^= 1
    np.savez(nowhere / "given" / "mnist.npz", **arrays)
    with pytest.raises(DamagedDataError, match="x_test is not the original"):
        mnist.read_mnist()


def test_the_given_folder_comes_before_the_cache(nowhere: Path) -> None:
    for folder in ("cache", "given"):
        np.savez(nowhere / folder / "mnist.npz", **small())
        assert mnist.find() == nowhere / folder / "mnist.npz"


def test_a_missing_file_says_what_to_put_where(nowhere: Path) -> None:
    with pytest.raises(MissingDataError, match="QUENCHED_DATA") as error:
        Mnist().load()
    message = str(error.value)
    for part in (str(nowhere / "given"), str(nowhere / "cache"), "mnist.npz", "x_train (60000, 28, 28)", *mnist.DIGESTS.values()):
        assert part in message


def test_damaged_files_are_named(nowhere: Path) -> None:
    path = nowhere / "given" / "mnist.npz"
    np.savez(path, **small())
    with pytest.raises(DamagedDataError, match="x_train is not the original"):
        mnist.read_mnist()
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DamagedDataError, match="has no array x_test"):
        mnist.read_mnist()
    path.write_bytes(b"not an archive")
    with pytest.raises(DamagedDataError, match="is not a NumPy archive"):
        mnist.read_mnist()


def test_idx_layout() -> None:
    assert mnist.idx_bytes(np.array([[1, 2, 3]], np.uint8)) == bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3])
