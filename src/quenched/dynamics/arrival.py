"""Stop at a place: the first visit of a ball, as of another minimum."""

from __future__ import annotations

import operator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from quenched.dynamics.stops import AbstractStop
from quenched.models.base import Disorder, Weights
from quenched.numerics import checks
from quenched.numerics.pytrees import flat
from quenched.records.description import public


@public
class Arrived(AbstractStop):
    """Stop at the first visit of the ball of ``radius`` (default 0.2) around ``centre``, tested every ``every`` steps.

    A ball around another minimum, not the barrier: half of the trajectories that touch a barrier fall back, and would count as
    escapes twice as fast as they are. Raises ``ParameterError`` for a radius <= 0.
    """

    centre: tuple[float, ...] = eqx.field(converter=lambda v: tuple(map(float, np.atleast_1d(v))))
    radius: float = eqx.field(default=0.2, converter=float)
    every: int = eqx.field(default=1, converter=operator.index)

    def __check_init__(self) -> None:
        checks.positive("radius", self.radius)
        checks.integer_at_least("every", self.every, 1)

    def __call__(self, model: Any, weights: Weights, disorder: Disorder) -> Bool[Array, ""]:
        theta = flat(weights)
        centre = jnp.stack([jnp.asarray(x, theta.dtype) for x in self.centre])
        return jnp.sum((theta - centre) ** 2) < self.radius**2
