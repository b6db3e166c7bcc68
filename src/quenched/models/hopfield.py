"""The Hopfield model of archetypes that are known through blurred examples only."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int8, PRNGKeyArray

from quenched.models import hebbian
from quenched.models.spins import AbstractCouplingModel, Spins
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.records.description import public
from quenched.records.labels import Label, register_label

STARTS = ("archetype", "example", "random")
"""Where the spins start: at archetype 1, at its first example, at random."""


class Memory(eqx.Module):
    """Archetypes (K, N) +-1, the examples of the first one (M, N) +-1, and the couplings J (N, N) with zero diagonal."""

    archetypes: Int8[Array, "k n"]
    examples: Int8[Array, "m n"]
    couplings: Float[Array, "n n"]


@public
class Hopfield(AbstractCouplingModel):
    """N spins with Hebbian couplings of K = round(load N) archetypes, each known through M ``examples`` of ``quality`` r.

    ``rule`` "unsupervised" (default) stores every example, J_ij = sum_{mu,a} eta_i^{mu,a} eta_j^{mu,a}/(N M Gamma);
    "supervised" the average over each archetype's examples, J_ij = sum_mu etabar_i^mu etabar_j^mu/(N Gamma). J_ii = 0 in both,
    H = -sum_{i != j} J_ij sigma_i sigma_j/2. An example agrees with its archetype at a site with probability (1 + r)/2.
    Gamma = R = r^2 + (1 - r^2)/M with ``normalise`` (default), so that a temperature means the same at every r and M; otherwise
    Gamma = 1: the same states at T = 0, and temperatures R times smaller. Quality 1 (default; any M, either rule), or M = 1 with
    the example as the pattern, is the classic Hopfield model.

    ``start`` "archetype" (default), "example" or "random" is the state at time 0. ``size`` is N; the defaults are load 0.02,
    one example. Records of the first archetype ``archetype_overlap`` m = xi.sigma/N, ``example_overlap`` (mean over its
    examples of eta.sigma/N) and ``largest_example_overlap``; ``spin_energy`` H/N.

    Memory O(N^2) plus one archetype's examples, M N. Raises ``ParameterError`` for load < 0, r outside (0, 1], M < 1, an
    unknown rule or start, N < 2, and a size at which no archetype is left. Sources: arXiv:2109.00454, arXiv:2203.01304; Amit,
    Gutfreund, Sompolinsky, Ann. Phys. 173 (1987) 30.
    """

    load: float = eqx.field(default=0.02, converter=float)
    examples: int = eqx.field(default=1, converter=hebbian.whole)
    quality: float = eqx.field(default=1.0, converter=float)
    rule: str = "unsupervised"
    normalise: bool = True
    start: str = "archetype"

    def __check_init__(self) -> None:
        checks.non_negative("load", self.load)
        checks.integer_at_least("examples", self.examples, 1)
        checks.in_interval("quality", self.quality, 0.0, 1.0, closed="right")
        checks.one_of("rule", self.rule, hebbian.RULES)
        checks.one_of("start", self.start, STARTS)

    @property
    def second_moment(self) -> Real:
        """R = r^2 + (1 - r^2)/M."""
        return hebbian.second_moment(self.quality, self.examples)

    @property
    def scale(self) -> Real:
        """Gamma, by which the couplings are divided: R, or 1 without ``normalise``."""
        return self.second_moment if self.normalise else 1.0

    def sizes(self, size: int | None) -> tuple[int, ...]:
        if size is None:
            raise checks.ParameterError("size must be given: the number N of spins")
        checks.integer_at_least("size", size, 2)
        count = round(self.load * size)
        if count < 1:
            raise checks.ParameterError(f"load * size must give at least one archetype, got load={self.load!r}, size={size!r}")
        return count, size

    def patterns(self, key: PRNGKeyArray, sizes: tuple[int, ...]) -> tuple[Array, Array, PRNGKeyArray]:
        """Archetypes, the examples of the first one, and the key of the examples of the others."""
        key_archetypes, key_examples = jax.random.split(key)
        archetypes = hebbian.draw_archetypes(key_archetypes, *sizes)
        first = hebbian.draw_examples(jax.random.fold_in(key_examples, 0), archetypes[0], self.examples, self.quality)
        return archetypes, first, key_examples

    def sample(self, key: PRNGKeyArray, sizes: tuple[int, ...], dtype: Any) -> Memory:
        archetypes, first, key_examples = self.patterns(key, sizes)
        couplings = hebbian.couplings(key_examples, archetypes, first, self.quality, self.rule, dtype)
        return Memory(archetypes, first, couplings / jnp.asarray(self.scale, dtype))

    def initial(self, key: PRNGKeyArray, disorder: Any) -> Int8[Array, " n"]:
        if self.start == "random":
            return jax.random.rademacher(key, disorder.archetypes.shape[1:], jnp.int8)
        return disorder.archetypes[0] if self.start == "archetype" else disorder.examples[0]

    def couplings(self, disorder: Any) -> Float[Array, "n n"]:
        return disorder.couplings

    def observe(self, weights: Spins, disorder: Any) -> dict[str, Array]:
        return {**super().observe(weights, disorder), **overlaps(weights, disorder.archetypes[0], disorder.examples)}


def overlaps(spins: Spins, archetype: Int8[Array, " n"], examples: Int8[Array, "m n"]) -> dict[str, Array]:
    """m with an archetype, mean and maximum of n_a with its examples, in [-1, 1] and without any rescaling."""
    exact = spins.astype(jnp.int32)
    with_examples = examples.astype(jnp.int32) @ exact / exact.size
    return {
        "archetype_overlap": archetype @ exact / exact.size,
        "example_overlap": jnp.mean(with_examples),
        "largest_example_overlap": jnp.max(with_examples),
    }


register_label("archetype_overlap", Label("overlap with the archetype", "m"))
register_label("example_overlap", Label("mean overlap with the examples of the archetype", "n"))
register_label("largest_example_overlap", Label("largest overlap with an example of the archetype", r"n_{\max}"))
