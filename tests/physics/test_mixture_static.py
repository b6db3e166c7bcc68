"""The end of ridge-regularised descent is the static estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import quenched as qd
from tests.physics.mixture_tools import THEORY, assert_agree, assert_values, mixture

VALUES = {
    0.1: {"overlap": 1.66689, "norm": 3.91006, "susceptibility": 5.52979, "loss": 0.17520, "test_error": 0.11660},
    1.0: {"overlap": 0.56281, "norm": 0.40144, "susceptibility": 0.83509, "loss": 0.42046, "test_error": 0.10452},
}


def estimator(ridge):
    return qd.theory.static.ridge_estimator(mixture(alpha=2.0, noise=0.5), ridge)


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_published_values(ridge):
    """Five decimals are known."""
    found = estimator(ridge)
    for name, value in VALUES[ridge].items():
        assert float(found[name]) == pytest.approx(value, abs=1.01e-5), name


@pytest.mark.slow
@pytest.mark.parametrize(("ridge", "steps", "tolerance"), [(0.1, 120, 0.01), (1.0, 120, 0.005)])
def test_long_descent_reaches_it(ridge, steps, tolerance):
    """Physical time 60 at lr = 0.5; the response summed over time is the susceptibility."""
    model, rule, static = mixture(alpha=2.0, noise=0.5), qd.dynamics.Gradient(0.5, ridge=ridge), estimator(ridge)
    theory = qd.solve(model, rule, steps=steps, **{**THEORY, "two_time": True})
    names = ("overlap", "norm", "loss", "test_error")
    expected = {name: float(static[name]) for name in names}
    assert_values(theory, {steps: expected}, dict.fromkeys(names, (tolerance, 0.0)))
    total = 0.5 * theory["response"][:, -1].sum("t_prime")
    assert float(total.mean("disorder")) == pytest.approx(float(static["susceptibility"]), rel=tolerance)
    experiment = qd.simulate(model, rule, steps=steps, size=1000, disorder=16, seed=7, times=[steps])
    assert_agree(theory, experiment, names)


@pytest.mark.slow
def test_logistic_regression_of_another_library():
    """Eight data sets at d = 1500."""
    ridge, alpha, d, values = 0.1, 2.0, 1500, []
    rng = np.random.default_rng(11)
    for _ in range(8):
        y = rng.choice([-1.0, 1.0], round(alpha * d))
        x = (y[:, None] / d**0.5 + 0.5**0.5 * rng.standard_normal((len(y), d))) / d**0.5
        w = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-8, max_iter=1000).fit(x, y).coef_[0]
        values.append([w.mean(), np.mean(w**2), np.logaddexp(0, -y * (x @ w)).mean()])
    error = np.std(values, 0, ddof=1) / 8**0.5
    static = estimator(ridge)
    z = (np.mean(values, 0) - [float(static[name]) for name in ("overlap", "norm", "loss")]) / error
    print(np.mean(values, 0), error, z)
    assert np.all(np.abs(z) < 4), z
