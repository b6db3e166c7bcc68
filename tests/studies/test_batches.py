"""Points computed together: the same outcome whatever stands beside them, and a place of its own for every error."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.models import GaussianMixture, SingleLayerData
from quenched.numerics.checks import DivergenceError, ParameterError
from quenched.studies import Study
from quenched.studies.batches import Together, run_batch
from quenched.studies.effective_noise import EffectiveNoise
from quenched.studies.sgd_gaussian_mixture import SgdGaussianMixture

SMALL = {"compare": (), "size": 33, "disorder": 2, "samples": 16, "runs": 2, "steps": 6}
MIXTURE = SgdGaussianMixture(model=GaussianMixture(alpha=0.53, noise=0.5), details=False, **SMALL)
NOISE = EffectiveNoise(
    model=GaussianMixture(alpha=1.03, noise=1.0), satisfiable=None, data=None, waiting=4, lags=3, replicas=2, **SMALL
)


def points(study: Any, count: int) -> list[tuple[Study, int]]:
    """Points that differ in a parameter of the rule and in the seed."""
    rules = [dataclasses.replace(study.rule, batches=Persistent(fraction=0.3 + 0.03 * k, time=2.0)) for k in range(count)]
    return [(dataclasses.replace(study, rule=rule), 10 + k) for k, rule in enumerate(rules)]


def same(one: xr.DataTree, other: xr.DataTree) -> bool:
    return one.identical(other)


@dataclasses.dataclass(frozen=True)
class Doubling(Study):
    """Doubles a number, four at a time."""

    name: ClassVar[str] = "doubling"
    title: ClassVar[str] = "Doubling"
    paper: ClassVar[str] = "none"

    number: float = 1.0
    alone: bool = False

    def theory(self, seed: int, progress: bool) -> xr.Dataset:
        if self.number < 0:
            raise ParameterError(f"number must be >= 0, got {self.number}")
        return xr.Dataset({"double": 2 * self.number})

    def together(self) -> Together | None:
        return None if self.alone else Together("all", 4, self.four)

    @staticmethod
    def four(studies: Sequence[Doubling], seeds: Sequence[int]) -> list[xr.DataTree | Exception]:
        assert len(studies) == len(seeds) == 4
        return [study.outcome(seed, {"theory": study.theory(seed, False)}, batch=4) for study, seed in zip(studies, seeds)]  # noqa: B905


def test_a_batch_is_filled_up_and_answers_for_its_points_only() -> None:
    answers = run_batch([(Doubling(number=k), 0) for k in (1, 2, 3)])
    assert [answer["theory/double"].item() for answer in answers] == [2.0, 4.0, 6.0]


def test_points_that_go_alone_are_run_one_by_one_with_errors_in_their_places() -> None:
    answers = run_batch([(Doubling(number=k, alone=True), 0) for k in (1, -1, 3)])
    assert isinstance(answers[1], ParameterError)
    assert [answers[k]["theory/double"].item() for k in (0, 2)] == [2.0, 6.0]


@pytest.mark.slow
@pytest.mark.parametrize("study", [MIXTURE, NOISE], ids=lambda study: study.name)
def test_an_outcome_does_not_depend_on_its_company_or_place(study: Any) -> None:
    several = points(study, 5)
    whole = run_batch(several)
    assert all(isinstance(answer, xr.DataTree) for answer in whole)
    for chosen in ([4, 2], [3], [1, 0, 4, 3]):
        for index, answer in zip(chosen, run_batch([several[k] for k in chosen]), strict=True):
            assert same(answer, whole[index])


@pytest.mark.slow
@pytest.mark.parametrize("study", [MIXTURE, NOISE], ids=lambda study: study.name)
def test_an_outcome_is_that_of_its_own_run(study: Any) -> None:
    chosen = points(study, 2)
    for (point, seed), answer in zip(chosen, run_batch(chosen), strict=True):
        alone = point.run(seed)
        assert [node.path for node in answer.subtree] == [node.path for node in alone.subtree]
        for node in alone.subtree:
            for name, expected in node.data_vars.items():
                # errors and ratios are differences of float32 numbers
                np.testing.assert_allclose(answer[node.path][name], expected, rtol=2e-4, atol=1e-5, err_msg=f"{name}")


def test_the_width_is_part_of_the_provenance_and_not_of_the_name() -> None:
    (point, seed), *_ = points(MIXTURE, 1)
    (answer,) = run_batch([(point, seed)])
    record, alone = (json.loads(tree.attrs["provenance"]) for tree in (answer, point.run(seed)))
    assert record.pop("batch") == point.together().width == 16
    assert record == alone


def test_an_error_stands_in_its_own_place() -> None:
    good, bad = points(MIXTURE, 2)
    # the ridge multiplies weights by 1e7 at every step: they leave float32 in the sixth
    wild = dataclasses.replace(bad[0], rule=Gradient(lr=1e4, ridge=1e3, batches=Persistent(fraction=0.3, time=1e5)))
    with pytest.warns(match="lr is large"):
        answers = run_batch([good, (wild, 1), good])
    assert isinstance(answers[1], DivergenceError)
    assert same(answers[0], answers[2])
    assert same(answers[0], run_batch([good])[0])


def test_alike_are_points_that_differ_in_numbers() -> None:
    def shape(**changes: Any) -> Any:
        return dataclasses.replace(MIXTURE, **changes).together().shape

    rule = MIXTURE.rule
    assert shape() == shape(rule=dataclasses.replace(rule, lr=0.1), model=GaussianMixture(alpha=0.53, noise=0.7))
    # the same number of samples, 17.49 and 17.33
    assert shape() == shape(model=GaussianMixture(alpha=0.525, noise=0.5))
    different = [
        {"rule": dataclasses.replace(rule, batches=Full())},
        {"rule": dataclasses.replace(rule, temperature=0.1)},
        {"model": GaussianMixture(alpha=0.7)},
        {"steps": 7},
        {"size": 34},
        {"disorder": 3},
        {"details": True},
        {"compare": (IID(fraction=0.5),)},
    ]
    shapes = [shape(), *(shape(**changes) for changes in different)]
    assert len(set(shapes)) == len(shapes)


def test_large_points_given_data_and_impossible_points_go_alone() -> None:
    assert SgdGaussianMixture().together() is None
    assert dataclasses.replace(NOISE, data=SingleLayerData()).together() is None
    assert dataclasses.replace(MIXTURE, model=GaussianMixture(alpha=1e-4)).together() is None
