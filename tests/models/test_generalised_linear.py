"""Logistic and linear regression with weight decay."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.data import Arrays, GaussianTeacher
from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.losses import Square
from quenched.models import GeneralisedLinear
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.observables import minimum


def test_descent_ends_in_the_ridge_estimator() -> None:
    model = GeneralisedLinear(GaussianTeacher(dimension=5, labels="numbers"), Square(), decay=0.1)
    run = simulate(model, Gradient(lr=0.3), steps=400, times=[400], record_weights=True, dtype="float64")
    arrays = model.data.load()
    exact = np.linalg.solve(arrays.x.T @ arrays.x / 400 + 0.1 * np.eye(5), arrays.x.T @ arrays.y / 400)
    np.testing.assert_allclose(run.weights.values[0, 0, 0], exact, atol=1e-9)
    train, test = model.functions()
    np.testing.assert_allclose(minimum(train, np.zeros(5)).position, exact, atol=1e-9)
    assert float(run.loss[0, 0, 0]) == pytest.approx(np.mean((arrays.y - arrays.x @ exact) ** 2) / 2 + 0.05 * exact @ exact)
    with jax.enable_x64(True):
        assert float(run.test_loss[0, 0, 0]) == pytest.approx(float(test(jnp.asarray(exact))), rel=1e-9)


def test_noise_and_curvature_are_those_of_the_samples() -> None:
    model = GeneralisedLinear()
    w = np.linspace(-1, 1, 8)
    arrays = model.data.load()
    gradients = -(arrays.y / (1 + np.exp(arrays.y * (arrays.x @ w))))[:, None] * arrays.x + 0.01 * w
    np.testing.assert_allclose(model.noise(w), np.cov(gradients.T, bias=True), rtol=1e-9)
    with jax.enable_x64(True):
        hessian = np.asarray(jax.hessian(model.functions()[0])(jnp.asarray(w)))
    assert np.linalg.eigvalsh(hessian)[-1] < model.largest_curvature()


def test_every_replica_starts_where_it_is_told() -> None:
    model = GeneralisedLinear(GaussianTeacher(dimension=2), start=(0.5, -1.0))
    run = simulate(model, Gradient(lr=0.1, batches=Minibatch(4)), steps=1, times=[0], replicas=2, record_weights=True)
    np.testing.assert_allclose(run.weights.values[0, :, 0], [[0.5, -1.0]] * 2)
    with pytest.warns(QuenchedWarning, match="lr is large"):
        simulate(model, Gradient(lr=5.0), steps=1)


def test_bad_values() -> None:
    with pytest.raises(ParameterError, match="decay must be >= 0"):
        GeneralisedLinear(decay=-1.0)
    with pytest.raises(ParameterError, match="start must have 8 coordinates, got 3"):
        GeneralisedLinear(start=(0.0, 1.0, 2.0)).prepare()
    with pytest.raises(ParameterError, match=r"y must be \+-1 for the loss Logistic"):
        GeneralisedLinear(Arrays(np.ones((3, 2)), np.arange(3.0))).prepare()
    assert GeneralisedLinear(Arrays(np.ones((3, 2)), np.ones(3))).functions()[1] is None
