"""The temperature of isotropic SGD noise, and the units of its time."""

from __future__ import annotations

import equinox as eqx

from quenched.numerics import checks
from quenched.observables.wells import TIME_UNITS
from quenched.records.description import public


@public
class Temperature(eqx.Module):
    """T = eta sigma^2/(2 S (1 - beta)) of SGD whose gradient of one sample has the covariance sigma^2 I.

    ``lr`` = eta, ``batch_size`` = S, ``noise`` = sigma^2 (default 1), ``momentum`` = beta (default 0). Solvers of the
    Fokker-Planck equation need T only; at finite learning rate its parts matter, so that they are kept. Time is counted in
    ``steps`` k, in ``eta_k`` = eta k, or in ``t_prime`` = eta k/(1 - beta), the time of the Fokker-Planck equation of SGD with
    momentum at small learning rates. With momentum SGD is a particle of mass m = eta (1 + beta)/2 and friction g = 1 - beta.
    Source: Dai, Zhu, arXiv:2112.00987; Kunin et al., arXiv:2107.09133, for mass and friction.
    """

    lr: float = eqx.field(default=0.1, converter=float)
    batch_size: float = eqx.field(default=32.0, converter=float)
    noise: float = eqx.field(default=1.0, converter=float)
    momentum: float = eqx.field(default=0.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("lr", self.lr)
        checks.positive("batch_size", self.batch_size)
        checks.positive("noise", self.noise)
        checks.in_interval("momentum", self.momentum, 0.0, 1.0, closed="left")

    @classmethod
    def at(cls, value: float | int, lr: float | int, momentum: float | int = 0.0) -> Temperature:
        """The same with a given T: the batch size follows, for sigma^2 = 1."""
        checks.positive("temperature", value)
        return cls(lr, lr / (2 * value * (1 - momentum)), 1.0, momentum)

    @property
    def value(self) -> float:
        """T."""
        return self.lr * self.noise / (2 * self.batch_size * (1 - self.momentum))

    @property
    def mass(self) -> float:
        """m = eta (1 + beta)/2."""
        return self.lr * (1 + self.momentum) / 2

    @property
    def friction(self) -> float:
        """g = 1 - beta."""
        return 1 - self.momentum

    def per_step(self, unit: str) -> float:
        """How much time a step takes in a unit."""
        checks.one_of("time_unit", unit, TIME_UNITS)
        return {"steps": 1.0, "eta_k": self.lr, "t_prime": self.lr / (1 - self.momentum)}[unit]


def temperature_of(given: Temperature | float | int) -> float:
    """T of a ``Temperature`` or of a number > 0."""
    value = given.value if isinstance(given, Temperature) else given
    checks.positive("temperature", value)
    return float(value)


def natural_unit(given: Temperature | float | int) -> str:
    """The unit in which the Fokker-Planck equation without mass has no further factor: eta k, with momentum t'."""
    return "t_prime" if isinstance(given, Temperature) and given.momentum > 0 else "eta_k"
