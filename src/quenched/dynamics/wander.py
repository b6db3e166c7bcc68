"""How far SGD wanders on a user's loss: many runs from one place, of which only sums are kept."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import simulate
from quenched.models.on_data import OnData
from quenched.numerics import checks
from quenched.observables.accumulators import MeanSquareDisplacement
from quenched.observables.diffusion import anomalous_exponent
from quenched.observables.displacement import StepLength, log_spaced
from quenched.observables.loss_on_data import LossOnData
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

register_label("loss_change", Label("change of the training loss over the run", r"\ell_{\mathrm{end}}-\ell_0"))

BLOCKS = 10


def wander(
    problem: LossOnData,
    rule: Gradient,
    steps: int,
    chains: int,
    window: tuple[float | int, float | int],
    *,
    settle: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """``chains`` runs from the weights of ``problem``, with an empty momentum buffer, for ``settle`` and then ``steps`` steps.

    ``global_displacement`` (step,) is |theta_k - theta_0|^2 summed over the weights, from the end of settling; with ``settle``
    many relaxation times that is a stationary start. ``local_displacement`` is |theta_k - theta_{k-1}|^2, without settling and
    the first tenth; ``exponent`` that of the displacement over ``window``; ``loss_change`` over all. ``_error``: the standard
    error over the chains. Raises ``DivergenceError`` with the step.
    """
    times, total = np.array(log_spaced(steps)), settle + steps
    instruments = (MeanSquareDisplacement(starts=(settle,), lags=tuple(times.tolist())), StepLength(total, BLOCKS))
    with warnings.catch_warnings():
        # replicas start alike on purpose
        warnings.simplefilter("ignore", checks.QuenchedWarning)
        run = simulate(
            OnData(problem),
            rule,
            steps=total,
            replicas=chains,
            times=[0, total],
            accumulators=instruments,
            seed=seed,
            dtype=str(problem.weights.dtype),
            progress=progress,
        )
    moved = problem.size * run["mean_square_displacement"].values.reshape(chains, len(times)).astype(float)
    # the first block is the momentum's start
    first = min(max(1, -(-BLOCKS * settle // total)), BLOCKS - 1)
    strides = run["step_displacement"].values.reshape(chains, -1)[:, first:].mean(axis=1)
    extra = (run["loss"].isel(t=-1) - run["loss"].isel(t=0)).values.reshape(chains).astype(float)
    exponent = anomalous_exponent(times, moved, window)
    variables: dict[str, Any] = {
        **_with_error("global_displacement", moved, ("step",)),
        **_with_error("local_displacement", strides, ()),
        **_with_error("loss_change", extra, ()),
        **{str(name): (exponent[name].dims, exponent[name].values) for name in exponent.data_vars},
    }
    record = {"engine": "wander", "chains": chains, "seed": seed, "settle": settle}
    return dataset(variables, {"step": times}, record, window=exponent.attrs["window"])


def _with_error(name: str, rows: np.ndarray, dims: tuple[str, ...]) -> dict[str, Any]:
    """Mean and standard error over the chains, the first axis."""
    return {name: (dims, rows.mean(axis=0)), f"{name}_error": (dims, rows.std(axis=0, ddof=1) / np.sqrt(len(rows)))}
