"""What a model is: quenched disorder, and what the state sees of it."""

from __future__ import annotations

import abc
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.numerics import checks

# any pytree of arrays; only the model itself knows its structure
Disorder: TypeAlias = Any
Weights: TypeAlias = Any


class AbstractModel(eqx.Module):
    """Quenched disorder and the order parameters of a state in it.

    Fields are Python numbers and components. ``prepare`` and ``sizes`` run outside ``jit`` on the concrete model; the other
    methods run inside ``jit`` with static sizes and traced fields.
    """

    def prepare(self) -> AbstractModel:
        """The model ready to be traced: data that lie in files are loaded here, once. Default: the model itself."""
        return self

    def cautions(self, rule: Any) -> list[str]:
        """Sentences about what will probably go wrong with this rule although every value is legal. Default: none."""
        return []

    @abc.abstractmethod
    def sizes(self, size: int | None) -> tuple[int, ...]:
        """Static sizes for a system of ``size`` (the dimension d, the number of spins N); models of given data take ``None``."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Disorder:
        """Draw the disorder: a pytree of arrays of the given floating type."""

    @abc.abstractmethod
    def initial(self, key: PRNGKeyArray, disorder: Disorder) -> Weights:
        """Draw the starting weights of one replica: a pytree of arrays."""

    def observe(self, weights: Weights, disorder: Disorder) -> dict[str, Array]:
        """Order parameters of one replica, by their standard names."""
        return {}


class AbstractLossModel(AbstractModel):
    """A model with a loss per sample, which gradient rules need."""

    @abc.abstractmethod
    def losses(self, weights: Weights, disorder: Disorder) -> Float[Array, " n"]:
        """The loss of every sample."""

    def batch_losses(self, weights: Weights, disorder: Disorder, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        """The losses of a few samples. Default: all are computed, and these taken; a model that can do better does."""
        return self.losses(weights, disorder)[indices]

    def batch_loss(self, weights: Weights, disorder: Disorder, indices: Int[Array, " s"]) -> Float[Array, ""]:
        """The mean loss of a few samples. Default: the mean of ``batch_losses``."""
        return jnp.mean(self.batch_losses(weights, disorder, indices))

    @abc.abstractmethod
    def samples(self, disorder: Disorder) -> int:
        """The number n of samples."""

    def loss_scale(self, samples: int) -> float:
        """Factor of the summed loss in the energy: 1 (thermodynamic convention, default) or 1/n (mean, usual for networks)."""
        return 1.0

    def observe(self, weights: Weights, disorder: Disorder) -> dict[str, Array]:
        return {"loss": jnp.mean(self.losses(weights, disorder))}


def data_product(x: Any, w: Float[Array, " d"]) -> Float[Array, " n"]:
    """x w for a data matrix given as an array (n, d) or as a ``lineax`` linear operator (``x.mv``)."""
    return x.mv(w) if hasattr(x, "mv") else x @ w


def squared_norm(weights: Weights) -> Float[Array, ""]:
    """|w|^2 summed over every array of a pytree."""
    return jnp.asarray(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(weights)))


def round_samples(alpha: float, size: int | None) -> tuple[int, int]:
    """(n, d) with n = round(alpha d), both at least 1."""
    if size is None:
        raise checks.ParameterError("size must be given: the dimension d of the weights")
    checks.integer_at_least("size", size, 2)
    n = round(alpha * size)
    if n < 1:
        raise checks.ParameterError(f"alpha * size must give at least one sample, got alpha={alpha!r}, size={size!r}")
    return n, size
