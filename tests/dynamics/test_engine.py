"""The pure core: differentiable, mappable, and equal to a loop written by hand."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.dynamics import IID, Full, Gradient
from quenched.dynamics.engine import begin, trajectory
from quenched.dynamics.plan import Plan, slots_of
from quenched.models import GaussianMixture
from tests.dynamics.engine_models import Multiply, Pairs, Single, ZeroTemperatureFlip

MODEL = GaussianMixture(alpha=1.5)
SIZES = (30, 20)


def final_loss(lr, key):
    rule = eqx.tree_at(lambda r: r.lr, Gradient(0.1, IID(0.5), ridge=0.1), lr)
    return trajectory(MODEL, rule, key, steps=12, sizes=SIZES, replicas=2, times=[12]).records["loss"].mean()


@pytest.mark.slow
def test_reverse_mode_agrees_with_finite_differences_in_double_precision():
    with jax.enable_x64(True):
        key = jax.random.key(3)
        loss = jax.jit(final_loss)
        h = 1e-4
        slope = float(jax.jit(jax.grad(final_loss))(0.3, key))
        finite = float(loss(0.3 + h, key) - loss(0.3 - h, key)) / (2 * h)
        # central differences: h^2 times a third derivative of order one, and 1e-16/h of rounding
        assert slope == pytest.approx(finite, abs=1e-6)
        assert abs(slope) > 1e-2


@pytest.mark.slow
def test_mapped_over_parameters_and_seeds_equals_single_runs():
    rates = jnp.array([0.1, 0.3])
    keys = jax.random.split(jax.random.key(0), 2)
    mapped = jax.jit(jax.vmap(final_loss))(rates, keys)
    single = [jax.jit(final_loss)(lr, key) for lr, key in zip(rates, keys, strict=True)]
    np.testing.assert_allclose(mapped, single, rtol=1e-5)


def test_full_batch_descent_is_the_loop_written_by_hand():
    with jax.enable_x64(True):
        key = jax.random.key(1)
        run = trajectory(MODEL, Gradient(0.2, Full(), ridge=0.3), key, steps=5, sizes=SIZES, replicas=2, snapshots=True)
        plan = Plan(SIZES, 2, 1, "float64")
        disorder, _, _ = begin(MODEL, Gradient(0.2), plan, key, 0)
        x, y = np.asarray(disorder.x), np.asarray(disorder.y)
        weights = np.asarray(run.records["weights"])
    w = weights[0].copy()
    for k in range(5):
        r = w @ x.T / np.sqrt(20)
        w = w - 0.2 * (0.3 * w + (-y / (1 + np.exp(y * r))) @ x / np.sqrt(20))
        np.testing.assert_allclose(weights[k + 1], w, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_random_numbers_of_a_replica_do_not_depend_on_how_many_there_are():
    few, many = (
        trajectory(Pairs(), ZeroTemperatureFlip(), jax.random.key(5), steps=40, sizes=(30,), replicas=r, snapshots=True)
        for r in (2, 5)
    )
    assert few.records["weights"].dtype == jnp.int8
    np.testing.assert_array_equal(few.records["weights"], many.records["weights"][:, :2])


@pytest.mark.slow
def test_samples_and_seeds_differ():
    first = trajectory(Pairs(), ZeroTemperatureFlip(), jax.random.key(0), steps=1, sizes=(30,), snapshots=True)
    for other in (
        trajectory(Pairs(), ZeroTemperatureFlip(), jax.random.key(0), steps=1, sizes=(30,), snapshots=True, sample=1),
        trajectory(Pairs(), ZeroTemperatureFlip(), jax.random.key(1), steps=1, sizes=(30,), snapshots=True),
    ):
        assert np.any(np.asarray(first.records["weights"]) != np.asarray(other.records["weights"]))


@pytest.mark.slow
def test_energy_never_rises_at_zero_temperature():
    run = trajectory(Pairs(), ZeroTemperatureFlip(), jax.random.key(2), steps=200, sizes=(30,), replicas=3)
    assert np.all(np.diff(run.records["energy"], axis=0) <= 1e-5)


def test_divergence_is_carried_as_the_exact_step():
    # 2^k leaves float32 at k = 128
    run = trajectory(Single(), Multiply(), jax.random.key(0), steps=140, sizes=(), replicas=2, times=[0])
    assert run.first_bad.tolist() == [128, 128]


def test_slots_name_the_row_of_each_observed_step():
    assert slots_of(np.array([0, 3, 4, 9]), 2, 6, 5).tolist() == [0, 1, -1, -1, -1]
