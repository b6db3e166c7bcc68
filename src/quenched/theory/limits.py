"""Two limits of the theory: the learning rate to zero at fixed physical time, and the statistical error to a requested size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from quenched.dynamics.batches import Full, Persistent
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import checked_count
from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.theory.coupled import request
from quenched.theory.sampled.options import Options, make_plan, memory_estimate
from quenched.theory.solve import choose, solve

_ORDER_PARAMETERS = ("overlap", "norm", "loss", "test_error", "replica_distance")
_HALVINGS = 2


def continuous_limit(
    model: Any, rule: Any, *, time: float, times: Sequence[float] | np.ndarray | None = None, **options: Any
) -> xr.Dataset:
    """Order parameters of stochastic gradient flow, lr -> 0 at fixed physical time, from runs at lr, lr/2 and lr/4.

    ``time``: physical time, a multiple of ``rule.lr``; ``times``: physical observation times, multiples of ``rule.lr`` too,
    default every multiple. Observables are smooth in lr, A(lr) = A + a lr + b lr^2 + ...; with A0, A1, A2 at lr, lr/2, lr/4

        A = (8 A2 - 6 A1 + A0)/3,       discretisation error = |A - (2 A2 - A1)|,

    the last the change from the extrapolation that takes the error as linear. Returns overlap, norm, loss, test_error and (with
    ``replicas`` >= 2) replica_distance with the dimensions (disorder, t) of the extrapolated values, ``<name>_at`` with
    (disorder, lr, t), and ``<name>_discretisation`` with (t,), of the mean over runs. The three runs of one ``disorder`` start
    from the same latent variables; the statistical error of the extrapolation is that of ``observables.mean_error``, several
    times that of one run where batches are random. ``options`` are those of ``solve`` except steps, times and two_time.

    Raises ``IncompatibleError`` for batches that have no such limit: the noise of IID, Epochs or Fresh batches vanishes with lr,
    and what is left is the flow of their mean; ``ParameterError`` for a schedule and for times that are no multiples.
    """
    if type(rule) is not Gradient or isinstance(rule.lr, bool) or not isinstance(rule.lr, float):
        raise checks.ParameterError("continuous_limit needs a Gradient rule with a number for lr, to halve it")
    batches = rule.batches
    if type(batches) not in (Full, Persistent) and not (hasattr(batches, "fraction") and batches.fraction == 1):
        raise checks.IncompatibleError(
            f"{type(batches).__name__} batches have no continuous-time limit with noise: a sample is selected anew every few "
            "steps, and the noise vanishes with lr; take Persistent batches, whose memory is a physical time"
        )
    for name in ("steps", "times", "two_time"):
        if name in options:
            raise checks.ParameterError(f"continuous_limit takes physical times, not {name}; it sets {name} itself")
    steps = _multiple("time", time, rule.lr)
    kept = np.arange(steps + 1) if times is None else np.array([_multiple("times", t, rule.lr, 0) for t in times])
    rates = [rule.lr / 2**k for k in range(_HALVINGS + 1)]
    solved = [
        solve(model, replace_lr(rule, lr), steps=steps << k, times=kept << k, two_time=False, **options)
        for k, lr in enumerate(rates)
    ]
    variables: dict[str, tuple[Any, np.ndarray]] = {}
    for name in (name for name in _ORDER_PARAMETERS if name in solved[0]):
        dims = solved[0][name].dims
        values = [ds[name].values for ds in solved]
        first = 2 * values[2] - values[1]
        second = (8 * values[2] - 6 * values[1] + values[0]) / 3
        error = np.abs(second - first if "disorder" not in dims else (second - first).mean(dims.index("disorder")))
        lead = dims.index("t")
        variables[name] = (dims, second)
        variables[f"{name}_at"] = ((*dims[:lead], "lr", *dims[lead:]), np.stack(values, lead))
        variables[f"{name}_discretisation"] = (tuple(dim for dim in dims if dim != "disorder"), error)
    coords = {"t": kept * rule.lr, "lr": rates}
    given = {"times": None if times is None else [float(t) for t in times], "time": float(time), **options}
    return dataset(variables, coords, {"engine": "continuous_limit", "model": model, "rule": rule, **given})


def replace_lr(rule: Gradient, lr: float) -> Gradient:
    """The rule with another constant learning rate."""
    return Gradient(lr, rule.batches, rule.ridge, rule.transform, rule.temperature, rule.constraint, rule.normalise_batch)


def _multiple(name: str, time: float, lr: float, low: int = 1) -> int:
    checks.finite(name, time)
    steps = round(time / lr)
    if steps < low or abs(steps * lr - time) > 1e-9 * max(time, lr):
        raise checks.ParameterError(f"{name} must be a multiple of lr={lr!r}, at least {low}, got {time!r}")
    return steps


# ---- to a requested error

_PILOT_RUNS = 8
_PILOT_SAMPLES = 1024
_MANY_PROBES = 4
_WORTH = 2.0
"""Reduction of the variance from which four probes pay: they cost about half as much again, and eight runs know it to 50%."""
_MARGIN = 1.2
"""Factor on the number of trajectories: the pilot's error is itself known to 27%."""
_ROUNDS = 3


