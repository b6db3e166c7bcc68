"""Stop conditions: when a replica has arrived and is frozen."""

from __future__ import annotations

import abc
import operator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

from quenched.models.base import AbstractLossModel, AbstractModel, Disorder, Weights
from quenched.numerics import checks
from quenched.records.description import public


class AbstractStop(eqx.Module):
    """A condition on one replica, tested at step 0 and at every multiple of ``every`` steps (>= 1, default 1).

    A replica that meets it is frozen with its accumulators; the Dataset's ``stop_step`` tells when (-1 = never).
    """

    @property
    @abc.abstractmethod
    def every(self) -> int:
        """Steps between two tests."""

    def check(self, model: AbstractModel) -> None:
        """Raise ``IncompatibleError``, by name, if the model lacks what the condition needs. Runs before any work."""
        return None

    @abc.abstractmethod
    def __call__(self, model: Any, weights: Weights, disorder: Disorder) -> Bool[Array, ""]:
        """Whether this replica has arrived."""


@public
class LossBelow(AbstractStop):
    """Stop when the mean loss over all samples is below ``threshold`` > 0 (default 1e-9), tested every ``every`` steps
    (default 1).

    One test costs one evaluation of the losses of all samples: with ``every=10`` less than a tenth of the time of a step.
    """

    threshold: float = eqx.field(default=1e-9, converter=float)
    every: int = eqx.field(default=1, converter=operator.index)

    def __check_init__(self) -> None:
        checks.positive("threshold", self.threshold)
        checks.integer_at_least("every", self.every, 1)

    def check(self, model: AbstractModel) -> None:
        if not isinstance(model, AbstractLossModel):
            raise checks.IncompatibleError(f"LossBelow needs a model with a loss; {type(model).__name__} has none")

    def __call__(self, model: Any, weights: Weights, disorder: Disorder) -> Bool[Array, ""]:
        return jnp.mean(model.losses(weights, disorder)) < self.threshold
