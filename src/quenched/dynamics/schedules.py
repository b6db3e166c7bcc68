"""Schedules: components that give the learning rate, or the temperature, of a step."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterable
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
    """lr(step) > 0, or another positive number in its place, such as a temperature.

    Written with operations that work on NumPy and JAX arrays alike.
    """

    @abc.abstractmethod
    def __call__(self, step: Step) -> Rate:
        """The learning rate of a step (0-based), elementwise."""


def number_or_schedule(value: Any) -> Any:
    """A schedule as it is, anything else as a float: the converter of a field that may be either."""
    return value if isinstance(value, AbstractSchedule) else float(value)


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


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


@public
class PiecewiseConstant(AbstractSchedule):
    """lr(t) = values[k] for boundaries[k-1] <= t < boundaries[k]: one value > 0 more than boundaries.

    ``boundaries``: increasing steps >= 1 at which the next value starts; none for a constant learning rate. Default: 0.2 for 20
    steps, then 0.05.
    """

    values: tuple[float, ...] = eqx.field(default=(0.2, 0.05), converter=_numbers)
    boundaries: tuple[float, ...] = eqx.field(default=(20.0,), converter=_numbers)

    def __check_init__(self) -> None:
        for k, value in enumerate(self.values):
            checks.positive(f"values[{k}]", value)
        for k, step in enumerate(self.boundaries):
            checks.finite(f"boundaries[{k}]", step)
        if len(self.values) != len(self.boundaries) + 1:
            raise checks.ParameterError(
                f"values must be one more than boundaries, got {len(self.values)} values and {len(self.boundaries)} boundaries"
            )
        if any(low >= high for low, high in itertools.pairwise((0.0, *self.boundaries))):
            raise checks.ParameterError(f"boundaries must be > 0 and increase, got {self.boundaries!r}")

    def __call__(self, step: Step) -> Rate:
        starts, ends = (-math.inf, *self.boundaries), (*self.boundaries, math.inf)
        # one term is not zero: no rounding
        return sum(value * ((step >= start) & (step < end)) for value, start, end in zip(self.values, starts, ends, strict=True))


def learning_rates(lr: float | AbstractSchedule, steps: int) -> np.ndarray:
    """The learning rates of steps 0, ..., steps - 1 as float64."""
    if isinstance(lr, AbstractSchedule):
        return np.asarray(lr(np.arange(steps, dtype=np.float64)), np.float64)
    return np.full(steps, float(lr))


def rate_at(lr: Real | AbstractSchedule, step: Int[Array, ""]) -> Any:
    """The learning rate of one step, inside ``jit``."""
    return lr(step) if isinstance(lr, AbstractSchedule) else lr
