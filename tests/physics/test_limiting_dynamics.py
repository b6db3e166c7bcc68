"""The linear theory of momentum SGD near a minimum against the dynamics itself (Kunin et al., arXiv:2107.09133).

Linear regression in d = 10 on Gaussian inputs with variances 3 l^-1.5, label noise 0.7, from the minimum; and a tanh network.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.data import Arrays, GaussianTeacher
from quenched.dynamics import ExponentialDecay, GaussianBatch, Gradient, Minibatch, Momentum, Reshuffled
from quenched.dynamics.simulate import simulate
from quenched.losses import Square
from quenched.models import AbstractModel, GeneralisedLinear
from quenched.models.on_data import OnData
from quenched.observables import LossOnData, MeanSquareDisplacement, StepLength, alignment
from quenched.theory import ornstein_uhlenbeck as ou

BETA, SIZE = 0.9, 8


# ---- linear regression


class Regression(NamedTuple):
    """Data, their quadratic loss, its curvatures and the noise along its eigenvectors."""

    data: Arrays
    loss: ou.Quadratic
    curvature: np.ndarray
    noise: np.ndarray

    def model(self) -> GeneralisedLinear:
        return GeneralisedLinear(self.data, Square(), decay=0.0, start=self.loss.minimum)


@functools.cache
def regression(count: int = 2000) -> Regression:
    teacher = GaussianTeacher(dimension=10, train=count, test=1, variance=3, exponent=1.5, labels="numbers", noise=0.7)
    data = teacher.load()
    loss = ou.quadratic(data.x, data.y)
    curvature, vectors = np.linalg.eigh(loss.hessian)
    return Regression(data, loss, curvature, np.einsum("il,ij,jl->l", vectors, loss.noise, vectors))


def step_lengths(lr: float) -> tuple[float, float, float]:
    """E|theta_k - theta_{k-1}|^2 with the noise of where the weights are, with that of the minimum, and in continuous time."""
    rule, now = ou.MomentumSGD(lr=lr, momentum=BETA, batch_size=SIZE), regression()
    exact = lr**2 * np.trace(ou.exact_covariance(rule, now.data.x, now.data.y)[10:, 10:])
    discrete, continuous = (
        float(ou.stationary_state(rule, now.curvature, now.noise, formula).local_displacement.sum())
        for formula in ("discrete", "continuous")
    )
    return float(exact), discrete, continuous


def simulated(model: AbstractModel, rule: Gradient, steps: int, replicas: int = 64, burn_in: int = 500) -> tuple[float, float]:
    """The mean squared step after ``burn_in`` steps, and its standard error over replicas."""
    run = simulate(
        model,
        rule,
        steps=steps,
        times=[steps],
        replicas=replicas,
        seed=1,
        accumulators=[StepLength(steps=steps, blocks=steps // burn_in)],
    )
    each = run.step_displacement.values[0][:, 1:].mean(axis=1)
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(replicas))


def test_steps_of_independent_batches() -> None:
    """At a large learning rate the noise grows with the distance from the minimum: a third more than at the minimum."""
    rule = Gradient(lr=0.05, batches=Minibatch(SIZE), transform=Momentum(BETA))
    found, error = simulated(regression().model(), rule, steps=12_000)
    exact, discrete, continuous = step_lengths(0.05)
    assert error < 0.007 * found
    assert found == pytest.approx(exact, rel=0.03)
    assert found / discrete == pytest.approx(exact / discrete, abs=0.05)
    # this number depends on the data set: 1.34 to 1.36 in three of them
    assert found / discrete == pytest.approx(1.352, abs=0.05)
    assert found / continuous > found / discrete + 0.02


@pytest.mark.slow
def test_the_noise_of_the_place_does_not_matter_at_a_small_learning_rate() -> None:
    rule = Gradient(lr=0.005, batches=Minibatch(SIZE), transform=Momentum(BETA))
    found, error = simulated(regression().model(), rule, steps=40_000, burn_in=2000)
    exact, discrete, _ = step_lengths(0.005)
    assert error < 0.004 * found
    assert abs(found - exact) < 4 * error
    assert found / discrete == pytest.approx(1.026, abs=0.015)


def test_noise_that_is_the_same_everywhere_has_the_additive_law() -> None:
    """The same Hessian and the same Sigma, but losses w.H w/2 + xi_i.w: no sample has a curvature of its own."""
    now = regression()
    hessian = jnp.asarray(now.loss.hessian, jnp.float32)
    kicks = now.data.x * (now.data.x @ now.loss.minimum - now.data.y)[:, None]

    def loss(w, xi):
        return 0.5 * w @ hessian.astype(w.dtype) @ w + jnp.mean(xi @ w)

    problem = LossOnData(loss, jnp.zeros(10), kicks.astype(np.float32))
    rule = Gradient(lr=0.05, batches=Minibatch(SIZE), transform=Momentum(BETA))
    found, error = simulated(OnData(problem), rule, steps=12_000)
    exact, discrete, _ = step_lengths(0.05)
    assert error < 0.007 * found
    assert found == pytest.approx(discrete, rel=0.03)
    assert found < 0.8 * exact


@pytest.mark.slow
def test_gaussian_noise_has_the_second_moment_of_independent_batches() -> None:
    """Second moments close whatever the law of the noise is, if its covariance is Sigma(theta)/S: Gaussian is not additive."""
    rule = Gradient(lr=0.05, batches=GaussianBatch(SIZE), transform=Momentum(BETA))
    found, error = simulated(regression().model(), rule, steps=5000)
    exact, discrete, _ = step_lengths(0.05)
    assert error < 0.01 * found
    assert found == pytest.approx(exact, rel=0.03)
    assert found > 1.2 * discrete


@pytest.mark.slow
@pytest.mark.parametrize("lr", [5e-4, 2e-3])
def test_batches_without_replacement_hardly_diffuse(lr: float) -> None:
    """From the minimum of 200 samples, 25 batches per epoch: an epoch has no net noise, and 50 epochs move as little as one."""
    now, epochs = regression(200), np.array([1, 2, 4, 10, 20, 50])
    theory = ou.MomentumSGD(lr=lr, momentum=BETA, batch_size=SIZE)
    moved = {}
    for batches, samples in ((Minibatch(SIZE), None), (Reshuffled(SIZE), 200)):
        run = simulate(
            now.model(),
            Gradient(lr=lr, batches=batches, transform=Momentum(BETA)),
            steps=1250,
            times=[1250],
            replicas=512,
            seed=2,
            accumulators=[MeanSquareDisplacement(lags=tuple(25 * epochs))],
        )
        each = 10 * run.mean_square_displacement.values[0][:, 0]
        law = ou.displacement(theory, now.curvature, now.noise, 25 * epochs, start="fixed", samples=samples).global_displacement
        moved[samples] = each.mean(axis=0)
        # the noise of the place adds up to 1 per cent
        errors = each.std(axis=0, ddof=1) / np.sqrt(len(each)) + 0.01 * law.values
        assert np.all(np.abs(moved[samples] - law.values) < 4 * errors)
    independent, reshuffled = moved[None], moved[200]
    assert np.all(reshuffled < 0.2 * independent)
    assert reshuffled[-1] < 0.05 * independent[-1]
    assert reshuffled[-1] < 2 * reshuffled[0] < 0.5 * independent[-1]


# ---- a network: 16-32-1 tanh, 1024 samples of sin(w.x/4) + 0.1 N(0, 1), decay 0.001

RIDGE = 1e-3


def network(params, x):
    return jnp.tanh(x @ params["in"] + params["bias"]) @ params["out"] + params["shift"]


def half_square(params, batch):
    return 0.5 * jnp.mean((network(params, batch[0]) - batch[1]) ** 2)


@functools.cache
def trained(seed: int) -> LossOnData:
    """A network after 20,000 steps of momentum SGD with a learning rate that decays from 0.1 to 0.0005."""
    random = np.random.default_rng(seed)
    x, teacher = random.normal(size=(1024, 16)), random.normal(size=16)
    y = np.sin(x @ teacher / 4) + 0.1 * random.normal(size=1024)
    start = {
        "in": random.normal(size=(16, 32)) / 4,
        "bias": np.zeros(32),
        "out": random.normal(size=32) / np.sqrt(32),
        "shift": np.zeros(()),
    }
    single = functools.partial(jax.tree.map, lambda a: jnp.asarray(a, jnp.float32))
    problem = LossOnData(half_square, single(start), single((x, y)), chunk=1024)
    rule = Gradient(lr=ExponentialDecay(0.1, 0.0005, 20_000 / 6), batches=Minibatch(32), ridge=RIDGE, transform=Momentum(BETA))
    run = simulate(OnData(problem), rule, steps=20_000, times=[20_000], record_weights=True)
    weights = jnp.asarray(run.weights.values[0, 0, 0], jnp.float32)
    done = LossOnData(half_square, problem.params(weights), problem.data, chunk=1024)
    gradient = done.value_and_gradient()[1] + RIDGE * done.weights
    assert float(jnp.linalg.norm(gradient)) < 0.02
    return done


@eqx.filter_jit
def _diagonal(problem):
    eye = jnp.eye(problem.size, dtype=problem.weights.dtype)
    return jax.lax.map(lambda e: jnp.vdot(e, problem.hessian(e)), eye, batch_size=8)


def hessian_trace(problem: LossOnData) -> float:
    """tr H, exact: one product per weight."""
    return float(np.sum(np.asarray(_diagonal(problem), float)))


SETTINGS = [
    (1e-2, 0.9, 32),
    (5e-3, 0.9, 32),
    (2e-2, 0.9, 32),
    (1e-2, 0.8, 32),
    (1e-2, 0.95, 32),
    (1e-2, 0.9, 16),
    (1e-2, 0.9, 64),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_law_of_the_step_length_of_a_network(seed: int) -> None:
    """E|delta|^2 = eta^2 tr Sigma/(S (1 - beta^2)), and what exceeds it.

    The excess loss of the stationary state, eta tr Sigma/(4 S (1 - beta)), adds to the loss and with it to the noise: with tr
    Sigma = 2 L tr H, the factor 1 + eta tr H/(2 S (1 - beta)). The second data set has twice the curvature of the first and
    lies up to 18 per cent above the law.
    """
    problem = trained(seed)
    noise, curvature = float(problem.noise_trace()), hessian_trace(problem)
    for lr, beta, size in SETTINGS:
        rule = Gradient(lr=lr, batches=Minibatch(size), ridge=RIDGE, transform=Momentum(beta))
        each, error = simulated(OnData(problem), rule, steps=1000, replicas=64, burn_in=200)
        law = lr**2 * noise / (size * (1 - beta**2))
        assert error < 0.01 * law
        if seed == 0:
            assert 0.8 < each / law < 1.1
        assert each / law == pytest.approx(1 + lr * curvature / (2 * size * (1 - beta)), abs=0.04)


@pytest.mark.slow
def test_the_noise_of_a_network_is_nearly_its_curvature() -> None:
    """tr Sigma = 2 L tr H where squared residuals and gradients of the output are uncorrelated.

    At the end of a training they are not quite: the ratio lies 6 per cent below 1, and scatters by 3 per cent from one data set
    to another. It falls while the network is trained.
    """
    ratios = []
    for seed in range(8):
        problem = trained(seed)
        x, y = problem.data
        loss, gradient = problem.value_and_gradient()
        outputs = jax.vmap(jax.grad(lambda w, one, p=problem: network(p.params(w), one)), (None, 0))(problem.weights, x)
        squares = np.sum(np.asarray(outputs, float) ** 2, axis=1)
        residuals = np.asarray(network(problem.params(problem.weights), x) - y, float) ** 2
        found, curvature = alignment(problem, probes=100), hessian_trace(problem)
        noise = float(found.noise_trace)
        assert abs(float(found.hessian_trace) - curvature) < 4 * float(found.hessian_trace_error)
        # tr Sigma is the mean of residual^2 |grad f|^2, tr H nearly that of |grad f|^2: the rest is their correlation
        assert noise == pytest.approx(np.mean(residuals * squares) - float(jnp.sum(gradient**2)), rel=1e-4)
        assert curvature == pytest.approx(squares.mean(), rel=0.02)
        correlation = np.mean(residuals * squares) / (residuals.mean() * squares.mean())
        ratios.append(noise / (2 * float(loss) * curvature))
        assert ratios[-1] == pytest.approx(correlation, rel=0.02)
    assert 0.9 < np.mean(ratios) < 1
