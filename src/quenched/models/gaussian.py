"""Single-layer models on Gaussian data with a few special directions: one law, one sampler, for all of them."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.losses import AbstractLoss, Logistic
from quenched.models.base import AbstractLossModel, data_product, round_samples
from quenched.models.start import AbstractStart, GaussianStart
from quenched.numerics import checks
from quenched.numerics.precision import Real


class Samples(eqx.Module):
    """Quenched data: x (n, d) or a linear operator, labels y (n,), directions v (K, d) with |v_k|^2 = d."""

    x: Any
    y: Float[Array, " n"]
    directions: Float[Array, "k d"]


class AbstractGaussianModel(AbstractLossModel):
    """n = alpha d samples x in R^d whose only non-Gaussian content is K projections zeta and a label y.

    A subclass gives the law of (zeta, y) as a map from Gaussians and uniforms; the microscopic data follow from it
    exactly at every d (brief description in ``docs/architecture.md``). Pre-activation r = x.w/sqrt(d).
    """

    alpha: float = eqx.field(default=2.0, converter=float)
    loss: AbstractLoss = Logistic()
    start: AbstractStart = GaussianStart()

    def __check_init__(self) -> None:
        checks.positive("alpha", self.alpha)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.instance("start", self.start, AbstractStart)

    @property
    @abc.abstractmethod
    def delta(self) -> Real:
        """Variance of the data orthogonal to the special directions."""

    @property
    def directions(self) -> int:
        """The number K of special directions."""
        return 1

    @abc.abstractmethod
    def latent(self, normal: Float[Array, "n k"], uniform: Float[Array, " n"]) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:
        """The law of one sample as a map: standard normals (n, K) and uniforms on (0, 1) (n,) to (zeta, y).

        ``sqrt(delta) * normal`` is the Gaussian part of x along the directions: zeta = x.v/sqrt(d).
        """

    def test_error(self, overlap: Float[Array, "... k"], norm: Float[Array, ...]) -> Float[Array, ...] | None:
        """Closed-form probability of misclassifying a new sample, from m_k and C(t,t); None where there is no closed form."""
        return None

    # ---- microscopic side

    def sizes(self, size: int | None) -> tuple[int, ...]:
        return round_samples(self.alpha, size)

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Samples:
        n, d = sizes
        key_data, key_v = jax.random.split(key)
        return self._draw(key_data, n, d, special_directions(key_v, self.directions, d, dtype))

    def _draw(self, key: PRNGKeyArray, n: int, d: int, v: Float[Array, "k d"]) -> Samples:
        dtype = v.dtype
        key_z, key_u = jax.random.split(key)
        z = jax.random.normal(key_z, (n, d), dtype)
        along = z @ v.T / d**0.5
        zeta, y = self.latent(along, jax.random.uniform(key_u, (n,), dtype))
        spread = jnp.sqrt(jnp.asarray(self.delta, dtype))
        x = spread * z + (zeta - spread * along) @ v / d**0.5
        return Samples(x.astype(dtype), y.astype(dtype), v)

    def refresh(self, key: PRNGKeyArray, disorder: Samples) -> Samples:
        """New samples with the same special directions: one-pass learning."""
        n, d = disorder.y.shape[0], disorder.directions.shape[1]
        return self._draw(key, n, d, disorder.directions)

    def samples(self, disorder: Samples) -> int:
        return disorder.y.shape[0]

    def initial(self, key: PRNGKeyArray, disorder: Samples) -> Float[Array, " d"]:
        return self.start.draw(key, disorder.directions)

    def preactivations(self, weights: Float[Array, " d"], disorder: Samples) -> Float[Array, " n"]:
        """r = x.w/sqrt(d) of every sample."""
        return data_product(disorder.x, weights) / weights.shape[0] ** 0.5

    def losses(self, weights: Float[Array, " d"], disorder: Samples) -> Float[Array, " n"]:
        return self.loss.ell(disorder.y, self.preactivations(weights, disorder))

    def gaps(self, weights: Float[Array, " d"], disorder: Samples) -> Float[Array, " n"]:
        """h = y phi(r) of every sample."""
        return self.loss.gap(disorder.y, self.preactivations(weights, disorder))

    def observe(self, weights: Float[Array, " d"], disorder: Samples) -> dict[str, Array]:
        d = weights.shape[0]
        r = self.preactivations(weights, disorder)
        overlap = disorder.directions @ weights / d
        norm = jnp.sum(weights**2) / d
        values = {
            "overlap": overlap[0] if self.directions == 1 else overlap,
            "norm": norm,
            "loss": jnp.mean(self.loss.ell(disorder.y, r)),
        }
        if self.loss.classification:
            values["train_error"] = jnp.mean(self.loss.gap(disorder.y, r) < 0, dtype=norm.dtype)
        error = self.test_error(overlap, norm)
        if error is not None:
            values["test_error"] = error
        return values


def special_directions(key: PRNGKeyArray, count: int, d: int, dtype: Any) -> Float[Array, "k d"]:
    """K orthogonal vectors with |v_k|^2 = d; the first is all ones, the others are random."""
    ones = jnp.ones((1, d), dtype)
    if count == 1:
        return ones
    rest = jax.random.normal(key, (count - 1, d), dtype)
    q, _ = jnp.linalg.qr(jnp.concatenate([ones, rest]).T)
    return q.T * jnp.sign(q[0, 0]) * d**0.5
