"""The commands ``run`` and ``verify``, from words to an exit status."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from quenched.lab import options, registry, tables
from quenched.lab.run import check_folder, run, write, write_claims
from quenched.lab.verify import verify
from quenched.studies.base import Study


def run_command(study: type[Study], words: list[str]) -> int:
    """``quenched run``: parse, compute, write data and figures, judge the claims, and say where everything is."""
    chosen = options.parse_run(study, words)
    check_folder(chosen.out)
    terminal = tables.console()
    paths = write(run(chosen.study, seed=chosen.seed, progress=terminal.is_terminal), chosen.out)
    if chosen.claims != "none":
        with terminal.status("claims") as status:
            rows, skipped = verify([study], slow=chosen.claims == "all", report=lambda line: status.update(escape(line)))
        if rows:
            terminal.print(tables.terminal(rows))
            paths["claims"] = write_claims(study.name, rows, chosen.out)
        if skipped:
            terminal.print(f"{skipped} slow claims not judged: quenched verify {study.name} --slow")
    for kind, found in paths.items():
        for path in found:
            # plain print: a path must stay on one line, to be copied
            print(f"{kind:8} {path}")
    return 0


def verify_command(names: Sequence[str], *, slow: bool) -> int:
    """``quenched verify``: judge claims, print the table; 1 if one fails or a registered study is broken."""
    terminal, errors = tables.console(), Console(stderr=True)
    studies, broken = [], False
    for name in names or registry.registered():
        try:
            studies.append(registry.load(name))
        except registry.BrokenStudyError as error:
            broken = True
            errors.print(f"quenched: {error}", markup=False, highlight=False, soft_wrap=True)
    with errors.status("claims") as status:
        rows, skipped = verify(studies, slow=slow, report=lambda line: status.update(escape(line)))
    for study in studies:
        if own := [row for row in rows if row.study == study.name]:
            terminal.print(tables.terminal(own))
    failed = sum(not row.passed for row in rows)
    terminal.print(
        f"{len(rows) - failed} of {len(rows)} claims pass" + (f"; {skipped} slow ones skipped (--slow)" if skipped else "")
    )
    return 1 if failed or broken else 0
