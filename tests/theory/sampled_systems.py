"""Systems and comparisons that the tests of the sampled solver share."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from quenched.losses import AbstractLoss, Logistic, Square
from quenched.models import AbstractGaussianModel, GaussianMixture, GaussianStart


def two_clusters(loss=None, alpha=2.0, noise=0.5, variance=0.1, overlap=0.0):
    return GaussianMixture(alpha=alpha, noise=noise, loss=loss or Logistic(), start=GaussianStart(overlap, variance))


class LogCosh(AbstractLoss):
    """A user's loss: nothing but ``ell``; it counts how often it is traced."""

    traces: ClassVar[list[int]] = []

    def ell(self, y, r):
        self.traces.append(1)
        return jnp.logaddexp(y - r, r - y) - jnp.log(2.0)


class LinearTeacher(AbstractGaussianModel):
    """y = sum_k a_k zeta_k with a = (1, tilt) (K = 2), or the same teacher as one direction (K = 1)."""

    loss: AbstractLoss = Square()
    tilt: float = eqx.field(default=0.5, converter=float)
    two: bool = True

    @property
    def delta(self):
        return 1.0

    @property
    def directions(self):
        return 2 if self.two else 1

    def latent(self, normal, uniform):
        if self.two:
            return normal, normal[:, 0] + self.tilt * normal[:, 1]
        return normal, jnp.sqrt(1 + self.tilt**2) * normal[:, 0]


def score(values, expected, error=0.0):
    """Distance of the mean over runs from the expected value, in standard errors of both."""
    values = np.asarray(values, float)
    spread = values.std(axis=0, ddof=1) / len(values) ** 0.5
    return np.abs(values.mean(0) - expected) / np.sqrt(spread**2 + error**2 + 1e-24)


def assert_agree(values, expected, error=0.0, sigmas=4.0, rounding=2e-6):
    """Every mean over runs within ``sigmas`` standard errors, apart from single-precision rounding."""
    values = np.asarray(values, float)
    far = np.abs(values.mean(0) - expected) > rounding
    worst = np.max(np.where(far, score(values, expected, error), 0.0))
    assert worst < sigmas, f"{worst:.1f} standard errors: {values.mean(0)} against {expected}"
