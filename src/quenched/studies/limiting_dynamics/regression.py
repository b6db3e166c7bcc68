"""Momentum SGD on linear regression, where the theory is exact: displacements, epochs, relaxation, power spectra."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from quenched.data import AbstractData
from quenched.dynamics import GaussianBatch, Gradient, Minibatch, Momentum, Reshuffled
from quenched.dynamics.simulate import simulate
from quenched.dynamics.wander import wander
from quenched.models.on_data import OnData
from quenched.observables.diffusion import anomalous_exponent, measured_spectrum
from quenched.observables.displacement import Projections, log_spaced
from quenched.observables.loss_on_data import LossOnData
from quenched.records.datasets import dataset
from quenched.records.description import canonical_json, describe
from quenched.theory import ornstein_uhlenbeck as ou
from quenched.theory.ornstein_uhlenbeck.relaxation import relaxation

if TYPE_CHECKING:
    from quenched.studies.limiting_dynamics.study import LimitingDynamics

FORMULAS = {"additive noise": "discrete", "continuous time": "continuous", "published sum": "paper_sum"}
EXACT, MINIBATCH, GAUSSIAN = "noise of the batches", "minibatches", "Gaussian noise"
WITH, WITHOUT = "with replacement", "without replacement"
LARGEST = 200
"""Weights up to which the second moment with state-dependent noise is solved for."""
SIGMAS = 20.0
"""Stationary standard deviations from the minimum where relaxation starts."""
SEEN = 2.0
"""Relaxation times that a mode has to have passed to be shown."""
SEGMENT = 512


class Regression(NamedTuple):
    """The data, the loss with its weights at the minimum, and the modes: curvature and noise (mode,), directions (mode, d)."""

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    minimum: Float[np.ndarray, " d"]
    curvature: Float[np.ndarray, " mode"]
    noise: Float[np.ndarray, " mode"]
    directions: Float[np.ndarray, "mode d"]

    def at(self, weights: Any) -> LossOnData:
        """The loss |X theta - Y|^2/(2N), in float32, with a start."""
        return LossOnData(square, jnp.asarray(weights, jnp.float32), tuple(np.asarray(a, np.float32) for a in (self.x, self.y)))


def square(weights: Array, batch: tuple[Array, Array]) -> Array:
    """Half the mean squared residual."""
    x, y = batch
    return 0.5 * jnp.mean((x @ weights - y) ** 2)


def regression(study: LimitingDynamics) -> Regression:
    """The study's regression problem and its modes, in order of falling curvature."""
    return _regression(canonical_json(describe(study.data)), study.ridge, _Hidden(study.data))


class _Hidden:
    """Data that are equal to any other: their description is the key."""

    def __init__(self, data: AbstractData):
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=2)
def _regression(key: str, ridge: float, hidden: _Hidden) -> Regression:
    arrays = hidden.data.load()
    x, y = arrays.x.reshape(len(arrays.x), -1).astype(float), arrays.y.astype(float)
    found = ou.quadratic(x, y, ridge)
    rho, q = np.linalg.eigh(found.hessian)
    order = np.argsort(rho)[::-1]
    # rounding makes tiny curvatures of degenerate data negative
    rho, q = np.maximum(rho[order], 0.0), q[:, order]
    noise = np.einsum("im,ij,jm->m", q, found.noise, q)
    return Regression(x, y, found.minimum, rho, noise, q.T)


def linear(study: LimitingDynamics, lr: float) -> ou.MomentumSGD:
    """The study's rule with a learning rate, as its theory sees it."""
    return ou.MomentumSGD(lr, study.momentum, study.ridge, study.batch_size)


def rule(study: LimitingDynamics, lr: float, batches: Any) -> Gradient:
    """The same rule for the simulation."""
    return Gradient(lr=lr, batches=batches, ridge=study.ridge, transform=Momentum(decay=study.momentum))


def window(study: LimitingDynamics) -> tuple[float, float]:
    """Steps over which exponents are fitted: the last two decades."""
    return max(study.steps / 100, 1.0), float(study.steps)


# ---- displacement in the stationary state


def predicted(study: LimitingDynamics) -> xr.Dataset:
    """``global_displacement`` (rule, step), ``local_displacement``, ``exponent`` (rule,) by every formula, stationary start."""
    one, how = regression(study), linear(study, study.lr)
    times = np.array(log_spaced(study.steps))
    rows = {
        name: ou.displacement(how, one.curvature, one.noise, times, formula=formula)["global_displacement"].values
        for name, formula in FORMULAS.items()
    }
    if one.x.shape[1] <= LARGEST:
        rows[EXACT] = _exact(one, how, times)
    # log_spaced begins with step 1
    strides = [row[0] for row in rows.values()]
    powers = [float(anomalous_exponent(times, row, window(study))["exponent"]) for row in rows.values()]
    variables = {
        "global_displacement": (("rule", "step"), np.array(list(rows.values()))),
        "local_displacement": (("rule",), np.array(strides)),
        "exponent": (("rule",), np.array(powers)),
    }
    return dataset(variables, {"rule": list(rows), "step": times}, {"engine": "limiting-dynamics", "part": "stationary"})


def _exact(one: Regression, how: ou.MomentumSGD, times: np.ndarray) -> np.ndarray:
    """2 tr[(I - M^k) C]_tt: the mean step is M whatever the noise, the covariance C that of the state-dependent noise."""
    c = ou.exact_covariance(how, one.x, one.y)
    m = ou.step_matrices(how, one.x.T @ one.x / len(one.x))[0]
    d = len(one.curvature)
    return np.array([2 * np.trace((c - np.linalg.matrix_power(m, int(k)) @ c)[:d, :d]) for k in times])


