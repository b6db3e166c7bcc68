"""Logistic and linear regression with weight decay: the mean loss of raw features, as statistics writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.data import AbstractData
from quenched.data.teacher import GaussianTeacher
from quenched.losses import AbstractLoss, Logistic
from quenched.models.base import AbstractLossModel, squared_norm
from quenched.models.given import Prepared, held_out, no_size, prepared, signed_labels
from quenched.models.single_layer import unstable_step
from quenched.models.two_layer import LabelledSamples
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


@public
class GeneralisedLinear(AbstractLossModel):
    """U(w) = mean_mu ell(y_mu, w.x_mu) + ``decay`` |w|^2/2: the features are taken as they come, and no factor 1/sqrt(d) is
    in r.

    Unlike ``SingleLayerData``, which scales features and sums losses as in the thermodynamic limit. Every sample carries the
    decay, so that minibatches, test loss and their minima are those of one function U. Defaults: logistic loss, decay 0.01,
    and data of ``GaussianTeacher``. Every replica starts at ``start``, default 0. Labels are +-1 for a classification loss.
    ``size`` is None.
    """

    data: AbstractData = GaussianTeacher()
    loss: AbstractLoss = Logistic()
    decay: float = eqx.field(default=1e-2, converter=float)
    start: tuple[float, ...] = eqx.field(default=(), converter=lambda v: tuple(map(float, np.atleast_1d(v))))

    def __check_init__(self) -> None:
        checks.instance("data", self.data, AbstractData)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.non_negative("decay", self.decay)

    def prepare(self) -> GeneralisedLinear:
        arrays = self.data.load()
        signed_labels(arrays, type(self).__name__, self.loss)
        x = arrays.x.reshape(len(arrays.x), -1)
        if self.start and len(self.start) != x.shape[1]:
            raise checks.ParameterError(f"start must have {x.shape[1]} coordinates, got {len(self.start)}")
        x_test = None if arrays.x_test is None else arrays.x_test.reshape(len(arrays.x_test), -1)
        return dataclasses.replace(self, data=Prepared(x, arrays.y, x_test, arrays.y_test))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        shape = prepared(self.data, type(self).__name__).x.shape
        return int(shape[0]), int(shape[1])

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> LabelledSamples:
        arrays = prepared(self.data, type(self).__name__)
        x_test, y_test = held_out(arrays, dtype)
        y_test = None if y_test is None else y_test.astype(dtype)
        return LabelledSamples(jnp.asarray(arrays.x, dtype), jnp.asarray(arrays.y, dtype), x_test, y_test)

    def initial(self, key: PRNGKeyArray, disorder: LabelledSamples) -> Float[Array, " d"]:
        d, dtype = disorder.x.shape[1], disorder.x.dtype
        return jnp.stack([jnp.asarray(w, dtype) for w in self.start]) if self.start else jnp.zeros(d, dtype)

    def losses(self, weights: Float[Array, " d"], disorder: LabelledSamples) -> Float[Array, " n"]:
        return self._losses(weights, disorder.x, disorder.y)

    def batch_losses(
        self, weights: Float[Array, " d"], disorder: LabelledSamples, indices: Int[Array, " s"]
    ) -> Float[Array, " s"]:
        return self._losses(weights, disorder.x[indices], disorder.y[indices])

    def _losses(self, weights: Float[Array, " d"], x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        return self.loss.ell(y, x @ weights) + 0.5 * self.decay * jnp.sum(weights**2)

    def samples(self, disorder: LabelledSamples) -> int:
        return disorder.x.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: Float[Array, " d"], disorder: LabelledSamples) -> dict[str, Array]:
        values = {"loss": jnp.mean(self.losses(weights, disorder)), "norm": squared_norm(weights) / weights.shape[0]}
        if disorder.x_test is not None and disorder.y_test is not None:
            values["test_loss"] = jnp.mean(self._losses(weights, disorder.x_test, disorder.y_test))
        return values

    # ---- outside the engine: U and U_te as functions of w

    def functions(self) -> tuple[Callable[[Array], Array], Callable[[Array], Array] | None]:
        """U and U_te (None without held-out samples) as functions of w (d,), for ``minimum_pair`` and ``shift_curvature``."""
        arrays = prepared(self.prepare().data, type(self).__name__)
        held = arrays.x_test is not None and arrays.y_test is not None
        return self._mean(arrays.x, arrays.y), self._mean(arrays.x_test, arrays.y_test) if held else None

    def _mean(self, x: Any, y: Any) -> Callable[[Array], Array]:
        return lambda w: jnp.mean(self._losses(w, jnp.asarray(x, w.dtype), jnp.asarray(y, w.dtype)))

    def noise(self, weights: Any) -> Float[np.ndarray, "d d"]:
        """Sigma: the covariance of the gradients of single training samples at w (d,), with 1/N."""
        arrays = prepared(self.prepare().data, type(self).__name__)
        with jax.enable_x64(True):
            x, y, w = (jnp.asarray(a, float) for a in (arrays.x, arrays.y, weights))
            each = np.asarray(jax.jacrev(lambda v: self._losses(v, x, y))(w), float)
        return np.cov(each.T, bias=True).reshape(each.shape[1], -1)

    def largest_curvature(self) -> Real:
        """A bound of the largest curvature of U: max ell'' times the largest eigenvalue of X^T X/N, plus the decay."""
        x = np.asarray(prepared(self.prepare().data, type(self).__name__).x, float)
        return self.loss.max_curvature * float(np.linalg.eigvalsh(x.T @ x / len(x))[-1]) + self.decay

    def cautions(self, rule: Any) -> list[str]:
        """Warns of an unstable step: lr * largest curvature > 2 for plain descent."""
        stiffness = self.largest_curvature()
        return unstable_step(rule, float(stiffness)) if np.isfinite(stiffness) else []
