from __future__ import annotations

import numpy as np
import pytest

from quenched.numerics.checks import ParameterError
from quenched.numerics.legendre import legendre_basis, merge_matrices


@pytest.mark.parametrize(("length", "moments"), [(1, 1), (4, 4), (16, 4), (16, 8), (1000, 6)])
def test_rows_are_orthonormal_polynomials(length, moments):
    basis = legendre_basis(length, moments)
    assert basis.shape == (moments, length)
    np.testing.assert_allclose(basis @ basis.T, np.eye(moments), atol=1e-12)
    steps = np.arange(length) / length
    for degree in range(moments):
        # what the rows up to a degree leave of a monomial of that degree
        power = steps**degree
        rest = power - basis[: degree + 1].T @ (basis[: degree + 1] @ power)
        np.testing.assert_allclose(rest, 0, atol=1e-10)
        # the last value of a Legendre polynomial is its largest
        assert basis[degree, -1] > 0


@pytest.mark.parametrize("length", [8, 16, 64, 1024])
@pytest.mark.parametrize("moments", [1, 2, 4, 8])
def test_moments_merge_exactly(length, moments):
    signal = np.random.default_rng(length + moments).standard_normal((2 * length, 5))
    half, whole = legendre_basis(length, moments), legendre_basis(2 * length, moments)
    left, right = merge_matrices(moments, length)
    merged = left @ (half @ signal[:length]) + right @ (half @ signal[length:])
    np.testing.assert_allclose(merged, whole @ signal, atol=1e-12)


def test_the_product_with_a_polynomial_needs_moments_only():
    rng = np.random.default_rng(0)
    basis, rough = legendre_basis(32, 4), rng.standard_normal(32)
    smooth = np.polynomial.Polynomial(rng.standard_normal(4))(np.linspace(0, 1, 32))
    assert (basis @ smooth) @ (basis @ rough) == pytest.approx(smooth @ rough, abs=1e-12)


@pytest.mark.parametrize(
    ("length", "moments", "word"), [(4, 5, "moments must be <= length=4"), (4, 0, "moments"), (0, 1, "length")]
)
def test_bad_sizes_are_refused(length, moments, word):
    with pytest.raises(ParameterError, match=word):
        legendre_basis(length, moments)
