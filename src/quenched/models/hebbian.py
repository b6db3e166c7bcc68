"""Hebb's rule on blurred examples: archetypes, their examples, the second moment of an example average, and the patterns stored.

Archetypes xi_i^mu are +-1 with probability 1/2; the example eta^{mu,a} agrees with xi^mu at every site independently with
probability (1 + r)/2. Unsupervised, every example is a stored pattern; supervised, the mean of every archetype's examples is one:

    J_ij = sum_p W_pi W_pj/N,    W = eta^{mu,a}/sqrt(M Gamma)    or    W = etabar^mu/sqrt(Gamma).

Sources: arXiv:2109.00454 (unsupervised), arXiv:2203.01304 (supervised). Every archetype has random numbers of its own, so that
patterns are the same in whatever blocks they are drawn.
"""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8, PRNGKeyArray

from quenched.numerics.precision import Real

RULES = ("unsupervised", "supervised")
"""Whether every example is stored, or the mean over each archetype's examples."""

# rows of one matrix product; more gains nothing (measured at N = 2000)
_BLOCK_ROWS = 256


def whole(value: Any) -> Any:
    """A Python integer where the value is one; anything else as it is, for a check to refuse."""
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def second_moment(quality: Real, examples: int) -> Real:
    """R = r^2 + (1 - r^2)/M, the second moment of an example average; 1 for r = 1."""
    return quality**2 + (1 - quality**2) / examples


def draw_archetypes(key: PRNGKeyArray, count: int, n: int) -> Int8[Array, "k n"]:
    """K archetypes of N signs."""
    return jax.random.rademacher(key, (count, n), jnp.int8)


def draw_examples(key: PRNGKeyArray, archetype: Int8[Array, " n"], examples: int, quality: Real) -> Int8[Array, "m n"]:
    """M noisy copies of one archetype: P(agrees) = (1 + r)/2 at every site."""
    agrees = jax.random.bernoulli(key, (1 + quality) / 2, (examples, archetype.shape[0]))
    return jnp.where(agrees, archetype, -archetype)


def draw_mean(key: PRNGKeyArray, archetype: Int8[Array, " n"], examples: int, quality: Real, dtype: Any) -> Float[Array, " n"]:
    """The mean of M noisy copies, drawn as such: xi (2 Binomial(M, (1 + r)/2) - M)/M."""
    agree = jax.random.binomial(key, examples, (1 + jnp.asarray(quality, dtype)) / 2, archetype.shape, dtype=dtype)
    return archetype * (2 * agree - examples) / examples


def stored(
    key: PRNGKeyArray,
    index: Int[Array, ""] | int,
    archetype: Int8[Array, " n"],
    first: Int8[Array, "m n"],
    quality: Real,
    rule: str,
    dtype: Any,
) -> Float[Array, "p n"]:
    """What the network stores of archetype ``index``: its M examples, or their mean (1, N). ``first``: those of archetype 0."""
    own = jax.random.fold_in(key, index)
    if rule == "unsupervised":
        return draw_examples(own, archetype, len(first), quality).astype(dtype)
    mean = draw_mean(own, archetype, len(first), quality, dtype)
    return jnp.where(index == 0, jnp.mean(first, axis=0, dtype=dtype), mean)[None]


def couplings(
    key: PRNGKeyArray, archetypes: Int8[Array, "k n"], first: Int8[Array, "m n"], quality: Real, rule: str, dtype: Any
) -> Float[Array, "n n"]:
    """Gamma J with zero diagonal. Archetypes are drawn block by block: the memory is that of J and of one archetype's examples.

    Unsupervised sums of signs are exact in float32 as long as K M <= 2^24.
    """
    count, n = archetypes.shape
    rows = len(first) if rule == "unsupervised" else 1
    width = max(1, min(count, _BLOCK_ROWS // rows))

    def add(total: Array, block: Array) -> tuple[Array, None]:
        indices = block * width + jnp.arange(width)
        patterns = jax.vmap(lambda i: stored(key, i, archetypes[i], first, quality, rule, dtype))(indices % count)
        # the last block may be too wide: what is beyond the last archetype counts nothing
        patterns = jnp.where((indices < count)[:, None, None], patterns, 0).reshape(-1, n)
        return total + patterns.T @ patterns, None

    total, _ = jax.lax.scan(add, jnp.zeros((n, n), dtype), jnp.arange(-(-count // width)))
    return jnp.fill_diagonal(total, 0, inplace=False) / (n * rows)


def hidden_weights(
    key: PRNGKeyArray, archetypes: Int8[Array, "k n"], first: Int8[Array, "m n"], quality: Real, rule: str, dtype: Any
) -> Float[Array, "p n"]:
    """sqrt(Gamma) W: examples over sqrt(M), K M rows, or example averages, K rows; the patterns are those of ``couplings``."""

    def one(i: Array) -> Array:
        return stored(key, i, archetypes[i], first, quality, rule, dtype)

    patterns = jax.lax.map(one, jnp.arange(len(archetypes)))
    return patterns.reshape(-1, archetypes.shape[1]) / patterns.shape[1] ** 0.5
