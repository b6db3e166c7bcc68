"""Random labels: pure storage, no signal."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public


@public
class RandomLabels(AbstractGaussianModel):
    """x = sqrt(Delta) z with z ~ N(0, I_d) and labels y = +-1 with probability 1/2 each, independent of x.

    ``noise`` = Delta > 0 (default 1). On the sphere |w|^2 = d with Delta = 1 the n constraints y r >= kappa can be satisfied up
    to alpha_c(kappa) = 1 / int_{-kappa}^inf Dt (t + kappa)^2, alpha_c(0) = 2 (Gardner 1988); kappa is the margin of
    ``QuadraticHinge``. The direction v is an arbitrary one, and there is nothing to generalise to: no test error. Source:
    arXiv:2112.10852.
    """

    noise: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("noise", self.noise)

    @property
    def classifies(self) -> bool:
        return True

    @property
    def delta(self) -> Real:
        return self.noise

    def latent(self, normal: Float[Array, "n 1"], uniform: Float[Array, " n"]) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
        y = jnp.where(uniform < 0.5, 1.0, -1.0).astype(normal.dtype)
        return jnp.sqrt(jnp.asarray(self.noise, normal.dtype)) * normal, y
