"""Spectra of large symmetric operators that are known by their products only: of Hessians, of gradient noise.

Krylov methods by ``matfree`` with full reorthogonalisation: without it a top eigenvalue comes back as several ghosts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float
from matfree import decomp

from quenched.numerics import checks
from quenched.observables.loss_on_data import LossOnData
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "eigenvalue": Label("eigenvalue", r"\rho", dims=("mode",)),
    "eigenvector": Label("eigenvector", "q", dims=("mode", "weight")),
    "residual": Label("residual of an eigenpair", r"|Hq-\rho q|", dims=("mode",)),
    "node": Label("node of the spectral density", r"\rho", dims=("probe", "node")),
    "node_weight": Label("weight of a node", r"\omega", dims=("probe", "node")),
    "spectral_density": Label("spectral density", r"p(\rho)"),
    "trace": Label("trace", r"\mathrm{tr}\,H"),
    "negative_mass": Label("share of negative curvature", r"\sum|\rho_-|/\sum|\rho|"),
}.items():
    register_label(_name, _label)

Operator = Callable[[LossOnData, Float[Array, " weight"]], Float[Array, " weight"]]


def hessian(problem: LossOnData, v: Float[Array, " weight"]) -> Float[Array, " weight"]:
    """H v."""
    return problem.hessian(v)


def noise(problem: LossOnData, v: Float[Array, " weight"]) -> Float[Array, " weight"]:
    """Sigma v."""
    return problem.noise(v)


@eqx.filter_jit
def _lanczos(operator: Operator, problem: LossOnData, start: Array, depth: int) -> tuple[Array, Array]:
    """Orthonormal rows (depth, weight) and the tridiagonal matrix of a Krylov space."""
    found = decomp.tridiag_sym(depth, reortho="full")(lambda v: operator(problem, v), start)
    return found[0], found[1]


def _krylov(operator: Operator, problem: LossOnData, start: Array, depth: int) -> tuple[Array, Float[np.ndarray, "k k"]]:
    """The same, cut where the Krylov space ends because ``start`` reaches fewer than ``depth`` directions."""
    rows, tridiagonal = _lanczos(operator, problem, start, depth)
    matrix = np.asarray(tridiagonal, float)
    whole = np.all(np.isfinite(matrix), axis=1)
    # the product that found nothing new leaves numbers that are not finite in the next row
    size = depth if whole.all() else max(int(np.argmin(whole)), 1)
    if not np.all(np.isfinite(matrix[:size, :size])):
        raise checks.DivergenceError("the operator must give finite products, got one that is not")
    return rows[:size], matrix[:size, :size]


@eqx.filter_jit
def _applied(operator: Operator, problem: LossOnData, rows: Array) -> Array:
    return lax.map(lambda v: operator(problem, v), rows)


def top_eigenpairs(
    problem: LossOnData,
    count: int = 5,
    *,
    operator: Operator = hessian,
    depth: int | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> xr.Dataset:
    """The ``count`` largest eigenvalues with unit eigenvectors, each with its residual |H q - rho q| from one more product.

    Lanczos of ``depth`` products (default 3 count + 20, at most the number of weights) from a random start; for a symmetric
    matrix an eigenvalue lies within the residual of each value. ``operator``: ``hessian`` (default) or ``noise``, of ``problem``.
    Variables: ``eigenvalue`` (mode,), decreasing, ``eigenvector`` (mode, weight), ``residual`` (mode,).

    Raises ``ConvergenceError`` with the residual if one exceeds ``tolerance`` times the largest eigenvalue: take a larger depth.
    """
    checks.integer_at_least("count", count, 1)
    n = problem.size
    if count > n:
        raise checks.ParameterError(f"count must be <= the number of weights, {n}, got {count}")
    depth = min(3 * count + 20 if depth is None else depth, n)
    if depth < count:
        raise checks.ParameterError(f"depth must be >= count = {count}, got {depth}")
    start = jax.random.normal(jax.random.key(seed), (n,), problem.weights.dtype)
    rows, tridiagonal = _krylov(operator, problem, start, depth)
    if len(rows) < count:
        raise checks.ConvergenceError(f"count must be <= the number of directions of the operator, {len(rows)}, got {count}")
    values, small = np.linalg.eigh(tridiagonal)
    scale = np.abs(values).max()
    values, small = values[::-1][:count], small[:, ::-1][:, :count]
    vectors = jnp.asarray(small.T, rows.dtype) @ rows
    products = np.asarray(_applied(operator, problem, vectors), float)
    found = np.asarray(vectors, float)
    residual = np.linalg.norm(products - values[:, None] * found, axis=1)
    worst = int(residual.argmax())
    if residual[worst] > tolerance * scale:
        raise checks.ConvergenceError(
            f"eigenpair {worst} has not converged: residual {residual[worst]:.3g} > {tolerance:g} times the largest eigenvalue "
            f"{scale:.4g}; take depth > {depth}"
        )
    variables = {
        "eigenvalue": (("mode",), values),
        "eigenvector": (("mode", "weight"), found),
        "residual": (("mode",), residual),
    }
    return dataset(variables, {}, {"engine": "top_eigenpairs", "depth": depth, "seed": seed}, depth=depth)


def gauss_quadrature(
    problem: LossOnData, operator: Operator, start: Float[Array, " weight"], depth: int
) -> tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]]:
    """Nodes and weights with sum_j weight_j f(node_j) = u.f(H) u for u = ``start``/|start|, exact for degrees < 2 ``depth``.

    Where u reaches fewer than ``depth`` directions, the rest of the nodes have no weight.
    """
    tridiagonal = _krylov(operator, problem, start, depth)[1]
    values, vectors = np.linalg.eigh(tridiagonal)
    # where the space ended early, the rest are copies of a node without weight
    more = depth - len(values)
    return np.pad(values, (0, more), mode="edge"), np.pad(vectors[0] ** 2, (0, more))


def spectral_density(
    problem: LossOnData,
    *,
    operator: Operator = hessian,
    probes: int = 8,
    depth: int = 60,
    width: float | None = None,
    points: int = 400,
    seed: int = 0,
) -> xr.Dataset:
    """Stochastic Lanczos quadrature: the density of eigenvalues from ``probes`` random signs and ``depth`` products each.

    A probe gives nodes rho_j, the eigenvalues of its tridiagonal matrix, with weights omega_j, the squared first components of
    their eigenvectors: sum_j omega_j f(rho_j) is an unbiased estimate of tr f(H)/n for polynomials f of degree < 2 depth.
    Variables: ``node``, ``node_weight`` (probe, node), raw; ``spectral_density`` (eigenvalue_grid,), the mean over probes
    smoothed by a Gaussian of standard deviation ``width`` (default: 1/100 of the range), with ``spectral_density_error``;
    ``trace`` = tr H with ``trace_error``, standard errors over the probes: with few probes and a Hessian of low rank they are
    large.

    Source: Ghorbani, Krishnan, Xiao, arXiv:1901.10159; Golub, Welsch 1969.
    """
    checks.integer_at_least("probes", probes, 2)
    checks.integer_at_least("depth", depth, 1)
    checks.integer_at_least("points", points, 2)
    n = problem.size
    depth = min(depth, n)
    nodes, weights = [], []
    for key in jax.random.split(jax.random.key(seed), probes):
        start = jax.random.rademacher(key, (n,), problem.weights.dtype)
        values, parts = gauss_quadrature(problem, operator, start, depth)
        nodes.append(values)
        weights.append(parts)
    found = quadrature_dataset(np.stack(nodes), np.stack(weights), n, width, points)
    provenance = {"engine": "spectral_density", "probes": probes, "depth": depth, "seed": seed}
    return dataset(*found, provenance, depth=depth)


def quadrature_dataset(
    nodes: Float[np.ndarray, "probe node"], weights: Float[np.ndarray, "probe node"], n: int, width: float | None, points: int
) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any]]:
    """Variables and coordinates of ``spectral_density`` from nodes and weights of an n x n operator."""
    low, high = nodes.min(), nodes.max()
    width = (high - low) / 100 or 1e-12 if width is None else width
    checks.positive("width", width)
    grid = np.linspace(low - 4 * width, high + 4 * width, points)
    bells = np.exp(-0.5 * ((grid[:, None, None] - nodes) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    each = np.sum(bells * weights, axis=2)
    traces = n * np.sum(nodes * weights, axis=1)
    root = np.sqrt(len(nodes))
    variables = {
        "node": (("probe", "node"), nodes),
        "node_weight": (("probe", "node"), weights),
        "spectral_density": (("eigenvalue_grid",), each.mean(axis=1)),
        "spectral_density_error": (("eigenvalue_grid",), each.std(axis=1, ddof=1) / root),
        "trace": ((), traces.mean()),
        "trace_error": ((), traces.std(ddof=1) / root),
    }
    return variables, {"eigenvalue_grid": grid}


def negative_mass(density: xr.Dataset) -> float:
    """The share of negative curvature in the spectrum: sum of |rho| omega over rho < 0 over the sum over all nodes."""
    node, weight = density["node"].values, density["node_weight"].values
    total = np.sum(np.abs(node) * weight)
    return float(np.sum(np.where(node < 0, -node, 0.0) * weight) / total) if total > 0 else 0.0
