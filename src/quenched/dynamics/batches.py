"""Batch processes: which samples the gradient sees at each step.

A process moves the selection of ``n`` exchangeable samples at once. Simulation calls it on the n samples of a data set, the
theory on its N effective samples: a law is written once. Selected samples are marked by a boolean array (n,).
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, UInt32

from quenched.dynamics.sampling import AbstractSampling
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


class AbstractBatches(AbstractSampling):
    """Law of the selection s_mu(t) of a sample; samples are exchangeable."""

    @property
    @abc.abstractmethod
    def mean(self) -> Real:
        """The batch fraction b = <s>."""

    @abc.abstractmethod
    def selected(self, state: Any) -> Bool[Array, " n"]:
        """Which samples are in the batch."""

    def energy(self, model: Any, weights: Any, disorder: Any, state: Any, normalise: bool) -> Float[Array, ""]:
        scale = model.loss_scale(model.samples(disorder))
        factor = scale / self.mean if normalise else scale
        return factor * jnp.sum(jnp.where(self.selected(state), model.losses(weights, disorder), 0.0))


def fractional(batches: AbstractSampling) -> AbstractBatches:
    """The process itself; raises ``IncompatibleError`` for one that has no batch fraction, such as minibatches of a size."""
    if not isinstance(batches, AbstractBatches):
        raise checks.IncompatibleError(f"batches of a fraction of the samples are needed, got {type(batches).__name__}")
    return batches


def random_words(key: PRNGKeyArray, n: int) -> UInt32[Array, " n"]:
    """n independent 32-bit numbers: both words of every hash, half the cost of ``jax.random.bits``, which folds them into one."""
    return threefry_2x32(jax.random.key_data(key), jnp.arange(n, dtype=jnp.uint32))


def happens(key: PRNGKeyArray, probability: Any, n: int) -> Bool[Array, " n"]:
    """n independent events of a probability (a number or one per sample), exact to 2^-32 (2^-24 next to 1).

    A float32 uniform has 23 bits: a probability lr/tau = 1e-4 would come out wrong by up to a part in a thousand. The bits do
    not depend on the floating type: float32 and float64 runs see the same batches, up to the rounding of the probability
    itself.
    """
    bits = random_words(key, n)
    p = jnp.asarray(probability, jnp.result_type(float))
    # the largest float32 below 1 times 2^32 still fits in 32 bits; p >= 1 is the one case that does not
    threshold = (jnp.clip(p, 0.0, 1.0 - jnp.finfo(jnp.float32).epsneg) * 2.0**32).astype(jnp.uint32)
    return (bits < threshold) | (p >= 1)


def _check_fraction(fraction: float) -> None:
    checks.in_interval("batch fraction", fraction, 0.0, 1.0, closed="right")


class _Everything(AbstractBatches):
    """Every sample at every step."""

    @property
    def mean(self) -> Real:
        return 1.0

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return jnp.ones(n, bool)

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        return state

    def selected(self, state: Any) -> Bool[Array, " n"]:
        return state


@public
class Full(_Everything):
    """Every sample at every step: full-batch gradient descent."""


@public
class IID(AbstractBatches):
    """Vanilla SGD: every sample enters independently with probability ``fraction`` = b in (0, 1] (default 0.3) at every step.

    Its noise vanishes as lr -> 0: there is no continuous-time limit. Source: arXiv:2006.06098.
    """

    fraction: float = eqx.field(default=0.3, converter=float)

    def __check_init__(self) -> None:
        _check_fraction(self.fraction)

    @property
    def mean(self) -> Real:
        return self.fraction

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return happens(key, self.fraction, n)

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        return self.init(key, state.shape[0])

    def selected(self, state: Any) -> Bool[Array, " n"]:
        return state


@public
class Persistent(AbstractBatches):
    """Persistent SGD: a sample enters with probability lr/tau per step and leaves with (1 - b) lr/(b tau).

    ``fraction`` = b in (0, 1] (default 0.3); ``time`` = tau (default 1), the mean time out of the batch, in units of physical
    time (sum of learning rates). The mean time in the batch is b tau/(1 - b), the stationary mean b, the autocovariance b (1 -
    b) (1 - lr/(b tau))^k; b tau = lr is vanilla SGD. Its continuous-time limit lr -> 0 at fixed tau is stochastic gradient
    flow. Both probabilities must be at most 1 (checked against the learning rate of the rule). Source: arXiv:2006.06098.
    """

    fraction: float = eqx.field(default=0.3, converter=float)
    time: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        _check_fraction(self.fraction)
        checks.positive("persistence time", self.time)

    @property
    def mean(self) -> Real:
        return self.fraction

    def check_lr(self, lr: float) -> None:
        # the tolerance only forgives the rounding of b tau = lr, the vanilla limit
        if self.fraction < 1 and lr / self.time > 1 + 1e-9:
            raise checks.ParameterError(
                f"persistence time must be >= lr, so that the probability lr/tau of entering the batch is at most 1, "
                f"got time={self.time!r} with lr={lr!r}"
            )
        leave = (1 - self.fraction) * lr / (self.fraction * self.time)
        if leave > 1 + 1e-9:
            raise checks.ParameterError(
                f"persistence time must be >= (1-b) lr/b, so that the probability (1-b) lr/(b tau) of leaving the batch is "
                f"at most 1, got probability {leave:g} with fraction={self.fraction!r}, time={self.time!r}, lr={lr!r}"
            )

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return happens(key, self.fraction, n)

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        enter = lr / self.time
        leave = (1 - self.fraction) * lr / (self.fraction * self.time)
        return state ^ happens(key, jnp.where(state, leave, enter), state.shape[0])

    def selected(self, state: Any) -> Bool[Array, " n"]:
        return state


class EpochState(eqx.Module):
    """Step within the epoch, a random number per sample, and the half-open window of numbers that is the current batch."""

    position: Int[Array, ""]
    numbers: UInt32[Array, " n"]
    low: UInt32[Array, ""]
    high: UInt32[Array, ""]


@public
class Epochs(AbstractBatches):
    """Batches without replacement: in every epoch of 1/b steps each sample is used exactly once, in a fresh random order.

    ``fraction`` = b (default 0.25) with 1/b an integer. Far less noisy than independent batches. The law of one sample is a
    uniformly random slot in each epoch, and the batches of a step have equal sizes up to one sample (the larger ones come
    first).
    """

    fraction: float = eqx.field(default=0.25, converter=float)

    def __check_init__(self) -> None:
        _check_fraction(self.fraction)
        if abs(1 / self.fraction - round(1 / self.fraction)) > 1e-9 * round(1 / self.fraction):
            raise checks.ParameterError(f"batch fraction must be 1/integer for Epochs, got {self.fraction!r}")

    @property
    def mean(self) -> Real:
        return self.fraction

    def _length(self) -> Int[Array, ""]:
        return jnp.round(1 / jnp.asarray(self.fraction)).astype(jnp.int32)

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        numbers = random_words(key, n) >> 1
        return self._window(jnp.zeros((), jnp.int32), numbers, jnp.zeros((), jnp.uint32))

    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        n = state.numbers.shape[0]
        position = (state.position + 1) % self._length()
        # mapped over replicas this is a select: a new epoch's numbers are drawn at every step (the cost of an IID batch) and
        # used once
        numbers, low = lax.cond(
            position == 0,
            lambda: (random_words(key, n) >> 1, jnp.zeros((), jnp.uint32)),
            lambda: (state.numbers, state.high),
        )
        return self._window(position, numbers, low)

    def _window(self, position: Int[Array, ""], numbers: UInt32[Array, " n"], low: UInt32[Array, ""]) -> EpochState:
        quotient, remainder = jnp.divmod(numbers.shape[0], self._length())
        target = (position + 1) * quotient + jnp.minimum(position + 1, remainder)
        return EpochState(position, numbers, low, quantile(numbers, target))

    def selected(self, state: Any) -> Bool[Array, " n"]:
        return (state.numbers >= state.low) & (state.numbers < state.high)


def quantile(numbers: UInt32[Array, " n"], count: Int[Array, ""]) -> UInt32[Array, ""]:
    """The smallest threshold in [0, 2^31] with at least ``count`` of the 31-bit numbers below it.

    Bisection: 32 passes of compare-and-count over an array in cache, where sorting it (a permutation) is tens of times dearer.
    """

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = jnp.sum(numbers < middle, dtype=jnp.int32) >= count
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    start = (jnp.zeros((), jnp.uint32), jnp.full((), 2**31, jnp.uint32))
    return lax.fori_loop(0, 32, halve, start)[1]


@public
class Fresh(_Everything):
    """One-pass learning: all n = alpha d samples are drawn anew at every step and used once.

    alpha is then the number of samples per step over the dimension. Needs a model that can draw samples (not given data). The
    model's own samples are never trained on: its ``loss`` and ``train_error`` are those of new samples.
    """
