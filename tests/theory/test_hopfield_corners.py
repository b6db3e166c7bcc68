"""Corners of the theory of Hopfield models: low temperature at low load, very blurred examples."""

from __future__ import annotations

import pytest

from quenched.models import Hopfield
from quenched.theory.hopfield import PatternLaw, critical_load, equilibrium, first_order_load
from quenched.theory.hopfield.retrieval import retrieval
from tests.theory.plain_hopfield import Plain


def overlap(load, examples, quality, rule="unsupervised", temperature=0.0):
    model = Hopfield(load=load, examples=examples, quality=quality, rule=rule)
    return float(equilibrium(model, temperature).archetype_overlap)


@pytest.mark.parametrize(
    ("load", "examples", "quality", "temperature"),
    [(0.02, 1, 1.0, 0.05), (0.03, 1, 1.0, 0.02), (0.005, 1, 1.0, 0.1), (0.001, 5, 0.8, 0.02), (1e-4, 20, 0.5, 0.02)],
)
def test_retrieval_exists_deep_inside_its_phase(load, examples, quality, temperature):
    plain = Plain(load, examples, quality).solve(temperature)
    assert overlap(load, examples, quality, temperature=temperature) == pytest.approx(plain["m"], abs=1e-8)


def test_a_first_order_load_at_low_temperature():
    law = PatternLaw(5, 0.1)
    assert first_order_load(law, 0.01) == pytest.approx(first_order_load(law), rel=0.02)


@pytest.mark.parametrize("entropy", [3.0, 5.0])
@pytest.mark.parametrize("temperature", [0.01, 0.1])
def test_very_blurred_examples_at_finite_temperature(entropy, temperature):
    zero, found = critical_load(PatternLaw.supervised(entropy)), critical_load(PatternLaw.supervised(entropy), temperature)
    # slightly re-entrant, by six per cent at most
    assert 0.9 < found.load / zero.load < 1.1
    # plain iteration goes elsewhere from most starts, to solutions with C > 1 among others: the equations themselves judge
    law = PatternLaw.supervised(entropy)
    state = retrieval(law, 0.9 * found.load, temperature)
    plain = Plain(state.load, 1 / entropy, 0.5**0.5, "supervised", "gaussian")
    assert plain.update(state.n, state.q, temperature) == pytest.approx((state.n, state.q, state.m), abs=1e-9)
    assert state.susceptibility < 1
    assert state.m > found.overlap
