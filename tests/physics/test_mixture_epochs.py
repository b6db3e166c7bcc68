"""Batches without replacement, and how far two replicas drift apart."""

from __future__ import annotations

import pytest

import quenched as qd
from tests.physics.mixture_tools import assert_agree, assert_values, at, mixture

STEPS = 60


def model():
    return mixture(qd.losses.QuadraticHinge(margin=1.0), alpha=0.5, noise=0.5, variance=1.0)


@pytest.fixture(scope="module")
def epochs():
    # alpha < 1 without ridge: the response does not decay, and the exact one keeps its Monte-Carlo error from piling up
    rule = qd.dynamics.Gradient(0.2, qd.dynamics.Epochs(0.25))
    theory = qd.solve(model(), rule, steps=STEPS, samples=4096, runs=8, replicas=2, response="exact", two_time=False)
    return rule, theory


@pytest.mark.slow
def test_epochs_values(epochs):
    """Known to two digits (m, loss, 5 %) and to one (the distances: half a unit of that digit)."""
    theory = epochs[1]
    assert_values(theory, {60: {"overlap": 0.50, "loss": 0.028}}, {"overlap": (0.05, 0.0), "loss": (0.05, 0.0)})
    expected = {30: {"replica_distance": 1e-3}, 60: {"replica_distance": 4e-5}}
    assert_values(theory, {30: expected[30]}, {"replica_distance": (0.0, 0.5e-3)})
    assert_values(theory, {60: expected[60]}, {"replica_distance": (0.0, 0.5e-5)})


@pytest.mark.slow
def test_epochs_against_simulation(epochs):
    """At epoch ends (multiples of 4) and within epochs."""
    rule, theory = epochs
    sizes = {"size": 1000, "disorder": 16, "replicas": 4, "seed": 6, "share_start": True}
    experiment = qd.simulate(model(), rule, steps=STEPS, times=[1, 4, 5, 20, 30, 40, 58, 60], **sizes)
    assert_agree(theory, experiment, ["overlap", "norm", "loss", "train_error", "test_error", "replica_distance"])


@pytest.mark.slow
def test_independent_batches_are_far_noisier(epochs):
    """9e-3 at b = 0.3, hundreds of times the distance at the end of an epoch."""
    rule = qd.dynamics.Gradient(0.2, qd.dynamics.IID(0.3))
    theory = qd.solve(model(), rule, steps=STEPS, samples=4096, runs=8, replicas=2, response="exact", two_time=False)
    assert_values(theory, {60: {"replica_distance": 9e-3}}, {"replica_distance": (0.0, 0.5e-3)})
    assert at(theory, 60, "replica_distance")[0] > 100 * at(epochs[1], 60, "replica_distance")[0]
    sizes = {"size": 1000, "disorder": 16, "replicas": 4, "seed": 6, "share_start": True}
    experiment = qd.simulate(model(), rule, steps=STEPS, times=[1, 5, 20, 60], **sizes)
    assert_agree(theory, experiment, ["overlap", "norm", "loss", "replica_distance"])
