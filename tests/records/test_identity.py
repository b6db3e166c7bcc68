"""What a point is: equal parameters are one point, whatever the process, the spelling of numbers or the order of fields."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.lab.run import rebuild
from quenched.models import GaussianMixture
from quenched.numerics.checks import ParameterError
from quenched.records import canonical_json, fingerprint, identity, load, save
from quenched.studies import Study
from tests.lab.ramp import Ramp, Ramp2

fractions = st.floats(1e-6, 1.0)
positive = st.floats(1e-6, 1e6)
batches = st.one_of(
    st.builds(IID, fraction=fractions),
    st.just(Full()),
    # the share of time out of the batch bounds the learning rate: far from that bound
    st.builds(Persistent, fraction=st.floats(0.1, 1.0), time=st.floats(10.0, 1e6)),
)
ramps = st.builds(
    Ramp,
    model=st.builds(GaussianMixture, alpha=positive, noise=positive),
    rule=st.builds(Gradient, lr=st.floats(1e-6, 0.5), ridge=st.floats(0.0, 1e3), batches=batches),
    compare=st.lists(batches, max_size=3).map(tuple),
    lags=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
    x=st.floats(allow_nan=False, allow_infinity=False),
    steps=st.integers(1, 2**60),
    flag=st.booleans(),
    word=st.text(),
)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(study=ramps, seed=seeds)
@example(study=Ramp(word="\0 \U0001f600 <script>", x=5e-324), seed=0)
def test_parameters_come_back_from_a_file(study: Study, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quenched.lab.registry.load", {"ramp": Ramp}.__getitem__)
    tree = xr.DataTree(xr.Dataset(attrs={"provenance": canonical_json(study.provenance(seed))}))
    back = load(save(tree, folder / "point.nc"))
    again, seed_again = rebuild(xr.DataTree(back))
    assert (again, seed_again) == (study, seed)
    assert again.fingerprint(seed) == study.fingerprint(seed)


@settings(max_examples=60, deadline=None)
@given(one=ramps, other=ramps, seed=seeds)
def test_different_parameters_are_different_points(one: Study, other: Study, seed: int) -> None:
    assert (one.fingerprint(seed) == other.fingerprint(seed)) == (one == other)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(study=ramps, order=st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_matter(study: Study, order: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in order.sample(list(value), len(value))}
        return [shuffled(entry) for entry in value] if isinstance(value, list) else value

    assert fingerprint(shuffled(study.provenance(1))) == study.fingerprint(1)


def test_every_process_gives_the_same_name() -> None:
    code = "from tests.lab.ramp import Ramp; print(Ramp(word='ü').fingerprint(7))"
    root = Path(__file__).parents[2]
    for hashseed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hashseed, "PYTHONPATH": str(root)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == Ramp(word="ü").fingerprint(7)


def test_the_name_is_fixed_for_all_time() -> None:
    """A store of today must be found by the library of tomorrow: computed by hand from the definition."""
    record = {"study": "s", "study_version": "1", "parameters": {"x": 0.1}, "seed": 3, "schema": 1, "environment": "any"}
    # printf '{"parameters":{"x":0.1},"schema":1,"seed":3,"study":"s","study_version":"1"}' | sha256sum
    assert fingerprint(record) == "1989d60cdafba4e44f03af084ad486a1"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 2}, {"x": 2.0}),
        ({"steps": 4}, {"steps": 4.0}),
        ({"lags": (1, 2)}, {"lags": [1.0, 2.0]}),
        ({"x": 0.0}, {"x": -0.0}),
        ({"lags": (0.0,)}, {"lags": (-0.0,)}),
        ({"model": GaussianMixture(alpha=2)}, {"model": GaussianMixture(alpha=2.0)}),
        ({"rule": Gradient(lr=1, batches=Full())}, {"rule": Gradient(lr=1.0, batches=Full())}),
        ({"rule": Gradient(ridge=0.0)}, {"rule": Gradient(ridge=-0.0)}),
        ({"compare": (IID(1),)}, {"compare": (IID(1.0),)}),
    ],
)
def test_two_spellings_of_a_number_are_one_point(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert Ramp(**one).fingerprint(0) == Ramp(**other).fingerprint(0)


@pytest.mark.parametrize(
    "change",
    [
        {"x": 1.0000000000000002},
        {"steps": 4},
        {"flag": True},
        {"word": "a"},
        {"lags": (2.0, 1.0)},
        {"lags": (1.0,)},
        {"model": GaussianMixture(alpha=3.0, noise=0.25)},
        {"rule": Gradient(lr=0.2, batches=IID(fraction=0.3))},
        {"compare": ()},
    ],
)
def test_any_parameter_changes_the_name(change: dict[str, Any]) -> None:
    assert dataclasses.replace(Ramp(), **change).fingerprint(0) != Ramp().fingerprint(0)


def test_seed_version_and_study_change_the_name() -> None:
    record = Ramp().provenance(0)
    names = {fingerprint(record), Ramp().fingerprint(1), Ramp2().fingerprint(0), fingerprint({**record, "study": "other"})}
    assert len(names) == 4


def test_packages_and_company_do_not_change_the_name() -> None:
    record = Ramp().provenance(0)
    assert fingerprint({**record, "environment": {"backend": "gpu"}, "batch": 16}) == fingerprint(record)


@pytest.mark.parametrize(
    "record", [{}, {"engine": "simulate", "seed": 3}, {**json.loads(canonical_json(Ramp().provenance(0))), "seed": "3"}]
)
def test_other_provenance_is_no_point(record: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"not that of a study: it has no (study, study_version|seed)"):
        identity(record)
