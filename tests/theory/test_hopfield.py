"""Replica-symmetric states of Hopfield models of blurred examples: published numbers, the plain equations, thermodynamics."""

from __future__ import annotations

import numpy as np
import pytest

from quenched.models import Hopfield
from quenched.numerics.checks import ConvergenceError, NoSolutionError
from quenched.theory.hopfield import (
    PatternLaw,
    critical_load,
    equilibrium,
)
from quenched.theory.saddle_point import iterate
from tests.theory.plain_hopfield import Plain

NAMES = {
    "m": "archetype_overlap",
    "n": "example_overlap",
    "q": "edwards_anderson",
    "c": "spin_susceptibility",
    "f": "spin_free_energy",
    "e": "spin_energy",
    "replicon": "replicon",
}
RULES = ("unsupervised", "supervised")
AVERAGES = ("binomial", "gaussian")


def numbers(load, examples=1, quality=1.0, rule="unsupervised", temperature=0.0, *, normalise=True, **options):
    """The theory's numbers under the short names of the equations."""
    model = Hopfield(load=load, examples=examples, quality=quality, rule=rule, normalise=normalise)
    found = equilibrium(model, temperature, **options)
    return {short: float(found[name]) for short, name in NAMES.items()}


def judged(plain, temperature, *start, **options):
    """The same by damped iteration of the plain equations, T > 0."""
    state = plain.solve(temperature, *start, **options)
    return {
        **{name: state[name] for name in ("m", "n", "q", "c")},
        "f": plain.free_energy(state["n"], state["q"], state["p"], temperature),
        "e": plain.simulated_energy(state, temperature),
        "replicon": plain.stability(state, temperature),
    }


@pytest.mark.parametrize(
    ("arguments", "average", "expected", "tolerance"),
    [
        # (load, M, r, rule, T)
        ((0.01, 50, 0.3, "unsupervised", 0.2), "binomial", (0.92726746, 0.29612924, 0.93173705, -0.47443730), 1e-6),
        ((0.01, 50, 0.3, "unsupervised", 0.2), "gaussian", (0.93005342, 0.29586626, 0.93228323, -0.47353334), 1e-6),
        ((0.01, 50, 0.3, "supervised", 0.2), "binomial", (0.93847913, 0.29783604, 0.93859081, -0.43092785), 1e-6),
        ((0.01, 50, 0.3, "supervised", 0.2), "gaussian", (0.94156828, 0.29760555, 0.93953150, -0.43005072), 1e-6),
        ((0.05, 5, 0.8, "unsupervised", 0.2), "binomial", (0.9231,), 5e-5),
        ((0.05, 5, 0.8, "unsupervised", 0.2), "gaussian", (0.9400,), 5e-5),
        ((0.02, 20, 0.5, "unsupervised", 0.4), "binomial", (0.8645, 0.4632, 0.8153), 5e-5),
        ((0.02, 20, 0.5, "supervised", 0.4), "binomial", (0.8712, 0.4659, 0.8210), 5e-5),
        ((0.02, 40, 0.3, "supervised", 0.2), "binomial", (0.8768,), 5e-5),
        ((0.02, 5, 0.8, "supervised", 0.4), "binomial", (0.8978, None, 0.8586), 5e-5),
        ((0.02, 20, 0.5, "unsupervised", 0.0), "binomial", (0.9682,), 5e-5),
        ((0.02, 20, 0.5, "supervised", 0.0), "binomial", (0.9720,), 5e-5),
        ((0.02, 20, 0.5, "supervised", 0.0), "gaussian", (0.9795,), 5e-5),
        ((0.02, 150, 0.2, "unsupervised", 0.0), "binomial", (0.924,), 5e-4),
        ((0.02, 250, 0.2, "unsupervised", 0.0), "binomial", (0.983,), 5e-4),
        ((0.02, 400, 0.2, "unsupervised", 0.0), "binomial", (0.997,), 5e-4),
        ((0.02, 100, 0.2, "supervised", 0.0), "binomial", (0.923,), 5e-4),
        ((0.02, 150, 0.2, "supervised", 0.0), "binomial", (0.974,), 5e-4),
        ((0.02, 250, 0.2, "supervised", 0.0), "binomial", (0.996,), 5e-4),
        ((0.02, 400, 0.2, "supervised", 0.0), "binomial", (0.999,), 5e-4),
        ((0.01, 10, 0.5, "unsupervised", 0.0), "binomial", (0.8885, 0.5060), 5e-5),
        ((0.01, 20, 0.5, "unsupervised", 0.0), "binomial", (0.9773, 0.5004), 5e-5),
        ((0.01, 5, 0.5, "unsupervised", 0.0), "binomial", (0.71,), 5e-3),
    ],
)
def test_retrieval_at_the_published_points(arguments, average, expected, tolerance):
    """m, n, q and f, to the digits given in docs/hopfield.md (arXiv:2109.00454, arXiv:2203.01304)."""
    found = numbers(*arguments, average=average)
    for name, value in zip(("m", "n", "q", "f"), expected, strict=False):
        if value is not None:
            assert found[name] == pytest.approx(value, abs=tolerance), name


