import numpy as np
import pytest
from scipy.integrate import quad

from quenched.dynamics import IID, ExponentialDecay, Gradient, Persistent
from quenched.losses import Logistic, Square
from quenched.models import GaussianMixture, GaussianStart
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.theory.oracle import solve_oracle
from quenched.theory.square_loss import largest_curvature, persistent_plateau, ridge_minimiser, stationary_state


def mixture(alpha=3.0, noise=0.5):
    return GaussianMixture(alpha=alpha, noise=noise, loss=Square(), start=GaussianStart(variance=0.1))


def measured(ds, lr, waiting, lag):
    """B and chi read off the two-time functions of the oracle."""
    c, r, t = ds.correlation.values, ds.response.values, waiting + lag
    return (c[t, t] + c[waiting, waiting]) / 2 - c[t, waiting], lr * r[t, waiting:t].sum()


@pytest.mark.parametrize(
    ("fraction", "mean_square", "temperatures"),
    [
        (0.3, 0.2308233, [0.0077410, 0.0072732, 0.0062305, 0.0053960]),
        (0.7, 0.2261871, [0.0083263, 0.0071693, 0.0058285, 0.0053784]),
    ],
)
def test_reference_values_of_the_effective_temperature(fraction, mean_square, temperatures):
    state = stationary_state(mixture(), Gradient(lr=0.2, batches=IID(fraction)))
    assert state.mean_square == pytest.approx(mean_square, abs=6e-8)
    np.testing.assert_allclose(state.effective_temperature(np.array([1, 5, 20, 60])), temperatures, atol=6e-8)


@pytest.mark.parametrize(
    ("ridge", "temperature", "normalise"), [(0.0, 0.0, False), (0.2, 0.0, True), (0.0, 0.03, True), (0.2, 0.03, False)]
)
def test_the_stationary_state_is_the_long_time_limit_of_the_oracle(ridge, temperature, normalise):
    # slowest contraction per step 1 - 0.3 * 0.5 * (1 - sqrt(alpha))^2 Delta = 0.842: 200 steps leave 1e-15 of the start
    lr = 0.3 if not normalise else 0.15
    model, rule = (
        mixture(alpha=6.0),
        Gradient(lr=lr, batches=IID(0.5), ridge=ridge, temperature=temperature, normalise_batch=normalise),
    )
    state = stationary_state(model, rule)
    ds = solve_oracle(model, rule, steps=230, replicas=2)
    last = ds.isel(t=-1)
    for name in ("overlap", "norm", "loss", "test_error", "replica_distance"):
        assert float(last[name]) == pytest.approx(getattr(state, name), abs=1e-10), name
    for lag in (1, 7, 30):
        b, chi = measured(ds, lr, 200, lag)
        assert b == pytest.approx(float(state.half_displacement(lag)), abs=1e-10)
        assert chi == pytest.approx(float(state.integrated_response(lag)), abs=1e-10)
        assert float(ds.correlation[200 + lag, 200]) == pytest.approx(float(state.correlation(lag)), abs=1e-10)


def test_stationary_sgd_with_ridge_reference_values():
    state = stationary_state(mixture(alpha=2.0), Gradient(lr=0.4, batches=IID(0.3), ridge=0.1))
    assert state.overlap == pytest.approx(4 / 7, abs=1e-12)
    assert state.norm == pytest.approx(0.5465002, abs=6e-8)


@pytest.mark.parametrize(("lr", "expected"), [(0.1, 0.05477), (0.05, 0.05225)])
def test_langevin_control(lr, expected):
    """Thermal noise: T_eff = T [1 + O(lr)] at every lag, with <1/(1 - lr q/2)> as the factor of lag 1."""
    rule = Gradient(lr=lr, ridge=0.2, temperature=0.05)
    b, chi = measured(solve_oracle(mixture(), rule, steps=300), lr, 299, 1)
    assert b / chi == pytest.approx(expected, abs=1e-5)
    state = stationary_state(mixture(), rule)
    assert float(state.effective_temperature(1)) == pytest.approx(b / chi, rel=1e-9)
    assert float(state.effective_temperature(1)) == pytest.approx(
        0.05 * (state.weight @ (1 / (1 - lr * state.decay / 2))), rel=1e-12
    )


def test_langevin_temperature_extrapolates_to_the_bath():
    rates = (0.02, 0.01, 0.005)
    found = [
        float(stationary_state(mixture(), Gradient(lr=lr, ridge=0.2, temperature=0.05)).effective_temperature(5)) for lr in rates
    ]
    # the errors linear and quadratic in lr eliminated
    assert (found[0] - 6 * found[1] + 8 * found[2]) / 3 == pytest.approx(0.05, abs=1e-6)


