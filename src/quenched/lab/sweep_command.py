"""The command ``sweep``, from words to an exit status."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from quenched.lab import options
from quenched.lab.grid import parse_axis
from quenched.lab.store import Failure
from quenched.lab.sweep import Swept, sweep
from quenched.lab.swept import flatten
from quenched.studies.base import Study

_SHOWN = 3


def sweep_command(study: type[Study], words: list[str]) -> int:
    """``quenched sweep``: parse, compute, say what was done and where it is; 1 if points failed."""
    chosen = options.parse_sweep(study, words)
    axes = [parse_axis(text) for text in chosen.over]
    swept = sweep(
        chosen.study,
        axes,
        seeds=chosen.seeds,
        seed=chosen.seed,
        store=chosen.store,
        scheduler=chosen.scheduler,
        workers=chosen.workers,
        retry=chosen.retry,
        progress=True,
    )
    # plain print: a path must stay on one line, to be copied
    for line in lines(swept, [axis.path for axis in axes]):
        print(line)
    return 1 if swept.failed else 0


def lines(swept: Swept, paths: Sequence[str]) -> list[str]:
    """What a sweep did; ``paths`` are the parameters that tell its points apart."""
    folder = str(swept.store.folder)
    told = [
        f"points   {swept.points}",
        f"computed {swept.computed}",
        f"found    {swept.found}",
        f"failed   {len(swept.failed)}",
        *(f"         {_failure(failure, paths)}" for failure in swept.failed[:_SHOWN]),
    ]
    if len(swept.failed) > _SHOWN:
        told.append(f"         and {len(swept.failed) - _SHOWN} more")
    return [*told, f"store    {folder}", f"next     quenched report {shlex.quote(folder)}"]


def _failure(failure: Failure, paths: Sequence[str]) -> str:
    parameters = flatten({"parameters": failure.parameters, "seed": failure.seed})
    where = [f"{path}={parameters[path]}" for path in (*paths, "seed")]
    return f"{' '.join(where)}: {failure.kind}: {' '.join(failure.message.split())}"
