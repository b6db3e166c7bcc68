"""Constraints on the weights, imposed by projection after every step."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from quenched.models.base import Weights, dimension, squared_norm
from quenched.records.description import public


class AbstractConstraint(eqx.Module):
    """A set of admissible weights."""

    @abc.abstractmethod
    def project(self, weights: Weights) -> Weights:
        """The weights moved onto the set."""


@public
class Free(AbstractConstraint):
    """No constraint."""

    def project(self, weights: Weights) -> Weights:
        return weights


@public
class Spherical(AbstractConstraint):
    """w <- sqrt(d) w/|w| with d the number of weights."""

    def project(self, weights: Weights) -> Weights:
        scale = jnp.sqrt(dimension(weights) / squared_norm(weights))
        return jax.tree.map(lambda w: w * scale.astype(w.dtype), weights)
