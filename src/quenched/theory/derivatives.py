"""Derivatives of the theory's order parameters with respect to parameters of the system, along the sampled trajectories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from quenched.dynamics.batches import Fresh
from quenched.numerics import checks
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.theory.coupled import request
from quenched.theory.parameters import find, single_numbers
from quenched.theory.sampled.options import Options, make_plan, memory_estimate, padded_times
from quenched.theory.sampled.process import Plan, Process
from quenched.theory.sampled.solver import refuses
from quenched.theory.sampled.trajectory import trajectory

OBSERVABLES = ("overlap", "norm", "loss", "test_error", "replica_distance")
_MODES = ("auto", "forward", "reverse")
_FEW = 8
"""Parameters up to which mode="auto" goes forward."""


def differentiate(
    model: Any,
    rule: Any,
    observable: str,
    wrt: str | Sequence[str],
    *,
    steps: int,
    mode: str = "auto",
    replicas: int = 1,
    seed: int = 0,
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
    dtype: str = "float32",
) -> xr.Dataset:
    """d observable(T) / d parameter after T = ``steps`` steps, in the infinite-size limit.

    ``observable``: overlap, norm, loss, test_error (where it has a closed form), or replica_distance with ``replicas`` >= 2.
    ``wrt``: dotted paths of numbers, from "model" or "rule": "rule.lr", "rule.ridge", "model.noise", "model.start.variance",
    "rule.transform.decay"; a path to a tuple of numbers, such as "rule.lr.values" of a ``PiecewiseConstant`` schedule, stands for
    each of them. Returns ``value`` (disorder,) and ``derivative`` (disorder, parameter), with a last dimension ``direction``
    for an overlap with several directions; the coordinate ``parameter`` holds the paths. ``disorder`` are independent runs: mean
    and error follow by ``observables.mean_error``. ``value`` is the answer of ``solve`` with this seed and these options.

    The solver's own trajectories are differentiated at fixed random numbers: the derivative of the answer as a function, exact up
    to rounding, hence an estimate of the derivative of its limit, with an error of order 1/sqrt(samples). ``mode="forward"``: one
    tangent per parameter, at once as far as ``memory_budget`` allows and else one after the other, at any T. "reverse": one
    pass for all parameters, a few times the cost of a solve; it keeps the state once per period of the memory, and is
    refused with its estimate above the budget. "auto": forward up to 8 parameters or where reverse does not fit.
    ``dtype="float64"`` computes trajectories in double precision. The other options are those of
    ``theory.sampled.solve_sampled``.

    Raises ``IncompatibleError`` for a system that the sampled solver does not cover, and for a loss whose curvature jumps (the
    derivative of the kernel Gam has a delta function that no trajectory sees). Raises ``ParameterError`` for a path that is
    none or names no real number; for a parameter that moves probabilities (of batches, of labels), which a path at fixed random
    numbers does not see; for one whose derivative is exactly zero in every run; for an observable that counts; and for a request
    above the budget. Raises ``DivergenceError`` for an unstable rule, or where a derivative is infinite (a variance of 0).
    """
    reason = refuses(model, rule)
    if reason is not None:
        raise checks.IncompatibleError(reason)
    if not model.loss.curvature_continuous:
        raise checks.IncompatibleError(
            f"differentiate needs a loss with a continuous curvature, got {type(model.loss).__name__}: "
            "the derivative of the kernel Gam has a delta function that no trajectory sees"
        )
    checks.one_of("mode", mode, _MODES)
    checks.one_of("dtype", dtype, ("float32", "float64"))
    _check_observable(model, observable, replicas)
    options = request(
        steps,
        [steps],
        replicas=replicas,
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
    rule.check(model)
    rule.times(options.steps)
    paths = single_numbers(model, rule, (wrt,) if isinstance(wrt, str) else tuple(wrt))
    chosen, plan, together = _choose(model, rule, options, mode, dtype, len(paths))
    value, derivative = _runs(model, rule, observable, paths, options, plan, chosen, together)
    _check_derivative(observable, paths, value, derivative)
    directions = ("direction",) * (value.ndim - 1)
    given = options._asdict()
    for name in ("times", "two_time", "final_gaps"):
        del given[name]
    described = {"observable": observable, "wrt": list(paths), "mode": chosen, "dtype": dtype}
    result = dataset(
        {"value": (("disorder", *directions), value), "derivative": (("disorder", "parameter", *directions), derivative)},
        {"parameter": list(paths)},
        {"engine": "differentiate", "model": model, "rule": rule, **described, **given},
    )
    result["value"].attrs["long_name"] = f"{observable} at step {options.steps}"
    result["derivative"].attrs["long_name"] = f"derivative of {observable} at step {options.steps}"
    return result


# ---- what may be asked


def _check_observable(model: Any, observable: str, replicas: int) -> None:
    if observable == "train_error":
        raise checks.ParameterError(
            "observable must be smooth, got 'train_error': it counts trajectories, its derivative along them is 0; take loss"
        )
    checks.one_of("observable", observable, OBSERVABLES)
    if observable == "replica_distance" and replicas < 2:
        raise checks.ParameterError(f"replicas must be >= 2 for the observable replica_distance, got {replicas!r}")
    if observable == "test_error" and model.test_error(jnp.ones(model.directions), jnp.ones(())) is None:
        raise checks.ParameterError(
            f"observable 'test_error' has no closed form for this {type(model).__name__} with {type(model.loss).__name__}"
        )


# ---- how it is computed


def _choose(model: Any, rule: Any, options: Options, mode: str, dtype: str, count: int) -> tuple[str, Plan, bool]:
    """The mode, its plan, and whether all tangents are computed at once."""
    forward = make_plan(options, dtype=dtype)
    # all rows of a reversible plan are made: no more of them than needed
    unit = options.window if forward.memory == "compressed" else 16
    backward = make_plan(options, dtype=dtype, rows=-(-(options.steps + 1) // unit) * unit, reversible=True)
    need = _reverse_estimate(model, rule, backward)
    if mode == "reverse" or (mode == "auto" and count > _FEW and need <= options.memory_budget):
        if need > options.memory_budget:
            raise _too_large(need, options, "reverse mode", ", or take mode='forward'")
        return "reverse", backward, True
    one = memory_estimate(forward, 1, isinstance(rule.batches, Fresh))
    if 2 * one > options.memory_budget:
        raise _too_large(2 * one, options, "forward mode", "")
    return "forward", forward, (1 + count) * one <= options.memory_budget


def _too_large(need: int, options: Options, what: str, other: str) -> checks.ParameterError:
    return checks.ParameterError(
        f"memory_budget must be at least {need:.3g} bytes for {what}, got {options.memory_budget:.3g}; "
        f"raise it, or lower samples, probes, replicas or steps{other}"
    )


def _reverse_estimate(model: Any, rule: Any, plan: Plan) -> int:
    """Bytes of the states that reverse mode keeps: one per period, and within a period those of every step, twice."""
    with jax.enable_x64(True):
        law, dynamics = traced((model, rule), "float64")
        times = jnp.zeros(plan.slots, jnp.int32)
        key = jax.random.key(0, impl="threefry2x32")
        state = eqx.filter_eval_shape(lambda: Process.draw(law, dynamics, plan, key, times).start())
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state) if hasattr(leaf, "dtype"))
    period = plan.build_memory().period
    return size * (plan.rows // period + 3 * period)


def _runs(
    model: Any, rule: Any, observable: str, paths: tuple[str, ...], options: Options, plan: Plan, mode: str, together: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Values (run, ...) and derivatives (run, parameter, ...)."""
    times = padded_times(options, plan)
    values, derivatives = [], []
    with jax.enable_x64(True):
        roots = traced((model, rule), "float64")
        root = jax.random.key(np.uint32(options.seed), impl="threefry2x32")
        for run in range(options.runs):
            key = jax.random.fold_in(root, run)
            arguments = (roots, paths, plan, observable, key, jnp.int32(options.steps), jnp.asarray(times))
            value, bad, derivative = _forward(*arguments, together) if mode == "forward" else _reverse(*arguments)
            # a reversible run goes on to its last row: what happens after the last step does not matter
            if 0 <= int(bad) <= options.steps:
                raise checks.DivergenceError(
                    f"order parameters or kernels are not finite at step {int(bad)} of {options.steps} (run {run}): lower lr"
                )
            values.append(np.asarray(value))
            derivatives.append(np.asarray(derivative))
    found = np.stack(values), np.stack(derivatives)
    return (found[0][:, 0], found[1][..., 0]) if observable == "overlap" and model.directions == 1 else found


