"""The decomposition of the excess test loss (arXiv:2108.09507)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.models.on_landscape import OnLandscape
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.observables.line_scan import line_scan
from quenched.observables.minimum_pair import minimum, minimum_pair
from quenched.observables.shift_basins import shift_curvature_by_basin
from quenched.observables.shift_curvature import PARTS, shift_curvature
from quenched.observables.shift_moments import ShiftMoments, shift_curvature_from_moments
from quenched.theory.shift_curvature import (
    expected_shift_curvature,
    predicted_bias,
    predicted_bias_from_samples,
    regression_shift,
    sampling_shift,
    shift_covariance,
)


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def test_parts_sum_to_the_excess_of_a_quadratic(double) -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6))
    c, te, tr = root @ root.T, random.normal(size=6), random.normal(size=6)
    samples = tr + 0.3 * random.normal(size=(4, 50, 6)) + 0.1
    found = shift_curvature(lambda x: 0.5 * (x - te) @ c @ (x - te) + 2.0, te, tr, samples)
    assert float(found.parts) == pytest.approx(float(found.excess), rel=1e-12)
    assert abs(float(found.residual_loss)) < 1e-12 * float(found.excess)
    s, b, p = te - tr, samples.mean((0, 1)) - tr, np.cov(samples.reshape(-1, 6).T, bias=True)
    expected = {"shift": s @ c @ s / 2, "bias": b @ c @ b / 2, "cross": -b @ c @ s, "covariance": np.trace(c @ p) / 2}
    for name in PARTS:
        assert float(found[name]) == pytest.approx(expected[name], rel=1e-9)
    assert float(found.parameter_variance) == pytest.approx(np.trace(p), rel=1e-9)


def test_the_shift_term_is_invariant_under_reparametrisation(double) -> None:
    """x = e^y: curvatures 2 and 0.18, but the same cost as the shift goes to zero, linearly."""
    ratios = []
    for s, in_x, in_y in ((0.2, 0.04, 0.108625), (0.1, 0.01, 0.014796), (0.05, 0.0025, 0.002992), (0.025, 0.000625, 0.000681)):

        def loss(x):
            return (x[0] - 0.3) ** 2 + 0.5 * (x[0] - 0.3) ** 3

        train = np.array([0.3 - s])
        first = shift_curvature(loss, np.array([0.3]), train, train[None, None])
        second = shift_curvature(lambda y: loss(jnp.exp(y)), np.log([0.3]), np.log(train), np.log(train)[None, None])
        assert float(first["shift"]) == pytest.approx(in_x, abs=1e-5)
        assert float(second["shift"]) == pytest.approx(in_y, abs=1e-5)
        ratios.append(in_y / in_x - 1)
    assert ratios[-2] / ratios[-1] == pytest.approx(2, abs=0.3)


def test_the_sampling_shift_of_linear_regression(double) -> None:
    """E = sigma^2/2 (d/N_te + d/(N_tr - d - 1)): independent of the curvature of the problem."""
    random = np.random.default_rng(1)
    d, n, sigma = 20, 200, 0.5
    scales = np.sqrt(2.0 / np.arange(1, d + 1))
    costs, shifts = [], []
    for _ in range(400):
        minima, hessians = [], []
        teacher = random.normal(size=d)
        for _ in range(2):
            x = random.normal(size=(n, d)) * scales
            y = x @ teacher + sigma * random.normal(size=n)
            minima.append(np.linalg.lstsq(x, y)[0])
            hessians.append(x.T @ x / n)
        s = minima[1] - minima[0]
        shifts.append(s)
        costs.append(s @ hessians[1] @ s / 2)
    error = np.std(costs, ddof=1) / np.sqrt(len(costs))
    exact = regression_shift(d, n, n, sigma**2)
    assert exact == pytest.approx(0.02647, abs=5e-6)
    assert abs(np.mean(costs) - exact) < 4 * error
    h = np.diag(scales**2)
    assert sampling_shift(h, sigma**2 * h, n, n) == pytest.approx(0.025, rel=1e-12)
    v = shift_covariance(h, sigma**2 * h, n, n)
    assert expected_shift_curvature(h, v) == pytest.approx(0.025, rel=1e-12)
    # the covariance of the shift itself, direction by direction, with the factor n/(n - d - 1) of small samples
    ratio = np.var(shifts, axis=0) / np.diag(v) * (n - d - 1) / n
    assert abs(ratio.mean() - 1) < 4 * np.sqrt(2 / (400 * d))


def test_the_errors_are_those_of_chains(double) -> None:
    random = np.random.default_rng(2)
    found = [
        shift_curvature(lambda x: 0.5 * jnp.sum(x**2), np.zeros(3), np.full(3, 0.2), random.normal(size=(16, 20, 3)) * 0.1 + 0.25)
        for _ in range(60)
    ]
    for name in ("excess", "covariance", "bias", "cross"):
        scatter = np.std([float(f[name]) for f in found], ddof=1)
        assert np.mean([float(f[f"{name}_error"]) for f in found]) == pytest.approx(scatter, rel=0.35)
    alone = shift_curvature(lambda x: 0.5 * jnp.sum(x**2), np.zeros(3), np.full(3, 0.2), random.normal(size=(20, 3)))
    assert np.isnan(alone.excess_error)


def bowl(params):
    """A quartic of a pytree, not symmetric."""
    w, b = params["w"], params["b"]
    return jnp.sum(jnp.cosh(w - 0.3) * jnp.array([1.0, 2.0, 0.5])) + jnp.sum((b - w[0]) ** 2) + 0.1 * jnp.sum(b**4)


def shifted_bowl(params):
    return bowl({"w": params["w"] + 0.2, "b": params["b"] - 0.1}) + 0.05 * jnp.sum(params["w"] ** 3)


START = {"w": np.zeros(3), "b": np.ones(2)}


def test_minima_that_belong_together() -> None:
    pair = minimum_pair(bowl, shifted_bowl, START)
    other = minimum_pair(bowl, shifted_bowl, START, method="lbfgs")
    for one, two in zip((pair.train, pair.test), (other.train, other.test), strict=True):
        assert max(one.gradient, two.gradient) < 1e-8
        assert one.lowest > 0
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), one.position, two.position)
    assert pair.jumps.shape == (10,)
    samples = {"w": pair.train.position["w"] + np.zeros((2, 3, 3)), "b": pair.train.position["b"] + np.zeros((2, 3, 2))}
    found = shift_curvature(shifted_bowl, pair.test.position, pair.train.position, samples, train_loss=bowl)
    assert float(found.parameter_variance) == pytest.approx(0, abs=1e-15)
    assert float(found["shift"]) == pytest.approx(float(found.excess), rel=0.1)
    scan = line_scan(bowl, shifted_bowl, pair.train.position, pair.test.position)
    assert float(scan.exact_shift) == pytest.approx(float(found["shift"]), rel=1e-9)
    assert float(scan.fitted_shift) == pytest.approx(float(scan.exact_shift), rel=0.05)
    at = scan.sel(along_shift=[0.0, 1.0], method="nearest")
    assert float(np.diff(at.line_test_loss)[0]) == pytest.approx(-float(found.excess), rel=1e-9)


def test_minima_from_far_and_from_a_saddle() -> None:
    """Rosenbrock's valley; a start where the Hessian is indefinite."""
    valley = minimum(lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, np.array([-1.2, 1.0]))
    np.testing.assert_allclose(valley.position, 1.0, atol=1e-9)
    found = minimum(lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2 + 0.1 * x[0], np.array([0.01, 3.0]))
    assert found.position[0] == pytest.approx(-1.0125, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimum(lambda x: jnp.sum(jnp.exp(-x)), np.zeros(2), max_iterations=5), "must have a gradient < 1e-08, got"),
        (lambda: minimum(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2)), "must be positive, got an eigenvalue -2"),
        (
            lambda: minimum_pair(
                lambda x: (x[0] ** 2 - 1) ** 2 + 0.3 * x[0], lambda x: (x[0] ** 2 - 1) ** 2 - 2.5 * x[0], -np.ones(1), stages=41
            ),
            "must be connected, but the minimum jumps by",
        ),
    ],
)
def test_minima_that_are_none(call, message: str) -> None:
    with pytest.raises(ConvergenceError, match=message):
        call()


