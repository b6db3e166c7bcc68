"""The sampled solver against exact results: the oracle of the square loss, modes of momentum, one-pass learning."""

from __future__ import annotations

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.dynamics import IID, Epochs, Fresh, Gradient, Momentum, Persistent, PowerLawDecay
from quenched.losses import Square
from quenched.numerics.precision import traced
from quenched.numerics.quadrature import marchenko_pastur
from quenched.theory import solve
from quenched.theory.oracle import solve_oracle
from quenched.theory.sampled import trajectory
from quenched.theory.sampled.process import Plan
from tests.theory.sampled_systems import LinearTeacher, LogCosh, assert_agree, two_clusters

SMALL = {"method": "sampled", "samples": 1024, "runs": 16}


@pytest.fixture(scope="module")
def descent():
    model, rule = two_clusters(Square()), Gradient(0.2, ridge=0.1)
    return solve(model, rule, steps=60, **SMALL), solve_oracle(model, rule, steps=60)


def test_square_loss_descent(descent):
    ours, exact = descent
    assert ours.overlap.dims == ("disorder", "t")
    assert ours.correlation.dims == ("disorder", "t", "t_prime")
    np.testing.assert_allclose(ours.t, exact.t)
    at = [1, 5, 20, 59]
    for name in ("overlap", "norm", "loss", "test_error"):
        assert_agree(ours[name].values[:, at], exact[name].values[at])
    # published digits of this system at step 59
    assert_agree(ours.overlap.values[:, 59], 0.629524)
    assert_agree(ours.norm.values[:, 59], 0.768305)


def test_two_time_functions(descent):
    ours, exact = descent
    pick = np.ix_(range(16), [10, 30, 60], [5, 30])
    for name in ("correlation", "noise_kernel"):
        assert_agree(ours[name].values[pick], exact[name].values[np.ix_([10, 30, 60], [5, 30])])
    c, r, norm = ours.correlation.values, ours.response.values, ours.norm.values
    np.testing.assert_array_equal(c, np.swapaxes(c, 1, 2))
    np.testing.assert_allclose(np.diagonal(c, axis1=1, axis2=2), norm, rtol=1e-5)
    assert np.linalg.eigvalsh(c).min() > -1e-5
    assert np.linalg.eigvalsh(ours.noise_kernel.values).min() > -1e-5
    assert np.all(np.triu(r) == 0)
    np.testing.assert_allclose(np.diagonal(r, -1, 1, 2), 1, atol=1e-12)


@pytest.mark.slow
def test_orthogonal_probes_leave_no_noise_where_the_curvature_is_constant(descent):
    ours, exact = descent
    # the curvature of the square loss is 1 for all samples, probes of different times are exactly orthogonal: rounding is left
    response = ours.response.values[:, :, 0]
    np.testing.assert_allclose(response, np.broadcast_to(exact.response.values[:, 0], response.shape), atol=2e-5)


@pytest.mark.parametrize("alpha", [2.0, 0.5])
def test_response_is_the_spectral_average(alpha):
    rule = Gradient(0.2, ridge=0.1)
    ours = solve(two_clusters(Square(), alpha=alpha), rule, steps=60, **SMALL)
    x, weight = marchenko_pastur(alpha, 0.5, 40)
    expected = [np.sum(weight * (1 - 0.2 * 0.1 - 0.2 * x) ** t) for t in range(60)]
    np.testing.assert_allclose(ours.response.values.mean(0)[1:, 0], expected, atol=0.01)


@pytest.fixture(scope="module")
def noisy():
    model, rule = two_clusters(Square()), Gradient(0.4, ridge=0.1, batches=IID(0.3))
    return solve(model, rule, steps=60, replicas=2, **SMALL), solve_oracle(model, rule, steps=60, replicas=2)


