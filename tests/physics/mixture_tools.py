"""What the physics tests of the Gaussian models share: reference values of the theory, and its comparison with simulation."""

from __future__ import annotations

import numpy as np

import quenched as qd

BAR = 4.0
"""Standard errors, of theory and simulation together, beyond which they disagree."""

SIMULATION = {"size": 1000, "disorder": 16, "replicas": 2, "seed": 1}
"""Sixteen data sets: with 15 degrees of freedom |z| > 4 has probability 1e-3. A bias c/d stays below the error s/sqrt(16 d) for
c < 8 s."""

THEORY = {"samples": 8192, "runs": 8, "two_time": False}


def mixture(loss=None, **fields):
    start = qd.models.GaussianStart(fields.pop("overlap", 0.0), fields.pop("variance", 0.1))
    return qd.models.GaussianMixture(loss=loss or qd.losses.Logistic(), start=start, **fields)


def at(theory, step, variable):
    """Mean over runs and its error, at a step."""
    mean, error = qd.observables.mean_error(theory[variable].swap_dims(t="step").sel(step=step))
    return float(mean), float(error)


def assert_values(theory, expected, tolerance):
    """``expected``: step -> {variable: value}; ``tolerance``: variable -> (relative, absolute), without the Monte-Carlo error."""
    lines, bad = [], []
    for step, values in expected.items():
        for variable, value in values.items():
            found, error = at(theory, step, variable)
            relative, absolute = tolerance[variable]
            lines.append(f"step {step} {variable}: expected {value}, found {found:.5g} +- {error:.1g}")
            if abs(found - value) > relative * abs(value) + absolute:
                bad.append(lines[-1])
    print("\n".join(lines))
    assert not bad, bad


def assert_agree(theory, experiment, variables, bar=BAR):
    """Theory and simulation within ``bar`` standard errors at every common step from 1 on."""
    bad = []
    for variable in variables:
        z = qd.observables.compare(theory, experiment, variable)
        z = z.isel(
            {dim: np.flatnonzero(z[label] > 0) for dim, label in (("t", "step"), ("t_prime", "step_prime")) if dim in z.dims}
        )
        # single precision: a value that is fixed, such as an error rate of 1/2, has no statistical error but a rounding error
        values = (z.difference / np.hypot(z.error, 2.0**-22 * np.abs(z.theory))).values
        for label, part in (("theory", z.theory), ("simulation", z.experiment), ("error", z.error), ("z", values)):
            print(f"{variable}, {label}: {np.array2string(np.asarray(part), precision=3, max_line_width=200)}")
        assert np.all(np.isfinite(values)), f"{variable}: an error is unknown"
        if np.abs(values).max() >= bar:
            bad.append(f"{variable}: {np.abs(values).max():.1f} standard errors")
    assert not bad, bad


def assert_above_bayes(ds, alpha, noise, sigmas=3.0):
    """No learning rule beats the Bayes-optimal error."""
    mean, error = qd.observables.mean_error(ds["test_error"])
    error = np.nan_to_num(error.values) if "disorder" in ds["test_error"].dims else 0.0
    slack = 1e-6 if ds["test_error"].dtype == np.float32 else 1e-12
    margin = mean.values - qd.theory.static.bayes_error(alpha, noise)
    assert np.all(margin > -sigmas * error - slack), float(margin.min())
