"""Single-layer models on Gaussian data with a few special directions: one law, one sampler, for all of them."""

from __future__ import annotations

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from quenched.losses import AbstractLoss, Logistic
from quenched.models.base import round_samples
from quenched.models.single_layer import AbstractSingleLayer, Samples, unstable_step
from quenched.models.start import AbstractStart, GaussianStart, SphericalStart
from quenched.numerics import checks
from quenched.numerics.precision import Real


class AbstractGaussianModel(AbstractSingleLayer):
    """n = alpha d samples x in R^d whose only non-Gaussian content is K projections zeta and a label y.

    A subclass gives ``delta`` and the law of (zeta, y) as a map from Gaussians and uniforms; the microscopic data follow from
    it exactly at every d (derived in ``docs/architecture.md``). Pre-activation r = x.w/sqrt(d); the energy is the sum over
    samples. Defaults: alpha = 2, logistic loss, Gaussian start of variance 0.1 without overlap.

    Raises ``ParameterError`` for alpha <= 0, and for a classification loss on labels other than +-1.
    """

    alpha: float = eqx.field(default=2.0, converter=float)
    loss: AbstractLoss = Logistic()
    start: AbstractStart = GaussianStart()

    def __check_init__(self) -> None:
        checks.positive("alpha", self.alpha)
        checks.instance("loss", self.loss, AbstractLoss)
        checks.instance("start", self.start, AbstractStart)
        if self.directions > 1 and isinstance(self.start, SphericalStart) and self.start.overlap != 0:
            raise checks.ParameterError(
                f"start must have overlap 0 with {self.directions} special directions, got {self.start!r}"
            )
        if self.loss.classification:
            y = self._probe()[1]
            wrong = y[np.abs(y) != 1]
            if wrong.size:
                raise checks.ParameterError(
                    f"loss {type(self.loss).__name__} needs labels +-1; {type(self).__name__} has labels such as {wrong[0]:.4g}"
                )

    @property
    @abc.abstractmethod
    def delta(self) -> Real:
        """Variance of the data orthogonal to the special directions."""

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
        return self._draw(key_data, n, special_directions(key_v, self.directions, d, dtype))

    def _draw(self, key: PRNGKeyArray, n: int, v: Float[Array, "k d"]) -> Samples:
        d, dtype = v.shape[1], v.dtype
        key_z, key_u = jax.random.split(key)
        z = jax.random.normal(key_z, (n, d), dtype)
        along = z @ v.T / d**0.5
        zeta, y = self.latent(along, jax.random.uniform(key_u, (n,), dtype))
        spread = jnp.sqrt(jnp.asarray(self.delta, dtype))
        x = spread * z + (zeta - spread * along) @ v / d**0.5
        return Samples(x.astype(dtype), y.astype(dtype), v)

    def refresh(self, key: PRNGKeyArray, disorder: Samples) -> Samples:
        """New samples with the same special directions: one-pass learning."""
        return self._draw(key, disorder.y.shape[0], disorder.directions)

    def observe(self, weights: Float[Array, " d"], disorder: Samples) -> dict[str, Array]:
        values = super().observe(weights, disorder)
        error = self.test_error(disorder.directions @ weights / weights.shape[0], values["norm"])
        return values if error is None else {**values, "test_error": error}

    # ---- what can be said beforehand

    def signal(self) -> float:
        """th: how far the largest second moment of zeta exceeds Delta; <c^2> for a mixture with centres c."""
        zeta = self._probe()[0]
        excess = np.linalg.eigvalsh(zeta.T @ zeta / len(zeta))[-1] - float(self.delta)
        return float(excess) if excess > 1e-6 else 0.0

    def stiffness(self, batch: float = 1.0) -> float:
        """Largest eigenvalue of X^T X/d over a batch of a fraction ``batch`` of the samples, as d -> infinity.

        With a = batch * alpha it is the edge Delta (1 + sqrt a)^2 of the Marchenko-Pastur bulk, or the outlier
        (Delta + th)(a + Delta/th) if th > Delta/sqrt a (Baik, Ben Arous, Peche 2005; Baik, Silverstein 2006).
        """
        a, delta, th = batch * self.alpha, float(self.delta), self.signal()
        edge = delta * (1 + math.sqrt(a)) ** 2
        return max(edge, (delta + th) * (a + delta / th)) if th > delta / math.sqrt(a) else edge

    def cautions(self, rule: Any) -> list[str]:
        """Warns of an unstable step, lr (lambda + x_max max ell'') > 2 for plain descent, x_max the batch's stiffness."""
        curvature = self.loss.max_curvature
        if not math.isfinite(curvature):
            return []
        batch = float(getattr(getattr(rule, "batches", None), "mean", 1.0))
        weight = 1 / batch if getattr(rule, "normalise_batch", False) else 1.0
        return unstable_step(rule, weight * curvature * self.stiffness(batch))

    def _probe(self) -> tuple[np.ndarray, np.ndarray]:
        """A fixed set of (zeta, y), stratified and symmetric in the normals, so that moments of a mixture are exact."""
        n = 512
        grid = (np.arange(n) + 0.5) / n
        half = [ndtri(np.random.default_rng(k).permutation(grid)) for k in range(self.directions)]
        normal = np.stack([h / np.sqrt(np.mean(h**2)) for h in half], axis=1)
        with jax.enable_x64(True):
            zeta, y = self.latent(jnp.asarray(np.concatenate([normal, -normal])), jnp.asarray(np.tile(grid, 2)))
            return np.asarray(zeta), np.asarray(y)


def special_directions(key: PRNGKeyArray, count: int, d: int, dtype: Any) -> Float[Array, "k d"]:
    """K orthogonal vectors with |v_k|^2 = d; the first is all ones, the others are random."""
    ones = jnp.ones((1, d), dtype)
    if count == 1:
        return ones
    if count > d:
        raise checks.ParameterError(f"size must be >= the number of special directions, {count}, got {d}")
    rest = jax.random.normal(key, (count - 1, d), dtype)
    q, _ = jnp.linalg.qr(jnp.concatenate([ones, rest]).T)
    return q.T * jnp.sign(q[0, 0]) * d**0.5
