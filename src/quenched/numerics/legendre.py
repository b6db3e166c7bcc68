"""Discrete Legendre moments of a signal on blocks of steps: the coordinates of its projection on polynomials.

The moments of a block of B steps are z = P_B x, P_B a k x B matrix with orthonormal rows that span the polynomials of degree < k
on the block; P_B^T z is the polynomial nearest to x. The sum over the block of a product of two signals is the product of their
moments as soon as one of the two is such a polynomial, however rough the other is. Moments of two neighbouring blocks give those
of their union exactly, without the signal.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from quenched.numerics import checks


def legendre_basis(length: int, moments: int) -> Float[np.ndarray, "k b"]:
    """P_B: orthonormal rows, row n a polynomial of degree n in the step with a positive leading coefficient, n < k = ``moments``.

    ``length`` = B >= k steps; the discrete Legendre (Gram) polynomials at the points (2 j + 1 - B)/B, j = 0, ..., B - 1.
    """
    checks.integer_at_least("moments", moments, 1)
    checks.integer_at_least("length", length, 1)
    if moments > length:
        raise checks.ParameterError(f"moments must be <= length={length}, the number of steps of a block, got {moments!r}")
    points = (2 * np.arange(length) + 1 - length) / length
    q, r = np.linalg.qr(np.polynomial.legendre.legvander(points, moments - 1))
    return (q * np.sign(np.diagonal(r))).T


def merge_matrices(moments: int, length: int) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    """(A, B) with z = A z_left + B z_right: the moments of 2 B steps from those of their halves of B = ``length`` steps each.

    Exact for every signal: a polynomial of degree < k on the whole is one on each half.
    """
    half, whole = legendre_basis(length, moments), legendre_basis(2 * length, moments)
    return whole[:, :length] @ half.T, whole[:, length:] @ half.T
