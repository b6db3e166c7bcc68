"""Quadratic hinge, over-parametrised: SGD comes to rest; its noise is seen in replica distances and in the boundary."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import quenched as qd
from quenched.dynamics.stops import LossBelow
from quenched.observables import gaps, mean_error

MODEL = qd.models.GaussianMixture(
    alpha=0.5, noise=0.5, loss=qd.losses.QuadraticHinge(margin=1.0), start=qd.models.GaussianStart(variance=1.0)
)
# batches -> (m, loss, distance at step 30), distance at step 119
ROWS = {
    qd.dynamics.Full(): ((0.586, 0.0055, 0.0), 0.0),
    qd.dynamics.Persistent(0.6, 1.0): ((0.516, 0.032, 0.033), 0.0072),
    qd.dynamics.Persistent(0.3, 1.0): ((0.411, 0.092, 0.039), 0.0085),
    qd.dynamics.Persistent(0.3, 4.0): ((0.369, 0.164, 0.18), 0.059),
    qd.dynamics.IID(0.3): ((0.417, 0.079, 0.0196), 0.0040),
}


def rule(batches: qd.dynamics.AbstractBatches, **options: object) -> qd.dynamics.Gradient:
    return qd.dynamics.Gradient(lr=0.2, batches=batches, **options)


@pytest.mark.slow
@pytest.mark.parametrize("batches", ROWS, ids=str)
def test_theory_simulation_and_known_numbers(batches: qd.dynamics.AbstractBatches) -> None:
    """Within 6 per cent of the known numbers (half a unit of their last digit added), theory and simulation within 4 errors."""
    early, late = ROWS[batches]
    # zero modes: with the probe estimate of the response the error of a small distance is ten times larger
    exact = {"samples": 2048, "runs": 12, "response": "exact"}
    theory = qd.solve(MODEL, rule(batches), steps=119, replicas=2, two_time=False, seed=1, **exact)
    run = qd.simulate(
        MODEL, rule(batches), steps=119, times=[30, 119], size=600, disorder=48, replicas=4, share_start=True, seed=2
    )
    points = [(name, 30, value) for name, value in zip(("overlap", "loss", "replica_distance"), early, strict=True)]
    for name, step, expected in [*points, ("replica_distance", 119, late)]:
        (left, a), (right, b) = (mean_error(ds[name].swap_dims(t="step").sel(step=step)) for ds in (theory, run))
        error = np.hypot(a.item(), b.item())
        print(batches, name, step, expected, left.item(), a.item(), right.item(), b.item())
        if expected == 0:
            assert right.item() == 0
            assert abs(left.item()) < 1e-12
            continue
        digit = 10.0 ** -len(str(expected).split(".")[1])
        assert left.item() == pytest.approx(expected, abs=0.06 * expected + digit / 2)
        assert error < 0.06 * expected
        assert abs(left.item() - right.item()) < 4 * error


# batches -> fraction at the margin, mean gap, replica distance at rest
REST = {
    qd.dynamics.Full(): (0.43, 1.031, 0.0),
    qd.dynamics.IID(0.3): (0.42, 1.032, 0.0027),
    qd.dynamics.Persistent(0.3, 4.0): (0.36, 1.041, 0.0195),
    qd.dynamics.Persistent(0.3, 16.0): (0.26, 1.055, 0.052),
}


@pytest.mark.slow
def test_more_noise_ends_with_a_wider_boundary() -> None:
    found = {}
    for batches, (fraction, gap, distance) in REST.items():
        run = qd.simulate(
            MODEL,
            rule(batches),
            steps=20000,
            times=[0, 20000],
            size=400,
            disorder=20,
            replicas=2,
            share_start=True,
            final={"gap": gaps.sample_gaps},
            stop=LossBelow(1e-9, every=10),
            seed=6,
        )
        assert np.all(run.stop_step > 0)
        boundary = gaps.statistics(run.gap, margin=1.0, norm=run.norm.isel(t=-1))
        apart, error = mean_error(run.replica_distance.isel(t=-1))
        found[batches] = boundary
        values = (boundary.at_margin.item(), boundary.mean_gap.item(), apart.item())
        print(
            batches,
            (fraction, gap, distance),
            values,
            boundary.at_margin_error.item(),
            boundary.mean_gap_error.item(),
            error.item(),
        )
        assert values[0] == pytest.approx(fraction, abs=0.02)
        # the known numbers come from 5 data sets, these from 20: their errors are those of 4 (1/5 + 1/20)
        assert abs(values[1] - gap) < 4 * np.sqrt(5.0) * boundary.mean_gap_error.item()
        assert abs(values[2] - distance) <= 4 * np.sqrt(5.0) * error.item()
    quiet, noisy, noisiest = (
        found[b] for b in (qd.dynamics.Full(), qd.dynamics.Persistent(0.3, 4.0), qd.dynamics.Persistent(0.3, 16.0))
    )
    assert quiet.at_margin > noisy.at_margin > noisiest.at_margin
    assert quiet.mean_gap < noisy.mean_gap < noisiest.mean_gap


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "solved"), [(1.5, True), (2.5, False)])
def test_random_labels_can_be_stored_up_to_two_per_weight(alpha: float, solved: bool) -> None:
    """Cover: on the sphere, with margin 0, alpha < 2 is satisfiable and alpha > 2 is not."""
    model = qd.models.RandomLabels(alpha=alpha, loss=qd.losses.QuadraticHinge(margin=0.0), start=qd.models.SphericalStart())
    descent = rule(qd.dynamics.Full(), constraint=qd.dynamics.Spherical())
    run = qd.simulate(
        model, descent, steps=6000, times=[0, 3000, 6000], size=400, disorder=3, stop=LossBelow(1e-9, every=20), seed=1
    )
    print(alpha, run.loss.values.squeeze(), run.stop_step.values.squeeze())
    assert np.all((run.stop_step > 0) == solved)
    np.testing.assert_allclose(run.norm, 1, atol=1e-5)
    if not solved:
        # at rest far above zero: nothing happens any more in the second half
        assert run.loss.isel(t=-1).min() > 1e-3
        np.testing.assert_allclose(run.loss.isel(t=-1), run.loss.isel(t=1), rtol=0.02)


@pytest.mark.slow
def test_a_solved_system_stands_still_and_has_no_temperature() -> None:
    probe = qd.dynamics.PerturbationResponse(rule(qd.dynamics.Full()), start=2000)
    at_rest = dataclasses.replace(MODEL, alpha=0.2)
    run = qd.simulate(at_rest, probe, steps=2010, times=range(2000, 2011), size=50, disorder=2)
    assert float(run.loss.max()) < 1e-6
    with pytest.raises(ValueError, match=r"over-parametrised.*replica"):
        qd.observables.effective_temperature(qd.observables.fluctuation_response(run))


@pytest.mark.slow
def test_stopped_replicas_keep_their_distance() -> None:
    run = qd.simulate(
        dataclasses.replace(MODEL, alpha=0.2),
        rule(qd.dynamics.IID(0.5)),
        steps=1200,
        size=60,
        disorder=2,
        replicas=2,
        share_start=True,
        stop=LossBelow(1e-6),
        seed=3,
    )
    last: xr.DataArray = run.stop_step.max("replica")
    assert np.all((last > 0) & (last < 1000))
    distance = run.replica_distance.swap_dims(t="step")
    assert np.all(distance.sel(step=1200) > 0)
    for sample in range(2):
        rest = distance.isel(disorder=sample).where(distance.step >= last.isel(disorder=sample).item(), drop=True)
        assert np.all(rest == rest.isel(step=-1))
