"""A network with one hidden layer on given data."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.data import AbstractData, Digits
from quenched.losses import AbstractLoss, AbstractOutput, Logistic, Tanh
from quenched.models.base import AbstractLossModel, squared_norm
from quenched.models.given import held_out, no_size, prepared, signed_labels, standardise
from quenched.numerics import checks
from quenched.numerics.pytrees import dimension
from quenched.records.description import public


class LabelledSamples(eqx.Module):
    """x (n, d) and y (n,), with held-out samples or None."""

    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    x_test: Float[Array, "n_test d"] | None
    y_test: Float[Array, " n_test"] | None


class TwoLayerWeights(eqx.Module):
    """W (H, d), b (H,), a (H,)."""

    hidden: Float[Array, "h d"]
    bias: Float[Array, " h"]
    readout: Float[Array, " h"]


@public
class TwoLayerNetwork(AbstractLossModel):
    """r = a.phi(W x/sqrt(d) + b)/sqrt(H) with H = ``width`` hidden units (default 32), all weights trained, loss ell(y, r).

    Every weight starts as sqrt(``variance``) N(0, 1) (default variance 1), and gradients of all of them are of order one: a
    learning rate of order one suits any width (the parametrisation of the neural tangent kernel). The energy is the MEAN over
    samples, loss_scale = 1/n. Features are centred and scaled to mean |x|^2/d = 1. ``activation`` = phi (default tanh). Labels
    are one number per sample, +-1 for a classification loss. ``norm`` is |w|^2/N over all N weights. ``size`` is None.
    """

    data: AbstractData = Digits()
    width: int = 32
    loss: AbstractLoss = Logistic()
    activation: AbstractOutput = Tanh()
    variance: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.instance("data", self.data, AbstractData)
        checks.integer_at_least("width", self.width, 1)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.instance("activation", self.activation, AbstractOutput)
        checks.positive("variance", self.variance)

    def prepare(self) -> TwoLayerNetwork:
        arrays = self.data.load()
        signed_labels(arrays, type(self).__name__, self.loss)
        return dataclasses.replace(self, data=standardise(arrays))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        shape = prepared(self.data, type(self).__name__).x.shape
        return int(shape[0]), int(shape[1])

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> LabelledSamples:
        arrays = prepared(self.data, type(self).__name__)
        x_test, y_test = held_out(arrays, dtype)
        y_test = None if y_test is None else y_test.astype(dtype)
        return LabelledSamples(jnp.asarray(arrays.x, dtype), jnp.asarray(arrays.y, dtype), x_test, y_test)

    def initial(self, key: PRNGKeyArray, disorder: LabelledSamples) -> TwoLayerWeights:
        shapes = (self.width, disorder.x.shape[1]), (self.width,), (self.width,)
        dtype = disorder.x.dtype
        spread = jnp.sqrt(jnp.asarray(self.variance, dtype))
        draws = [spread * jax.random.normal(k, s, dtype) for k, s in zip(jax.random.split(key, 3), shapes, strict=True)]
        return TwoLayerWeights(*draws)

    def output(self, weights: TwoLayerWeights, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """r of every sample."""
        hidden = self.activation(x @ weights.hidden.T / x.shape[1] ** 0.5 + weights.bias)
        return hidden @ weights.readout / self.width**0.5

    def losses(self, weights: TwoLayerWeights, disorder: LabelledSamples) -> Float[Array, " n"]:
        return self.loss.ell(disorder.y, self.output(weights, disorder.x))

    def batch_losses(self, weights: TwoLayerWeights, disorder: LabelledSamples, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        return self.loss.ell(disorder.y[indices], self.output(weights, disorder.x[indices]))

    def gaps(self, weights: TwoLayerWeights, disorder: LabelledSamples) -> Float[Array, " n"]:
        """h of every sample: misclassified if negative."""
        return self.loss.gap(disorder.y, self.output(weights, disorder.x))

    def samples(self, disorder: LabelledSamples) -> int:
        return disorder.y.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: TwoLayerWeights, disorder: LabelledSamples) -> dict[str, Array]:
        r = self.output(weights, disorder.x)
        norm = squared_norm(weights) / dimension(weights)
        values = {"norm": norm, "loss": jnp.mean(self.loss.ell(disorder.y, r))}
        if prepared(self.data, type(self).__name__).signed:
            values["train_error"] = jnp.mean(self.loss.gap(disorder.y, r) < 0, dtype=norm.dtype)
            if disorder.x_test is not None and disorder.y_test is not None:
                r_test = self.output(weights, disorder.x_test)
                values["test_error"] = jnp.mean(self.loss.gap(disorder.y_test, r_test) < 0, dtype=norm.dtype)
        return values