def measured(study: LimitingDynamics, seed: int, progress: bool) -> xr.Dataset:
    """The same of simulations with minibatches and with Gaussian noise of the same covariance."""
    one = regression(study)
    ways = {MINIBATCH: Minibatch(study.batch_size), GAUSSIAN: GaussianBatch(study.batch_size)}
    runs = [
        wander(
            one.at(one.minimum),
            rule(study, study.lr, batches),
            study.steps,
            study.chains,
            window(study),
            settle=study.settle,
            seed=seed,
            progress=progress,
        )
        for batches in ways.values()
    ]
    return xr.concat(runs, "rule", combine_attrs="override").assign_coords(rule=list(ways))


# ---- epochs


def epochs(study: LimitingDynamics) -> xr.Dataset:
    """``global_displacement`` (rule, step) from the minimum with an empty buffer, batches with and without replacement."""
    one, how = regression(study), linear(study, study.small_lr)
    times = np.array(log_spaced(study.steps))
    rows = [
        ou.displacement(how, one.curvature, one.noise, times, start="fixed", samples=samples)["global_displacement"].values
        for samples in (None, len(one.x))
    ]
    variables = {"global_displacement": (("rule", "step"), np.array(rows))}
    return dataset(variables, {"rule": [WITH, WITHOUT], "step": times}, {"engine": "limiting-dynamics", "part": "epochs"})


def measured_epochs(study: LimitingDynamics, seed: int, progress: bool) -> xr.Dataset:
    """The same of simulations."""
    one = regression(study)
    ways = (Minibatch(study.batch_size), Reshuffled(study.batch_size))
    how = [rule(study, study.small_lr, batches) for batches in ways]
    runs = [wander(one.at(one.minimum), r, study.steps, study.chains, window(study), seed=seed, progress=progress) for r in how]
    return xr.concat(runs, "rule", combine_attrs="override").assign_coords(rule=[WITH, WITHOUT])


# ---- one mode


def modes(study: LimitingDynamics) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The first mode, and the last that relaxes while one looks, or the second: places, names, and starts of relaxation."""
    one, how = regression(study), linear(study, study.small_lr)
    relaxed = how.lr * one.curvature * study.relaxation_steps / (1 - how.momentum) > SEEN
    slow = min(max(int(relaxed.sum()) - 1, 1), len(relaxed) - 1)
    # one weight has one mode
    places, names = np.unique([0, slow]), ["largest curvature", "small curvature"]
    state = ou.stationary_state(how, one.curvature[places], one.noise[places])
    return places, names[: len(places)], SIGMAS * np.sqrt(state["position_variance"].values)


def relaxed(study: LimitingDynamics) -> xr.Dataset:
    """Mean position and step of both modes, and the spread: dims (rule, step)."""
    one, how = regression(study), linear(study, study.small_lr)
    places, names, start = modes(study)
    steps = np.arange(1, study.relaxation_steps + 1)
    found = relaxation(how, one.curvature[places], one.noise[places], steps, start)
    return found.rename(mode="rule").assign_coords(rule=names)


def measured_relaxed(study: LimitingDynamics, seed: int, progress: bool) -> xr.Dataset:
    """Mean over the chains, its error, the spread over the chains, and the path of a single one, from the same start."""
    one = regression(study)
    places, names, start = modes(study)
    q = one.directions[places]
    position, velocity = _projected(study, one, one.minimum + start @ q, q, study.relaxation_steps, seed, progress)
    position = position + start
    variables: dict[str, Any] = {}
    for name, rows in (("mode_position", position), ("mode_step", velocity)):
        variables[name] = (("rule", "step"), rows.mean(axis=0).T)
        variables[f"{name}_error"] = (("rule", "step"), rows.std(axis=0, ddof=1).T / np.sqrt(len(rows)))
        variables[f"{name}_path"] = (("rule", "step"), rows[0].T)
    variables["mode_spread"] = (("rule", "step"), position.std(axis=0, ddof=1).T)
    coords = {"rule": names, "step": np.arange(1, study.relaxation_steps + 1)}
    return dataset(variables, coords, {"engine": "limiting-dynamics", "part": "relaxation", "seed": seed})


def spectra(study: LimitingDynamics, frequency: Any) -> xr.Dataset:
    """``power_spectrum`` (rule, frequency) of both modes."""
    one, how = regression(study), linear(study, study.small_lr)
    places, names, _ = modes(study)
    found = ou.power_spectrum(how, one.curvature[places], one.noise[places], frequency)
    return found.rename(mode="rule").assign_coords(rule=names)


def measured_spectra(study: LimitingDynamics, seed: int, progress: bool) -> xr.Dataset:
    """The same by Welch's method, after settling."""
    one = regression(study)
    places, names, _ = modes(study)
    length = study.settle + 8 * SEGMENT
    position = _projected(study, one, one.minimum, one.directions[places], length, seed, progress)[0]
    each = [measured_spectrum(position[:, study.settle :, i], SEGMENT) for i in range(len(places))]
    return xr.concat(each, "rule", combine_attrs="override").assign_coords(rule=names)


def _projected(
    study: LimitingDynamics, one: Regression, start: np.ndarray, directions: np.ndarray, steps: int, seed: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the start and steps along directions: (chain, step, direction) each."""
    run = simulate(
        OnData(one.at(start)),
        rule(study, study.small_lr, Minibatch(study.batch_size)),
        steps=steps,
        times=[0],
        replicas=study.chains,
        accumulators=[Projections(directions, steps)],
        seed=seed,
        progress=progress,
    )
    return tuple(run[n].values[0].astype(float) for n in ("projection", "projected_velocity"))


def frequencies() -> np.ndarray:
    """Where theory draws spectra: the range of Welch's method."""
    return np.geomspace(2 * np.pi / SEGMENT, np.pi, 200)
