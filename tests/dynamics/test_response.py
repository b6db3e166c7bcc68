"""Perturbation response: exact on a quadratic energy, linear, coupled to the same noise, refused where there is no field."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.response import PerturbationResponse, linearity
from quenched.models.base import AbstractLossModel
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.observables import effective_temperature, fluctuation_response
from quenched.records.description import build, describe

LR, START, STEPS, N = 0.1, 5, 25, (40, 60)


class Quadratic(AbstractLossModel):
    """E = q_a |a|^2/2 + q_b |b|^2/2 on a pytree: chi is known whatever the random direction."""

    stiffness: tuple[float, float] = eqx.field(default=(0.5, 3.0))

    def sizes(self, size: int | None) -> tuple[int, ...]:
        return N

    def sample(self, key: Any, sizes: tuple[int, ...], dtype: Any) -> Any:
        return jnp.zeros(sizes[0], dtype), jnp.zeros(sizes[1], dtype)

    def initial(self, key: Any, disorder: Any) -> Any:
        return {"a": jax.random.normal(key, disorder[0].shape, disorder[0].dtype), "b": disorder[1] + 1}

    def losses(self, weights: Any, disorder: Any) -> Any:
        qa, qb = self.stiffness
        return 0.5 * (qa * jnp.sum(weights["a"] ** 2) + qb * jnp.sum(weights["b"] ** 2))[None]

    def samples(self, disorder: Any) -> int:
        return 1


class Shuffle(AbstractDynamics):
    """A dynamics without external field."""

    def init(self, model: Any, weights: Any, disorder: Any, key: Any) -> Any:
        return weights

    def step(self, model: Any, state: Any, disorder: Any, key: Any) -> Any:
        return state

    def weights(self, state: Any) -> Any:
        return state


def exact(q: float, k: np.ndarray) -> np.ndarray:
    return (1 - (1 - LR * q) ** np.maximum(k, 0)) / q


@pytest.fixture(scope="module")
def langevin() -> Any:
    rule = qd.dynamics.Gradient(lr=LR, temperature=0.04)
    probe = PerturbationResponse(rule, start=START)
    return qd.simulate(Quadratic(), probe, steps=STEPS, replicas=3, seed=1, dtype="float64", record_weights=True)


@pytest.mark.slow
def test_response_of_a_pytree_is_exact_and_free_of_noise(langevin: Any) -> None:
    k = np.arange(STEPS + 1) - START
    expected = (N[0] * exact(0.5, k) + N[1] * exact(3.0, k)) / sum(N)
    # the three copies feel the same thermal noise: it cancels to rounding
    np.testing.assert_allclose(langevin.integrated_response, np.broadcast_to(expected, (1, 3, STEPS + 1)), atol=1e-12)


@pytest.mark.slow
def test_displacement_is_that_of_the_recorded_base_weights(langevin: Any) -> None:
    w = langevin.weights.values
    expected = ((w - w[:, :, [START]]) ** 2).mean(-1) / 2
    expected[:, :, :START] = 0
    np.testing.assert_allclose(langevin.half_displacement, expected, rtol=1e-10)
    assert np.all(langevin.half_displacement[:, :, : START + 1] == 0)
    assert np.all(langevin.integrated_response[:, :, : START + 1] == 0)


@pytest.mark.slow
def test_base_copy_is_the_run_of_the_rule_alone() -> None:
    model = qd.models.GaussianMixture(alpha=2.0)
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.Persistent(0.4, 1.0))
    arguments = {"steps": 12, "size": 40, "replicas": 2, "seed": 5, "dtype": "float64"}
    alone = qd.simulate(model, rule, **arguments)
    probed = qd.simulate(model, PerturbationResponse(rule, start=3), **arguments)
    np.testing.assert_allclose(probed.loss, alone.loss, rtol=1e-12)
    np.testing.assert_array_equal(probed.t, alone.t)
    # one step after the start the field has acted once: chi = lr exactly
    np.testing.assert_allclose(probed.integrated_response[:, :, 4], 0.2, rtol=1e-12)


@pytest.mark.slow
def test_strength_is_checked_by_halving_it() -> None:
    model = qd.models.GaussianMixture(alpha=2.0)
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(0.4))
    run = {"steps": 10, "size": 40, "seed": 2, "dtype": "float64"}
    small = linearity(model, PerturbationResponse(rule, strength=0.05), **run)
    large = linearity(model, PerturbationResponse(rule, strength=1.0), **run)
    # even in the strength: a factor 20 in the field is 400 in the change, as long as the fourth order is small
    assert small < 1e-3
    assert 100 < large / small < 800


@pytest.mark.slow
def test_temperature_of_langevin_dynamics_is_that_of_the_noise() -> None:
    # one stiffness, started deep in equilibrium: B/chi = 2T/(2 - lr q) at every lag
    rule = qd.dynamics.Gradient(lr=LR, temperature=0.04)
    ds = qd.simulate(Quadratic((2.0, 2.0)), PerturbationResponse(rule, start=40), steps=60, replicas=200, seed=3)
    result = effective_temperature(fluctuation_response(ds, lags=[1, 5, 20]))
    z = (result.temperature - 2 * 0.04 / (2 - LR * 2)) / result.temperature_error
    assert np.all(np.abs(z) < 4)
    assert result.attrs["errors"].endswith("replica, 200 samples")


@pytest.mark.slow
def test_a_network_is_probed_with_its_pytree_of_weights() -> None:
    model = qd.models.TwoLayerNetwork()
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(0.5), normalise_batch=True)
    ds = qd.simulate(model, PerturbationResponse(rule, start=1), steps=4, dtype="float64")
    np.testing.assert_allclose(ds.integrated_response[0, 0, 2], 0.2, rtol=1e-10)


def test_refusals_and_description() -> None:
    model = Quadratic()
    rule = qd.dynamics.Gradient(lr=LR)
    with pytest.raises(IncompatibleError, match="Shuffle has no external field"):
        qd.simulate(model, PerturbationResponse(Shuffle()), steps=3)
    with pytest.raises(ParameterError, match="start must be smaller than the number of steps, 5, got 5"):
        qd.simulate(model, PerturbationResponse(rule, start=5), steps=5)
    with pytest.raises(ParameterError, match="strength must be > 0"):
        PerturbationResponse(rule, strength=0.0)
    probe = PerturbationResponse(rule, start=np.int64(4))
    assert build(describe(probe)) == probe
