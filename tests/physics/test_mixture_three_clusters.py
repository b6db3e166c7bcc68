"""Three clusters and the non-convex door loss."""

from __future__ import annotations

import pytest

import quenched as qd
from tests.physics.mixture_tools import SIMULATION, THEORY, assert_agree, assert_values, mixture

VARIABLES = ["overlap", "norm", "loss", "train_error", "test_error"]
TIMES = [1, 5, 15, 30, 60]
RULES = {
    "descent": qd.dynamics.Gradient(0.2),
    "persistent": qd.dynamics.Gradient(0.2, qd.dynamics.Persistent(0.3, 1.0)),
}
VALUES = {
    "descent": {
        5: {"overlap": 0.868, "norm": 0.872, "loss": 0.5226},
        15: {"overlap": 1.8395, "norm": 3.580, "loss": 0.3165, "test_error": 0.0508},
        30: {"overlap": 2.064, "norm": 4.630, "loss": 0.3011, "test_error": 0.0740},
        60: {"overlap": 2.176, "norm": 5.570, "loss": 0.2920, "test_error": 0.0936},
    },
    "persistent": {
        15: {"overlap": 0.842, "norm": 0.831, "loss": 0.531},
        30: {"overlap": 1.509, "norm": 2.438, "loss": 0.3526, "test_error": 0.0276},
        60: {"overlap": 1.911, "norm": 3.890, "loss": 0.3110, "test_error": 0.0577},
    },
}
RELATIVE = {"descent": 0.01, "persistent": 0.015}


def door(**fields):
    loss = qd.losses.Logistic(output=qd.losses.Door(0.7))
    return mixture(loss, alpha=3.0, noise=0.05, clusters=3, overlap=0.2, **fields)


@pytest.fixture(scope="module", params=["descent", "persistent"])
def solved(request):
    # the escape from the start amplifies what a finite N leaves: at step 15 one run is off by 1.5 % in C
    return request.param, qd.solve(door(), RULES[request.param], steps=60, **{**THEORY, "runs": 64})


@pytest.mark.slow
def test_values(solved):
    name, theory = solved
    assert_values(theory, VALUES[name], dict.fromkeys(VARIABLES, (RELATIVE[name], 0.0)))


@pytest.mark.slow
def test_against_simulation(solved):
    name, theory = solved
    assert_agree(theory, qd.simulate(door(), RULES[name], steps=60, times=TIMES, **SIMULATION), VARIABLES)
