"""The microcanonical law of the loss: closed forms, other integrals, and the optimisers in the limit of small steps."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from quenched.numerics.checks import NoSolutionError, ParameterError
from quenched.optimizers import bbi, ecd_sep
from quenched.theory.microcanonical import (
    largest_step,
    log_weight,
    loss_distribution,
    occupation_ratio,
    quadratic,
    quadratic_states,
    shell,
    valley_rate,
    weights,
)
from tests.optimizers.runs import trace

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
BBI_QUANTILES = {
    2: (0.0170, 0.0376, 0.1414, 0.5317, 1.177),
    4: (0.0277, 0.0596, 0.1728, 0.4758, 0.918),
    10: (0.0510, 0.0959, 0.2079, 0.4233, 0.6966),
}


@pytest.mark.parametrize("n", [2, 4, 10])
def test_quantiles_of_a_quadratic_loss(n: int) -> None:
    np.testing.assert_allclose(quadratic(shell(n, 2.0), 0.01).quantile(LEVELS), BBI_QUANTILES[n], rtol=4e-3)


def test_two_dimensions_have_a_closed_form() -> None:
    """p ~ 1/V for n = 2, so that the quantiles are geometric."""
    law = quadratic(shell(2, 2.0), 0.01)
    np.testing.assert_allclose(law.quantile(LEVELS), 0.01 * 200 ** np.array(LEVELS), rtol=1e-6)
    np.testing.assert_allclose(law.density, 1 / law.potential / math.log(200), rtol=1e-6)
    assert law.average(lambda v: v) == pytest.approx(1.99 / math.log(200), rel=1e-5)


@pytest.mark.parametrize(
    ("n", "kind", "exponent", "energy"),
    [
        (1, "bbi", 1.0, 2.0),
        (3, "bbi", 1.0, 0.7),
        (200, "bbi", 1.0, 2.0),
        (1, "sep", 1.5, 0.3),
    ],
)
def test_the_mean_agrees_with_direct_quadrature(n, kind, exponent, energy) -> None:
    measure, minimum = shell(n, energy, kind, exponent), 0.05
    law = quadratic(measure, minimum)
    log_states = quadratic_states(n)
    mode = float(law.quantile(0.5))

    def density(v):
        return math.exp(log_states(v - minimum) + log_weight(v, measure) - log_states(mode - minimum) - log_weight(mode, measure))

    # the substitution takes the integrable singularities of n = 1 away
    top, middle = measure.top, math.sqrt(minimum * measure.top)
    left = lambda f: quad(lambda u: 2 * u * f(minimum + u**2), 0, math.sqrt(middle - minimum), limit=500)[0]  # noqa: E731
    right = lambda f: quad(lambda u: 2 * u * f(top - u**2), 0, math.sqrt(top - middle), limit=500)[0]  # noqa: E731
    total = left(density) + right(density)
    mean = (left(lambda v: v * density(v)) + right(lambda v: v * density(v))) / total
    assert law.average(lambda v: v) == pytest.approx(mean, rel=2e-4)


def test_without_regularisation_a_quadratic_loss_has_a_closed_form() -> None:
    """Vm/V follows the beta law of parameters (eta - 1) n/2 and n/2."""
    law = quadratic(shell(5, 3.0, "sep", 1.8, 0), 0.05)
    exact = 0.05 / beta((1.8 - 1) * 2.5, 2.5).ppf(1 - np.array(LEVELS))
    np.testing.assert_allclose(law.quantile(LEVELS), exact, rtol=1e-5)


def test_points_of_a_box_weighted_on_the_shell() -> None:
    rng = np.random.default_rng(0)
    measure = shell(4, 2.0)
    points = rng.uniform(-2, 2, (400_000, 4))
    potential = 0.01 + np.sum(points**2, axis=1) / 2
    weight = weights(potential, measure)
    assert weight.sum() == pytest.approx(1.0)
    assert np.all(weight[potential >= 2.0] == 0)
    found = np.quantile(potential, LEVELS, weights=weight, method="inverted_cdf")
    effective = 1 / np.sum(weight**2)
    law = quadratic(measure, 0.01)
    for level, value in zip(LEVELS, found, strict=True):
        reached = np.interp(value, law.potential, law.cumulated)
        assert abs(reached - level) < 4 * math.sqrt(level * (1 - level) / effective)


def test_minima_and_valleys() -> None:
    assert occupation_ratio(np.diag([0.864, 0.864]), [1.664, 1.664]) == pytest.approx(1.664 / 0.864)
    assert occupation_ratio([4.0, 1.0], [1.0, 1.0]) == pytest.approx(0.5)
    assert valley_rate(4.0) == pytest.approx(2 / math.sqrt(2))
    assert largest_step(4.0) == pytest.approx(2 * math.sqrt(2) / 2)


def test_the_largest_step_is_the_border_of_stability() -> None:
    """Far above the loss, E >> V, a stiff direction calms down below the border and is thrown out above it."""

    def last(dt):
        loss = lambda x: (4 * x[0] ** 2 + 0.01 * x[1] ** 2) / 2  # noqa: E731
        optimiser = bbi(dt, extra_energy=100.0, fixed_interval=None, progress_interval=None)
        return float(jnp.abs(trace(loss, jnp.asarray([1e-3, 10.0]), optimiser, 60).params[0]))

    with jax.enable_x64(True):
        border = largest_step(4.0)
        assert last(0.9 * border) < 1e-3
        assert not np.isfinite(last(1.1 * border))


# ---- the optimisers


def stationary(optimiser, loss, starts, steps: int, burn: int, every: int) -> np.ndarray:
    """The losses of many chains, every few steps after the transient; ``optimiser`` is a function of a key and the first loss."""

    @jax.jit
    def chains(keys, starts):
        def one(key, x):
            moving = optimiser(key, loss(x))
            begun = trace(loss, x, moving, burn, key=key, path=False)

            def block(carry, _):
                params, state = carry
                for _ in range(every):
                    value, grads = jax.value_and_grad(loss)(params)
                    updates, state = moving.update(grads, state, params, value=value)
                    params = params + updates
                return (params, state), value

            return jax.lax.scan(block, (begun.params, begun.state), length=steps // every)[1]

        return jax.vmap(one)(keys, starts)

    return np.asarray(chains(jax.random.split(jax.random.key(1), len(starts)), starts)).ravel()


def quadratic_loss(minimum: float):
    return lambda x: minimum + jnp.sum(x**2) / 2


def simulated_bbi(n: int, dt: float, chains: int, time: float) -> np.ndarray:
    """Losses on V = 0.01 + |x|^2/2 at E = 2, with a bounce every 0.5 units of time."""
    with jax.enable_x64(True):
        starts = jax.random.uniform(jax.random.key(0), (chains, n), minval=-1.0, maxval=1.0) * math.sqrt(2 / n)
        interval, steps, burn = round(0.5 / dt), round(time / dt), round(50 / dt)

        def make(key, first):
            # drawn beforehand: under a map over chains a random direction would be drawn at every step
            turns = jax.random.normal(key, ((steps + burn) // interval + 1, n))
            options = {"fixed_interval": interval, "fixed_bounces": 10**9, "progress_interval": None}
            return bbi(dt, extra_energy=2.0 - first, bounce=lambda step, _: turns[step // interval], **options)

        return stationary(make, quadratic_loss(0.01), starts, steps, burn, round(0.05 / dt))


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4, 10])
def test_born_infeld_dynamics_follows_the_law(n: int) -> None:
    found = np.quantile(simulated_bbi(n, 0.00125, 4000, 100.0), LEVELS)
    np.testing.assert_allclose(found, quadratic(shell(n, 2.0), 0.01).quantile(LEVELS), rtol=0.06 if n == 10 else 0.05)


@pytest.mark.slow
def test_a_large_step_lowers_the_loss() -> None:
    """The error of first order in dt: a median of half the predicted one at dt = 0.05, a tenth below it at dt = 0.01."""
    predicted = float(quadratic(shell(4, 2.0), 0.01).quantile(0.5))
    medians = [np.median(simulated_bbi(4, dt, 1000, 400.0)) for dt in (0.05, 0.02, 0.01)]
    assert medians[0] == pytest.approx(0.089, rel=0.1)
    assert medians[0] < medians[1] < medians[2] < predicted


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_separable_dynamics_follows_the_law(exponent: float) -> None:
    with jax.enable_x64(True):
        start = jnp.full((400, 4), math.sqrt(0.45 / 2))
        make = lambda _, first: ecd_sep(0.005, extra_energy=3.0, exponent=exponent, noise=0.025)  # noqa: E731
        found = np.quantile(stationary(make, quadratic_loss(0.05), start, 20000, 10000, 10), LEVELS)
    law = quadratic(shell(4, 4 * 0.5**exponent, "sep", exponent), 0.05)
    np.testing.assert_allclose(found, law.quantile(LEVELS), rtol=0.02)


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, 1.0), "dimension must be an integer >= 1"),
        ((2, 0.0), "energy must be > 0"),
        ((2, 1.0, "bi"), "kind must be one of"),
        ((2, 1.0, "sep", 0.5), "exponent must be >= 1"),
        ((2, 1.0, "sep", 1.0, 2), "regularisation must be one of"),
    ],
)
def test_bad_measures(arguments: tuple, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        shell(*arguments)


def test_bad_laws() -> None:
    with pytest.raises(NoSolutionError, match="no norm"):
        loss_distribution(quadratic_states(4), shell(4, 2.0), 0.0)
    with pytest.raises(NoSolutionError, match="no norm"):
        loss_distribution(quadratic_states(4), shell(4, 2.0, "sep", 1.0, 0), 0.1)
    with pytest.raises(ParameterError, match="minimum must be < 2"):
        quadratic(shell(4, 2.0), 2.5)
    with pytest.raises(ParameterError, match="minimum must be > 0"):
        quadratic(shell(4, 2.0), 0.0)
    with pytest.raises(ParameterError, match="potential must be > 0"):
        log_weight([1.0, 0.0], shell(4, 2.0))
    with pytest.raises(NoSolutionError, match="no sample has a potential below the energy"):
        weights([3.0, 4.0], shell(4, 2.0))
    with pytest.raises(ParameterError, match="probability must lie"):
        quadratic(shell(4, 2.0), 0.1).quantile(1.0)
    with pytest.raises(ParameterError, match="first must be a positive definite"):
        occupation_ratio([-1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ParameterError, match="log_states must be a number"):
        loss_distribution(lambda excess: np.nan * excess, shell(4, 2.0), 0.1)
