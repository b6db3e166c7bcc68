"""Structured data: the same law as Gaussian data in the limit of large d, at O(d log d) per step and O(d) of memory.

A Gaussian matrix Z (n x d) is replaced by sqrt(d) U S V^T: fast orthogonal transforms U and V with random signs, and singular
values S in irregular order whose squares are the quantiles of the Marchenko-Pastur law. First-order methods have the same limit
for d -> infinity on both (Dudeja, Lu, Sen, arXiv:2204.04281; Wang, Zhong, Fan, arXiv:2206.13037); checked in the tests.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.losses import AbstractLoss
from quenched.models.base import AbstractLossModel, AbstractModel
from quenched.models.gaussian import AbstractGaussianModel, special_directions
from quenched.models.single_layer import Samples
from quenched.models.start import AbstractStart
from quenched.numerics import checks
from quenched.numerics.mixing import fast_orthogonal, fast_orthogonal_transpose
from quenched.numerics.quadrature import marchenko_pastur_quantiles
from quenched.records.description import public


class StructuredMatrix(eqx.Module):
    """Z = sqrt(d) U S V^T, n x d, as an operator: ``mv`` costs two fast transforms, and so does its derivative.

    ``scales`` are the k = min(n, d) singular values of Z/sqrt(d) times sqrt(d) and a random sign; value i stands in place
    ``places`` (i) of the larger of the two spaces, at random, and in place i of the smaller one.
    """

    scales: Float[Array, " k"]
    places: Int[Array, " k"]
    row_signs: Float[Array, " n"]
    column_signs: Float[Array, " d"]

    @classmethod
    def draw(cls, key: PRNGKeyArray, n: int, d: int, dtype: Any) -> StructuredMatrix:
        """Draw signs, order and places."""
        k = min(n, d)
        key_places, key_signs, key_rows, key_columns = jax.random.split(key, 4)
        # one order serves every sample: it only has to be unrelated to that of the transform's rows
        values = np.random.default_rng(k).permutation(np.sqrt(d * marchenko_pastur_quantiles(n / d, k)))
        return cls(
            jnp.asarray(values, dtype) * jax.random.rademacher(key_signs, (k,), dtype),
            # equal numbers, which keep their order, are one in n 2^-32: compiling one sort is what costs
            jnp.argsort(jax.random.bits(key_places, (max(n, d),)))[:k].astype(jnp.int32),
            jax.random.rademacher(key_rows, (n,), dtype),
            jax.random.rademacher(key_columns, (d,), dtype),
        )

    def mv(self, w: Float[Array, " d"]) -> Float[Array, " n"]:
        """Z w."""
        n, d = self.row_signs.shape[0], self.column_signs.shape[0]
        along = fast_orthogonal(self.column_signs * w)
        if n >= d:
            spread = jnp.zeros(n, along.dtype).at[self.places].set(self.scales * along, unique_indices=True)
        else:
            spread = self.scales * along.at[self.places].get(unique_indices=True)
        return self.row_signs * fast_orthogonal_transpose(spread)


class StructuredData(eqx.Module):
    """The data matrix x = sqrt(Delta) Z + sum_k (zeta_k - sqrt(Delta) h0_k) v_k/sqrt(d), h0 = Z v/sqrt(d), as an operator."""

    z: StructuredMatrix
    spread: Float[Array, ""]
    excess: Float[Array, "n k"]
    directions: Float[Array, "k d"]

    def mv(self, w: Float[Array, " d"]) -> Float[Array, " n"]:
        """x w."""
        along = self.directions @ w / self.directions.shape[1] ** 0.5
        return self.spread * self.z.mv(w) + self.excess @ along


@public
class StructuredEnsemble(AbstractLossModel):
    """A Gaussian single-layer model, ``law``, on structured data: brute force at effectively infinite size.

    Same order parameters, names and conventions as ``law``, whose loss, start and law of (zeta, y) are used; the projections
    on the special directions are exact. O(d log d) per step and replica, O(n) of memory, no dependence on the number of steps.

    Use it for curves of the limit d -> infinity by brute force, and as an independent test of a theory. Its fluctuations at
    finite d are not those of independent samples: not for statements about these, nor about structured or real data. At equal
    cost its statistical error is that of the sampled DMFT (``solve``), which knows kernels and responses besides.
    ``simulate(law, ..., ensemble="structured")`` is the same.

    Raises ``ParameterError`` for a law that is not an ``AbstractGaussianModel``. Samples cannot be drawn one by one: one-pass
    learning (``Fresh``) is refused. Source: arXiv:2204.04281 and arXiv:2206.13037 for the universality.
    """

    law: AbstractGaussianModel

    def __check_init__(self) -> None:
        checks.instance("law", self.law, AbstractGaussianModel)

    @property
    def loss(self) -> AbstractLoss:
        return self.law.loss

    @property
    def start(self) -> AbstractStart:
        return self.law.start

    def sizes(self, size: int | None) -> tuple[int, ...]:
        return self.law.sizes(size)

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Samples:
        n, d = sizes
        key_z, key_u, key_v = jax.random.split(key, 3)
        v = special_directions(key_v, self.law.directions, d, dtype)
        z = StructuredMatrix.draw(key_z, n, d, dtype)
        along = jax.vmap(z.mv, out_axes=1)(v) / d**0.5
        zeta, y = self.law.latent(along, jax.random.uniform(key_u, (n,), dtype))
        spread = jnp.sqrt(jnp.asarray(self.law.delta, dtype))
        excess = (zeta - spread * along).astype(dtype)
        return Samples(StructuredData(z, spread, excess, v), y.astype(dtype), v)

    # the law knows what it makes of samples, wherever they come from

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Float[Array, " d"]:
        return self.law.initial(key, disorder)

    def samples(self, disorder: Any) -> int:
        return self.law.samples(disorder)

    def loss_scale(self, samples: int) -> float:
        return self.law.loss_scale(samples)

    def preactivations(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        return self.law.preactivations(weights, disorder)

    def losses(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        return self.law.losses(weights, disorder)

    def gaps(self, weights: Float[Array, " d"], disorder: Any) -> Float[Array, " n"]:
        """h = y phi(r) of every sample."""
        return self.law.gaps(weights, disorder)

    def observe(self, weights: Float[Array, " d"], disorder: Any) -> dict[str, Array]:
        return self.law.observe(weights, disorder)

    def cautions(self, rule: Any) -> list[str]:
        return self.law.cautions(rule)


def in_ensemble(model: AbstractModel, ensemble: str | None) -> AbstractModel:
    """The model on the data of an ensemble: None as it draws them itself, "structured"."""
    if ensemble is None:
        return model
    checks.one_of("ensemble", ensemble, (None, "structured"))
    if isinstance(model, StructuredEnsemble):
        return model
    if not isinstance(model, AbstractGaussianModel):
        raise checks.IncompatibleError(f"ensemble='structured' needs a Gaussian single-layer model, got {type(model).__name__}")
    return StructuredEnsemble(model)
