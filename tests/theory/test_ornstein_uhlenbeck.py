"""The linear theory of momentum SGD: closed forms against matrices, limits, and published numbers (arXiv:2107.09133)."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import quenched as qd
from quenched.numerics.checks import ConvergenceError, DivergenceError, IncompatibleError, ParameterError
from quenched.numerics.lyapunov import continuous_lyapunov, discrete_lyapunov
from quenched.theory import ornstein_uhlenbeck as ou
from quenched.theory.ornstein_uhlenbeck import propagation

ONE = ou.MomentumSGD(lr=0.01, momentum=0.9, batch_size=16)
"""One mode of curvature 1 with noise 0.5: the case of most tables below."""


@pytest.mark.parametrize(
    ("rule", "rho", "expected"),
    [
        (ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=1), 1.0, (0.872973, 9.189189, 0.459459)),
        (ou.MomentumSGD(lr=0.5, momentum=0.5, ridge=0.2, batch_size=1), 3.0, (0.569196, 4.857143, 1.214286)),
    ],
)
def test_stationary_variances_are_those_of_the_lyapunov_equation(rule, rho, expected) -> None:
    found = ou.stationary_state(rule, [rho], [1.7])
    values = [float(found[name][0]) for name in ("position_variance", "velocity_variance", "position_velocity")]
    np.testing.assert_allclose(values, expected, rtol=0, atol=5.01e-7)
    c = ou.stationary_covariance(rule, [[rho]], [[1.7]])
    np.testing.assert_allclose(values, [c[0, 0], c[1, 1], c[0, 1]], rtol=1e-9)


def test_the_continuous_limit_is_reached_at_first_order() -> None:
    errors = []
    for lr in (0.1, 0.01, 0.001):
        rule = ou.MomentumSGD(lr=lr, momentum=0.9, batch_size=1)
        exact, limit = (ou.stationary_state(rule, [1.0], [1.7], f) for f in ("discrete", "continuous"))
        errors.append(float(exact.velocity_variance[0] / limit.velocity_variance[0]) - 1)
        np.testing.assert_allclose(limit.position_variance, lr * 1.7 / (2 * 0.1), rtol=1e-12)
        np.testing.assert_allclose(limit.velocity_variance, 1.7 / (1 - 0.81), rtol=1e-12)
    ratios = np.divide(errors[:-1], errors[1:])
    np.testing.assert_allclose(ratios, 10, rtol=0.05)


def test_the_continuous_covariance_has_its_closed_form() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 3))
    h, sigma2 = root @ root.T, 0.7
    rule = ou.MomentumSGD(lr=0.02, momentum=0.8, ridge=0.3, batch_size=4)
    process = ou.momentum_process(rule, h, sigma2 * h)
    kappa = 4 * (1 - 0.8**2)
    whole = np.linalg.solve(h + 0.3 * np.eye(3), h)
    zero = np.zeros((3, 3))
    expected = np.block([[sigma2 * 0.02 * 1.8 / 2 * whole, zero], [zero, sigma2 * h]]) / kappa
    np.testing.assert_allclose(process.covariance, expected, atol=1e-12)
    np.testing.assert_allclose(process.current_matrix, -process.current_matrix.T, atol=1e-12)
    np.testing.assert_allclose(process.current_matrix, np.block([[zero, -sigma2 * h], [sigma2 * h, zero]]) / kappa, atol=1e-12)
    x = random.normal(size=(5, 6))
    # the current runs along the level lines of the modified loss
    along = np.einsum("ni,ij,nj->n", process.current(x), process.precision, x)
    np.testing.assert_allclose(along, 0, atol=1e-9)


def test_the_two_dimensional_process_of_the_paper() -> None:
    process = ou.OrnsteinUhlenbeck([[2.5, -1.5], [-1.5, 2.5]], np.diag([4.0, 1.0]))
    np.testing.assert_allclose(process.covariance, [[2.1625, 0.9375], [0.9375, 0.9625]], atol=1e-4)
    np.testing.assert_allclose(process.precision, [[0.80042, -0.77963], [-0.77963, 1.79834]], atol=1e-4)
    assert process.current_matrix[0, 1] == pytest.approx(0.9, abs=1e-4)
    assert process.circulation[0, 1] == pytest.approx(1.8, abs=1e-4)
    assert process.entropy_production() == pytest.approx(1.0125, abs=1e-4)


def test_displacements_by_three_formulas() -> None:
    expected = {
        "discrete": (1.6491e-5, 3.5170e-3, 3.1332e-3),
        "continuous": (1.5871e-5, 3.5062e-3, 3.1250e-3),
        "paper_sum": (1.6447e-5, 3.5182e-3, 3.7049e-3),
    }
    for formula, values in expected.items():
        found = ou.displacement(ONE, [1.0], [0.5], [1, 30, 2000], formula=formula)
        np.testing.assert_allclose(found.global_displacement, values, rtol=1e-4)
        assert (found.attrs["formula"], found.attrs["start"]) == (formula, "stationary")


def test_the_published_sum_grows_for_ever() -> None:
    found = ou.displacement(ONE, [1.0], [0.5], [1000, 2000], formula="paper_sum").global_displacement.values
    slope = (found[1] - found[0]) / 1000
    assert slope == pytest.approx(2.886e-7, rel=0.01)
    assert slope == pytest.approx((1 - 0.9) / (3 * 1.9) * 1.6447e-5, rel=0.01)


def test_thresholds_and_phases_of_oscillations() -> None:
    for beta, discrete, continuous in ((0.9, 2.6334e-3, 2.6316e-3), (0.99, 2.51258e-5, 2.51256e-5)):
        rule = ou.MomentumSGD(lr=1.0, momentum=beta)
        assert rule.oscillation_threshold() == pytest.approx(discrete, rel=1e-4)
        assert rule.oscillation_threshold("continuous") == pytest.approx(continuous, rel=1e-4)
        phases = ou.oscillation(rule, np.array([0.999, 1.001]) * rule.oscillation_threshold()).phase.values
        assert phases[0] == 0
        assert phases[1] > 0
    rule = ou.MomentumSGD(lr=1e-3, momentum=0.9)
    found = ou.oscillation(rule, [50.0])
    assert float(found.phase[0]) == pytest.approx(0.223915, abs=1e-5)
    assert float(found.decay[0]) == pytest.approx(0.948683, abs=1e-5)
    assert float(ou.oscillation(rule, [50.0], "continuous").phase[0]) == pytest.approx(0.223297, abs=1e-5)


@pytest.mark.parametrize(("alpha", "exponent", "ratio"), [(2, 0.501, 0.996), (3, 0.339, 0.984)])
def test_the_exponent_of_a_power_law_spectrum(alpha: int, exponent: float, ratio: float) -> None:
    rule = ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=32)
    rho = np.arange(1.0, 50_001) ** -alpha
    k = np.unique(np.geomspace(1e3, 1e5, 30).astype(int))
    found = ou.displacement(rule, rho, rho, k).global_displacement
    assert np.polyfit(np.log(k), np.log(found), 1)[0] == pytest.approx(exponent, abs=0.005)
    at = ou.displacement(rule, rho, rho, [10_000]).global_displacement.values
    assert at / ou.power_law_displacement(rule, alpha, [10_000]) == pytest.approx(ratio, rel=0.01)
    fixed = ou.displacement(rule, rho, rho, [10_000], start="fixed").global_displacement.values
    assert fixed / ou.power_law_displacement(rule, alpha, [10_000], start="fixed") == pytest.approx(1, rel=0.05)


def test_the_trends_of_the_published_sweeps() -> None:
    """The exponent falls with the learning rate, through 1, and grows with the batch size; the numbers are of one start."""
    rho = 50.0 / np.arange(1, 5001)
    random = np.random.default_rng(0)
    starts = random.normal(0, 0.002, (16, 5000))
    k = np.unique(np.geomspace(50, 10_000, 30).astype(int))

    def exponent(lr: float, size: float) -> tuple[float, float]:
        """Mean over random starts, and the scatter of one."""
        rule = ou.MomentumSGD(lr=lr, momentum=0.9, ridge=1e-4, batch_size=size)
        moved = [ou.displacement(rule, rho, rho, k, start="fixed", position=x0).global_displacement for x0 in starts]
        slopes = np.polyfit(np.log(k), np.log(moved).T, 1)[0]
        return float(slopes.mean()), float(slopes.std())

    rates, scatter = np.transpose([exponent(lr, 256) for lr in np.geomspace(1e-5, 1e-3, 5)])
    assert np.all(np.diff(rates) < 0)
    assert rates[0] > 1 > rates[-1]
    assert np.all(np.abs(rates - [1.12, 0.99, 0.88, 0.78, 0.63]) < np.maximum(0.05, 3 * scatter))
    sizes, scatter = np.transpose([exponent(1e-4, size) for size in (32, 128, 256, 512, 1024)])
    assert np.all(np.diff(sizes) > 0)
    assert np.all(np.abs(sizes - [0.82, 0.85, 0.88, 0.92, 0.98]) < np.maximum(0.05, 3 * scatter))


# ---- closed forms against matrices


def power(x: float, beta: float, k: int) -> np.ndarray:
    return np.linalg.matrix_power(np.array([[1 - x, beta], [-x, beta]]), k)


@settings(max_examples=150, deadline=None)
@given(st.floats(-0.99, 0.99), st.floats(0, 1), st.integers(0, 300))
@example(0.0, 1.0, 0)
def test_powers_of_a_step(beta: float, part: float, k: int) -> None:
    """M^k = a_k M - beta a_{k-1} I in units eta = 1, sums and squares included, over- and under-damped."""
    x = part * 1.98 * (1 + beta) if beta >= 0 or part < 0.9 else part * 1.9 * (1 + beta)
    kicks = np.array([power(x, beta, j)[0] @ [1, 1] for j in range(k)])
    with jax.enable_x64(True):
        arguments = (jnp.asarray([x]), beta, jnp.asarray([float(k)]))
        a, s, q = (float(f(*arguments)[0]) for f in (propagation.kick, propagation.kick_sum, propagation.kick_squares))
    scale = max(1.0, np.abs(kicks).max(initial=0.0))
    assert a == pytest.approx(kicks[-1] if k else 0.0, abs=1e-7 * scale)
    assert s == pytest.approx(kicks.sum(), rel=1e-6, abs=1e-6 * scale)
    if x > 1e-6:
        assert q == pytest.approx((kicks**2).sum(), rel=1e-5, abs=1e-6 * scale**2)


def test_slow_and_flat_modes_keep_their_digits() -> None:
    """Curvatures down to 0, where positions wander without bound and differences of variances have no digits left."""
    rule = ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=1)
    k = 1000
    for rho in (1e-14, 0.0):
        found = [float(ou.displacement(rule, [rho], [1.0], [k], start=s).global_displacement[0]) for s in ("stationary", "fixed")]
        lags = np.arange(1, k)
        correlated = k + 2 * np.sum((k - lags) * 0.9**lags)
        assert found[0] == pytest.approx(0.01 / (1 - 0.81) * correlated, rel=1e-9)
        kicks = (1 - 0.9 ** np.arange(1, k + 1)) / 0.1
        assert found[1] == pytest.approx(0.01 * np.sum(kicks**2), rel=1e-9)


@pytest.mark.parametrize("formula", ["discrete", "continuous"])
def test_a_fixed_start_by_matrices(formula: str) -> None:
    rule = ou.MomentumSGD(lr=0.05, momentum=0.7, ridge=0.1, batch_size=2)
    rho, x0, v0, k = np.array([0.0, 0.3, 2.0]), np.array([1.0, -0.5, 0.2]), np.array([0.1, 0.4, -1.0]), 7
    noise = np.array([0.2, 0.5, 0.9])
    found = ou.displacement(rule, rho, noise, [k], start="fixed", formula=formula, position=x0, velocity=v0)
    h = rho + 0.1
    drift = spread = 0.0
    for i in range(3):
        if formula == "discrete":
            m, g = ou.step_matrices(rule, [[rho[i]]])
            p = np.linalg.matrix_power(m, k)
            q = g @ g.T * noise[i] / 2
            c = sum(np.linalg.matrix_power(m, j) @ q @ np.linalg.matrix_power(m, j).T for j in range(k))
        else:
            from scipy.linalg import expm

            process = ou.momentum_process(rule, [[rho[i]]], [[noise[i]]])
            p = expm(-process.drift * 0.05 * k)
            c = process.covariance - p @ process.covariance @ p.T
        drift += ((p - np.eye(2)) @ [x0[i], v0[i]])[0] ** 2
        spread += c[0, 0]
    assert h.min() > 0
    assert float(found["drift"][0]) == pytest.approx(drift, rel=1e-9)
    assert float(found["spread"][0]) == pytest.approx(spread, rel=1e-9)


def test_the_power_spectrum_integrates_to_the_variance() -> None:
    rule = ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=1)
    w = np.linspace(-np.pi, np.pi, 20_001)
    spectrum = ou.power_spectrum(rule, [1.0, 0.1], [1.7, 0.3], w).power_spectrum
    variance = np.trapezoid(spectrum, w, axis=1) / (2 * np.pi)
    np.testing.assert_allclose(variance, ou.stationary_state(rule, [1.0, 0.1], [1.7, 0.3]).position_variance, rtol=1e-8)


def test_displacements_differentiate() -> None:
    """The derivative with respect to eta, beta and S, against differences, at an over- and an under-damped mode."""
    from quenched.theory.ornstein_uhlenbeck import moves

    with jax.enable_x64(True):
        h, s2 = jnp.asarray([0.01, 3.0]), jnp.asarray([0.2, 0.4])

        def moved(lr: jax.Array, beta: jax.Array) -> jax.Array:
            rule = eqx.tree_at(lambda r: (r.lr, r.momentum), ou.MomentumSGD(lr=0.1, momentum=0.9), (lr, beta))
            return jnp.sum(moves.from_stationary(rule, h, s2, jnp.asarray(20.0), "discrete"))

        gradient = jax.grad(moved, (0, 1))(0.1, 0.9)
        e = 1e-6
        assert float(gradient[0]) == pytest.approx(float(moved(0.1 + e, 0.9) - moved(0.1 - e, 0.9)) / (2 * e), rel=1e-6)
        assert float(gradient[1]) == pytest.approx(float(moved(0.1, 0.9 + e) - moved(0.1, 0.9 - e)) / (2 * e), rel=1e-6)


# ---- noise that is not white


def test_reshuffled_noise_by_simulation() -> None:
    """Batches without replacement: 20,000 runs of one mode whose samples have fixed gradients, within five errors."""
    n, size, k = 24, 4, np.array([3, 6, 9, 12, 20])
    rule = ou.MomentumSGD(lr=0.1, momentum=0.5, batch_size=size)
    random = np.random.default_rng(0)
    kicks = random.normal(size=n)
    kicks -= kicks.mean()
    runs = 20_000
    x, v, moved = np.zeros(runs), np.zeros(runs), []
    for step in range(k[-1]):
        if step % (n // size) == 0:
            order = random.permuted(np.tile(np.arange(n), (runs, 1)), axis=1)
        batch = order[:, (step % (n // size)) * size :][:, :size]
        v = 0.5 * v - 0.8 * x + kicks[batch].mean(1)
        x = x + 0.1 * v
        if step + 1 in k:
            moved.append((np.mean(x**2), np.std(x**2) / np.sqrt(runs)))
    values, errors = np.transpose(moved)
    theory = ou.displacement(rule, [0.8], [np.mean(kicks**2)], k, start="fixed", samples=n).global_displacement
    assert np.abs((values - theory) / errors).max() < 5
    white = ou.displacement(rule, [0.8], [np.mean(kicks**2)], k, start="fixed").global_displacement
    assert float(theory[-1]) < 0.5 * float(white[-1])


def test_noise_with_memory_by_simulation() -> None:
    rule = ou.MomentumSGD(lr=0.2, momentum=0.5, batch_size=1)
    c = ou.persistent_covariance(rule, [[1.5]], [[0.4]], 0.8)
    random = np.random.default_rng(1)
    runs = 20_000
    x, v = np.zeros(runs), np.zeros(runs)
    noise = np.sqrt(0.4) * random.normal(size=runs)
    for _ in range(120):
        v = 0.5 * v - 1.5 * x + noise
        x = x + 0.2 * v
        noise = 0.8 * noise + np.sqrt(0.4 * (1 - 0.64)) * random.normal(size=runs)
    for ours, products in ((c[0, 0], x * x), (c[1, 1], v * v), (c[0, 1], x * v)):
        assert abs(products.mean() - ours) < 5 * products.std() / np.sqrt(runs)
    white = ou.persistent_covariance(rule, [[1.5]], [[0.4]], 0.0)
    np.testing.assert_allclose(white, ou.stationary_covariance(rule, [[1.5]], [[0.4]]), rtol=1e-9)


# ---- regression


def regression() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    scales = np.sqrt(3.0 * np.arange(1, 11) ** -1.5)
    x = random.normal(size=(2000, 10)) * scales
    return x, x @ random.normal(size=10) + 0.7 * random.normal(size=2000)


def test_noise_that_depends_on_the_state_matters_at_large_learning_rates() -> None:
    """4.4/4.3 of the step length tends to 1 linearly in eta; with sigma2 H in place of Sigma it tends to another number."""
    x, y = regression()
    problem = ou.quadratic(x, y)
    ratios = []
    for lr in (0.05, 0.005, 0.0005):
        rule = ou.MomentumSGD(lr=lr, momentum=0.9, batch_size=8)
        exact, additive = ou.exact_covariance(rule, x, y), ou.stationary_covariance(rule, problem.hessian, problem.noise)
        ratios.append(np.trace(exact[10:, 10:]) / np.trace(additive[10:, 10:]))
    np.testing.assert_allclose(ratios[0], 1.352, atol=0.05)
    np.testing.assert_allclose(ratios[1], 1.026, atol=0.01)
    np.testing.assert_allclose(ratios[2], 1.0025, atol=0.002)
    wrong = ou.stationary_covariance(rule, problem.hessian, problem.residual * problem.hessian)
    assert abs(np.trace(exact[10:, 10:]) / np.trace(wrong[10:, 10:]) - 1) > 0.01
    assert np.linalg.norm(problem.noise - problem.residual * problem.hessian) > 0.01 * np.linalg.norm(problem.noise)


def test_a_second_moment_that_grows_is_reported() -> None:
    x, y = regression()
    with pytest.raises(DivergenceError, match="second moment has no stationary value"):
        ou.exact_covariance(ou.MomentumSGD(lr=0.5, momentum=0.5, batch_size=1), x, y)


def test_modes_and_matrices_agree_on_a_noise_that_does_not_commute() -> None:
    x, y = regression()
    problem = ou.quadratic(x, y, 0.1)
    rule = ou.MomentumSGD(lr=0.05, momentum=0.9, ridge=0.1, batch_size=8)
    rho, q = np.linalg.eigh(problem.hessian)
    modes = ou.stationary_state(rule, rho, np.einsum("il,ij,jl->l", q, problem.noise, q))
    whole = ou.stationary_covariance(rule, problem.hessian, problem.noise)
    np.testing.assert_allclose(modes.position_variance, np.einsum("il,ij,jl->l", q, whole[:10, :10], q), rtol=1e-8)
    assert float(modes.velocity_variance.sum()) == pytest.approx(np.trace(whole[10:, 10:]), rel=1e-9)


# ---- bad input


def test_rules_are_read_or_refused() -> None:
    rule = qd.dynamics.Gradient(
        lr=0.1, ridge=0.2, batches=qd.dynamics.Minibatch(size=4), transform=qd.dynamics.Momentum(decay=0.5)
    )
    assert ou.MomentumSGD.of(rule) == ou.MomentumSGD(lr=0.1, momentum=0.5, ridge=0.2, batch_size=4)
    with pytest.raises(IncompatibleError, match="batches of a size, got Full"):
        ou.MomentumSGD.of(qd.dynamics.Gradient())
    with pytest.raises(IncompatibleError, match="got Optax"):
        ou.MomentumSGD.of(qd.dynamics.Gradient(transform=qd.dynamics.Optax("adam")))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ou.MomentumSGD(lr=0), "lr must be > 0"),
        (lambda: ou.MomentumSGD(lr=0.1, momentum=1.0), r"momentum must lie in \(-1, 1\)"),
        (lambda: ou.MomentumSGD(lr=0.1, batch_size=0.5), "batch_size must be >= 1"),
        (lambda: ou.stationary_state(ou.MomentumSGD(lr=1.0), [1.0, 4.0], [1.0, 1.0]), "in mode 1; lr < 0.95 is stable"),
        (lambda: ou.stationary_state(ONE, [1.0, -0.1], [1.0, 1.0]), "in mode 1; a displacement at finite steps"),
        (lambda: ou.displacement(ONE, [-0.1], [1.0], [1]), "start='fixed' exists"),
        (lambda: ou.stationary_state(ONE, [0.0], [1.0]), "position diffuses freely"),
        (lambda: ou.stationary_state(ONE, [math.nan], [1.0]), "curvature must be finite, got nan in mode 0"),
        (lambda: ou.stationary_state(ONE, [1.0], [-1.0]), "noise must be >= 0"),
        (lambda: ou.stationary_state(ONE, [1.0], [1.0], "exact"), "formula must be one of"),
        (lambda: ou.displacement(ONE, [1.0], [1.0], [-1]), "steps must be integers >= 0"),
        (lambda: ou.displacement(ONE, [1.0], [1.0], [1], samples=8), "samples must be an integer >= 16"),
        (lambda: ou.displacement(ONE, [1.0], [1.0], [1], samples=32), "samples needs start='fixed'"),
        (lambda: ou.OrnsteinUhlenbeck(np.eye(2), [[1.0, 0.5], [0.0, 1.0]]), "diffusion must be symmetric"),
        (lambda: ou.OrnsteinUhlenbeck(np.eye(2), np.diag([1.0, -1.0])), "positive semi-definite"),
        (lambda: ou.OrnsteinUhlenbeck(np.eye(2), np.diag([1.0, 0.0])).entropy_production(), "diffusion must be invertible"),
        (lambda: ou.power_law_displacement(ONE, 1.0, [10]), "exponent must be > 1"),
    ],
)
def test_bad_requests(call, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()


def test_maps_without_a_stationary_state() -> None:
    with pytest.raises(ConvergenceError, match=r"spectral radius must be < 1, got 1\.1"):
        discrete_lyapunov([[1.1]], [[1.0]])
    with pytest.raises(ConvergenceError, match=r"real part > 0, got -1"):
        continuous_lyapunov([[-1.0]], [[1.0]])


def test_a_saddle_has_displacements_at_finite_steps() -> None:
    found = ou.displacement(ONE, [-0.5], [1.0], [1, 200], start="fixed", position=0.1).global_displacement.values
    assert np.all(np.isfinite(found))
    assert found[1] > found[0] > 0
