"""Top eigenvalue and trace of the Hessian inside an engine, against the dense matrix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from quenched.data import Digits
from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.models import TwoLayerNetwork
from quenched.observables import sharpness as sharp


def test_against_the_dense_hessian() -> None:
    model = TwoLayerNetwork(data=Digits(train=40, test=10), width=2).prepare()
    with jax.enable_x64(True):
        disorder = model.sample(jax.random.key(0), model.sizes(None), jnp.float64)
        weights = model.initial(jax.random.key(1), disorder)
        flat, back = ravel_pytree(weights)
        dense = np.asarray(jax.hessian(lambda w: jnp.mean(model.losses(back(w), disorder)))(flat))
        top, trace = sharp.sharpness(model, weights, disorder), sharp.hessian_trace(model, weights, disorder)
    assert float(top) == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-6)
    # Hutchinson's error with random signs: sqrt(2 sum of squares off the diagonal / probes)
    error = np.sqrt(2 * np.sum((dense - np.diag(np.diag(dense))) ** 2) / sharp.PROBES)
    assert abs(float(trace) - np.trace(dense)) < 4 * error


def test_at_the_end_of_a_simulation() -> None:
    model = TwoLayerNetwork(data=Digits(train=40, test=10), width=2)
    rule = Gradient(lr=0.5, batches=Minibatch(8))
    final = {"sharpness": sharp.sharpness, "hessian_trace": sharp.hessian_trace}
    run = simulate(model, rule, steps=5, replicas=3, final=final)
    assert run.sharpness.dims == ("disorder", "replica")
    assert np.all(np.isfinite(run.sharpness))
    assert np.all(run.hessian_trace > 0)