@pytest.mark.slow
def test_square_loss_sgd_with_two_replicas(noisy):
    ours, exact = noisy
    at = [1, 5, 20, 59]
    for name in ("overlap", "norm", "loss", "replica_distance"):
        assert_agree(ours[name].values[:, at], exact[name].values[at])
    i, j = np.ix_([20, 40, 59], [10, 29])
    for name in ("correlation", "replica_correlation", "response", "noise_kernel", "response_kernel"):
        assert_agree(ours[name].values[:, i, j], exact[name].values[i, j])


def test_the_distance_is_the_difference_of_the_correlations(noisy):
    ours, _ = noisy
    gap = 2 * (ours.correlation - ours.replica_correlation).values
    np.testing.assert_allclose(np.diagonal(gap, axis1=1, axis2=2), ours.replica_distance.values, atol=1e-5)
    q = ours.replica_correlation.values
    np.testing.assert_allclose(q, np.swapaxes(q, 1, 2), atol=1e-12)


@pytest.mark.slow
def test_temperature_and_schedule():
    model = two_clusters(Square(), alpha=3.0)
    rule = Gradient(PowerLawDecay(0.3, 10.0, 0.5), ridge=0.2, temperature=0.05)
    ours, exact = solve(model, rule, steps=30, **SMALL), solve_oracle(model, rule, steps=30)
    np.testing.assert_allclose(ours.t, exact.t)
    for name in ("overlap", "norm", "loss"):
        assert_agree(ours[name].values[:, [5, 30]], exact[name].values[[5, 30]])
    assert_agree(ours.response.values[:, 30, [0, 10, 25]], exact.response.values[30, [0, 10, 25]], rounding=2e-4)


@pytest.mark.slow
def test_exact_response_where_it_does_not_decay():
    model, rule = two_clusters(Square(), alpha=0.5), Gradient(0.2, batches=IID(0.3))
    exact = solve_oracle(model, rule, steps=30).response.values[30, 0]
    options = {"method": "sampled", "samples": 512, "runs": 16}
    ours = solve(model, rule, steps=30, response="exact", response_samples=128, **options)
    assert_agree(ours.response.values[:, 30, 0], exact)


@pytest.mark.slow
@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_momentum_moves_every_mode_as_a_heavy_ball(decay):
    lr, ridge, steps = 0.1, 0.1, 40
    model, rule = two_clusters(Square(), noise=1.0), Gradient(lr, ridge=ridge, transform=Momentum(decay))
    ours = solve(model, rule, steps=steps, **SMALL)
    x, weight = marchenko_pastur(2.0, 1.0, 40)
    # a mode kicked by lr F at step 0: v(1) = -F, then v <- decay v + (lambda + x) r, r <- r - lr v
    r, v, expected = np.ones_like(x), np.full_like(x, -1 / lr), [0.0, 1.0]
    for _ in range(steps - 1):
        v = decay * v + (ridge + x) * r
        r = r - lr * v
        expected.append(weight @ r)
    response = ours.response.values[:, :, 0]
    np.testing.assert_allclose(response, np.broadcast_to(expected, response.shape), atol=1e-4)


@pytest.mark.slow
def test_zero_momentum_is_plain_descent():
    model, options = two_clusters(variance=0.2), {"steps": 10, "samples": 1024, "runs": 1}
    plain = solve(model, Gradient(0.2), **options)
    heavy = solve(model, Gradient(0.2, transform=Momentum(0.0)), **options)
    for name in ("overlap", "correlation", "response"):
        np.testing.assert_allclose(heavy[name], plain[name], atol=1e-5)


