"""Claims become rows: quick ones by default, errors as failures, long arrays by their worst entry."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from quenched.lab import tables
from quenched.lab.verify import Row, from_json, to_json, verify
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.studies import Claim, Measured, Reference, Study


def not_converged() -> Measured:
    raise ConvergenceError("residual 0.1 after 10 iterations")


class Fixed(Study):
    name: ClassVar[str] = "fixed"
    title: ClassVar[str] = "Fixed numbers"
    paper: ClassVar[str] = "none"

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        curve = np.zeros(10)
        curve[7] = 0.5
        return (
            Claim("a curve | vanishes", lambda: Measured(curve, 0.01), Reference(0.0, "exact", "zero", absolute=0.1)),
            Claim("converges", not_converged, Reference(0.0, "exact", "zero", absolute=0.1)),
            Claim("grows", lambda: Measured([1.0, 2.0]), Reference(0.5, "relation", "order", relation=">=")),
            Claim("is slow", lambda: Measured(0.0), Reference(0.0, "exact", "zero", absolute=0.1), cost="slow"),
        )


def test_verdicts_errors_and_skipped_claims() -> None:
    heard: list[str] = []
    rows, skipped = verify([Fixed], report=heard.append)
    assert [row.passed for row in rows] == [False, False, True]
    assert skipped == 1
    assert heard[1] == "fixed: converges"
    rows, skipped = verify([Fixed], slow=True)
    assert [row.passed for row in rows] == [False, False, True, True]
    assert skipped == 0


def test_cells_show_the_numbers() -> None:
    rows, _ = verify([Fixed])
    assert tables.cells(rows[0])[1:] == ("entry 7 of 10: 0.5 ± 0.01", "0", "0.1", "exact: zero", "FAIL")
    assert tables.cells(rows[1])[1:] == ("residual 0.1 after 10 iterations", "0", "0.1", "exact: zero", "error")
    assert tables.cells(rows[2])[1:] == ("1, 2", ">= 0.5", "none", "relation: order", "pass")


def test_markdown_keeps_its_columns() -> None:
    lines = tables.markdown(verify([Fixed])[0]).splitlines()
    assert len(lines) == 5
    assert all(line.replace(r"\|", "").count("|") == len(tables.HEADER) + 1 for line in lines)


def test_verdicts_survive_json() -> None:
    rows, _ = verify([Fixed], slow=True)
    again = from_json(to_json(rows))
    assert [tables.cells(row) for row in again] == [tables.cells(row) for row in rows]
    assert [row.study for row in again] == ["fixed"] * 4
    with pytest.raises(ParameterError, match="verdict only"):
        again[0].claim.judge()


def test_numbers_that_are_none_survive_json() -> None:
    reference = Reference(0.0, "exact", "zero", absolute=0.1)
    claim = Claim("is finite", lambda: Measured([np.nan, np.inf, 1.0], [np.nan, 0.0, 0.0]), reference)
    (row,) = from_json(to_json([Row("fixed", claim, claim.judge())]))
    assert row.verdict is not None
    np.testing.assert_array_equal(row.verdict.measured.value, [np.nan, np.inf, 1.0])
    assert not row.passed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"study": "a", "claims": [{"statement": "s"}]}', '{"claims": 3, "study": 1}'])
def test_other_files_are_no_claims(text: str) -> None:
    with pytest.raises(ParameterError, match="not a file of judged claims"):
        from_json(text)
