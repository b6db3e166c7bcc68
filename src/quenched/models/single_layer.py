"""What every single-layer model shares: r = x.w/sqrt(d), a sample loss ell(y, r), a start along special directions."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.losses import AbstractLoss
from quenched.models.base import AbstractLossModel, data_product
from quenched.models.start import AbstractStart


class Samples(eqx.Module):
    """Quenched data: x (n, d) or a linear operator, labels y (n,), directions v (K, d) with |v_k|^2 = d."""

    x: Any
    y: Float[Array, " n"]
    directions: Float[Array, "k d"]


class AbstractSingleLayer(AbstractLossModel):
    """One layer of weights w in R^d seeing samples (x, y) through r = x.w/sqrt(d); the energy is the sum over samples."""

    loss: eqx.AbstractVar[AbstractLoss]
    start: eqx.AbstractVar[AbstractStart]

    @property
    def directions(self) -> int:
        """The number K of special directions."""
        return 1

    @property
    def classifies(self) -> bool:
        """Whether labels are classes +-1, so that a sample can be misclassified. Default: what the loss requires."""
        return self.loss.classification

    def samples(self, disorder: Any) -> int:
        return disorder.y.shape[0]

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Float[Array, " d"]:
        return self.start.draw(key, disorder.directions)

    def preactivations(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        """r = x.w/sqrt(d) of every sample."""
        return data_product(disorder.x, weights) / weights.shape[0] ** 0.5

    def losses(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        return self.loss.ell(disorder.y, self.preactivations(weights, disorder))

    def batch_losses(self, weights: Float[Array, " d"], disorder: Any, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        if hasattr(disorder.x, "mv"):
            # an operator has no rows to take
            return super().batch_losses(weights, disorder, indices)
        return self.loss.ell(disorder.y[indices], disorder.x[indices] @ weights / weights.shape[0] ** 0.5)

    def gaps(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        """h = y phi(r) of every sample."""
        return self.loss.gap(disorder.y, self.preactivations(weights, disorder))

    def observe(self, weights: Float[Array, " d"], disorder: Any) -> dict[str, Array]:
        d = weights.shape[0]
        r = self.preactivations(weights, disorder)
        overlap = disorder.directions @ weights / d
        norm = jnp.sum(weights**2) / d
        values = {
            "overlap": overlap[0] if self.directions == 1 else overlap,
            "norm": norm,
            "loss": jnp.mean(self.loss.ell(disorder.y, r)),
        }
        if self.classifies:
            values["train_error"] = jnp.mean(self.loss.gap(disorder.y, r) < 0, dtype=norm.dtype)
        return values


def highest_rate(rule: Any) -> float | None:
    """The largest learning rate of a rule at steps 0, 10, 100 and 1000; None for a rule that has none."""
    lr = getattr(rule, "lr", None)
    if lr is None:
        return None
    return max(float(lr(step)) for step in (0, 10, 100, 1000)) if callable(lr) else float(lr)


def unstable_step(rule: Any, stiffness: float) -> list[str]:
    """A caution if lr * (ridge + stiffness) exceeds the stability limit of the rule, for a quadratic valley of that stiffness."""
    lr = highest_rate(rule)
    if lr is None:
        return []
    product = lr * (getattr(rule, "ridge", 0.0) + stiffness)
    limit = getattr(getattr(rule, "transform", None), "stability_limit", 2.0)
    if not product > limit or product == float("inf"):
        return []
    return [
        f"lr is large: lr * (ridge + largest curvature of the energy) = {product:.3g} > {limit:.3g}, the step is "
        f"unstable where the loss has its largest curvature; lr <= {lr * limit / product:.3g} is safe"
    ]
