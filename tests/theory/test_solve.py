"""The front door of the theory: which solver, what is refused, bad arguments, divergence, memory."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quenched.dynamics import IID, Fresh, Gradient, Momentum, Optax, Persistent, Spherical
from quenched.losses import Door, Hinge, Logistic, Square
from quenched.models import FromLoss, GaussianMixture, TwoLayerNetwork
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError, QuenchedWarning
from quenched.records.datasets import provenance, rebuild
from quenched.theory import solve
from quenched.theory.sampled.options import memory_estimate
from quenched.theory.sampled.process import Plan
from quenched.theory.solve import choose
from tests.theory.sampled_systems import two_clusters

SMALL = {"steps": 5, "samples": 64, "runs": 2}
RULE = Gradient(0.2)


@pytest.mark.parametrize(
    ("model", "rule", "name"),
    [
        (two_clusters(Square()), Gradient(0.2, batches=IID(0.3)), "oracle"),
        (two_clusters(Square()), Gradient(0.2, transform=Momentum(0.5)), "sampled"),
        (two_clusters(Square()), Gradient(0.2, batches=Persistent(0.3, 1.0)), "sampled"),
        (two_clusters(), Gradient(0.2, batches=Fresh()), "sampled"),
        (two_clusters(), Gradient(0.2, constraint=Spherical()), "sampled"),
        (GaussianMixture(clusters=3, noise=0.05, loss=Logistic(output=Door())), RULE, "sampled"),
    ],
)
def test_the_first_solver_that_covers_the_system(model, rule, name):
    assert choose(model, rule) == name


def test_gaps_need_samples():
    assert choose(two_clusters(Square()), RULE, gaps=True) == "sampled"


@pytest.mark.parametrize(
    ("model", "rule", "words"),
    [
        (
            two_clusters(),
            Gradient(0.2, transform=Optax("adam")),
            "sampled solver needs the Plain or Momentum transform, got Optax",
        ),
        (two_clusters(Hinge()), RULE, "continuous slope, got Hinge"),
        (TwoLayerNetwork.__new__(TwoLayerNetwork), RULE, "Gaussian single-layer model, got TwoLayerNetwork"),
        (FromLoss.__new__(FromLoss), RULE, "Gaussian single-layer model, got FromLoss"),
    ],
)
def test_refusals_name_the_reason_of_every_solver(model, rule, words):
    with pytest.raises(IncompatibleError, match=words) as caught:
        choose(model, rule)
    assert "oracle: the oracle needs" in str(caught.value)
    assert "sampled: the sampled solver needs" in str(caught.value)


def test_a_forced_solver_gives_its_own_reason():
    with pytest.raises(IncompatibleError, match="oracle needs the Square loss") as caught:
        solve(two_clusters(), RULE, steps=5, method="oracle")
    assert "sampled" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, "steps must be an integer >= 1, got 0"),
        ({"samples": 1}, "samples must be an integer >= 16, got 1"),
        ({"samples": 1000}, "samples must be a power of two"),
        ({"runs": 0}, "runs must be an integer >= 1"),
        ({"replicas": 0}, "replicas must be an integer >= 1"),
        ({"probes": 0}, "probes must be an integer >= 1"),
        ({"response": "adjoint"}, "response must be one of 'probe', 'exact', 'none'"),
        ({"response": "exact", "response_samples": 128}, "response_samples must be <= samples=64, got 128"),
        ({"times": [0, 9]}, "times"),
        ({"seed": -1}, "seed must be an integer with 0 <= seed"),
        ({"method": "mean-field"}, "method must be one of"),
        ({"trajectories": 3}, "unknown option trajectories; the options are samples"),
        ({"memory_budget": 1e4}, "memory_budget must be at least"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ParameterError, match=words):
        solve(two_clusters(), RULE, **{**SMALL, **arguments})


def test_the_oracle_takes_no_options():
    with pytest.raises(ParameterError, match="oracle takes no options, got runs"):
        solve(two_clusters(Square()), RULE, steps=5, method="oracle", runs=3)
    assert "disorder" not in solve(two_clusters(Square()), RULE, steps=5, runs=3).dims


def test_memory_estimate_grows_with_what_it_counts():
    plan = Plan(rows=64, slots=64, samples=1024)
    base = memory_estimate(plan, 4, fresh=False)
    # at least the history and the snapshots: five lanes of 64 x 1024 floats
    assert base > 4 * 5 * 64 * 1024
    assert memory_estimate(Plan(rows=64, slots=64, samples=1024, exact=1024), 4, fresh=False) > 4 * 64 * 64 * 1024
    assert memory_estimate(Plan(rows=64, slots=64, samples=1024, two_time=False), 4, fresh=False) < base
    assert memory_estimate(plan, 4, fresh=True) < base
    with pytest.raises(ParameterError, match="lower response_samples, samples"):
        solve(two_clusters(), RULE, steps=500, samples=16384, response="exact")


def test_divergence_names_the_step():
    with pytest.warns(QuenchedWarning), pytest.raises(DivergenceError, match=r"not finite at step \d+ of 200"):
        solve(two_clusters(Square()), Gradient(20.0), steps=200, samples=64, runs=1, method="sampled")


def test_one_shape_of_answer():
    ds = solve(two_clusters(), Gradient(0.2, batches=IID(0.3)), replicas=2, final_gaps=True, **SMALL)
    for name in ("overlap", "norm", "loss", "train_error", "test_error", "replica_distance"):
        assert ds[name].dims == ("disorder", "t")
        assert ds[name].attrs["symbol"]
    for name in ("correlation", "replica_correlation", "response", "response_kernel", "noise_kernel"):
        assert ds[name].dims == ("disorder", "t", "t_prime")
        assert ds[name].dtype == np.float64
    assert ds.gap.shape == (2, 2 * 64)
    certificate = json.loads(ds.attrs["certificate"])
    assert certificate["method"] == "sampled"
    assert certificate["samples"] == 64
    assert provenance(ds)["engine"] == "solve"
    again = solve(**rebuild(ds))
    np.testing.assert_array_equal(again.overlap, ds.overlap)
    assert "response" not in solve(two_clusters(), RULE, response="none", **SMALL)


class MeanLoss(GaussianMixture):
    """An energy of its own, which no solver knows."""

    def loss_scale(self, samples: int) -> float:
        return 1.0 / samples


def test_an_energy_of_ones_own_is_refused():
    with pytest.raises(IncompatibleError, match="loss_scale"):
        solve(MeanLoss(), RULE, steps=2)


@pytest.mark.parametrize("method", ["oracle", "sampled"])
def test_times_must_be_integers(method):
    with pytest.raises(ParameterError, match="times"):
        solve(GaussianMixture(loss=Square()), Gradient(0.2), steps=4, method=method, times=[0.9, 2.7])


def test_probes_of_an_exact_response_are_refused():
    with pytest.raises(ParameterError, match="probes"):
        solve(GaussianMixture(), RULE, steps=2, method="sampled", response="exact", probes=4)
