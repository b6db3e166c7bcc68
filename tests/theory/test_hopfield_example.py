"""States of one example, local fields, and signal-to-noise formulas of Hopfield models of blurred examples."""

from __future__ import annotations

import numpy as np
import pytest

from quenched.models import Hopfield
from quenched.numerics.checks import IncompatibleError, NoSolutionError
from quenched.theory.hopfield import (
    PatternLaw,
    classifier_accuracy,
    equilibrium,
    local_field_density,
    mean_cosine,
    one_step_overlap,
    sign_overlap,
)
from tests.theory.plain_hopfield import Plain, example_state


@pytest.mark.parametrize(("examples", "quality", "load"), [(3, 0.5, 0.01), (2, 0.5, 0.01), (4, 0.3, 0.004), (3, 0.5, 0.003)])
@pytest.mark.parametrize("temperature", [0.0, 0.12])
def test_the_state_of_one_example_solves_the_equations_of_all_overlaps(load, examples, quality, temperature):
    m, n, other = example_state(Plain(load, examples, quality), temperature)
    assert n[0] > n[1] + 0.05
    found = equilibrium(Hopfield(load=load, examples=examples, quality=quality), temperature, state="example")
    assert float(found.archetype_overlap) == pytest.approx(m, abs=1e-8)
    assert float(found.largest_example_overlap) == pytest.approx(n[0], abs=1e-8)
    assert float(found.other_example_overlap) == pytest.approx(n[1], abs=1e-8)
    assert float(found.example_overlap) == pytest.approx(n.mean(), abs=1e-8)
    assert float(found.edwards_anderson if temperature else found.spin_susceptibility) == pytest.approx(other, abs=1e-8)


def test_few_examples_are_memorised_one_by_one():
    found = equilibrium(Hopfield(load=0.01, examples=3, quality=0.5), state="example")
    assert float(found.archetype_overlap) == pytest.approx(0.5009, abs=5e-5)
    assert float(found.largest_example_overlap) == pytest.approx(0.9983, abs=5e-5)
    assert float(found.other_example_overlap) == pytest.approx(0.2517, abs=5e-5)


@pytest.mark.parametrize("examples", [4, 5, 10])
def test_at_more_examples_no_single_one_is_a_state(examples):
    with pytest.raises(NoSolutionError, match="example"):
        equilibrium(Hopfield(load=0.01, examples=examples, quality=0.5), state="example")


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_with_a_teacher_no_single_example_is_stored(temperature):
    with pytest.raises(IncompatibleError, match="rule"):
        equilibrium(Hopfield(load=0.02, examples=20, quality=0.5, rule="supervised"), temperature, state="example")


def test_the_energy_of_an_example_state_is_the_derivative_of_its_free_energy():
    model, beta, step = Hopfield(load=0.01, examples=2, quality=0.5), 5.0, 1e-4
    up, down = ((b * float(equilibrium(model, 1 / b, state="example").spin_free_energy)) for b in (beta + step, beta - step))
    energy = float(equilibrium(model, 1 / beta, state="example").spin_energy)
    assert energy == pytest.approx((up - down) / (2 * step) + Plain(0.01, 2, 0.5).diagonal, abs=1e-6)


@pytest.mark.parametrize("rule", ["unsupervised", "supervised"])
@pytest.mark.parametrize(("load", "examples", "quality"), [(0.02, 20, 0.5), (0.01, 9, 0.6), (0.1, 1, 1.0)])
def test_local_fields_carry_the_overlap_and_the_energy(load, examples, quality, rule):
    """At T = 0 spins align with their fields: m = E sign h and e = -E|h|/2, J_ii = 0 on both sides."""
    model = Hopfield(load=load, examples=examples, quality=quality, rule=rule)
    h = np.linspace(-6, 6, 240_001)
    density = local_field_density(model, h)
    assert np.all(density >= 0)
    assert np.trapezoid(density, h) == pytest.approx(1.0, abs=1e-4)
    found = equilibrium(model)
    assert np.trapezoid(np.sign(h) * density, h) == pytest.approx(float(found.archetype_overlap), abs=1e-4)
    assert -np.trapezoid(np.abs(h) * density, h) / 2 == pytest.approx(float(found.spin_energy), abs=1e-4)


@pytest.mark.parametrize(
    ("load", "examples", "quality", "rule", "binomial", "gaussian"),
    [
        (0.05, 10, 0.4, "unsupervised", 0.7409, 0.7470),
        (0.1, 5, 0.8, "unsupervised", 0.9391, 0.9582),
        (0.05, 10, 0.4, "supervised", 0.7782, None),
        (0.02, 40, 0.25, "supervised", 0.8761, None),
        (0.1, 5, 0.8, "supervised", 0.9409, None),
    ],
)
def test_one_parallel_step_from_the_archetype(load, examples, quality, rule, binomial, gaussian):
    model = Hopfield(load=load, examples=examples, quality=quality, rule=rule)
    assert one_step_overlap(model, "binomial") == pytest.approx(binomial, abs=5e-5)
    assert one_step_overlap(model) == one_step_overlap(model, "binomial")
    if gaussian is not None:
        assert one_step_overlap(model, "gaussian") == pytest.approx(gaussian, abs=5e-5)


@pytest.mark.parametrize(
    ("size", "classes", "examples", "quality", "expected"),
    [(500, 50, 100, 0.2, 0.947), (1000, 100, 20, 0.15, 0.561), (300, 30, 5, 0.3, 0.809)],
)
def test_classifier_accuracy(size, classes, examples, quality, expected):
    assert classifier_accuracy(size, classes, examples, quality) == pytest.approx(expected, abs=5e-4)


def test_one_class_is_always_right():
    assert classifier_accuracy(100, 1, 5, 0.3) == pytest.approx(1.0, abs=1e-12)


def test_class_means_and_their_archetypes():
    law = PatternLaw(100, 0.2, "supervised")
    assert law.entropy == pytest.approx(0.24, rel=1e-12)
    assert mean_cosine(law) == pytest.approx(0.898, abs=5e-4)
    assert sign_overlap(law) == pytest.approx(0.957, abs=2e-3)
    assert sign_overlap(PatternLaw(100, 0.2, "supervised", "gaussian")) == pytest.approx(0.9588, abs=1e-4)
    # M = 2: both right, one of them, or none; a tie counts nothing
    assert sign_overlap(PatternLaw(2, 0.6)) == pytest.approx(0.8**2 - 0.2**2, rel=1e-12)
    assert mean_cosine(PatternLaw(1, 0.6)) == pytest.approx(0.6, rel=1e-12)
