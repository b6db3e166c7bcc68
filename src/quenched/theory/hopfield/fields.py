"""Order parameters of a replica-symmetric state and the law of its local fields, a mixture of Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from quenched.numerics.quadrature import Rule, normal_grid

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FieldLaw:
    """The field h of the effective single spin: N(``means``, ``sd``^2) with ``weights``, one term per value of the signal.

    Gauge xi = 1. <sigma> = tanh(beta h). What a spin of a network feels, sum_j J_ij sigma_j, is h plus the reaction of the
    others to the spin itself.
    """

    means: Float[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    sd: float

    def average(self, function: Function, temperature: float) -> float:
        """E function(h/T) for a function as smooth as tanh, T > 0."""
        sd = self.sd / temperature
        z, normal = grid(sd)
        return float(self.weights @ (function(self.means[:, None] / temperature + sd * z) @ normal))

    def density(self, h: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Probability density at h (n,)."""
        x = (np.asarray(h)[:, None] - self.means) / self.sd
        return np.exp(-(x**2) / 2) @ self.weights / (np.sqrt(2 * np.pi) * self.sd)

    def negative(self) -> float:
        """P(h < 0): the fraction of spins that point away from the archetype at T = 0."""
        return float(self.weights @ ndtr(-self.means / self.sd))


@dataclass(frozen=True)
class State:
    """Order parameters of a replica-symmetric state, in units Gamma = R.

    ``load``, ``temperature``; m, q; n is the mean over the archetype's examples, ``square`` (1/M) sum_a n_a^2, ``largest`` the
    largest n_a; ``susceptibility`` C = (1 - q)/T; ``fields`` the law of h.
    """

    load: float
    temperature: float
    m: float
    n: float
    q: float
    square: float
    largest: float
    susceptibility: float
    fields: FieldLaw


def grid(sd: float) -> Rule:
    """Nodes and weights of N(0, 1) for functions of sd z that are analytic where tanh is: 14 digits."""
    # a few sizes only, each made once
    return _grid(int(np.ceil(2 * np.log2(max(0.6, sd)))))


@lru_cache(maxsize=64)
def _grid(half_octave: int) -> Rule:
    # the poles of tanh(sd z) are pi/(2 sd) away from the real axis
    return normal_grid(0.3 / 2 ** (half_octave / 2))
