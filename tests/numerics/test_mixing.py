from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hadamard as scipy_hadamard

from quenched.numerics.checks import ParameterError
from quenched.numerics.mixing import (
    OrthogonalMixing,
    check_power_of_two,
    fast_orthogonal,
    fast_orthogonal_transpose,
    hadamard_row,
    permutations,
    walsh_hadamard,
)


@pytest.mark.parametrize("n", [2, 4, 32, 128])
def test_transform_is_the_hadamard_matrix(n):
    x = np.random.default_rng(0).standard_normal((3, 2, n))
    with jax.enable_x64(True):
        ours = np.asarray(walsh_hadamard(jnp.asarray(x)))
        rows = np.stack([np.asarray(hadamard_row(jnp.int32(k), n, "float64")) for k in range(n)])
    np.testing.assert_allclose(ours, x @ scipy_hadamard(n), atol=1e-12 * n)
    np.testing.assert_array_equal(rows, scipy_hadamard(n))


@pytest.mark.parametrize("n", [1, 2, 3, 12, 31, 64, 100])
def test_fast_transform_of_any_size_is_orthogonal(n):
    with jax.enable_x64(True):
        q = np.asarray(jax.vmap(fast_orthogonal)(jnp.eye(n))).T
        back = np.asarray(jax.vmap(fast_orthogonal_transpose)(jnp.eye(n))).T
    np.testing.assert_allclose(q @ q.T, np.eye(n), atol=1e-13)
    np.testing.assert_allclose(back, q.T, atol=1e-13)
    # no entry stands out: sums of up to n/2 terms +-2/n, of which the largest of n^2 is a few standard deviations
    assert np.abs(q).max() <= 4 / n**0.5


@pytest.mark.slow
def test_mixing_is_orthogonal_but_not_symmetric():
    with jax.enable_x64(True):
        q = np.asarray(OrthogonalMixing.draw(jax.random.key(1), 64, "float64")(jnp.eye(64)))
    np.testing.assert_allclose(q @ q.T, np.eye(64), atol=1e-12)
    # the reaction of a field on itself is tr Q^j / N: for a Haar rotation tr Q and tr Q^2 are of order 1
    assert abs(np.trace(q)) < 6
    assert abs(np.trace(q @ q)) < 8


@pytest.mark.slow
def test_sample_covariance_of_the_noise_is_that_of_the_forces_at_all_pairs_of_times():
    n, alpha = 1024, 2.0
    forces = np.random.default_rng(2).standard_normal((20, n)) ** 3 + 0.5
    with jax.enable_x64(True):
        mixing = OrthogonalMixing.draw(jax.random.key(3), n, "float64")
        noise = np.asarray(jnp.sqrt(alpha) * mixing(jnp.asarray(forces)))
    covariance = alpha * forces @ forces.T / n
    np.testing.assert_allclose(noise @ noise.T / n, covariance, atol=1e-12 * np.abs(covariance).max())


@pytest.mark.slow
def test_mixed_values_are_gaussian():
    n = 8192
    # strongly non-Gaussian: selected samples of a small batch, all with the same sign
    forces = (np.random.default_rng(4).random(n) < 0.1) * 1.0
    noise = np.asarray(OrthogonalMixing.draw(jax.random.key(5), n, "float32")(jnp.asarray(forces, jnp.float32)))
    noise = noise / np.sqrt(np.mean(noise**2))
    # standard deviations over N Gaussians: mean 1/sqrt N, third moment sqrt(6/N), fourth moment sqrt(24/N)
    assert abs(noise.mean()) < 5 / n**0.5
    assert abs(np.mean(noise**3)) < 5 * (15 / n) ** 0.5
    assert abs(np.mean(noise**4) - 3) < 5 * (24 / n) ** 0.5


def test_permutations():
    n = 1024
    order = np.asarray(permutations(jax.random.key(0), 3, n))
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(n), (3, 1)))
    assert len({tuple(row) for row in order}) == 3
    # a random permutation has one fixed point on average (Poisson), and no correlation of place and value
    assert np.all((order == np.arange(n)).sum(1) <= 8)
    assert np.all(np.abs([np.corrcoef(row, np.arange(n))[0, 1] for row in order]) < 4 / n**0.5)


def test_sizes_must_be_powers_of_two():
    check_power_of_two("samples", 4096, 16)
    with pytest.raises(ParameterError, match=r"samples must be a power of two \(for example 8192 or 16384\), got 10000"):
        check_power_of_two("samples", 10000)
    with pytest.raises(ParameterError, match="samples must be an integer >= 16, got 1"):
        check_power_of_two("samples", 1, 16)
