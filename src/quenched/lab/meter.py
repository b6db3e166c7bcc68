"""The progress of a sweep: points done, rate, time left, failures, and one number of the physics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from quenched.lab.workers import Answer, Live

_QUIET_SECONDS = 10.0


class Meter:
    """``with Meter(total, settled, failed, shown) as meter: meter.take(answer)``.

    A bar on a terminal; without one a plain line now and then, at most every ten seconds. Goes to standard error. ``settled``
    points needed no work, ``failed`` of them because they had failed before.
    """

    def __init__(
        self,
        total: int,
        settled: int,
        failed: int,
        shown: bool,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._total, self._done, self._failed = total, settled, failed
        self._worked = 0
        self._live: Live | None = None
        self._start = self._said = clock()
        self._plain = shown and not self._console.is_terminal
        self._progress = Progress(
            TextColumn("sweep"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            # names may hold square brackets, which are no markup
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            disable=not shown or self._plain,
        )
        self._task = self._progress.add_task("", total=total, completed=settled, text="workers start")

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def begin(self) -> None:
        """The workers are there: the clock of the rate starts."""
        self._start = self._clock()
        self._show()

    def take(self, answer: Answer) -> None:
        """The points of one more task."""
        self._done += len(answer.reports)
        self._worked += sum(report.state != "found" for report in answer.reports)
        self._failed += sum(report.state == "failed" for report in answer.reports)
        self._live = next((report.live for report in reversed(answer.reports) if report.live), self._live)
        self._show()

    def text(self) -> str:
        """Rate, time left, failures and the latest number of the physics."""
        elapsed = self._clock() - self._start
        parts = []
        if self._worked and elapsed > 0:
            rate = self._worked / elapsed
            parts += [_rate(rate), f"{_duration((self._total - self._done) / rate)} left"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._live:
            parts.append(shown(self._live))
        return ", ".join(parts)

    def _show(self) -> None:
        if not self._plain:
            self._progress.update(self._task, completed=self._done, text=self.text())
        elif self._clock() - self._said >= _QUIET_SECONDS:
            self._said = self._clock()
            self._console.print(f"sweep {self._done}/{self._total}: {self.text()}", markup=False, highlight=False, soft_wrap=True)


def shown(live: Live) -> str:
    """``test_error 0.143 ± 0.002``: the error with one digit, the value with as many places."""
    name, value, error = live
    if not (math.isfinite(error) and error > 0):
        return f"{name} {value:.4g}"
    # rounded first: 0.0096 is 0.01, and has two places
    places = max(0, -math.floor(math.log10(float(f"{error:.0e}"))))
    return f"{name} {value:.{places}f} ± {error:.{places}f}" if places <= 6 else f"{name} {value:.6g} ± {error:.0e}"


def _rate(rate: float) -> str:
    return f"{rate:.3g} points/s" if rate >= 1 else f"{1 / rate:.3g} s/point"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
