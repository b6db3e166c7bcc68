"""The kinetic (Kramers) equation of SGD with momentum in one dimension: Hermite functions of the velocity, Brinkman's hierarchy.

    m theta'' + g theta' = -L' + sqrt(2 g T) xi,  m = eta (1+beta)/2,  g = 1 - beta,  time eta k

p(x, v) = psi_0(v) exp(-Phi/2) sum_n c_n(x) psi_n(v), Phi = L/T: the streaming part of the hierarchy of c_n is antisymmetric, and
the stationary law exact. Source: Brinkman 1956; Risken, The Fokker-Planck Equation, ch. 10.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex
from scipy.sparse import bmat, csc_matrix, diags, identity
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.theory.fokker_planck.temperature import Temperature


def kinetic_generator(
    landscape: AbstractLandscape,
    temperature: float | int,
    mass: float | int,
    friction: float | int,
    low: float | int,
    high: float | int,
    nodes: int,
    functions: int,
) -> csc_matrix:
    """The generator of the coefficients: even functions on ``nodes`` nodes, odd ones on the mid-points between them."""
    for name, value in (("temperature", temperature), ("mass", mass), ("friction", friction)):
        checks.positive(name, value)
    checks.integer_at_least("nodes", nodes, 4)
    checks.integer_at_least("functions", functions, 2)
    h = (high - low) / (nodes - 1)
    with jax.enable_x64(True):
        points = jnp.linspace(low, high, 2 * nodes - 1)
        phi = np.asarray(jax.vmap(lambda p: landscape.potential(p[None]))(points), float) / temperature
    node, middle = phi[::2], phi[1::2]
    speed = np.sqrt(temperature / mass)
    # v_th (d/dx + Phi'/2), from nodes to mid-points and back
    forth = (
        speed / h * diags([-np.exp((node[:-1] - middle) / 2), np.exp((node[1:] - middle) / 2)], [0, 1], shape=(nodes - 1, nodes))
    )
    into, out = np.exp((middle - node[:-1]) / 2), np.exp((middle - node[1:]) / 2)
    back = speed / h * diags([into, -out], [0, -1], shape=(nodes, nodes - 1))
    blocks: list[list[Any]] = [[None] * functions for _ in range(functions)]
    for n in range(functions):
        blocks[n][n] = -n * friction / mass * identity(nodes - n % 2)
        if n > 0:
            # down the hierarchy and up again: antisymmetric, so that streaming conserves
            blocks[n][n - 1] = -np.sqrt(n) * (forth if n % 2 == 1 else back)
            blocks[n - 1][n] = -blocks[n][n - 1].T
    return bmat(blocks, format="csc")


def kinetic_spectrum(
    landscape: AbstractLandscape,
    temperature: Temperature | float | int,
    low: float | int,
    high: float | int,
    *,
    mass: float | int | None = None,
    friction: float | int | None = None,
    nodes: int = 150,
    functions: int = 16,
    count: int = 4,
) -> Complex[np.ndarray, " count"]:
    """The ``count`` slowest decay rates per unit of eta k (complex where motion oscillates), the first being 0.

    ``temperature``: a ``Temperature``, which knows mass and friction, or T with ``mass`` and ``friction``. Small friction needs
    more ``functions``. Multiply by 1 - beta for units of t' = eta k/(1-beta). Raises ``ConvergenceError`` where the eigenvalue
    solver fails.
    """
    if isinstance(temperature, Temperature):
        t, m, g = temperature.value, temperature.mass, temperature.friction
    else:
        if mass is None or friction is None:
            raise checks.ParameterError("mass and friction must be given with a temperature that is a number")
        t, m, g = float(temperature), float(mass), float(friction)
    matrix = kinetic_generator(landscape, t, m, g, low, high, nodes, functions)
    try:
        # seeds the iteration, so that an answer is a function of its arguments
        values = eigs(-matrix, k=count, sigma=-1e-5, which="LM", v0=np.ones(matrix.shape[0]), return_eigenvectors=False)
    except ArpackNoConvergence as error:
        raise checks.ConvergenceError(f"the slowest rates did not converge: {error}") from error
    return np.sort_complex(values)