def _function(
    roots: tuple[Any, Any],
    paths: tuple[str, ...],
    plan: Plan,
    observable: str,
    key: PRNGKeyArray,
    steps: Int[Array, ""],
    times: Int[Array, " slots"],
) -> tuple[Any, Float[Array, " parameter"]]:
    """The observable as a function of the parameters, and the point where it is asked for."""

    def leaves(tree: tuple[Any, Any]) -> list[Any]:
        return [find(tree, path) for path in paths]

    def run(point: Float[Array, " parameter"]) -> tuple[Array, tuple[Array, Array]]:
        model, rule = eqx.tree_at(leaves, roots, list(point))
        results = trajectory(model, rule, plan, key, steps, times)
        value = results[observable][0]
        return value, (value, results["first_bad"])

    return run, jnp.stack(leaves(roots))


@eqx.filter_jit
def _forward(
    roots: tuple[Any, Any],
    paths: tuple[str, ...],
    plan: Plan,
    observable: str,
    key: PRNGKeyArray,
    steps: Int[Array, ""],
    times: Int[Array, " slots"],
    together: bool,
) -> tuple[Array, Array, Array]:
    run, point = _function(roots, paths, plan, observable, key, steps, times)

    def along(direction: Float[Array, " parameter"]) -> tuple[Array, Array, Array]:
        _, tangent, (value, bad) = jax.jvp(run, (point,), (direction,), has_aux=True)
        return value, bad, tangent

    directions = jnp.eye(len(paths), dtype=point.dtype)
    value, bad, tangents = jax.vmap(along)(directions) if together else lax.map(along, directions)
    return value[0], bad[0], tangents


@eqx.filter_jit
def _reverse(
    roots: tuple[Any, Any],
    paths: tuple[str, ...],
    plan: Plan,
    observable: str,
    key: PRNGKeyArray,
    steps: Int[Array, ""],
    times: Int[Array, " slots"],
) -> tuple[Array, Array, Array]:
    run, point = _function(roots, paths, plan, observable, key, steps, times)
    jacobian, (value, bad) = jax.jacrev(run, has_aux=True)(point)
    return value, bad, jnp.moveaxis(jacobian, -1, 0)


def _check_derivative(observable: str, paths: tuple[str, ...], value: np.ndarray, derivative: np.ndarray) -> None:
    for k, path in enumerate(paths):
        along = derivative[:, k]
        if not np.all(np.isfinite(along)):
            raise checks.DivergenceError(
                f"the derivative of {observable} with respect to {path} is not finite: a variance of 0 has a square root of "
                "infinite slope, an unstable rule exponentially large derivatives"
            )
        if not np.any(along):
            raise checks.ParameterError(
                f"{path} has no path-wise effect on {observable}: its derivative is exactly 0 in every run. It enters after the "
                "last step, in a comparison, or not at all"
            )