def test_the_same_for_many_weights(double) -> None:
    """Above 500 weights only products: a quadratic with two negative directions, projected."""
    random = np.random.default_rng(5)
    d = 600
    rates = np.concatenate([np.linspace(0.1, 4, d - 2), [-0.3, -0.1]])
    turn = np.linalg.qr(random.normal(size=(d, d)))[0]
    c = jnp.asarray(turn * rates @ turn.T)
    up = turn * np.maximum(rates, 0) @ turn.T
    samples = random.normal(size=(3, 5, d)) * 0.1
    tr = random.normal(size=d)
    with pytest.raises(ParameterError, match=r"got 2 negative eigenvalues that add to -0\.4"):
        shift_curvature(lambda x: 0.5 * x @ c @ x, np.zeros(d), tr, tr + samples)
    found = shift_curvature(lambda x: 0.5 * x @ c @ x, np.zeros(d), tr, tr + samples, indefinite="project")
    assert float(found["shift"]) == pytest.approx(tr @ up @ tr / 2, rel=1e-6)
    assert float(found.negative_curvature) == pytest.approx(0.4, rel=1e-6)
    centred = samples.reshape(-1, d) - samples.mean((0, 1))
    assert float(found.covariance) == pytest.approx(np.einsum("si,ij,sj->", centred, up, centred) / 30, rel=1e-6)
    allowed = shift_curvature(lambda x: 0.5 * x @ up @ x, np.zeros(d), tr, tr + samples)
    assert float(allowed.negative_curvature) == 0


