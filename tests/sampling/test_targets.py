"""Targets: densities, constants and second moments against integrals done in another way."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import multivariate_normal

from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe
from quenched.sampling import DoubleWells, Funnel, LogDensity, MixtureTarget, base_log_constant, four_modes, two_modes

MIXTURE = MixtureTarget((0.5, 2.0), ((1.0, -0.5), (-1.0, 0.3)), ((0.4, 0.9), (0.7, 0.5)))


def _density(target, *x: float) -> float:
    return float(np.exp(target.log_density(jnp.array(x))))


def test_published_relative_variances_of_vanilla_importance_sampling() -> None:
    assert two_modes().vanilla_relative_variance() == pytest.approx(1854198.2, rel=1e-6)
    assert four_modes().vanilla_relative_variance() == pytest.approx(2154478.8, rel=1e-6)
    assert np.exp(two_modes().log_constant() - base_log_constant(2)) == pytest.approx(0.1, rel=1e-12)
    assert np.exp(four_modes().log_constant() - base_log_constant(10)) == pytest.approx(1, rel=1e-12)


def test_a_mixture_is_a_sum_of_normal_laws() -> None:
    with jax.enable_x64(True):
        for x in ((0.3, -0.2), (2.0, 1.0)):
            parts = [
                w * multivariate_normal(m, np.diag(s)).pdf(x) * 2 * np.pi * np.sqrt(np.prod(s))
                for w, m, s in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.variances, strict=True)
            ]
            assert _density(MIXTURE, *x) == pytest.approx(sum(parts), rel=1e-12)


def test_constant_and_second_moment_of_a_mixture_by_integration() -> None:
    def density(y, x):
        modes = zip(MIXTURE.weights, MIXTURE.means, MIXTURE.variances, strict=True)
        return sum(w * np.exp(-((x - m[0]) ** 2) / (2 * s[0]) - (y - m[1]) ** 2 / (2 * s[1])) for w, m, s in modes)

    constant = dblquad(density, -8, 8, -8, 8)[0]
    moment = dblquad(lambda y, x: density(y, x) ** 2 * np.exp((x**2 + y**2) / 2) / (2 * np.pi), -12, 12, -12, 12)[0]
    assert MIXTURE.log_constant() == pytest.approx(np.log(constant), abs=1e-6)
    assert MIXTURE.log_second_moment() == pytest.approx(np.log(moment), abs=1e-6)


def test_a_mode_too_wide_for_the_base_has_no_second_moment() -> None:
    wide = MixtureTarget((1,), ((0, 0),), ((1.0, 2.5),))
    assert wide.log_second_moment() == np.inf
    assert wide.vanilla_relative_variance() == np.inf


def test_the_mass_of_the_funnel_in_the_ball() -> None:
    # 0.92275 +- 0.00013 was measured by sampling: x_1 = 3 z, the others exp(x_1/2) z
    rng = np.random.default_rng(0)
    first = 3 * rng.standard_normal(400_000)
    inside = first**2 + np.exp(first) * rng.chisquare(9, 400_000) < 625
    mass = np.exp(Funnel().log_constant() - base_log_constant(10)) / 3
    assert abs(inside.mean() - mass) < 4 * inside.std() / np.sqrt(len(inside))
    assert mass == pytest.approx(0.92275, abs=4 * 0.00013)


def test_the_funnel_ends_at_the_ball_and_its_gradient_is_a_number_everywhere() -> None:
    funnel = Funnel()
    x = jnp.array([1.0, *(0.5,) * 9])
    assert float(funnel.log_density(x)) == pytest.approx(-1 / 18 - 4.5 - np.exp(-1) * 9 / 8, rel=1e-5)
    for outside in (26.0, -2000.0):
        far = x.at[0].set(outside)
        assert funnel.log_density(far) == -jnp.inf
        assert np.all(np.isfinite(jax.grad(funnel.log_density)(far)))
    assert funnel.vanilla_relative_variance() is None


def test_double_wells_are_products_of_integrals() -> None:
    wells = DoubleWells(20, 1.5, 1.2, 0.4)

    def density(x: float) -> float:
        u = x / 1.2
        return np.exp(-1.5 * (u**2 - 1) ** 2 - 0.4 * u)

    constant = quad(density, -8, 8, epsabs=1e-13)[0]
    moment = quad(lambda x: density(x) ** 2 * np.exp(x**2 / 2) / np.sqrt(2 * np.pi), -8, 8, epsabs=1e-13)[0]
    assert wells.log_constant() == pytest.approx(20 * np.log(constant), abs=1e-8)
    assert wells.log_second_moment() == pytest.approx(20 * np.log(moment), abs=1e-8)
    one = DoubleWells(1, 1.5, 1.2, 0.4)
    assert _density(one, 0.7) == pytest.approx(density(0.7), rel=1e-5)


def test_targets_come_back_from_their_description() -> None:
    for target in (MIXTURE, Funnel(4, 2.0, 10.0), DoubleWells(3)):
        assert build(describe(target)) == target


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixtureTarget((), (), ()), r"len\(weights\)"),
        (lambda: MixtureTarget((1,), ((0, 0),), ((1,),)), "means and variances must have 1 rows"),
        (lambda: MixtureTarget((1, 1), ((0, 0),), ((1, 1),)), "means and variances must have 2 rows"),
        (lambda: MixtureTarget((-1,), ((0,),), ((1,),)), "weights must be > 0"),
        (lambda: MixtureTarget((1,), ((0,),), ((0,),)), "variances must be > 0"),
        (lambda: MixtureTarget((1,), ((np.nan,),), ((1,),)), "means must be a finite"),
        (lambda: Funnel(1), "dimension must"),
        (lambda: Funnel(10, 0.0), "width must"),
        (lambda: Funnel(10, 3.0, -1.0), "radius must"),
        (lambda: DoubleWells(0), "dimension must"),
        (lambda: DoubleWells(2, 0.0), "height must"),
        (lambda: DoubleWells(2, 1.0, 0.0), "distance must"),
        (lambda: LogDensity(lambda x: x, 2), "log_density must return a scalar"),
        (lambda: LogDensity(lambda x: x @ jnp.ones(3), 2), r"log_density must take a point of shape \(2,\)"),
        (lambda: LogDensity(3, 2), "log_density must be a function|function"),
        (lambda: LogDensity(jnp.sum, 0), "dimension must"),
    ],
)
def test_what_is_no_target_is_refused(make, message: str) -> None:
    with pytest.raises((ParameterError, TypeError), match=message):
        make()
