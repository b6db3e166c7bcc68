import json

import numpy as np
import pytest

from quenched.dynamics import IID, Epochs, ExponentialDecay, Full, Gradient, Momentum, Persistent, Spherical
from quenched.losses import Door, Logistic, Square
from quenched.models import GaussianMixture, GaussianStart, SphericalStart
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError
from quenched.numerics.quadrature import marchenko_pastur
from quenched.theory.oracle import refuses, solve_oracle


def mixture(alpha=2.0, noise=0.5, variance=0.1, overlap=0.0, **options):
    start = GaussianStart(overlap=overlap, variance=variance)
    return GaussianMixture(alpha=alpha, noise=noise, loss=Square(), start=start, **options)


@pytest.fixture(scope="module")
def descent():
    return solve_oracle(mixture(), Gradient(lr=0.2, ridge=0.1), steps=60, replicas=2)


@pytest.fixture(scope="module")
def stochastic():
    return solve_oracle(mixture(), Gradient(lr=0.4, ridge=0.1, batches=IID(0.3)), steps=200, replicas=2)


def test_first_step_by_hand(descent):
    # w(1) = w0 - lr [lam w0 + sum_mu (r - y) x/sqrt(d)]; averages over Gaussian data
    alpha, delta, lam, lr, r0 = 2.0, 0.5, 0.1, 0.2, 0.1
    keep = 1 - lr * lam - lr * alpha * delta
    assert float(descent.overlap[1]) == pytest.approx(lr * alpha, abs=1e-15)
    norm = r0 * (keep**2 + lr**2 * delta**2 * alpha) + lr**2 * (alpha**2 + alpha * delta)
    assert float(descent.norm[1]) == pytest.approx(norm, abs=1e-15)
    assert float(descent.loss[0]) == pytest.approx((1 + delta * r0) / 2, abs=1e-15)


@pytest.mark.parametrize(
    ("t", "overlap", "norm", "loss"),
    [
        (1, 0.4, 0.26284, 0.18706),
        (5, 0.581467, 0.488870, 0.110722),
        (20, 0.621985, 0.680655, 0.090464),
        (59, 0.629524, 0.768305, 0.087006),
    ],
)
def test_gradient_descent_reference_values(descent, t, overlap, norm, loss):
    # reference digits, half a unit of the last one
    assert float(descent.overlap[t]) == pytest.approx(overlap, abs=6e-7)
    assert float(descent.norm[t]) == pytest.approx(norm, abs=6e-7)
    assert float(descent.loss[t]) == pytest.approx(loss, abs=6e-7)


def test_sgd_reference_values(stochastic):
    assert float(stochastic.overlap[59]) == pytest.approx(0.571172, abs=6e-7)
    assert float(stochastic.norm[59]) == pytest.approx(0.544300, abs=6e-7)
    assert float(stochastic.loss[59]) == pytest.approx(0.105853, abs=6e-7)
    assert float(stochastic.correlation[59, 29]) == pytest.approx(0.513686, abs=6e-7)


@pytest.mark.parametrize(
    ("alpha", "variance", "expected"),
    [
        (3.0, 0.1, {10: 0.040534, 50: 0.034243, 199: 0.033864}),
        (0.5, 1.0, {10: 0.027330, 50: 0.012850, 199: 0.001496}),
    ],
)
def test_replica_distance_reference_values(alpha, variance, expected):
    ds = solve_oracle(mixture(alpha, variance=variance), Gradient(lr=0.2, batches=IID(0.3)), steps=199, replicas=2)
    for t, distance in expected.items():
        assert float(ds.replica_distance[t]) == pytest.approx(distance, abs=6e-7)
    if alpha < 1:
        assert float(ds.loss[199]) == pytest.approx(0.005334, abs=6e-7)


@pytest.mark.parametrize("alpha", [2.0, 0.5])
def test_response_is_the_marchenko_pastur_average(alpha):
    ds = solve_oracle(mixture(alpha), Gradient(lr=0.2, ridge=0.1), steps=60)
    x, w = marchenko_pastur(alpha, 0.5, 64)
    expected = [w @ (1 - 0.2 * 0.1 - 0.2 * x) ** t for t in range(60)]
    np.testing.assert_allclose(ds.response.values[1:, 0], expected, atol=1e-12)
    assert json.loads(ds.attrs["certificate"])["residual"] < 1e-12


