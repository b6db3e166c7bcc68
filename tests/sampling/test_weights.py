"""What weights say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from quenched.sampling import self_normalised, tail_index, weight_statistics


@pytest.mark.parametrize("k", [0.3, 0.7, 1.2])
def test_the_index_of_pareto_weights(k: float) -> None:
    # w = u^(-k): the index is k; the fit to m = 3 sqrt(n) weights has error (1 + k)/sqrt(m), and a prior pulls by 10 towards 1/2
    n = 40_000
    found = np.array([tail_index(-k * np.log(np.random.default_rng(seed).uniform(size=n))) for seed in range(20)])
    m = 3 * np.sqrt(n)
    expected = (m * k + 5) / (m + 10)
    assert abs(found.mean() - expected) < 4 * (1 + k) / np.sqrt(m * len(found)) + 0.02


def test_bounded_and_equal_weights_have_no_tail() -> None:
    rng = np.random.default_rng(0)
    # uniform weights: index -1
    assert tail_index(np.log(rng.uniform(size=10_000))) < -0.5
    assert tail_index(np.full(1000, 3.0)) == -np.inf
    assert np.isnan(tail_index(np.zeros(10)))
    assert np.isnan(tail_index(np.full(1000, -np.inf)))


def test_the_largest_share() -> None:
    found = weight_statistics(np.log([1.0, 2.0, 3.0, 6.0]) - 900)
    assert found.largest_share == pytest.approx(0.5)
    assert found.value == pytest.approx(np.log(3) - 900)


def test_the_error_of_a_ratio_is_that_of_many_repetitions() -> None:
    # E[x] under N(1, 1) from samples of N(0, 1)
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(300):
        x = rng.standard_normal(2000)
        mean, error = self_normalised(x + 700, np.stack([x, x**2], axis=1))
        runs.append((mean, error))
    means, errors = (np.array(part) for part in zip(*runs, strict=True))
    spread = means.std(axis=0, ddof=1)
    assert np.allclose(spread, errors.mean(axis=0), rtol=0.25)
    assert np.all(np.abs(means.mean(axis=0) - [1, 2]) < 4 * spread / np.sqrt(300) + 5 / 2000)
