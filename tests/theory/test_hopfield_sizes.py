"""How many examples Hopfield models need, and which requests their theory refuses."""

from __future__ import annotations

import numpy as np
import pytest

from quenched.models import Hopfield
from quenched.numerics.checks import NoSolutionError, ParameterError
from quenched.theory.hopfield import (
    PatternLaw,
    classifier_accuracy,
    critical_entropy,
    critical_load,
    critical_sample_constant,
    critical_sample_size,
    equilibrium,
    first_order_load,
    instability_temperature,
    one_step_overlap,
    phase_diagram,
    spin_glass_temperature,
    weak_example_load,
)
from tests.theory.plain_hopfield import critical_load_at_zero

RULES = ("unsupervised", "supervised")
HALF = PatternLaw(20, 0.5, "unsupervised", "gaussian")


def law(examples, quality, rule="unsupervised", average="gaussian"):
    return PatternLaw(examples, quality, rule, average)


@pytest.mark.parametrize(
    ("load", "quality", "unsupervised", "supervised"),
    [
        (0.01, 0.1, 477.9, 207.9),
        (0.02, 0.1, 984.0, 306.2),
        (0.05, 0.1, 3476.7, 630.0),
        (0.01, 0.3, 23.88, 21.24),
        (0.02, 0.3, 38.04, 31.28),
        (0.05, 0.3, 93.45, 64.34),
        (0.1, 0.3, 373.2, 207.6),
    ],
)
def test_sample_sizes_of_the_gaussian_average(load, quality, unsupervised, supervised):
    for rule, expected in zip(RULES, (unsupervised, supervised), strict=True):
        found = critical_sample_size(load, quality, rule=rule, average="gaussian")
        assert found == pytest.approx(expected, rel=1e-3), rule
        assert critical_load(law(found, quality, rule)).load == pytest.approx(load, rel=1e-7)


@pytest.mark.parametrize(
    ("load", "quality", "unsupervised", "supervised"),
    [(0.01, 0.3, 23, 20), (0.02, 0.3, 38, 31), (0.05, 0.3, 94, 65), (0.1, 0.3, 374, 209), (0.02, 0.2, 113, 74)],
)
def test_sample_sizes_of_the_exact_average(load, quality, unsupervised, supervised):
    for rule, expected in zip(RULES, (unsupervised, supervised), strict=True):
        found = critical_sample_size(load, quality, rule=rule)
        assert isinstance(found, int)
        assert found == expected, rule


@pytest.mark.parametrize(("load", "quality"), [(0.01, 0.5), (0.02, 0.5), (0.05, 0.8), (0.1, 0.9)])
@pytest.mark.parametrize("rule", RULES)
def test_every_number_of_examples_from_the_critical_one_on_is_enough(load, quality, rule):
    too_few = [examples for examples in range(1, 90) if critical_load_at_zero(examples, quality, rule) < load]
    assert critical_sample_size(load, quality, rule=rule) == max(too_few, default=0) + 1


@pytest.mark.slow
@pytest.mark.parametrize("average", ["binomial", "gaussian"])
def test_a_sample_size_at_finite_temperature(average):
    found = critical_sample_size(0.02, 0.5, temperature=0.4, average=average)
    few = found - (1 if average == "binomial" else 1e-3)
    assert critical_load(law(few, 0.5, average=average), 0.4).load < 0.02
    assert critical_load(law(found + (0 if average == "binomial" else 1e-3), 0.5, average=average), 0.4).load >= 0.02
    assert found > critical_sample_size(0.02, 0.5, average=average)


@pytest.mark.parametrize("average", ["binomial", "gaussian"])
def test_one_perfect_example_is_enough(average):
    assert critical_sample_size(0.1, 1.0, average=average) == 1


@pytest.mark.parametrize(("load", "constant"), [(0.01, 2.1002), (0.02, 3.0932), (0.05, 6.3635), (0.1, 20.5322)])
def test_with_a_teacher_sample_sizes_grow_with_the_inverse_square_of_the_quality(load, constant):
    assert 1 / critical_entropy(load) == pytest.approx(constant, rel=1e-4)
    for quality in (0.1, 0.6):
        found = critical_sample_size(load, quality, rule="supervised", average="gaussian")
        assert found * quality**2 / (1 - quality**2) == pytest.approx(constant, rel=1e-4)


@pytest.mark.parametrize(("load", "kappa"), [(0.02, 14.2705), (0.05, 3.4300), (0.1, 0.61397)])
def test_without_a_teacher_sample_sizes_grow_with_the_inverse_fourth_power(load, kappa):
    assert critical_sample_constant(load) == pytest.approx(kappa, rel=1e-4)
    assert weak_example_load(critical_sample_constant(load)) == pytest.approx(load, rel=1e-9)
    # corrections of relative order rho = kappa r^2
    gaps = [critical_sample_size(load, r, average="gaussian") * r**4 * kappa - 1 for r in (0.02, 0.01)]
    assert abs(gaps[1]) < 0.02
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)


