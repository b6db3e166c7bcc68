"""The rule: what optax alone would do, seen by the engine."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

import quenched as qd
from quenched.dynamics import BBI, ECDSep, EnergyConserving, Minibatch, PowerLawDecay, Reshuffled
from quenched.models.landscape import DoubleWell, Harmonic
from quenched.models.on_landscape import OnLandscape
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.optimizers import bbi, ecd_sep
from quenched.records.description import build, describe
from tests.optimizers.runs import run

MODEL = OnLandscape(landscape=Harmonic(), start=(1.0,), count=64)
WELL = DoubleWell()
NO_BOUNCES = {"fixed_interval": None, "progress_interval": None}


@pytest.mark.parametrize(
    ("optimiser", "make", "options"),
    [
        (BBI, bbi, {"offset": -0.1, "extra_energy": 0.3, **NO_BOUNCES}),
        pytest.param(
            ECDSep, ecd_sep, {"offset": -0.1, "extra_energy": 0.3, "exponent": 1.3, "noise": 0.0}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_is_that_of_the_optimiser(optimiser, make, options: dict) -> None:
    model = OnLandscape(landscape=WELL, count=16)
    rule = EnergyConserving(0.05, optimiser(**options), ridge=0.1)
    model = dataclasses.replace(model, start=(-0.5,))
    ds = qd.simulate(model, rule, steps=30, dtype="float64", times=range(31))
    plain = run(lambda x: WELL.potential(x) + 0.05 * jnp.sum(x**2), [-0.5], make(0.05, **options), 30)
    np.testing.assert_allclose(ds.position.values[0, 0, :30, 0], plain.path[:, 0], rtol=1e-7)
    np.testing.assert_allclose(ds.potential_energy.values[0, 0, 1:], plain.losses + 0.1, rtol=1e-7)
    np.testing.assert_allclose(ds.best_loss.values[0, 0, 1:], np.minimum.accumulate(plain.losses), rtol=1e-7)
    energy = ds.conserved_energy.values[0, 0, 1:]
    np.testing.assert_allclose(energy, float(plain.state.energy), rtol=1e-7)
    assert 0 < np.max(np.abs(ds.energy_drift.values)) < 0.2
    np.testing.assert_allclose(ds.t, 0.05 * np.arange(31))


def test_bounces_differ_between_replicas_and_are_counted() -> None:
    rule = EnergyConserving(0.01, BBI(offset=-0.1, extra_energy=0.3, fixed_interval=10, fixed_bounces=3))
    model = OnLandscape(landscape=qd.models.landscape.Channel(), start=(-1.0, 0.3), count=16)
    ds = qd.simulate(model, rule, steps=40, replicas=3, times=[0, 11, 22, 33, 40])
    np.testing.assert_array_equal(ds.bounces.values[0], [[0, 1, 2, 3, 3]] * 3)
    ends = ds.position.values[0, :, -1]
    assert np.ptp(ends[:, 0]) > 1e-3


def test_an_offset_above_the_minimum_freezes() -> None:
    ds = qd.simulate(MODEL, EnergyConserving(0.1, BBI(offset=0.05, **NO_BOUNCES)), steps=60)
    assert ds.frozen.values[0, 0, -1] == 1
    assert ds.position.values[0, 0, -1, 0] == ds.position.values[0, 0, -2, 0]
    assert ds.best_loss.values[0, 0, -1] == pytest.approx(0.5 * float(ds.position.values[0, 0, -1, 0]) ** 2, rel=1e-4)


def test_minibatches() -> None:
    """V is the loss of the batch, E that of the first one."""
    rule = EnergyConserving(0.02, BBI(offset=-10.0, **NO_BOUNCES), Reshuffled(8))
    ds = qd.simulate(MODEL, rule, steps=50, times=range(51))
    assert np.ptp(ds.potential_energy.values[0, 0, 1:]) > 0
    np.testing.assert_allclose(ds.conserved_energy.values[0, 0, 1:], ds.potential_energy.values[0, 0, 1], rtol=1e-5)


@pytest.mark.slow
def test_the_gradient_rule_takes_the_optimiser_too() -> None:
    rule = EnergyConserving(0.05, BBI(offset=-0.1, extra_energy=0.3, **NO_BOUNCES), ridge=0.2)
    moved = [qd.simulate(MODEL, r, steps=20, dtype="float64") for r in (rule, rule.core)]
    np.testing.assert_allclose(moved[0].position, moved[1].position, rtol=1e-12)


def test_a_rule_survives_its_description_and_takes_schedules() -> None:
    rule = EnergyConserving(PowerLawDecay(0.1), ECDSep(exponent=1.2, offset=-1), Minibatch(4), ridge=0.1)
    assert build(describe(rule)) == rule
    bounced = EnergyConserving(0.1, BBI(fixed_interval=None))
    assert build(describe(bounced)) == bounced
    rates = np.diff(rule.times(5))
    np.testing.assert_allclose(rates, [0.1 * (1 + t / 20) ** -0.5 for t in range(5)])


def test_refusals() -> None:
    with pytest.raises(ParameterError, match="lr must be > 0"):
        EnergyConserving(0.0)
    with pytest.raises((ParameterError, TypeCheckError), match="optimiser"):
        EnergyConserving(0.1, "bbi")
    with pytest.raises(ParameterError, match="extra_energy must be >= 0"):
        BBI(extra_energy=-1.0)
    with pytest.raises(ParameterError, match="progress_interval must be"):
        BBI(progress_interval=0)
    with pytest.raises(ParameterError, match="bounce must be one of"):
        BBI(bounce="sphere")
    with pytest.raises(ParameterError, match="exponent must be >= 1"):
        ECDSep(exponent=0.0)
    with pytest.raises(IncompatibleError, match="EnergyConserving needs given data"):
        EnergyConserving(batches=qd.dynamics.Fresh()).check(qd.models.GaussianMixture())
    with pytest.raises(IncompatibleError, match="EnergyConserving needs a model with a loss"):
        EnergyConserving().check(qd.models.Hopfield())
