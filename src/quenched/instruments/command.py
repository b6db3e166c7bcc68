"""The command ``diagnose``, from words to an exit status."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from quenched.dynamics import Gradient, Minibatch, Momentum
from quenched.instruments.diagnose import diagnose
from quenched.instruments.page import figures, write_page
from quenched.instruments.problem import DEFAULT_RULE, from_file
from quenched.lab.run import check_folder
from quenched.numerics.checks import ParameterError
from quenched.plot import save_figure
from quenched.records.files import save

_TEXT = """\
How the noise of SGD moves your network: curvature, gradient noise, and the motion from here on, measured and predicted.

  quenched diagnose problem.py
  quenched diagnose problem.py --steps 10000 --chains 16 --out runs/mine

problem.py is Python that defines

  loss     a function of (params, batch): the mean over the batch, written with jax.numpy
  params   a pytree: an Equinox module, Flax variables, a dictionary; best at the end of training
  data     a pytree of arrays with one leading axis of samples, such as (x, y)
  rule     optional: the quenched.dynamics.Gradient of your training loop

or, with no function to write,

  loss     "squared_error", "cross_entropy" (integer classes), or a loss of quenched.losses
  params   an Equinox model of one sample, or (module, variables) of Flax
  data     arrays (X, y), one row of X and one entry of y per sample

It is executed. A figure, a page (report.html) and a data file are written into the folder --out.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(f"{message}; see quenched diagnose --help")


def diagnose_command(words: Sequence[str]) -> int:
    """``quenched diagnose``: write the page, the figure and the data, and say where they are."""
    options = _parser().parse_args(words)
    folder = Path(options.out)
    check_folder(folder)
    brought = from_file(options.problem)
    rule = _rule(brought.get("rule"), options)
    tree = diagnose(
        brought["loss"],
        brought["params"],
        brought["data"],
        rule,
        steps=options.steps,
        chains=options.chains,
        modes=options.modes,
        seed=options.seed,
        progress=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(tree, folder / "diagnosis.nc")
    page = write_page(tree, folder / "report.html")
    for line in str(tree.attrs["cautions"]).splitlines():
        print(f"caution  {line}")
    print(f"data     {folder / 'diagnosis.nc'}")
    for name, figure in figures(tree).items():
        print("figures  " + "  ".join(map(str, save_figure(figure, folder / name))))
    print(f"page     {page}")
    return 0


def _rule(given: object, options: argparse.Namespace) -> Gradient:
    rule = DEFAULT_RULE if given is None else given
    if not isinstance(rule, Gradient):
        raise ParameterError(f"rule must be a quenched.dynamics.Gradient, got {rule!r}")
    changes: dict[str, Any] = {name: getattr(options, name) for name in ("lr", "ridge") if getattr(options, name) is not None}
    if options.momentum is not None:
        changes["transform"] = Momentum(decay=options.momentum)
    if options.batch is not None:
        changes["batches"] = Minibatch(size=options.batch)
    return dataclasses.replace(rule, **changes) if changes else rule


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="quenched diagnose", description=_TEXT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", metavar="PROBLEM.py", help="a Python file that defines loss, params and data")
    parser.add_argument("--lr", type=float, help="learning rate (default: that of rule, 0.01 without one)")
    parser.add_argument("--momentum", type=float, help="momentum (default: that of rule, 0.9 without one)")
    parser.add_argument("--batch", type=int, help="batch size (default: that of rule, 32 without one)")
    parser.add_argument("--ridge", type=float, help="weight decay, added to the gradient (default: that of rule, 0 without one)")
    parser.add_argument("--steps", type=int, default=2000, help="steps of every chain (default: 2000)")
    parser.add_argument("--chains", type=int, default=8, help="copies of the network (default: 8)")
    parser.add_argument("--modes", type=int, default=5, help="eigenpairs of the Hessian (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="integer, 0 <= seed < 2**32")
    parser.add_argument("--out", default="runs/diagnosis", help="folder for the data file, figure and page")
    return parser
