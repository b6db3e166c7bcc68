"""The same question to a network: sharpness after training, against the batch size, for three ways to compare batch sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from quenched.dynamics import Gradient, Minibatch
from quenched.observables.sharpness import hessian_trace, sharpness
from quenched.observables.statistics import mean_error
from quenched.records.datasets import dataset
from quenched.studies.simulations import Simulation

if TYPE_CHECKING:
    from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck

RATE, RATIO, TIME = "equal η, equal epochs", "equal η/S, equal epochs", "equal η, equal steps"
"""Equal epochs at equal eta/S are equal times eta k as well; the third separates less time from less noise."""
MEASURED = ("sharpness", "hessian_trace", "test_error", "loss")


def simulations(study: SgdFokkerPlanck) -> dict[tuple[str, str, str], Simulation]:
    """One training for every batch size and every way to compare; the replicas have independent starts and batches."""
    found: dict[tuple[str, str, str], Simulation] = {}
    if study.network is None:
        return found
    model = study.network
    samples = model.prepare().sizes(None)[0]
    first = max(round(study.network_epochs * samples / min(study.network_sizes)), 1)
    for way in (RATE, RATIO, TIME):
        for size in study.network_sizes:
            lr = study.network_lr * (size / study.network_reference if way == RATIO else 1.0)
            steps = first if way == TIME else max(round(study.network_epochs * samples / size), 1)
            arguments = {
                "steps": steps,
                "times": [steps],
                "replicas": study.network_replicas,
                "final": {"sharpness": sharpness, "hessian_trace": hessian_trace},
            }
            found["network", way, str(size)] = Simulation(model, Gradient(lr=lr, batches=Minibatch(size)), arguments)
    return found


def measured(study: SgdFokkerPlanck, answers: Mapping[tuple[str, str, str], xr.Dataset]) -> xr.Dataset:
    """``MEASURED`` at the end of training with errors over replicas: dims (rule, batch_size)."""
    variables: dict[str, list[list[float]]] = {}
    for way in (RATE, RATIO, TIME):
        for name in MEASURED:
            row = [_end(answers["network", way, str(size)], name) for size in study.network_sizes]
            for key, values in ((name, [r[0] for r in row]), (f"{name}_error", [r[1] for r in row])):
                variables.setdefault(key, []).append(values)
    known = {name: (("rule", "batch_size"), np.array(rows)) for name, rows in variables.items() if np.all(np.isfinite(rows))}
    coords = {"rule": [RATE, RATIO, TIME], "batch_size": np.asarray(study.network_sizes, float)}
    return dataset(known, coords, {"engine": "sgd-fokker-planck"})


def _end(run: xr.Dataset, name: str) -> tuple[float, float]:
    if name not in run:
        return np.nan, np.nan
    values = run[name].isel(t=-1) if "t" in run[name].dims else run[name]
    mean, error = mean_error(values)
    return float(mean), float(error)
