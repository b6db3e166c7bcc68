"""The decomposition of the test loss for a distribution with several basins: each has minima of its own.

E U_te = sum_i w_i [U_te(theta_te,i) + shift_i + bias_i + cross_i + covariance_i] + third order
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.numerics import checks
from quenched.observables.loss_curvature import INDEFINITE, double_if
from quenched.observables.shift_curvature import as_vector, decomposition, each, located, moments_of, stacked
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "basin_mass": Label("probability of a basin", "P"),
    "lowest_test_loss": Label("test loss at its minimum", r"U_{\mathrm{te}}(\theta_{\mathrm{te}})"),
    "mean_test_loss": Label("mean test loss of the stationary state", r"E[U_{\mathrm{te}}]"),
    "predicted_test_loss": Label("mean test loss from the parts of all basins", r"\sum_i w_i(U_{\mathrm{te},i}+\Sigma_i)"),
}.items():
    register_label(_name, _label)


def shift_curvature_by_basin(
    test_loss: Callable[[Any], Any],
    test_minima: Sequence[Any],
    train_minima: Sequence[Any],
    samples: Any,
    basin: Callable[[Any], Any],
    *,
    temperature: float | int | None = None,
    indefinite: str = "refuse",
    tolerance: float = 1e-3,
) -> xr.Dataset:
    """``shift_curvature`` basin by basin: dims (basin,), in the order of the minima.

    ``basin``: parameters -> number of their basin, an integer from 0, written with ``jax.numpy``. Variables (basin,) are
    those of ``shift_curvature``, and ``basin_mass`` w_i, ``lowest_test_loss``; scalars ``mean_test_loss`` as measured and
    ``predicted_test_loss``, the sum above. Standard errors over the chains.

    Raises as ``shift_curvature``, and ``ParameterError`` for a basin that no sample visits or that has no minima.
    """
    checks.one_of("indefinite", indefinite, INDEFINITE)
    if temperature is not None:
        checks.positive("temperature", temperature)
    if len(test_minima) != len(train_minima) or not test_minima:
        raise checks.ParameterError(f"minima must be pairs, one for every basin, got {len(test_minima)}, {len(train_minima)}")
    pairs = [
        (as_vector("test_minimum", te), as_vector("train_minimum", tr)[0])
        for te, tr in zip(test_minima, train_minima, strict=True)
    ]
    x = stacked(samples, test_minima[0], train_minima[0])
    back = pairs[0][0][1]
    rows = []
    with double_if(*(te for (te, _), _ in pairs)):
        number = np.asarray(each(lambda theta: jnp.asarray(basin(back(theta))), x))
        seen = np.unique(number)
        if set(seen.tolist()) != set(range(len(pairs))):
            raise checks.ParameterError(f"basin must give every number below {len(pairs)} and no other, got {seen.tolist()}")
        test = np.asarray(each(lambda theta: test_loss(back(theta)), x), float)
        for i, ((te, _), tr) in enumerate(pairs):
            curvature = located(test_loss, back, te, indefinite, tolerance)
            inside = (number == i).astype(float)
            found = decomposition(curvature, tr, moments_of(curvature, tr, x, inside))
            error = inside.mean(axis=1).std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan
            found |= {"basin_mass": inside.mean(), "basin_mass_error": error}
            rows.append(found | {"lowest_test_loss": float(test_loss(back(jnp.asarray(te))))})
    variables: dict[str, Any] = {name: (("basin",), [row[name] for row in rows]) for name in rows[0]}
    per_chain = test.mean(axis=1)
    variables |= {
        "mean_test_loss": ((), test.mean()),
        "mean_test_loss_error": ((), per_chain.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else np.nan),
        "predicted_test_loss": ((), sum(row["basin_mass"] * (row["lowest_test_loss"] + row["parts"]) for row in rows)),
    }
    extra = {} if temperature is None else {"temperature": float(temperature)}
    return dataset(variables, {"basin": np.arange(len(rows))}, {"engine": "shift_curvature_by_basin"}, **extra)
