import numpy as np
import pytest
from scipy.special import lambertw
from scipy.stats import binom, norm

from quenched.numerics.checks import ConvergenceError, NoSolutionError, ParameterError
from quenched.numerics.quadrature import binomial, normal_grid
from quenched.theory.saddle_point import Curve, equal_free_energy, follow, iterate, maximum, solve_level

PLACES = np.geomspace(1e-3, 1e2, 400)


def bump(y):
    """y exp(-y): its maximum 1/e is at y = 1, the solutions to the right of it are Lambert's W_{-1}."""
    return y * np.exp(-y)


def test_the_maximum_of_a_known_curve():
    top = maximum(Curve(bump, PLACES))
    assert top.level == pytest.approx(np.exp(-1), rel=1e-14)
    # quadratic at the top: y is known to the square root of what the level is
    assert top.y == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("level", [1e-8, 0.01, 0.2, 0.36, 0.3678])
def test_a_level_is_found_to_the_right_of_the_maximum(level):
    assert solve_level(Curve(bump, PLACES), level) == pytest.approx(-lambertw(-level, -1).real, rel=1e-9)


def test_a_level_above_the_maximum_is_refused_and_both_are_named():
    with pytest.raises(NoSolutionError, match=r"mass 0\.4: .*0\.36787944"):
        solve_level(Curve(bump, PLACES, name="mass"), 0.4)


def test_inadmissible_places_are_no_part_of_the_branch():
    # the admissible piece ends before the maximum of the formula
    curve = Curve(lambda y: np.where(y < 0.5, bump(y), np.nan), PLACES)
    spacing = np.log(PLACES[1] / PLACES[0])
    assert maximum(curve).level == pytest.approx(bump(0.5), rel=spacing)
    assert maximum(curve).y <= 0.5
    with pytest.raises(NoSolutionError, match="level"):
        maximum(Curve(lambda y: np.full_like(y, np.nan), PLACES))


@pytest.mark.parametrize("level", [lambda y: y, lambda y: -y])
def test_a_curve_without_a_maximum_in_its_range_is_refused(level):
    with pytest.raises(NoSolutionError, match="maximum"):
        maximum(Curve(level, PLACES))


@pytest.mark.parametrize("places", [[1.0, 2.0], [1.0, 3.0, 2.0], [1.0, 1.0, 2.0]])
def test_places_must_increase(places):
    with pytest.raises(ParameterError, match="places"):
        Curve(bump, np.array(places))


def test_the_first_order_point_of_two_parabolas():
    # (x - 1)^2 = 2 (x - 3)^2 at x = (1 + 3 sqrt 2)/(1 + sqrt 2) between the two minima
    found = equal_free_energy(lambda x: (x - 1) ** 2 - 2 * (x - 3) ** 2, 1.0, 3.0, "load")
    assert found == pytest.approx((1 + 3 * 2**0.5) / (1 + 2**0.5), rel=1e-12)


def test_free_energies_that_do_not_cross_are_refused_with_both_differences():
    with pytest.raises(NoSolutionError, match=r"load 1 and 3: .* 2 and 10 "):
        equal_free_energy(lambda x: x**2 + 1, 1.0, 3.0, "load")


def test_iteration_finds_the_fixed_point_and_certifies_it():
    found = iterate(np.cos, np.array([1.0]), tolerance=1e-12)
    assert found.value[0] == pytest.approx(0.7390851332151607, abs=2e-12)
    assert found.residual <= 1e-12


@pytest.mark.parametrize(
    ("update", "damping", "points"),
    [
        # the logistic map at 3.2: x = (4.2 -+ sqrt(4.2 * 0.2))/6.4
        (lambda x: 3.2 * x * (1 - x), 1.0, ("0.513", "0.799455")),
        # x/2 - 1.5 tanh 2x = -x: x = tanh 2x
        (lambda x: -3 * np.tanh(2 * x), 0.5, ("0.957504", "-0.957504")),
    ],
)
def test_a_two_cycle_is_named_and_never_returned(update, damping, points):
    with pytest.raises(ConvergenceError, match="two-cycle") as caught:
        iterate(update, np.array([0.4]), damping=damping)
    for point in points:
        assert point in str(caught.value)


def test_an_iteration_that_wanders_is_no_two_cycle():
    # the logistic map at 4 is chaotic
    with pytest.raises(ConvergenceError, match=r"converge.*residual") as caught:
        iterate(lambda x: 4 * x * (1 - x), np.array([0.3]), damping=1.0, max_iterations=200)
    assert "two-cycle" not in str(caught.value)


def test_an_inadmissible_solution_is_reported_with_the_reason():
    def below_one(x):
        return "C >= 1" if x[0] >= 1 else ""

    assert iterate(lambda x: x / 2 + 0.25, np.zeros(1), admissible=below_one).value[0] == pytest.approx(0.5, abs=1e-9)
    with pytest.raises(NoSolutionError, match=r"2\b.*C >= 1"):
        iterate(lambda x: x / 2 + 1, np.zeros(1), admissible=below_one)


def fold(x, parameter):
    """x^2 = parameter: stable for x > 0."""
    return parameter - x**2


def cusp(x, parameter):
    """x^3 - x = parameter: folds at x = -+1/sqrt 3, parameter = +-2/(3 sqrt 3), unstable between."""
    return parameter + x - x**3


