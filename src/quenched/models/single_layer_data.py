"""A single layer on given data."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.data import AbstractData, Digits
from quenched.losses import AbstractLoss, Logistic
from quenched.models.base import data_product
from quenched.models.given import held_out, no_size, prepared, signed_labels, standardise
from quenched.models.single_layer import AbstractSingleLayer, Samples, unstable_step
from quenched.models.start import AbstractStart, GaussianStart
from quenched.numerics import checks
from quenched.records.description import public


class SplitSamples(Samples):
    """Training samples with held-out ones, None where there are none."""

    x_test: Float[Array, "n_test d"] | None
    y_test: Float[Array, " n_test"] | None


@public
class SingleLayerData(AbstractSingleLayer):
    """One layer without bias on given samples (x, y): r = x.w/sqrt(d), energy sum_mu ell(y_mu, r_mu), as in the mixture.

    Features are flattened, centred, and multiplied by one number: the largest for which mean |x|^2/d <= 1 and the largest
    eigenvalue of X^T X/d is at most ``stiffness`` (default 4). The first alone is not enough: real features are correlated, and
    centred digits scaled to |x|^2 = d have an eigenvalue of order 10 n/d, with which a step lr = 0.2 of the square loss
    explodes. The default two-cluster mixture has the eigenvalue 3.75, so that rules carry over: plain descent is stable for lr
    < 2/(stiffness max ell''), 0.5 for square and hinge losses. With ``stiffness`` a large number only the norm counts.

    The special direction v is the direction of sum_mu y_mu x_mu with |v|^2 = d: for two classes, the difference of their means.
    ``overlap`` is measured along it, and a start may have an overlap with it; default: none, variance 0.1 per weight.
    ``test_error`` is the error on held-out samples where the data have any. A classification loss needs labels +-1. ``size`` is
    None.
    """

    data: AbstractData = Digits()
    loss: AbstractLoss = Logistic()
    start: AbstractStart = GaussianStart()
    stiffness: float = eqx.field(default=4.0, converter=float)

    def __check_init__(self) -> None:
        checks.instance("data", self.data, AbstractData)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.instance("start", self.start, AbstractStart)
        checks.positive("stiffness", self.stiffness)

    @property
    def classifies(self) -> bool:
        return prepared(self.data, type(self).__name__).signed

    def prepare(self) -> SingleLayerData:
        arrays = self.data.load()
        signed_labels(arrays, type(self).__name__, self.loss)
        return dataclasses.replace(self, data=standardise(arrays, self.stiffness))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        shape = prepared(self.data, type(self).__name__).x.shape
        return int(shape[0]), int(shape[1])

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> SplitSamples:
        arrays = prepared(self.data, type(self).__name__)
        x, y = jnp.asarray(arrays.x, dtype), jnp.asarray(arrays.y, dtype)
        x_test, y_test = held_out(arrays, dtype)
        mean = y @ x
        length = jnp.sqrt(jnp.sum(mean**2))
        # uncorrelated labels single out no direction: any will do
        direction = jnp.where(length > 0, mean * jnp.sqrt(x.shape[1] / jnp.where(length > 0, length, 1.0) ** 2), 1.0)
        return SplitSamples(x, y, direction[None], x_test, None if y_test is None else y_test.astype(dtype))

    def observe(self, weights: Float[Array, " d"], disorder: SplitSamples) -> dict[str, Array]:
        values = super().observe(weights, disorder)
        if self.classifies and disorder.x_test is not None and disorder.y_test is not None:
            r = data_product(disorder.x_test, weights) / weights.shape[0] ** 0.5
            values["test_error"] = jnp.mean(self.loss.gap(disorder.y_test, r) < 0, dtype=r.dtype)
        return values

    def cautions(self, rule: Any) -> list[str]:
        """Warns of an unstable step, lr (lambda + x_max max ell'') > 2 for plain descent, x_max that of all samples."""
        curvature = self.loss.max_curvature
        if not math.isfinite(curvature):
            return []
        x = standardise(self.data.load(), self.stiffness).x
        gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T
        return unstable_step(rule, curvature * float(np.linalg.eigvalsh(gram)[-1]) / x.shape[1])
