"""Run claims and collect verdicts; verdicts as JSON, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from quenched.numerics.checks import ParameterError, QuenchedError
from quenched.studies.base import Study
from quenched.studies.claims import Claim, Measured, Reference, Verdict

_REFERENCE = ("value", "kind", "source", "absolute", "relative", "sigmas", "error", "relation")


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One line of the table: a claim of a study with its verdict, or with the reason why there is none (``error``)."""

    study: str
    claim: Claim
    verdict: Verdict | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.passed


def verify(
    studies: Iterable[type[Study]], *, slow: bool = False, report: Callable[[str], None] = lambda line: None
) -> tuple[list[Row], int]:
    """Judge the quick claims of the studies (all of them with ``slow=True``); also returns how many were skipped as slow.

    A claim whose computation raises a ``QuenchedError`` fails, with the message in its row; ``report`` hears every statement.
    """
    rows, skipped = [], 0
    for study in studies:
        for claim in study.claims():
            if claim.cost == "slow" and not slow:
                skipped += 1
                continue
            report(f"{study.name}: {claim.statement}")
            rows.append(_row(study.name, claim))
    return rows, skipped


def _row(study: str, claim: Claim) -> Row:
    try:
        return Row(study, claim, claim.judge())
    except QuenchedError as error:
        return Row(study, claim, error=str(error))


def to_json(rows: Sequence[Row]) -> str:
    """Judged claims of one study, with every number of their verdicts; NaN and infinities are spelled as strings."""
    return json.dumps({"study": rows[0].study if rows else "", "claims": [_packed(row) for row in rows]}, indent=1) + "\n"


def from_json(text: str) -> list[Row]:
    """The rows that ``to_json`` wrote. Their claims cannot be measured again. Raises ``ParameterError`` for other text."""
    try:
        record = json.loads(text)
        return [_unpacked(record["study"], entry) for entry in record["claims"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ParameterError(f"not a file of judged claims: {type(error).__name__}: {error}") from error


def _packed(row: Row) -> dict[str, Any]:
    claim, verdict = row.claim, row.verdict
    reference = {name: _plain(getattr(claim.reference, name)) for name in _REFERENCE}
    entry: dict[str, Any] = {"statement": claim.statement, "cost": claim.cost, "reference": reference}
    if verdict is None:
        return entry | {"failure": row.error}
    numbers = {
        "value": verdict.measured.value,
        "error": verdict.measured.error,
        "deviation": verdict.deviation,
        "allowed": verdict.allowed,
    }
    return entry | {"passed": row.passed, "verdict": {name: _plain(value) for name, value in numbers.items()}}


def _unpacked(study: str, entry: dict[str, Any]) -> Row:
    reference = Reference(**{name: _numbers(value) for name, value in entry["reference"].items()})
    claim = Claim(str(entry["statement"]), _not_measured, reference, entry["cost"])
    if "verdict" not in entry:
        return Row(str(study), claim, error=str(entry["failure"]))
    numbers = {name: np.asarray(_numbers(entry["verdict"][name]), np.float64) for name in entry["verdict"]}
    measured = Measured(numbers["value"], numbers["error"])
    return Row(str(study), claim, Verdict(claim, measured, numbers["deviation"], numbers["allowed"]))


def _not_measured() -> Measured:
    raise ParameterError("a claim that was read from a file has its verdict only")


def _plain(value: Any) -> Any:
    """Arrays as lists, numbers that JSON lacks as their names."""
    if isinstance(value, (np.ndarray, list)):
        listed = value.tolist() if isinstance(value, np.ndarray) else value
        return [_plain(entry) for entry in listed] if isinstance(listed, list) else _plain(listed)
    return repr(value) if isinstance(value, float) and not np.isfinite(value) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(entry) for entry in value]
    return float(value) if value in ("nan", "inf", "-inf") else value
