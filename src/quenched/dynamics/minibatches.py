"""Minibatches of S samples: what practitioners run, at the cost of S samples per step.

The gradient of a step is that of the mean loss over the batch (times n loss_scale, which is 1 for networks), an unbiased
estimate of the gradient of the energy. With Sigma the covariance of the gradients of single samples (1/n normalisation) its
noise is

    Minibatch      Sigma/S                               independent of step
    Reshuffled     Sigma/S (n-S)/(n-1)                   -Sigma/(n-1) between batches of one epoch: an epoch's sum is noiseless
    GaussianBatch  Sigma/S, Gaussian                     independent of step

at fixed weights. Source: Kunin et al. 2021, arXiv:2107.09133, and finite-population sampling.
"""

from __future__ import annotations

import abc
import math
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, UInt32

from quenched.dynamics.batches import random_words
from quenched.dynamics.sampling import AbstractSampling
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


class AbstractMinibatch(AbstractSampling):
    """A batch of ``size`` = S samples, whose mean loss stands for that of all."""

    size: eqx.AbstractVar[int]

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        return self.advance(state, key)

    @abc.abstractmethod
    def advance(self, state: Any, key: PRNGKeyArray) -> PyTree:
        """State for the next step."""

    @abc.abstractmethod
    def indices(self, state: Any) -> Int[Array, " s"]:
        """The samples of the batch, numbers in [0, n)."""

    def energy(self, model: Any, weights: Any, disorder: Any, state: Any, normalise: bool) -> Float[Array, ""]:
        n = model.samples(disorder)
        return n * model.loss_scale(n) * model.batch_loss(weights, disorder, self.indices(state))


class Drawn(eqx.Module):
    """The number n of samples (a static size) and those of the batch."""

    indices: Int[Array, " s"]
    samples: int = eqx.field(static=True)


@public
class Minibatch(AbstractMinibatch):
    """S = ``size`` >= 1 samples (default 32) drawn with replacement, anew at every step: the law that theory assumes."""

    size: int = eqx.field(default=32, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("batch size", self.size, 1)

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return Drawn(jax.random.randint(key, (self.size,), 0, n), n)

    def advance(self, state: Any, key: PRNGKeyArray) -> PyTree:
        return self.init(key, state.samples)

    def indices(self, state: Any) -> Int[Array, " s"]:
        return state.indices


class Deck(eqx.Module):
    """Batches dealt in this epoch, the key of its permutation, and the number n of samples."""

    dealt: Int[Array, ""]
    key: UInt32[Array, " words"]
    samples: int = eqx.field(static=True)


@public
class Reshuffled(AbstractMinibatch):
    """Every epoch deals floor(n/S) batches of S = ``size`` samples (default 32) from a fresh random order, without replacement.

    The n mod S samples that are left over sit the epoch out. Nothing of size n is stored or sorted: the order is a keyed
    permutation of which S values are computed per step. Raises ``ParameterError`` where S > n.
    """

    size: int = eqx.field(default=32, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("batch size", self.size, 1)

    def check_samples(self, n: int) -> None:
        if self.size > n:
            raise checks.ParameterError(
                f"batch size must be <= n, the number of samples, to draw without replacement, got {self.size} with n={n}"
            )

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        self.check_samples(n)
        return Deck(jnp.zeros((), jnp.int32), random_words(key, ROUNDS), n)

    def advance(self, state: Any, key: PRNGKeyArray) -> PyTree:
        dealt = state.dealt + 1
        over = dealt == state.samples // self.size
        words = jnp.where(over, random_words(key, ROUNDS), state.key)
        return Deck(jnp.where(over, 0, dealt), words, state.samples)

    def indices(self, state: Any) -> Int[Array, " s"]:
        places = state.dealt * self.size + jnp.arange(self.size, dtype=jnp.int32)
        return permuted(places, state.samples, state.key)


class Coefficients(eqx.Module):
    """A Gaussian number per sample."""

    normal: Float[Array, " n"]


@public
class GaussianBatch(AbstractSampling):
    """The gradient of ALL samples plus Gaussian noise with the covariance Sigma(w)/S of a batch of S = ``size`` (default 32).

    The noise is (1/sqrt(n S)) sum_mu (z_mu - mean z) grad loss_mu with z_mu ~ N(0, 1): its covariance given w is Sigma(w)/S
    exactly, and no matrix is formed. A step costs as much as a full batch.
    """

    size: int = eqx.field(default=32, converter=operator.index)

    def __check_init__(self) -> None:
        checks.integer_at_least("batch size", self.size, 1)

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return Coefficients(jax.random.normal(key, (n,)))

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        return self.init(key, state.normal.shape[0])

    def energy(self, model: Any, weights: Any, disorder: Any, state: Any, normalise: bool) -> Float[Array, ""]:
        losses = model.losses(weights, disorder)
        n = model.samples(disorder)
        centred = (state.normal - jnp.mean(state.normal)).astype(losses.dtype)
        return n * model.loss_scale(n) * (jnp.mean(losses) + jnp.sum(centred * losses) / math.sqrt(n * self.size))


# ---- a keyed permutation

ROUNDS = 8
"""Rounds of the cipher; four are enough to be indistinguishable from random for an observer of few values, eight are cheap."""


def permuted(places: Int[Array, " s"], n: int, key: UInt32[Array, " words"]) -> Int[Array, " s"]:
    """The images of ``places`` under a pseudo-random permutation of 0, ..., n-1 that ``key`` (ROUNDS words) selects.

    A balanced Feistel network permutes the numbers of 2b bits, the smallest such set with at least n members; an image outside
    is permuted again until it lies inside (cycle walking, fewer than four times on average): a bijection,
    computed point by point.
    Source: Black, Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
    """
    half = max(1, math.ceil(math.log2(max(n, 2)) / 2))
    mask = jnp.uint32(2**half - 1)

    def cipher(value: UInt32[Array, " s"]) -> UInt32[Array, " s"]:
        def swap(r: Int[Array, ""], sides: tuple[Array, Array]) -> tuple[Array, Array]:
            left, right = sides
            return right, left ^ (_mixed(right, key[r]) & mask)

        left, right = lax.fori_loop(0, ROUNDS, swap, (value >> half, value & mask))
        return (left << half) | right

    def walk(value: UInt32[Array, " s"]) -> UInt32[Array, " s"]:
        return jnp.where(value >= n, cipher(value), value)

    first = cipher(places.astype(jnp.uint32))
    return lax.while_loop(lambda v: jnp.any(v >= n), walk, first).astype(jnp.int32)


def _mixed(value: UInt32[Array, " s"], word: UInt32[Array, ""]) -> UInt32[Array, " s"]:
    """A hash of 32 bits: multiply, shift, add, with the constants of MurmurHash3's finaliser."""
    x = value ^ word
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35) + word
    return x ^ (x >> 16)
