"""The instruments on any ``loss(params, batch)`` and any pytree: exact properties, an independent Jacobian, real digits."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.observables import MeanSquareDisplacement, effective_temperature, fluctuation_response, mean_error

MEASURED = ("half_displacement", "integrated_response", "replica_distance", "norm", "loss")


def network(params, batch):
    """Two layers, tanh, logistic loss."""
    x, y = batch
    hidden = jnp.tanh(x @ params["in"]["w"] + params["in"]["b"])
    return jnp.mean(jax.nn.softplus(-y * (hidden @ params["out"])))


def weights(inputs: int, hidden: int, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    layer = {"w": rng.normal(size=(inputs, hidden)) / inputs**0.5, "b": 0.1 * rng.normal(size=hidden)}
    return {"in": layer, "out": rng.normal(size=hidden) / hidden**0.5}


def digits(hidden: int = 10, train: int = 150) -> qd.models.FromLoss:
    return qd.models.FromLoss(network, weights(64, hidden), qd.data.Digits(train=train, test=50))


def rule(batches: qd.dynamics.AbstractBatches, lr: float = 0.5, **options: float) -> qd.dynamics.Gradient:
    return qd.dynamics.Gradient(lr=lr, batches=batches, normalise_batch=True, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "batches", [qd.dynamics.IID(1.0), pytest.param(qd.dynamics.Persistent(1.0, 2.0), marks=pytest.mark.slow)], ids=str
)
def test_whole_batches_keep_replicas_together(batches: qd.dynamics.AbstractBatches) -> None:
    run = qd.simulate(digits(), rule(batches), steps=20, times=[0, 5, 20], replicas=3, share_start=True)
    assert np.all(run.replica_distance == 0)


@pytest.mark.slow
def test_random_batches_drive_replicas_apart_and_shared_ones_do_not() -> None:
    model, noisy = digits(), rule(qd.dynamics.IID(0.2))
    run = qd.simulate(model, noisy, steps=40, times=[0, 1, 40], replicas=4, share_start=True)
    first, second, last = run.replica_distance.transpose("t", ...).values
    assert np.all(first == 0)
    assert np.all((second > 0) & (second < last))
    shared = qd.simulate(model, noisy, steps=40, times=[40], replicas=4, share_start=True, share_batches=True)
    assert np.all(shared.replica_distance == 0)


# ---- a linear network, written as a pytree, is the single layer


def linear(params, batch):
    x, y = batch
    r = x @ jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(params)]) / x.shape[1] ** 0.5
    return jnp.mean(jax.nn.softplus(-y * r))


def _measure(model, rule, scale: float, **run) -> xr.Dataset:
    probe = qd.dynamics.PerturbationResponse(rule, strength=0.05 * scale, start=10)
    found = qd.simulate(model, probe, steps=25, replicas=3, share_start=True, dtype="float64", seed=7, **run)
    return found[[name for name in MEASURED if name in found]]


@pytest.mark.slow
@pytest.mark.parametrize("batches", [qd.dynamics.IID(0.3), qd.dynamics.Persistent(0.3, 1.0)], ids=str)
def test_a_linear_network_gives_the_numbers_of_the_single_layer(batches: qd.dynamics.AbstractBatches) -> None:
    """A mean over n samples instead of a sum: lr n, ridge/n, T/n, field/n, tau n move the same weights; chi is n times larger."""
    layer = qd.models.SingleLayerData(data=qd.data.Digits(train=100, test=20), start=qd.models.GaussianStart(variance=0.0))
    data = layer.prepare().data
    n, d = data.x.shape
    single = _measure(layer, qd.dynamics.Gradient(lr=0.1, ridge=0.2, batches=batches, temperature=0.01), 1.0)

    slow = qd.dynamics.Persistent(0.3, 1.0 * n) if isinstance(batches, qd.dynamics.Persistent) else batches
    mean = qd.dynamics.Gradient(lr=0.1 * n, ridge=0.2 / n, batches=slow, temperature=0.01 / n)
    pytree = qd.models.FromLoss(linear, {"only": np.zeros(d)}, qd.data.Arrays(data.x, data.y))
    found = _measure(pytree, mean, 1 / n)
    found["integrated_response"] = found.integrated_response / n
    for name in MEASURED:
        np.testing.assert_allclose(found[name].values, single[name].values, rtol=1e-9, atol=1e-13, err_msg=name)
    assert float(found.half_displacement.max()) > 0
    assert np.unique(found.replica_distance.isel(t=-1)).size > 1

    # cut into leaves of other shapes: other random directions and thermal noise, the same batches
    cold, cold_mean = (qd.dynamics.Gradient(lr=r.lr, ridge=r.ridge, batches=r.batches) for r in (mean, mean))
    leaves = {"a": np.zeros((4, 4)), "b": [np.zeros(d - 17), np.zeros(1)]}
    whole = _measure(pytree, cold, 1 / n)
    parts = _measure(qd.models.FromLoss(linear, leaves, qd.data.Arrays(data.x, data.y)), cold_mean, 1 / n)
    for name in set(MEASURED) - {"integrated_response"}:
        np.testing.assert_allclose(parts[name].values, whole[name].values, rtol=1e-9, atol=1e-13, err_msg=name)


# ---- Langevin dynamics in a quadratic valley

STIFF = {"soft": 0.4, "hard": 2.5}
LR, HEAT = 0.2, 0.03


def valley(params, batch):
    return 0.5 * sum(q * jnp.sum(params[name] ** 2) for name, q in STIFF.items()) + 0 * jnp.mean(batch[0])


@pytest.mark.slow
def test_langevin_dynamics_in_a_valley_obeys_the_exact_discrete_formula() -> None:
    """Per mode w' = (1 - lr q) w + sqrt(2 T lr) xi: V = 2T/(q(2 - lr q)), B = V (1 - rho^k), chi = (1 - rho^k)/q, rho = 1 - lr q.

    One mode has B/chi = 2T/(2 - lr q) at every lag; two have the ratio of their averages, T (1 + O(lr)).
    """
    params = {name: np.zeros((20, 15) if name == "soft" else 300) for name in STIFF}
    model = qd.models.FromLoss(valley, params, qd.data.Arrays(np.ones((2, 1)), np.ones(2)))
    probe = qd.dynamics.PerturbationResponse(qd.dynamics.Gradient(lr=LR, temperature=HEAT), start=120)
    lags = np.array([1, 3, 10, 40])
    times = [120, *(120 + lags).tolist()]
    run = qd.simulate(model, probe, steps=160, times=times, replicas=48, dtype="float64", seed=2)
    found = effective_temperature(fluctuation_response(run, lags=lags.tolist()))

    q = np.array(list(STIFF.values()))[:, None]
    rho = (1 - LR * q) ** lags
    b, chi = (2 * HEAT / (q * (2 - LR * q)) * (1 - rho)).mean(0), ((1 - rho) / q).mean(0)
    # the response of a linear system does not know the noise: no statistics in chi
    np.testing.assert_allclose(found.integrated_response.values, chi, rtol=1e-9)
    for name, expected in (("half_displacement", b), ("temperature", b / chi)):
        error = found[f"{name}_error"].values
        # N R = 28800 squares of Gaussians: sqrt(2/28800) = 0.8 %, up to 1.2 % with two variances
        assert np.all(error < 0.016 * expected)
        assert np.all(np.abs(found[name].values - expected) < 4 * error)
    assert np.all(np.abs(b / chi / HEAT - 1) < LR * q.max() / 2 * 1.5)
    assert bool(found.stationary)


# ---- the response of a network against its own Jacobian


@pytest.mark.slow
def test_the_response_of_a_network_is_the_trace_of_its_jacobian() -> None:
    """G(t+1) = (1 - lr H(t)) G(t) + lr, chi = Tr G/N: the matrix that random directions sample, from the Hessian of the loss."""
    start, steps, lr = 5, 25, 0.5
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 4)), np.sign(rng.normal(size=20))
    params = weights(4, 3, seed=1)
    model = qd.models.FromLoss(network, params, qd.data.Arrays(x, y))
    probe = qd.dynamics.PerturbationResponse(qd.dynamics.Gradient(lr=lr), strength=1e-3, start=start)
    run = qd.simulate(model, probe, steps=steps, times=[start, steps], replicas=256, dtype="float64", seed=5)
    mean, error = mean_error(run.integrated_response.isel(t=-1))

    with jax.enable_x64(True):
        w, unravel = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, params))
        energy = jax.jit(lambda v: network(unravel(v), (x, y)))
        gradient, hessian = jax.jit(jax.grad(energy)), jax.jit(jax.hessian(energy))
        g, reference = jnp.zeros((w.size, w.size)), w
        for t in range(steps):
            if t == start:
                reference = w
            if t >= start:
                g = g - lr * hessian(w) @ g + lr * jnp.eye(w.size)
            w = w - lr * gradient(w)
        chi, b = float(jnp.trace(g) / w.size), float(jnp.mean((w - reference) ** 2) / 2)
    np.testing.assert_allclose(run.half_displacement.isel(t=-1).values, b, rtol=1e-9)
    assert error.item() < 0.02 * chi
    assert abs(mean.item() - chi) < 4 * error.item()


# ---- all four instruments on real digits


def _all_instruments(model: qd.models.FromLoss, lr: float, waiting: int, lag: int) -> None:
    noisy = rule(qd.dynamics.IID(0.2), lr=lr, ridge=0.05)
    probe = qd.dynamics.PerturbationResponse(noisy, strength=1e-3, start=waiting)
    lags = [1, lag // 3, lag]
    run = qd.simulate(
        model,
        probe,
        steps=waiting + lag,
        times=[waiting, *(waiting + k for k in lags)],
        replicas=12,
        share_start=True,
        accumulators=[MeanSquareDisplacement(starts=(waiting,), lags=tuple(lags))],
    )
    displaced = run.mean_square_displacement.values[..., 0, :]
    np.testing.assert_allclose(displaced, 2 * run.half_displacement.isel(t=slice(1, None)).values, rtol=1e-5)
    found = effective_temperature(fluctuation_response(run, lags=lags))
    # after one step the field has moved the weights by lr along it, in a network as anywhere
    np.testing.assert_allclose(found.integrated_response.values[0], lr, rtol=1e-3)
    assert np.all(found.temperature > 0)
    assert np.all(np.isfinite(found.temperature_error))
    assert found.temperature[-1] > 5 * found.temperature_error[-1]
    assert np.all(run.replica_distance.isel(t=-1) > 0)
    # the base copy is the run without probe
    alone = qd.simulate(model, noisy, steps=waiting + lag, times=[waiting, waiting + lag], replicas=12, share_start=True)
    np.testing.assert_allclose(run.replica_distance.isel(t=[0, -1]).values, alone.replica_distance.values, rtol=1e-3)


@pytest.mark.slow
def test_all_instruments_on_digits() -> None:
    _all_instruments(digits(), lr=0.5, waiting=40, lag=30)


def _mnist() -> bool:
    folder = os.environ.get("QUENCHED_DATA")
    return bool(folder) and (Path(folder) / "mnist.npz").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not _mnist(), reason="QUENCHED_DATA names no folder with mnist.npz")
def test_all_instruments_on_mnist() -> None:
    data = qd.data.Mnist(positive=(3,), negative=(8,), train=400, test=100)
    _all_instruments(qd.models.FromLoss(network, weights(784, 16), data), lr=0.3, waiting=60, lag=40)
