"""Two dimensions with a current: the modified loss, its level lines, and what circulates along them; spectra of power laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array
from scipy.linalg import expm

from quenched.observables.diffusion import anomalous_exponent, circulation
from quenched.observables.displacement import log_spaced
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory import ornstein_uhlenbeck as ou

if TYPE_CHECKING:
    from quenched.studies.limiting_dynamics.study import LimitingDynamics

DRIFT = np.array([[2.5, -1.5], [-1.5, 2.5]])
DIFFUSION = np.diag([4.0, 1.0])
COMPONENTS = ("11", "12", "22")
TIME_STEP = 1e-3
LENGTH = 2000

register_label("stationary_covariance", Label("stationary covariance", "B", dims=("component",)))
register_label("entropy_production", Label("entropy production per unit of time", r"\sigma"))
register_label("circulation_rate", Label("circulation per unit of time", "2Q_{12}"))
register_label("predicted_power", Label("exponent in the over-damped window", r"1/\alpha"))


def process() -> ou.OrnsteinUhlenbeck:
    """The process of figure 3 of the paper, about its mean."""
    return ou.OrnsteinUhlenbeck(DRIFT, DIFFUSION)


def predicted() -> xr.Dataset:
    """Covariance B (component,), circulation 2 Q_12 and entropy production per unit of time."""
    one = process()
    b = one.covariance
    variables = {
        "stationary_covariance": (("component",), np.array([b[0, 0], b[0, 1], b[1, 1]])),
        "circulation_rate": ((), float(one.circulation[0, 1])),
        "entropy_production": ((), one.entropy_production()),
    }
    return dataset(variables, {"component": list(COMPONENTS)}, {"engine": "limiting-dynamics", "part": "plane"})


def measured(chains: int, seed: int) -> xr.Dataset:
    """The same from ``chains`` stationary paths, by exact steps of 1/1000; ``path_1``, ``path_2`` (time,) are one of them."""
    one = process()
    m = expm(-one.drift * TIME_STEP)
    root = np.linalg.cholesky(one.covariance - m @ one.covariance @ m.T)
    first = np.linalg.cholesky(one.covariance)
    with jax.enable_x64(True):
        path = np.asarray(_paths(jnp.asarray(m), jnp.asarray(root), jnp.asarray(first), jax.random.key(seed), chains))
    swept = circulation(path[..., 0], path[..., 1])
    end = path[:, -1]
    products = np.stack([end[:, 0] ** 2, end[:, 0] * end[:, 1], end[:, 1] ** 2])
    variables = {
        "stationary_covariance": (("component",), products.mean(axis=1)),
        "stationary_covariance_error": (("component",), products.std(axis=1, ddof=1) / np.sqrt(chains)),
        "circulation_rate": ((), float(swept["circulation"]) / TIME_STEP),
        "circulation_rate_error": ((), float(swept["circulation_error"]) / TIME_STEP),
        "path_1": (("time",), path[0, :, 0]),
        "path_2": (("time",), path[0, :, 1]),
    }
    coords = {"component": list(COMPONENTS), "time": TIME_STEP * np.arange(1, LENGTH + 1)}
    return dataset(variables, coords, {"engine": "limiting-dynamics", "part": "plane", "seed": seed})


def _paths(m: Array, root: Array, first: Array, key: Array, chains: int) -> Array:
    start, keys = jax.random.normal(key, (chains, 2)) @ first.T, jax.random.split(jax.random.fold_in(key, 1), LENGTH)

    def step(x: Array, one: Array) -> tuple[Array, Array]:
        x = x @ m.T + jax.random.normal(one, x.shape, x.dtype) @ root.T
        return x, x

    return jnp.moveaxis(lax.scan(step, start, keys)[1], 0, 1)


def power_laws(study: LimitingDynamics) -> xr.Dataset:
    """Displacement (rule, step) of spectra rho_l = l^-alpha with noise of the same shape; fitted ``exponent`` and 1/alpha."""
    how = ou.MomentumSGD(lr=0.1, momentum=0.9, batch_size=32)
    times = np.array(log_spaced(100_000))
    rows, fitted = [], []
    for alpha in study.spectra:
        rho = np.arange(1, study.spectrum_size + 1) ** -alpha
        rows.append(ou.displacement(how, rho, rho, times)["global_displacement"].values)
        fitted.append(float(anomalous_exponent(times, rows[-1], (1e3, 1e5))["exponent"]))
    closed = [ou.power_law_displacement(how, alpha, times) for alpha in study.spectra]
    variables = {
        "global_displacement": (("rule", "step"), np.array(rows)),
        "closed_form": (("rule", "step"), np.array(closed)),
        "exponent": (("rule",), np.array(fitted)),
        "predicted_power": (("rule",), 1 / np.array(study.spectra)),
    }
    names = [rf"$\alpha={alpha:g}$" for alpha in study.spectra]
    return dataset(variables, {"rule": names, "step": times}, {"engine": "limiting-dynamics", "part": "power laws"})
