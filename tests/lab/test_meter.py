"""The progress of a sweep: what it says, where, and how often."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from quenched.lab.meter import Meter, shown
from quenched.lab.store import Failure
from quenched.lab.workers import Answer, Live, Report, live


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(*states: str, value: Live | None = None) -> Answer:
    failure = Failure("s", {}, 0, "RuntimeError", "", False)
    reports = (Report("f", state, failure if state == "failed" else None, value) for state in states)  # type: ignore[arg-type]
    return Answer(tuple(reports), 1.0, ())


def meter(total: int, settled: int = 0, failed: int = 0, terminal: bool = False) -> tuple[Meter, Clock, io.StringIO]:
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, width=120, force_terminal=terminal)
    return Meter(total, settled, failed, True, console=console, clock=clock), clock, stream


def test_the_rate_counts_what_was_worked_on() -> None:
    one, clock, _ = meter(total=100, settled=50)
    with one:
        clock.now = 5.0
        one.begin()
        clock.now = 9.0
        one.take(answer("computed", "computed", "found", "failed", value=Live("m[0]", 0.5, math.nan)))
        # 3 points in 4 seconds, 46 are left
        assert one.text() == "1.33 s/point, 1:01 left, 1 failed, m[0] 0.5"
        clock.now = 5.0 + 0.25
        assert one.text() == "12 points/s, 0:04 left, 1 failed, m[0] 0.5"


def test_without_a_terminal_there_is_a_line_every_ten_seconds_at_most() -> None:
    one, clock, stream = meter(total=100)
    with one:
        one.begin()
        for second in range(1, 31):
            clock.now = float(second)
            one.take(answer("computed", value=Live("test_error", 0.1432, 0.0021)))
    lines = stream.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["sweep 10/100", "sweep 20/100", "sweep 30/100"]
    assert lines[0] == "sweep 10/100: 1 points/s, 1:30 left, test_error 0.143 ± 0.002"


def test_a_terminal_shows_a_bar() -> None:
    one, clock, stream = meter(total=4, settled=1, failed=1, terminal=True)
    with one:
        one.begin()
        clock.now = 2.0
        one.take(answer("computed", value=Live("test_error", 0.1432, 0.0021)))
    assert "2/4" in stream.getvalue()
    assert "2 s/point, 0:04 left, 1 failed, test_error 0.143 ± 0.002" in stream.getvalue()


def test_nothing_is_shown_unasked() -> None:
    stream = io.StringIO()
    with Meter(3, 0, 0, False, console=Console(file=stream, force_terminal=True)) as one:
        one.begin()
        one.take(answer("computed"))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.1432, 0.0021, "m 0.143 ± 0.002"),
        (0.1432, 0.0096, "m 0.14 ± 0.01"),
        (0.1432, math.nan, "m 0.1432"),
        (0.1432, 0.0, "m 0.1432"),
        (1234.5, 12.0, "m 1234 ± 12"),
        (-3.0, 0.5, "m -3.0 ± 0.5"),
        (1.0, 1e-9, "m 1 ± 1e-09"),
        (1e-9, math.nan, "m 1e-09"),
    ],
)
def test_a_number_has_the_digits_that_its_error_allows(value: float, error: float, text: str) -> None:
    assert shown(Live("m", value, error)) == text


def engines(theory: float, experiment: float) -> xr.DataArray:
    return xr.DataArray([theory, experiment], {"engine": ["theory", "experiment"]}, "engine")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"m": 0.5}, Live("m", 0.5, math.nan)),
        ({"m_error": 0.1, "m": 0.5}, Live("m", 0.5, 0.1)),
        ({"m": engines(1.0, 2.0), "m_error": engines(0.0, 0.3)}, Live("m", 2.0, 0.3)),
        ({"m": engines(1.0, np.nan), "m_error": engines(0.1, np.nan)}, Live("m", 1.0, 0.1)),
        ({"n": np.nan, "curve": ("t", [1.0, 2.0]), "word": "w", "standard_error": 3.0}, Live("standard_error", 3.0, math.nan)),
        ({"n": np.nan}, None),
        ({}, None),
    ],
)
def test_the_live_number_is_the_first_finite_one(variables: dict[str, object], expected: Live | None) -> None:
    found = live(xr.Dataset(variables))
    assert (found is None) == (expected is None)
    if found and expected:
        assert found.name == expected.name
        np.testing.assert_equal(found[1:], expected[1:])
