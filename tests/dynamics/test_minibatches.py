"""Minibatches of a size: their laws at fixed weights, their cost, and what refuses them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quenched as qd
from quenched.dynamics.batches import random_words
from quenched.dynamics.minibatches import ROUNDS, permuted
from quenched.numerics.checks import IncompatibleError, ParameterError

N, S, D = 12, 4, 3


def squares(params: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = batch
    return 0.5 * jnp.mean((x @ params - y) ** 2)


def problem(n: int = N) -> tuple[qd.models.FromLoss, np.ndarray]:
    """A regression on n samples and the gradients of its samples at the start."""
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=(n, D)), random.normal(size=n), random.normal(size=D)
    gradients = (x @ w - y)[:, None] * x
    return qd.models.FromLoss(squares, w, qd.data.Arrays(x, y)), gradients


def noises(batches: qd.dynamics.AbstractSampling, steps: int, chains: int) -> np.ndarray:
    """Gradients minus their mean at fixed weights, (chain, step, parameter)."""
    model, gradients = problem()
    model = model.prepare()
    disorder = model.sample(jax.random.key(0), model.sizes(None), jnp.float32)
    w = model.initial(jax.random.key(0), disorder)

    def chain(key: jax.Array) -> jax.Array:
        def one(state, key):
            gradient = jax.grad(lambda v: batches.energy(model, v, disorder, state, False))(w)
            return batches.step(state, key, 0.1), gradient

        first, rest = jax.random.split(key)
        return jax.lax.scan(one, batches.init(first, N), jax.random.split(rest, steps))[1]

    found = eqx.filter_jit(jax.vmap(chain))(jax.random.split(jax.random.key(1), chains))
    return np.asarray(found, float) - gradients.mean(0)


def covariance() -> np.ndarray:
    gradients = problem()[1]
    centred = gradients - gradients.mean(0)
    return centred.T @ centred / N


def assert_covariance(a: np.ndarray, b: np.ndarray, expected: np.ndarray) -> None:
    """<a b^T> over samples, entry by entry within five standard errors."""
    products = a[:, :, None] * b[:, None, :]
    error = products.std(0) / np.sqrt(len(products))
    assert np.abs((products.mean(0) - expected) / error).max() < 5


def test_independent_batches_have_the_noise_of_theory() -> None:
    found = noises(qd.dynamics.Minibatch(size=S), 2, 40_000)
    assert_covariance(found[:, 0], found[:, 0], covariance() / S)
    assert_covariance(found[:, 0], found[:, 1], np.zeros((D, D)))


def test_gaussian_batches_have_the_same_covariance_and_are_gaussian() -> None:
    found = noises(qd.dynamics.GaussianBatch(size=S), 2, 40_000)
    assert_covariance(found[:, 1], found[:, 1], covariance() / S)
    assert_covariance(found[:, 0], found[:, 1], np.zeros((D, D)))
    z = found[:, 0, 0] / found[:, 0, 0].std()
    assert np.mean(z**4) == pytest.approx(3, abs=5 * np.sqrt(96 / len(z)))


def test_reshuffled_batches_anticorrelate_within_an_epoch_and_cancel_over_it() -> None:
    """Finite-population sampling: Sigma/S (n-S)/(n-1), -Sigma/(n-1) between batches of an epoch, none between epochs."""
    found = noises(qd.dynamics.Reshuffled(size=S), 6, 40_000)
    epoch = N // S
    assert_covariance(found[:, 1], found[:, 1], covariance() / S * (N - S) / (N - 1))
    assert_covariance(found[:, 0], found[:, 2], -covariance() / (N - 1))
    assert_covariance(found[:, 2], found[:, 3], np.zeros((D, D)))
    assert np.abs(found[:, :epoch].sum(1)).max() < 1e-4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_keyed_permutation_is_one(n: int, seed: int) -> None:
    images = permuted(jnp.arange(n, dtype=jnp.int32), n, random_words(jax.random.key(seed), ROUNDS))
    assert sorted(np.asarray(images).tolist()) == list(range(n))


def test_left_over_samples_sit_an_epoch_out_and_the_next_one_is_another() -> None:
    batches = qd.dynamics.Reshuffled(size=5)
    state = batches.init(jax.random.key(0), 12)
    seen = []
    for step in range(4):
        seen.append(np.asarray(batches.indices(state)))
        state = batches.step(state, jax.random.key(step + 1), 0.1)
    first, second = np.concatenate(seen[:2]), np.concatenate(seen[2:])
    assert len(set(first)) == len(set(second)) == 10
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(
    "model",
    [
        problem(40)[0],
        qd.models.TwoLayerNetwork(width=4),
        qd.models.GaussianMixture(alpha=2.0, noise=0.5),
        qd.models.StructuredEnsemble(qd.models.GaussianMixture(alpha=2.0, noise=0.5)),
    ],
)
def test_the_losses_of_a_batch_are_those_of_its_samples(model: qd.models.AbstractLossModel) -> None:
    model = model.prepare()
    size = None if isinstance(model, qd.models.FromLoss | qd.models.TwoLayerNetwork) else 32
    disorder = model.sample(jax.random.key(0), model.sizes(size), jnp.float32)
    w = model.initial(jax.random.key(1), disorder)
    chosen = jnp.asarray([3, 0, 17, 3])
    few, every = model.batch_losses(w, disorder, chosen), model.losses(w, disorder)
    np.testing.assert_allclose(few, every[chosen], rtol=1e-5)


def test_a_run_is_stored_and_repeated() -> None:
    rule = qd.dynamics.Gradient(lr=0.05, batches=qd.dynamics.Reshuffled(size=8), transform=qd.dynamics.Momentum())
    first, second = (qd.simulate(problem(40)[0], rule, steps=30, replicas=3, seed=5) for _ in range(2))
    assert first.identical(second)
    assert float(first.loss.isel(t=-1).mean()) < float(first.loss.isel(t=0).mean())


def test_bad_requests_are_refused_by_name() -> None:
    with pytest.raises(ParameterError, match="batch size must be an integer >= 1, got 0"):
        qd.dynamics.Minibatch(size=0)
    with pytest.raises(ParameterError, match=r"batch size must be <= n, the number of samples, .* got 41 with n=40"):
        qd.simulate(problem(40)[0], qd.dynamics.Gradient(batches=qd.dynamics.Reshuffled(size=41)), steps=1)
    with pytest.raises(ParameterError, match="normalise_batch must be False"):
        qd.dynamics.Gradient(batches=qd.dynamics.Minibatch(size=4), normalise_batch=True)
    with pytest.raises(IncompatibleError, match="Minibatch"):
        qd.solve(qd.models.GaussianMixture(), qd.dynamics.Gradient(batches=qd.dynamics.Minibatch(size=4)), steps=3)
