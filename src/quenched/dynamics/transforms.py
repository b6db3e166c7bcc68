"""Gradient transformations: names for optax optimisers, so that a rule can be stored and rebuilt."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import optax

from quenched.dynamics.schedules import AbstractSchedule
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


class AbstractTransform(eqx.Module):
    """Builds an optax optimiser for a learning rate. One's own optimiser is a subclass with ``build``."""

    @abc.abstractmethod
    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformation:
        """The optimiser; its updates are added to the weights, and contain the learning rate and the sign."""

    @property
    def stability_limit(self) -> float:
        """The largest stable lr * (curvature of the energy) in a quadratic valley; infinite where none is known (default)."""
        return math.inf


@public
class Plain(AbstractTransform):
    """w <- w - lr g."""

    @property
    def stability_limit(self) -> float:
        return 2.0

    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformation:
        return optax.sgd(lr)


@public
class Momentum(AbstractTransform):
    """v <- decay v + g, w <- w - lr v (heavy ball as in ``optax.sgd``); 0 <= ``decay`` < 1 (default 0.9)."""

    decay: float = eqx.field(default=0.9, converter=float)

    def __check_init__(self) -> None:
        checks.in_interval("decay", self.decay, 0.0, 1.0, closed="left")

    @property
    def stability_limit(self) -> float:
        return 2.0 * (1.0 + self.decay)

    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformation:
        return optax.sgd(lr, momentum=self.decay)


@public
class Optax(AbstractTransform):
    """Any optimiser of the ``optax`` namespace by name: ``Optax("adam", {"b1": 0.9})``.

    ``optimiser`` is the name of a function of optax whose first argument is the learning rate; ``arguments`` are further keyword
    arguments, numbers and booleans. Raises ``ParameterError`` for a name that optax does not have, for one that is no
    optimiser, and for arguments that it refuses.
    """

    optimiser: str = "adam"
    arguments: Mapping[str, Any] = eqx.field(default_factory=dict)

    def __check_init__(self) -> None:
        if not callable(getattr(optax, self.optimiser, None)) or self.optimiser.startswith("_"):
            raise checks.ParameterError(f"optimiser must be the name of an optax optimiser, got {self.optimiser!r}")
        try:
            built = self.build(0.1)
        except (TypeError, ValueError) as error:
            raise checks.ParameterError(f"optax.{self.optimiser} refuses arguments {dict(self.arguments)!r}: {error}") from error
        if not isinstance(built, optax.GradientTransformation):
            raise checks.ParameterError(f"optimiser must be the name of an optax optimiser, got {self.optimiser!r}")

    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformation:
        return getattr(optax, self.optimiser)(lr, **self.arguments)
