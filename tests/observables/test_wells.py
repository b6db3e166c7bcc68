"""Rates between two wells, on a process whose rates are known: jumps with rates up and down."""

from __future__ import annotations

import numpy as np
import pytest

from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.observables.wells import arrival_rate, contrast_rate, population_rate

UP, DOWN = 0.02, 0.01
TIMES = np.linspace(5, 200, 25)


def jumps(runs: int, seed: int, above: bool = False, times: np.ndarray = TIMES) -> np.ndarray:
    """Where each run is at TIMES, starting below."""
    rng = np.random.default_rng(seed)
    stays = np.exp(-(UP + DOWN) * np.diff([0.0, *times]))
    there, rows = np.full(runs, above), []
    for stay in stays:
        p = UP / (UP + DOWN) * (1 - stay) + there * stay
        there = rng.random(runs) < p
        rows.append(there)
    return np.stack(rows, axis=1)


@pytest.mark.parametrize("amplitude", [None, 1.0])
def test_populations_relax_with_the_sum_of_both_rates(amplitude: float | None) -> None:
    found = population_rate(TIMES, jumps(4000, 1), amplitude=amplitude)
    assert abs(found.relaxation_rate - (UP + DOWN)) < 4 * found.relaxation_rate_error
    assert abs(found.plateau - UP / (UP + DOWN)) < 4 * found.plateau_error
    assert abs(found.amplitude - 1) <= 4 * found.amplitude_error
    assert 0 < found.relaxation_rate_error < 0.1 * found.relaxation_rate


def test_the_bootstrap_error_is_the_scatter_of_repetitions() -> None:
    answers = [population_rate(TIMES, jumps(1000, seed), amplitude=1.0, resamples=50) for seed in range(30)]
    scatter = np.std([a.relaxation_rate for a in answers], ddof=1)
    # both are estimates, of 30 and of 50 values
    assert np.mean([a.relaxation_rate_error for a in answers]) == pytest.approx(scatter, rel=0.5)


@pytest.mark.parametrize(("end", "paired"), [(200, False), (8, False), (40, True)])
def test_the_contrast_of_two_starts_needs_no_plateau(end: int, paired: bool) -> None:
    """From a run of six mixing times, and from one of a quarter of one; equal seeds are common random numbers."""
    times = np.linspace(end / 20, end, 20)
    found = contrast_rate(times, jumps(4000, 1, False, times), jumps(4000, 1 if paired else 2, True, times), paired=paired)
    assert abs(found.relaxation_rate - (UP + DOWN)) < 4 * found.relaxation_rate_error
    assert found.relaxation_rate_error < 0.2 * found.relaxation_rate
    assert found.attrs["time_unit"] == "eta_k"


def test_common_random_numbers_have_the_error_of_pairs() -> None:
    times = np.linspace(1, 20, 20)
    both = [(jumps(500, seed, False, times), jumps(500, seed, True, times)) for seed in range(30)]
    answers = [contrast_rate(times, *pair, paired=True, resamples=50) for pair in both]
    scatter = np.std([a.relaxation_rate for a in answers], ddof=1)
    assert np.mean([a.relaxation_rate_error for a in answers]) == pytest.approx(scatter, rel=0.5)


def test_arrivals_with_runs_that_are_still_under_way() -> None:
    rng = np.random.default_rng(5)
    stops = np.ceil(rng.exponential(1 / UP, 5000) / 0.1).astype(int)
    found = arrival_rate(np.where(stops <= 600, stops, -1), 600, 0.1)
    assert abs(found.arrival_rate - UP) < 4 * found.arrival_rate_error
    assert found.arrival_rate_error == pytest.approx(UP / np.sqrt((stops <= 600).sum()), rel=0.1)


def test_bad_requests() -> None:
    with pytest.raises(ParameterError, match="a row per run"):
        population_rate(TIMES, np.ones((3, 4)))
    with pytest.raises(ConvergenceError, match="fits no exponential"):
        population_rate(TIMES, np.zeros((20, len(TIMES))))
    with pytest.raises(ConvergenceError, match="the contrast of the two starts must fall"):
        contrast_rate(TIMES, np.zeros((20, len(TIMES))), np.ones((20, len(TIMES))))
    with pytest.raises(ParameterError, match="equally many"):
        contrast_rate(TIMES, np.zeros((20, len(TIMES))), np.ones((21, len(TIMES))), paired=True)
    with pytest.raises(ParameterError, match="must name an arrival"):
        arrival_rate([-1, -1], 10)
