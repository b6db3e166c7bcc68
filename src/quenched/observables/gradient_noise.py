"""The covariance Sigma of the gradients of single samples, and how it is aligned with the Hessian."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.observables.loss_on_data import LossOnData
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "noise_trace": Label("trace of the gradient noise", r"\mathrm{tr}\,\Sigma"),
    "hessian_trace": Label("trace of the Hessian", r"\mathrm{tr}\,H"),
    "noise_ratio": Label("ratio of the traces of noise and Hessian", r"\sigma^2"),
    "noise_along": Label("gradient noise along an eigenvector", r"q\cdot\Sigma q", dims=("mode",)),
    "alignment": Label("cosine of noise and Hessian", r"\cos(\Sigma,H)"),
}.items():
    register_label(_name, _label)


@eqx.filter_jit
def _products(problem: LossOnData, probes: Float[Array, "probe weight"]) -> tuple[Array, Array]:
    return lax.map(lambda z: (problem.hessian(z), problem.noise(z)), probes)


@eqx.filter_jit
def _trace(problem: LossOnData) -> Array:
    return problem.noise_trace()


@eqx.filter_jit
def _along(problem: LossOnData, rows: Array) -> Array:
    return problem.noise_along(rows)


def alignment(problem: LossOnData, *, probes: int = 16, seed: int = 0) -> xr.Dataset:
    """tr Sigma (exact), tr H, their ratio sigma^2, and the cosine <Sigma, H>_F/(|Sigma|_F |H|_F), by ``probes`` random signs.

    With z of random signs <z|A|z>, <Az|Bz> have the means tr A, tr AB. Standard errors: of tr H over the probes, of the ratio by
    propagation, of the cosine by leaving out one probe at a time. Sigma = sigma^2 H, the assumption of many theories, has
    cosine 1.

    Scalar variables: ``noise_trace``, ``hessian_trace``, ``noise_ratio``, ``alignment``, all but the first with ``_error``.
    """
    checks.integer_at_least("probes", probes, 3)
    z = jax.random.rademacher(jax.random.key(seed), (probes, problem.size), problem.weights.dtype)
    h, s = (np.asarray(a, float) for a in _products(problem, z))
    exact = float(_trace(problem))
    traces = np.sum(np.asarray(z, float) * h, axis=1)
    sums = np.stack([np.sum(h * s, axis=1), np.sum(h * h, axis=1), np.sum(s * s, axis=1)])
    left_out = _cosine((sums.sum(axis=1, keepdims=True) - sums) / (probes - 1))
    trace, error = traces.mean(), traces.std(ddof=1) / np.sqrt(probes)
    variables = {
        "noise_trace": exact,
        "hessian_trace": trace,
        "hessian_trace_error": error,
        "noise_ratio": exact / trace,
        "noise_ratio_error": abs(exact / trace) * abs(error / trace),
        "alignment": float(_cosine(sums.mean(axis=1))),
        "alignment_error": np.sqrt((probes - 1) * np.mean((left_out - left_out.mean()) ** 2)),
    }
    record = {"engine": "alignment", "probes": probes, "seed": seed}
    return dataset({name: ((), value) for name, value in variables.items()}, {}, record)


def noise_along(problem: LossOnData, directions: Float[np.ndarray, "mode weight"]) -> Float[np.ndarray, " mode"]:
    """q_l^T Sigma q_l of unit vectors q_l, exact."""
    rows = jnp.asarray(directions, problem.weights.dtype)
    return np.asarray(_along(problem, rows), float)


def _cosine(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[0] / np.sqrt(sums[1] * sums[2]))
