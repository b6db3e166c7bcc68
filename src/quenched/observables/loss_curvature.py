"""The Hessian of a loss at a minimum, as products, with what is negative in it refused or taken out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from quenched.numerics import checks

INDEFINITE = ("refuse", "project")
DENSE = 500
"""Up to so many weights the spectrum of a Hessian is computed in full."""
LOWEST = 16
"""Of a larger one so many eigenvalues are found at the lower end."""


class Curvature(NamedTuple):
    """``loss`` of the vector of weights, its minimum ``place``, v -> C v there without the negative eigenvalues, and their
    sum.
    """

    loss: Callable[[Array], Array]
    place: np.ndarray
    product: Callable[[Array], Array]
    discarded: float


def curvature_at(loss: Callable[[Array], Array], place: np.ndarray, indefinite: str = "refuse") -> Curvature:
    """The curvature of ``loss`` at ``place`` (d,). Negative eigenvalues: ``indefinite`` "refuse" them, or "project" them out.

    An eigenvalue counts as negative below -1e-8 of the largest in double precision, -1e-4 in single. Above ``DENSE`` weights
    the lower end of the spectrum is found by Lanczos. Raises ``ParameterError`` for an indefinite C, ``ConvergenceError``
    where more than ``LOWEST`` eigenvalues of a large one are negative.
    """
    here = jnp.asarray(place)

    def product(v: Float[Array, " weight"]) -> Float[Array, " weight"]:
        return jax.jvp(jax.grad(loss), (here,), (v.astype(here.dtype),))[1]

    rates, vectors, largest = lower_end(product, len(place), here.dtype)
    negative = rates < -(1e-8 if here.dtype == np.float64 else 1e-4) * largest
    if not negative.any():
        return Curvature(loss, place, product, 0.0)
    lost = float(-rates[negative].sum())
    if indefinite == "refuse":
        raise checks.ParameterError(
            f"the Hessian at the minimum must be positive, got {int(negative.sum())} negative eigenvalues that add to "
            f"{-lost:.4g}: no minimum; indefinite='project' keeps the others"
        )
    if len(place) > DENSE and negative.all():
        raise checks.ConvergenceError(f"the Hessian must have fewer than {LOWEST} negative eigenvalues to be projected, got more")
    down = jnp.asarray(vectors[:, negative] * np.sqrt(-rates[negative]), here.dtype)
    return Curvature(loss, place, lambda v: product(v) + down @ (down.T @ v), lost)


def lower_end(
    product: Callable[[Array], Array], size: int, dtype: Any
) -> tuple[Float[np.ndarray, " mode"], Float[np.ndarray, "weight mode"], float]:
    """Eigenvalues in increasing order with their vectors, all or the ``LOWEST`` few, and the largest in absolute value."""
    if size <= DENSE:
        matrix = np.asarray(jax.jit(jax.vmap(product))(jnp.eye(size, dtype=dtype)), float)
        rates, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return rates, vectors, float(np.abs(rates).max())
    compiled = jax.jit(product)
    operator = LinearOperator((size, size), lambda v: np.asarray(compiled(jnp.asarray(v.ravel(), dtype)), float), dtype=float)
    start = np.random.default_rng(0).normal(size=size)
    try:
        largest = float(np.abs(eigsh(operator, 1, which="LM", v0=start, tol=1e-2, return_eigenvectors=False)).max())
        # relative to the largest: flat directions need no digits
        shifted = LinearOperator((size, size), lambda v: largest * v.ravel() - operator.matvec(v), dtype=float)
        top, vectors = eigsh(shifted, LOWEST, which="LA", v0=start, tol=1e-5)
    except ArpackNoConvergence as error:
        raise checks.ConvergenceError(f"the lower end of the spectrum did not converge: {error}") from error
    order = np.argsort(largest - top)
    return (largest - top)[order], vectors[:, order], largest


@contextlib.contextmanager
def double_if(*arrays: np.ndarray) -> Any:
    """Double precision inside, where it is on already or an array has it."""
    wanted = any(np.asarray(a).dtype == np.float64 for a in arrays)
    with jax.enable_x64(bool(jax.config.read("jax_enable_x64")) or wanted):
        yield
