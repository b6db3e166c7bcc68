"""Phase retrieval on the sphere: heavy tails, non-convex loss, projection after every step."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from tests.physics.mixture_tools import SIMULATION, assert_agree, assert_values

# curvatures 3 r^2 - y of both signs and without bound: sign probes have eight times the error of the exact response here
EXACT = {"samples": 8192, "runs": 16, "response": "exact"}


def system(batches, lr=0.02):
    model = qd.models.PhaseRetrieval(alpha=3.0, start=qd.models.SphericalStart(0.5))
    return model, qd.dynamics.Gradient(lr, batches, constraint=qd.dynamics.Spherical())


@pytest.fixture(scope="module")
def descent():
    model, rule = system(qd.dynamics.Full())
    return model, rule, qd.solve(model, rule, steps=60, two_time=False, **EXACT)


@pytest.mark.slow
def test_descent_values(descent):
    theory = descent[2]
    expected = {10: {"overlap": 0.740}, 30: {"overlap": 0.888}, 59: {"overlap": 0.957}}
    assert_values(theory, expected, {"overlap": (0.01, 0.0)})
    np.testing.assert_allclose(theory["norm"], 1.0, rtol=1e-6)


@pytest.mark.slow
def test_descent_against_simulation(descent):
    model, rule, theory = descent
    experiment = qd.simulate(model, rule, steps=60, times=[1, 10, 30, 59], **SIMULATION)
    np.testing.assert_allclose(experiment["norm"], 1.0, rtol=1e-5)
    assert_agree(theory, experiment, ["overlap", "loss"])


@pytest.mark.slow
def test_persistent_sgd_against_simulation():
    model, rule = system(qd.dynamics.Persistent(0.5, 0.2))
    theory = qd.solve(model, rule, steps=60, two_time=True, **EXACT)
    experiment = qd.simulate(model, rule, steps=60, times=[1, 10, 30, 59], two_time=True, **SIMULATION)
    assert_agree(theory, experiment, ["overlap", "loss"])
    # C(t,t) = 1 has no statistical error: the off-diagonal only
    z = qd.observables.compare(theory, experiment, "correlation").z.values
    print(np.round(z, 2))
    assert np.abs(z[np.triu_indices(4, 1)]).max() < 4
