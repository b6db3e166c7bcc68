"""Small models for the tests of the engine: spins without a loss, data behind a linear operator, a linear map."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx

from quenched.dynamics.base import AbstractDynamics
from quenched.models import AbstractModel, GaussianMixture, Samples
from quenched.records import public


@public
class Pairs(AbstractModel):
    """Spins with couplings J_ij = +-1/sqrt(N): no loss, no floats in the state."""

    def sizes(self, size):
        return (size,)

    def sample(self, key, sizes, dtype):
        upper = jnp.triu(jax.random.rademacher(key, (sizes[0], sizes[0]), dtype), 1)
        return (upper + upper.T) / sizes[0] ** 0.5

    def initial(self, key, disorder):
        return jax.random.rademacher(key, disorder.shape[:1], jnp.int8)

    def observe(self, weights, disorder):
        spins = weights.astype(disorder.dtype)
        return {"energy": -spins @ disorder @ spins / (2 * spins.shape[0])}


@public
class ZeroTemperatureFlip(AbstractDynamics):
    """One random spin per step aligns with its field."""

    def init(self, model, weights, disorder, key):
        return weights

    def step(self, model, state, disorder, key):
        i = jax.random.randint(key, (), 0, state.shape[0])
        field = disorder[i] @ state.astype(disorder.dtype)
        return state.at[i].set(jnp.where(field == 0, state[i], jnp.sign(field)).astype(jnp.int8))

    def weights(self, state):
        return state


@public
class OperatorMixture(GaussianMixture):
    """The same data behind a lineax operator."""

    def sample(self, key, sizes, dtype):
        samples = super().sample(key, sizes, dtype)
        return Samples(lx.MatrixLinearOperator(samples.x), samples.y, samples.directions)


class Scaled(eqx.Module):
    """An operator of one's own: nothing but ``mv``, and a function among its leaves."""

    matrix: jax.Array
    scale: float
    function: object = jnp.multiply

    def mv(self, vector):
        return self.function(self.scale, self.matrix @ vector)


@public
class OwnOperatorMixture(GaussianMixture):
    """The same data behind an operator of one's own."""

    def sample(self, key, sizes, dtype):
        samples = super().sample(key, sizes, dtype)
        return Samples(Scaled(samples.x / 2, 2.0), samples.y, samples.directions)


@public
class Single(AbstractModel):
    """One weight that starts at ``origin``."""

    origin: float = 1.0

    def sizes(self, size):
        return ()

    def sample(self, key, sizes, dtype):
        return jnp.zeros((), dtype)

    def initial(self, key, disorder):
        return self.origin + jnp.zeros(1, disorder.dtype)

    def observe(self, weights, disorder):
        return {"norm": weights[0] ** 2}

    def cautions(self, rule):
        return ["a single weight is not a thermodynamic limit"] if self.origin == 7.0 else []


@public
class Multiply(AbstractDynamics):
    """w <- factor w."""

    factor: float = 2.0

    def init(self, model, weights, disorder, key):
        return weights

    def step(self, model, state, disorder, key):
        return self.factor * state

    def weights(self, state):
        return state
