"""Batch processes: stationary mean, autocovariance, times in and out, epochs, refusals."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from quenched.dynamics.batches import IID, AbstractBatches, Epochs, Full, Persistent, happens, quantile, random_words
from quenched.numerics.checks import ParameterError

LR = 0.1


def history(batches: AbstractBatches, n: int, steps: int, seed: int = 0, lr: float = LR) -> np.ndarray:
    """Selections (steps, n)."""

    def step(state, key):
        return batches.step(state, key, lr), batches.selected(state)

    keys = jax.random.split(jax.random.key(seed), steps + 1)
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, batches.init(keys[0], n), keys[1:])[1])())


def within(values: np.ndarray, expected: float, sigmas: float = 4.5) -> bool:
    """Independent values, one per sample: the mean agrees with the expectation."""
    return abs(values.mean() - expected) < sigmas * values.std(ddof=1) / math.sqrt(len(values))


@pytest.mark.parametrize(
    ("batches", "rho"),
    [
        (IID(0.3), 0.0),
        (Persistent(0.3, 1.0), 1 - LR / 0.3),
        (Persistent(0.6, 0.5), 1 - LR / 0.3),
        (Persistent(0.7, 0.12), 1 - LR / 0.084),  # b tau < lr: anticorrelated
    ],
)
def test_mean_and_autocovariance(batches: AbstractBatches, rho: float) -> None:
    b = batches.fraction
    s = history(batches, 20000, 60).astype(float) - b
    assert within(s.mean(0), 0.0)
    for t in (0, 30, 59):
        assert within(s[t], 0.0)
    for k in (1, 2, 5, 10):
        assert within((s[k:] * s[:-k]).mean(0), b * (1 - b) * rho**k)


def test_mean_times_in_and_out_of_the_batch() -> None:
    b, tau = 0.4, 0.8
    s = history(Persistent(b, tau), 4000, 2000)
    change = np.diff(s.astype(int), axis=0)
    # the rate of leaving estimates 1/(time in): number of exits over the steps spent inside
    inside, outside = s[:-1].sum(), (~s[:-1]).sum()
    leave, enter = (change == -1).sum() / inside, (change == 1).sum() / outside
    for rate, time, trials in ((leave, b * tau / (1 - b), inside), (enter, tau, outside)):
        p = LR / time
        assert abs(rate - p) < 4.5 * math.sqrt(p * (1 - p) / trials)


def test_persistence_equal_to_the_step_is_vanilla() -> None:
    b = 0.25
    s = history(Persistent(b, LR / b), 20000, 40).astype(float) - b
    assert within((s[1:] * s[:-1]).mean(0), 0.0)
    assert within((s[2:] * s[:-2]).mean(0), 0.0)


def test_a_whole_batch_stays_whole() -> None:
    for batches in (Full(), IID(1.0), Persistent(1.0, 0.01), Epochs(1.0)):
        assert history(batches, 50, 7).all()


@pytest.mark.parametrize(("fraction", "n"), [(0.25, 40), (0.2, 33), (1 / 3, 100), (0.5, 7)])
def test_epochs_use_each_sample_once_in_batches_of_equal_size(fraction: float, n: int) -> None:
    length = round(1 / fraction)
    s = history(Epochs(fraction), n, 6 * length).reshape(6, length, n)
    assert (s.sum(1) == 1).all()
    assert set(np.unique(s.sum(2))) <= {n // length, -(-n // length)}
    assert not np.array_equal(s[0], s[1])


def test_the_slot_of_a_sample_is_uniform_and_fresh_in_every_epoch() -> None:
    s = history(Epochs(0.25), 8000, 8).reshape(2, 4, 8000)
    slots = s.argmax(1)
    pairs = np.bincount(slots[0] * 4 + slots[1], minlength=16)
    # chi square with 15 - 6 fixed margins = 9 degrees of freedom: beyond 34 with probability 1e-4
    assert np.sum((pairs - 500) ** 2 / 500) < 34


@pytest.mark.slow
def test_mapped_epochs_are_those_of_each_replica_alone() -> None:
    batches = Epochs(0.5)

    @jax.jit
    def selections(key):
        first = batches.init(key, 10)
        second = batches.step(first, key, LR)
        return jnp.stack([batches.selected(s) for s in (first, second, batches.step(second, key, LR))])

    keys = jax.random.split(jax.random.key(3), 4)
    np.testing.assert_array_equal(jax.vmap(selections)(keys)[2], selections(keys[2]))


@pytest.mark.slow
def test_quantile_counts() -> None:
    numbers = jax.random.bits(jax.random.key(0), (101,), jnp.uint32) >> 1
    for count in (0, 1, 50, 101):
        assert int(jnp.sum(numbers < quantile(numbers, jnp.asarray(count)))) == count
    assert int(quantile(jnp.full(3, 2**31 - 1, jnp.uint32), jnp.asarray(3))) == 2**31


@pytest.mark.slow
def test_probabilities_are_exact_to_32_bits() -> None:
    key, n = jax.random.key(0), 1000
    bits = np.asarray(random_words(key, n)).astype(np.float64)
    with jax.enable_x64(True):
        assert happens(key, (bits + 1) / 2**32, n).all()
        assert not happens(key, bits / 2**32, n).any()


@pytest.mark.slow
def test_events_are_the_same_in_float32_and_float64() -> None:
    single = np.asarray(happens(jax.random.key(1), 0.3, 10000))
    with jax.enable_x64(True):
        double = np.asarray(happens(jax.random.key(1), 0.3, 10000))
    np.testing.assert_array_equal(single, double)
    assert happens(jax.random.key(1), 1.0, 1000).all()
    assert not happens(jax.random.key(1), 0.0, 1000).any()


def test_the_numbers_of_an_epoch_are_uniform() -> None:
    numbers = np.asarray(Epochs(0.5).init(jax.random.key(0), 5000).numbers) / 2**31
    assert kstest(numbers, "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: IID(0.0), "batch fraction must lie in"),
        (lambda: IID(1.3), "batch fraction must lie in"),
        (lambda: Persistent(-0.1, 1.0), "batch fraction must lie in"),
        (lambda: Persistent(math.nan, 1.0), "batch fraction"),
        (lambda: Persistent(0.3, 0.0), "persistence time must be > 0"),
        (lambda: Persistent(0.3, math.inf), "persistence time"),
        (lambda: Epochs(0.3), "batch fraction must be 1/integer"),
        (lambda: Epochs(0.0), "batch fraction must lie in"),
        (lambda: Persistent(0.5, 0.1).check_lr(0.2), "persistence time must be >= lr"),
        (lambda: Persistent(0.1, 1.0).check_lr(0.2), "leaving the batch is at most 1, got probability 1.8"),
    ],
)
def test_refusals(make, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make()


def test_the_limits_of_legality_are_legal() -> None:
    Persistent(0.3, 0.2 / 0.3).check_lr(0.2)
    Persistent(0.5, 0.2).check_lr(0.2)
    Persistent(1.0, 0.01).check_lr(0.2)