@pytest.mark.parametrize(("rule", "q"), [("supervised", 0.628213), ("unsupervised", 0.634287)])
def test_the_spin_glass_at_the_published_point(rule, q):
    found = numbers(0.1, 50, 0.3, rule, 0.5, state="spin_glass")
    assert found["q"] == pytest.approx(q, abs=1e-6)
    assert found["m"] == found["n"] == 0
    if rule == "supervised":
        assert found["f"] == pytest.approx(-0.659792, abs=1e-6)


JUDGED = [
    # load, M, r, T, Gamma = R or 1
    (0.05, 5, 0.8, 0.2, True),
    (0.01, 50, 0.3, 0.2, True),
    (0.02, 8, 0.6, 0.06, True),
    (0.002, 12, 0.5, 0.8, True),
    (0.01, 30, 0.4, 0.1, False),
]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("load", "examples", "quality", "temperature", "normalise"), JUDGED)
def test_retrieval_solves_the_plain_equations(load, examples, quality, temperature, normalise, rule, average):
    plain = Plain(load, examples, quality, rule, average, normalise)
    found = numbers(load, examples, quality, rule, temperature, normalise=normalise, average=average)
    # the judge differentiates f numerically: nine digits
    assert found == pytest.approx(judged(plain, temperature), abs=2e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("load", "temperature"), [(0.1, 0.5), (0.02, 0.9), (0.02, 0.1), (0.3, 1.6)])
def test_the_state_without_retrieval_solves_the_plain_equations(load, temperature, rule):
    plain = Plain(load, 10, 0.5, rule)
    expected = judged(plain, temperature, (0.0, 0.93), damping=0.1)
    # at the paramagnet q falls like 0.9^k, and the iteration stops at 1e-11
    assert numbers(load, 10, 0.5, rule, temperature, state="spin_glass") == pytest.approx(expected, abs=2e-9)
    assert (expected["q"] < 1e-9) == (temperature > 1.5)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(
    ("load", "examples", "quality", "rule"),
    [
        (0.02, 20, 0.5, "unsupervised"),
        (0.02, 20, 0.5, "supervised"),
        (0.05, 9, 0.8, "unsupervised"),
        (0.13, 1, 1.0, "supervised"),
    ],
)
def test_retrieval_at_zero_temperature_solves_the_plain_equations(load, examples, quality, rule, average):
    state = Plain(load, examples, quality, rule, average).solve(0.0)
    found = numbers(load, examples, quality, rule, average=average)
    for name in ("m", "n", "q", "c"):
        assert found[name] == pytest.approx(state[name], abs=1e-9), name
    assert found["replicon"] == -np.inf


@pytest.mark.parametrize("state", ["archetype", "spin_glass"])
@pytest.mark.parametrize("rule", RULES)
def test_the_limit_of_low_temperature_is_the_answer_at_zero(rule, state):
    names = ("m", "n", "q", "c", "f", "e")
    rows = [numbers(0.03, 9, 0.7, rule, t, state=state) for t in (0.01, 0.02, 0.04)]
    x1, x2, x4 = (np.array([row[name] for name in names]) for row in rows)
    # two steps of Richardson: what is left is of order T^3, 1e-6 times a number
    limit = (8 * x1 - 6 * x2 + x4) / 3
    zero = numbers(0.03, 9, 0.7, rule, state=state)
    np.testing.assert_allclose(limit, [zero[name] for name in names], atol=5e-5)
    np.testing.assert_allclose(x2[:2], [zero["m"], zero["n"]], atol=5e-3)