def test_every_basin_has_its_own_parts(double) -> None:
    random = np.random.default_rng(6)
    place = np.array([-2.0, 2.0])
    samples = place[random.integers(0, 2, size=(8, 200))][..., None] + 0.1 * random.normal(size=(8, 200, 1)) + 0.05

    def test_loss(x):
        return jnp.where(x[0] < 0, 2 * (x[0] + 2.1) ** 2 + 0.3, 0.5 * (x[0] - 1.9) ** 2)

    pairs = [np.array([-2.1]), np.array([1.9])], [np.array([-2.0]), np.array([2.0])]
    found = shift_curvature_by_basin(test_loss, *pairs, samples, lambda x: (x[0] > 0).astype(int), temperature=0.1)
    np.testing.assert_allclose(found["shift"], [0.02, 0.005], rtol=1e-9)
    np.testing.assert_allclose(found.lowest_test_loss, [0.3, 0.0], atol=1e-12)
    assert float(found.predicted_test_loss) == pytest.approx(float(found.mean_test_loss), rel=1e-12)
    assert float(found.basin_mass.sum()) == 1
    alone = samples[samples > 0].reshape(1, -1, 1)
    right = shift_curvature(lambda x: 0.5 * (x[0] - 1.9) ** 2, pairs[0][1], pairs[1][1], alone)
    for name in PARTS:
        assert float(found[name][1]) == pytest.approx(float(right[name]), rel=1e-9)
    with pytest.raises(ParameterError, match="got a fraction 1 of chains that left"):
        shift_curvature(test_loss, pairs[0][0], pairs[1][0], samples, basin=lambda x: x[0] < 0)
    with pytest.raises(ParameterError, match=r"basin must give every number below 2 and no other, got \[0\]"):
        shift_curvature_by_basin(test_loss, *pairs, samples, lambda x: 0)


