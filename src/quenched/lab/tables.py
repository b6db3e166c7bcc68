"""The table of claims: once for the terminal, once as Markdown."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quenched.lab.verify import Row
from quenched.studies.claims import Reference

HEADER = ("claim", "value ± error", "reference", "tolerance", "source", "verdict")
_SHOWN = 4
_PIPE_WIDTH = 140


def console() -> Console:
    """Standard output: as wide as the terminal, and wide enough for a table where there is none."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=_PIPE_WIDTH)


def cells(row: Row) -> tuple[str, ...]:
    """The six cells of a row, as plain text. Of a long array the entry nearest to failing is shown."""
    reference = row.claim.reference
    source = f"{reference.kind}: {reference.source}"
    if row.verdict is None:
        return row.claim.statement, row.error, _numbers(reference.value), tolerance(reference), source, "error"
    verdict = row.verdict
    value, error = np.broadcast_arrays(verdict.measured.value, verdict.measured.error)
    expected, label = reference.value, ""
    if value.size > _SHOWN:
        worst = int(np.argmax(np.nan_to_num(verdict.deviation - verdict.allowed, nan=np.inf)))
        label = f"entry {worst} of {value.size}: "
        value, error, expected = (np.broadcast_to(a, value.shape).flat[worst] for a in (value, error, expected))
    shown = label + ", ".join(_with_error(v, e) for v, e in zip(np.ravel(value), np.ravel(error), strict=True))
    sign = "" if reference.relation == "=" else f"{reference.relation} "
    word = "pass" if verdict.passed else "FAIL"
    return row.claim.statement, shown, sign + _numbers(expected), tolerance(reference), source, word


def tolerance(reference: Reference) -> str:
    """The admissible deviation in words: the largest of the parts given."""
    parts = []
    if reference.absolute:
        parts.append(f"{reference.absolute:g}")
    if reference.relative:
        parts.append(f"{100 * reference.relative:g} %")
    if reference.sigmas:
        parts.append(f"{reference.sigmas:g} s.e.")
    return " or ".join(parts) or "none"


def terminal(rows: Sequence[Row]) -> Table:
    """Table for the terminal, of the claims of one study."""
    table = Table(title=rows[0].study, title_justify="left", show_lines=True)
    for name in HEADER:
        table.add_column(name, overflow="fold")
    for row in rows:
        *plain, word = cells(row)
        # Text, because rich would read square brackets in a statement as markup
        table.add_row(*map(Text, plain), Text(word, style="green" if row.passed else "bold red"))
    return table


def markdown(rows: Sequence[Row]) -> str:
    """The same table as Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(text.replace("|", r"\|") for text in cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _numbers(values: Any) -> str:
    flat = np.ravel(values)
    return ", ".join(f"{v:.5g}" for v in flat[:_SHOWN]) + (", ..." if flat.size > _SHOWN else "")


def _with_error(value: float, error: float) -> str:
    return f"{value:.5g} ± {error:.1g}" if error else f"{value:.5g}"
