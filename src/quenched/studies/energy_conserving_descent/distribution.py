"""The law of the loss in a quadratic bowl: microcanonical theory, and the time average of runs."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from quenched.dynamics import BBI, ECDSep, EnergyConserving
from quenched.dynamics.simulate import simulate
from quenched.models.landscape import FromPotential
from quenched.models.on_landscape import Noiseless, OnLandscape
from quenched.records.labels import Label, register_label
from quenched.theory import microcanonical

register_label("potential_quantile", Label("quantile of the loss above its expected minimum", "V"))

PROBABILITIES = (0.1, 0.25, 0.5, 0.75, 0.9)
KINDS = ("bbi", "sep")

_GROUPS = 8
_BOUNCE_EVERY = 100
_EVERY = 10


def bowl(theta: Float[Array, " d"]) -> Float[Array, ""]:
    """|theta|^2/2."""
    return 0.5 * jnp.sum(theta**2)


def expected(dimensions: tuple[int, ...], minimum: float, energy: float) -> xr.Dataset:
    """``potential_quantile`` (kind, dimension, probability) of V = minimum + |theta|^2/2.

    Both kinds have the largest potential ``energy``: E = ``energy`` for BBI, E_c = ``energy`` for ECDSep with eta = s = 1.
    """
    values = [
        [microcanonical.quadratic(microcanonical.shell(n, energy, kind), minimum).quantile(PROBABILITIES) for n in dimensions]
        for kind in KINDS
    ]
    return _dataset(np.array(values), None, dimensions)


def measured(
    dimensions: tuple[int, ...], minimum: float, energy: float, step: float, steps: int, replicas: int, seed: int
) -> xr.Dataset:
    """The same of runs from rest at V = ``energy``, their first half left out; the error is that over eight sets of runs."""
    values = np.empty((len(KINDS), len(dimensions), len(PROBABILITIES)))
    errors = np.empty_like(values)
    for k, kind in enumerate(KINDS):
        for i, n in enumerate(dimensions):
            potential = runs(kind, n, minimum, energy, step, steps, replicas, seed)
            sets = [np.quantile(part, PROBABILITIES) for part in np.array_split(potential, _GROUPS)]
            values[k, i] = np.quantile(potential, PROBABILITIES)
            errors[k, i] = np.std(sets, axis=0, ddof=1) / _GROUPS**0.5
    return _dataset(values, errors, dimensions)


def runs(
    kind: str, dimension: int, minimum: float, energy: float, step: float, steps: int, replicas: int, seed: int
) -> Float[np.ndarray, "replica t"]:
    """V of every run in its second half."""
    # BBI begins at rest at the top; ECDSep with a kinetic energy, at half the largest potential
    height = energy if kind == "bbi" else energy / 2
    radius = float(np.sqrt(2 * (height - minimum)))
    start = (radius, *[0.0] * (dimension - 1))
    model = OnLandscape(landscape=FromPotential(bowl, dimension), noise=Noiseless(), start=start, count=1)
    optimiser: Any = (
        BBI(offset=-minimum, fixed_interval=_BOUNCE_EVERY, fixed_bounces=steps, progress_interval=None)
        if kind == "bbi"
        else ECDSep(offset=-minimum, extra_energy=1.0, noise=0.025)
    )
    ds = simulate(
        model,
        EnergyConserving(step, optimiser),
        steps=steps,
        replicas=replicas,
        seed=seed,
        times=range(steps // 2, steps + 1, _EVERY),
        dtype="float64",
        chunk=4096,
    )
    return ds["potential_energy"].values[0]


def _dataset(values: np.ndarray, errors: np.ndarray | None, dimensions: tuple[int, ...]) -> xr.Dataset:
    dims = ("kind", "dimension", "probability")
    variables = {"potential_quantile": (dims, values)}
    if errors is not None:
        variables["potential_quantile_error"] = (dims, errors)
    coords = {
        "kind": list(KINDS),
        "dimension": ("dimension", list(dimensions), {"long_name": "dimension", "symbol": "n", "units": "1"}),
        "probability": list(PROBABILITIES),
    }
    return xr.Dataset(variables, coords)