@pytest.mark.slow
def test_one_pass_learning_is_markovian():
    alpha, delta, lr, ridge, steps = 0.8, 0.5, 0.3, 0.1, 20
    rule = Gradient(lr, ridge=ridge, batches=Fresh())
    ours = solve(two_clusters(Square(), alpha=alpha), rule, steps=steps, replicas=2, **SMALL)
    # Gaussian averages of the residual r - y of a new sample of cluster y = 1
    m, c, q = 0.0, 0.1, 0.1
    m_all, c_all, d_all, loss_all = [m], [c], [0.0], []
    for _ in range(steps):
        square = (m - 1) ** 2 + delta * (m**2 + c)
        keep = 1 - lr * (ridge + alpha * delta)
        loss_all.append(square / 2)
        m = (1 - lr * ridge) * m - lr * alpha * (m * (1 + delta) - 1)
        c, q = keep**2 * c + lr**2 * delta * alpha * square, keep**2 * q
        m_all.append(m), c_all.append(c + m**2), d_all.append(2 * (c - q))
    assert_agree(ours.overlap.values, m_all, rounding=1e-5)
    assert_agree(ours.norm.values[:, [1, 5, 20]], np.array(c_all)[[1, 5, 20]])
    assert_agree(ours.replica_distance.values[:, [1, 5, 20]], np.array(d_all)[[1, 5, 20]])
    assert_agree(ours.loss.values[:, [0, 5, 19]], np.array(loss_all)[[0, 5, 19]])
    assert np.all(np.tril(ours.response_kernel.values.mean(0), -1) == 0)


@pytest.mark.slow
def test_two_directions_are_one_in_rotated_axes():
    rule, options = Gradient(0.1, batches=IID(0.5)), {**SMALL, "two_time": False, "steps": 20}
    one = solve(LinearTeacher(alpha=2.0, two=False), rule, **options)
    two = solve(LinearTeacher(alpha=2.0, two=True), rule, **options)
    assert "correlation" not in two
    assert "t_prime" not in two.coords
    assert two.overlap.dims == ("disorder", "t", "direction")
    length = 1.25**0.5
    m, m_error = one.overlap.values.mean(0), one.overlap.values.std(0, ddof=1) / 4
    norm, norm_error = one.norm.values.mean(0), one.norm.values.std(0, ddof=1) / 4
    at = [1, 5, 20]
    for k, share in enumerate((1 / length, 0.5 / length)):
        assert_agree(two.overlap.values[:, at, k], share * m[at], share * m_error[at])
    assert_agree(two.norm.values[:, at], norm[at], norm_error[at])


@pytest.mark.slow
@pytest.mark.parametrize("batches", [Persistent(1.0, 1.0), pytest.param(Epochs(1.0), marks=pytest.mark.slow)])
def test_full_batches_by_another_name_make_no_distance(batches):
    options = {"steps": 20, "replicas": 2, "runs": 2, "samples": 256, "two_time": False}
    full = solve(two_clusters(), Gradient(0.2), **options)
    other = solve(two_clusters(), Gradient(0.2, batches=batches), **options)
    np.testing.assert_array_equal(other.replica_distance, 0)
    np.testing.assert_array_equal(other.norm, full.norm)


@pytest.mark.slow
def test_first_step_from_zero_is_bayes_optimal():
    ours = solve(two_clusters(variance=0.0), Gradient(0.2), steps=2, samples=1024, runs=2)
    m = 0.2 * 2.0 / 2
    np.testing.assert_allclose(ours.overlap[:, 1], m, rtol=1e-5)
    np.testing.assert_allclose(ours.norm[:, 1], m**2 * 1.25, rtol=1e-4)
    np.testing.assert_allclose(ours.test_error[:, 1], 0.102952, atol=1e-5)