def test_short_lag_temperature_at_small_learning_rate():
    # T_eff -> lr b (1 - b) alpha Delta E2/2, relative corrections of order lr times the largest curvature
    state = stationary_state(mixture(), Gradient(lr=1e-4, batches=IID(0.3)))
    naive = 1e-4 * 0.3 * 0.7 * 3.0 * 0.5 * state.mean_square / 2
    assert float(state.effective_temperature(1)) == pytest.approx(naive, rel=1e-3)


def test_full_batch_has_no_noise():
    state = stationary_state(mixture(), Gradient(lr=0.2))
    assert state.replica_distance == 0.0
    assert float(state.effective_temperature(3)) == 0.0
    assert state.mean_square == pytest.approx((1 - 1 / 3) * 0.5 / 1.5, abs=1e-14)


@pytest.mark.parametrize(("alpha", "ridge"), [(0.5, 0.1), (0.5, 1e-6), (1.0, 0.3), (2.0, 0.0), (3.0, 0.7)])
def test_ridge_minimiser_against_integrals_and_regression(alpha, ridge):
    found = ridge_minimiser(alpha, 0.5, ridge)
    low, high = 0.5 * (1 - alpha**0.5) ** 2, 0.5 * (1 + alpha**0.5) ** 2

    def density(theta):
        x = (low + high) / 2 + (high - low) / 2 * np.cos(theta)
        return (high - low) ** 2 / 4 * np.sin(theta) ** 2 / (np.pi * x * (ridge + x))

    bulk = quad(density, 0, np.pi, epsabs=1e-12, epsrel=1e-12)[0]
    atom = (1 - alpha) / ridge if alpha < 1 else 0.0
    assert found.susceptibility == pytest.approx(bulk + atom, rel=1e-9)
    if ridge > 1e-3:
        rng, d, values = np.random.default_rng(2), 600, []
        for _ in range(12):
            x = 1 / d**0.5 + 0.5**0.5 * rng.standard_normal((round(alpha * d), d))
            w = np.linalg.solve(x.T @ x / d + ridge * np.eye(d), x.sum(0) / d**0.5)
            values.append([w.mean(), (w**2).mean(), np.mean((x @ w / d**0.5 - 1) ** 2)])
        error = np.std(values, 0, ddof=1) / 12**0.5
        theory = [found.overlap, found.norm, found.mean_square]
        np.testing.assert_array_less(np.abs(np.mean(values, 0) - theory), 5 * error + 3 / d)


def test_persistent_plateau():
    model = mixture()
    # leading order in the memory: within its first correction of the value .0037 measured at b tau = 0.06
    assert persistent_plateau(model, Gradient(lr=0.02, batches=Persistent(0.3, 0.2))) == pytest.approx(0.0037, rel=0.06)
    # b tau = lr is vanilla SGD, whose lag-1 temperature is the plateau up to O(lr curvature)
    vanilla = stationary_state(model, Gradient(lr=1e-3, batches=IID(0.5)))
    plateau = persistent_plateau(model, Gradient(lr=1e-3, batches=Persistent(0.5, 2e-3)))
    assert plateau == pytest.approx(float(vanilla.effective_temperature(1)), rel=3e-3)
    assert persistent_plateau(model, Gradient(lr=0.1, batches=Persistent(1.0, 1.0))) == 0.0


def test_largest_curvature_of_a_random_data_set():
    rng, d = np.random.default_rng(3), 800
    for noise in (0.5, 4.0):
        x = 1 / d**0.5 + noise**0.5 * rng.standard_normal((2 * d, d))
        top = np.linalg.eigvalsh(x.T @ x / d)[-1]
        # the outlier fluctuates like d^-1/2, the edge like d^-2/3
        assert top == pytest.approx(largest_curvature(2.0, noise), rel=4 / d**0.5)


@pytest.mark.parametrize(
    ("model", "rule", "word"),
    [
        (mixture(0.5), Gradient(lr=0.1, batches=IID(0.3)), "alpha"),
        (mixture(), Gradient(lr=ExponentialDecay()), "lr must be constant"),
        (mixture(), Gradient(lr=2.0), "lr must be <"),
        (mixture(1.05), Gradient(lr=0.3, batches=IID(0.05), ridge=0.0, normalise_batch=True), "finite fluctuations"),
    ],
)
def test_systems_without_a_stationary_state_are_refused(model, rule, word):
    with pytest.raises(ParameterError, match=word):
        stationary_state(model, rule)


def test_uncovered_systems_are_refused():
    with pytest.raises(IncompatibleError, match="Logistic"):
        stationary_state(GaussianMixture(loss=Logistic()), Gradient())
    with pytest.raises(IncompatibleError, match="IID"):
        persistent_plateau(mixture(), Gradient(batches=IID(0.3)))
    with pytest.raises(ParameterError, match="lag"):
        stationary_state(mixture(), Gradient(lr=0.1)).effective_temperature(0)
