"""A user's loss, parameters and data as a model of the engine."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.models.base import AbstractLossModel
from quenched.models.given import no_size
from quenched.observables.loss_on_data import LossOnData


class OnData(AbstractLossModel):
    """``LossOnData`` as a model: every replica starts at its parameters, the energy is the mean loss. ``size`` is None.

    Unlike ``FromLoss`` its data may be any pytree, its weights are one vector, and it is never written into a file.
    """

    problem: LossOnData

    def described(self) -> dict[str, Any]:
        """Nothing of a user's loss and parameters can be brought back from a file: their sizes only."""
        return {"weights": self.problem.size, "samples": self.problem.samples}

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        return self.problem.samples, self.problem.size

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Any:
        return self.problem.data

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Float[Array, " weight"]:
        return self.problem.weights

    def losses(self, weights: Float[Array, " weight"], disorder: Any) -> Float[Array, " n"]:
        return lax.map(self._one(weights), disorder, batch_size=self.problem.chunk)

    def batch_losses(self, weights: Float[Array, " weight"], disorder: Any, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        return jax.vmap(self._one(weights))(self._taken(disorder, indices))

    def batch_loss(self, weights: Float[Array, " weight"], disorder: Any, indices: Int[Array, " s"]) -> Float[Array, ""]:
        return self.problem.on(weights, self._taken(disorder, indices))

    def _one(self, weights: Float[Array, " weight"]) -> Any:
        return lambda one: self.problem.on(weights, jax.tree.map(lambda a: a[None], one))

    def _taken(self, disorder: Any, indices: Int[Array, " s"]) -> Any:
        return jax.tree.map(lambda a: a[indices], disorder)

    def samples(self, disorder: Any) -> int:
        return int(jax.tree.leaves(disorder)[0].shape[0])

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: Float[Array, " weight"], disorder: Any) -> dict[str, Array]:
        loss = jnp.mean(self.losses(weights, disorder))
        return {"loss": loss, "norm": jnp.sum(weights**2) / weights.shape[0]}
