"""Gaussian mixtures of two and three clusters.

Source: Mignacco, Krzakala, Urbani, Zdeborova, arXiv:2006.06098.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.losses import AbstractMarginLoss, Door, Linear, Square
from quenched.models.gaussian import AbstractGaussianModel
from quenched.models.start import symmetric_start
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.observables.test_error import three_cluster_error, two_cluster_error
from quenched.records.description import public


@public
class GaussianMixture(AbstractGaussianModel):
    """x = c v/sqrt(d) + sqrt(Delta) z with z ~ N(0, I_d) and |v|^2 = d.

    ``clusters=2``: c = +-1 with probability rho, 1 - rho (``positive_fraction`` = rho) and y = c.
    ``clusters=3``: c = 0 with probability 1/2 and +-1 with probability 1/4 each, y = 2 c^2 - 1; use a loss with a ``Door``
    output, and a start with an overlap (the problem is symmetric under w -> -w). ``noise`` = Delta >= 0 is the variance of a
    cluster. Defaults: alpha = 2, Delta = 0.5, two balanced clusters, logistic loss.

    Raises ``ParameterError`` for alpha <= 0, Delta < 0, rho outside (0, 1), another number of clusters.
    Source: arXiv:2006.06098, section 2.
    """

    noise: float = eqx.field(default=0.5, converter=float)
    clusters: int = 2
    positive_fraction: float = eqx.field(default=0.5, converter=float)

    def __check_init__(self) -> None:
        checks.non_negative("noise", self.noise)
        checks.integer_at_least("clusters", self.clusters, 2)
        checks.one_of("clusters", self.clusters, (2, 3))
        checks.in_interval("positive_fraction", self.positive_fraction, 0.0, 1.0, closed="neither")
        if self.clusters == 3 and self.positive_fraction != 0.5:
            raise checks.ParameterError(f"positive_fraction must be 0.5 with three clusters, got {self.positive_fraction!r}")

    @property
    def classifies(self) -> bool:
        return True

    @property
    def delta(self) -> Real:
        return self.noise

    def centres(self, uniform: Float[Array, " n"]) -> Float[Array, " n"]:
        """The sign c of the cluster centre, from a uniform number."""
        if self.clusters == 2:
            return jnp.where(uniform < self.positive_fraction, 1.0, -1.0).astype(uniform.dtype)
        return jnp.where(uniform < 0.25, 1.0, jnp.where(uniform < 0.5, -1.0, 0.0)).astype(uniform.dtype)

    def latent(self, normal: Float[Array, "n 1"], uniform: Float[Array, " n"]) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
        c = self.centres(uniform)
        y = c if self.clusters == 2 else 2 * c**2 - 1
        return c[:, None] + jnp.sqrt(jnp.asarray(self.noise, normal.dtype)) * normal, y

    def test_error(self, overlap: Float[Array, "... 1"], norm: Float[Array, ...]) -> Float[Array, ...] | None:
        m = overlap[..., 0]
        output = self.loss.output if isinstance(self.loss, (AbstractMarginLoss, Square)) else Linear()
        if self.clusters == 2 and output.same_sign:
            return two_cluster_error(m, norm, self.noise)
        if self.clusters == 3 and isinstance(output, Door):
            return three_cluster_error(m, norm, self.noise, output.width)
        return None

    def cautions(self, rule: Any) -> list[str]:
        return super().cautions(rule) + (symmetric_start(self.start) if self.clusters == 3 else [])
