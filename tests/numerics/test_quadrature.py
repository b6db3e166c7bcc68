import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from quenched.numerics import quadrature
from quenched.numerics.checks import ParameterError


def test_normal_rule_reproduces_the_moments():
    x, w = quadrature.normal(61)
    moments = [w @ x**k for k in range(0, 21, 2)]
    np.testing.assert_allclose(moments, [math.prod(range(k - 1, 0, -2)) for k in range(0, 21, 2)], rtol=1e-12)
    assert abs(w @ x**7) < 1e-9


def test_high_order_normal_rule_is_finite():
    x, w = quadrature.normal(500)
    assert np.all(np.isfinite(w))
    assert w @ np.cos(x) == pytest.approx(math.exp(-0.5), abs=1e-13)


@pytest.mark.parametrize("cut", [-2.3, 0.0, 1.7, 20.0])
def test_panels_integrate_jumps_and_kinks(cut):
    x, w = quadrature.normal_panels([cut])
    phi = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    below = (1 + erf(cut / math.sqrt(2))) / 2
    assert w @ (x < cut) == pytest.approx(below, abs=1e-14)
    assert w @ np.maximum(cut - x, 0) == pytest.approx(cut * below + phi, abs=1e-13)


def test_panels_have_a_size_that_does_not_depend_on_where_the_breaks_lie():
    sizes = {quadrature.normal_panels(b)[0].size for b in ([0.0, 1.0], [-30.0, 30.0], [2.0, 2.0])}
    assert len(sizes) == 1


def narayana_moments(ratio, variance, count):
    """E[x^k] = variance^k sum_r N(k, r) ratio^r with the Narayana numbers N."""
    moments = [1.0]
    for k in range(1, count):
        terms = (math.comb(k, r) * math.comb(k, r - 1) // k * ratio**r for r in range(1, k + 1))
        moments.append(variance**k * sum(terms))
    return moments


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.999, 1.0, 2.0, 3.0])
def test_marchenko_pastur_moments(ratio):
    x, w = quadrature.marchenko_pastur(ratio, 0.5, 64)
    np.testing.assert_allclose([w @ x**k for k in range(16)], narayana_moments(ratio, 0.5, 16), rtol=1e-12)


@pytest.mark.parametrize(("ratio", "variance"), [(0.5, 0.5), (2.0, 0.5), (3.0, 1.0)])
def test_marchenko_pastur_agrees_with_adaptive_integration_of_the_density(ratio, variance):
    low, high = quadrature.marchenko_pastur_edges(ratio, variance)

    def density(theta):
        x = (low + high) / 2 + (high - low) / 2 * math.cos(theta)
        return math.exp(-x) * (high - low) ** 2 / 4 * math.sin(theta) ** 2 / (2 * math.pi * variance * x)

    expected = max(0.0, 1 - ratio) + quad(density, 0, math.pi, epsabs=1e-13, epsrel=1e-13)[0]
    x, w = quadrature.marchenko_pastur(ratio, variance)
    assert w @ np.exp(-x) == pytest.approx(expected, abs=1e-13)
    assert x.max() <= high
    assert x[w > 0][0 if ratio >= 1 else 1] >= low


@pytest.mark.parametrize("ratio", [1.5, 2.0, 5.0])
def test_marchenko_pastur_inverse_moment(ratio):
    x, w = quadrature.marchenko_pastur(ratio, 0.5, 400)
    assert w @ (1 / x) == pytest.approx(1 / (0.5 * (ratio - 1)), rel=1e-12)


def test_the_atom_of_zero_modes_is_exact():
    x, w = quadrature.marchenko_pastur(0.25)
    assert x[0] == 0.0
    assert w[0] == 0.75
    assert np.all(x[1:] > 0)
    assert w.sum() == pytest.approx(1.0, abs=1e-14)


def test_marchenko_pastur_is_the_spectrum_of_a_random_matrix():
    z = np.random.default_rng(0).standard_normal((1600, 800))
    sampled = np.linalg.eigvalsh(z.T @ z / 800)
    x, w = quadrature.marchenko_pastur(2.0)
    # linear statistics of a Wishart matrix fluctuate like 1/d
    assert np.mean(1 / (1 + sampled)) == pytest.approx(w @ (1 / (1 + x)), abs=5 / 800)


@pytest.mark.parametrize("call", [lambda: quadrature.marchenko_pastur(0.0), lambda: quadrature.marchenko_pastur(1.0, -1.0)])
def test_bad_parameters_are_refused(call):
    with pytest.raises(ParameterError, match="must be > 0"):
        call()


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_marchenko_pastur_quantiles_have_the_moments_of_the_law(ratio):
    found = quadrature.marchenko_pastur_quantiles(ratio, 4000)
    low, high = quadrature.marchenko_pastur_edges(ratio)
    assert np.all(np.diff(found) > 0)
    assert low < found[0]
    assert found[-1] < high
    # moments of the bulk, which has mass min(ratio, 1)
    x, w = quadrature.marchenko_pastur(ratio)
    for power in (1, 2, 3):
        assert np.mean(found**power) == pytest.approx(w @ x**power / min(ratio, 1.0), rel=1e-4)
