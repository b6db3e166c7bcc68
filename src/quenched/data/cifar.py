"""A subset of CIFAR-10 as a two-class task."""

from __future__ import annotations

import hashlib
import io

import numpy as np

from quenched.data.digits import AbstractDigits, Images
from quenched.data.mnist import DamagedDataError, MissingDataError, local, places
from quenched.records.description import public

FILE = "cifar10_subset.npz"
SHA256 = "8a820475b6a827b716ec168b0eb5992ee4eef1405d2380e69146ba3291e19a8f"
SHAPES = {"x_train": (10000, 32, 32, 3), "y_train": (10000,), "x_test": (2000, 32, 32, 3), "y_test": (2000,)}


def read_cifar10() -> dict[str, np.ndarray]:
    """The four arrays of the subset, uint8, checked."""
    path = local(FILE)
    if path is None:
        wanted = ", ".join(f"{name} {shape}" for name, shape in SHAPES.items())
        raise MissingDataError(
            f"The CIFAR-10 subset is not here, and there is no public copy to fetch. Put {FILE} into {places()}. It is a NumPy "
            f"archive with the uint8 arrays {wanted}; the file must have the SHA-256 sum {SHA256}"
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise DamagedDataError(f"{path} is not the CIFAR-10 subset: its SHA-256 sum is {digest} and must be {SHA256}")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in SHAPES}


@public
class Cifar10(AbstractDigits):
    """10000 training and 2000 test images of CIFAR-10, 32 x 32 pixels of three colours, as many of each class.

    The images come from a JPEG copy: 10k and 2k of the 50k and 10k, with pixels that differ from the original ones, so that
    numbers at the level of pixels, and errors, cannot be compared with published ones. Fields as for the digits, with the classes

        0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck;

    the default is odd against even. x is (n, 3072) float32 in [0, 1], an image in the order (row, column, colour).

    ``cifar10_subset.npz`` is looked for in the folder named by the environment variable ``QUENCHED_DATA``, then in the cache
    folder of the library; it is never fetched. ``load`` raises ``MissingDataError`` where it is in neither, and
    ``DamagedDataError`` where its SHA-256 sum is another. Source: Krizhevsky, "Learning multiple layers of features from tiny
    images" (2009).
    """

    def images(self) -> tuple[Images, Images]:
        arrays = read_cifar10()
        training, held_out = ((arrays[f"x_{s}"].reshape(-1, 3072) / np.float32(255), arrays[f"y_{s}"]) for s in ("train", "test"))
        return training, held_out
