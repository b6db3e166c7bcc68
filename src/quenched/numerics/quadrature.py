"""Quadrature: nodes and weights for the laws that averages are taken over. Sums of ``weights * f(nodes)``, weights add to 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln, roots_hermitenorm, xlog1py, xlogy

from quenched.numerics import checks

Rule = tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]


def normal(order: int = 61) -> Rule:
    """Gauss-Hermite rule of N(0, 1): exact for polynomials of degree 2 ``order`` - 1.

    For integrands with a kink or a jump use ``normal_panels``: there Gauss-Hermite converges like a power of the order only.
    """
    checks.integer_at_least("order", order, 1)
    nodes, weights = roots_hermitenorm(order)
    return nodes, weights / weights.sum()


def normal_panels(
    breaks: Sequence[float] | Float[np.ndarray, " k"] = (), *, limit: float = 9.0, order: int = 48, panels: int = 4
) -> Rule:
    """Composite Gauss-Legendre rule of N(0, 1) with panel ends at the ``breaks``, spectrally accurate between them.

    The line is cut at +-``limit`` (the mass beyond 9 is 2e-19) and at every break; each piece is divided into ``panels``
    equal panels of ``order`` nodes. The number of nodes depends on the number of breaks only, wherever these lie, so that
    compiled code can be reused.
    """
    checks.positive("limit", limit)
    checks.integer_at_least("order", order, 1)
    checks.integer_at_least("panels", panels, 1)
    ends = np.concatenate([[-limit], np.sort(np.clip(np.asarray(breaks, float), -limit, limit)), [limit]])
    cuts = np.concatenate([np.linspace(a, b, panels, endpoint=False) for a, b in pairwise(ends)] + [ends[-1:]])
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(cuts)[:, None] / 2
    nodes = cuts[:-1, None] + half * (1 + x)
    weights = half * w * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
    return nodes.ravel(), weights.ravel()


def normal_grid(spacing: float, limit: float = 9.0) -> Rule:
    """Equidistant rule of N(0, 1) on [-``limit``, ``limit``]: for f(w x) with f analytic within a distance a of the real axis the
    error is exp(-2 pi a/(w spacing)), or exp(-2 pi^2/spacing^2) from the Gaussian itself.

    For tanh(w x), a = pi/2: spacing 0.3/w gives 14 digits, at any w; Gauss-Hermite fails there once w is large.
    """
    checks.positive("spacing", spacing)
    checks.positive("limit", limit)
    half = int(np.ceil(limit / spacing))
    nodes = np.arange(-half, half + 1) * (limit / half)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


def binomial(count: int, probability: float) -> Rule:
    """Law of the number k of successes in ``count`` trials; values whose weight is below 1e-18 are left out."""
    checks.integer_at_least("count", count, 0)
    checks.in_interval("probability", probability, 0.0, 1.0)
    values = np.arange(count + 1.0)
    choices = gammaln(count + 1) - gammaln(values + 1) - gammaln(count - values + 1)
    weights = np.exp(choices + xlogy(values, probability) + xlog1py(count - values, -probability))
    kept = weights > 1e-18
    return values[kept], weights[kept] / weights[kept].sum()


def marchenko_pastur(ratio: float, variance: float = 1.0, order: int = 256) -> Rule:
    """Gauss rule of the Marchenko-Pastur law: the spectrum of Z^T Z/d, Z an n x d matrix of independent entries of ``variance``.

    ``ratio`` = n/d > 0. For ratio < 1 the first node is the atom at 0 with its mass 1 - ratio. The bulk has support variance
    (1 -+ sqrt(ratio))^2; its orthogonal polynomials have constant recurrence coefficients, so that the nodes are the
    eigenvalues of a tridiagonal matrix. Exact for polynomials of degree 2 ``order`` - 1, geometrically convergent for
    functions analytic on the support.
    """
    checks.positive("ratio", ratio)
    checks.positive("variance", variance)
    checks.integer_at_least("order", order, 1)
    # the non-zero eigenvalues are those of Z Z^T/d, the same law with the inverse ratio, which has no atom
    rate, jump, mass = (ratio, variance, 1.0) if ratio >= 1 else (1 / ratio, ratio * variance, ratio)
    diagonal = np.full(order, jump * (1 + rate))
    diagonal[0] = jump * rate
    nodes, vectors = eigh_tridiagonal(diagonal, np.full(order - 1, jump * np.sqrt(rate)))
    # rounding may put the smallest node of the hard edge (ratio = 1) below zero
    nodes, weights = np.maximum(nodes, 0.0), mass * vectors[0] ** 2
    if ratio < 1:
        nodes, weights = np.concatenate([[0.0], nodes]), np.concatenate([[1 - ratio], weights])
    return nodes, weights


def marchenko_pastur_quantiles(ratio: float, count: int) -> Float[np.ndarray, " count"]:
    """The quantiles (i + 1/2)/count of the bulk of the Marchenko-Pastur law of ratio n/d, variance 1, in increasing order.

    They are the spectrum of a typical n x d matrix Z, as Z^T Z/d, without its fluctuations: ``count`` = min(n, d) non-zero
    eigenvalues. The distribution function is integrated on a grid in theta, x = centre - width cos(theta), where the density is
    smooth.
    """
    checks.positive("ratio", ratio)
    checks.integer_at_least("count", count, 1)
    low, high = marchenko_pastur_edges(ratio)
    theta = np.linspace(0, np.pi, 8 * count + 1025)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(theta)
    # density dx = sqrt((high - x)(x - low))/(2 pi x) dx; at the hard edge (ratio 1) sin^2/x has the limit 2/width
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(x > 0, np.sin(theta) ** 2 / x, 4 / (high - low))
    cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp((np.arange(count) + 0.5) / count, cumulated / cumulated[-1], x)


def marchenko_pastur_edges(ratio: float, variance: float = 1.0) -> tuple[float, float]:
    """The two ends of the bulk, variance (1 -+ sqrt(ratio))^2."""
    checks.positive("ratio", ratio)
    checks.positive("variance", variance)
    return variance * (1 - ratio**0.5) ** 2, variance * (1 + ratio**0.5) ** 2