def test_structure_of_the_two_time_functions(stochastic):
    c, r = stochastic.correlation.values, stochastic.response.values
    np.testing.assert_array_equal(np.triu(r), 0.0)
    np.testing.assert_array_equal(np.diagonal(r, -1), 1.0)
    np.testing.assert_array_equal(c, c.T)
    np.testing.assert_array_equal(np.triu(stochastic.response_kernel.values, 1), 0.0)
    np.testing.assert_allclose(np.diagonal(stochastic.response_kernel.values), 2.0 * 0.3, rtol=1e-15)
    q = stochastic.replica_correlation.values
    for kernel in (c, stochastic.noise_kernel.values, q, c - q):
        assert np.linalg.eigvalsh(kernel)[0] > -1e-12
    # M(t, t) = alpha <s^2> <(r - y)^2>
    np.testing.assert_allclose(np.diagonal(stochastic.noise_kernel), 2 * 0.3 * 2 * stochastic.loss, rtol=1e-13)
    np.testing.assert_allclose(stochastic.replica_distance, 2 * np.diagonal(c - q), atol=1e-14)


def test_two_replicas_without_noise_stay_together(descent):
    np.testing.assert_array_equal(descent.replica_distance, 0.0)
    np.testing.assert_array_equal(descent.replica_correlation, descent.correlation)


def test_full_fraction_is_gradient_descent(descent):
    same = solve_oracle(mixture(), Gradient(lr=0.2, ridge=0.1, batches=IID(1.0)), steps=60)
    np.testing.assert_array_equal(same.correlation, descent.correlation)
    np.testing.assert_array_equal(same.train_error, descent.train_error)


