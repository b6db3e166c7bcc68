"""The restricted Boltzmann machine that is dual to a Hopfield model: Gaussian hidden units, tied to the stored patterns."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8, PRNGKeyArray

from quenched.models import hebbian
from quenched.models.hopfield import Hopfield, overlaps
from quenched.models.spins import AbstractHiddenLayerModel, Spins
from quenched.numerics import checks
from quenched.records.description import public


class HiddenLayer(eqx.Module):
    """Archetypes (K, N) +-1, the examples of the first one (M, N) +-1, and the weights W (P, N) of the hidden units."""

    archetypes: Int8[Array, "k n"]
    examples: Int8[Array, "m n"]
    weights: Float[Array, "p n"]


@public
class BoltzmannMachine(AbstractHiddenLayerModel):
    """A Hopfield model with its patterns as Gaussian hidden units: exactly the same equilibrium, another way to sample it.

    E(sigma, z) = sum_k z_k^2/2 - sum_ki W_ki z_k sigma_i/sqrt(N), with one unit per example, W = eta^{mu,a}/sqrt(M Gamma)
    (P = K M), for the unsupervised rule, and one per archetype, W = etabar^mu/sqrt(Gamma) (P = K), for the supervised one.
    ``network`` is the Hopfield model; the same key, hence the same seed of ``simulate``, gives the same patterns, and the order
    parameters, the energy of the spins among them, are the same functions of the spins.

    Memory O(P N) instead of O(N^2). Raises ``ParameterError`` for another model. Sources: arXiv:2109.00454, arXiv:2203.01304.
    """

    network: Hopfield = Hopfield()

    def __check_init__(self) -> None:
        checks.instance("network", self.network, Hopfield)

    def sizes(self, size: int | None) -> tuple[int, ...]:
        return self.network.sizes(size)

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> HiddenLayer:
        archetypes, first, key_examples = self.network.patterns(key, sizes)
        weights = hebbian.hidden_weights(key_examples, archetypes, first, self.network.quality, self.network.rule, dtype)
        return HiddenLayer(archetypes, first, weights / jnp.sqrt(jnp.asarray(self.network.scale, dtype)))

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Int8[Array, " n"]:
        return self.network.initial(key, disorder)

    def hidden_weights(self, disorder: Any) -> Float[Array, "p n"]:
        return disorder.weights

    def observe(self, weights: Spins, disorder: Any) -> dict[str, Array]:
        return {**super().observe(weights, disorder), **overlaps(weights, disorder.archetypes[0], disorder.examples)}
