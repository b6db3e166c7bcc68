"""Batch processes: which samples the gradient sees at each step.

A process moves the selection of ``n`` exchangeable samples at once. Simulation calls it on the n samples of a data set, the theory on
its N effective samples: a law is written once. Selected samples are marked by a boolean array (n,).
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree

from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


class AbstractBatches(eqx.Module):
    """Law of the selection s_mu(t) of a sample; samples are exchangeable."""

    @property
    @abc.abstractmethod
    def mean(self) -> Real:
        """The batch fraction b = <s>."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        """State of the process whose selection is used at step 0."""

    @abc.abstractmethod
    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        """State for the next step; ``lr`` is the learning rate of the step just made."""

    @abc.abstractmethod
    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        """Which samples are in the batch."""

    def check_lr(self, lr: float) -> None:
        """Raise if the process has no legal law at this learning rate. Default: every rate is legal."""
        return None


def _check_fraction(fraction: float) -> None:
    checks.in_interval("batch fraction", fraction, 0.0, 1.0, closed="right")


@public
class Full(AbstractBatches):
    """Every sample at every step: full-batch gradient descent."""

    @property
    def mean(self) -> Real:
        return 1.0

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return jnp.ones(n, bool)

    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        return state

    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        return state


@public
class IID(AbstractBatches):
    """Vanilla SGD: every sample enters independently with probability ``fraction`` = b in (0, 1] at every step.

    Its noise vanishes as lr -> 0: there is no continuous-time limit. Source: arXiv:2006.06098.
    """

    fraction: float = eqx.field(default=0.3, converter=float)

    def __check_init__(self) -> None:
        _check_fraction(self.fraction)

    @property
    def mean(self) -> Real:
        return self.fraction

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return jax.random.bernoulli(key, self.fraction, (n,))

    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        return self.init(key, state.shape[0])

    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        return state


@public
class Persistent(AbstractBatches):
    """Persistent SGD: a sample enters with probability lr/tau per step and leaves with (1 - b) lr/(b tau).

    ``fraction`` = b in (0, 1]; ``time`` = tau, the mean time out of the batch. The stationary mean is b, the autocovariance
    b (1 - b) (1 - lr/(b tau))^k; b tau = lr is vanilla SGD. Its continuous-time limit lr -> 0 at fixed tau is stochastic gradient flow.
    Both probabilities must be at most 1 (checked against the learning rate of the rule). Source: arXiv:2006.06098.
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
                f"the probability (1-b) lr/(b tau) of leaving the batch must be at most 1, got {leave:g} "
                f"with fraction={self.fraction!r}, time={self.time!r}, lr={lr!r}"
            )

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return jax.random.bernoulli(key, self.fraction, (n,))

    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        enter = lr / self.time
        leave = (1 - self.fraction) * lr / (self.fraction * self.time)
        uniform = jax.random.uniform(key, state.shape, jnp.result_type(float))
        return jnp.where(state, uniform >= leave, uniform < enter)

    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        return state


@public
class Epochs(AbstractBatches):
    """Batches without replacement: in every epoch of 1/b steps each sample is used exactly once, in a fresh random order.

    ``fraction`` = b with 1/b an integer. Far less noisy than independent batches. The law of one sample is a uniformly random slot in each
    epoch, and the batches of a step have equal sizes up to one sample.
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
        return jnp.zeros((), jnp.int32), jax.random.permutation(key, n) % self._length()

    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        position, slots = state
        position = (position + 1) % self._length()
        # under a mapped key this is a select: the permutation is drawn at every step, and used once per epoch
        order = jax.lax.cond(
            position == 0,
            lambda: jax.random.permutation(key, slots.shape[0]) % self._length(),
            lambda: slots,
        )
        return position, order

    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        position, slots = state
        return slots == position


@public
class Fresh(AbstractBatches):
    """One-pass learning: all n = alpha d samples are drawn anew at every step and used once.

    alpha is then the number of samples per step over the dimension. Needs a model that can draw samples (not given data).
    """

    @property
    def mean(self) -> Real:
        return 1.0

    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        return jnp.ones(n, bool)

    def step(self, state: PyTree, key: PRNGKeyArray, lr: Real) -> PyTree:
        return state

    def selected(self, state: PyTree) -> Bool[Array, " n"]:
        return state
