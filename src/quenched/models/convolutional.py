"""A convolutional network on given images."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.data import AbstractData, Digits
from quenched.losses import AbstractLoss, AbstractOutput, Logistic, Tanh
from quenched.models.base import AbstractLossModel, squared_norm
from quenched.models.given import held_out, no_size, prepared, signed_labels, standardise
from quenched.models.two_layer import LabelledSamples
from quenched.numerics import checks
from quenched.numerics.pytrees import dimension
from quenched.records.description import public


class ConvolutionalWeights(eqx.Module):
    """K1 (3, 3, c, c1), b1 (c1,), K2 (3, 3, c1, c2), b2 (c2,), a (h2, w2, c2)."""

    first: Float[Array, "3 3 c c1"]
    first_bias: Float[Array, " c1"]
    second: Float[Array, "3 3 c1 c2"]
    second_bias: Float[Array, " c2"]
    readout: Float[Array, "h2 w2 c2"]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) else value


@public
class ConvolutionalNetwork(AbstractLossModel):
    """Two convolutions and a readout of everything, on images x of c colours; all weights trained, loss ell(y, r):

        z1 = phi(K1*x/sqrt(9 c) + b1),    z2 = phi(K2*z1/sqrt(9 c1) + b2),    r = a.z2/sqrt(N2),

    with 3 x 3 kernels, stride 2 and zeros around the border, so that every layer halves height and width (rounded up);
    ``channels`` = (c1, c2) (default (8, 16)); N2 = h2 w2 c2, the number of outputs of the second layer.

    Every weight starts as sqrt(``variance``) N(0, 1) (default variance 1), and gradients of all of them are of order one (the
    parametrisation of the neural tangent kernel). The energy is the MEAN over samples, loss_scale = 1/n. Pixels are centred and
    scaled to mean |x|^2/d = 1. ``activation`` = phi (default tanh). Labels are one number per sample, +-1 for a classification
    loss. ``shape`` = (h, w, c) of an image, default None: read off data (n, h, w) or (n, h, w, c), while flat data (n, d) are
    square, of one colour or of three. ``norm`` is |w|^2/N over all N weights. ``size`` is None.

    Raises ``ParameterError`` for values out of range, and in ``prepare`` for data that are no such images or labels.
    """

    data: AbstractData = Digits()
    channels: tuple[int, int] = eqx.field(default=(8, 16), converter=_tuple)
    loss: AbstractLoss = Logistic()
    activation: AbstractOutput = Tanh()
    variance: float = eqx.field(default=1.0, converter=float)
    shape: tuple[int, int, int] | None = eqx.field(default=None, converter=_tuple)

    def __check_init__(self) -> None:
        checks.instance("data", self.data, AbstractData)
        _check_integers("channels", self.channels, 2)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.instance("activation", self.activation, AbstractOutput)
        checks.positive("variance", self.variance)
        if self.shape is not None:
            _check_integers("shape", self.shape, 3)

    def prepare(self) -> ConvolutionalNetwork:
        arrays = self.data.load()
        signed_labels(arrays, type(self).__name__, self.loss)
        return dataclasses.replace(self, data=standardise(arrays), shape=_image(arrays.x.shape[1:], self.shape))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        shape = prepared(self.data, type(self).__name__).x.shape
        return int(shape[0]), int(shape[1])

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> LabelledSamples:
        arrays = prepared(self.data, type(self).__name__)
        x_test, y_test = held_out(arrays, dtype)
        y_test = None if y_test is None else y_test.astype(dtype)
        return LabelledSamples(jnp.asarray(arrays.x, dtype), jnp.asarray(arrays.y, dtype), x_test, y_test)

    def initial(self, key: PRNGKeyArray, disorder: LabelledSamples) -> ConvolutionalWeights:
        h, w, c = self._shape()
        c1, c2 = self.channels
        # halved twice, rounded up
        shapes = (3, 3, c, c1), (c1,), (3, 3, c1, c2), (c2,), (-(-h // 4), -(-w // 4), c2)
        dtype = disorder.x.dtype
        spread = jnp.sqrt(jnp.asarray(self.variance, dtype))
        draws = [spread * jax.random.normal(k, s, dtype) for k, s in zip(jax.random.split(key, 5), shapes, strict=True)]
        return ConvolutionalWeights(*draws)

    def output(self, weights: ConvolutionalWeights, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """r of every sample, flat images as in the disorder."""
        images = x.reshape(-1, *self._shape())
        first = self.activation(_convolution(images, weights.first, weights.first_bias))
        second = self.activation(_convolution(first, weights.second, weights.second_bias))
        return jnp.tensordot(second, weights.readout, axes=3) / weights.readout.size**0.5

    def losses(self, weights: ConvolutionalWeights, disorder: LabelledSamples) -> Float[Array, " n"]:
        return self.loss.ell(disorder.y, self.output(weights, disorder.x))

    def batch_losses(
        self, weights: ConvolutionalWeights, disorder: LabelledSamples, indices: Int[Array, " s"]
    ) -> Float[Array, " s"]:
        return self.loss.ell(disorder.y[indices], self.output(weights, disorder.x[indices]))

    def gaps(self, weights: ConvolutionalWeights, disorder: LabelledSamples) -> Float[Array, " n"]:
        """h of every sample: misclassified if negative."""
        return self.loss.gap(disorder.y, self.output(weights, disorder.x))

    def samples(self, disorder: LabelledSamples) -> int:
        return disorder.y.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: ConvolutionalWeights, disorder: LabelledSamples) -> dict[str, Array]:
        r = self.output(weights, disorder.x)
        norm = squared_norm(weights) / dimension(weights)
        values = {"norm": norm, "loss": jnp.mean(self.loss.ell(disorder.y, r))}
        if prepared(self.data, type(self).__name__).signed:
            values["train_error"] = jnp.mean(self.loss.gap(disorder.y, r) < 0, dtype=norm.dtype)
            if disorder.x_test is not None and disorder.y_test is not None:
                r_test = self.output(weights, disorder.x_test)
                values["test_error"] = jnp.mean(self.loss.gap(disorder.y_test, r_test) < 0, dtype=norm.dtype)
        return values

    def _shape(self) -> tuple[int, int, int]:
        prepared(self.data, type(self).__name__)
        assert self.shape is not None
        return self.shape


def _check_integers(name: str, value: Any, length: int) -> None:
    if not isinstance(value, tuple) or len(value) != length:
        raise checks.ParameterError(f"{name} must be {length} integers, got {value!r}")
    for entry in value:
        checks.integer_at_least(name, entry, 1)


def _image(sample: tuple[int, ...], wanted: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """(h, w, c) of the images in data of this sample shape."""
    found = _read_off(sample)
    if wanted is None:
        if found is None:
            raise checks.ParameterError(
                f"x must hold images (n, h, w) or (n, h, w, c), or flat square ones of one or three colours, "
                f"got samples of shape {sample}; other flat images need shape=(h, w, c)"
            )
        return found
    # flat data may be cut in any way, images are what they are
    if math.prod(sample) != math.prod(wanted) or (len(sample) > 1 and found != wanted):
        raise checks.ParameterError(f"shape must fit the images, got {wanted} for samples of shape {sample}")
    return wanted


def _read_off(sample: tuple[int, ...]) -> tuple[int, int, int] | None:
    if len(sample) in (2, 3):
        h, w, c = (*sample, 1)[:3]
        return h, w, c
    if len(sample) == 1:
        # 3 s^2 is no square, so at most one of them fits
        for colours in (1, 3):
            side = math.isqrt(sample[0] // colours)
            if sample[0] == colours * side**2:
                return side, side, colours
    return None


def _convolution(
    z: Float[Array, "n h w c"], kernel: Float[Array, "3 3 c k"], bias: Float[Array, " k"]
) -> Float[Array, "n h_half w_half k"]:
    """K*z/sqrt(9 c) + b, stride 2, one zero around the border.

    A product with the nine neighbours of every place: with few channels three times faster than the backend's convolution.
    """
    h, w, c = z.shape[1:]
    rows, columns = 2 * -(-h // 2) - 1, 2 * -(-w // 2) - 1
    padded = jnp.pad(z, ((0, 0), (1, 1), (1, 1), (0, 0)))
    near = [padded[:, i : i + rows : 2, j : j + columns : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(near, axis=-1) @ kernel.reshape(9 * c, -1) / (9 * c) ** 0.5 + bias
