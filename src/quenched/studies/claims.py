"""Claims: what a study says, as checks that anybody can run.

One definition has three uses: ``quenched verify`` runs it, a run's table prints it, the test-suite asserts it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from quenched.numerics import checks

KINDS = ("exact", "published", "theory", "measured", "relation")


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A value with its standard error: numbers or arrays of one shape. A deterministic computation has error 0."""

    value: Any
    error: Any = 0.0

    def __post_init__(self) -> None:
        for name in ("value", "error"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """What a measured value is held against.

    The deviation may be as large as the largest of the tolerances given: ``absolute``, ``relative`` * abs(value), and
    ``sigmas`` standard errors (of the measurement and, in quadrature, of the reference itself: ``error``).
    ``relation`` is ``"="``, or ``">="`` or ``"<="`` for a claim that bounds a quantity on one side; ``"="`` needs a tolerance.

    ``kind`` says where the number comes from: ``exact`` (derived), ``published`` (printed in the paper), ``theory`` (another
    solver), ``measured`` (this project's own number, kept to notice a change), ``relation`` (an ordering or a sign).
    ``source`` is its citation.
    """

    value: Any
    kind: str
    source: str
    absolute: float | int = 0.0
    relative: float | int = 0.0
    sigmas: float | int = 0.0
    error: Any = 0.0
    relation: str = "="

    def __post_init__(self) -> None:
        checks.one_of("kind", self.kind, KINDS)
        checks.one_of("relation", self.relation, ("=", ">=", "<="))
        for name in ("absolute", "relative", "sigmas"):
            checks.non_negative(name, float(getattr(self, name)))
        if self.relation == "=" and not (self.absolute or self.relative or self.sigmas):
            raise checks.ParameterError("a reference needs a tolerance: absolute, relative or sigmas")
        for name in ("value", "error"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))

    def allowed(self, error: Any) -> np.ndarray:
        """The largest admissible deviation of a measurement with this standard error, elementwise."""
        spread = np.hypot(error, self.error)
        return np.asarray(np.maximum(np.maximum(self.absolute, self.relative * np.abs(self.value)), self.sigmas * spread))


@dataclasses.dataclass(frozen=True, eq=False)
class Claim:
    """A sentence, a computation that could refute it, and the number it is held against.

    ``measure`` takes no argument and computes at the claim's own parameters and seed. ``cost`` is ``quick`` (seconds) or ``slow``
    (run on request only).
    """

    statement: str
    measure: Callable[[], Measured]
    reference: Reference
    cost: str = "quick"

    def __post_init__(self) -> None:
        checks.one_of("cost", self.cost, ("quick", "slow"))

    def judge(self) -> Verdict:
        """Measure, and compare with the reference. NaN fails. Raises ``ParameterError`` if the shapes do not fit."""
        measured, reference = self.measure(), self.reference
        if reference.value.shape not in ((), measured.value.shape):
            raise checks.ParameterError(
                f"measured shape {measured.value.shape} does not fit the reference's {reference.value.shape}: {self.statement}"
            )
        excess = measured.value - reference.value
        deviation = np.asarray({"=": np.abs(excess), ">=": -excess, "<=": excess}[reference.relation])
        allowed = np.broadcast_to(reference.allowed(measured.error), deviation.shape)
        return Verdict(self, measured, deviation, allowed)


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """A judged claim: ``deviation`` from the reference (in the forbidden direction), and how much is ``allowed``."""

    claim: Claim
    measured: Measured
    deviation: np.ndarray
    allowed: np.ndarray

    @property
    def passed(self) -> bool:
        return bool(np.all(self.deviation <= self.allowed))

    def __str__(self) -> str:
        word = "passes" if self.passed else "FAILS"
        return (
            f"{self.claim.statement}: {word}; measured {self.measured.value} +- {self.measured.error}, "
            f"reference {self.claim.reference.relation} {self.claim.reference.value}, allowed deviation {self.allowed}"
        )
