"""What curvature costs on the test set: shift, bias, cross term and covariance of a distribution of parameters.

To second order around the minimum theta_te of the test loss, with s = theta_te - theta_tr the shift of the minimum, b = E theta -
theta_tr the bias, P the covariance of the parameters and C the Hessian of the test loss,

    E U_te(theta) - U_te(theta_te) = s.C s/2 + b.C b/2 - b.C s + tr(C P)/2.

Each term is invariant under reparametrisation although curvature is not. Source: Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax

from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "shift": Label("shift-curvature", r"\frac12 s\cdot C s"),
    "bias": Label("bias-curvature", r"\frac12 b\cdot C b"),
    "cross": Label("cross term", r"-b\cdot C s"),
    "covariance": Label("parameter covariance", r"\frac12\mathrm{tr}\,CP"),
    "parts": Label("sum of the four parts", r"\Sigma"),
    "excess": Label("excess test loss", r"E[U_{\mathrm{te}}]-U_{\mathrm{te}}(\theta_{\mathrm{te}})"),
    "shift_length": Label("distance of the two minima", "|s|"),
    "bias_length": Label("distance of the mean from the training minimum", "|b|"),
    "parameter_variance": Label("variance of the parameters", r"\mathrm{tr}\,P"),
}.items():
    register_label(_name, _label)

PARTS = ("shift", "bias", "cross", "covariance")


def shift_curvature(
    test_loss: Callable[[Any], Any], test_minimum: Any, train_minimum: Any, samples: Any, *, tolerance: float = 1e-3
) -> xr.Dataset:
    """The four parts of the excess test loss of a distribution of parameters, and the measured excess.

    ``test_loss`` of parameters (d,), written with ``jax.numpy``; ``test_minimum`` and ``train_minimum`` (d,); ``samples`` (chain,
    sample, d) or (sample, d): any distribution, such as SGD chains, a window of weight averaging, a posterior. Hessian-vector
    products only: no d x d matrix. Scalars ``shift``, ``bias``, ``cross``, ``covariance``, ``parts``, ``excess``, the last five
    with ``_error``, standard errors over the chains (NaN for one), ``residual`` = excess - parts, which is of third order, and
    the lengths.

    Raises ``ParameterError`` for shapes that do not fit, samples that are not finite, or a ``test_minimum`` where the gradient
    exceeds ``tolerance``.
    """
    te, tr = (np.asarray(a) for a in (test_minimum, train_minimum))
    x = np.asarray(samples)
    x = x[None] if x.ndim == 2 else x
    if te.ndim != 1 or tr.shape != te.shape or x.ndim != 3 or x.shape[2] != len(te):
        raise checks.ParameterError(
            f"minima must be (d,) and samples (chain, sample, d), got {te.shape}, {tr.shape} and {np.shape(samples)}"
        )
    if not np.all(np.isfinite(x)):
        raise checks.ParameterError("samples must be finite, got an entry that is not: a chain has diverged")
    here = jnp.asarray(te)
    left = float(jnp.linalg.norm(jax.grad(test_loss)(here)))
    if not left <= tolerance:
        raise checks.ParameterError(f"test_minimum must have a gradient <= {tolerance:g}, got {left:.3g}")

    def curved(u: jax.Array) -> jax.Array:
        return jnp.dot(u, jax.jvp(jax.grad(test_loss), (here,), (u,))[1]) / 2

    mean = x.mean(axis=(0, 1))
    s, b = te - tr, mean - tr
    quadratic = jax.jit(curved)
    # the polar form of the cross term: C(b - s) = C b + C s - 2 cross
    shift, bias, both = (float(quadratic(jnp.asarray(u))) for u in (s, b, b - s))
    flat = jnp.asarray(x.reshape(-1, x.shape[2]))
    spread = np.asarray(jax.jit(lambda rows: lax.map(curved, rows, batch_size=64))(flat - jnp.asarray(mean)), float)
    whole = np.asarray(jax.jit(lambda rows: lax.map(test_loss, rows, batch_size=64))(flat), float) - float(test_loss(here))
    spread, whole = spread.reshape(x.shape[:2]), whole.reshape(x.shape[:2])
    chains = x.mean(axis=1)
    # per chain: its own mean in place of b, for the errors only
    each = np.array([[float(quadratic(jnp.asarray(m - tr))), float(quadratic(jnp.asarray(m - te)))] for m in chains])
    values = {"shift": shift, "bias": bias, "cross": both - shift - bias, "covariance": spread.mean(), "excess": whole.mean()}
    values["parts"] = sum(values[name] for name in PARTS)
    per_chain = {
        "bias": each[:, 0],
        "cross": each[:, 1] - shift - each[:, 0],
        "covariance": spread.mean(axis=1),
        "excess": whole.mean(axis=1),
        "parts": each[:, 1] + spread.mean(axis=1),
    }
    variables = {name: ((), value) for name, value in values.items()}
    for name, rows in per_chain.items():
        error = rows.std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
        variables[f"{name}_error"] = ((), error)
    variables |= {
        "residual": ((), values["excess"] - values["parts"]),
        "shift_length": ((), np.linalg.norm(s)),
        "bias_length": ((), np.linalg.norm(b)),
        "parameter_variance": ((), np.sum(x.reshape(-1, len(te)).var(axis=0))),
    }
    return dataset(variables, {}, {"engine": "shift_curvature"})
