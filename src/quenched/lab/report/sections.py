"""A study's section of a page: its text, its claims, and what was run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence

import docstring_parser
from markupsafe import Markup, escape

from quenched.lab import registry, tables
from quenched.lab.report.content import Judged, Section
from quenched.lab.report.equations import equation
from quenched.lab.report.spelling import clipped
from quenched.lab.verify import Row, verify
from quenched.studies.base import Study


def study_class(name: str) -> tuple[type[Study] | None, str]:
    """The class of a study, or None and the reason why there is none."""
    try:
        return registry.load(name), ""
    except (registry.UnknownStudyError, registry.BrokenStudyError) as error:
        return None, f"The study's own text and figures are missing here: {clipped(str(error))}"


def section(name: str, study: type[Study] | None, note: str) -> Section:
    """The section without its parts and claims."""
    if study is None:
        return Section(clipped(name), notes=[note])
    return Section(
        clipped(name),
        study.title,
        statement=_paragraphs(study),
        paper=_with_links(study.paper),
        equations=[equation(line) for line in study.equations],
    )


def judge(
    own: Section, name: str, study: type[Study] | None, claims: str, stored: Sequence[Row], listen: Callable[[str], None]
) -> None:
    """Fill in the table of claims: ``stored`` ones, or judged now (``quick``, ``all``), or ``none``."""
    if claims == "none":
        return
    rows = list(stored)
    if claims in ("quick", "all") and study is not None:
        rows, _ = verify([study], slow=claims == "all", report=listen)
    own.claims = [_judged(row) for row in rows]
    known = {claim.statement for claim in study.claims()} if study is not None else set()
    missing = len(known - {row.claim.statement for row in rows})
    if missing:
        kind = "of the study's claims were" if missing > 1 else "of the study's claims was"
        how = f"quenched report --claims {'all' if rows else 'quick'}"
        own.claims_note = f"{missing} {kind} not judged for this page; {how} does that, and so does quenched verify {name}."


def _judged(row: Row) -> Judged:
    statement, value, reference, tolerance, _, word = (clipped(cell) for cell in tables.cells(row))
    return Judged(statement, value, reference, tolerance, row.claim.reference.kind, clipped(row.claim.reference.source), word)


def _paragraphs(study: type[Study]) -> list[Markup]:
    """The class docstring without the part on arguments; ``x`` is code."""
    text = inspect.getdoc(study) or ""
    if text.startswith(f"{study.__name__}(") or text == inspect.getdoc(Study):
        return []  # what dataclass writes where there is no docstring, or that of the base class
    parsed = docstring_parser.parse(text)
    parts = [parsed.short_description or "", parsed.long_description or ""]
    paragraphs = [paragraph for part in parts for paragraph in re.split(r"\n\s*\n", part) if paragraph.strip()]
    return [Markup(re.sub(r"``(.+?)``", r"<code>\1</code>", str(escape(paragraph)))) for paragraph in paragraphs]


def _with_links(paper: str) -> Markup:
    """A citation whose arXiv numbers can be followed."""
    number = r"arXiv:(\d{4}\.\d{4,5})"
    return Markup(re.sub(number, r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', str(escape(paper))))
