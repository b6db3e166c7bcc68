"""A trained network that goes on: displacement and its exponent against learning rate, batch size and momentum."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.flatten_util import ravel_pytree

from quenched.dynamics import Gradient, Minibatch, Momentum
from quenched.dynamics.schedules import PiecewiseConstant
from quenched.dynamics.simulate import simulate
from quenched.dynamics.wander import wander
from quenched.models import AbstractLossModel
from quenched.numerics.checks import ParameterError
from quenched.observables import curvature, gradient_noise
from quenched.observables.diffusion import anomalous_exponent
from quenched.observables.displacement import log_spaced
from quenched.observables.loss_on_data import LossOnData
from quenched.records.datasets import dataset
from quenched.records.description import canonical_json, describe
from quenched.theory import ornstein_uhlenbeck as ou
from quenched.theory.ornstein_uhlenbeck import measured as reduced

if TYPE_CHECKING:
    from quenched.studies.limiting_dynamics.study import LimitingDynamics

SWEEPS = {"learning_rate": "network_lrs", "batch_size": "network_sizes", "momentum": "network_momenta"}
"""What is varied, and the field with its values."""
PROBES, DEPTH, MODES = 16, 60, 20


class Trained(NamedTuple):
    """The loss with its weights where training ended, and what theory has to know: noise and slope by Lanczos."""

    problem: LossOnData
    noise: reduced.Quadrature
    slope: reduced.Quadrature


def trained(study: LimitingDynamics, seed: int) -> Trained:
    """The network after training: ``network_training`` steps, the learning rate divided by 10 after half, by 100 at the end."""
    key = canonical_json(describe(study.network))
    size, momentum, steps = study.network_size, study.network_momentum, study.network_training
    return _trained(key, study.network_training_lr, momentum, size, steps, study.network_ridge, seed, _Hidden(study.network))


class _Hidden:
    """A model that is equal to any other: its description is the key."""

    def __init__(self, model: AbstractLossModel | None):
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hidden)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=2)
def _trained(key: str, lr: float, momentum: float, size: int, steps: int, ridge: float, seed: int, hidden: _Hidden) -> Trained:
    model: Any = hidden.model
    schedule = PiecewiseConstant((lr, lr / 10, lr / 100), (steps // 2, 3 * steps // 4))
    rule = Gradient(lr=schedule, batches=Minibatch(size), ridge=ridge, transform=Momentum(decay=momentum))
    run = simulate(model, rule, steps=steps, times=[steps], seed=seed, final={"weights": _weights})
    ready = model.prepare()
    data = ready.sample(jax.random.key(0), ready.sizes(None), np.float32)
    if not hasattr(data, "x") or not hasattr(data, "y"):
        raise ParameterError(f"network must have samples (x, y), got {type(model).__name__}")
    back = ravel_pytree(ready.initial(jax.random.key(0), data))[1]

    def mean_loss(w: Any, batch: Any) -> Any:
        return jnp.mean(ready.losses(back(w), type(data)(batch[0], batch[1], None, None)))

    problem = LossOnData(mean_loss, jnp.asarray(run["weights"].values.reshape(-1)), (data.x, data.y))
    trace = float(eqx.filter_jit(LossOnData.noise_trace)(problem))
    noise = reduced.noise_quadrature(problem, trace, PROBES, DEPTH, seed)
    whole = problem.value_and_gradient()[1] + ridge * problem.weights
    return Trained(problem, noise, reduced.quadrature(problem, whole, DEPTH))


def _weights(model: Any, weights: Any, disorder: Any) -> Any:
    return ravel_pytree(weights)[0]


def rules(study: LimitingDynamics, dim: str) -> dict[float, tuple[float, float, int]]:
    """(lr, momentum, batch size) by the value of what is varied."""
    found = {}
    for value in getattr(study, SWEEPS[dim]):
        base = {"learning_rate": study.network_lr, "momentum": study.network_momentum, "batch_size": study.network_size}
        base[dim] = value
        found[float(value)] = (base["learning_rate"], base["momentum"], int(base["batch_size"]))
    return found


def window(study: LimitingDynamics) -> tuple[float, float]:
    """The last two decades."""
    return max(study.network_steps / 100, 1.0), float(study.network_steps)


def predicted(study: LimitingDynamics, dim: str, seed: int) -> xr.Dataset:
    """``exponent`` and ``local_displacement`` over what is varied, from the measured Hessian and noise."""
    one = trained(study, seed)
    times = np.array(log_spaced(study.network_steps))
    powers, strides = [], []
    for lr, momentum, size in rules(study, dim).values():
        how = ou.MomentumSGD(lr, momentum, study.network_ridge, size)
        moved = reduced.displacement(how, one.noise, one.slope, times)
        powers.append(float(anomalous_exponent(times, moved.drift + moved.spread, window(study))["exponent"]))
        strides.append(reduced.step_length(how, one.noise, one.slope, study.network_steps // 10, study.network_steps)[0])
    variables = {"exponent": ((dim,), np.array(powers)), "local_displacement": ((dim,), np.array(strides))}
    return dataset(variables, {dim: list(rules(study, dim))}, {"engine": "limiting-dynamics", "part": "network", "seed": seed})


def measured(study: LimitingDynamics, dim: str, seed: int, progress: bool) -> xr.Dataset:
    """The same of simulations, with errors over the chains."""
    problem = trained(study, seed).problem
    runs = []
    for lr, momentum, size in rules(study, dim).values():
        rule = Gradient(lr=lr, batches=Minibatch(size), ridge=study.network_ridge, transform=Momentum(decay=momentum))
        run = wander(problem, rule, study.network_steps, study.network_chains, window(study), seed=seed, progress=progress)
        runs.append(run[["exponent", "exponent_error", "local_displacement", "local_displacement_error"]])
    found = xr.concat(runs, dim, combine_attrs="override")
    return found.assign_coords({dim: list(rules(study, dim))})


def anatomy(study: LimitingDynamics, seed: int) -> xr.Dataset:
    """Spectral density of the Hessian; ``eigenvalue`` and ``noise_along`` of the top modes; ``noise_ratio`` tr Sigma/tr H."""
    problem = trained(study, seed).problem
    density = curvature.spectral_density(problem, probes=PROBES, depth=DEPTH, seed=seed)
    top = curvature.top_eigenpairs(problem, min(MODES, problem.size), seed=seed, tolerance=1e-2)
    found = gradient_noise.alignment(problem, probes=32, seed=seed)
    variables: dict[str, Any] = {
        "spectral_density": (("eigenvalue_grid",), density["spectral_density"].values),
        "eigenvalue": (("mode",), top["eigenvalue"].values),
        "noise_along": (("mode",), gradient_noise.noise_along(problem, top["eigenvector"].values)),
        "negative_mass": ((), curvature.negative_mass(density)),
        **{name: ((), float(found[name])) for name in ("noise_ratio", "alignment")},
    }
    coords = {"eigenvalue_grid": density["eigenvalue_grid"].values}
    return dataset(variables, coords, {"engine": "limiting-dynamics", "part": "anatomy", "seed": seed})
