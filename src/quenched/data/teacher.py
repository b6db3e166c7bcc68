"""Data drawn once by a known teacher: regression and classification with a spectrum, and test inputs of another domain."""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import Float
from scipy.special import expit

from quenched.data.base import AbstractData, Arrays
from quenched.numerics import checks
from quenched.records.description import public

LABELS = ("classes", "numbers")


@public
class GaussianTeacher(AbstractData):
    """x_l ~ N(0, ``variance`` l^-``exponent``), l = 1, ..., d, and labels of a teacher w ~ N(0, I_d).

    ``labels``: "classes", y = +1 with probability 1/(1 + exp(-w.x)), else -1; or "numbers", y = w.x + ``noise`` N(0, 1).
    Defaults: d = ``dimension`` = 8, ``train`` = ``test`` = 400 samples, variance 2, exponent 0.7, noise 0.5.

    The test set may come from another domain: its inputs, after the labels were drawn, are turned by the angle ``test_angle``
    (radians) in the planes of directions (1, 2), (3, 4), ..., and multiplied by ``test_scale``. The same ``seed`` gives the
    same teacher and the same training set whatever the test set is. Raises ``ParameterError`` for values <= 0 where there
    must be none.
    """

    dimension: int = 8
    train: int = 400
    test: int = 400
    variance: float = eqx.field(default=2.0, converter=float)
    exponent: float = eqx.field(default=0.7, converter=float)
    labels: str = "classes"
    noise: float = eqx.field(default=0.5, converter=float)
    test_scale: float = eqx.field(default=1.0, converter=float)
    test_angle: float = eqx.field(default=0.0, converter=float)
    seed: int = 0

    def __check_init__(self) -> None:
        for name in ("dimension", "train", "test"):
            checks.integer_at_least(name, getattr(self, name), 1)
        for name in ("variance", "test_scale"):
            checks.positive(name, getattr(self, name))
        checks.finite("exponent", self.exponent)
        checks.finite("test_angle", self.test_angle)
        checks.non_negative("noise", self.noise)
        checks.one_of("labels", self.labels, LABELS)
        checks.seed(self.seed)

    @property
    def scales(self) -> Float[np.ndarray, " d"]:
        """Standard deviations of the inputs."""
        return np.sqrt(self.variance * np.arange(1, self.dimension + 1) ** -self.exponent)

    def load(self) -> Arrays:
        rng = np.random.default_rng(self.seed)
        teacher = rng.normal(size=self.dimension)
        x, y = self._draw(rng, teacher, self.train)
        x_test, y_test = self._draw(rng, teacher, self.test)
        return Arrays(x, y, self._moved(x_test), y_test)

    def _draw(self, rng: np.random.Generator, teacher: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(count, self.dimension)) * self.scales
        if self.labels == "numbers":
            return x, x @ teacher + self.noise * rng.normal(size=count)
        return x, np.where(rng.uniform(size=count) < expit(x @ teacher), 1.0, -1.0)

    def _moved(self, x: np.ndarray) -> np.ndarray:
        """Inputs of the other domain."""
        c, s = np.cos(self.test_angle), np.sin(self.test_angle)
        moved = x.copy()
        last = self.dimension - self.dimension % 2
        even, odd = x[:, 0:last:2], x[:, 1:last:2]
        moved[:, 0:last:2], moved[:, 1:last:2] = c * even - s * odd, s * even + c * odd
        return moved * self.test_scale
