"""``quenched show``: a study on one page of the terminal."""

from __future__ import annotations

import dataclasses
import inspect

from rich.table import Table
from rich.text import Text

from quenched.lab import options, tables
from quenched.studies.base import Study


def show(study: type[Study]) -> None:
    """Print title, citation, text, equations, parameters of the default preset, presets, claims."""
    terminal = tables.console()

    def line(text: str, style: str = "") -> None:
        terminal.print(Text(text, style=style))

    line(f"{study.name} — {study.title}", "bold")
    line(study.paper)
    line("")
    line(inspect.getdoc(study) or "")
    if study.equations:
        line("\nEquations", "bold")
        for equation in study.equations:
            line(f"  {equation}")
    line("\nParameters (values of --scale quick)", "bold")
    texts, defaults = options.field_help(study), options.preset(study, "quick")
    table = Table(box=None, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for field in dataclasses.fields(study):
        table.add_row(
            Text(f"--{field.name}"), Text(options.written(getattr(defaults, field.name))), Text(texts.get(field.name, ""))
        )
    terminal.print(table)
    line(f"\nScales: {', '.join(study.presets())}")
    claims = study.claims()
    if claims:
        line("\nClaims", "bold")
        for claim in claims:
            reference = claim.reference
            line(f"  {claim.statement} [{reference.kind}: {reference.source}; {tables.tolerance(reference)}; {claim.cost}]")
    line(f"\nRun it: quenched run {study.name}        options: quenched run {study.name} --help")