def test_inside_the_loop_as_from_stored_samples() -> None:
    """SGD on a double well; and E grad U = 0 at stationarity."""

    def loss(x):
        return OnLandscape().landscape.potential(x)

    def test_loss(x):
        return (loss(x - 0.1) + loss(x + 0.2)) / 2

    pair = minimum_pair(loss, test_loss, -np.ones(1))
    watched = ShiftMoments(test_loss, pair.test.position, pair.train.position, burn_in=500, every=5)
    run = simulate(
        OnLandscape(),
        Gradient(lr=0.1, batches=Minibatch(8)),
        steps=3000,
        times=list(range(505, 3001, 5)),
        replicas=64,
        seed=2,
        accumulators=[watched],
        record_weights=True,
        dtype="float64",
    )
    assert int(run.shift_count[0, 0]) == 500
    arguments = test_loss, pair.test.position, pair.train.position
    stored = shift_curvature(*arguments, run.weights.values[0], temperature=1 / 160)
    online = shift_curvature_from_moments(run, *arguments, temperature=1 / 160)
    for name in stored.data_vars:
        assert float(online[name]) == pytest.approx(float(stored[name]), rel=1e-6, abs=1e-9)
    assert online.attrs["temperature"] == 1 / 160
    with jax.enable_x64(True):
        slope = jax.vmap(jax.grad(loss))(jnp.asarray(run.weights.values.reshape(-1, 1)))
    per_chain = np.asarray(slope).reshape(64, 500).mean(axis=1)
    assert abs(per_chain.mean()) < 4 * per_chain.std(ddof=1) / 8
    with pytest.raises(ParameterError, match="must have counted at least one step"):
        shift_curvature_from_moments(run.assign(shift_count=run.shift_count * 0), *arguments)


def test_the_bias_follows_from_the_third_derivative() -> None:
    """Gaussian samples around the place where E grad U = 0 to second order."""

    def loss(x):
        return x[0] ** 2 + 2 * x[1] ** 2 + 0.4 * x[0] ** 3 + 0.2 * x[0] * x[1] ** 2 + 0.3 * x[0] * x[1]

    p = np.array([[0.02, 0.005], [0.005, 0.03]])
    h = np.array([[2.0, 0.3], [0.3, 4.0]])
    third = np.array([2.4 * p[0, 0] + 0.4 * p[1, 1], 0.8 * p[0, 1]])
    exact = -0.5 * np.linalg.solve(h, third)
    np.testing.assert_allclose(predicted_bias(loss, np.zeros(2), p), exact, rtol=1e-9)
    samples = np.random.default_rng(3).multivariate_normal(np.zeros(2), p, size=4000, method="cholesky")
    found = predicted_bias_from_samples(loss, np.zeros(2), samples.reshape(4, 1000, 2))
    np.testing.assert_allclose(found, predicted_bias(loss, np.zeros(2), np.cov(samples.T, bias=True)), rtol=1e-6)
    with pytest.raises(ParameterError, match=r"covariance must be \(d, d\)"):
        predicted_bias(loss, np.zeros(2), np.eye(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(2), np.zeros(3), np.zeros((4, 2))), "minima must be"),
        ((np.zeros(2), np.zeros(2), np.full((4, 2), np.nan)), "samples must be finite"),
        ((np.ones(2), np.zeros(2), np.zeros((4, 2))), "test_minimum must have a gradient"),
        ((np.zeros(2), {"w": np.zeros(2)}, np.zeros((4, 2))), "minima must be alike"),
        ((np.zeros(2), np.full(2, np.inf), np.zeros((4, 2))), "train_minimum must be finite"),
        ((np.zeros(2, int), np.zeros(2), np.zeros((4, 2))), "must be a pytree of floating arrays"),
    ],
)
def test_bad_requests(arguments, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        shift_curvature(lambda x: jnp.sum(x**2), *arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be > 0"),
        ({"indefinite": "ignore"}, "indefinite must be one of"),
        ({"train_loss": lambda x: jnp.sum(x)}, "train_minimum must have a gradient"),
    ],
)
def test_bad_options(options, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        shift_curvature(lambda x: jnp.sum(x**2), np.zeros(2), np.zeros(2), np.zeros((4, 2)), **options)
