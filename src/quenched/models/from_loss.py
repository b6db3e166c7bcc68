"""Any differentiable model of one's own, from its loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.data import AbstractData, Arrays
from quenched.models.base import AbstractLossModel, Weights, squared_norm
from quenched.models.given import Prepared, as_jax, held_out, no_size, prepared
from quenched.numerics import checks
from quenched.numerics.pytrees import dimension
from quenched.records.description import public


class GivenSamples(eqx.Module):
    """x (n, ...) and y (n, ...), with held-out samples or None; integers stay integers."""

    x: Array
    y: Array
    x_test: Array | None
    y_test: Array | None


def _numpy(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf) if eqx.is_array_like(leaf) else leaf, tree)


@public
class FromLoss(AbstractLossModel):
    """``loss(params, (x, y))`` on given data: a scalar, the MEAN over a batch x (n, ...), y (n, ...), written with ``jax.numpy``.

    ``params`` is a pytree of arrays, such as the parameters of a network of any library; every replica starts from it, plus
    ``spread`` >= 0 times N(0, 1) per weight (default 0: all replicas start alike). Leaves that are no floating arrays or
    numbers are passed on and not trained. ``data`` is a data set; samples are used as they come, in the run's floating type.

    The energy is the mean over samples, loss_scale = 1/n. The loss of one sample is that of a batch of one, so the loss must be
    a mean of terms that see one sample each: a batch normalisation is not. ``test_loss`` is recorded where the data have
    held-out samples, ``norm`` is |w|^2/N over all N weights. To be stored in files the loss must be an importable function;
    ``params`` and data are stored as checksums. ``size`` is None. Raises ``ParameterError`` if the loss of a batch is no
    scalar, or if ``params`` has no floating array.
    """

    loss: Callable[[Any, tuple[Array, Array]], Any] = eqx.field(static=True)
    params: Any = eqx.field(converter=_numpy)
    data: AbstractData
    spread: float = eqx.field(default=0.0, converter=float)

    def __check_init__(self) -> None:
        if not callable(self.loss):
            raise checks.ParameterError(f"loss must be a function of (params, (x, y)), got {self.loss!r}")
        trained = [leaf for leaf in jax.tree.leaves(self.params) if eqx.is_inexact_array(leaf)]
        if not trained:
            raise checks.ParameterError(f"params must contain at least one floating array, got {self.params!r}")
        if not all(np.all(np.isfinite(leaf)) for leaf in trained):
            raise checks.ParameterError("params must be finite, got an array with a bad entry")
        checks.instance("data", self.data, AbstractData)
        checks.non_negative("spread", self.spread)

    def prepare(self) -> FromLoss:
        arrays = self.data.load()
        shape = jax.eval_shape(self.loss, _jax(self.params), (jnp.asarray(arrays.x[:1]), jnp.asarray(arrays.y[:1])))
        if getattr(shape, "shape", None) != ():
            raise checks.ParameterError(f"loss must return a scalar, the mean over the batch, got {shape}")
        return dataclasses.replace(self, data=Prepared(arrays.x, arrays.y, arrays.x_test, arrays.y_test))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        no_size(size)
        return (len(prepared(self.data, type(self).__name__).x), self._count())

    def _count(self) -> int:
        return dimension(eqx.filter(self.params, eqx.is_inexact_array))

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> GivenSamples:
        arrays: Arrays = prepared(self.data, type(self).__name__)
        return GivenSamples(as_jax(arrays.x, dtype), as_jax(arrays.y, dtype), *held_out(arrays, dtype))

    def initial(self, key: PRNGKeyArray, disorder: GivenSamples) -> Weights:
        dtype = next((a.dtype for a in (disorder.x, disorder.y) if jnp.issubdtype(a.dtype, jnp.floating)), jnp.result_type(float))
        leaves, structure = jax.tree.flatten(eqx.filter(self.params, eqx.is_inexact_array))
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jnp.asarray(p, dtype) + self.spread * jax.random.normal(k, p.shape, dtype) for p, k in zip(leaves, keys, strict=True)
        ]
        return jax.tree.unflatten(structure, drawn)

    def losses(self, weights: Weights, disorder: GivenSamples) -> Float[Array, " n"]:
        return self._losses(weights, disorder.x, disorder.y)

    def batch_losses(self, weights: Weights, disorder: GivenSamples, indices: Int[Array, " s"]) -> Float[Array, " s"]:
        return self._losses(weights, disorder.x[indices], disorder.y[indices])

    def batch_loss(self, weights: Weights, disorder: GivenSamples, indices: Int[Array, " s"]) -> Float[Array, ""]:
        # the loss of the batch as it was written, in one call
        params = eqx.combine(weights, eqx.filter(self.params, eqx.is_inexact_array, inverse=True))
        return self.loss(params, (disorder.x[indices], disorder.y[indices]))

    def _losses(self, weights: Weights, x: Array, y: Array) -> Float[Array, " n"]:
        params = eqx.combine(weights, eqx.filter(self.params, eqx.is_inexact_array, inverse=True))
        return jax.vmap(lambda a, b: self.loss(params, (a[None], b[None])))(x, y)

    def samples(self, disorder: GivenSamples) -> int:
        return disorder.x.shape[0]

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples

    def observe(self, weights: Weights, disorder: GivenSamples) -> dict[str, Array]:
        values = {
            "norm": squared_norm(weights) / dimension(weights),
            "loss": jnp.mean(self.losses(weights, disorder)),
        }
        if disorder.x_test is not None and disorder.y_test is not None:
            values["test_loss"] = jnp.mean(self._losses(weights, disorder.x_test, disorder.y_test))
        return values


def _jax(params: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, params)
