"""The front door: ``quenched list | show | run | sweep | report | verify | diagnose``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

from quenched.lab import process, registry
from quenched.numerics.checks import ParameterError, QuenchedError, QuenchedWarning

_DESCRIPTION = """\
A laboratory for the statistical physics of learning: every system is simulated and solved.

  quenched list                         the studies
  quenched show effective-noise         what a study is: equations, parameters, citation
  quenched run effective-noise          run it: one data file, figures, a table of claims
  quenched sweep effective-noise --over model.alpha=0.5:4:15
                                        compute it at many values of its parameters
  quenched report stores/effective-noise
                                        a page to read and to send
  quenched verify                       recompute what the studies claim
  quenched diagnose problem.py          the noise of SGD on a network of your own
"""
_RUN = """\
Run a study. Its parameters are the options; `quenched run STUDY --help` lists them.

  quenched run effective-noise --seed 1 --out runs/first
  quenched run effective-noise --scale paper
  quenched run effective-noise --print_config > first.yaml
  quenched run effective-noise --config first.yaml
"""
_SWEEP = """\
Compute a study at all combinations of some values of its parameters. `quenched sweep STUDY --help` lists them.

  quenched sweep effective-noise --over model.alpha=0.5:4:15 --over rule.batches.fraction=0.1,0.3,1.0
  quenched sweep effective-noise --over rule.batches=IID,Persistent --seeds 8 --store stores/noise
  quenched sweep effective-noise --over rule.lr=0.01:1:5:log --scheduler tcp://10.0.0.1:8786

Points are kept in a store: what is in it is not computed again, and an interrupted sweep continues with the same command.
"""
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns 0, 1 (a claim or points failed, the system failed, or an unforeseen error), 2 (bad input) or 130 (interrupted).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        words = [word for word in words if word != "--debug"]
        if words[:1] == ["report"]:
            return _report(words[1:])
        if words[:1] == ["diagnose"]:
            return _diagnose(words[1:])
        if words[:1] in (["run"], ["sweep"]) and words[1:] and words[1].startswith("-") and words[1] not in ("-h", "--help"):
            raise ParameterError(f"the name of the study comes first: quenched {words[0]} STUDY --option value")
        options = _parser().parse_args(words)
        return options.command(options)
    except SystemExit as stop:  # --help, --print_config
        return int(stop.code or 0)
    except KeyboardInterrupt as interrupt:
        print(f"quenched: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
            return 2 if isinstance(error, QuenchedError) else 1
        return _complain(error)


def console() -> NoReturn:
    """Entry point of the process: sets up what must never be set on import, then ``main``."""
    prepare_process()
    sys.exit(main())


def prepare_process() -> None:
    """Figures without a screen, a persistent cache of compiled code, cautions on one line; variables that are set already win."""
    located = warnings.formatwarning
    warnings.formatwarning = lambda message, category, *place: (
        f"quenched: {message}\n" if issubclass(category, QuenchedWarning) else located(message, category, *place)
    )
    for name, value in process.environment().items():
        os.environ.setdefault(name, value)


def _complain(error: Exception) -> int:
    if isinstance(error, QuenchedError):
        print(f"quenched: {_joined(error)}", file=sys.stderr)
        return 2
    if isinstance(error, OSError):  # a full disk, a folder without permission
        print(f"quenched: {_joined(error)}", file=sys.stderr)
        return 1
    print(
        f"quenched: unforeseen {type(error).__name__}: {_joined(error)} (--debug shows where; please report it)", file=sys.stderr
    )
    return 1


def _joined(error: Exception) -> str:
    return " ".join(str(error).split())


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="quenched", description=_DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error (anywhere on the line)")
    parser.set_defaults(command=lambda options: _version(parser, options))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    text = "list the studies of every installed package"
    one = commands.add_parser("list", help=text, description=text)
    one.set_defaults(command=_list)

    text = "what a study is: equations, parameters, claims, citation"
    one = commands.add_parser("show", help=text, description=text)
    one.add_argument("study", metavar="STUDY")
    one.set_defaults(command=_show)

    one = commands.add_parser("run", help="run a study", description=_RUN, formatter_class=raw)
    one.add_argument("study", metavar="STUDY", help="a name from `quenched list`; comes first")
    one.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="options of the study")
    one.set_defaults(command=_run)

    text = "compute a study at many values of its parameters"
    one = commands.add_parser("sweep", help=text, description=_SWEEP, formatter_class=raw)
    one.add_argument("study", metavar="STUDY", help="a name from `quenched list`; comes first")
    one.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="options of the sweep and of the study")
    one.set_defaults(command=_sweep)

    # named here for the list of commands only: `main` hands its words on
    commands.add_parser("report", help="a store or runs as one page to read and to send")

    commands.add_parser("diagnose", help="the noise of SGD on a network of your own: measured and predicted")

    text = "recompute what studies claim, and print value ± error, reference, tolerance, verdict; exit status 1 if a claim fails"
    one = commands.add_parser("verify", help=text, description=text)
    one.add_argument("studies", metavar="STUDY", nargs="*", help="studies to verify (default: all)")
    one.add_argument("--slow", action="store_true", help="the slow claims too")
    one.set_defaults(command=_verify)
    return parser


def _version(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.version:
        import quenched

        print(quenched.__version__)
    else:
        parser.print_help()
    return 0


def _list(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    broken: list[registry.BrokenStudyError] = []
    for name in registry.registered():
        try:
            table.add_row(name, registry.title(name))
        except registry.BrokenStudyError as error:
            broken.append(error)
    Console().print(table)
    for problem in broken:
        print(f"quenched: {_joined(problem)}", file=sys.stderr)
    return 0


def _show(options: argparse.Namespace) -> int:
    from quenched.lab.show import show

    show(registry.load(options.study))
    return 0


def _run(options: argparse.Namespace) -> int:
    study = registry.load(options.study)
    from quenched.lab.command import run_command

    return run_command(study, options.rest)


def _sweep(options: argparse.Namespace) -> int:
    study = registry.load(options.study)
    from quenched.lab.sweep_command import sweep_command

    return sweep_command(study, options.rest)


def _report(words: list[str]) -> int:
    from quenched.lab.report_command import report_command

    return report_command(words)


def _diagnose(words: list[str]) -> int:
    from quenched.instruments.command import diagnose_command

    return diagnose_command(words)


def _verify(options: argparse.Namespace) -> int:
    from quenched.lab.command import verify_command

    return verify_command(options.studies, slow=options.slow)
