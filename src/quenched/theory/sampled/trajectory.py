"""One run of the sampled solver from start to end: a pure function, for ``jit``, ``vmap`` and differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from quenched.dynamics.gradient import Gradient
from quenched.models.gaussian import AbstractGaussianModel
from quenched.theory.sampled.process import Kernels, Plan, Process, Sample, State

_CHUNK = 512
"""Trajectories per partial sum of a covariance: single precision within, double precision between."""


class Records(eqx.Module):
    """What a run writes down: one row per observation time, and a last one for what no observation time asks for.

    ``single``: order parameters; ``pairs``: rows of the response functions; ``paths``: weights and forces of all trajectories.
    """

    single: dict[str, Array]
    pairs: dict[str, Array]
    paths: dict[str, Array]
    slot: Int[Array, ""]
    gap: Float[Array, "replica n"]
    first_bad: Int[Array, ""]


Carry = tuple[Int[Array, ""], State, Records]
Move = Callable[[Carry], Carry]


def trajectory(
    model: AbstractGaussianModel,
    rule: Gradient,
    plan: Plan,
    key: PRNGKeyArray,
    steps: Int[Array, ""] | int,
    times: Int[Array, " slots"],
    group: int | Int[Array, ""] = 0,
) -> dict[str, Array]:
    """Order parameters and kernels of one run at the observation times, in buffers of the plan's sizes.

    ``steps`` < ``plan.rows`` may be traced: one compilation serves all lengths. ``times``: increasing observation steps, padded
    with numbers beyond ``steps``, whose rows are void. Results: order parameters (slots,), overlap (slots, K); two-time functions
    (slots, slots) in the default floating type (float64 inside ``jax.enable_x64``), trajectories in that of the plan; with
    ``plan.keep_weights`` the weights (slots, replica, N); gap (replica, N) at the last step; ``first_bad``, the step of the first
    non-finite number, where the run stops, or -1.

    Runs of one key and different ``group`` share latent variables, start and mixing matrix: other batches, thermal noise and
    probes on the same data. Differentiates forward (``jax.jvp``); with ``plan.reversible`` in reverse as well: then all
    ``plan.rows`` steps are made, ``steps`` and ``first_bad`` stop nothing, and the state is stored once per period of the memory.
    """
    process = Process.draw(model, rule, plan, key, times, group)
    state = process.start()
    carry = (jnp.zeros((), jnp.int32), state, _empty(process, state))

    def running(carry: Carry) -> Bool[Array, ""]:
        return (carry[0] <= steps) & (carry[2].first_bad < 0)

    def settle(carry: Carry) -> Carry:
        t, state, records = carry
        return t, process.settle(state, t), records

    def step(carry: Carry) -> Carry:
        t, state, records = carry
        sample = process.sample(state, t)
        # the step that leads beyond the end is made for its kernels and then forgotten
        following, kernels = process.advance(state, sample, t)
        return t + 1, following, _write(process, records, state, sample, kernels, t)

    run = _scan if plan.reversible else _loop
    return _results(process, run(process, running, settle, step, carry)[2])


def _loop(
    process: Process,
    running: Callable[[Carry], Any],
    settle: Callable[[Carry], Carry],
    step: Callable[[Carry], Carry],
    carry: Carry,
) -> Carry:
    """Periods until the run ends: the trip counts follow from the data, one program for every length."""

    def period(carry: Carry) -> Carry:
        end = carry[0] + process.memory.period
        return lax.while_loop(lambda c: (c[0] < end) & running(c), step, settle(carry))

    return lax.while_loop(running, period, carry)


def _scan(
    process: Process,
    running: Callable[[Carry], Any],
    settle: Callable[[Carry], Carry],
    step: Callable[[Carry], Carry],
    carry: Carry,
) -> Carry:
    """All steps of the plan; going backwards, a period is computed again from its start."""
    length = process.memory.period

    @jax.checkpoint
    def period(carry: Carry, _: None) -> tuple[Carry, None]:
        return lax.scan(lambda c, _: (step(c), None), settle(carry), None, length)

    return lax.scan(period, carry, None, process.plan.rows // length)[0]


def _single(process: Process, state: State, sample: Sample) -> dict[str, Array]:
    """Order parameters at one time, averaged over replicas; losses over all samples."""
    loss, wide = process.model.loss, state.overlap.dtype
    w = state.lanes["w"]
    values = {
        "overlap": state.overlap,
        "norm": process.norm(state.overlap, state.lanes),
        "loss": jnp.mean(loss.ell(sample.y, sample.r)),
    }
    if process.model.classifies:
        values["train_error"] = jnp.mean(loss.gap(sample.y, sample.r) < 0, dtype=wide)
    if process.plan.replicas > 1:
        # mean over pairs of |w_a - w_b|^2, free of cancellation
        spread = jnp.mean(jnp.sum((w - jnp.mean(w, axis=0)) ** 2, axis=0))
        values["replica_distance"] = 2 * spread / (process.plan.replicas - 1)
    return {name: value.astype(wide) for name, value in values.items()}


def _empty(process: Process, state: State) -> Records:
    plan, wide = process.plan, state.overlap.dtype
    rows = plan.slots + 1
    single = jax.eval_shape(lambda: _single(process, state, process.sample(state, jnp.zeros((), jnp.int32))))
    shape = (plan.replicas, plan.samples)
    names = ("weights",) * (plan.two_time or plan.keep_weights) + ("forces",) * plan.two_time
    responses = ("response", "integrated_response", "response_kernel") if plan.responds else ()
    return Records(
        # void rows hold ones, where closed forms and their derivatives are finite
        single={name: jnp.ones((rows, *value.shape), wide) for name, value in single.items()},
        pairs={name: jnp.zeros((rows, plan.slots), wide) for name in responses},
        paths={name: jnp.zeros((rows, *shape), plan.dtype) for name in names},
        slot=jnp.zeros((), jnp.int32),
        gap=jnp.zeros(shape, plan.dtype),
        first_bad=jnp.full((), -1, jnp.int32),
    )


def _write(process: Process, records: Records, state: State, sample: Sample, kernels: Kernels, t: Int[Array, ""]) -> Records:
    times, slot = process.times, records.slot
    seen = (slot < times.shape[0]) & (times[jnp.minimum(slot, times.shape[0] - 1)] == t)
    # the loss of every sample costs as much as a fifth of a step: only where it is asked for
    single = lax.cond(
        seen,
        lambda: _single(process, state, sample),
        lambda: {name: jnp.ones(buffer.shape[1:], buffer.dtype) for name, buffer in records.single.items()},
    )
    past = jnp.where(jnp.arange(kernels.row.shape[0]) < t, kernels.row, 0.0)
    total = jnp.sum(past) + kernels.now + jnp.sum(state.overlap) + jnp.sum(state.lanes["w"]) + sum(map(jnp.sum, single.values()))
    found = {"weights": state.lanes["w"], "forces": kernels.force}
    if process.plan.responds:
        kernel = jnp.where(times == t, kernels.now, past[jnp.minimum(times, past.shape[0] - 1)])
        lanes = state.lanes
        found |= {"response": lanes["kicked"], "integrated_response": lanes["pulled"], "response_kernel": kernel}

    def put(buffers: dict[str, Array], values: dict[str, Array]) -> dict[str, Array]:
        return {
            name: lax.dynamic_update_index_in_dim(buffer, values[name].astype(buffer.dtype), slot, 0)
            for name, buffer in buffers.items()
        }

    return Records(
        single=put(records.single, single),
        pairs=put(records.pairs, found),
        paths=put(records.paths, found),
        slot=slot + seen,
        gap=process.model.loss.gap(sample.y, sample.r).astype(records.gap.dtype),
        first_bad=jnp.where(jnp.isfinite(total) | (records.first_bad >= 0), records.first_bad, t),
    )


def _results(process: Process, records: Records) -> dict[str, Array]:
    plan, model, times = process.plan, process.wide, process.times
    results, pairs, paths = (
        {name: value[:-1] for name, value in x.items()} for x in (records.single, records.pairs, records.paths)
    )
    overlap, wide = results["overlap"], results["overlap"].dtype
    error = model.test_error(overlap, results["norm"])
    if error is not None:
        results["test_error"] = error
    results |= {"gap": records.gap, "first_bad": records.first_bad, **pairs}
    if plan.two_time:
        signal = overlap @ overlap.T
        same, cross = covariance(paths["weights"], wide)
        results["correlation"] = same + signal
        if cross is not None:
            results["replica_correlation"] = cross + signal
        noise = jnp.asarray(model.alpha, wide) * covariance(paths["forces"], wide)[0]
        results["noise_kernel"] = jnp.where(times[:, None] == times[None, :], noise, 0.0) if process.fresh else noise
    if plan.keep_weights:
        results["weights"] = paths["weights"]
    return results


def covariance(x: Float[Array, "t replica n"], wide: Any) -> tuple[Float[Array, "t t"], Float[Array, "t t"] | None]:
    """<x_a(t) x_a(t')> averaged over replicas, and <x_a(t) x_b(t')> averaged over pairs of replicas (None for one)."""
    times, replicas, n = x.shape
    chunk = min(n, _CHUNK)

    def gram(values: Float[Array, "t rest"]) -> Float[Array, "t t"]:
        parts = jnp.moveaxis(values.reshape(times, -1, chunk), 1, 0)

        def add(total: Float[Array, "t t"], part: Float[Array, "t chunk"]) -> tuple[Float[Array, "t t"], None]:
            return total + (part @ part.T).astype(wide), None

        return lax.scan(add, jnp.zeros((times, times), wide), parts)[0]

    alike = gram(x.reshape(times, replicas * n))
    if replicas == 1:
        return alike / n, None
    pairs = gram(jnp.sum(x, axis=1)) - alike
    return alike / (replicas * n), pairs / (replicas * (replicas - 1) * n)
