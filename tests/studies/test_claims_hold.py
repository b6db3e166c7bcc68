"""Every claim of every study of the library, judged: the quick ones always, the others with ``-m slow``."""

from __future__ import annotations

import pytest

from quenched.studies.effective_noise import EffectiveNoise
from quenched.studies.sgd_fokker_planck import SgdFokkerPlanck
from quenched.studies.sgd_gaussian_mixture import SgdGaussianMixture
from quenched.studies.shift_curvature import ShiftCurvature

CLAIMS = [
    pytest.param(claim, marks=[pytest.mark.slow] if claim.cost == "slow" else [], id=f"{study.name}: {claim.statement}")
    for study in (SgdGaussianMixture, EffectiveNoise, SgdFokkerPlanck, ShiftCurvature)
    for claim in study.claims()
]


@pytest.mark.slow
@pytest.mark.parametrize("claim", CLAIMS)
def test_claim(claim):
    verdict = claim.judge()
    assert verdict.passed, str(verdict)
