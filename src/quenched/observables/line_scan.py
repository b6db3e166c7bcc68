"""Train and test loss on the line through their minima: the picture of shift-curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax

from quenched.numerics import checks
from quenched.observables.loss_curvature import double_if
from quenched.observables.shift_curvature import as_vector
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "along_shift": Label("position on the line from the training minimum (0) to the test minimum (1)", "a"),
    "line_train_loss": Label("training loss on the line", r"U(\theta_{\mathrm{tr}}+as)"),
    "line_test_loss": Label("test loss on the line", r"U_{\mathrm{te}}(\theta_{\mathrm{tr}}+as)"),
    "parabola": Label("parabola fitted to the test loss", "parabola"),
    "fitted_shift": Label("shift-curvature of the fitted parabola", r"\frac12 s\cdot C s"),
    "exact_shift": Label("shift-curvature of the Hessian", r"\frac12 s\cdot C s"),
}.items():
    register_label(_name, _label)


def line_scan(
    train_loss: Callable[[Any], Any],
    test_loss: Callable[[Any], Any],
    train_minimum: Any,
    test_minimum: Any,
    *,
    low: float | int = -0.5,
    high: float | int = 1.5,
    points: int = 41,
) -> xr.Dataset:
    """U and U_te at theta_tr + a s, s = theta_te - theta_tr, for a in [``low``, ``high``]: dims (along_shift,).

    Variables ``line_train_loss``, ``line_test_loss`` and ``parabola``, fitted to the latter by least squares; scalars
    ``fitted_shift``, half of its second derivative, and ``exact_shift`` = s.C s/2 by the Hessian of U_te at theta_te: they
    agree where the line is a parabola. Raises ``ParameterError`` for minima that are unlike or equal, or bad limits.
    """
    checks.integer_at_least("points", points, 4)
    if not low < high:
        raise checks.ParameterError(f"low must be < high, got {low!r}, {high!r}")
    tr, back = as_vector("train_minimum", train_minimum)
    te, _ = as_vector("test_minimum", test_minimum)
    if tr.shape != te.shape or not np.any(tr != te):
        raise checks.ParameterError(f"minima must be alike and different, got shapes {tr.shape} and {te.shape}")
    a = np.linspace(float(low), float(high), points)
    with double_if(tr, te):
        start, s = jnp.asarray(tr), jnp.asarray(te - tr)

        def both(share: Any) -> Any:
            params = back(start + share * s)
            return jnp.stack([train_loss(params), test_loss(params)])

        train, test = np.asarray(jax.jit(lambda rows: lax.map(both, rows))(jnp.asarray(a, start.dtype)), float).T
        slope = jax.grad(lambda v: test_loss(back(v)))
        exact = float(jnp.dot(s, jax.jvp(slope, (jnp.asarray(te),), (s,))[1])) / 2
    fit = np.polynomial.Polynomial.fit(a, test, 2)
    variables = {
        "line_train_loss": (("along_shift",), train),
        "line_test_loss": (("along_shift",), test),
        "parabola": (("along_shift",), fit(a)),
        "fitted_shift": ((), fit.convert().coef[2]),
        "exact_shift": ((), exact),
    }
    return dataset(variables, {"along_shift": a}, {"engine": "line_scan"})