def test_normalised_batches_are_a_change_of_learning_rate_and_ridge():
    # lr' = lr b and lam' = lam/b make the same update; F enters with lr, so R agrees and Gam, M scale
    plain = solve_oracle(mixture(), Gradient(lr=0.4, ridge=0.1, batches=IID(0.25)), steps=40)
    scaled = solve_oracle(mixture(), Gradient(lr=0.1, ridge=0.4, batches=IID(0.25), normalise_batch=True), steps=40)
    for name in ("overlap", "loss", "correlation", "response"):
        np.testing.assert_allclose(scaled[name], plain[name], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(scaled.noise_kernel, plain.noise_kernel * 16, rtol=1e-12)
    np.testing.assert_allclose(scaled.response_kernel, plain.response_kernel * 4, rtol=1e-12, atol=1e-14)


def test_a_constant_schedule_is_a_constant():
    constant = solve_oracle(mixture(), Gradient(lr=0.2, batches=IID(0.3)), steps=30)
    schedule = solve_oracle(mixture(), Gradient(lr=ExponentialDecay(0.2, 0.2), batches=IID(0.3)), steps=30)
    np.testing.assert_allclose(schedule.correlation, constant.correlation, rtol=1e-13)


def test_the_start_enters_by_its_overlap_and_variance():
    gaussian = solve_oracle(mixture(variance=0.91, overlap=0.3), Gradient(lr=0.1), steps=10)
    sphere = GaussianMixture(alpha=2.0, noise=0.5, loss=Square(), start=SphericalStart(0.3))
    np.testing.assert_allclose(solve_oracle(sphere, Gradient(lr=0.1), steps=10).correlation, gaussian.correlation, rtol=1e-14)
    assert float(gaussian.norm[0]) == pytest.approx(1.0, abs=1e-15)


def simulated(model, rates, fraction, ridge, temperature, d, runs):
    """Simulation of two replicas: mean and standard error over data sets of (m, C, loss, C(T, T/2), distance)."""
    steps, n, results = len(rates), round(model.alpha * d), []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        c = np.where(rng.random(n) < model.positive_fraction, 1.0, -1.0)
        x = c[:, None] / d**0.5 + model.noise**0.5 * rng.standard_normal((n, d))
        w = np.repeat(0.4 + model.start.variance**0.5 * rng.standard_normal((1, d)), 2, axis=0)
        for t, lr in enumerate(rates):
            if t == steps // 2:
                middle = w.copy()
            s = rng.random((2, n)) < fraction
            gradient = (s * (w @ x.T / d**0.5 - c)) @ x / d**0.5 + ridge * w
            w = w - lr * gradient + np.sqrt(2 * temperature * lr) * rng.standard_normal(w.shape)
        loss = ((w @ x.T / d**0.5 - c) ** 2).mean() / 2
        distance = ((w[0] - w[1]) ** 2).mean()
        results.append([w.mean(), (w**2).mean(), loss, (w * middle).mean(), distance])
    return np.mean(results, 0), np.std(results, 0, ddof=1) / runs**0.5


@pytest.mark.parametrize("temperature", [0.0, 0.02])
def test_agreement_with_direct_simulation(temperature):
    """Schedule, ridge, temperature, unbalanced clusters, correlated start: everything at once."""
    model = mixture(alpha=1.5, variance=0.2, overlap=0.4, positive_fraction=0.3)
    schedule = ExponentialDecay(0.5, 0.1, 5.0)
    rates = schedule(np.arange(16.0))
    mean, error = simulated(model, rates, 0.4, 0.2, temperature, d=600, runs=24)
    rule = Gradient(lr=schedule, batches=IID(0.4), ridge=0.2, temperature=temperature)
    ds = solve_oracle(model, rule, steps=16, replicas=2)
    last = ds.isel(t=16)
    theory = [float(v) for v in (last.overlap, last.norm, last.loss, last.correlation[8], last.replica_distance)]
    # 4 standard errors, and the O(1/d) bias of a finite system
    np.testing.assert_array_less(np.abs(mean - theory), 4 * error + 2 / 600)


def test_training_error_of_full_batches_against_sampled_residuals():
    model = mixture(alpha=1.5, variance=0.2)
    ds = solve_oracle(model, Gradient(lr=0.3), steps=12)
    rng, errors, d, n = np.random.default_rng(5), [], 500, 750
    for _ in range(30):
        x = 1 / d**0.5 + 0.5**0.5 * rng.standard_normal((n, d))
        w = 0.2**0.5 * rng.standard_normal(d)
        for _ in range(12):
            w = w - 0.3 * (x @ w / d**0.5 - 1) @ x / d**0.5
        errors.append(np.mean(x @ w < 0))
    assert abs(np.mean(errors) - float(ds.train_error[12])) < 4 * np.std(errors, ddof=1) / 30**0.5 + 1 / n


def test_observation_times_and_format():
    rule = Gradient(lr=0.2, batches=IID(0.3))
    everything = solve_oracle(mixture(), rule, steps=20, replicas=2)
    some = solve_oracle(mixture(), rule, steps=20, replicas=2, times=[0, 7, 20])
    np.testing.assert_array_equal(some.correlation, everything.correlation.values[np.ix_([0, 7, 20], [0, 7, 20])])
    np.testing.assert_array_equal(some.step, [0, 7, 20])
    np.testing.assert_allclose(some.t, [0, 1.4, 4.0])
    assert everything.sizes == {"t": 21, "t_prime": 21}
    assert "train_error" not in everything
    one = solve_oracle(mixture(), rule, steps=20, two_time=False)
    assert set(one.data_vars) == {"overlap", "norm", "loss", "test_error"}
    assert all(v.dtype == np.float64 for v in everything.data_vars.values())


@pytest.mark.parametrize(
    ("model", "rule", "word"),
    [
        (GaussianMixture(loss=Logistic()), Gradient(), "Logistic"),
        (GaussianMixture(loss=Square(output=Door())), Gradient(), "Door"),
        (GaussianMixture(loss=Square(), clusters=3), Gradient(), "clusters=3"),
        (mixture(), Gradient(batches=Persistent()), "Persistent"),
        (mixture(), Gradient(batches=Epochs()), "Epochs"),
        (mixture(), Gradient(transform=Momentum()), "Momentum"),
        (mixture(), Gradient(constraint=Spherical()), "Spherical"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(model, rule, word):
    assert word in refuses(model, rule)
    with pytest.raises(IncompatibleError, match=word):
        solve_oracle(model, rule, steps=5)


def test_covered_systems_are_not_refused():
    assert refuses(mixture(), Gradient(batches=Full())) is None
    assert refuses(mixture(positive_fraction=0.2), Gradient(lr=ExponentialDecay(), temperature=0.1, ridge=1.0)) is None


def test_divergence_names_the_step():
    with pytest.raises(DivergenceError, match="step"):
        solve_oracle(mixture(), Gradient(lr=10.0), steps=2000)


@pytest.mark.parametrize("times", [[3, 2], [0, 21], [-1, 4], []])
def test_bad_times_are_refused(times):
    with pytest.raises(ParameterError, match="times"):
        solve_oracle(mixture(), Gradient(), steps=20, times=times)
