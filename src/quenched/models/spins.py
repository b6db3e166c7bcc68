"""Spin models: what the state of N spins +-1 feels. Rules for spins (``dynamics.spins``) know no more of a model than this."""

from __future__ import annotations

import abc
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from quenched.models.base import AbstractModel, Disorder
from quenched.records.labels import Label, register_label

Spins = Shaped[Array, " n"]
"""N spins +-1 of any type of number; the library keeps them as int8."""


class AbstractSpinModel(AbstractModel):
    """N spins sigma_i = +-1 with the energy H = -sum_{i<j} J_ij sigma_i sigma_j, J symmetric and J_ii = 0."""

    @abc.abstractmethod
    def fields(self, spins: Spins, disorder: Disorder) -> Float[Array, " n"]:
        """h_i = sum_j J_ij sigma_j, of order 1; flipping spin i alone costs 2 sigma_i h_i."""

    def energy(self, spins: Spins, disorder: Disorder) -> Float[Array, ""]:
        """H/N = -sum_i sigma_i h_i/(2N)."""
        return -0.5 * jnp.mean(spins * self.fields(spins, disorder))

    def observe(self, weights: Spins, disorder: Disorder) -> dict[str, Array]:
        return {"spin_energy": self.energy(weights, disorder)}


class AbstractCouplingModel(AbstractSpinModel):
    """A spin model whose disorder holds the couplings as a matrix: what sequential dynamics needs."""

    @abc.abstractmethod
    def couplings(self, disorder: Disorder) -> Float[Array, "n n"]:
        """J, symmetric with zero diagonal."""

    def fields(self, spins: Spins, disorder: Disorder) -> Float[Array, " n"]:
        couplings = self.couplings(disorder)
        return couplings @ spins.astype(couplings.dtype)


class AbstractHiddenLayerModel(AbstractSpinModel):
    """A restricted Boltzmann machine with P Gaussian hidden units z: what block Gibbs sampling needs.

    E(sigma, z) = sum_k z_k^2/2 - sum_ki W_ki z_k sigma_i/sqrt(N). Without z that is H = -sum_{i != j} J_ij sigma_i sigma_j/2 up
    to a constant, J = W^T W/N: the fields, and the energy, are those of this H, without the diagonal of J.
    """

    @abc.abstractmethod
    def hidden_weights(self, disorder: Disorder) -> Any:
        """W (P, N)."""

    def hidden_means(self, spins: Spins, disorder: Disorder) -> Float[Array, " p"]:
        """E[z | sigma] = W sigma/sqrt(N); the variance is the temperature."""
        weights = self.hidden_weights(disorder)
        return weights @ spins.astype(weights.dtype) / weights.shape[1] ** 0.5

    def visible_fields(self, hidden: Float[Array, " p"], disorder: Disorder) -> Float[Array, " n"]:
        """v = W^T z/sqrt(N): given z the spins are independent, and flipping spin i costs 2 sigma_i v_i."""
        weights = self.hidden_weights(disorder)
        return hidden @ weights / weights.shape[1] ** 0.5

    def fields(self, spins: Spins, disorder: Disorder) -> Float[Array, " n"]:
        weights = self.hidden_weights(disorder)
        itself = jnp.sum(weights**2, axis=0) / weights.shape[1]
        return self.visible_fields(self.hidden_means(spins, disorder), disorder) - itself * spins


register_label("spin_energy", Label("energy per spin", "e"))
