"""Weights along orbits: unbiased for any flow, of the stated order, without variance where theory says so (arXiv:2206.09908)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from quenched.numerics.checks import ParameterError
from quenched.sampling import (
    FiniteTime,
    GenericField,
    InfiniteTime,
    LaggedTime,
    LogDensity,
    MixtureTarget,
    ModuleField,
    estimate,
    problem,
    two_modes,
)

SHIFTED = MixtureTarget((1,), ((1, 0),), ((1, 1),))
FIELD = GenericField(8, 0.2)


def _parameters(dimension: int = 2, field=FIELD, seed: int = 0):
    with jax.enable_x64(True):
        return field.initial(jax.random.key(seed), dimension)


def _log_weights(estimator, function, log_density, x) -> np.ndarray:
    """ln A at points x (n, d) along a plain function as the field."""
    with jax.enable_x64(True):
        x = jnp.asarray(x, jnp.float64)
        field = ModuleField(function)
        given = problem(field, field.initial(jax.random.key(0), x.shape[1]), LogDensity(log_density, x.shape[1]))
        return np.asarray(jax.jit(jax.vmap(lambda y: estimator.weigh(given, y).log_weight))(x))


def _log_pair(x):
    return jnp.log(0.3 * jnp.exp(-((x[0] - 2) ** 2) / 0.18) + 0.7 * jnp.exp(-((x[0] + 1) ** 2) / 0.5))


@pytest.mark.parametrize("start", [0.0, -0.25, -0.5, -1.0])
def test_the_mean_is_exact_by_quadrature_over_the_base_law(start: float) -> None:
    """No sampling: the mean over N(0, I) as a sum on a grid, where only the error of the time step is left."""
    grid = np.linspace(-7, 7, 71)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    base = np.exp(-(x**2).sum(1) / 2)
    with jax.enable_x64(True):
        given = problem(FIELD, _parameters(), SHIFTED)
        weights = np.exp(
            jax.jit(jax.vmap(lambda y: FiniteTime(start=start, steps=40).weigh(given, y).log_weight))(jnp.asarray(x))
        )
    mean = base @ weights / base.sum()
    # the trapezoidal rule: second order with a prefactor of a few per cent of 1/40^2
    assert abs(mean - 1) < 1e-4
    assert (base @ weights**2 / base.sum() - 1) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, -0.25, -0.5, -1.0])
def test_sampled_means_are_unbiased(start: float) -> None:
    found = estimate(SHIFTED, FIELD, _parameters(), FiniteTime(start=start, steps=40), samples=100_000, seed=1)
    assert abs(found.statistics.value) < 4 * found.statistics.error < 0.025


@pytest.mark.slow
def test_the_trapezoidal_rule_is_of_second_order_and_the_lagged_scheme_of_fourth() -> None:
    p = _parameters()

    def changes(estimators) -> np.ndarray:
        values = [estimate(SHIFTED, FIELD, p, e, samples=200, seed=3).statistics.value for e in estimators]
        return np.abs(np.diff(values))

    second = changes([FiniteTime(steps=n) for n in (10, 20, 40)])
    fourth = changes([LaggedTime(steps=n) for n in (5, 10, 20)])
    assert np.log2(second[0] / second[1]) == pytest.approx(2, abs=0.1)
    assert np.log2(fourth[0] / fourth[1]) == pytest.approx(4, abs=0.4)


@pytest.mark.slow
def test_the_lagged_scheme_gives_the_same_weights() -> None:
    observables = {"first": lambda x: x[0]}
    one, other = (
        estimate(SHIFTED, FIELD, _parameters(), e, samples=50, seed=3, observables=observables)
        for e in (FiniteTime(steps=400), LaggedTime(steps=50))
    )
    assert np.abs(one.log_weights - other.log_weights).max() < 1e-4
    assert float(one.means["first"]) == pytest.approx(float(other.means["first"]), abs=1e-4)


def test_without_a_flow_it_is_vanilla_importance_sampling() -> None:
    x = np.random.default_rng(0).standard_normal((20, 2))
    target = two_modes()
    with jax.enable_x64(True):
        vanilla = np.asarray(jax.vmap(target.log_density)(jnp.asarray(x))) + (x**2).sum(1) / 2
    for estimator in (FiniteTime(start=-0.5, steps=4), InfiniteTime(time=2, steps=3)):
        found = _log_weights(estimator, lambda y: 0 * y, target.log_density, x)
        assert np.abs(found - vanilla).max() < 1e-10


@pytest.mark.parametrize("field", [jnp.ones_like, lambda x: 1 + jnp.sin(x) / 2], ids=["constant", "sine"])
def test_one_orbit_covers_the_line_and_leaves_no_variance(field) -> None:
    x = np.linspace(-3, 3, 13)[:, None]
    weights = np.exp(_log_weights(InfiniteTime(time=25, steps=100), field, _log_pair, x))
    assert np.abs(weights - (0.3 * 0.3 + 0.7 * 0.5)).max() < 1e-8


def test_a_zero_of_the_field_divides_the_line() -> None:
    """Orbits stay on their side of the zero c: the weight is Z_1/Z_0 times the ratio of the masses of the side."""
    c, w, s = 0.5, 1.0, 0.5
    x = np.array([[-1.0], [0.2], [0.8], [2.0]])
    weights = np.exp(_log_weights(InfiniteTime(time=40, steps=50), lambda y: y - c, lambda y: -((y[0] - w) ** 2) / (2 * s**2), x))
    left = norm.cdf((c - w) / s) / norm.cdf(c)
    right = norm.sf((c - w) / s) / norm.sf(c)
    assert np.allclose(weights, s * np.array([left, left, right, right]), rtol=1e-6)


def test_two_gaussians_whose_sides_have_equal_masses() -> None:
    w, s = 1.0, 0.5
    x = np.random.default_rng(0).standard_normal((20, 1))

    def weights(speed: float) -> np.ndarray:
        return np.exp(
            _log_weights(
                InfiniteTime(time=40, steps=50),
                lambda y: speed * (y - w / (1 - s)),
                lambda y: -((y[0] - w) ** 2) / (2 * s**2),
                x,
            )
        )

    # scaling the field changes the speed along the same orbits
    for speed in (1.0, 1.7):
        assert np.abs(weights(speed) - s).max() < 1e-5


def test_the_same_orbits_at_another_speed_give_the_same_weights() -> None:
    """Infinite time does not see b -> c(x) b with c > 0, even where the weights have a variance."""
    matrix = jnp.array([[0.0, 1.0], [0.4, 0.0]])
    x = np.random.default_rng(0).standard_normal((10, 2))
    target = SHIFTED.log_density

    def slowed(y):
        return (1 + jnp.tanh(y[0]) ** 2 / 2) * (matrix @ y)

    one = _log_weights(InfiniteTime(time=30, steps=100), lambda y: matrix @ y, target, x)
    other = _log_weights(InfiniteTime(time=30, steps=100), slowed, target, x)
    assert one.std() > 0.1
    assert np.abs(one - other).max() < 1e-5


def test_observables_of_a_shifted_gaussian() -> None:
    observables = {"position": lambda x: x, "square": lambda x: x[0] ** 2}
    found = estimate(SHIFTED, FIELD, _parameters(), FiniteTime(steps=20), samples=4000, observables=observables)
    assert found.means["position"].shape == (2,)
    assert np.all(np.abs(found.means["position"] - [1, 0]) < 4 * found.errors["position"])
    assert abs(found.means["square"] - 2) < 4 * found.errors["square"] < 0.5
    assert found.density_queries == 4000 * 21


@pytest.mark.slow
def test_points_and_weights_do_not_depend_on_the_chunk() -> None:
    runs = [estimate(SHIFTED, FIELD, _parameters(), FiniteTime(steps=5), samples=30, chunk=chunk) for chunk in (7, 30)]
    assert np.allclose(runs[0].log_weights, runs[1].log_weights, rtol=0, atol=1e-12)


def test_orbits_that_leave_the_floating_numbers_weigh_nothing() -> None:
    found = _log_weights(FiniteTime(steps=20), lambda x: x**3, lambda x: -jnp.sum(x**2), np.array([[0.1], [6.0]]))
    assert np.all(np.isfinite(found[:1]))
    assert not np.any(np.isnan(found))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FiniteTime(start=0.5), "start must lie"),
        (lambda: FiniteTime(start=-1.5), "start must lie"),
        (lambda: FiniteTime(start=-0.25, steps=50), "start must be a multiple of 1/steps"),
        (lambda: FiniteTime(steps=1), "steps must be an integer >= 2"),
        (lambda: InfiniteTime(time=0.0), "time must be > 0"),
        (lambda: InfiniteTime(steps=1), "steps must be"),
        (lambda: LaggedTime(steps=1), "steps must be"),
        (lambda: estimate(SHIFTED, FIELD, _parameters(), samples=1), "samples must be"),
        (lambda: estimate(SHIFTED, FIELD, _parameters(), chunk=0), "chunk must be"),
        (lambda: estimate(SHIFTED, FIELD, _parameters(), seed=-1), "seed must be"),
    ],
)
def test_bad_input_is_refused(make, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
