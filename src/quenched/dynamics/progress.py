"""The progress bar, with the physics in it; lives on the host, between chunks."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from quenched.records.labels import LABELS

# what is worth a look while one waits, in this order; two of them fit on a line
_SHOWN = ("loss", "overlap", "test_error", "norm")


class Bar:
    """A bar over all steps of all samples: ``with Bar(total, shown) as bar: bar.look(row); bar.update(done)``. Nothing is
    drawn if not ``shown``.
    """

    def __init__(self, total: int, shown: bool, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("simulate"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[physics]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            disable=not shown,
        )
        self._task = self._progress.add_task("", total=total, physics="")
        self._physics = ""
        self._shown = shown

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def look(self, row: Mapping[str, Any]) -> None:
        """The latest observation, arrays (sample, replica, ...)."""
        if self._shown:
            self._physics = physics(row)

    def update(self, done: int) -> None:
        """Steps made so far, summed over samples."""
        if self._shown:
            self._progress.update(self._task, completed=done, physics=self._physics)


def physics(row: Mapping[str, Any]) -> str:
    """One line of order parameters of one observation, arrays (sample, replica): mean and standard error over samples."""
    shown = [name for name in _SHOWN if name in row and np.ndim(row[name]) == 2][:2]
    return "  ".join(
        f"{name if name not in LABELS else LABELS[name].long_name.split(' with')[0]} {_mean(row[name])}" for name in shown
    )


def _mean(values: Any) -> str:
    # replicas share the fluctuation of their sample: with several samples the error is over these
    flat = np.asarray(values, np.float64)
    flat = flat.mean(axis=1) if flat.shape[0] > 1 else flat.ravel()
    if flat.size < 2:
        return f"{flat.mean():.4g}"
    return f"{flat.mean():.4g} ± {flat.std(ddof=1) / flat.size**0.5:.1g}"
