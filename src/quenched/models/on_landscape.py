"""Samples whose mean loss is a landscape: the microscopic SGD behind the Fokker-Planck equation."""

from __future__ import annotations

import abc
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.models.base import AbstractLossModel
from quenched.models.given import no_size
from quenched.models.landscape import AbstractLandscape, DoubleWell, Harmonic
from quenched.models.single_layer import unstable_step
from quenched.numerics import checks
from quenched.records.description import public
from quenched.records.labels import Label, register_label

register_label("position", Label("parameters", r"\theta", dims=("axis",)))


class AbstractLandscapeNoise(eqx.Module):
    """How the loss of a sample differs from the landscape: l_i(theta) = L(theta) + extra(theta, mark_i), zero on average."""

    @abc.abstractmethod
    def check(self, dimension: int, samples: int) -> None:
        """Raise ``ParameterError`` if the noise does not fit d parameters and n samples."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, samples: int, dimension: int, dtype: Any) -> Float[Array, "n q"]:
        """The marks of the samples: their mean is 0 and their covariance (with 1/n) as prescribed, exactly."""

    @abc.abstractmethod
    def extra(self, theta: Float[Array, " d"], mark: Float[Array, " q"]) -> Float[Array, ""]:
        """What a sample adds to L."""

    @abc.abstractmethod
    def covariance(self, theta: Float[Array, " d"]) -> Float[Array, "d d"]:
        """Sigma(theta): the covariance of the gradients of single samples, with 1/n."""


@public
class AdditiveNoise(AbstractLandscapeNoise):
    """l_i = L + xi_i . theta: the same noise everywhere, Sigma = diag(``variance``), one value for each direction or for all."""

    variance: tuple[float, ...] = eqx.field(default=(1.0,), converter=lambda v: tuple(map(float, np.atleast_1d(v))))

    def __check_init__(self) -> None:
        for value in self.variance:
            if isinstance(value, float):
                checks.positive("variance", value)

    def check(self, dimension: int, samples: int) -> None:
        if len(self.variance) not in (1, dimension):
            raise checks.ParameterError(f"variance must be one value or {dimension}, got {self.variance!r}")
        checks.integer_at_least("count", samples, dimension + 1)

    def draw(self, key: PRNGKeyArray, samples: int, dimension: int, dtype: Any) -> Float[Array, "n d"]:
        return whitened(jax.random.normal(key, (samples, dimension), dtype)) * jnp.sqrt(self._variances(dimension)).astype(dtype)

    def extra(self, theta: Float[Array, " d"], mark: Float[Array, " q"]) -> Float[Array, ""]:
        return mark @ theta

    def covariance(self, theta: Float[Array, " d"]) -> Float[Array, "d d"]:
        return jnp.diag(self._variances(theta.shape[0]))

    def _variances(self, dimension: int) -> Float[Array, " d"]:
        return jnp.broadcast_to(jnp.stack([jnp.asarray(v) for v in self.variance]), (dimension,))


@public
class MultiplicativeNoise(AbstractLandscapeNoise):
    """l_i = L + xi_i phi(theta), xi of variance 1, phi = ``shape`` another landscape: Sigma(theta) = grad phi grad phi^T.

    Default: phi = theta^2/2 in one dimension, Sigma = theta^2.
    """

    shape: AbstractLandscape = Harmonic()

    def __check_init__(self) -> None:
        checks.instance("shape", self.shape, AbstractLandscape)

    def check(self, dimension: int, samples: int) -> None:
        if self.shape.dimension != dimension:
            raise checks.ParameterError(f"shape must have {dimension} dimensions, got {self.shape.dimension}")
        checks.integer_at_least("count", samples, 2)

    def draw(self, key: PRNGKeyArray, samples: int, dimension: int, dtype: Any) -> Float[Array, "n q"]:
        return whitened(jax.random.normal(key, (samples, 1), dtype))

    def extra(self, theta: Float[Array, " d"], mark: Float[Array, " q"]) -> Float[Array, ""]:
        return mark[0] * self.shape.potential(theta)

    def covariance(self, theta: Float[Array, " d"]) -> Float[Array, "d d"]:
        slope = self.shape.gradient(theta)
        return jnp.outer(slope, slope)


@public
class Noiseless(AbstractLandscapeNoise):
    """l_i = L: every sample is the landscape, to the last bit. One sample, ``count`` = 1, is as good as many."""

    def check(self, dimension: int, samples: int) -> None:
        checks.integer_at_least("count", samples, 1)

    def draw(self, key: PRNGKeyArray, samples: int, dimension: int, dtype: Any) -> Float[Array, "n q"]:
        return jnp.zeros((samples, 0), dtype)

    def extra(self, theta: Float[Array, " d"], mark: Float[Array, " q"]) -> Float[Array, ""]:
        return jnp.zeros((), theta.dtype)

    def covariance(self, theta: Float[Array, " d"]) -> Float[Array, "d d"]:
        return jnp.zeros((theta.shape[0],) * 2, theta.dtype)


def whitened(marks: Float[Array, "n q"]) -> Float[Array, "n q"]:
    """Marks with mean exactly 0 and covariance (with 1/n) exactly 1."""
    marks = marks - jnp.mean(marks, axis=0)
    root = jnp.linalg.cholesky(marks.T @ marks / marks.shape[0])
    return jax.scipy.linalg.solve_triangular(root, marks.T, lower=True).T


@public
class OnLandscape(AbstractLossModel):
    """n = ``count`` losses l_i whose mean is ``landscape``, with a ``noise``; every replica starts at ``start``.

    A minibatch of S samples drawn with replacement has the gradient grad L + chi, with <chi chi^T> = Sigma(theta)/S exactly at
    any theta (``Minibatch``, ``Reshuffled``; ``GaussianBatch`` for Gaussian chi): the model that the Fokker-Planck equation
    approximates. The energy is the mean loss; ``size`` is None. Observed are ``position`` theta (axis,) and ``loss`` L(theta).
    Defaults: the canonical double well from its sharp minimum at -1, additive noise of variance 1, 4096 samples. Additive noise
    leaves the rounding of its sum in the loss of all samples; motion on the landscape itself takes ``Noiseless()``, ``count`` 1.

    Raises ``ParameterError`` for a start or noise of another dimension.
    Source: Dai, Zhu, arXiv:2112.00987.
    """

    landscape: AbstractLandscape = DoubleWell()
    noise: AbstractLandscapeNoise = AdditiveNoise()
    start: tuple[float, ...] = eqx.field(default=(-1.0,), converter=lambda v: tuple(map(float, np.atleast_1d(v))))
    count: int = eqx.field(default=4096, converter=operator.index)

    def __check_init__(self) -> None:
        checks.instance("landscape", self.landscape, AbstractLandscape)
        checks.instance("noise", self.noise, AbstractLandscapeNoise)
        if len(self.start) != self.landscape.dimension:
            raise checks.ParameterError(f"start must have {self.landscape.dimension} coordinates, got {self.start!r}")
        self.noise.check(self.landscape.dimension, self.count)

    def cautions(self, rule: Any) -> list[str]:
        """Warns of an unstable step at the start: lr * largest curvature > 2 for plain descent."""
        with jax.enable_x64(True):
            curvature = np.linalg.eigvalsh(np.asarray(self.landscape.hessian(jnp.asarray(self.start))))[-1]
        return unstable_step(rule, float(curvature))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        return self.count, self.landscape.dimension

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Float[Array, "n q"]:
        return self.noise.draw(key, sizes[0], sizes[1], dtype)

    def initial(self, key: PRNGKeyArray, disorder: Float[Array, "n q"]) -> Float[Array, " d"]:
        return jnp.stack([jnp.asarray(x, disorder.dtype) for x in self.start])

    def losses(self, weights: Float[Array, " d"], disorder: Float[Array, "n q"]) -> Float[Array, " n"]:
        return self.landscape.potential(weights) + jax.vmap(lambda mark: self.noise.extra(weights, mark))(disorder)

    def batch_losses(self, weights: Float[Array, " d"], disorder: Any, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        return self.losses(weights, disorder[indices])

    def samples(self, disorder: Any) -> int:
        return disorder.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: Float[Array, " d"], disorder: Any) -> dict[str, Array]:
        return {"position": weights, "loss": self.landscape.potential(weights)}
