"""What the study says, as checks. The paper has figures only; numbers marked ``measured`` are this project's own."""

from __future__ import annotations

import numpy as np

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.dynamics.simulate import simulate
from quenched.losses import Door, Logistic, Square
from quenched.models import GaussianMixture, GaussianStart
from quenched.numerics.quadrature import marchenko_pastur
from quenched.observables.statistics import compare, mean_error
from quenched.studies.claims import Claim, Measured, Reference
from quenched.theory import solve

SOURCE = "arXiv:2006.06098"
OWN = "this project, docs/measured.md"

TWO = GaussianMixture(alpha=2.0, noise=0.5)
THREE = GaussianMixture(
    alpha=3.0, noise=0.05, clusters=3, loss=Logistic(output=Door(width=0.7)), start=GaussianStart(overlap=0.2, variance=0.1)
)
PERSISTENT = Gradient(lr=0.2, ridge=0.1, batches=Persistent(fraction=0.3, time=1.0))


def response_of_a_linear_system() -> Measured:
    """Largest deviation of R(t+1, 0) from the moments of the Marchenko-Pastur law."""
    worst = 0.0
    for alpha in (2.0, 0.5):
        model = GaussianMixture(alpha=alpha, noise=0.5, loss=Square())
        response = solve(model, Gradient(lr=0.2, ridge=0.1), steps=60, method="oracle")["response"].values[1:, 0]
        x, weight = marchenko_pastur(alpha, 0.5, 400)
        exact = [weight @ (1 - 0.2 * (0.1 + x)) ** t for t in range(60)]
        worst = max(worst, float(np.abs(response - exact).max()))
    return Measured(worst)


def first_step() -> Measured:
    """Test error after one step of full-batch descent from w = 0, by the sampled theory."""
    model = GaussianMixture(alpha=2.0, noise=0.5, start=GaussianStart(variance=0.0))
    theory = solve(model, Gradient(lr=0.2), steps=1, method="sampled", two_time=False, times=[1], samples=8192, runs=4)
    mean, error = mean_error(theory["test_error"].isel(t=0))
    return Measured(mean, error)


def agreement() -> Measured:
    """z-scores of m, C, loss and test error, theory against simulation, at steps 5, 20 and 60 of persistent SGD."""
    times = [5, 20, 60]
    theory = solve(TWO, PERSISTENT, steps=60, two_time=False, times=times, samples=8192, runs=8, seed=1)
    experiment = simulate(TWO, PERSISTENT, steps=60, size=500, disorder=24, times=times, seed=2)
    names = ("overlap", "norm", "loss", "test_error")
    return Measured(np.concatenate([compare(theory, experiment, name)["z"].values for name in names]))


def end_of_training() -> Measured:
    """m and C of full-batch descent with ridge 1 at time 20, by the sampled theory."""
    theory = solve(TWO, Gradient(lr=0.2, ridge=1.0), steps=100, two_time=False, times=[100], samples=8192, runs=8, seed=3)
    values, errors = zip(*(mean_error(theory[name].isel(t=0)) for name in ("overlap", "norm")), strict=True)
    return Measured([float(v) for v in values], [float(e) for e in errors])


def early_stopping() -> Measured:
    """Test error at steps 20 and 60 of full-batch descent without ridge, by the sampled theory."""
    theory = solve(TWO, Gradient(lr=0.2), steps=60, two_time=False, times=[20, 60], samples=8192, runs=8, seed=4)
    mean, error = mean_error(theory["test_error"])
    return Measured(mean.values, error.values)


def vanilla_limit() -> Measured:
    """z-scores between persistent SGD with b tau = lr and vanilla SGD, m and C at three steps of the theory."""
    times = [5, 20, 60]
    rules = (Gradient(lr=0.2, batches=Persistent(fraction=0.4, time=0.5)), Gradient(lr=0.2, batches=IID(fraction=0.4)))
    one, other = (
        solve(TWO, rule, steps=60, two_time=False, times=times, samples=8192, runs=8, seed=5 + i) for i, rule in enumerate(rules)
    )
    return Measured(np.concatenate([compare(one, other, name)["z"].values for name in ("overlap", "norm")]))


def three_clusters() -> Measured:
    """m, C, loss and test error of GD on three clusters at step 30."""
    theory = solve(THREE, Gradient(lr=0.2, batches=Full()), steps=30, two_time=False, times=[30], samples=16384, runs=8, seed=7)
    values, errors = zip(*(mean_error(theory[n].isel(t=0)) for n in ("overlap", "norm", "loss", "test_error")), strict=True)
    return Measured([float(v) for v in values], [float(e) for e in errors])


CLAIMS = (
    Claim(
        "square loss: the response of the DMFT is the moment of the Marchenko-Pastur law, alpha = 2 and 0.5 (largest deviation)",
        response_of_a_linear_system,
        Reference(0.0, "exact", OWN, absolute=1e-12),
    ),
    Claim(
        "one step of gradient descent from w = 0 is Bayes-optimal",
        first_step,
        Reference(0.102952, "exact", SOURCE, absolute=1e-3),
    ),
    Claim(
        "persistent SGD: theory goes through the simulation, m, C, loss and test error (z-scores)",
        agreement,
        Reference(0.0, "theory", SOURCE, absolute=4.0),
    ),
    Claim(
        "gradient descent ends at the ridge estimator of the static replica theory (m and C, ridge 1)",
        end_of_training,
        Reference([0.56281, 0.40144], "theory", "arXiv:2002.11544, solved by theory.static", relative=0.005),
    ),
    Claim(
        "small start, no ridge: the test error dips towards the Bayes error 0.1030, then rises (steps 20 and 60)",
        early_stopping,
        Reference([0.1090, 0.1171], "measured", OWN, absolute=6e-4),
    ),
    Claim(
        "persistent SGD with b tau = lr is vanilla SGD (z-scores of m and C)",
        vanilla_limit,
        Reference(0.0, "exact", SOURCE, absolute=4.0),
    ),
    Claim(
        "three clusters, GD at step 30: m, C, loss, test error",
        three_clusters,
        Reference([2.0717, 4.6629, 0.29919, 0.07469], "measured", OWN, sigmas=4.0, error=[8e-4, 3e-3, 9e-5, 6e-5]),
        cost="slow",
    ),
)
