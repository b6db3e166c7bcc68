"""The decomposition of the excess test loss (arXiv:2108.09507)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.numerics.checks import ParameterError
from quenched.observables.shift_curvature import PARTS, shift_curvature


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
    assert abs(float(found.residual)) < 1e-12 * float(found.excess)
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
    costs = []
    for _ in range(200):
        minima, hessians = [], []
        teacher = random.normal(size=d)
        for _ in range(2):
            x = random.normal(size=(n, d)) * scales
            y = x @ teacher + sigma * random.normal(size=n)
            minima.append(np.linalg.lstsq(x, y)[0])
            hessians.append(x.T @ x / n)
        s = minima[1] - minima[0]
        costs.append(s @ hessians[1] @ s / 2)
    error = np.std(costs, ddof=1) / np.sqrt(len(costs))
    assert abs(np.mean(costs) - 0.5 * sigma**2 * (d / n + d / (n - d - 1))) < 4 * error


def test_the_errors_are_those_of_chains(double) -> None:
    random = np.random.default_rng(2)
    found = [
        shift_curvature(lambda x: 0.5 * jnp.sum(x**2), np.zeros(3), np.full(3, 0.2), random.normal(size=(16, 20, 3)) * 0.1 + 0.25)
        for _ in range(60)
    ]
    for name in ("excess", "covariance"):
        scatter = np.std([float(f[name]) for f in found], ddof=1)
        assert np.mean([float(f[f"{name}_error"]) for f in found]) == pytest.approx(scatter, rel=0.35)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(2), np.zeros(3), np.zeros((4, 2))), "minima must be"),
        ((np.zeros(2), np.zeros(2), np.full((4, 2), np.nan)), "samples must be finite"),
        ((np.ones(2), np.zeros(2), np.zeros((4, 2))), "test_minimum must have a gradient"),
    ],
)
def test_bad_requests(arguments, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        shift_curvature(lambda x: jnp.sum(x**2), *arguments)
