"""Run claims and collect verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from quenched.numerics.checks import QuenchedError
from quenched.studies.base import Study
from quenched.studies.claims import Claim, Verdict


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
