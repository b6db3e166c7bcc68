"""Constraints on the weights, imposed by projection after every step."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from quenched.models.base import AbstractModel, Weights, squared_norm
from quenched.models.start import AbstractStart
from quenched.numerics import checks
from quenched.numerics.pytrees import dimension
from quenched.records.description import public


class AbstractConstraint(eqx.Module):
    """A set of admissible weights."""

    @abc.abstractmethod
    def project(self, weights: Weights) -> Weights:
        """The weights moved onto the set."""

    def check(self, model: AbstractModel) -> None:
        """Raise if the model's start is not a member of the set. Default: every start is."""
        return None


@public
class Free(AbstractConstraint):
    """No constraint."""

    def project(self, weights: Weights) -> Weights:
        return weights


@public
class Spherical(AbstractConstraint):
    """w <- sqrt(d) w/|w| with d the number of weights.

    A start that declares its law must lie on the sphere as d -> infinity: R0 + K m0^2 = 1 with K special directions. A random
    start is off by 1/sqrt(d) and is projected before step 0.
    """

    def check(self, model: AbstractModel) -> None:
        start = getattr(model, "start", None)
        if not isinstance(start, AbstractStart):
            return
        norm = float(start.spread) + getattr(model, "directions", 1) * float(start.mean_overlap) ** 2
        if abs(norm - 1) > 1e-6:
            raise checks.ParameterError(
                f"start must lie on the sphere, R0 + m0^2 = 1, under the Spherical constraint, got {norm:g} from {start!r}; "
                "use SphericalStart"
            )

    def project(self, weights: Weights) -> Weights:
        scale = jnp.sqrt(dimension(weights) / squared_norm(weights))
        return jax.tree.map(lambda w: w * scale.astype(w.dtype), weights)
