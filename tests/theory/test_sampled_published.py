"""The sampled solver on the systems of the papers: values held by direct simulation, identities in law, long runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfc

from quenched.dynamics import IID, Epochs, Full, Gradient, Persistent, Spherical
from quenched.losses import Door, Logistic, QuadraticHinge, Square
from quenched.models import GaussianMixture, GaussianStart, PhaseRetrieval, SphericalStart
from quenched.theory import solve
from quenched.theory.oracle import solve_oracle
from tests.theory.sampled_systems import assert_agree, score, two_clusters

PERSISTENT = Persistent(0.3, 1.0)
LARGE = {"method": "sampled", "samples": 8192, "runs": 8}


@pytest.fixture(params=[{"memory": "dense"}, {"memory": "compressed", "window": 8}], ids=["dense", "compressed"])
def large(request):
    """Options of a large run, with either memory; a window of 8 compresses most of 60 steps."""
    return {**LARGE, **request.param}


def assert_close(values, expected, tolerance):
    """Within the tolerance of the reference values and four standard errors of our own."""
    values = np.asarray(values, float)
    error = values.std(0, ddof=1) / len(values) ** 0.5
    difference = np.abs(values.mean(0) - expected)
    assert np.all(difference <= tolerance + 4 * error), f"{values.mean(0)} +- {error} against {expected}"


def test_persistent_sgd_with_logistic_loss():
    # reference: 48 runs with 8192 trajectories, errors .0004 (m), .0003, .0008, .0008 (C); the loss is known to 1 %
    rule = Gradient(0.2, ridge=0.1, batches=PERSISTENT)
    ours = solve(two_clusters(), rule, steps=60, samples=4096, runs=16)
    at = [5, 20, 60]
    assert_agree(ours.overlap.values[:, at], [0.2587, 0.6680, 0.9537], 0.0004)
    assert_agree(ours.norm.values[:, at], [0.1674, 0.6128, 1.1925], np.array([0.0003, 0.0008, 0.0008]))
    assert_close(ours.loss.values[:, at], [0.5536, 0.3873, 0.3050], 0.01 * np.array([0.5536, 0.3873, 0.3050]))
    assert_close(ours.test_error.values[:, 60], 0.1082, 0.0006)
    chi = 0.2 * ours.response.values[:, 60].sum(-1)
    assert_close(chi, 5.607, 0.01 * 5.607)
    # no classifier beats the Bayes error of this mixture
    bayes = 0.5 * erfc((2.0 / (2 * 0.5 * 2.5)) ** 0.5)
    assert bayes == pytest.approx(0.102952, abs=1e-6)
    assert np.all(ours.test_error.values > bayes - 3 * ours.test_error.values.std(0))


@pytest.mark.slow
def test_square_loss_against_the_published_digits(large):
    ours = solve(two_clusters(Square()), Gradient(0.2, ridge=0.1), steps=59, **large)
    assert_close(ours.overlap.values[:, 59], 0.629524, 0)
    assert_close(ours.norm.values[:, 59], 0.768305, 0)
    ours = solve(two_clusters(Square()), Gradient(0.4, ridge=0.1, batches=IID(0.3)), steps=59, **large)
    assert abs(ours.overlap.values[:, 59].mean() - 0.571172) < 0.01
    assert abs(ours.norm.values[:, 59].mean() - 0.544300) < 0.015
    assert_close(ours.correlation.values[:, 59, 29], 0.513686, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "variance", "rows"),
    [
        (Gradient(0.2), 0.1, {5: (0.7305, 0.735, 0.3698), 20: (1.573, 3.259, 0.1976), 60: (2.4435, 8.44, 0.1104)}),
        (
            Gradient(0.5, ridge=0.1, batches=IID(0.3)),
            1.0,
            {5: (0.538, 0.828, 0.4523), 20: (0.940, 1.208, 0.3116), 60: (1.0154, 1.3705, 0.2900)},
        ),
    ],
    ids=["descent", "sgd"],
)
def test_logistic_loss(rule, variance, rows, large):
    ours = solve(two_clusters(variance=variance), rule, steps=60, **large)
    for step, (m, c, loss) in rows.items():
        assert_close(ours.overlap.values[:, step], m, 0.01 * m)
        assert_close(ours.norm.values[:, step], c, 0.01 * c)
        assert_close(ours.loss.values[:, step], loss, 0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batches", "tolerance", "rows"),
    [
        (
            Full(),
            0.01,
            {5: (0.868, 0.872, 0.5226), 15: (1.8395, 3.580, 0.3165), 30: (2.064, 4.630, 0.3011), 60: (2.176, 5.570, 0.2920)},
        ),
        (PERSISTENT, 0.015, {15: (0.842, 0.831, 0.531), 30: (1.509, 2.438, 0.3526), 60: (1.911, 3.890, 0.3110)}),
    ],
    ids=["descent", "persistent"],
)
def test_three_clusters(batches, tolerance, rows, large):
    model = GaussianMixture(alpha=3.0, noise=0.05, clusters=3, loss=Logistic(output=Door(0.7)), start=GaussianStart(0.2, 0.1))
    ours = solve(model, Gradient(0.2, batches=batches), steps=60, **large)
    for step, values in rows.items():
        for name, value in zip(("overlap", "norm", "loss"), values, strict=True):
            assert_close(ours[name].values[:, step], value, tolerance * value)
    assert_close(ours.test_error.values[:, 60], 0.0936 if isinstance(batches, Full) else 0.0577, 0.001)


def hinge(batches, steps, **options):
    model = two_clusters(QuadraticHinge(), alpha=0.5, variance=1.0)
    return solve(model, Gradient(0.2, batches=batches), steps=steps, replicas=2, **{**LARGE, "two_time": False, **options})


@pytest.mark.slow
def test_epochs_are_far_less_noisy_than_independent_batches(large):
    ours = hinge(Epochs(0.25), 60, **large)
    assert_close(ours.overlap.values[:, 60], 0.50, 0.05 * 0.5)
    assert_close(ours.loss.values[:, 60], 0.028, 0.05 * 0.028)
    distance = ours.replica_distance.values.mean(0)
    assert 1e-5 < distance[60] < 1e-4
    assert distance[30] == pytest.approx(1e-3, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batches", "middle", "late"),
    [
        (Full(), (0.586, 0.0055, 0.0), 0.0),
        (Persistent(0.6, 1.0), (0.516, 0.032, 0.033), 0.0072),
        (PERSISTENT, (0.411, 0.092, 0.039), 0.0085),
        (Persistent(0.3, 4.0), (0.369, 0.164, 0.18), 0.059),
        (IID(0.3), (0.417, 0.079, 0.0196), 0.0040),
    ],
    ids=["descent", "b.6", "b.3", "slow", "iid"],
)
def test_replica_distance_over_parametrised(batches, middle, late, large):
    ours = hinge(batches, 119, **{**large, "runs": 4})
    for name, value in zip(("overlap", "loss", "replica_distance"), middle, strict=True):
        assert_close(ours[name].values[:, 30], value, 0.06 * value)
    assert_close(ours.replica_distance.values[:, 119], late, 0.06 * late)


@pytest.mark.slow
def test_replica_distance_three_clusters(large):
    model = GaussianMixture(
        alpha=0.5, noise=0.1, clusters=3, loss=QuadraticHinge(0.2, output=Door(0.7)), start=GaussianStart(0.3, 1.0)
    )
    ours = solve(model, Gradient(0.1, batches=PERSISTENT), steps=149, replicas=2, two_time=False, **large)
    for step, values in {75: (0.418, 1.21, 0.053, 0.0038), 149: (0.51, 1.315, 0.036, 0.0061)}.items():
        for name, value in zip(("overlap", "norm", "loss", "replica_distance"), values, strict=True):
            assert_close(ours[name].values[:, step], value, 0.06 * value)


@pytest.mark.slow
def test_phase_retrieval_on_the_sphere(large):
    model = PhaseRetrieval(alpha=3.0, start=SphericalStart(0.5))
    ours = solve(model, Gradient(0.02, constraint=Spherical()), steps=59, **{**large, "samples": 65536, "runs": 6})
    for step, m in {10: 0.740, 30: 0.888, 59: 0.957}.items():
        assert_close(ours.overlap.values[:, step], m, 0.01 * m)
    np.testing.assert_allclose(ours.norm, 1, atol=1e-5)


def law_difference(first, second, at):
    a, b = (x.values[:, at] for x in (first, second))
    return np.max(score(a, b.mean(0), b.std(0, ddof=1) / len(b) ** 0.5))


@pytest.mark.slow
def test_persistent_batches_with_no_memory_are_independent_ones():
    options = {"steps": 40, "samples": 4096, "runs": 16, "two_time": False}
    vanilla = solve(two_clusters(), Gradient(0.2, ridge=0.1, batches=IID(0.3)), **options)
    persistent = solve(two_clusters(), Gradient(0.2, ridge=0.1, batches=Persistent(0.3, 0.2 / 0.3)), seed=1, **options)
    for name in ("overlap", "norm", "loss"):
        assert law_difference(vanilla[name], persistent[name], [5, 20, 40]) < 4


@pytest.mark.slow
def test_one_replica_of_two_is_a_single_run():
    rule, options = Gradient(0.2, ridge=0.1, batches=PERSISTENT), {"steps": 40, "samples": 4096, "runs": 16}
    one, two = solve(two_clusters(), rule, **options), solve(two_clusters(), rule, replicas=2, seed=1, **options)
    for name in ("overlap", "norm", "loss"):
        assert law_difference(one[name], two[name], [5, 20, 40]) < 4
    assert law_difference(one.response[:, :, 0], two.response[:, :, 0], [20, 40]) < 4


@pytest.mark.slow
def test_small_learning_rates_at_fixed_time_converge_linearly():
    values, errors = [], []
    for lr in (0.2, 0.1, 0.05):
        rule = Gradient(lr, ridge=0.1, batches=Persistent(0.5, 1.0))
        m = solve(two_clusters(Logistic()), rule, steps=round(4 / lr), two_time=False, **LARGE).overlap.values[:, -1]
        values.append(m.mean()), errors.append(m.std(ddof=1) / len(m) ** 0.5)
    # reference values have errors of .002
    assert np.all(np.abs(np.array(values) - [0.9223, 0.9130, 0.9067]) < 4 * np.hypot(errors, 0.002))
    first, second = values[0] - values[1], values[1] - values[2]
    spread = 4 * np.linalg.norm(np.array([1, 3, 2]) * errors)
    assert abs(first - 2 * second) < spread + 0.25 * first


@pytest.mark.slow
def test_long_persistent_run():
    rule = Gradient(0.2, ridge=0.1, batches=PERSISTENT)
    ours = solve(two_clusters(), rule, steps=1000, times=[250, 500, 1000], samples=8192, runs=4)
    # reference: 6 runs of 8192 trajectories
    assert_close(ours.overlap.values, [1.0129, 1.0134, 1.0117], 0.006)
    assert_close(ours.norm.values, [1.3606, 1.3616, 1.3592], 0.015)
    assert_close(ours.loss.values[:, -1], 0.2913, 0.003)


@pytest.mark.slow
def test_exact_and_probe_responses_agree_with_the_oracle_where_nothing_decays():
    model, rule = two_clusters(Square(), alpha=0.5), Gradient(0.2, batches=IID(0.3))
    exact = solve_oracle(model, rule, steps=60)
    options = {"method": "sampled", "steps": 60, "samples": 2048, "runs": 16}
    for extra in ({}, {"probes": 4}, {"response": "exact", "response_samples": 512}):
        ours = solve(model, rule, **options, **extra)
        assert_agree(ours.response.values[:, 60, [0, 30]], exact.response.values[60, [0, 30]])
        assert_agree(ours.norm.values[:, [20, 60]], exact.norm.values[[20, 60]])
