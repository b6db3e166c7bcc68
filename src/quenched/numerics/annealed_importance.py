"""Annealed importance sampling: ratios of normalisation constants by a ladder of laws, with an honest account of the error.

Particles start from exact samples of a base law and walk up a ladder of unnormalised densities gamma_0, ..., gamma_K, the ends
being the base and the target. Before every move the log weight gains log gamma_{k+1}(x) - log gamma_k(x); the move leaves
gamma_{k+1} invariant. Then E[w] = Z_K/Z_0 exactly, at any number of moves (Neal, Statistics and Computing 11 (2001) 125).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from scipy.special import logsumexp

from quenched.numerics import checks

State: TypeAlias = Any
Draw = Callable[[PRNGKeyArray], State]
Increment = Callable[[State, Any, Any], Any]
Move = Callable[[PRNGKeyArray, State, Any], State]


class Annealed(NamedTuple):
    """Log weights (particles,) and the particles at the end of the ladder."""

    log_weights: Float[Array, " particles"]
    states: PyTree


class LogMean(NamedTuple):
    """log((1/n) sum w) and how well it is known.

    ``error`` is its standard error by the delta method, ``relative_variance`` that of a single weight, Var w/(E w)^2, and
    ``effective_sample_size`` (sum w)^2/sum w^2. A few large weights make all of them too optimistic: a size of one or two says
    that the estimate is not to be believed.
    """

    value: float
    error: float
    relative_variance: float
    effective_sample_size: float


def annealed_importance(
    key: PRNGKeyArray, draw: Draw, increment: Increment, move: Move, ladder: Float[Array, " rungs"], particles: int
) -> Annealed:
    """Walk ``particles`` independent particles up the ``ladder`` (K + 1,) of parameters t_0, ..., t_K.

    ``draw(key)`` is an exact sample of gamma at t_0; ``increment(x, t, u)`` is log gamma_u(x) - log gamma_t(x); ``move(key, x,
    u)`` leaves gamma_u invariant. All are functions of one particle; everything runs in one compiled scan over the ladder,
    mapped over particles. Runs inside ``jit``. Raises ``ParameterError`` for fewer than one particle or two rungs.
    """
    checks.integer_at_least("particles", particles, 1)
    checks.integer_at_least("len(ladder)", int(ladder.shape[0]), 2)

    def walk(own: PRNGKeyArray) -> tuple[Array, State]:
        key_start, key_moves = jax.random.split(own)

        def rung(carry: tuple[State, Array], ends: tuple[Array, Array, Array]) -> tuple[tuple[State, Array], None]:
            x, log_weight = carry
            low, high, index = ends
            log_weight = log_weight + increment(x, low, high)
            return (move(jax.random.fold_in(key_moves, index), x, high), log_weight), None

        start = draw(key_start), jnp.zeros((), ladder.dtype)
        steps = ladder[:-1], ladder[1:], jnp.arange(ladder.shape[0] - 1)
        (x, log_weight), _ = jax.lax.scan(rung, start, steps)
        return log_weight, x

    return Annealed(*jax.vmap(walk)(jax.random.split(key, particles)))


def log_mean(log_weights: Float[np.ndarray, " particles"]) -> LogMean:
    """The logarithm of the mean weight, from log weights (n,), n >= 1, computed without leaving the logarithm.

    The error is NaN for one particle. Raises ``ParameterError`` for an empty array, NaN, or +infinity; -infinity is a weight of
    zero, and all of them give -infinity.
    """
    w = np.asarray(log_weights, np.float64)
    checks.integer_at_least("len(log_weights)", len(w), 1)
    if np.isnan(w).any() or np.isposinf(w).any():
        raise checks.ParameterError("log_weights must be numbers below infinity, got NaN or infinity")
    count = len(w)
    total = float(logsumexp(w))
    value = total - float(np.log(count))
    if np.isneginf(value):
        return LogMean(value, np.nan, np.nan, 0.0)
    size = float(np.exp(2 * total - logsumexp(2 * w)))
    if count == 1:
        return LogMean(value, np.nan, np.nan, size)
    # Var w/(E w)^2 with n - 1 in the denominator
    variance = max(0.0, (count / size - 1) * count / (count - 1))
    return LogMean(value, float(np.sqrt(variance / count)), variance, size)