def test_very_weak_examples():
    assert weak_example_load(0) == pytest.approx(0.13790557, abs=1e-8)
    ratios = [weak_example_load(kappa) * kappa * np.pi / 2 for kappa in (1e3, 1e4, 1e6)]
    assert ratios[0] == pytest.approx(0.8268, abs=1e-4)
    assert ratios[0] < ratios[1] < ratios[2] < 1
    assert ratios[2] == pytest.approx(1, abs=0.02)


NAN = float("nan")
MODEL = Hopfield(load=0.02, examples=20, quality=0.5)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: PatternLaw(5, 0.0), "quality"),
        (lambda: PatternLaw(5, 1.1), "quality"),
        (lambda: PatternLaw(5, -0.5), "quality"),
        (lambda: PatternLaw(5, NAN), "quality"),
        (lambda: PatternLaw(0, 0.5), "examples"),
        (lambda: PatternLaw(-3, 0.5), "examples"),
        (lambda: PatternLaw(2.5, 0.5), "examples"),
        (lambda: PatternLaw(NAN, 0.5, average="gaussian"), "examples"),
        (lambda: PatternLaw(0, 0.5, "supervised", "gaussian"), "examples"),
        (lambda: PatternLaw(0.5, 0.5, "unsupervised", "gaussian"), "examples"),
        (lambda: PatternLaw(5, 0.5, "hebb"), "rule"),
        (lambda: PatternLaw(5, 0.5, average="exact"), "average"),
        (lambda: PatternLaw.of(MODEL, "exact"), "average"),
        (lambda: PatternLaw.supervised(-0.1), "entropy"),
        (lambda: PatternLaw.supervised(NAN), "entropy"),
        (lambda: equilibrium(MODEL, -0.1), "temperature"),
        (lambda: equilibrium(MODEL, NAN), "temperature"),
        (lambda: equilibrium(MODEL, 1e-5), "temperature"),
        (lambda: equilibrium(MODEL, state="paramagnet"), "state"),
        (lambda: equilibrium(MODEL, average="exact"), "average"),
        (lambda: equilibrium(MODEL, state="example", average="gaussian"), "average"),
        (lambda: critical_load(HALF, -0.1), "temperature"),
        (lambda: critical_load(HALF, NAN), "temperature"),
        (lambda: first_order_load(HALF, -0.1), "temperature"),
        (lambda: spin_glass_temperature(-0.1, HALF), "load"),
        (lambda: spin_glass_temperature(NAN, HALF), "load"),
        (lambda: instability_temperature(0, HALF), "load"),
        (lambda: instability_temperature(-0.1, HALF), "load"),
        (lambda: critical_sample_size(0, 0.5), "load"),
        (lambda: critical_sample_size(NAN, 0.5), "load"),
        (lambda: critical_sample_size(0.02, 0.0), "quality"),
        (lambda: critical_sample_size(0.02, 1.5), "quality"),
        (lambda: critical_sample_size(0.02, 0.5, rule="hebb"), "rule"),
        (lambda: critical_sample_size(0.02, 0.5, average="exact"), "average"),
        (lambda: critical_sample_size(0.02, 0.5, temperature=-0.1), "temperature"),
        (lambda: critical_entropy(0), "load"),
        (lambda: critical_entropy(0.14), "load"),
        (lambda: critical_sample_constant(-0.01), "load"),
        (lambda: critical_sample_constant(0.14), "load"),
        (lambda: weak_example_load(-1), "kappa"),
        (lambda: one_step_overlap(MODEL, "exact"), "average"),
        (lambda: classifier_accuracy(1, 5, 5, 0.5), "size"),
        (lambda: classifier_accuracy(100, 0, 5, 0.5), "classes"),
        (lambda: classifier_accuracy(100, 5, 0, 0.5), "examples"),
        (lambda: classifier_accuracy(100, 5, 5, 0.0), "quality"),
        (lambda: phase_diagram(HALF, [-0.1], [0.02]), "temperature"),
        (lambda: phase_diagram(HALF, [0.1], [-0.02]), "load"),
        (lambda: phase_diagram(HALF, [NAN], [0.02]), "temperature"),
    ],
)
def test_values_out_of_range_are_named(call, name):
    with pytest.raises(ParameterError, match=name):
        call()


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: critical_load(HALF, 1.0), "temperature"),
        (lambda: first_order_load(HALF, 1.2), "temperature"),
        (lambda: equilibrium(MODEL, 1.0), "temperature"),
        (lambda: instability_temperature(0.05, HALF), r"0\.0467"),
        (lambda: critical_sample_size(0.14, 0.5), "load"),
        (lambda: critical_sample_size(0.02, 0.5, temperature=0.9), "load"),
    ],
)
def test_what_does_not_exist_is_no_number(call, what):
    with pytest.raises(NoSolutionError, match=what):
        call()