def test_a_branch_goes_round_the_fold_and_loses_stability_there():
    branch = follow(fold, np.ones(1), 1.0, until=-1.0, max_points=120)
    x = branch.points[:, 0]
    np.testing.assert_allclose(x**2, branch.parameters, atol=1e-9)
    assert branch.ended == "points"
    assert x.max() == pytest.approx(1.0)
    assert x.min() < -0.5
    np.testing.assert_array_equal(branch.stable, x > 0)
    assert len(branch.folds) == 1
    assert branch.folds[0].parameter == pytest.approx(0.0, abs=1e-9)
    assert branch.folds[0].point[0] == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_branch_passes_both_folds_of_the_cusp_to_the_parameter_asked_for(direction):
    start = np.array([-1.3247179572447460]) * direction
    branch = follow(cusp, start, -1.0 * direction, until=1.0 * direction)
    assert branch.ended == "until"
    assert branch.parameters[-1] == pytest.approx(direction, abs=1e-14)
    assert branch.points[-1, 0] == pytest.approx(1.3247179572447460 * direction, abs=1e-9)
    np.testing.assert_array_equal(branch.stable, np.abs(branch.points[:, 0]) > 3**-0.5)
    folds = [(f.parameter, f.point[0]) for f in branch.folds]
    expected = [(2 / 27**0.5 * direction, -(3**-0.5) * direction), (-2 / 27**0.5 * direction, 3**-0.5 * direction)]
    np.testing.assert_allclose(folds, expected, atol=1e-8)


def test_a_branch_stops_at_its_fold_on_request():
    branch = follow(cusp, np.array([-1.3]), -1.0, until=1.0, stop_at_fold=True)
    assert branch.ended == "fold"
    assert branch.folds[-1].parameter == pytest.approx(2 / 27**0.5, abs=1e-9)
    assert np.all(branch.stable)


def test_a_branch_ends_where_it_is_no_longer_admissible():
    branch = follow(fold, np.ones(1), 1.0, until=-1.0, admissible=lambda x, parameter: x[0] > 0.3)
    assert branch.ended == "inadmissible"
    assert branch.points.min() == pytest.approx(0.3, abs=0.05)
    assert np.all(branch.points > 0.3)


def test_stability_counts_complex_pairs_and_crosses_no_fold():
    # a focus at 0 that turns unstable with the sign of the parameter (Hopf)
    branch = follow(lambda x, p: np.array([p * x[0] - x[1], x[0] + p * x[1]]), np.zeros(2), -1.0, until=1.0, step=0.03)
    assert branch.ended == "until"
    assert branch.folds == ()
    np.testing.assert_array_equal(branch.stable, branch.parameters < 0)


def test_two_variables_and_a_scale_of_the_parameter():
    branch = follow(
        lambda x, p: np.array([1e-4 * x[1] - 1e-4 * x[0] ** 2, p / 1e-4 - x[1]]),
        np.ones(2),
        1e-4,
        until=-1e-4,
        scale=1e-4,
        tolerance=1e-14,
        stop_at_fold=True,
    )
    assert branch.ended == "fold"
    assert branch.folds[0].parameter == pytest.approx(0.0, abs=1e-12)


def test_a_start_far_from_any_solution_is_refused():
    with pytest.raises(ConvergenceError, match="start"):
        follow(lambda x, parameter: x**2 + 1 + 0 * parameter, np.ones(1), 1.0, until=2.0)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"step": 0.0}, "step"), ({"tolerance": -1.0}, "tolerance"), ({"max_points": 0}, "max_points"), ({"scale": 0.0}, "scale")],
)
def test_options_of_the_continuation_are_checked(options, name):
    with pytest.raises(ParameterError, match=name):
        follow(fold, np.ones(1), 1.0, until=-1.0, **options)


@pytest.mark.parametrize(("count", "probability"), [(0, 0.3), (1, 0.5), (7, 0.9), (200, 0.6), (2000, 0.55), (5, 0.0), (5, 1.0)])
def test_the_binomial_rule_is_the_binomial_law(count, probability):
    values, weights = binomial(count, probability)
    everywhere = binom.pmf(np.arange(count + 1), count, probability)
    # log-gamma of count loses about log10(count log count) digits
    np.testing.assert_allclose(weights, everywhere[values.astype(int)], rtol=1e-11)
    assert weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert everywhere.sum() - everywhere[values.astype(int)].sum() == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_array_equal(values, np.round(values))


@pytest.mark.parametrize(
    ("arguments", "name"), [((-1, 0.5), "count"), ((3, 1.5), "probability"), ((3, float("nan")), "probability")]
)
def test_a_binomial_law_that_does_not_exist_is_refused(arguments, name):
    with pytest.raises(ParameterError, match=name):
        binomial(*arguments)


def test_the_equidistant_normal_rule_has_the_moments_and_the_spectrum_of_the_normal_law():
    z, weights = normal_grid(0.3)
    assert z[0] == -z[-1] == -9.0
    np.testing.assert_allclose(np.diff(z), z[1] - z[0], rtol=1e-12)
    assert z[1] - z[0] <= 0.3 + 1e-12
    assert weights.sum() == pytest.approx(1.0, abs=1e-15)
    for k in (2, 4, 10):
        assert weights @ z**k == pytest.approx(norm.moment(k), rel=1e-10)
    assert weights @ np.cos(3 * z) == pytest.approx(np.exp(-4.5), abs=1e-14)


@pytest.mark.parametrize("width", [0.1, 1.0, 30.0])
def test_the_equidistant_normal_rule_resolves_a_steep_tanh(width):
    # E tanh(a + w z) by a rule fifty times as fine
    def mean(spacing):
        z, weights = normal_grid(spacing)
        return weights @ np.tanh(0.3 + width * z)

    assert mean(min(0.3, 0.3 / width)) == pytest.approx(mean(min(0.3, 0.3 / width) / 50), abs=1e-13)


@pytest.mark.parametrize(("arguments", "name"), [((0.0,), "spacing"), ((0.1, -1.0), "limit")])
def test_a_normal_grid_without_nodes_is_refused(arguments, name):
    with pytest.raises(ParameterError, match=name):
        normal_grid(*arguments)
