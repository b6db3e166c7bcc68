"""What the study says, as checks."""

from __future__ import annotations

import functools

import numpy as np
import xarray as xr

from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.energy_conserving_descent import distribution, races

SOURCE = "arXiv:2201.11137"
OWN = "this project, docs/energy-conserving.md"


def quantiles() -> Measured:
    """Quantiles of V by theory, n = 2, 4, 10, V = 0.01 + |theta|^2/2, E = 2, BBI."""
    return Measured(distribution.expected((2, 4, 10), 0.01, 2.0)["potential_quantile"].sel(kind="bbi").values)


def law(kind: str) -> Measured:
    """Median and quartiles of runs over theory, n = 4, V from 0.1."""
    theory = distribution.expected((4,), 0.1, 2.0).sel(kind=kind, probability=[0.25, 0.5, 0.75])["potential_quantile"].values[0]
    potential = distribution.runs(kind, 4, 0.1, 2.0, 0.005, 40_000, 128, 1)
    sets = np.array([np.quantile(part, [0.25, 0.5, 0.75]) for part in np.array_split(potential, 8)])
    return Measured(np.quantile(potential, [0.25, 0.5, 0.75]) / theory, sets.std(0, ddof=1) / 8**0.5 / theory)


@functools.cache
def race() -> xr.Dataset:
    """Zakharov's function, 10,000 steps."""
    return races.zakharov(10_000)


def fast() -> Measured:
    """log10 of the best loss of BBI and of momentum after 10,000 steps."""
    best = race()["best_loss"].isel(step=-1)
    return Measured(np.log10(best.sel(rule=["BBI", "momentum"]).values))


def narrow() -> Measured:
    """Steps of BBI at its best step of time, m/M = 0.1, 0.03, 0.01."""
    found = races.valleys((0.1, 0.03, 0.01), (1.2, 1.25, 1.3, 1.35, 1.4, 1.45), 3000)
    return Measured(found["steps_needed"].sel(rule="BBI").values)


def wide_wins() -> Measured:
    """Ratio of first entries of 1000 runs."""
    found = races.basins(1000, 25_000, 1)
    return Measured(float(found["entry_ratio"]), float(found["entry_ratio_error"]))


def mixing() -> Measured:
    """sqrt(det H2/det H1)."""
    return Measured(float(races.basins_expected()["entry_ratio"]))


CLAIMS = (
    Claim(
        "microcanonical quantiles of V (10 to 90 per cent) in a bowl of 2, 4 and 10 dimensions, BBI",
        quantiles,
        Reference(
            [
                [0.0170, 0.0376, 0.1414, 0.5317, 1.177],
                [0.0277, 0.0596, 0.1728, 0.4758, 0.918],
                [0.0510, 0.0959, 0.2079, 0.4233, 0.6966],
            ],
            "exact",
            OWN,
            relative=2e-3,
        ),
    ),
    Claim(
        "Zakharov's function, 10,000 steps: log10 of the best loss, BBI and momentum",
        fast,
        Reference([-22.0, np.log10(4.4e-12)], "published", SOURCE, absolute=0.5),
    ),
    Claim(
        "two basins of equal depth: perfect mixing enters the wide one 1.926 times as often",
        mixing,
        Reference(1.926, "exact", SOURCE, absolute=2e-3),
    ),
    Claim(
        "BBI in four dimensions: quartiles and median of V over the microcanonical ones",
        functools.partial(law, "bbi"),
        Reference(1.0, "theory", SOURCE, relative=0.05, sigmas=3),
        cost="slow",
    ),
    Claim(
        "ECDSep in four dimensions: quartiles and median of V over the microcanonical ones",
        functools.partial(law, "sep"),
        Reference(1.0, "theory", "arXiv:2306.00352", relative=0.02, sigmas=3),
        cost="slow",
    ),
    Claim(
        "valleys of width 0.1, 0.03, 0.01: steps of BBI to a part in 10^8",
        narrow,
        Reference([58, 161, 382], "measured", OWN, relative=0.15),
        cost="slow",
    ),
    Claim(
        "two basins: the wide one is entered first 1.75 times as often",
        wide_wins,
        Reference(1.725, "published", SOURCE, absolute=0.15, sigmas=3),
        cost="slow",
    ),
)