def solve_to_error(
    model: Any,
    rule: Any,
    *,
    variable: str,
    error: float,
    steps: int,
    times: Sequence[Any] | np.ndarray | None = None,
    replicas: int = 1,
    seed: int = 0,
    two_time: bool = False,
    max_runs: int = 256,
    memory_budget: float = 4e9,
    **options: Any,
) -> xr.Dataset:
    """``solve`` with as many trajectories, runs and probes as a standard error of ``variable`` needs.

    ``error`` > 0 is the largest standard error of the mean over runs at the observation times. Eight pilot runs of 1024
    trajectories with one probe and with four give the error of a run; it falls as 1/sqrt(samples). Four probes are taken where
    they halve the variance. The trajectories needed are shared among at least eight runs of ``samples`` (a power of two, as
    large as that and ``memory_budget`` allow), at most ``max_runs``. The error reached is measured, and the solve repeated with
    more runs where it is too large. The attribute ``certificate`` has samples and runs, the attributes ``requested_error`` and
    ``reached_error`` the errors. ``options`` are the others of the sampled solver (response, memory, window, moments,
    response_samples).

    A system that the oracle covers is solved exactly. Raises ``ParameterError``, before the work, where the pilot says that the
    error is out of reach within ``memory_budget`` and ``max_runs``, with the error that is in reach; ``ConvergenceError`` where
    the measured error stays above. The error of the mean is estimated from the runs: with eight it is known to 27%.
    """
    checks.positive("error", error)
    max_runs = checked_count("max_runs", max_runs)
    if max_runs < _PILOT_RUNS:
        raise checks.ParameterError(f"max_runs must be >= {_PILOT_RUNS}, got {max_runs!r}")
    chosen_here = sorted({"samples", "runs", "probes", "method", "final_gaps"} & set(options))
    if chosen_here:
        raise checks.ParameterError(f"solve_to_error chooses {', '.join(chosen_here)} itself: leave it out")
    common = {
        "steps": steps,
        "times": times,
        "replicas": replicas,
        "two_time": two_time,
        "memory_budget": memory_budget,
        **options,
    }
    if choose(model, rule) == "oracle":
        exact = solve(model, rule, steps=steps, times=times, replicas=replicas, two_time=two_time)
        _values(exact, variable)
        exact.attrs |= {"requested_error": error, "reached_error": 0.0}
        return exact

    def run(seed: int, samples: int, runs: int, probes: int, **changes: Any) -> xr.Dataset:
        return solve(model, rule, seed=seed, samples=samples, runs=runs, probes=probes, **(common | changes))

    # seeds of their own: the pilot must not be part of what it selects
    pilot = (seed + 1) % 2**32
    counts = (1,) if options.get("response") == "exact" else (1, _MANY_PROBES)
    spreads = [_error(run(pilot, _PILOT_SAMPLES, _PILOT_RUNS, probes, two_time=False), variable) for probes in counts]
    better = len(spreads) > 1 and spreads[0] ** 2 > _WORTH * spreads[1] ** 2
    probes, spread = (_MANY_PROBES, spreads[1]) if better else (1, spreads[0])
    # standard error of the mean times sqrt(trajectories)
    constant = spread * math.sqrt(_PILOT_SAMPLES * _PILOT_RUNS)
    wanted = _MARGIN * (constant / error) ** 2
    asked = request(steps, times, replicas=replicas, two_time=two_time, memory_budget=memory_budget, probes=probes, **options)
    largest = _largest(asked)
    samples = min(largest, max(_PILOT_SAMPLES, 1 << math.floor(math.log2(max(wanted / _PILOT_RUNS, 1)))))
    runs = max(_PILOT_RUNS, math.ceil(wanted / samples))
    if runs > max_runs:
        reach = constant * math.sqrt(_MARGIN / (samples * max_runs))
        raise checks.ParameterError(
            f"error must be >= {reach:.2g} for {variable} within memory_budget={memory_budget:.3g} and max_runs={max_runs}, "
            f"got {error!r}: it needs {runs} runs of {samples} trajectories"
        )
    for _ in range(_ROUNDS):
        answer = run(seed, samples, runs, probes)
        reached = _error(answer, variable)
        if reached <= error or runs >= max_runs:
            break
        runs = min(max_runs, math.ceil(_MARGIN * runs * (reached / error) ** 2))
    if reached > error:
        raise checks.ConvergenceError(
            f"the standard error of {variable} is {reached:.2g} with {runs} runs of {samples} trajectories, above {error!r}; "
            "raise max_runs or memory_budget"
        )
    answer.attrs |= {"requested_error": error, "reached_error": reached}
    return answer


def _largest(options: Options) -> int:
    """The largest number of trajectories, at most 2^20, that the memory budget allows."""
    samples = 1 << 20
    while samples > _PILOT_SAMPLES:
        # few runs are held at a time; what they return does not depend on the trajectories
        if memory_estimate(make_plan(options._replace(samples=samples)), 16, False) <= options.memory_budget:
            break
        samples >>= 1
    return samples


def _values(ds: xr.Dataset, variable: str) -> xr.DataArray:
    if variable not in ds:
        raise checks.ParameterError(f"variable must be one of {', '.join(sorted(map(str, ds.data_vars)))}, got {variable!r}")
    return ds[variable]


def _error(ds: xr.Dataset, variable: str) -> float:
    """The largest standard error over runs at the observation times."""
    values = _values(ds, variable)
    return float((values.std("disorder", ddof=1) / math.sqrt(values.sizes["disorder"])).max())
