"""Replicas with rules of their own, the limit of small learning rates, and solving to a requested error."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import quenched as qd
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.observables import mean_error

MIXTURE = qd.models.GaussianMixture(alpha=2.0, noise=0.5)
GD = qd.dynamics.Gradient(lr=0.2, ridge=0.1)
SGD = dataclasses.replace(GD, batches=qd.dynamics.IID(fraction=0.3))
LASTING = dataclasses.replace(GD, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))


@pytest.mark.slow
def test_the_first_replica_is_the_answer_of_solve_bit_for_bit() -> None:
    options = {"steps": 10, "samples": 256, "runs": 2, "seed": 4}
    both = qd.solve_replicas(MIXTURE, [SGD, LASTING], **options)
    alone = qd.solve(MIXTURE, SGD, method="sampled", two_time=False, **options)
    for name in ("overlap", "norm", "loss"):
        np.testing.assert_array_equal(both[name].isel(rule=0), alone[name])


@pytest.mark.slow
def test_replicas_of_one_rule_are_those_of_solve_and_equal_starts_give_no_distance() -> None:
    options = {"steps": 30, "samples": 4096, "runs": 6}
    pair = qd.solve_replicas(MIXTURE, [SGD, SGD], seed=1, **options)
    two = qd.solve(MIXTURE, SGD, replicas=2, method="sampled", two_time=False, seed=2, **options)
    (a, ea), (b, eb) = (mean_error(x) for x in (pair["replica_distance"].isel(rule=0, rule_prime=1), two["replica_distance"]))
    assert float(a[0]) == 0.0
    np.testing.assert_array_less(np.abs(a - b)[1:], 6 * np.hypot(ea, eb)[1:])
    same = qd.solve_replicas(MIXTURE, [GD, GD], steps=10, samples=256, runs=2)
    assert float(same["replica_distance"].max()) == 0.0


@pytest.mark.slow
def test_different_rules_agree_with_direct_simulation() -> None:
    """Overlap of the weights of GD and SGD on the same data, by theory, and by simulation of each on one data set."""
    theory = qd.solve_replicas(MIXTURE, [GD, SGD], steps=20, samples=4096, runs=6, seed=3)
    options = {"steps": 20, "size": 1000, "disorder": 24, "times": [20], "record_weights": True, "seed": 5}
    w = [qd.simulate(MIXTURE, rule, **options)["weights"] for rule in (GD, SGD)]
    found = ((w[0] - w[1]) ** 2).mean("component" if "component" in w[0].dims else w[0].dims[-1]).squeeze()
    (a, ea), (b, eb) = mean_error(theory["replica_distance"].isel(rule=0, rule_prime=1, t=-1)), mean_error(found)
    print(float(a), float(ea), float(b), float(eb))
    assert abs(float(a - b)) < 5 * float(np.hypot(ea, eb))


def test_bad_lists_of_rules_are_refused() -> None:
    with pytest.raises(ParameterError, match="two or more, got 1"):
        qd.solve_replicas(MIXTURE, [GD], steps=2)
    with pytest.raises(IncompatibleError, match=r"rules\[1\]: the sampled solver needs a Gradient rule"):
        qd.solve_replicas(MIXTURE, [GD, qd.dynamics.PerturbationResponse(GD, start=1)], steps=2)


def test_the_limit_of_small_learning_rates_of_the_square_loss_is_the_flow() -> None:
    """The deterministic solver at lr, lr/2, lr/4 against lr/64: the error of the extrapolation is of third order."""
    model = dataclasses.replace(MIXTURE, loss=qd.losses.Square())
    limit = qd.continuous_limit(model, GD, time=4.0, times=[1.0, 4.0])
    fine = qd.solve(model, dataclasses.replace(GD, lr=0.2 / 64), steps=20 * 64, times=[5 * 64, 20 * 64], two_time=False)
    # at lr/64 the solver is itself off by a 64th of the error at lr
    for name in ("overlap", "norm"):
        off = np.abs(limit[f"{name}_at"].isel(lr=0) - fine[name])
        assert np.all(np.abs(limit[name] - fine[name]) < 0.05 * off)
    np.testing.assert_allclose(limit["t"], [1.0, 4.0])


def test_what_has_no_such_limit_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="IID batches have no continuous-time limit"):
        qd.continuous_limit(MIXTURE, SGD, time=1.0)
    with pytest.raises(ParameterError, match=r"time must be a multiple of lr=0\.2"):
        qd.continuous_limit(MIXTURE, GD, time=0.3)
    with pytest.raises(ParameterError, match="not steps"):
        qd.continuous_limit(MIXTURE, GD, time=1.0, steps=3)


@pytest.mark.slow
def test_the_requested_error_is_reached() -> None:
    found = qd.solve_to_error(MIXTURE, LASTING, variable="overlap", error=2e-3, steps=20, seed=2)
    _, error = mean_error(found["overlap"])
    assert float(error.max()) <= 2e-3 == found.attrs["requested_error"]
    assert found.attrs["reached_error"] == pytest.approx(float(error.max()))
    exact = qd.solve_to_error(dataclasses.replace(MIXTURE, loss=qd.losses.Square()), GD, variable="norm", error=1e-9, steps=5)
    assert exact.attrs["reached_error"] == 0.0


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ParameterError, match="chooses samples itself"):
        qd.solve_to_error(MIXTURE, LASTING, variable="norm", error=0.1, steps=2, samples=64)
    with pytest.raises(ParameterError, match="error must be > 0"):
        qd.solve_to_error(MIXTURE, LASTING, variable="norm", error=0.0, steps=2)
