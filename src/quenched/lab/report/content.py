"""What a page consists of. Strings are text, and escaped when the page is written; ``Markup`` is HTML that this package made."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from markupsafe import Markup


class Picture(NamedTuple):
    """A figure as a ``data:`` address, with what it shows in words."""

    uri: str
    alt: str
    caption: str = ""


class Parameter(NamedTuple):
    """A field of a study: its value as Python text, and its help."""

    name: str
    value: Markup
    text: str


class Swept(NamedTuple):
    """A swept parameter and its values in words."""

    path: str
    values: str


class Number(NamedTuple):
    """A number at the end of a run, by theory and by simulation, each with its error; empty where there is none."""

    label: Markup
    theory: str
    experiment: str


class Trouble(NamedTuple):
    """A point that failed: the parameters that tell it from others, its seed and its error."""

    parameters: str
    seed: str
    error: str


class Judged(NamedTuple):
    """A row of the table of claims; ``outcome`` is pass, FAIL or error."""

    statement: str
    value: str
    reference: str
    tolerance: str
    kind: str
    source: str
    outcome: str

    @property
    def holds(self) -> bool:
        return self.outcome == "pass"

    @property
    def word(self) -> str:
        return {"pass": "✓ holds", "FAIL": "✗ fails"}.get(self.outcome, "✗ error")


@dataclasses.dataclass
class Viewer:
    """The interactive slices of a sweep: the numbers as JSON, and the labels of axes and variables, which are formulas."""

    numbers: Markup
    labels: dict[str, Markup]


@dataclasses.dataclass
class Part:
    """One run or one sweep of a study."""

    kind: str
    source: str
    notes: list[str] = dataclasses.field(default_factory=list)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    viewer: Viewer | None = None
    numbers: list[Number] = dataclasses.field(default_factory=list)
    parameters: list[Parameter] = dataclasses.field(default_factory=list)
    swept: list[Swept] = dataclasses.field(default_factory=list)
    provenance: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    record: str = ""
    failures: list[Trouble] = dataclasses.field(default_factory=list)
    failed: int = 0


@dataclasses.dataclass
class Section:
    """One study: its text, its claims, and its runs and sweeps."""

    name: str
    title: str = ""
    statement: list[Markup] = dataclasses.field(default_factory=list)
    paper: Markup = Markup("")
    equations: list[Markup] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    claims: list[Judged] = dataclasses.field(default_factory=list)
    claims_note: str = ""
    parts: list[Part] = dataclasses.field(default_factory=list)

    @property
    def verdicts(self) -> str:
        """How many claims hold, in words."""
        passed = sum(claim.holds for claim in self.claims)
        return f"{passed} of {len(self.claims)} hold"
