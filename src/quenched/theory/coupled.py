"""Replicas that follow different rules on the same data, from the same start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.dynamics.batches import Fresh
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import checked_count, observation_steps
from quenched.numerics import checks
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.theory.sampled.options import Options, check_memory, check_options, make_plan, memory_estimate, padded_times
from quenched.theory.sampled.process import Plan
from quenched.theory.sampled.solver import compiled, refuses

_COUNTS = ("replicas", "samples", "runs", "probes", "window", "moments")
_SINGLE = ("overlap", "norm", "loss", "train_error", "test_error")


def request(steps: int, times: Sequence[Any] | np.ndarray | None, **options: Any) -> Options:
    """Checked options of the sampled solver; raises ``ParameterError`` for bad values."""
    steps = checked_count("steps", steps)
    counts = {name: checked_count(name, options[name]) for name in _COUNTS if name in options}
    for name in ("response_samples", "horizon"):
        if options.get(name) is not None:
            counts[name] = checked_count(name, options[name])
    kept = None if times is None else observation_steps(times, steps)
    found = Options(steps=steps, times=kept, **(options | counts))
    check_options(found)
    return found


def solve_replicas(
    model: Any,
    rules: Sequence[Any],
    *,
    steps: int,
    seed: int = 0,
    times: Sequence[Any] | np.ndarray | None = None,
    samples: int = 8192,
    runs: int = 4,
    response: str = "probe",
    probes: int = 1,
    response_samples: int | None = None,
    memory: str = "auto",
    window: int = 16,
    moments: int = 4,
    horizon: int | None = None,
    memory_budget: float = 4e9,
) -> xr.Dataset:
    """Replicas a = 0, 1, ... with a rule each, on common data from a common start, with batches and thermal noise of their own.

    A replica feels the others only through the data: its order parameters are those of ``solve`` with its rule alone, and there
    is no response of one to a field on another. Their forces on one sample are correlated, <g_a g_b> = alpha <f_a f_b>, so that
    the weights are:

        cross_correlation C_ab(t) = w_a(t).w_b(t)/d,    replica_distance D_ab(t) = |w_a(t) - w_b(t)|^2/d

    at equal steps, dimensions (disorder, rule, rule_prime, t); overlap, norm, loss, train_error and test_error have (disorder,
    rule, t). D is computed from the difference, free of cancellation; two entries of one rule are two replicas of it. The
    coordinate ``time`` (rule, t) is the physical time of each replica, ``step`` the step; ``t`` has the physical time as its
    coordinate where all rules share it. With ``Fresh`` batches replicas share the start only.

    ``rules``: two or more ``Gradient`` rules. ``times``: observation steps, default every step. The other options are those of
    ``theory.sampled.solve_sampled``; replica 0 with a seed is that solver's answer with this seed, bit for bit.

    Raises ``IncompatibleError`` for a rule that the sampled solver does not cover, ``ParameterError`` for bad arguments,
    ``DivergenceError`` for an unstable rule. Source: Mignacco, Urbani, arXiv:2112.10852, for equal rules.
    """
    rules = tuple(rules)
    if len(rules) < 2:
        raise checks.ParameterError(f"rules must be two or more, got {len(rules)}: solve gives a single one")
    for k, rule in enumerate(rules):
        reason = refuses(model, rule)
        if reason is not None:
            raise checks.IncompatibleError(f"rules[{k}]: {reason}")
        rule.check(model)
    options = request(
        steps,
        times,
        seed=seed,
        two_time=False,
        samples=samples,
        runs=runs,
        response=response,
        probes=probes,
        response_samples=response_samples,
        memory=memory,
        window=window,
        moments=moments,
        horizon=horizon,
        memory_budget=memory_budget,
    )
    clocks = np.stack([rule.times(options.steps) for rule in rules])[:, options.observed]
    plan = make_plan(options, keep_weights=True)
    for rule in rules:
        check_memory(plan, rule, options)
    need = max(memory_estimate(plan, runs, isinstance(rule.batches, Fresh)) for rule in rules) + _kept(plan, len(rules))
    if need > memory_budget:
        raise checks.ParameterError(
            f"memory_budget must be at least {need:.3g} bytes for the weights of {len(rules)} replicas at "
            f"{len(options.observed)} times, got {memory_budget:.3g}; raise it, or lower samples, or pass fewer `times`"
        )
    outcomes = [_run(model, rules, plan, options, run) for run in range(options.runs)]
    single: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name in outcomes[0]:
        values = np.stack([outcome[name] for outcome in outcomes])
        dims: tuple[str, ...] = ("disorder", "rule", "t")
        if name in ("cross_correlation", "replica_distance"):
            dims = ("disorder", "rule", "rule_prime", "t")
        elif name == "overlap":
            dims, values = (dims, values[..., 0]) if model.directions == 1 else ((*dims, "direction"), values)
        single[name] = (dims, values)
    coords: dict[str, Any] = {"step": (("t",), options.observed), "time": (("rule", "t"), clocks)}
    if np.allclose(clocks, clocks[0], rtol=1e-12, atol=0):
        coords["t"] = clocks[0]
    given = options._asdict()
    for name in ("replicas", "two_time", "final_gaps"):
        del given[name]
    given["times"] = None if options.times is None else options.times.tolist()
    return dataset(single, coords, {"engine": "solve_replicas", "model": model, "rules": rules, **given})


def _kept(plan: Plan, rules: int) -> int:
    """Bytes of the weights of all replicas, in the precision of the trajectories and in double precision for a chunk."""
    return (rules + 2) * plan.slots * plan.samples * jnp.dtype(plan.dtype).itemsize


def _run(model: Any, rules: tuple[Gradient, ...], plan: Plan, options: Options, run: int) -> dict[str, np.ndarray]:
    """One run of every replica: order parameters (rule, t), pairs (rule, rule, t)."""
    count, times = len(options.observed), padded_times(options, plan)
    found: list[dict[str, np.ndarray]] = []
    with jax.enable_x64(True):
        key = jax.random.fold_in(jax.random.key(np.uint32(options.seed), impl="threefry2x32"), run)
        for group, rule in enumerate(rules):
            law, dynamics = traced((model, rule), "float64")
            # a traced group: replicas of one kind of rule share a compilation
            result = compiled(law, dynamics, plan, key, jnp.int32(options.steps), jnp.asarray(times), jnp.int32(group))
            bad = int(result["first_bad"])
            if bad >= 0:
                raise checks.DivergenceError(
                    f"order parameters or kernels of rules[{group}] are not finite at step {bad} of {options.steps} "
                    f"(run {run}): lower its lr"
                )
            found.append({name: np.asarray(result[name])[:count] for name in (*_SINGLE, "weights") if name in result})
    values = {name: np.stack([outcome[name] for outcome in found]) for name in found[0] if name != "weights"}
    return values | pairs(values["overlap"], [outcome["weights"][:, 0] for outcome in found])


def pairs(overlap: np.ndarray, weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Correlations and distances of all pairs at equal times, from overlaps (rule, t, K) and weights (t, N) of each rule."""
    count, times = len(weights), len(weights[0])
    correlation, distance = np.zeros((count, count, times)), np.zeros((count, count, times))
    for t in range(times):
        w = np.stack([x[t] for x in weights]).astype(np.float64)
        correlation[..., t] = w @ w.T / w.shape[1] + overlap[:, t] @ overlap[:, t].T
        for a in range(count):
            gap, shift = w - w[a], overlap[:, t] - overlap[a, t]
            distance[a, :, t] = np.mean(gap**2, axis=1) + np.sum(shift**2, axis=1)
    return {"cross_correlation": correlation, "replica_distance": distance}
