"""A user's loss, parameters and data as linear algebra sees them: one vector of weights, sums over samples in chunks.

``loss(params, batch)`` is the MEAN over a batch, any pytree of arrays with a common leading axis; the loss of one sample is
that of a batch of one, so it must be a mean of terms that see one sample each (batch normalisation in training mode is not).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from quenched.numerics import checks

T = TypeVar("T")

CHUNK = 512
"""Samples per chunk where none is given: large enough for matrix products, small enough for the caches."""
GRADIENT_MEMORY = 2**25
"""Numbers that the gradients of the samples of a chunk may take where they are needed one by one: 128 MB in float32."""


class LossOnData(eqx.Module):
    """The mean of ``loss`` over ``data`` as a function of the vector of all trained weights.

    ``params``: a pytree; its floating arrays are the weights, everything else but arrays is passed on. ``data``: a pytree of
    arrays with leading axis N. ``chunk``: samples that are processed at once (default 512); it bounds the memory and changes
    nothing else.

    Raises ``ParameterError`` for integer arrays in ``params`` (with their place), weights that are not finite, a loss that is no
    scalar, data whose leading axes differ, and a loss or gradient that is not finite at the given weights.
    """

    loss: Callable[[Any, Any], Any] = eqx.field(static=True)
    trained: PyTree
    rest: PyTree
    data: PyTree
    chunk: int

    def __init__(self, loss: Any, params: Any, data: Any, chunk: int | None = None):
        if not callable(loss):
            raise checks.ParameterError(f"loss must be a function of (params, batch), got {loss!r}")
        check_params(params)
        samples = check_data(data)
        self.loss = loss
        self.trained = jax.tree.map(jnp.asarray, eqx.filter(params, eqx.is_inexact_array))
        self.rest = eqx.filter(params, eqx.is_inexact_array, inverse=True)
        self.data = jax.tree.map(jnp.asarray, data)
        self.chunk = min(CHUNK if chunk is None else chunk, samples)
        checks.integer_at_least("chunk", self.chunk, 1)
        shape = _shape_of_loss(self)
        if shape != ():
            raise checks.ParameterError(f"loss must return a scalar, the mean over the batch, got an array of shape {shape}")

    @property
    def samples(self) -> int:
        """N."""
        return int(jax.tree.leaves(self.data)[0].shape[0])

    @property
    def weights(self) -> Float[Array, " weight"]:
        """All trained weights, in the order of the pytree."""
        return ravel_pytree(self.trained)[0]

    @property
    def size(self) -> int:
        """The number of trained weights."""
        return sum(int(leaf.size) for leaf in jax.tree.leaves(self.trained))

    def params(self, weights: Float[Array, " weight"]) -> Any:
        """The user's parameters for a vector of weights."""
        return eqx.combine(ravel_pytree(self.trained)[1](weights), self.rest)

    def on(self, weights: Float[Array, " weight"], batch: Any) -> Array:
        """The loss of a batch."""
        return self.loss(self.params(weights), batch)

    def each(self, weights: Float[Array, " weight"], batch: Any) -> Float[Array, " s"]:
        """The loss of every sample of a batch."""
        return jax.vmap(lambda one: self.on(weights, jax.tree.map(lambda a: a[None], one)))(batch)

    def over(self, term: Callable[[Any, int], T], chunk: int | None = None) -> T:
        """The sum of ``term(batch, size of the batch)`` over the chunks of the data, a pytree of arrays."""
        size = min(chunk or self.chunk, self.samples)
        whole, left = divmod(self.samples, size)
        cut = jax.tree.map(lambda a: a[: whole * size].reshape(whole, size, *a.shape[1:]), self.data)
        first = term(jax.tree.map(lambda a: a[0], cut), size)
        rest = jax.tree.map(lambda a: a[1:], cut)
        total, _ = lax.scan(lambda carry, batch: (_add(carry, term(batch, size)), None), first, rest)
        if left:
            total = _add(total, term(jax.tree.map(lambda a: a[whole * size :], self.data), left))
        return total

    # ---- the loss and its derivatives at the given weights

    def value_and_gradient(self) -> tuple[Float[Array, ""], Float[Array, " weight"]]:
        """The mean loss and its gradient."""
        w, n = self.weights, self.samples

        def term(batch: Any, size: int) -> tuple[Array, Array]:
            value, gradient = jax.value_and_grad(self.on)(w, batch)
            return value * (size / n), gradient * (size / n)

        return self.over(term)

    def hessian(self, v: Float[Array, " weight"]) -> Float[Array, " weight"]:
        """H v, forward over reverse."""
        w, n = self.weights, self.samples
        return self.over(lambda b, size: jax.jvp(jax.grad(lambda u: self.on(u, b)), (w,), (v,))[1] * (size / n))

    def noise(self, v: Float[Array, " weight"]) -> Float[Array, " weight"]:
        """Sigma v = mean_i g_i (g_i.v) - g (g.v), the covariance of the gradients g_i of single samples (1/N normalisation).

        Two passes over the data, one forward and one backward; no gradient of a single sample is stored.
        """
        w, n = self.weights, self.samples

        def term(batch: Any, size: int) -> tuple[Array, Array]:
            along = jax.jvp(lambda u: self.each(u, batch), (w,), (v,))[1]
            _, back = jax.vjp(lambda u: self.each(u, batch), w)
            return back(along / n)[0], back(jnp.ones_like(along) / n)[0]

        second, gradient = self.over(term)
        return second - gradient * jnp.dot(gradient, v)

    def noise_trace(self) -> Float[Array, ""]:
        """tr Sigma, exact: gradients of single samples are formed a few at a time."""
        w, n = self.weights, self.samples
        few = max(1, min(self.chunk, GRADIENT_MEMORY // self.size))

        def term(batch: Any, size: int) -> tuple[Array, Array]:
            each = jax.vmap(lambda one: jax.grad(self.on)(w, jax.tree.map(lambda a: a[None], one)))(batch)
            return jnp.sum(each**2) / n, jnp.sum(each, axis=0) / n

        squares, gradient = self.over(term, few)
        return squares - jnp.sum(gradient**2)

    def noise_draw(self, normal: Float[Array, " n"]) -> Float[Array, " weight"]:
        """A random vector of covariance Sigma: (1/sqrt N) sum_i (z_i - mean z) g_i of normal numbers z_i, one backward pass."""
        w, n = self.weights, self.samples
        centred = (normal - jnp.mean(normal)) / n**0.5
        whole = eqx.tree_at(lambda p: p.data, self, (self.data, centred.astype(w.dtype)))

        def term(batch: tuple[Any, Array], size: int) -> Array:
            return jax.vjp(lambda u: self.each(u, batch[0]), w)[1](batch[1])[0]

        return whole.over(term)

    def noise_along(self, directions: Float[Array, "k weight"]) -> Float[Array, " k"]:
        """q_l^T Sigma q_l of given directions q_l: the variance over samples of the slope of their loss."""
        w, n = self.weights, self.samples

        def one(v: Float[Array, " weight"]) -> Float[Array, ""]:
            def term(batch: Any, size: int) -> tuple[Array, Array]:
                along = jax.jvp(lambda u: self.each(u, batch), (w,), (v,))[1]
                return jnp.sum(along**2) / n, jnp.sum(along) / n

            squares, mean = self.over(term)
            return squares - mean**2

        return lax.map(one, directions)


def check_params(params: Any) -> None:
    """Refuse parameters without a floating array, with an integer array, or that are not finite; names the place."""
    trained = False
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not isinstance(leaf, jax.Array | np.ndarray):
            continue
        place = jax.tree_util.keystr(path) or "params"
        kind = leaf.dtype
        if jnp.issubdtype(kind, jax.dtypes.prng_key):
            continue
        if not jnp.issubdtype(kind, jnp.floating):
            raise checks.ParameterError(
                f"params must have floating arrays only, got {kind} at {place}: convert it, or keep it out of params"
            )
        if not np.all(np.isfinite(np.asarray(leaf, float))):
            raise checks.ParameterError(f"params must be finite, got an entry that is not at {place}")
        trained = True
    if not trained:
        raise checks.ParameterError("params must have at least one floating array, got none")


def check_data(data: Any) -> int:
    """The number N of samples; refuses data without arrays or with different leading axes."""
    leaves = [(jax.tree_util.keystr(path) or "data", leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(data)]
    shapes = {place: np.shape(leaf) for place, leaf in leaves}
    if not shapes:
        raise checks.ParameterError(f"data must hold arrays with a leading axis of samples, got {data!r}")
    sizes = {shape[0] if shape else 0 for shape in shapes.values()}
    if len(sizes) > 1 or min(sizes) < 1:
        told = ", ".join(f"{place}: {shape}" for place, shape in shapes.items())
        raise checks.ParameterError(f"data must have one leading axis of samples in all arrays, got {told}")
    return int(sizes.pop())


def _shape_of_loss(problem: LossOnData) -> Any:
    batch = jax.tree.map(lambda a: a[: problem.chunk], problem.data)
    try:
        shape = eqx.filter_eval_shape(problem.on, problem.weights, batch)
    except (TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        shapes = jax.tree.map(lambda a: a.shape, batch)
        raise checks.ParameterError(f"loss must accept a batch of shapes {shapes}, but it fails: {first}") from error
    return getattr(shape, "shape", None)


@eqx.filter_jit
def _value_and_gradient(problem: LossOnData) -> tuple[Array, Array]:
    return problem.value_and_gradient()


def check_finite(problem: LossOnData) -> tuple[float, Float[np.ndarray, " weight"]]:
    """The loss and its gradient as NumPy; raises ``DivergenceError`` where one of them is not finite, and says which."""
    found = _value_and_gradient(problem)
    value, gradient = float(found[0]), np.asarray(found[1])
    if not np.isfinite(value):
        raise checks.DivergenceError(f"loss must be finite at the given params, got {value}")
    if not np.all(np.isfinite(gradient)):
        bad = int(np.argmin(np.isfinite(gradient)))
        raise checks.DivergenceError(
            f"the gradient of the loss must be finite at the given params, got {gradient[bad]} for weight {bad}"
        )
    return value, gradient


def _add(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
