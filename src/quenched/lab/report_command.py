"""The command ``report``, from words to an exit status."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

import quenched
from quenched.lab.report.report import CLAIMS
from quenched.numerics.checks import ParameterError

_TEXT = """\
Stores and runs as one self-contained page: it opens from disk, needs no network, and can be printed and sent.

  quenched report stores/effective-noise -o page.html
  quenched report runs/effective-noise stores/effective-noise --claims quick
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(f"{message}; see quenched report --help")


def report_command(words: Sequence[str]) -> int:
    """``quenched report``: write the page and say where it is."""
    options = _parser().parse_args(words)
    with Console(stderr=True).status("report") as status:
        # through the facade, which completes the table of names that files refer to
        page = quenched.report(
            options.paths,
            options.out,
            claims=options.claims,
            title=options.title,
            consent=options.consent,
            listen=lambda line: status.update(escape(line)),
        )
    print(f"page     {page}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="quenched report", description=_TEXT, formatter_class=argparse.RawDescriptionHelpFormatter)
    text = "a store of `quenched sweep`, a folder that `quenched run` wrote, or a netCDF file of either"
    parser.add_argument("paths", metavar="STORE|RUN", nargs="+", help=text)
    parser.add_argument("-o", "--out", default="report.html", help="the page (default: report.html)")
    text = "stored (default): the verdicts that lie beside a run; quick, all: judge the claims now; none: no claims"
    parser.add_argument("--claims", choices=CLAIMS, default="stored", help=text)
    parser.add_argument("--title", help="heading of the page (default: the title of the study)")
    text = "import classes of foreign packages that the files name; only if you trust the files"
    parser.add_argument("--consent", action="store_true", help=text)
    return parser
