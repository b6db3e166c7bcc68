"""Several points of a study in one compiled batch.

A point that is small leaves most of a processor idle; W points of equal shapes cost one compilation and one dispatch. The
width W is fixed by the study and its parameters, never by how many points happen to be left: a batch is filled up with
repetitions, and the bits of a point do not depend on its company.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    from quenched.studies.base import Study


@dataclasses.dataclass(frozen=True)
class Together:
    """How a point may be computed with others.

    ``shape``: points of one study with equal shapes may be in one batch. ``width`` >= 2: points per batch. ``compute``:
    studies and seeds, exactly ``width`` of each, to their outcomes; what raises for one point stands in its place.
    """

    shape: Hashable
    width: int
    compute: Callable[[Sequence[Any], Sequence[int]], Sequence[xr.DataTree | Exception]]


def run_batch(points: Sequence[tuple[Study, int]]) -> list[xr.DataTree | Exception]:
    """The outcomes of at most ``width`` points (study, seed) that are alike; a single point without ``together`` is just run."""
    alike = points[0][0].together()
    if alike is None:
        return [_run(study, seed) for study, seed in points]
    # the batch keeps its shape: it is filled up with the last point
    full = [*points, *[points[-1]] * (alike.width - len(points))]
    answers = alike.compute([study for study, _ in full], [seed for _, seed in full])
    return list(answers[: len(points)])


def _run(study: Study, seed: int) -> xr.DataTree | Exception:
    try:
        return study.run(seed)
    except Exception as error:
        return error