@pytest.mark.slow
def test_a_loss_of_ones_own_and_no_recompilation():
    options = {"samples": 256, "runs": 2, "method": "sampled", "times": [0, 5, 10]}
    first = solve(two_clusters(LogCosh()), Gradient(0.2, ridge=0.1, batches=IID(0.5)), steps=10, **options)
    assert np.all(np.diff(first.loss.values.mean(0)) < 0)
    assert first.correlation.shape == (2, 3, 3)
    count = len(LogCosh.traces)
    changed = two_clusters(LogCosh(), alpha=3.0, noise=0.7, variance=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solve(changed, Gradient(0.1, ridge=0.2, batches=IID(0.4)), steps=12, **options)
    assert len(LogCosh.traces) == count


@pytest.mark.slow
def test_times_select_and_runs_are_reproducible():
    model, rule = two_clusters(), Gradient(0.2, batches=Persistent(0.3, 1.0))
    options = {"steps": 20, "samples": 256, "runs": 2, "seed": 3, "method": "sampled"}
    every = solve(model, rule, **options)
    some = solve(model, rule, times=[0, 7, 20], final_gaps=True, **options)
    at = [0, 7, 20]
    for name in ("overlap", "loss", "train_error"):
        np.testing.assert_allclose(some[name], every[name].values[:, at], rtol=1e-5)
    for name in ("correlation", "response", "noise_kernel", "response_kernel"):
        np.testing.assert_allclose(some[name], every[name].values[:, at][:, :, at], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(some.t_prime, every.t.values[at])
    assert some.gap.dims == ("disorder", "sample")
    np.testing.assert_allclose((some.gap < 0).mean("sample"), some.train_error[:, -1], atol=1e-6)
    other = solve(model, rule, **{**options, "seed": 4})
    assert not np.allclose(other.overlap, every.overlap)


@pytest.mark.slow
def test_the_core_differentiates_forward():
    model, rule = two_clusters(), Gradient(0.2, ridge=0.1)
    plan = Plan(rows=16, slots=16, samples=1024, dtype="float64", two_time=False)
    with jax.enable_x64(True):
        law, dynamics = traced((model, rule), "float64")
        times = jnp.arange(16, dtype=jnp.int32)

        def overlap(lr):
            moved = eqx.tree_at(lambda r: r.lr, dynamics, lr)
            return trajectory(law, moved, plan, jax.random.key(0), jnp.int32(10), times)["overlap"][10, 0]

        both = jax.jit(lambda lr: jax.jvp(overlap, (lr,), (jnp.ones(()),)))
        slope = both(jnp.asarray(0.2))[1]
        difference = (both(jnp.asarray(0.2 + 1e-4))[0] - both(jnp.asarray(0.2 - 1e-4))[0]) / 2e-4
    assert float(slope) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.slow
def test_normalised_batches_are_a_rescaled_selection():
    model, steps = two_clusters(Square(), alpha=2.0), 20
    rule = Gradient(0.1, batches=IID(0.5), normalise_batch=True)
    ours, exact = solve(model, rule, steps=steps, **SMALL), solve_oracle(model, rule, steps=steps)
    for name in ("overlap", "norm", "loss"):
        assert_agree(ours[name].values[:, [5, 20]], exact[name].values[[5, 20]])


def test_the_kernel_vanishes_beyond_the_horizon():
    model, rule = two_clusters(Square()), Gradient(0.2, ridge=0.1)
    options = {"steps": 30, "method": "sampled", "samples": 64, "runs": 1}
    free, beyond, short = (solve(model, rule, **options, horizon=h) for h in (None, 30, 4))
    for name in ("overlap", "response_kernel"):
        np.testing.assert_array_equal(beyond[name], free[name])
    kernel, lag = short.response_kernel[0].values, short.step.values[:, None] - short.step_prime.values[None]
    assert np.all(kernel[lag > 4] == 0)
    assert np.any(kernel[lag == 4] != 0)
    # the square loss has a known response of a few steps: ten of them are all there is, to the accuracy of a run
    long = solve(model, rule, steps=60, method="sampled", samples=1024, runs=4, horizon=40)
    exact = solve_oracle(model, rule, steps=60)
    assert_agree(long.norm.values[:, [20, 59]], exact.norm.values[[20, 59]])
    with pytest.raises(ValueError, match="horizon must be an integer >= 1, got 0"):
        solve(model, rule, **options, horizon=0)
