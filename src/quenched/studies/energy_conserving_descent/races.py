"""Races on landscapes: loss against iterations, steps down a narrow valley, and which of two basins is entered first."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from quenched.dynamics import BBI, AbstractDynamics, ECDSep, EnergyConserving, Gradient, Momentum, Optax
from quenched.dynamics.simulate import simulate
from quenched.models.on_landscape import Noiseless, OnLandscape
from quenched.models.rough_landscapes import AbstractTestLandscape, TwoBasins, Valley, Zakharov
from quenched.records.labels import Label, register_label
from quenched.theory import microcanonical

register_label("steps_needed", Label("steps to a part in 10^8 of the loss", "k"))
register_label("entry_ratio", Label("runs that enter the wide basin first, over the narrow one", "n_1/n_2"))

STILL: dict[str, Any] = {"fixed_interval": None, "progress_interval": None}
TARGET = 1e-8

RULES: dict[str, AbstractDynamics] = {
    "BBI": EnergyConserving(0.0026037, BBI(offset=1e-22, **STILL)),
    "ECDSep": EnergyConserving(9594.6, ECDSep(offset=1e-22, extra_energy=5.0512, exponent=1.01156, noise=0.081555)),
    "momentum": Gradient(1.80266e-6, transform=Momentum(0.99722658)),
    "Adam": Gradient(1.2543, transform=Optax("adam", {"b1": 0.7268, "b2": 0.9055})),
}
"""Optimisers on Zakharov's function with the papers' tuned parameters (ECDSep and Adam are tuned for 250 steps)."""


def zakharov(steps: int) -> xr.Dataset:
    """``best_loss`` (rule, step) on Zakharov's function of ten parameters from (1, ..., 1), float64."""
    model = _on(Zakharov())
    times = sorted({0, *np.unique(np.geomspace(1, steps, 120).astype(int)).tolist()})
    best = []
    for rule in RULES.values():
        run = simulate(model, rule, steps=steps, times=range(steps + 1), dtype="float64", on_divergence="record", chunk=4096)
        best.append(np.minimum.accumulate(run["loss"].values[0, 0])[times])
    coords = {"rule": list(RULES), "step": ("step", times, {"long_name": "evaluations of the gradient", "symbol": "k"})}
    return xr.Dataset({"best_loss": (("rule", "step"), np.array(best))}, coords)


def valleys(curvatures: tuple[float, ...], rates: tuple[float, ...], steps: int) -> xr.Dataset:
    """``steps_needed`` (rule, curvature) in (x^2 + m^2 y^2)/2: BBI at the best of ``rates``, momentum at its optimum."""
    found = np.full((2, len(curvatures)), np.nan)
    for i, m in enumerate(curvatures):
        model = _on(Valley(flat=m))
        needed = [_needed(model, EnergyConserving(rate, BBI(**STILL)), steps) for rate in rates]
        found[0, i] = np.nanmin(needed) if np.isfinite(needed).any() else np.nan
        # the heavy ball's best for curvatures 1 and m^2
        optimum = Gradient((2 / (1 + m)) ** 2, transform=Momentum(((1 - m) / (1 + m)) ** 2))
        found[1, i] = _needed(model, optimum, steps)
    coords = {
        "rule": ["BBI", "momentum, optimal"],
        "curvature": ("curvature", list(curvatures), {"long_name": "width of the valley: ratio of frequencies", "symbol": "m/M"}),
    }
    return xr.Dataset({"steps_needed": (("rule", "curvature"), found)}, coords)


def _on(landscape: AbstractTestLandscape) -> OnLandscape:
    """The landscape as a model, from its customary start."""
    return OnLandscape(landscape=landscape, noise=Noiseless(), start=landscape.start, count=1)


def _needed(model: OnLandscape, rule: AbstractDynamics, steps: int) -> float:
    run = simulate(model, rule, steps=steps, times=range(steps + 1), dtype="float64", on_divergence="record", chunk=4096)
    loss = run["loss"].values[0, 0]
    below = np.flatnonzero(loss < TARGET * loss[0])
    return float(below[0]) if below.size else float("nan")


def basins_expected() -> xr.Dataset:
    """``entry_ratio`` of perfect mixing: sqrt(det H2/det H1)."""
    first, second = TwoBasins().minimal_hessians
    return xr.Dataset({"entry_ratio": ((), microcanonical.occupation_ratio(first, second))})


def basins(runs: int, steps: int, seed: int) -> xr.Dataset:
    """``entry_ratio`` of first entries from (10, -10), runs that differ by their bounces; and how many runs entered none."""
    landscape = TwoBasins()
    rule = EnergyConserving(0.01, BBI(offset=1e-3, fixed_interval=20, progress_interval=750))
    run = simulate(
        _on(landscape),
        rule,
        steps=steps,
        replicas=runs,
        seed=seed,
        times=range(0, steps + 1, 5),
        dtype="float64",
        chunk=4096,
    )
    position = run["position"].values[0]
    # a basin is entered where the quadratic form of its Hessian is below 1
    away = position[None] - landscape.minima[:, None, None]
    inside = np.einsum("krti,kij,krtj->krt", away, landscape.minimal_hessians, away) < 1
    never = position.shape[1]
    first = np.where(inside.any(axis=-1), inside.argmax(axis=-1), never)
    wide, narrow = (first[0] < first[1]).sum(), (first[1] < first[0]).sum()
    ratio = wide / narrow if narrow else np.nan
    error = ratio * np.sqrt(1 / max(wide, 1) + 1 / max(narrow, 1))
    variables = {"entry_ratio": float(ratio), "entry_ratio_error": float(error), "undecided": float(runs - wide - narrow)}
    return xr.Dataset({name: ((), value) for name, value in variables.items()})
