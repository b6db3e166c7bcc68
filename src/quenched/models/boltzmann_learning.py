"""Restricted Boltzmann machines that learn: the weights W move, the examples are the disorder."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8, PRNGKeyArray

from quenched.models import hebbian
from quenched.models.base import AbstractModel
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public
from quenched.records.labels import Label, register_label

HIDDEN = ("gaussian", "binary", "one_hot")
"""Laws of the hidden units given the spins: Gaussian, 0 or 1 each, or exactly one of them 1."""


class Lessons(eqx.Module):
    """Archetypes (K, N) +-1, their examples (K, M, N) +-1 and the example averages (K, N)."""

    archetypes: Int8[Array, "k n"]
    examples: Int8[Array, "k m n"]
    means: Float[Array, "k n"]


@public
class BoltzmannLearning(AbstractModel):
    """K = ``classes`` archetypes known through M ``examples`` of ``quality`` r each, and a machine with ``units`` hidden units.

    The state is the matrix W (P, N) of E(sigma, z) = -sum_ki W_ki z_k sigma_i/sqrt(N) (+ sum_k z_k^2/2 for Gaussian units), as in
    ``BoltzmannMachine``, started at ``scale`` N(0, 1). ``hidden``: "gaussian" (default), "binary" or "one_hot". ``units`` P,
    default None: K. ``size`` is N. Defaults: 5 classes, 40 examples, r = 0.4, scale 0.1. ``ClampedLearning`` moves it with
    labels, ``ContrastiveDivergence`` without.

    Records ``matched_overlap``, the mean over archetypes of the largest |cos| with a row of W, and ``hebb_correlation``, the mean
    over classes of the correlation of row mu with the example average of class mu (with as many units as classes, else NaN).

    All K M N examples are kept, as int8. Raises ``ParameterError`` for K, M, P < 1, r outside (0, 1], scale < 0, an unknown
    law. Source: arXiv:2203.01304.
    """

    classes: int = eqx.field(default=5, converter=hebbian.whole)
    examples: int = eqx.field(default=40, converter=hebbian.whole)
    quality: float = eqx.field(default=0.4, converter=float)
    hidden: str = "gaussian"
    units: int | None = None
    scale: float = eqx.field(default=0.1, converter=float)

    def __check_init__(self) -> None:
        checks.integer_at_least("classes", self.classes, 1)
        checks.integer_at_least("examples", self.examples, 1)
        checks.in_interval("quality", self.quality, 0.0, 1.0, closed="right")
        checks.one_of("hidden", self.hidden, HIDDEN)
        checks.non_negative("scale", self.scale)
        if self.units is not None:
            checks.integer_at_least("units", self.units, 1)

    def sizes(self, size: int | None) -> tuple[int, ...]:
        if size is None:
            raise checks.ParameterError("size must be given: the number N of visible units")
        checks.integer_at_least("size", size, 2)
        return self.classes, size

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Lessons:
        key_archetypes, key_examples = jax.random.split(key)
        archetypes = hebbian.draw_archetypes(key_archetypes, *sizes)
        keys = jax.random.split(key_examples, self.classes)
        examples = jax.vmap(lambda k, xi: hebbian.draw_examples(k, xi, self.examples, self.quality))(keys, archetypes)
        return Lessons(archetypes, examples, jnp.mean(examples, axis=1, dtype=dtype))

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Float[Array, "p n"]:
        shape = (self.classes if self.units is None else self.units, disorder.means.shape[1])
        return jnp.asarray(self.scale, disorder.means.dtype) * jax.random.normal(key, shape, disorder.means.dtype)

    def observe(self, weights: Float[Array, "p n"], disorder: Any) -> dict[str, Array]:
        rows = _unit(weights)
        cosines = disorder.archetypes @ rows.T / disorder.archetypes.shape[1] ** 0.5
        found = {"matched_overlap": jnp.mean(jnp.max(jnp.abs(cosines), axis=1))}
        if len(weights) != self.classes:
            return found | {"hebb_correlation": jnp.full((), jnp.nan, weights.dtype)}
        return found | {"hebb_correlation": jnp.mean(jnp.sum(rows * _unit(disorder.means), axis=1))}


def _unit(rows: Float[Array, "p n"]) -> Float[Array, "p n"]:
    """Rows of norm one; a row of zeros stays one."""
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def clamped_weights(
    means: Float[np.ndarray, "k n"], examples: int, *, temperature: float | int = 1.0, activity: float | int = 1.0
) -> Float[np.ndarray, "k n"]:
    """The weights that maximise the likelihood with the label clamped on a one-hot hidden layer: W = sqrt(N) T atanh(etabar)/z.

    ``means`` etabar (K, N) in [-1, 1] are averages over M = ``examples`` examples; z = ``activity`` > 0 is the value of the unit
    that is on. To first order in etabar it is Hebb's rule. Averages of +-1 would need infinite weights and count as +-(1 -
    1/(2 M)). Defaults: T = 1, z = 1. Raises ``ParameterError`` for averages outside [-1, 1], M < 1, T or z <= 0. Source:
    arXiv:2203.01304.
    """
    checks.integer_at_least("examples", examples, 1)
    checks.positive("temperature", float(temperature))
    checks.positive("activity", float(activity))
    means = np.asarray(means, np.float64)
    if not np.all(np.abs(means) <= 1):
        raise checks.ParameterError(f"means must lie in [-1, 1], got {means.ravel()[np.argmax(~(np.abs(means) <= 1))]!r}")
    return means.shape[-1] ** 0.5 * temperature / activity * np.arctanh(clipped(means, examples))


def clipped(means: Any, examples: int) -> Any:
    """Example averages within +-(1 - 1/(2 M)): a pixel that never changed is not known to be constant."""
    most = 1 - 1 / (2 * examples)
    return means.clip(-most, most)


def hidden_sample(hidden: str, key: PRNGKeyArray, fields: Float[Array, "... p"], temperature: Real) -> Float[Array, "... p"]:
    """z given v = W sigma/sqrt(N) (..., P): N(v, T), or 1 with the probability 1/(1 + exp(-v/T)), or one 1 with softmax(v/T)."""
    if hidden == "gaussian":
        return fields + jnp.sqrt(jnp.asarray(temperature, fields.dtype)) * jax.random.normal(key, fields.shape, fields.dtype)
    if hidden == "binary":
        return jax.random.bernoulli(key, jax.nn.sigmoid(fields / temperature)).astype(fields.dtype)
    chosen = jax.random.categorical(key, fields / temperature, axis=-1)
    return jax.nn.one_hot(chosen, fields.shape[-1], dtype=fields.dtype)


register_label("matched_overlap", Label("overlap of the archetypes with their hidden units", r"\max_k |\cos(W_k, \xi)|"))
register_label("hebb_correlation", Label("correlation of the weights with Hebb's rule", r"\cos(W, \bar\eta)"))
