"""Block Gibbs sampling of a restricted Boltzmann machine: all hidden units at once, then all spins at once."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.spins import heat_bath, thresholds
from quenched.models.base import AbstractModel, Disorder, Weights
from quenched.models.spins import AbstractHiddenLayerModel
from quenched.numerics import checks
from quenched.records.description import public


@public
class BlockGibbs(AbstractDynamics):
    """Alternate the two conditional laws at temperature T > 0 (default 0.4); a step is one sweep of both layers:

        z = W sigma/sqrt(N) + sqrt(T) N(0, I_P),        P(sigma_i = +1 | z) = 1/(1 + exp(-2 v_i/T)),  v = W^T z/sqrt(N).

    The spins' equilibrium is exp(-H/T), as that of ``Glauber``, at 4 P N operations per step and replica, two matrix products
    for all replicas. It forgets more slowly at low temperature: a spin feels itself through the hidden units, with the strength
    sum_k W_ki^2/N, load/Gamma in the unsupervised model. Take it for T >= 0.1 or load/Gamma <= 2 T.

    Raises ``ParameterError`` for T <= 0, where the hidden units would no longer move; refuses, by name, a model without hidden
    units: ``BoltzmannMachine(model)`` gives a Hopfield model its own. Source: arXiv:2109.00454.
    """

    temperature: float = eqx.field(default=0.4, converter=float)

    def __check_init__(self) -> None:
        checks.positive("temperature", self.temperature)

    def check(self, model: AbstractModel) -> None:
        if not isinstance(model, AbstractHiddenLayerModel):
            raise checks.IncompatibleError(
                f"BlockGibbs needs a model with hidden units; {type(model).__name__} has none (see BoltzmannMachine)"
            )

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        return weights

    def step(self, model: Any, state: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        key_hidden, key_spins = jax.random.split(key)
        means = model.hidden_means(state, disorder)
        hidden = means + jnp.sqrt(self.temperature).astype(means.dtype) * jax.random.normal(key_hidden, means.shape, means.dtype)
        fields = model.visible_fields(hidden, disorder)
        limits = thresholds(key_spins, fields.shape[0], self.temperature, fields.dtype)
        return heat_bath(state.astype(fields.dtype), fields, limits).astype(jnp.int8)

    def weights(self, state: Weights) -> Weights:
        return state
