"""Walsh-Hadamard transforms, and fixed random orthogonal mixing built from them.

Mixing a vector f of N sample values with one fixed orthogonal matrix Q gives numbers g = Q f that are Gaussian by the central
limit theorem, and whose sample covariance over time is that of f exactly: g(t).g(t') = f(t).f(t') for all pairs of times. A
Gaussian process with a covariance known only through samples is drawn that way without storing, factorising or even computing
the covariance.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.numerics import checks


def check_power_of_two(name: str, value: int, low: int = 2) -> None:
    """Require a power of two >= low; the message gives the nearest ones."""
    checks.integer_at_least(name, value, low)
    if value & (value - 1):
        below = 1 << (value.bit_length() - 1)
        raise checks.ParameterError(f"{name} must be a power of two (for example {below} or {2 * below}), got {value!r}")


def hadamard(n: int) -> np.ndarray:
    """Hadamard matrix of +-1 with H H^T = n, symmetric, n a power of two."""
    matrix = np.ones((1, 1))
    while matrix.shape[0] < n:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def walsh_hadamard(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """H x along the last axis, n a power of two, unnormalised: H H x = n x.

    H_n is the Kronecker product of three small Hadamard matrices: each is applied to the last of three axes, which then moves to
    the front. Three thin dense products, about 6 n^(4/3) flops, without the log2(n) passes over memory of the butterflies, which
    are up to twice as fast on a CPU but slow to compile.
    """
    n = x.shape[-1]
    bits = n.bit_length() - 1
    table = x.reshape(-1, n)
    for size in (1 << (bits // 3), 1 << ((bits + 1) // 3), 1 << ((bits + 2) // 3)):
        table = table.reshape(-1, n // size, size) @ jnp.asarray(hadamard(size), x.dtype)
        table = jnp.swapaxes(table, -1, -2).reshape(-1, n)
    return table.reshape(x.shape)


def fast_orthogonal(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """A fixed orthogonal matrix times x along the last axis, any n, all entries of order n^(-1/2): O(n log n).

    The orthonormal Hadamard matrix where n is a power of two. Otherwise that of the largest power of two P < n, on the first P
    entries, and then, after irregular signs, on the last P: without the signs rows of the two would be alike where they overlap,
    and single entries of order 1.
    """
    n = x.shape[-1]
    size = 1 << (n.bit_length() - 1)
    y = jnp.concatenate([walsh_hadamard(x[..., :size]) / size**0.5, x[..., size:]], axis=-1)
    if size == n:
        return y
    return jnp.concatenate(
        [y[..., : n - size], walsh_hadamard(_signs(n, size, y.dtype) * y[..., n - size :]) / size**0.5], axis=-1
    )


def _signs(n: int, size: int, dtype: Any) -> Float[Array, " size"]:
    return jnp.asarray(np.random.default_rng(n).choice([-1.0, 1.0], size), dtype)


def fast_orthogonal_transpose(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """The transpose, and inverse, of ``fast_orthogonal``."""
    n = x.shape[-1]
    size = 1 << (n.bit_length() - 1)
    y = x
    if size < n:
        back = _signs(n, size, x.dtype) * walsh_hadamard(x[..., n - size :]) / size**0.5
        y = jnp.concatenate([x[..., : n - size], back], axis=-1)
    return jnp.concatenate([walsh_hadamard(y[..., :size]) / size**0.5, y[..., size:]], axis=-1)


def hadamard_row(index: Int[Array, ""], n: int, dtype: Any) -> Float[Array, " n"]:
    """Row ``index`` (taken modulo n) of the Hadamard matrix of ``walsh_hadamard``, without the other rows."""
    half = (n.bit_length() - 1) // 2
    left, right = jnp.asarray(hadamard(1 << half), dtype), jnp.asarray(hadamard(n >> half), dtype)
    high, low = jnp.divmod(index % n, right.shape[0])
    return jnp.outer(left[high], right[low]).reshape(n)


def permutations(key: PRNGKeyArray, count: int, n: int) -> Int[Array, "count n"]:
    """``count`` independent random permutations of 0, ..., n - 1, n a power of two <= 2^20.

    The index stands in the low bits of a random 32-bit number, and the numbers are sorted: one sort of single numbers is ten
    times cheaper than an ``argsort``. Equal high bits keep the order of their indices, which touches one pair in 2^12 or fewer.
    """
    low = jnp.uint32(n - 1)
    numbers = (jax.random.bits(key, (count, n), jnp.uint32) & ~low) | jnp.arange(n, dtype=jnp.uint32)
    return (jnp.sort(numbers, axis=1) & low).astype(jnp.int32)


class OrthogonalMixing(eqx.Module):
    """A fixed random orthogonal N x N matrix Q, N a power of two: two rounds of (random signs, Walsh-Hadamard, permutation),
    then signs.

    Q is not symmetric and its powers have no trace, as for a rotation drawn at random. Built by ``draw``; applied along the last
    axis.
    """

    signs: Float[Array, "3 n"]
    order: Int[Array, "2 n"]

    @classmethod
    def draw(cls, key: PRNGKeyArray, n: int, dtype: Any) -> OrthogonalMixing:
        """Draw signs and permutations for N = n."""
        key_signs, key_order = jax.random.split(key)
        return cls(jax.random.rademacher(key_signs, (3, n), dtype), permutations(key_order, 2, n))

    def __call__(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """Q x."""
        for signs, order in zip(self.signs[:2], self.order, strict=True):
            x = walsh_hadamard(signs * x)[..., order]
        return self.signs[2] * x / x.shape[-1]
