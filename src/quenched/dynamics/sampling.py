"""How a rule samples the data at each step: what every law of batches has in common."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from quenched.numerics.precision import Real


class AbstractSampling(eqx.Module):
    """Law of the part of the data that a step sees.

    Two kinds: ``AbstractBatches`` give every sample a mark (in or out), so that the theory of exchangeable samples can move
    them one by one; ``AbstractMinibatch`` names the few samples of a batch, and a step costs what they cost.
    """

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, n: int) -> PyTree:
        """State of the process whose batch is used at step 0, for n samples."""

    @abc.abstractmethod
    def step(self, state: Any, key: PRNGKeyArray, lr: Real) -> PyTree:
        """State for the next step; ``lr`` is the learning rate of the step just made."""

    @abc.abstractmethod
    def energy(self, model: Any, weights: Any, disorder: Any, state: Any, normalise: bool) -> Float[Array, ""]:
        """The energy of the batch, without the ridge: the function whose gradient the step follows.

        ``normalise``: divided by the batch fraction, so that its mean is the energy of the whole data set.
        """

    def check_lr(self, lr: float) -> None:
        """Raise if the process has no legal law at this learning rate. Default: every rate is legal."""
        return None

    def check_samples(self, n: int) -> None:
        """Raise if the process cannot be applied to n samples. Default: any number will do."""
        return None
