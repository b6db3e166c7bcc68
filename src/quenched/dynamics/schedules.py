"""Learning-rate schedules: components that give the learning rate of a step."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public

Step = int | Int[Array, "..."] | np.ndarray
Rate = Real | Float[Array, "..."] | np.ndarray


class AbstractSchedule(eqx.Module):
    """lr(step) > 0; written with operations that work on NumPy and JAX arrays alike."""

    @abc.abstractmethod
    def __call__(self, step: Step) -> Rate:
        """The learning rate of a step (0-based), elementwise."""


@public
class PowerLawDecay(AbstractSchedule):
    """lr(t) = lr0 (1 + t/t0)^(-a): ``initial`` = lr0 > 0, ``scale`` = t0 > 0 in steps, ``exponent`` = a >= 0."""

    initial: float = eqx.field(default=0.2, converter=float)
    scale: float = eqx.field(default=20.0, converter=float)
    exponent: float = eqx.field(default=0.5, converter=float)

    def __check_init__(self) -> None:
        checks.positive("initial", self.initial)
        checks.positive("scale", self.scale)
        checks.non_negative("exponent", self.exponent)

    def __call__(self, step: Step) -> Rate:
        return self.initial * (1 + step / self.scale) ** (-self.exponent)


@public
class ExponentialDecay(AbstractSchedule):
    """lr(t) = lr_end + (lr0 - lr_end) exp(-t/t0): ``initial``, ``final`` > 0, ``scale`` = t0 > 0 in steps."""

    initial: float = eqx.field(default=0.2, converter=float)
    final: float = eqx.field(default=0.05, converter=float)
    scale: float = eqx.field(default=20.0, converter=float)

    def __check_init__(self) -> None:
        for name in ("initial", "final", "scale"):
            checks.positive(name, getattr(self, name))

    def __call__(self, step: Step) -> Rate:
        decay = np.exp(-step / self.scale) if isinstance(step, np.ndarray) else jnp.exp(-step / self.scale)
        return self.final + (self.initial - self.final) * decay


def learning_rates(lr: float | AbstractSchedule, steps: int) -> np.ndarray:
    """The learning rates of steps 0, ..., steps - 1 as float64."""
    if isinstance(lr, AbstractSchedule):
        return np.asarray(lr(np.arange(steps, dtype=np.float64)), np.float64)
    return np.full(steps, float(lr))


def rate_at(lr: Real | AbstractSchedule, step: Int[Array, ""]) -> Any:
    """The learning rate of one step, inside ``jit``."""
    return lr(step) if isinstance(lr, AbstractSchedule) else lr
