"""Momentum SGD as its linear theory sees it."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx

from quenched.dynamics import Gradient, Momentum, Plain
from quenched.dynamics.schedules import AbstractSchedule
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


@public
class MomentumSGD(eqx.Module):
    """v <- beta v - g_B(theta) - lambda theta,  theta <- theta + eta v,  g_B the mean gradient of a batch of S samples.

    ``lr`` = eta > 0, ``momentum`` = beta in (-1, 1) (default 0.9), ``ridge`` = lambda >= 0 (default 0), ``batch_size`` = S >= 1
    (default 32; the theory takes any real number). The ridge is part of the gradient (coupled weight decay), there is no
    dampening. Derived scales, in the notation of Kunin et al. (arXiv:2107.09133): the damping gamma = (1 - beta)/(eta (1 +
    beta)), and the natural frequency omega = sqrt(2 h/(eta (1 + beta))) of a mode of curvature h = rho + lambda.

    Raises ``ParameterError`` for values out of range.
    """

    lr: float = eqx.field(converter=float)
    momentum: float = eqx.field(default=0.9, converter=float)
    ridge: float = eqx.field(default=0.0, converter=float)
    batch_size: float = eqx.field(default=32.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("lr", self.lr)
        checks.in_interval("momentum", self.momentum, -1.0, 1.0, closed="neither")
        checks.non_negative("ridge", self.ridge)
        checks.finite("batch_size", self.batch_size)
        if self.batch_size < 1:
            raise checks.ParameterError(f"batch_size must be >= 1, got {self.batch_size!r}")

    @classmethod
    def of(cls, rule: Gradient) -> MomentumSGD:
        """The same of a rule of the simulation: constant learning rate, plain or with ``Momentum``, minibatches of a size.

        Raises ``IncompatibleError`` for any other rule.
        """
        if isinstance(rule.lr, AbstractSchedule):
            raise checks.IncompatibleError(f"the linear theory needs a constant lr, got {rule.lr!r}")
        if type(rule.transform) not in (Plain, Momentum):
            raise checks.IncompatibleError(
                f"the linear theory needs the Plain or Momentum transform, got {type(rule.transform).__name__}"
            )
        size = getattr(rule.batches, "size", None)
        if size is None:
            raise checks.IncompatibleError(f"the linear theory needs batches of a size, got {type(rule.batches).__name__}")
        if rule.temperature > 0:
            raise checks.IncompatibleError(f"the linear theory needs temperature = 0, got {rule.temperature!r}")
        return cls(rule.lr, getattr(rule.transform, "decay", 0.0), rule.ridge, size)

    def damping(self) -> Real:
        """gamma = (1 - beta)/(eta (1 + beta)), per unit of time eta k."""
        return (1 - self.momentum) / (self.lr * (1 + self.momentum))

    def stability_limit(self) -> float:
        """The largest curvature h = rho + lambda of a stable mode, 2 (1 + beta)/eta."""
        return 2 * (1 + self.momentum) / self.lr

    def oscillation_threshold(self, formula: str = "discrete") -> float:
        """The product eta h above which a mode oscillates: (1 - sqrt beta)^2, in continuous time (1 - beta)^2/(2 (1 + beta)).

        In discrete time a mode stops to oscillate, and flips sign at every step, above (1 + sqrt beta)^2. Without momentum
        there are no oscillations in discrete time, and the threshold is that (1) of the flips.
        """
        checks.one_of("formula", formula, ("discrete", "continuous"))
        if formula == "continuous":
            return (1 - self.momentum) ** 2 / (2 * (1 + self.momentum))
        checks.in_interval("momentum", self.momentum, 0.0, 1.0, closed="left")
        return (1 - math.sqrt(self.momentum)) ** 2


def check_stable(rule: MomentumSGD, curvature: Any) -> None:
    """Refuse curvatures rho for which the step is unstable; names the mode and the bound."""
    worst = int(curvature.argmax())
    product = float(rule.lr * (curvature[worst] + rule.ridge))
    bound = 2 * (1 + rule.momentum)
    if product >= bound:
        raise checks.ParameterError(
            f"lr * (curvature + ridge) must be < 2 (1 + momentum) = {bound:g} for a stable step, got {product:g} in mode "
            f"{worst}; lr < {bound / float(curvature[worst] + rule.ridge):.4g} is stable"
        )
