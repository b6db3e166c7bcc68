"""How a restricted Boltzmann machine learns: by contrastive divergence, or from labels with the hidden layer clamped."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.dynamics.base import AbstractDynamics
from quenched.models.base import AbstractModel, Disorder
from quenched.models.boltzmann_learning import BoltzmannLearning, clipped, hidden_sample
from quenched.models.hebbian import whole
from quenched.numerics import checks
from quenched.records.description import public

Weights = Float[Array, "p n"]


def _check(rule: AbstractDynamics, model: AbstractModel) -> None:
    if not isinstance(model, BoltzmannLearning):
        raise checks.IncompatibleError(f"{type(rule).__name__} needs a BoltzmannLearning model, got {type(model).__name__}")


@public
class ClampedLearning(AbstractDynamics):
    """Learning with a teacher: the label is clamped on a one-hot hidden layer, the gradient of the likelihood is exact.

        W_mu <- W_mu + lr sqrt(N) [etabar_mu - tanh(z W_mu/(T sqrt(N)))]

    z = ``activity`` of the unit that is on; with the factor sqrt(N) a rate means the same at every N. One fixed point,
    ``clamped_weights``: sqrt(N) T atanh(etabar)/z, to first order Hebb's rule. Averages of +-1 count as +-(1 - 1/(2 M)). The
    slowest component, an average near 1, is learnt at the rate lr z/(M T). Defaults lr = 0.5, T = 1, z = 1; stable for lr z <
    2 T.

    Raises ``ParameterError`` for lr, T or z <= 0; refuses another model, and one with more units than classes. Source:
    arXiv:2203.01304.
    """

    lr: float = eqx.field(default=0.5, converter=float)
    temperature: float = eqx.field(default=1.0, converter=float)
    activity: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        for name in ("lr", "temperature", "activity"):
            checks.positive(name, getattr(self, name))

    def check(self, model: AbstractModel) -> None:
        _check(self, model)
        if isinstance(model, BoltzmannLearning) and model.units not in (None, model.classes):
            raise checks.IncompatibleError(f"ClampedLearning needs one unit per class, {model.classes}, got units={model.units}")

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        return weights

    def step(self, model: Any, state: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        means, root = clipped(disorder.means, model.examples), state.shape[1] ** 0.5
        return state + self.lr * root * (means - jnp.tanh(self.activity * state / (self.temperature * root)))

    def weights(self, state: Weights) -> Weights:
        return state


@public
class ContrastiveDivergence(AbstractDynamics):
    """Learning without labels, exploratory: k = ``sweeps`` sweeps of block Gibbs from all examples at once, at T.

        W <- W + lr sqrt(N) (<z sigma>_examples - <z sigma>_{after k sweeps})

    What it finds is not what labels find: Gaussian hidden units are equivalent under rotations, so that rows of W span the
    right space without being archetypes, and binary or one-hot units get stuck in mixtures. Defaults: lr = 0.05, one sweep
    (CD-1), T = 1.

    Raises ``ParameterError`` for lr or T <= 0 and k < 1; refuses another model. Source: Hinton, Neural Computation 14 (2002)
    1771.
    """

    lr: float = eqx.field(default=0.05, converter=float)
    sweeps: int = eqx.field(default=1, converter=whole)
    temperature: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("lr", self.lr)
        checks.positive("temperature", self.temperature)
        checks.integer_at_least("sweeps", self.sweeps, 1)

    def check(self, model: AbstractModel) -> None:
        _check(self, model)

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        return weights

    def step(self, model: Any, state: Weights, disorder: Disorder, key: PRNGKeyArray) -> Weights:
        data = disorder.examples.reshape(-1, state.shape[1]).astype(state.dtype)
        root = state.shape[1] ** 0.5
        scaled = state / root
        key_data, key_sweeps = jax.random.split(key)
        hidden = hidden_sample(model.hidden, key_data, data @ scaled.T, self.temperature)
        positive = hidden.T @ data

        def sweep(k: Array, layers: tuple[Array, Array]) -> tuple[Array, Array]:
            key_visible, key_hidden = jax.random.split(jax.random.fold_in(key_sweeps, k))
            up = jax.nn.sigmoid(2 * (layers[1] @ scaled) / self.temperature)
            visible = jnp.where(jax.random.bernoulli(key_visible, up), 1.0, -1.0).astype(state.dtype)
            return visible, hidden_sample(model.hidden, key_hidden, visible @ scaled.T, self.temperature)

        visible, hidden = jax.lax.fori_loop(0, self.sweeps, sweep, (data, hidden))
        return state + self.lr * root * (positive - hidden.T @ visible) / len(data)

    def weights(self, state: Weights) -> Weights:
        return state
