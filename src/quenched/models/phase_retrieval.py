"""Phase retrieval: a signal is measured through intensities only."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from quenched.losses import AbstractLoss, PhaseRetrievalLoss
from quenched.models.gaussian import AbstractGaussianModel
from quenched.models.start import AbstractStart, SphericalStart, symmetric_start
from quenched.numerics.precision import Real
from quenched.records.description import public


@public
class PhaseRetrieval(AbstractGaussianModel):
    """x ~ N(0, I_d) and y = (x.v/sqrt(d))^2 with |v|^2 = d.

    Defaults: loss (y - r^2)^2/4, a warm start on the sphere with overlap 0.3, to be used with the ``Spherical`` constraint. The
    signal is recovered up to a sign: success is \\|m\\| -> 1. From overlap 0 the infinite-size theory stays at 0 for ever, a
    finite system leaves it after a time of order log d. Source: Mignacco et al. 2021, arXiv:2103.04902.
    """

    loss: AbstractLoss = PhaseRetrievalLoss()
    start: AbstractStart = SphericalStart(overlap=0.3)

    @property
    def delta(self) -> Real:
        return 1.0

    def latent(self, normal: Float[Array, "n 1"], uniform: Float[Array, " n"]) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
        return normal, normal[:, 0] ** 2

    def cautions(self, rule: Any) -> list[str]:
        return super().cautions(rule) + symmetric_start(self.start)
