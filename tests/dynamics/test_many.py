"""Several simulations in one call: the same numbers as alone, whatever the company, and errors in their own place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.dynamics.many import batch_width, shape_of, simulate_many
from quenched.dynamics.simulate import simulate
from quenched.dynamics.stops import LossBelow
from quenched.losses import QuadraticHinge
from quenched.models import GaussianMixture
from quenched.numerics.checks import DivergenceError, ParameterError
from quenched.observables.accumulators import WeightMoments
from quenched.observables.gaps import sample_gaps
from quenched.records import provenance, rebuild
from tests.dynamics.engine_models import Multiply, OperatorMixture, Single

# sizes that are no multiples of anything: rows that begin anywhere in memory, vector loops with remainders
ODD = {"steps": 12, "size": 33}


def point(k, alpha=0.53, batches=None, loss=None):
    batches = IID(0.3 + 0.02 * k) if batches is None else batches
    model = GaussianMixture(alpha=alpha, noise=0.3 + 0.05 * k) if loss is None else GaussianMixture(alpha=alpha, loss=loss)
    return model, Gradient(lr=0.1 + 0.01 * k, ridge=0.01 * k, batches=batches)


def many(numbers, width=4, **arguments):
    """Points by number, in this order."""
    points = [point(k) for k in numbers]
    return dict(zip(numbers, simulate_many(points, seeds=list(numbers), width=width, **{**ODD, **arguments}), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"disorder": 3, "replicas": 2, "share_start": True, "two_time": True},
        {"disorder": 9, "final": {"gap": sample_gaps}},
    ],
    ids=["samples one by one", "samples in a block"],
)
def test_company_and_place_do_not_change_a_bit(arguments):
    first = many([0, 1, 2, 3], **arguments)
    for order in ([3, 2, 1, 0], [5, 0, 6, 3], [2], [7, 8, 1]):
        for number, answer in many(order, **arguments).items():
            if number in first:
                xr.testing.assert_identical(answer, first[number])


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 3])
def test_an_answer_is_that_of_its_own_simulation(block):
    arguments = {**ODD, "disorder": 3, "replicas": 2, "share_start": True, "two_time": True, "block": block}
    together = simulate_many([point(k) for k in range(3)], seeds=[0, 1, 2], **arguments)
    for k, answer in enumerate(together):
        alone = simulate(*point(k), seed=k, **arguments)
        assert answer.sizes == alone.sizes
        for name in alone.variables:
            np.testing.assert_allclose(answer[name], alone[name], rtol=1e-4, atol=1e-5, err_msg=name)
            assert answer[name].attrs == alone[name].attrs


@pytest.mark.slow
def test_physical_times_are_those_of_each_point():
    for k, answer in many([0, 3]).items():
        np.testing.assert_allclose(answer["t"], point(k)[1].lr * np.arange(13), atol=1e-12)


def test_provenance_is_that_of_the_own_call_and_the_batch():
    answer = many([1, 2])[2]
    record = provenance(answer)
    assert record.pop("batch") == 4
    assert record == provenance(simulate(*point(2), seed=2, **ODD))
    assert simulate(**rebuild(answer)).sizes == answer.sizes


def test_a_divergence_stands_in_its_own_place():
    calm, wild = (Single(), Multiply(0.5)), (Single(), Multiply(2.0))
    answers = simulate_many([calm, wild, calm], seeds=[0, 1, 2], steps=140, replicas=2)
    assert isinstance(answers[1], DivergenceError)
    assert "step 128 (disorder sample 0, replica 0)" in str(answers[1])
    for seed in (0, 2):
        xr.testing.assert_equal(answers[seed], simulate(*calm, seed=seed, steps=140, replicas=2))


def test_all_may_diverge():
    answers = simulate_many([(Single(), Multiply(2.0))] * 2, seeds=[0, 1], steps=1000)
    assert [type(answer) for answer in answers] == [DivergenceError] * 2


def test_divergences_may_be_recorded():
    points = [(Single(), Multiply(factor)) for factor in (0.5, 2.0)]
    answers = simulate_many(points, seeds=[0, 1], steps=140, on_divergence="record")
    assert [answer["first_bad_step"].item() for answer in answers] == [-1, 128]


@pytest.mark.slow
def test_a_refused_point_stands_in_its_own_place():
    bad = Gradient(lr=0.5, batches=Persistent(fraction=0.3, time=2.0))
    points = [(GaussianMixture(alpha=0.53), rule) for rule in (bad, dataclasses.replace(bad, lr=0.1))]
    seeds = [2**32, 5]
    refused, sound = simulate_many(points, seeds=seeds, **ODD)
    assert isinstance(refused, ParameterError)
    assert "seed must be" in str(refused)
    assert isinstance(sound, xr.Dataset)
    assert [type(answer) for answer in simulate_many(points[:1], seeds=seeds[:1], **ODD)] == [ParameterError]


@pytest.mark.slow
def test_a_point_rests_while_others_move():
    model = GaussianMixture(alpha=0.3, loss=QuadraticHinge(margin=0.5))
    points = [(model, Gradient(lr, Full())) for lr in (0.5, 0.05)]
    arguments = {
        "steps": 1000,
        "size": 40,
        "times": [0, 5, 500, 1000],
        "stop": LossBelow(1e-4, every=2),
        "accumulators": [WeightMoments()],
    }
    answers = simulate_many(points, seeds=[0, 0], **arguments)
    stopped = [answer["stop_step"].item() for answer in answers]
    assert 5 < stopped[0] < stopped[1] < 1000
    for (model, rule), answer in zip(points, answers, strict=True):
        alone = simulate(model, rule, **arguments)
        for name in alone:
            np.testing.assert_allclose(answer[name], alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_disorder_may_hold_what_is_no_array():
    points = [(OperatorMixture(alpha=1.5, noise=noise), Gradient(0.2)) for noise in (0.3, 0.6)]
    answers = simulate_many(points, seeds=[0, 1], steps=4, size=20)
    for (model, rule), seed in zip(points, (0, 1), strict=True):
        alone = simulate(model, rule, seed=seed, steps=4, size=20)
        np.testing.assert_allclose(answers[seed]["loss"], alone["loss"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_double_precision_and_one_point():
    (answer,) = simulate_many([point(1)], seeds=[1], dtype="float64", **ODD)
    assert answer["loss"].dtype == np.float64
    xr.testing.assert_equal(answer, simulate(*point(1), seed=1, dtype="float64", **ODD))
    assert simulate_many([], seeds=[], **ODD) == []


def test_points_must_be_alike():
    for other in (point(1, alpha=0.8), point(1, batches=Full()), point(1, loss=QuadraticHinge())):
        with pytest.raises(ParameterError, match="points of one call must differ in numbers only"):
            simulate_many([point(0), other], seeds=[0, 1], **ODD)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": [1]}, "seeds must be as many as points, 2, got 1"),
        ({"width": 0}, "width must be an integer >= 1"),
        ({"seed": 3}, "seed is an argument of a single simulation"),
        ({"checkpoint": "run.npz"}, "checkpoint is an argument of a single simulation"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        simulate_many([point(0), point(1)], **{"seeds": [0, 1], **ODD, **arguments})
    with pytest.raises(TypeError, match="sises"):
        simulate_many([point(0)], seeds=[0], sises=3, **ODD)


@pytest.mark.slow
def test_new_values_and_seeds_never_recompile(compilations):
    many([0, 1, 2, 3], size=34)
    before = len(compilations)
    assert before > 0
    many([7, 8, 9, 4], size=34)
    assert len(compilations) == before


@pytest.fixture
def compilations():
    import jax

    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: events.append(name) if name == "/jax/core/compile/backend_compile_duration" else None
    )
    return events


def test_shape_is_all_but_the_numbers():
    assert shape_of(point(0)) == shape_of(point(3))
    assert shape_of(point(0)) != shape_of(point(0, batches=Full()))
    assert shape_of(GaussianMixture(clusters=2)) != shape_of(GaussianMixture(clusters=3))
    assert shape_of(np.ones(3)) != shape_of(np.zeros(3))
    assert shape_of({"steps": 3}) != shape_of({"steps": 4})


def test_the_width_follows_from_the_size_alone():
    assert [batch_width(2 * d * d) for d in (10, 100, 200, 300, 500, 1000)] == [16, 16, 4, 2, 1, 1]
