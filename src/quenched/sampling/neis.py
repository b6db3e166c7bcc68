"""Normalisation constants and expectations by non-equilibrium importance sampling along a learned flow (arXiv:2206.09908)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from quenched.numerics import checks
from quenched.numerics.annealed_importance import log_mean
from quenched.numerics.pytrees import flat
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label, trailing_dims
from quenched.sampling.estimators import AbstractEstimator, FiniteTime, problem
from quenched.sampling.fields import AbstractField, GradientField, Parameters, check_divergence
from quenched.sampling.targets import AbstractTarget, LogDensity, base_log_constant
from quenched.sampling.train import FlowTraining, train
from quenched.sampling.weights import WeightStatistics, self_normalised, weight_statistics

register_label("step_change", Label("change of the logarithm of the mean weight at half the time step", r"\delta\ln\bar A"))
register_label("parameters", Label("trained parameters of the field", r"\theta", dims=("parameter",)))

Observables = Mapping[str, Callable[[Any], Any]]
# pairs of weights with the full and the halved step: the change of their mean is free of most of the sampling noise
_PAIRS = 1000
_TOLERATED_CHANGE = 1e-3
_TOLERATED_TAIL = 0.7


class Estimate(NamedTuple):
    """Log weights (n,) at fresh base points and their statistics; ln Z_1; means and errors of the observables, by name."""

    log_weights: Float[np.ndarray, " n"]
    statistics: WeightStatistics
    log_constant: float
    means: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    density_queries: int


def estimate(
    target: AbstractTarget,
    field: AbstractField,
    parameters: Parameters,
    estimator: AbstractEstimator | None = None,
    *,
    samples: int = 20_000,
    observables: Observables | None = None,
    seed: int = 0,
    chunk: int = 1000,
) -> Estimate:
    """Weights of ``samples`` (default 20,000) fresh base points, with a field as it is; in float64.

    ``observables`` are functions of one point (d,) to an array; their expectation under the target is a ratio of two sums, with
    its error by the delta method. ``chunk`` points are computed at a time, which changes no number. Raises ``ParameterError``
    for fewer than two samples and for weights that are NaN.
    """
    estimator = FiniteTime() if estimator is None else estimator
    checks.integer_at_least("samples", samples, 2)
    checks.integer_at_least("chunk", chunk, 1)
    checks.seed(seed)
    named = dict(observables or {})
    with jax.enable_x64(True):
        key = jax.random.key(seed)
        found = _weigh(field, parameters, target, estimator, _Named(named), key, samples, chunk)
        logs, means = np.asarray(found[0]), [np.asarray(values) for values in found[1]]
    statistics = weight_statistics(logs)
    pairs = {name: self_normalised(logs, values) for name, values in zip(named, means, strict=True)}
    return Estimate(
        logs,
        statistics,
        statistics.value + base_log_constant(target.dimension),
        {name: mean for name, (mean, _) in pairs.items()},
        {name: error for name, (_, error) in pairs.items()},
        samples * estimator.queries,
    )


def neis(
    log_density: AbstractTarget | Callable[[Any], Any],
    dimension: int | None = None,
    *,
    field: AbstractField | None = None,
    estimator: AbstractEstimator | None = None,
    training: FlowTraining | None = None,
    samples: int = 20_000,
    observables: Observables | None = None,
    seed: int = 0,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> xr.Dataset:
    """ln Z of exp(log_density(x)) on R^d: trains a flow from N(0, I), then estimates on ``samples`` fresh points.

    Args:
        log_density: a function of one point (d,), written with ``jax.numpy``, or a target, which knows its ``dimension``.
        field: what is trained (default ``GradientField()``); shift and scale the target so that N(0, I) is near it.
        estimator: the window of time and its steps (default ``FiniteTime()``).
        training: default ``FlowTraining()``; with modes far from the base, give ``assisted``.
        observables: functions of one point, by name; each gives variables ``name`` and ``name_error``.

    Variables: log_constant with log_constant_error (delta method), relative_variance, effective_sample_size, largest_share and
    tail_index of the weights, density_queries and gradient_queries (training included), step_change (of the mean of up to 1000
    weights when the step is halved), parameters (``parameter``); over ``step``, the history of the training.

    Warns (``QuenchedWarning``) if the tail index exceeds 0.7, and if the step change exceeds both 0.001 and the standard error.
    Raises ``ParameterError`` for a density that takes no point (d,), is NaN, or is finite at none of the base points tried, and
    for a field whose divergence is not that of its velocity; ``DivergenceError`` if training runs away.
    """
    target = as_target(log_density, dimension)
    field = GradientField() if field is None else field
    estimator = FiniteTime() if estimator is None else estimator
    training = FlowTraining() if training is None else training
    checks.integer_at_least("samples", samples, 2)
    checks.seed(seed)
    clash = sorted(set(observables or {}) & _RESERVED)
    if clash:
        raise checks.ParameterError(f"observables must not be named {clash[0]}")
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(seed), _CHECK)
        points = jax.random.normal(key, (64, target.dimension))
        check_density(target, points)
        check_divergence(field, field.initial(key, target.dimension), points[:4])
    trained = train(target, field, estimator, training, seed=seed, progress=progress)
    # a seed of its own: the points of the estimate have not been seen in training
    fresh = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
    found = estimate(target, field, trained.parameters, estimator, samples=samples, observables=observables, seed=fresh)
    change, more = _step_change(target, field, trained.parameters, estimator, found.log_weights[:_PAIRS], fresh)
    _warn(found.statistics, change)
    queries = (trained.density_queries + found.density_queries + more, trained.gradient_queries)
    with jax.enable_x64(True):
        leaves = np.asarray(flat(trained.parameters)) if jax.tree.leaves(trained.parameters) else np.zeros(0)
    variables: dict[str, tuple[Any, Any]] = {
        **weight_variables(found.statistics, found.log_constant, *queries),
        "step_change": ((), change),
        "parameters": ("parameter", leaves),
        **{name: ("step", values) for name, values in trained.history.items()},
    }
    for name, mean in found.means.items():
        dims = trailing_dims(name, mean.ndim)
        variables |= {name: (dims, mean), f"{name}_error": (dims, found.errors[name])}
    arguments = {
        "engine": "neis",
        "log_density": target,
        "field": field,
        "estimator": estimator,
        "training": training,
        "samples": samples,
        "observables": dict(observables or {}),
        "seed": seed,
    }
    return dataset(variables, {"step": np.arange(training.steps)}, arguments)


def weight_variables(
    statistics: WeightStatistics, log_constant: float, density_queries: int, gradient_queries: int
) -> dict[str, tuple[Any, Any]]:
    """Variables of a Dataset that any importance sampler has."""
    return {
        "log_constant": ((), log_constant),
        "log_constant_error": ((), statistics.error),
        "relative_variance": ((), statistics.relative_variance),
        "effective_sample_size": ((), statistics.effective_sample_size),
        "largest_share": ((), statistics.largest_share),
        "tail_index": ((), statistics.tail_index),
        "density_queries": ((), density_queries),
        "gradient_queries": ((), gradient_queries),
    }


_CHECK = 0x6E65_6973
_RESERVED = {
    *weight_variables(WeightStatistics(*(0.0,) * 6), 0.0, 0, 0),
    *("step", "step_change", "parameter", "parameters", "gradient_norm", "assisted_probability"),
    *("training_log_ratio", "training_relative_variance"),
}


def as_target(log_density: AbstractTarget | Callable[[Any], Any], dimension: int | None) -> AbstractTarget:
    """A target as it is, a function as ``LogDensity``; ``dimension`` is needed by the second and must agree with the first."""
    if not isinstance(log_density, AbstractTarget):
        if dimension is None:
            raise checks.ParameterError("dimension must be given with a function as log_density, got None")
        return LogDensity(function=log_density, dimension=dimension)
    if dimension is not None and dimension != log_density.dimension:
        raise checks.ParameterError(f"dimension must be that of the target, {log_density.dimension}, got {dimension!r}")
    return log_density


def check_density(target: AbstractTarget, points: Float[Array, "n d"]) -> None:
    """Refuse a density that is NaN or +infinity at one of the points, or finite at none."""
    values = np.asarray(jax.jit(jax.vmap(target.log_density))(points))
    if np.isnan(values).any() or np.isposinf(values).any() or not np.isfinite(values).any():
        shown = float(values[np.argmax(~np.isfinite(values))])
        raise checks.ParameterError(f"log_density must be finite, or -infinity outside a support, got {shown!r}")


class _Named(eqx.Module):
    """Observables as one static argument."""

    functions: dict[str, Callable[[Any], Any]] = eqx.field(static=True)

    def __call__(self, x: Float[Array, " d"]) -> tuple[Array, ...]:
        return tuple(jnp.asarray(function(x), x.dtype) for function in self.functions.values())


@eqx.filter_jit
def _weigh(
    field: AbstractField,
    parameters: Parameters,
    target: AbstractTarget,
    estimator: AbstractEstimator,
    observe: _Named,
    key: PRNGKeyArray,
    samples: int,
    chunk: int,
) -> tuple[Float[Array, " n"], PyTree]:
    given = problem(field, parameters, target)

    def one(index: Array) -> tuple[Array, PyTree]:
        x = jax.random.normal(jax.random.fold_in(key, index), (target.dimension,))
        return estimator.weigh(given, x, observe)

    return tuple(jax.lax.map(one, jnp.arange(samples), batch_size=min(chunk, samples)))


def _step_change(
    target: AbstractTarget,
    field: AbstractField,
    parameters: Parameters,
    estimator: AbstractEstimator,
    log_weights: Float[np.ndarray, " n"],
    seed: int,
) -> tuple[float, int]:
    """The change of ln of the mean of these weights, the first of the estimate with this seed, at half the step; its queries."""
    finer = estimate(target, field, parameters, estimator.refined(), samples=len(log_weights), seed=seed)
    with np.errstate(invalid="ignore"):
        change = finer.statistics.value - log_mean(log_weights).value
    return float(change), finer.density_queries


def _warn(statistics: WeightStatistics, change: float) -> None:
    if statistics.tail_index > _TOLERATED_TAIL:
        warnings.warn(
            f"the largest weights have Pareto index {statistics.tail_index:.2f} > {_TOLERATED_TAIL}: the error is not to be "
            "believed; train longer, with assisted training, or change the field",
            checks.QuenchedWarning,
            stacklevel=3,
        )
    if abs(change) > max(_TOLERATED_CHANGE, statistics.error):
        warnings.warn(
            f"halving the time step changes ln Z by {change:.1e}, more than its standard error: take more steps",
            checks.QuenchedWarning,
            stacklevel=3,
        )
