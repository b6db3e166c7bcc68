"""SGD itself, minibatches of a finite sum, against the Fokker-Planck solvers and the transfer operator (arXiv:2112.00987)."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.dynamics import Gradient, Minibatch, Momentum, Plain
from quenched.dynamics.arrival import Arrived
from quenched.dynamics.simulate import simulate
from quenched.models import landscape as land
from quenched.models.on_landscape import AdditiveNoise, OnLandscape
from quenched.observables.wells import arrival_rate, population_rate
from quenched.theory import fokker_planck as fp

WELL = land.DoubleWell()
TOP = -0.200434
T = 0.08


def chains(eta: float, beta: float, steps: int, replicas: int, **arguments: object) -> xr.Dataset:
    """Batches of four samples whose noise makes T = 0.08, from the sharp minimum."""
    variance = 2 * T * 4 * (1 - beta) / eta
    model = OnLandscape(WELL, AdditiveNoise(variance), count=16384)
    rule = Gradient(lr=eta, batches=Minibatch(4), transform=Momentum(beta) if beta else Plain())
    return simulate(model, rule, steps=steps, replicas=replicas, **arguments)


def beyond(run: xr.Dataset) -> np.ndarray:
    return run.position.values[0, :, :, 0] > TOP


@pytest.mark.slow
def test_populations_follow_the_transfer_operator() -> None:
    """8000 runs at eta = 0.1, and the operator's own fractions at t = 16, 44, 100."""
    steps = [160, 440, 1000]
    found = beyond(chains(0.1, 0.0, 1000, 8000, times=steps, seed=1)).mean(axis=0)
    operator = fp.transfer(WELL, fp.Temperature.at(T, 0.1), -2.2, 2.6, 700)
    start = (np.arange(700) == np.argmin(np.abs(operator.x + 1))).astype(float)
    exact = [(np.linalg.matrix_power(operator.matrix, k) @ start)[operator.x > TOP].sum() for k in steps]
    np.testing.assert_allclose(exact, [0.1377, 0.3190, 0.5157], atol=2e-3)
    error = np.sqrt(np.multiply(exact, np.subtract(1, exact)) / 8000)
    assert np.all(np.abs(found - exact) < 4 * error)
    # the Fokker-Planck equation knows no eta, and is late
    process = fp.line(WELL, T, -2.3, 2.7, 800)
    late = fp.masses(process, fp.relax(process, -1.0, [100.0]).density.values[0] * process.width, TOP)[1]
    assert exact[-1] > late
    assert abs(found[-1] - exact[-1]) < abs(found[-1] - late)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("eta", "beta", "steps", "rate", "gap"),
    [
        (0.1, 0.0, 2000, 0.0160, 0.013712),
        (0.1, 0.5, 1200, 0.0127, 0.011353),
        (0.1, 0.9, 800, 0.00304, 0.002977),
        (0.01, 0.9, 3000, 0.00806, 0.008550),
    ],
)
def test_momentum_slows_the_escape_of_particles(eta: float, beta: float, steps: int, rate: float, gap: float) -> None:
    """The rate of an exponential through the population, per unit of t' = eta k/(1 - beta), and the gap of the kinetic equation.

    What is left are finite eta and the fit of one exponential from t = 0.
    """
    times = np.linspace(steps // 20, steps, 20).astype(int)
    run = chains(eta, beta, steps, 8000, times=times, seed=2)
    found = population_rate(times * eta / (1 - beta), beyond(run), amplitude=1.0, time_unit="t_prime")
    assert float(found.relaxation_rate) == pytest.approx(rate, rel=0.15)
    assert float(found.relaxation_rate) == pytest.approx(gap, rel=0.15)


@pytest.mark.slow
def test_arrivals_at_the_other_minimum_take_the_exact_passage_time() -> None:
    """A small learning rate, 0.02: first visits of a ball around the flat minimum, at the rate of one over the mean time."""
    steps = 20_000
    run = chains(0.02, 0.0, steps, 1000, times=[steps], stop=Arrived(1.0, 0.1), seed=3)
    found = arrival_rate(run.stop_step, steps, 0.02, "eta_k")
    passage = fp.mean_first_passage(WELL, T, -1.0, 0.9, far=-2.3)
    # two per cent of finite learning rate: the ball is entered between two steps
    assert abs(float(found.arrival_rate) * passage - 1) < 0.02 + 4 * float(found.arrival_rate_error) * passage