@pytest.mark.parametrize("state", ["archetype", "spin_glass"])
@pytest.mark.parametrize("rule", RULES)
def test_the_entropy_at_zero_temperature_is_that_of_the_noise(rule, state):
    """s = -(load/2) sum_k mu_k [ln(1 - lambda_k C) + lambda_k C/(1 - lambda_k C)] < 0 (Amit, Gutfreund, Sompolinsky 1987)."""
    zero = numbers(0.03, 9, 0.7, rule, state=state)
    entropy = -0.015 * sum(
        mu * (np.log(1 - lam * zero["c"]) + lam * zero["c"] / (1 - lam * zero["c"]))
        for mu, lam in Plain(0.03, 9, 0.7, rule).spectrum
    )
    slopes = [(zero["f"] - numbers(0.03, 9, 0.7, rule, t, state=state)["f"]) / t for t in (0.01, 0.02)]
    assert 2 * slopes[0] - slopes[1] == pytest.approx(entropy, abs=1e-3 * abs(entropy) + 1e-5)


@pytest.mark.parametrize("state", ["archetype", "spin_glass"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize(("rule", "normalise"), [("unsupervised", True), ("supervised", True), ("unsupervised", False)])
def test_thermodynamic_identities(rule, normalise, average, state):
    """d(beta f)/d beta = e without the diagonal, and d(beta f)/d load is explicit because f is stationary in n, q and p."""
    load, step = 0.03, 1e-4
    options = {"normalise": normalise, "average": average, "state": state}
    plain = Plain(load, 9, 0.7, rule, average, normalise)
    temperature = 0.3 * plain.second_moment / plain.scale

    def action(load, beta):
        return beta * numbers(load, 9, 0.7, rule, 1 / beta, **options)["f"]

    beta = 1 / temperature
    here = numbers(load, 9, 0.7, rule, temperature, **options)
    energy = (action(load, beta + step) - action(load, beta - step)) / (2 * step)
    assert here["e"] == pytest.approx(energy + plain.diagonal, abs=1e-6)

    q, c = here["q"], here["c"]
    explicit = sum(mu * (np.log(1 - lam * c) - beta * lam * q / (1 - lam * c)) for mu, lam in plain.spectrum) / 2
    explicit += beta**2 * plain.p(q, c) * (1 - q) / 2
    # the load enters E ln cosh through sqrt(load p): by parts -beta^2 p (1 - q)/2
    explicit -= beta**2 * plain.p(q, c) * (1 - q) / 2
    slope = (action(load + 1e-5, beta) - action(load - 1e-5, beta)) / 2e-5
    assert slope == pytest.approx(explicit, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
@pytest.mark.parametrize(
    ("rule", "state"), [*((rule, state) for rule in RULES for state in ("archetype", "spin_glass")), ("unsupervised", "example")]
)
def test_the_unnormalised_rule_is_the_same_state_in_other_units(rule, temperature, state):
    load, examples, quality = (0.004, 3, 0.5) if state == "example" else (0.02, 20, 0.5)
    unit = quality**2 + (1 - quality**2) / examples
    scaled = numbers(load, examples, quality, rule, temperature, state=state)
    plain = numbers(load, examples, quality, rule, unit * temperature, state=state, normalise=False)
    for name in ("m", "n", "q", "replicon"):
        assert plain[name] == pytest.approx(scaled[name], rel=1e-9), name
    for name in ("f", "e"):
        assert plain[name] == pytest.approx(unit * scaled[name], rel=1e-9), name
    assert plain["c"] == pytest.approx(scaled["c"] / unit, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_at_quality_one_every_number_of_examples_and_rule_is_the_classic_model(temperature):
    classic = numbers(0.05, temperature=temperature)
    for rule in RULES:
        for examples in (2, 5, 100, 5000):
            for average in AVERAGES:
                found = numbers(0.05, examples, 1.0, rule, temperature, average=average)
                assert found == pytest.approx(classic, rel=1e-9), (rule, examples, average)


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("rule", RULES)
def test_one_example_is_itself_the_pattern(rule, temperature):
    classic, found = numbers(0.05, temperature=temperature), numbers(0.05, 1, 0.4, rule, temperature)
    assert found["m"] == pytest.approx(0.4 * classic["m"], rel=1e-9)
    for name in ("n", "q", "c", "f", "e"):
        assert found[name] == pytest.approx(classic[name], rel=1e-9), name


@pytest.mark.parametrize("temperature", [0.2, 0.7, 0.95])
def test_without_load_the_classic_model_is_a_ferromagnet(temperature):
    found = numbers(0.0, temperature=temperature)
    assert found["m"] == pytest.approx(np.tanh(found["m"] / temperature), abs=1e-10)
    assert found["q"] == pytest.approx(found["m"] ** 2, abs=1e-10)
    assert found["m"] > 0.3
    assert found["e"] == pytest.approx(-(found["m"] ** 2) / 2, abs=1e-10)


@pytest.mark.parametrize("temperature", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(
    ("examples", "quality", "rule"), [(1, 1.0, "supervised"), (20, 0.5, "unsupervised"), (9, 0.6, "supervised")]
)
@pytest.mark.parametrize("average", AVERAGES)
def test_a_load_just_above_the_critical_one_has_no_retrieval(examples, quality, rule, temperature, average):
    top = critical_load(PatternLaw(examples, quality, rule, average), temperature)
    below = numbers(top.load * (1 - 1e-8), examples, quality, rule, temperature, average=average)
    # a square-root singularity: 1e-4 away
    assert below["m"] == pytest.approx(top.overlap, abs=2e-3)
    assert below["c"] < 1
    with pytest.raises(NoSolutionError, match=f"{top.load:.6f}"[:7]):
        numbers(top.load * (1 + 1e-6), examples, quality, rule, temperature, average=average)


def test_no_retrieval_where_naive_iteration_shows_a_false_one():
    """rho = 0.8 at load 0.02, six times the critical load: damped iteration of the closed equations alternates."""
    model = Hopfield(load=0.02, examples=30, quality=0.2, rule="supervised")
    with pytest.raises(NoSolutionError, match=r"0\.0031646"):
        equilibrium(model, average="gaussian")
    with pytest.raises(NoSolutionError, match=r"0\.003"):
        equilibrium(model)


@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_naive_iteration_above_the_critical_load_ends_in_an_error(damping):
    plain = Plain(0.02, 30, 0.2, "supervised", "gaussian")
    with pytest.raises(ConvergenceError, match="residual"):
        iterate(lambda x: np.array(plain.update_at_zero(*x)[:2]), np.array([0.2, 0.01]), damping=damping)


@pytest.mark.parametrize(
    ("load", "examples", "quality", "rule"),
    [(0.007, 5, 0.5, "unsupervised"), (0.008, 5, 0.5, "supervised"), (0.004, 7, 0.4, "supervised")],
)
def test_of_two_stable_states_the_one_nearest_the_archetype_is_returned(load, examples, quality, rule):
    """Odd M has a second one, in which spins follow the majority of their examples: relaxation from the archetype ends there."""
    nearest = Plain(load, examples, quality, rule).solve(0.0, (1.0, 0.01))
    assert numbers(load, examples, quality, rule)["m"] == pytest.approx(nearest["m"], abs=1e-8)


@pytest.mark.parametrize(("examples", "quality", "majority"), [(1, 1.0, 1.0), (3, 0.5, 0.6875), (1, 0.3, 0.3)])
def test_without_load_and_temperature_spins_follow_their_majority(examples, quality, majority):
    """M = 3: E sign chibar = (3 r - r^3)/2. With an even M spins whose examples tie are free."""
    assert numbers(0.0, examples, quality)["m"] == pytest.approx(majority, abs=1e-9)
    if examples == 3:
        with pytest.raises(NoSolutionError, match="tie"):
            numbers(0.0, 4, quality)
