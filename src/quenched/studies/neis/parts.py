"""Parts of the study: the trained flow on fresh points, and every method at the same budget of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.numerics.annealed_importance import log_mean
from quenched.numerics.pytrees import flat
from quenched.records.labels import LABELS, Label, register_label
from quenched.sampling import (
    AbstractEstimator,
    AbstractField,
    AbstractTarget,
    annealed_weights,
    base_log_constant,
    estimate,
    flow_lines,
    problem,
    train,
)
from quenched.sampling.targets import base_log_density
from quenched.sampling.train import Trained
from quenched.studies.summary import by_engine, number

if TYPE_CHECKING:
    from quenched.studies.neis.study import Neis

for _name, _label in {
    "log_ratio": Label("logarithm of the ratio of constants", r"\ln Z_1/Z_0"),
    "log_ratio_deviation": Label("estimate less exact value", r"\ln\hat Z/Z"),
    "ratio": Label("estimate over exact value", r"\hat Z/Z"),
    "vanilla_relative_variance": Label("relative variance without a flow", r"\mathrm{Var}\,w/(E\,w)^2"),
    "sample_share": Label("effective share of the samples", r"n_{eff}/n"),
    "gain": Label("variance without a flow over variance with it", "g"),
    "trained_parameters": Label("parameters of the field after each step", r"\theta", dims=("parameter",)),
}.items():
    register_label(_name, _label)

LINES = 60
"""Flow lines in a figure."""
VANILLA, FLOW = "no flow", "NEIS"


def labelled(variables: dict[str, Any], coords: dict[str, Any] | None = None) -> xr.Dataset:
    """A Dataset with the labels of the table; numbers and (dims, values)."""
    ds = xr.Dataset(variables, coords or {})
    for name in (*ds.data_vars, *ds.coords):
        if name in LABELS:
            ds[name].attrs.update(LABELS[str(name)].attributes())
    return ds


def log_ratio(target: AbstractTarget) -> float:
    """The exact ln Z_1/Z_0; NaN where it is not known."""
    constant = target.log_constant()
    return np.nan if constant is None else constant - base_log_constant(target.dimension)


def exact(target: AbstractTarget) -> xr.Dataset:
    """Constant and relative variance of importance sampling without a flow; NaN where not known."""
    variance = target.vanilla_relative_variance()
    return labelled({"log_ratio": log_ratio(target), "vanilla_relative_variance": np.nan if variance is None else variance})


def variance_about(log_weights: Float[np.ndarray, " n"], log_mean_weight: float) -> tuple[float, float]:
    """E w^2/(E w)^2 - 1 with the mean given, and its standard error.

    With the sample's own mean, n samples that all miss the large weights never show more than n.
    """
    squares = np.exp(2 * (log_weights - log_mean_weight))
    return float(squares.mean() - 1), float(squares.std(ddof=1) / np.sqrt(len(squares)))


def measured(study: Neis, seed: int) -> dict[str, xr.Dataset]:
    """One training: its history, tests on fresh points along it, flow lines before and after, and the estimate at the end."""
    trained = train(study.target, study.field, study.estimator, study.training, seed=seed)
    steps = np.arange(study.training.steps)
    with jax.enable_x64(True):
        path = np.stack([np.asarray(flat(p)) if jax.tree.leaves(p) else np.zeros(0) for p in trained.path])
    history = {name: ("step", values) for name, values in trained.history.items()}
    found = {
        "training": labelled(history, {"step": steps}),
        "path": labelled({"trained_parameters": (("after", "parameter"), path)}, {"after": np.arange(len(path))}),
        "estimate": final(study, trained, seed),
    }
    if study.curve_points:
        found["curve"] = curve(study, trained, seed)
        if study.target.dimension >= 2:
            found["lines"] = lines(study, trained, seed)
    return found


def final(study: Neis, trained: Trained, seed: int) -> xr.Dataset:
    """What the trained flow gives on ``samples`` points that it has not seen."""
    found = estimate(
        study.target, study.field, trained.parameters, study.estimator, samples=study.samples, seed=_another(seed, 1)
    )
    statistics = found.statistics
    variance, error = variance_about(found.log_weights, _known(study.target, statistics.value))
    return labelled(
        {
            "log_ratio": statistics.value,
            "log_ratio_error": statistics.error,
            "log_ratio_deviation": statistics.value - log_ratio(study.target),
            "relative_variance": variance,
            "relative_variance_error": error,
            "sample_share": statistics.effective_sample_size / study.samples,
            "largest_share": statistics.largest_share,
            "tail_index": statistics.tail_index,
            "density_queries": float(trained.density_queries + found.density_queries),
            "gradient_queries": float(trained.gradient_queries),
        }
    )


def curve(study: Neis, trained: Trained, seed: int) -> xr.Dataset:
    """Relative variance and ratio of constants at some steps (0: before training), always on the same fresh points.

    Half of them come from a broader Gaussian, and all are reweighted to N(0, I): the mean stays exact, and large weights of
    rare points, which a sample from N(0, I) would miss before training, are seen.
    """
    steps = np.unique(np.round(np.linspace(0, study.training.steps, study.curve_points)).astype(int))
    x, log_shares = broad_sample(study.target.dimension, study.curve_samples, study.curve_spread, _another(seed, 2))
    rows = []
    for step in steps:
        logs = weights_at(study.field, trained.path[step], study.target, study.estimator, x)
        mean = log_mean(logs + log_shares)
        second = log_mean(2 * logs + log_shares)
        moment = np.exp(second.value - 2 * _known(study.target, mean.value))
        rows.append([moment - 1, moment * second.error, mean.value, mean.error])
    names = ("relative_variance", "relative_variance_error", "log_ratio", "log_ratio_error")
    columns = np.array(rows).T
    return labelled({name: ("step", column) for name, column in zip(names, columns, strict=True)}, {"step": steps})


def broad_sample(dimension: int, samples: int, spread: float, seed: int) -> tuple[np.ndarray, Float[np.ndarray, " n"]]:
    """Points (n, d) of q = [N(0, I) + N(0, spread^2 I)]/2, and ln of N(0, I)/q <= ln 2 there."""
    x = np.random.default_rng(seed).standard_normal((samples, dimension))
    x[::2] *= spread
    squares = (x**2).sum(1)
    ratio = squares * (1 - spread**-2) / 2 - dimension * np.log(spread)
    return x, np.log(2) - np.logaddexp(0.0, ratio)


@eqx.filter_jit
def _weigh(field: AbstractField, parameters: Any, target: AbstractTarget, rule: AbstractEstimator, x: Any) -> Any:
    given = problem(field, parameters, target)
    return jax.lax.map(lambda y: rule.weigh(given, y).log_weight, x, batch_size=min(1000, len(x)))


def weights_at(
    field: AbstractField, parameters: Any, target: AbstractTarget, rule: AbstractEstimator, x: np.ndarray
) -> Float[np.ndarray, " n"]:
    """ln A at given points x (n, d), in float64."""
    with jax.enable_x64(True):
        return np.asarray(_weigh(field, parameters, target, rule, jnp.asarray(x)))


def lines(study: Neis, trained: Trained, seed: int) -> xr.Dataset:
    """Orbits over unit time, in the plane of the first two coordinates, of the same base points before and after training."""
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(_another(seed, 3)), (LINES, study.target.dimension))
        ends = [
            np.asarray(flow_lines(study.field, jax.tree.map(jnp.asarray, p), x, steps=study.estimator.steps))[..., :2]
            for p in (trained.path[0], trained.path[-1])
        ]
    return xr.Dataset({"orbit": (("when", "line", "time", "coordinate"), np.stack(ends))}, {"when": ["before", "after"]})


def vanilla_weights(target: AbstractTarget, samples: int, seed: int) -> Float[np.ndarray, " n"]:
    """Log weights of importance sampling from N(0, I) itself."""
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), max(1, samples // 100_000))

        @jax.jit
        def weigh(key: Any) -> Any:
            x = jax.random.normal(key, (-(-samples // len(keys)), target.dimension))
            return jax.vmap(lambda y: target.log_density(y) - base_log_density(y))(x)

        return np.concatenate([np.asarray(weigh(key)) for key in keys])


def compared(study: Neis, seed: int) -> xr.Dataset:
    """ln Z_1/Z_0, its deviation, relative variance and effective share by method and repeat, all at the same number of queries.

    A query is an evaluation of the target's density or of its gradient. The flow is trained anew in every repeat.
    """
    rows = []
    for repeat in range(study.repeats):
        own = [_another(seed, 4, repeat, k) for k in range(3 + len(study.rungs))]
        trained = train(study.target, study.field, study.estimator, study.training, seed=own[0])
        spent = trained.density_queries + trained.gradient_queries
        budget = round(spent / study.training_share)
        count = max(2, (budget - spent) // study.estimator.queries)
        flow = estimate(study.target, study.field, trained.parameters, study.estimator, samples=count, seed=own[1])
        logs = [vanilla_weights(study.target, budget, own[2])]
        for k, rungs in enumerate(study.rungs):
            particles = max(2, budget // (2 * (rungs + 1)))
            logs.append(
                annealed_weights(
                    study.target, rungs=rungs, particles=particles, step_size=study.step_size, seed=own[3 + k]
                ).log_weights
            )
        rows.append([_numbers(study.target, weights) for weights in (*logs, flow.log_weights)])
    names = ("log_ratio", "log_ratio_deviation", "relative_variance", "sample_share", "largest_share")
    values = np.array(rows).transpose(2, 1, 0)
    methods = [VANILLA, *(f"AIS, K = {rungs}" for rungs in study.rungs), FLOW]
    ds = labelled(
        {name: (("method", "repeat"), part) for name, part in zip(names, values, strict=True)},
        {"method": methods, "repeat": np.arange(study.repeats)},
    )
    return ds.assign_attrs(budget=budget)


def _numbers(target: AbstractTarget, log_weights: Float[np.ndarray, " n"]) -> list[float]:
    found = log_mean(log_weights)
    share = np.exp(log_weights.max() - found.value) / len(log_weights) if np.isfinite(found.value) else np.nan
    deviation = found.value - log_ratio(target)
    return [found.value, deviation, found.relative_variance, found.effective_sample_size / len(log_weights), float(share)]


def _known(target: AbstractTarget, estimated: float) -> float:
    value = log_ratio(target)
    return value if np.isfinite(value) else estimated


def _another(seed: int, *path: int) -> int:
    """A seed of its own for each part."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1)[0])


def summarise(tree: xr.DataTree) -> xr.Dataset:
    """``log_ratio`` by both engines; of the exact values the relative variance without a flow, of the trained flow the rest."""
    theory, found = tree["theory/target"].to_dataset(), tree["experiment/estimate"].to_dataset()
    zero = xr.DataArray(np.float64(0.0))
    expected: dict[str, Any] = {}
    for name in ("log_ratio", "vanilla_relative_variance"):
        expected |= number(name, theory[name], zero, LABELS[name].attributes())
    values: dict[str, Any] = {}
    gain = theory["vanilla_relative_variance"] / found["relative_variance"]
    for name in ("log_ratio", "relative_variance"):
        values |= number(name, found[name], found[f"{name}_error"], LABELS[name].attributes())
    values["log_ratio_deviation"] = found["log_ratio_deviation"]
    for name, value in {"sample_share": found["sample_share"], "gain": gain}.items():
        values |= number(name, value, zero * np.nan, LABELS[name].attributes())
    return by_engine({"theory": xr.Dataset(expected), "experiment": xr.Dataset(values)})
