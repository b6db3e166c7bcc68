"""Lines of the phase diagram of Hopfield models of blurred examples, sample sizes, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quenched.models import Hopfield
from quenched.theory.hopfield import (
    PatternLaw,
    critical_load,
    equilibrium,
    first_order_load,
    instability_temperature,
    phase_diagram,
    spin_glass_temperature,
)
from quenched.theory.saddle_point import follow
from tests.theory.plain_hopfield import Plain

RULES = ("unsupervised", "supervised")
CLASSIC = PatternLaw()
HALF = PatternLaw(20, 0.5, "unsupervised", "gaussian")
BLURRED = {rho: PatternLaw.supervised(rho) for rho in (0.05, 0.1, 0.2)}


def law(examples, quality, rule="unsupervised", average="gaussian"):
    return PatternLaw(examples, quality, rule, average)


@pytest.mark.parametrize("examples", [1, 2, 30, 1000])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("average", ["binomial", "gaussian"])
def test_the_classic_model_at_any_number_of_perfect_examples(examples, rule, average):
    """0.138 and 0.967 of Amit, Gutfreund, Sompolinsky (1987)."""
    top = critical_load(law(examples, 1.0, rule, average))
    assert top.load == pytest.approx(0.13790557, abs=1e-8)
    assert top.overlap == pytest.approx(0.96742, abs=1e-5)
    assert first_order_load(law(examples, 1.0, rule, average)) == pytest.approx(0.051854, abs=1e-6)


@pytest.mark.parametrize("quality", [0.1, 0.6])
@pytest.mark.parametrize("rule", RULES)
def test_a_single_example_is_itself_the_pattern(quality, rule):
    top = critical_load(law(1, quality, rule, "binomial"))
    assert top.load == pytest.approx(0.13790557, abs=1e-8)
    assert top.overlap == pytest.approx(0.96742 * quality, abs=1e-5)
    assert first_order_load(law(1, quality, rule, "binomial"), 0.3) == pytest.approx(first_order_load(CLASSIC, 0.3), rel=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_very_many_examples_leave_the_classic_model(rule):
    # the unsupervised noise (M - 1) rho^2/(1 + rho)^2 falls like 1/M, as rho does
    gaps = [0.13790557 - critical_load(law(examples, 0.5, rule)).load for examples in (10_000, 100_000)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.1)
    assert 0 < gaps[1] < 1e-3


@pytest.mark.parametrize(
    ("pattern", "load"),
    [
        (law(20, 0.5), 0.0467488),
        (law(50, 0.3), 0.0278466),
        (law(200, 0.2), 0.0349603),
        (law(30, 0.2, "supervised"), 0.0031646),
        (law(5, 0.8, average="binomial"), 0.068847),
        (law(20, 0.5, average="binomial"), 0.047671),
        (law(5, 0.5, average="binomial"), 0.012191),
        (law(5, 0.8, "supervised", "binomial"), 0.069953),
        (law(20, 0.5, "supervised", "binomial"), 0.053067),
        (law(5, 0.5, "supervised", "binomial"), 0.013055),
        (law(50, 0.3, "supervised", "binomial"), 0.038765),
    ],
)
def test_critical_loads_at_zero_temperature(pattern, load):
    assert critical_load(pattern).load == pytest.approx(load, abs=6e-7)


@pytest.mark.parametrize(
    ("entropy", "load", "overlap"),
    [
        (0.0, 0.13790557, 0.96742),
        (0.001, 0.1370027, None),
        (0.01, 0.1291244, None),
        (0.05, 0.0991487, 0.94874),
        (0.1, 0.0715413, 0.92437),
        (0.2, 0.0387598, 0.86728),
        (0.3, 0.0224883, None),
        (0.5, 0.00906927, 0.71667),
        (1.0, 0.00179258, 0.56944),
        (2.0, 2.39567e-4, None),
    ],
)
def test_critical_loads_with_a_teacher(entropy, load, overlap):
    top = critical_load(PatternLaw.supervised(entropy))
    assert top.load == pytest.approx(load, rel=3e-6)
    if overlap is not None:
        assert top.overlap == pytest.approx(overlap, abs=1e-5)


def test_the_supervised_law_depends_on_the_entropy_only():
    by_examples = law(7.3, 0.6, "supervised")
    for temperature in (0.0, 0.3):
        by_entropy = critical_load(PatternLaw.supervised(by_examples.entropy), temperature)
        np.testing.assert_allclose(critical_load(by_examples, temperature), by_entropy, rtol=1e-6)


def test_very_blurred_examples_leave_a_load_that_falls_with_the_fourth_power():
    loads = [critical_load(PatternLaw.supervised(entropy)).load for entropy in (30.0, 100.0)]
    assert np.log(loads[1] / loads[0]) / np.log(100 / 30) == pytest.approx(-4, abs=0.1)


@pytest.mark.parametrize(
    ("pattern", "load"),
    [
        (PatternLaw.supervised(0), 0.051854),
        (PatternLaw.supervised(0.01), 0.049068),
        (PatternLaw.supervised(0.05), 0.039196),
        (PatternLaw.supervised(0.1), 0.029472),
        (PatternLaw.supervised(0.2), 0.016960),
        (PatternLaw.supervised(0.5), 0.0043901),
        (law(20, 0.5), 0.021211),
        (law(200, 0.2), 0.019482),
        (law(50, 0.3), 0.014363),
    ],
)
def test_first_order_loads_at_zero_temperature(pattern, load):
    assert first_order_load(pattern) == pytest.approx(load, abs=1e-6)


@pytest.mark.parametrize(
    ("pattern", "loads"),
    [
        (CLASSIC, (0.13505, 0.12256, 0.08104, 0.03881, 0.01010)),
        (BLURRED[0.05], (0.09731, 0.08781, 0.05699, 0.02681, 0.00687)),
        (BLURRED[0.1], (0.07053, 0.06360, 0.04103, 0.01921, 0.00490)),
        (BLURRED[0.2], (0.03867, 0.03510, 0.02283, 0.01076, 0.00276)),
        (HALF, (0.04667, 0.04277, 0.02862, 0.01383, 0.00360)),
    ],
)
def test_the_end_of_retrieval_at_finite_temperature(pattern, loads):
    found = [critical_load(pattern, temperature).load for temperature in (0.1, 0.2, 0.4, 0.6, 0.8)]
    np.testing.assert_allclose(found, loads, rtol=0, atol=3e-5)


def test_near_the_top_retrieval_ends_on_a_parabola():
    """T_M = 1 - 1.95 sqrt(load) + ... (Amit, Gutfreund, Sompolinsky 1987)."""
    slopes = [(1 - t) / critical_load(CLASSIC, t).load ** 0.5 for t in (0.99, 0.995)]
    assert 2 * slopes[1] - slopes[0] == pytest.approx(1.95, abs=0.01)


@pytest.mark.parametrize(
    ("load", "examples", "quality", "temperature"),
    [(0.02, 20, 0.5, 1.141870), (0.05, 50, 0.3, 1.230804), (0.1, 200, 0.2, 1.342915)],
)
def test_the_spin_glass_line_without_a_teacher(load, examples, quality, temperature):
    pattern = law(examples, quality)
    found = spin_glass_temperature(load, pattern)
    assert found == pytest.approx(temperature, abs=1e-6)
    assert found == spin_glass_temperature(load, law(examples, quality, average="binomial"))
    # q leaves zero there: linearly
    model = Hopfield(load=load, examples=examples, quality=quality)
    above, below, twice = (
        float(equilibrium(model, found * (1 + x), state="spin_glass").edwards_anderson) for x in (1e-6, -1e-3, -2e-3)
    )
    assert above == 0
    assert twice / below == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("pattern", [CLASSIC, PatternLaw.supervised(0.3), law(7, 0.4, "supervised", "binomial")])
def test_the_spin_glass_line_with_a_teacher(pattern):
    for load in (1e-6, 0.04, 0.5):
        assert spin_glass_temperature(load, pattern) == pytest.approx(1 + load**0.5, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 0.3, 0.7])
@pytest.mark.parametrize(
    ("examples", "quality", "rule", "average"),
    [(1, 1.0, "supervised", "binomial"), (20, 0.5, "unsupervised", "binomial"), (12, 0.6, "supervised", "gaussian")],
)
def test_the_critical_load_is_where_the_plain_equations_turn_back(examples, quality, rule, average, temperature):
    top = critical_load(law(examples, quality, rule, average), temperature)
    plain = Plain(top.load / 2, examples, quality, rule, average)
    step = (lambda at, x: at.update(*x, temperature)) if temperature else (lambda at, x: at.update_at_zero(*x))
    state = plain.solve(temperature)
    start = np.array([state["n"], state["q"] if temperature else state["c"]])

    def residual(x, load):
        # a Newton step may leave what the equations are defined for: NaN tells
        with np.errstate(invalid="ignore"):
            return np.array(step(dataclasses.replace(plain, load=load), x)[:2]) - x

    branch = follow(residual, start, top.load / 2, until=2 * top.load, step=0.05, max_points=60)
    assert branch.folds[0].parameter == pytest.approx(top.load, rel=1e-7)
    at_fold = step(dataclasses.replace(plain, load=branch.folds[0].parameter), branch.folds[0].point)
    assert at_fold[2] == pytest.approx(top.overlap, abs=1e-4)
    turn = int(np.argmax(branch.parameters))
    assert branch.parameters.max() <= top.load * (1 + 1e-9)
    assert np.all(branch.stable[:turn])
    assert not np.any(branch.stable[turn + 1 :])


@pytest.mark.parametrize(
    ("examples", "quality", "rule", "temperature"),
    [(1, 1.0, "supervised", 0.5), (20, 0.5, "unsupervised", 0.5), (20, 0.5, "supervised", 0.3), (9, 0.7, "unsupervised", 0.7)],
)
def test_at_the_first_order_load_both_free_energies_of_the_plain_equations_are_equal(examples, quality, rule, temperature):
    load = first_order_load(law(examples, quality, rule, "binomial"), temperature)
    plain = Plain(load, examples, quality, rule)
    retrieval, glass = plain.solve(temperature), plain.solve(temperature, (0.0, 0.95), damping=0.2)
    assert retrieval["m"] > 0.5
    energies = [plain.free_energy(state["n"], state["q"], state["p"], temperature) for state in (retrieval, glass)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-10)
    other = dataclasses.replace(plain, load=0.9 * load)
    retrieval, glass = other.solve(temperature), other.solve(temperature, (0.0, 0.95), damping=0.2)
    assert other.free_energy(retrieval["n"], retrieval["q"], retrieval["p"], temperature) < other.free_energy(
        0.0, glass["q"], glass["p"], temperature
    )


@pytest.mark.slow
@pytest.mark.parametrize("line", [critical_load, first_order_load])
@pytest.mark.parametrize("pattern", [CLASSIC, PatternLaw.supervised(0.5), law(9, 0.6, "unsupervised", "binomial")])
def test_lines_reach_zero_temperature_continuously(line, pattern):
    loads = np.array([np.ravel(line(pattern, t))[0] for t in (0.005, 0.01, 0.02)])
    # what two steps of Richardson leave is of order T^3
    assert (8 * loads[0] - 6 * loads[1] + loads[2]) / 3 == pytest.approx(np.ravel(line(pattern))[0], rel=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "examples", "quality", "rule"),
    [
        (0.10, 1, 1.0, "supervised"),
        (0.12, 1, 1.0, "supervised"),
        (0.137, 1, 1.0, "supervised"),
        (0.04, 20, 0.5, "unsupervised"),
        (0.05, 20, 0.5, "supervised"),
    ],
)
def test_replica_symmetry_breaks_where_the_plain_stability_vanishes(load, examples, quality, rule):
    temperature = instability_temperature(load, law(examples, quality, rule, "binomial"))
    plain = Plain(load, examples, quality, rule, spacing=min(0.012, temperature))
    signs = [
        plain.stability(plain.solve(t, (1.0, 1 - 0.05 * t)), t) for t in (0.97 * temperature, temperature, 1.03 * temperature)
    ]
    assert signs[0] < 0 < signs[2]
    # below T = 0.002 the line is exact to relative order T only
    assert signs[1] == pytest.approx(0.0, abs=1e-6 if temperature > 0.002 else 5 * temperature)


def test_at_small_load_replica_symmetry_breaks_at_an_exponentially_small_temperature():
    """sqrt(8 load/(9 pi)) exp(-1/(2 load)) (Amit, Gutfreund, Sompolinsky 1987)."""
    for load in (0.02, 0.03):
        asymptotic = np.sqrt(8 * load / (9 * np.pi)) * np.exp(-1 / (2 * load))
        # corrections of relative order C, of which the temperature is 2 load/3
        assert instability_temperature(load, CLASSIC) == pytest.approx(asymptotic, rel=10 * asymptotic / load + 1e-6)


@pytest.mark.slow
def test_the_phase_diagram_holds_every_line_and_nan_where_there_is_none():
    temperatures, loads = [0.0, 0.5, 1.0], [0.02, 0.13, 0.2]
    found = phase_diagram(CLASSIC, temperatures, loads)
    np.testing.assert_allclose(found["temperature"], temperatures)
    np.testing.assert_allclose(found["load"], loads)
    assert found.critical_load.dims == found.first_order_load.dims == ("temperature",)
    assert found.spin_glass_temperature.dims == found.instability_temperature.dims == ("load",)
    np.testing.assert_allclose(found.critical_load, [*(critical_load(CLASSIC, t).load for t in (0.0, 0.5)), np.nan])
    np.testing.assert_allclose(found.first_order_load, [*(first_order_load(CLASSIC, t) for t in (0.0, 0.5)), np.nan])
    np.testing.assert_allclose(found.spin_glass_temperature, 1 + np.sqrt(loads))
    unstable = [*(instability_temperature(load, CLASSIC) for load in loads[:2]), np.nan]
    np.testing.assert_allclose(found.instability_temperature, unstable)
