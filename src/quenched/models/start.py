"""Initial conditions of single-layer weights."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


class AbstractStart(eqx.Module):
    """Law of w(0) = m0 sum_k v_k + (Gaussian part of variance R0 per weight)."""

    @property
    @abc.abstractmethod
    def mean_overlap(self) -> Real:
        """m0 = w(0).v_k/d, the same along every special direction."""

    @property
    @abc.abstractmethod
    def spread(self) -> Real:
        """R0, the variance per weight of the part orthogonal to the special directions."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, directions: Float[Array, "k d"]) -> Float[Array, " d"]:
        """Draw w(0)."""


@public
class GaussianStart(AbstractStart):
    """w_i(0) = m0 v_i + sqrt(R0) N(0, 1): ``overlap`` = m0 (default 0), ``variance`` = R0 >= 0 (default 0.1)."""

    overlap: float = eqx.field(default=0.0, converter=float)
    variance: float = eqx.field(default=0.1, converter=float)

    def __check_init__(self) -> None:
        checks.finite("overlap", self.overlap)
        checks.non_negative("variance", self.variance)

    @property
    def mean_overlap(self) -> Real:
        return self.overlap

    @property
    def spread(self) -> Real:
        return self.variance

    def draw(self, key: PRNGKeyArray, directions: Float[Array, "k d"]) -> Float[Array, " d"]:
        noise = jax.random.normal(key, directions.shape[1:], directions.dtype)
        return self.overlap * directions.sum(0) + jnp.sqrt(jnp.asarray(self.variance, noise.dtype)) * noise


@public
class SphericalStart(AbstractStart):
    """A point of the sphere |w|^2 = d with overlap m0: the start for a spherical constraint; -1 < m0 < 1 (default 0).

    With several special directions only m0 = 0 is on the sphere for every number of them, and models refuse another value.
    """

    overlap: float = eqx.field(default=0.0, converter=float)

    def __check_init__(self) -> None:
        checks.in_interval("overlap", self.overlap, -1.0, 1.0, closed="neither")

    @property
    def mean_overlap(self) -> Real:
        return self.overlap

    @property
    def spread(self) -> Real:
        return 1.0 - self.overlap**2

    def draw(self, key: PRNGKeyArray, directions: Float[Array, "k d"]) -> Float[Array, " d"]:
        d = directions.shape[1]
        noise = jax.random.normal(key, (d,), directions.dtype)
        noise = noise - (directions @ noise) @ directions / d
        noise = noise * jnp.sqrt(jnp.asarray(1.0 - self.overlap**2, noise.dtype) * d / jnp.sum(noise**2))
        return self.overlap * directions.sum(0) + noise


def symmetric_start(start: AbstractStart) -> list[str]:
    """A caution for a start with overlap 0 in a problem that is symmetric under w -> -w."""
    if float(start.mean_overlap) != 0:
        return []
    return [
        "start has overlap 0 in a problem symmetric under w -> -w: the infinite-size theory keeps m = 0 for ever, a finite "
        "system leaves it after a time of order log d; give the start an overlap to compare the two"
    ]
