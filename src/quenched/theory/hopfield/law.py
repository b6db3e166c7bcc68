"""What a Hopfield network's stored patterns say of their archetypes: the law of an example average, the spectrum of the noise.

In the gauge xi = 1 an example average is chibar = (1/M) sum_a chi_a with P(chi_a = +-1) = (1 +- r)/2: r in the mean, with the
variance r^2 rho, rho = (1 - r^2)/(M r^2). Everything in this room is in units Gamma = R = r^2 (1 + rho). A local field of the
retrieved archetype is beta h = a chibar + w z, z ~ N(0, 1), with a = beta n/R and w^2 = beta^2 load p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import erf

from quenched.models import hebbian
from quenched.models.hopfield import Hopfield
from quenched.numerics import checks
from quenched.numerics.quadrature import Rule, binomial
from quenched.theory.hopfield.fields import FieldLaw, grid

AVERAGES = ("binomial", "gaussian")
"""Whether an example average has its exact law, or the Gaussian one of the same mean and variance."""

# above, the two averages differ by less than what a simulation sees
_MOST_EXACT = 2000

Array = Float[np.ndarray, " k"]


class ThermalMoments(NamedTuple):
    """Averages at T > 0: m = E f, n = E chibar f and q = E f^2 with f = tanh(beta h)."""

    m: Array
    n: Array
    q: Array


class ZeroMoments(NamedTuple):
    """The same at T = 0, f = sign h with h = s (sqrt(2) y chibar + z): m, n, and E exp(-chibar^2 y^2), of which h is zero."""

    m: Array
    n: Array
    zero: Array


@dataclass(frozen=True)
class PatternLaw:
    """M ``examples`` of ``quality`` r of every archetype, stored by ``rule``, and the ``average`` over an archetype's examples.

    ``average`` "binomial" (default) is exact at every M; "gaussian" is the closed form that is usually plotted, off by up to a
    factor 2 in the critical load below twenty examples, and takes any real M > 0 (M >= 1 unsupervised). Defaults: one example of
    quality 1, the classic Hopfield model.

    Raises ``ParameterError`` for r outside (0, 1], M < 1 or not an integer (binomial), an unknown rule or average. Sources:
    arXiv:2109.00454, arXiv:2203.01304.
    """

    examples: float | int = 1
    quality: float | int = 1.0
    rule: str = "unsupervised"
    average: str = "binomial"

    def __post_init__(self) -> None:
        checks.one_of("average", self.average, AVERAGES)
        checks.one_of("rule", self.rule, hebbian.RULES)
        checks.in_interval("quality", float(self.quality), 0.0, 1.0, closed="right")
        if self.average == "binomial":
            if not isinstance(self.examples, int):
                raise checks.ParameterError(f"examples must be an integer >= 1 with average='binomial', got {self.examples!r}")
            checks.integer_at_least("examples", self.examples, 1)
        elif self.rule == "unsupervised":
            checks.non_negative("examples - 1", float(self.examples - 1))
        else:
            checks.positive("examples", float(self.examples))

    @classmethod
    def of(cls, model: Hopfield, average: str = "auto") -> PatternLaw:
        """The law of a model; ``average`` "auto" (default) is binomial up to 2000 examples, Gaussian above."""
        checks.instance("model", model, Hopfield)
        checks.one_of("average", average, ("auto", *AVERAGES))
        if average == "auto":
            average = "binomial" if model.examples <= _MOST_EXACT else "gaussian"
        return cls(model.examples, model.quality, model.rule, average)

    @classmethod
    def supervised(cls, entropy: float | int) -> PatternLaw:
        """The Gaussian law of the supervised rule, which depends on r and M through the data-set ``entropy`` rho >= 0 only."""
        checks.non_negative("entropy", float(entropy))
        return cls(1 / entropy, 0.5**0.5, "supervised", "gaussian") if entropy else cls(1, 1.0, "supervised", "gaussian")

    @property
    def entropy(self) -> float:
        """rho = (1 - r^2)/(M r^2)."""
        return float((1 - self.quality**2) / (self.examples * self.quality**2))

    @property
    def second_moment(self) -> float:
        """R = r^2 (1 + rho) = E chibar^2."""
        return float(self.quality**2 * (1 + self.entropy))

    @property
    def spectrum(self) -> Rule:
        """Eigenvalues of the stored patterns' covariance of one archetype, and their multiplicities: 1, and rho/(1 + rho) M - 1
        times in the unsupervised rule."""
        if self.rule == "supervised" or self.entropy == 0:
            return np.array([1.0]), np.array([1.0])
        return np.array([1.0, self.entropy / (1 + self.entropy)]), np.array([1.0, self.examples - 1.0])

    def noise(self, susceptibility: Any) -> Any:
        """g(C) = sum_k mu_k lambda_k^2/(1 - lambda_k C)^2: the other archetypes' field has the variance load q g."""
        c = np.asarray(susceptibility)[..., None]
        values, counts = self.spectrum
        return np.sum(counts * (values / (1 - values * c)) ** 2, axis=-1)

    def inverse_noise(self, susceptibility: Any) -> Any:
        """1/g(C), continued to C >= 1, where no state is, by negative values: a branch that ends there has a change of sign."""
        c = np.asarray(susceptibility)
        beyond = c >= 1
        inside = 1 / self.noise(np.where(beyond, 0.0, c))
        return np.where(beyond, -((c - 1) ** 2), inside)

    def chibar(self) -> Rule:
        """Values and weights of the example average (binomial)."""
        agree, weights = binomial(int(self.examples), (1 + float(self.quality)) / 2)
        return 2 * agree / self.examples - 1, weights

    def zero(self, y: Array) -> ZeroMoments:
        """Moments at T = 0, s = a/(sqrt(2) y)."""
        r, rho = self.quality, self.entropy
        if self.average == "binomial":
            c, weights = self.chibar()
            signs = erf(np.multiply.outer(y, c))
            return ZeroMoments(signs @ weights, signs @ (weights * c), np.exp(-(np.multiply.outer(y, c) ** 2)) @ weights)
        spread = 1 + 2 * rho * (r * y) ** 2
        m = erf(r * y / np.sqrt(spread))
        zero = np.exp(-((r * y) ** 2) / spread) / np.sqrt(spread)
        return ZeroMoments(m, r * m + 2 / np.sqrt(np.pi) * r**2 * rho * y * zero, zero)

    def thermal(self, a: Array, w: Array) -> ThermalMoments:
        """Moments at T > 0 of beta h = a chibar + w z, for arrays a, w of one shape (k,)."""
        means, sds, weights, values = self._mixtures(a, w)
        rows = []
        for mean, sd in zip(means, sds, strict=True):
            z, normal = grid(float(sd))
            f = np.tanh(mean[:, None] + sd * z)
            rows.append((f @ normal, f**2 @ normal))
        f1, f2 = np.moveaxis(np.array(rows), 1, 0)
        m, q = f1 @ weights, f2 @ weights
        if self.average == "binomial":
            return ThermalMoments(m, f1 @ (weights * values), q)
        # E x f = E sech^2 d(beta h)/dx by parts, chibar = r (1 + sqrt(rho) x)
        return ThermalMoments(m, self.quality * m + self.quality**2 * self.entropy * a * (1 - q), q)

    def fields(self, a: float, w: float) -> FieldLaw:
        """The law of a chibar + w z."""
        means, sds, weights, _ = self._mixtures(np.array([a]), np.array([w]))
        return FieldLaw(means[0], weights, float(sds[0]))

    def _mixtures(self, a: Array, w: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means (k, values of chibar) and standard deviations (k,) of a chibar + w z, the weights and values of chibar."""
        if self.average == "binomial":
            values, weights = self.chibar()
            return np.multiply.outer(a, values), w, weights, values
        r, rho = self.quality, self.entropy
        return (a * r)[:, None], np.sqrt((a * r) ** 2 * rho + w**2), np.ones(1), np.array([r])
