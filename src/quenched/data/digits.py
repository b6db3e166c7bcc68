"""Handwritten digits as a two-class task: the small set that comes with scikit-learn, and MNIST."""

from __future__ import annotations

import abc
from collections.abc import Iterable

import equinox as eqx
import numpy as np

from quenched.data.base import AbstractData, Arrays
from quenched.data.mnist import read_mnist
from quenched.numerics import checks
from quenched.records.description import public

Images = tuple[np.ndarray, np.ndarray]


def _classes(value: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in value)


class AbstractDigits(AbstractData):
    """Digits of the classes ``positive`` (y = +1) against those of ``negative`` (y = -1); other digits are left out.

    Default: odd against even (parity). One digit against another: ``positive=(3,), negative=(8,)``. ``train`` and ``test`` are
    numbers of samples, None for all there are; a smaller set is the beginning of a larger one, in an order fixed by ``seed``.
    Pixels are in [0, 1], ink is 1; x is (n, pixels) float32, y is (n,) float32.

    Raises ``ParameterError`` for classes that overlap, are empty or no digits, and for more samples than there are.
    """

    positive: tuple[int, ...] = eqx.field(default=(1, 3, 5, 7, 9), converter=_classes)
    negative: tuple[int, ...] = eqx.field(default=(0, 2, 4, 6, 8), converter=_classes)
    train: int | None = None
    test: int | None = None
    seed: int = 0

    def __check_init__(self) -> None:
        for name in ("positive", "negative"):
            digits = getattr(self, name)
            if not digits or len(set(digits)) != len(digits) or not set(digits) <= set(range(10)):
                raise checks.ParameterError(f"{name} must be different digits from 0 to 9, at least one, got {digits!r}")
        common = sorted(set(self.positive) & set(self.negative))
        if common:
            raise checks.ParameterError(f"negative must not share a digit with positive, got {common} in both")
        for name in ("train", "test"):
            if getattr(self, name) is not None:
                checks.integer_at_least(name, getattr(self, name), 1)
        checks.seed(self.seed)

    @abc.abstractmethod
    def images(self) -> tuple[Images, Images]:
        """Training and test images with their digits: ((n, pixels) in [0, 1], (n,)) each."""

    def load(self) -> Arrays:
        training, held_out = self.images()
        rng = np.random.default_rng(self.seed)
        return Arrays(*self._task("train", *training, rng), *self._task("test", *held_out, rng))

    def _task(self, name: str, images: np.ndarray, digits: np.ndarray, rng: np.random.Generator) -> Images:
        chosen = rng.permutation(np.flatnonzero(np.isin(digits, self.positive + self.negative)))
        count = getattr(self, name)
        if count is not None and count > len(chosen):
            raise checks.ParameterError(
                f"{name} must be at most {len(chosen)}, the number of samples in these classes, got {count}"
            )
        chosen = chosen[:count]
        y = np.where(np.isin(digits[chosen], self.positive), 1.0, -1.0)
        return images[chosen].astype(np.float32), y.astype(np.float32)


@public
class Digits(AbstractDigits):
    """scikit-learn's bundled 1797 digits of 8 x 8 pixels, always available; every fifth one is held out.

    Source: test set of Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI repository (1998).
    """

    def images(self) -> tuple[Images, Images]:
        # scikit-learn takes a second to import, and only this method needs it
        from sklearn.datasets import load_digits

        pixels, digits = load_digits(return_X_y=True)
        held_out = np.arange(len(digits)) % 5 == 4
        return (pixels[~held_out] / 16.0, digits[~held_out]), (pixels[held_out] / 16.0, digits[held_out])


@public
class Mnist(AbstractDigits):
    """MNIST, 60000 training and 10000 test digits of 28 x 28 pixels.

    ``mnist.npz`` is looked for in the folder named by the environment variable ``QUENCHED_DATA``, then in the cache folder of
    the library, then fetched from the public copy that Keras uses. Whatever the container, the arrays must be the original
    ones, bit for bit. ``load`` raises ``MissingDataError`` where the file cannot be had, and ``DamagedDataError`` where its
    contents are others. Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
    """

    def images(self) -> tuple[Images, Images]:
        arrays = read_mnist()
        training, held_out = ((arrays[f"x_{s}"].reshape(-1, 784) / np.float32(255), arrays[f"y_{s}"]) for s in ("train", "test"))
        return training, held_out
