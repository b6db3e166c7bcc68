"""Long runs of SGD on two clusters: compressed against dense memory, theory against structured data (docs/measured.md)."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from quenched.observables.fdt import effective_temperature
from quenched.observables.statistics import mean_error
from quenched.studies.effective_noise import measure

PERSISTENT = qd.dynamics.Persistent(fraction=0.3, time=1.0)
RULE = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=PERSISTENT)


def clusters(loss: qd.losses.AbstractLoss | None = None, alpha: float = 2.0) -> qd.models.GaussianMixture:
    start = qd.models.GaussianStart(variance=0.1)
    return qd.models.GaussianMixture(alpha=alpha, noise=0.5, loss=loss or qd.losses.Logistic(), start=start)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "moments", "overlap", "norm"),
    [(32, 8, 9e-7, 9e-6), (32, 4, 1e-5, 6e-5), (8, 6, 1e-6, 9e-6), (8, 4, 1e-5, 6e-5), (8, 2, 2e-5, 2e-4)],
)
def test_compression_changes_persistent_sgd_by_less_than_any_other_error(
    window: int, moments: int, overlap: float, norm: float
) -> None:
    """Same random numbers, N = 4096, T = 600; three times the differences that a program of its own had, in double precision."""
    options = {"steps": 600, "samples": 4096, "runs": 1, "two_time": False, "seed": 3, "method": "sampled"}
    dense = qd.solve(clusters(), RULE, memory="dense", **options)
    short = qd.solve(clusters(), RULE, memory="compressed", window=window, moments=moments, **options)
    # float32 adds rounding errors of 1e-6
    assert np.abs(dense.overlap - short.overlap).max() < 3 * overlap + 2e-6
    assert np.abs(dense.norm - short.norm).max() < 3 * norm + 4e-6


@pytest.mark.slow
@pytest.mark.parametrize(("window", "moments"), [(32, 8), (8, 4)])
def test_compression_filters_the_probe_noise_of_a_response_that_does_not_decay(window: int, moments: int) -> None:
    """Square loss, over-parametrised, no ridge: what changes is probe noise, ten times below the error of a run."""
    options = {"steps": 600, "samples": 4096, "runs": 1, "two_time": False, "seed": 3, "method": "sampled"}
    model = clusters(qd.losses.Square(), alpha=0.5)
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(fraction=0.3))
    dense = qd.solve(model, rule, memory="dense", **options)
    short = qd.solve(model, rule, memory="compressed", window=window, moments=moments, **options)
    assert np.abs(dense.overlap - short.overlap).max() < 3 * 2e-4
    assert np.abs(dense.norm - short.norm).max() < 3 * 2e-3


@pytest.mark.slow
def test_stationary_averages_of_twenty_thousand_steps() -> None:
    """Persistent SGD: m = 1.010 +- 0.003, C = 1.352 +- 0.008 over steps 10^4 to 2 10^4, by theory and by structured data."""
    times = range(10_000, 20_001, 20)
    theory = qd.solve(clusters(), RULE, steps=20_000, times=times, two_time=False, samples=8192, runs=1, seed=4)
    found = qd.simulate(
        clusters(), RULE, steps=20_000, times=times, size=8192, disorder=4, ensemble="structured", dtype="float32", seed=5
    )
    for name, value, error in (("overlap", 1.010, 0.003), ("norm", 1.352, 0.008)):
        assert float(theory[name].mean()) == pytest.approx(value, abs=3 * error)
        mean, spread = mean_error(found[name].mean(("t", "replica")))
        # structured runs of this size fluctuate with the data: the theory must lie within their errors and its own
        assert abs(float(mean) - float(theory[name].mean())) < 5 * np.hypot(float(spread), error)


@pytest.mark.slow
def test_the_temperature_of_long_lags() -> None:
    """T_eff of persistent SGD up to lag 10^4: theory against perturbed structured runs, at every lag."""
    model = qd.models.GaussianMixture(alpha=4.0, noise=1.0)
    rule = qd.dynamics.Gradient(lr=0.2, ridge=0.02, batches=qd.dynamics.Persistent(fraction=0.3, time=2.0))
    solver = {"samples": 16384, "runs": 4, "probes": 4, "horizon": 400}
    theory = effective_temperature(measure.theory_long(model, rule, 10_000, **solver, seed=6))
    run = measure.long_perturbation(model, rule, 10_000, size=8192, disorder=8).run(7)
    found = effective_temperature(measure.fluctuations(run))
    error = np.hypot(theory["temperature_error"], found["temperature_error"])
    z = ((found["temperature"] - theory["temperature"]) / error).values
    assert theory["lag"].values[-1] == 10_000
    # errors of four and of eight runs: Student's t with ten degrees of freedom has its 4 sigma at 6
    assert np.abs(z).max() < 6
    assert np.median(np.abs(z)) < 1.5
    # and they are small: a per cent or so
    assert (error / theory["temperature"]).max() < 0.03
