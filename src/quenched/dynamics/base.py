"""What a dynamics is: a Markov chain on the weights of one replica."""

from __future__ import annotations

import abc
from typing import Any, TypeAlias

import equinox as eqx
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from quenched.models.base import AbstractModel, Disorder, Weights

# any pytree of arrays; only the dynamics itself knows its structure
ChainState: TypeAlias = Any


class AbstractDynamics(eqx.Module):
    """A Markov chain: ``init`` and ``step`` move ONE replica; the engine maps them over replicas and disorder."""

    def check(self, model: AbstractModel) -> None:
        """Raise ``IncompatibleError``, by name, if the model lacks what this dynamics needs. Runs before any work."""
        return None

    @property
    def core(self) -> AbstractDynamics:
        """The rule that moves the weights: a rule around another one gives the inner one. Default: the rule itself."""
        return self

    @abc.abstractmethod
    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> ChainState:
        """State of the chain at step 0, from the starting weights."""

    @abc.abstractmethod
    def step(self, model: Any, state: ChainState, disorder: Disorder, key: PRNGKeyArray) -> ChainState:
        """One step; the key is a function of (disorder, replica, step)."""

    @abc.abstractmethod
    def weights(self, state: ChainState) -> Weights:
        """The weights that observables see."""

    def observe(self, state: ChainState) -> dict[str, Array]:
        """Order parameters of the chain itself, by name. Default: none."""
        return {}

    def times(self, steps: int) -> np.ndarray:
        """Physical time at steps 0, ..., steps (float64). Default: the step number."""
        return np.arange(steps + 1, dtype=np.float64)
