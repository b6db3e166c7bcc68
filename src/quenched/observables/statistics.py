"""Statistical errors, and the comparison of theory and experiment.

Independent samples are data sets (``disorder``) and replicas on one data set (``replica``); points of one trajectory are not
independent, so that an error is never taken over time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import ndtr, stdtrit

from quenched.numerics.checks import ParameterError

SAMPLE_DIMS = ("disorder", "replica")

Values = TypeVar("Values", xr.DataArray, xr.Dataset)
Estimator = Callable[..., Float[np.ndarray, "..."]]


def independent(values: Values) -> tuple[Values, str | None]:
    """A DataArray or Dataset reduced to at most one sample dimension, with its name: what an error may be computed over.

    More than one data set: replicas share the fluctuation of theirs, of order 1/sqrt(d), hence they are averaged and
    ``disorder`` is left. One data set: ``replica`` is left, and the error does not contain the fluctuation of the data. One
    sample of each, or no sample dimension at all: the name is None.
    """
    sizes = {dim: values.sizes[dim] for dim in SAMPLE_DIMS if dim in values.dims}
    if sizes.get("disorder", 1) > 1:
        return values.mean("replica", skipna=False) if "replica" in sizes else values, "disorder"
    values = values.mean("disorder", skipna=False) if "disorder" in sizes else values
    if sizes.get("replica", 1) > 1:
        return values, "replica"
    return values.mean("replica", skipna=False) if "replica" in sizes else values, None


def mean_error(values: Values) -> tuple[Values, Values]:
    """Mean and standard error of a DataArray or Dataset over its sample dimensions, in float64.

    With several data sets: mean over replicas first, error over ``disorder``. With one data set: error over ``replica``. With a
    single sample the error is NaN: it is not known. Times are never averaged. A NaN among the samples gives NaN.
    """
    values = values.astype(np.float64)
    rest, dim = independent(values)
    if dim is None:
        return rest, xr.full_like(rest, np.nan)
    return rest.mean(dim, skipna=False), rest.std(dim, ddof=1, skipna=False) / np.sqrt(rest.sizes[dim])


def compare(theory: xr.Dataset, experiment: xr.Dataset, variable: str) -> xr.Dataset:
    """Theory against experiment at their common steps: a Dataset with ``theory``, ``experiment``, their errors, and

        difference = experiment - theory,   error = sqrt(theory_error^2 + experiment_error^2),   z = difference/error.

    Errors are those of ``mean_error``; a theory without sample dimensions is deterministic and has error 0. ``z`` is NaN where
    an error is unknown, 0 where both the difference and the error vanish. z values at different times of one set of runs are
    correlated: their maximum is about one number, not a chi-square. Points are matched by the coordinate ``step`` (and
    ``step_prime``), or by ``t`` where there is none.

    Raises ``ParameterError`` if one of the two has no such variable, or if they have no common step.
    """
    for name, ds in (("theory", theory), ("experiment", experiment)):
        if variable not in ds:
            raise ParameterError(
                f"variable must be in both Datasets: {name} has no {variable!r}, it has {sorted(map(str, ds.data_vars))}"
            )
    right, right_error = mean_error(_by_step(experiment[variable]))
    left, left_error = mean_error(_by_step(theory[variable]))
    # the experiment's times label the result
    times = [name for name in ("t", "t_prime") if name in left.coords and name not in left.dims]
    left, left_error = left.drop_vars(times), left_error.drop_vars(times)
    if not any(dim in theory[variable].dims for dim in SAMPLE_DIMS):
        left_error = xr.zeros_like(left)
    left, left_error, right, right_error = xr.align(left, left_error, right, right_error, join="inner")
    if right.size == 0:
        raise ParameterError(f"theory and experiment must have common steps to compare {variable!r}")
    difference = right - left
    error = np.hypot(left_error, right_error)
    exact = (error == 0) & (difference == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = xr.where(exact, 0.0, difference / error)
    parts = {
        "theory": left,
        "experiment": right,
        "theory_error": left_error,
        "experiment_error": right_error,
        "difference": difference,
        "error": error,
        "z": z,
    }
    result = _by_time(xr.Dataset({name: part.drop_attrs() for name, part in parts.items()}, attrs={"variable": variable}))
    for name in ("theory", "experiment"):
        result[name].attrs.update(experiment[variable].attrs)
    return result


def jackknife(
    estimator: Estimator, *samples: Float[np.ndarray, "n ..."]
) -> tuple[Float[np.ndarray, ...], Float[np.ndarray, ...]]:
    """Value and delete-one jackknife error of a function of sample means, for example of a ratio of means.

    ``estimator`` takes one mean per array of ``samples`` (their first axis is the sample, of a common length n); it is
    evaluated at the full means and at the n means with one sample left out: error^2 = (n - 1)/n sum_i (value_i - mean of the
    values)^2. For a mean this is the usual standard error. n = 1 gives NaN.
    """
    value = estimator(*(s.mean(0) for s in samples))
    n = len(samples[0])
    if n == 1:
        return value, np.full_like(value, np.nan)
    left_out = np.stack([estimator(*(np.delete(s, i, axis=0).mean(0) for s in samples)) for i in range(n)])
    return value, np.sqrt((n - 1) * left_out.var(0))


def sigmas(n: int, level: float = 3.0) -> float:
    """How many standard errors, estimated from ``n`` samples, deviate as rarely as ``level`` Gaussian ones: Student's t with n
    - 1 degrees.

    For 3 sigma: 9.2 at n = 4, 4.1 at n = 10, 3.3 at n = 30. NaN for a single sample.
    """
    return float(-stdtrit(n - 1, ndtr(-level))) if n > 1 else float("nan")


def _by_step(values: xr.DataArray) -> xr.DataArray:
    """Index by step: physical times of two runs may differ in the last bit."""
    pairs = {"t": "step", "t_prime": "step_prime"}
    return values.swap_dims({dim: step for dim, step in pairs.items() if dim in values.dims and step in values.coords})


def _by_time(ds: xr.Dataset) -> xr.Dataset:
    pairs = {"step": "t", "step_prime": "t_prime"}
    return ds.swap_dims({step: dim for step, dim in pairs.items() if step in ds.dims and dim in ds.coords})
