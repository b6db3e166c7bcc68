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


def factors(n: int, dtype: Any) -> tuple[Array, Array]:
    """H_a, H_b with H_n = H_a (x) H_b, both sizes near sqrt(n)."""
    bits = n.bit_length() - 1
    return jnp.asarray(hadamard(1 << (bits // 2)), dtype), jnp.asarray(hadamard(1 << (bits - bits // 2)), dtype)


def walsh_hadamard(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """H x along the last axis, n a power of two, unnormalised: H H x = n x.

    The n numbers are written as an a x b matrix, H x = H_a X H_b: two small dense products, about 2 n (a + b) flops. On
    processors with fast matrix products this beats the log2(n) butterflies, which are bound by memory.
    """
    n = x.shape[-1]
    left, right = factors(n, x.dtype)
    table = x.reshape(*x.shape[:-1], left.shape[0], right.shape[0])
    return jnp.matmul(left, table @ right).reshape(x.shape)


def hadamard_row(index: Int[Array, ""], n: int, dtype: Any) -> Float[Array, " n"]:
    """Row ``index`` (taken modulo n) of the Hadamard matrix of ``walsh_hadamard``, without the other rows."""
    left, right = factors(n, dtype)
    high, low = jnp.divmod(index % n, right.shape[0])
    return jnp.outer(left[high], right[low]).reshape(n)


def permutations(key: PRNGKeyArray, count: int, n: int) -> Int[Array, "count n"]:
    """``count`` independent random permutations of 0, ..., n - 1.

    One sort of random 32-bit numbers for all of them: every sort costs half a second of compilation, and
    ``jax.random.permutation`` makes several.
    """
    return jnp.argsort(jax.random.bits(key, (count, n), jnp.uint32), axis=1).astype(jnp.int32)


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
