"""What the study says, as checks."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import xarray as xr

from quenched.models import Hopfield
from quenched.observables import mean_error
from quenched.studies import learning_curves, memories
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.memories import Effort
from quenched.studies.summary import ends
from quenched.theory import hopfield
from quenched.theory.hopfield import PatternLaw

SOURCE = "arXiv:2109.00454"
AGS = "Amit, Gutfreund, Sompolinsky, Ann. Phys. 173 (1987) 30"
OWN = "this project, docs/hopfield.md"


def known_archetypes() -> Measured:
    """Critical load, overlap there, and first-order load of the classic model at T = 0."""
    law = PatternLaw()
    return Measured([*hopfield.critical_load(law), hopfield.first_order_load(law)])


def sample_size_exponents() -> Measured:
    """Slopes of ln M_c against ln r between r = 0.01 and 0.02, without a teacher and with one."""
    sizes = {
        rule: [hopfield.critical_sample_size(0.02, r, rule=rule, average="gaussian") for r in (0.01, 0.02)]
        for rule in ("unsupervised", "supervised")
    }
    return Measured([np.log2(high / low) for low, high in sizes.values()])


def rise_and_fall() -> Measured:
    """Critical loads at r = 0.3 for M = 1, 5, 200: the second less than the others."""
    one, few, many = (hopfield.critical_load(PatternLaw(m, 0.3)).load for m in (1, 5, 200))
    return Measured([one - few, many - few])


class _Curve(NamedTuple):
    theory: xr.Dataset
    experiment: xr.Dataset


@functools.cache
def curve(rule: str, examples: tuple[int, ...]) -> _Curve:
    """Theory and simulation, N = 3000, r = 0.2, load 0.02, T = 0."""
    model = Hopfield(load=0.02, quality=0.2)
    arguments = (model, (rule,), examples)
    return _Curve(learning_curves.expected(*arguments), learning_curves.measured(*arguments, 3000, Effort(8), 3))


def concept(rule: str, examples: tuple[int, ...]) -> Measured:
    """m of simulations less that of theory, above the critical sample size."""
    theory, found = curve(rule, examples)
    difference = found["archetype_overlap"].values - theory["archetype_overlap"].values
    return Measured(difference[0], found["archetype_overlap_error"].values[0])


def remanent() -> Measured:
    """m where T = 0 dynamics stops below the critical sample size, and how far theory is from having such a state."""
    theory, found = curve("unsupervised", (75,))
    critical = float(theory["critical_sample_size"][0])
    exists = float(np.isfinite(theory["archetype_overlap"].values[0, 0]))
    return Measured([float(found["archetype_overlap"][0, 0]) - 0.35, critical - 75, -exists])


def memorised() -> Measured:
    """Overlap with an example after a start from it, M = 3 and M = 5, r = 0.5, load 0.01."""
    model = Hopfield(load=0.01, quality=0.5, start="example")
    found = learning_curves.measured(model, ("unsupervised",), (3, 5), 2000, Effort(8), 1)
    few, more = found["largest_example_overlap"].values[0]
    return Measured([few - 0.98, 0.65 - more])


def thermal() -> Measured:
    """m, n, q of simulations at T = 0.4, N = 2000, less those of theory."""
    model = Hopfield(load=0.02, examples=20, quality=0.5)
    names = ["archetype_overlap", "example_overlap", "edwards_anderson"]
    mean, error = mean_error(memories.retrieved(model, 0.4, 2000, Effort(16), 1)[names])
    theory = hopfield.equilibrium(model, 0.4)
    return Measured([float(mean[n] - theory[n]) for n in names], [float(error[n]) for n in names])


def binomial_matters() -> Measured:
    """|simulation - exact average| over |Gaussian - exact average| in m at M = 5, r = 0.8, load 0.05, T = 0.2, N = 4000."""
    model = Hopfield(load=0.05, examples=5, quality=0.8)
    mean, error = mean_error(memories.retrieved(model, 0.2, 4000, Effort(8, sweeps=100), 1)["archetype_overlap"])
    exact, smooth = (float(hopfield.equilibrium(model, 0.2, average=a)["archetype_overlap"]) for a in ("binomial", "gaussian"))
    return Measured(abs(float(mean) - exact) / abs(smooth - exact), float(error) / abs(smooth - exact))


def both_sides() -> Measured:
    """m after 260 sweeps from the archetype at T = 0.4, N -> infinity, on the two sides of the end of retrieval at load .0300."""
    model = Hopfield(examples=20, quality=0.5)
    values = [
        memories.extrapolated(_sizes(dataclasses.replace(model, load=load), 0.4))["archetype_overlap"].values[0]
        for load in (0.02, 0.06)
    ]
    return Measured([values[0] - 0.8, 0.3 - values[1]])


def _sizes(model: Hopfield, temperature: float) -> xr.Dataset:
    sizes = (500, 1000, 2000)
    parts = [ends(memories.retrieved(model, temperature, size, Effort(16), 2)) for size in sizes]
    return xr.concat(parts, xr.IndexVariable("size", np.asarray(sizes, np.float64)))


CLAIMS = (
    Claim(
        "known archetypes at T = 0: retrieval up to load 0.1379, with m = 0.9674 there, as the global minimum up to 0.0519",
        known_archetypes,
        Reference([0.13790557, 0.96742, 0.051854], "exact", AGS, absolute=5e-6),
    ),
    Claim(
        "small r: the critical sample size grows as r^-4 without a teacher and as r^-2 with one",
        sample_size_exponents,
        Reference([-4.0, -2.0], "exact", SOURCE, absolute=0.02),
    ),
    Claim(
        "r = 0.3: the critical load first falls with the number of examples (1 to 5) and then rises (5 to 200)",
        rise_and_fall,
        Reference(0.05, "relation", SOURCE, relation=">="),
    ),
    Claim(
        "r = 0.2, load 0.02, N = 3000: m at M = 150, 250, 400 examples without a teacher, simulation less theory",
        functools.partial(concept, "unsupervised", (150, 250, 400)),
        Reference(0.0, "theory", OWN, absolute=0.015),
        cost="slow",
    ),
    Claim(
        "r = 0.2, load 0.02, N = 3000: m at M = 100, 150, 250 examples with a teacher, simulation less theory",
        functools.partial(concept, "supervised", (100, 150, 250)),
        Reference(0.0, "theory", OWN, absolute=0.015),
        cost="slow",
    ),
    Claim(
        "75 examples, fewer than the critical 113: T = 0 dynamics stops at m > 0.35 though theory has no such state (remanence)",
        remanent,
        Reference([0.0, 0.0, 0.0], "relation", OWN, relation=">="),
        cost="slow",
    ),
    Claim(
        "started from one of 3 examples the network stays there (n > 0.98); from one of 5 it leaves (n < 0.65)",
        memorised,
        Reference(0.0, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "T = 0.4, load 0.02, M = 20, r = 0.5, N = 2000: m, n, q of simulations less theory",
        thermal,
        Reference(0.0, "theory", OWN, absolute=0.02, sigmas=3),
        cost="slow",
    ),
    Claim(
        "five examples: simulations are nearer to the exact average over examples than to the Gaussian one",
        binomial_matters,
        Reference(0.5, "relation", OWN, relation="<="),
        cost="slow",
    ),
    Claim(
        "T = 0.4, N -> infinity: m > 0.8 at load 0.02 and m < 0.3 at load 0.06, on the two sides of the end of retrieval",
        both_sides,
        Reference(0.0, "relation", OWN, relation=">="),
        cost="slow",
    ),
)
