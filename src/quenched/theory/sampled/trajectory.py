"""One run of the sampled solver from start to end: a pure function, for ``jit``, ``vmap`` and forward-mode differentiation."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from quenched.dynamics.gradient import Gradient
from quenched.dynamics.schedules import rate_at
from quenched.models.gaussian import AbstractGaussianModel
from quenched.theory.sampled.process import Kernels, Plan, Process, Sample, State
from quenched.theory.sampled.response import weight_response

_CHUNK = 512
"""Trajectories per partial sum of a covariance: single precision within, double precision between."""


class Records(eqx.Module):
    """What a run writes down: ``single`` at the observation times, ``weights`` and ``forces`` in the slot of each of them."""

    single: dict[str, Array]
    kernel: Float[Array, "rows rows"]
    scale: Float[Array, " rows"]
    weights: Float[Array, "slots replica n"] | None
    forces: Float[Array, "slots replica n"] | None
    slot: Int[Array, ""]
    gap: Float[Array, "replica n"]
    first_bad: Int[Array, ""]


def trajectory(
    model: AbstractGaussianModel,
    rule: Gradient,
    plan: Plan,
    key: PRNGKeyArray,
    steps: Int[Array, ""] | int,
    times: Int[Array, " slots"],
) -> dict[str, Array]:
    """Order parameters and kernels of one run, in buffers of the plan's sizes.

    ``steps`` < ``plan.rows`` may be traced: one compilation serves all lengths. ``times``: increasing observation steps, padded
    with numbers beyond ``steps``. Kernels have the default floating type (float64 inside ``jax.enable_x64``), trajectories that
    of the plan. Order parameters over ``rows`` are defined at the observation times, kernels up to step ``steps``; ``first_bad``
    is the step of the first non-finite number, where the run stops, or -1.
    """
    process = Process.draw(model, rule, plan, key)
    state = process.start()
    records = _empty(process, state)

    def running(carry: tuple[Array, State, Records]) -> Bool[Array, ""]:
        return (carry[0] <= steps) & (carry[2].first_bad < 0)

    def step(carry: tuple[Array, State, Records]) -> tuple[Array, State, Records]:
        t, state, records = carry
        sample = process.sample(state, t)
        # the step that leads beyond the end is made for its kernels and then forgotten
        following, kernels = process.advance(state, sample, t)
        return t + 1, following, _write(process, records, state, sample, kernels, t, times)

    _, _, records = lax.while_loop(running, step, (jnp.zeros((), jnp.int32), state, records))
    return _results(process, records, times)


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
    single = jax.eval_shape(lambda: _single(process, state, process.sample(state, jnp.zeros((), jnp.int32))))
    sample_shape = (plan.replicas, plan.samples)
    # the last slot takes what no observation time asks for
    snapshots = jnp.zeros((plan.slots + 1, *sample_shape), plan.dtype) if plan.two_time else None
    return Records(
        single={name: jnp.zeros((plan.rows, *value.shape), wide) for name, value in single.items()},
        kernel=jnp.zeros((plan.rows, plan.rows), wide),
        scale=jnp.ones(plan.rows, wide),
        weights=snapshots,
        forces=snapshots,
        slot=jnp.zeros((), jnp.int32),
        gap=jnp.zeros(sample_shape, plan.dtype),
        first_bad=jnp.full((), -1, jnp.int32),
    )


def _write(
    process: Process,
    records: Records,
    state: State,
    sample: Sample,
    kernels: Kernels,
    t: Int[Array, ""],
    times: Int[Array, " slots"],
) -> Records:
    def put(buffer: Array, value: Any, at: Int[Array, ""]) -> Array:
        return lax.dynamic_update_index_in_dim(buffer, value.astype(buffer.dtype), at, 0)

    seen = (records.slot < times.shape[0]) & (times[jnp.minimum(records.slot, times.shape[0] - 1)] == t)
    # the loss of every sample costs as much as a fifth of a step: only where it is asked for
    single = lax.cond(
        seen,
        lambda: _single(process, state, sample),
        lambda: {name: jnp.zeros(buffer.shape[1:], buffer.dtype) for name, buffer in records.single.items()},
    )
    total = jnp.sum(kernels.row) + jnp.sum(state.overlap) + jnp.sum(state.lanes["w"]) + sum(map(jnp.sum, single.values()))
    weights, forces = records.weights, records.forces
    if weights is not None and forces is not None:
        weights, forces = put(weights, state.lanes["w"], records.slot), put(forces, kernels.force, records.slot)
    return Records(
        single={name: put(records.single[name], value, t) for name, value in single.items()},
        kernel=put(records.kernel, kernels.row, t),
        scale=put(records.scale, kernels.scale, t),
        weights=weights,
        forces=forces,
        slot=records.slot + seen,
        gap=process.model.loss.gap(sample.y, sample.r).astype(records.gap.dtype),
        first_bad=jnp.where(jnp.isfinite(total), records.first_bad, t),
    )


def _results(process: Process, records: Records, times: Int[Array, " slots"]) -> dict[str, Array]:
    plan, rule, model = process.plan, process.rule, process.wide
    wide = records.kernel.dtype
    results = dict(records.single)
    error = model.test_error(results["overlap"], results["norm"])
    if error is not None:
        results["test_error"] = error
    results |= {"gap": records.gap, "first_bad": records.first_bad}
    if records.weights is None or records.forces is None:
        return results
    shown = jnp.minimum(times, plan.rows - 1)
    m = results["overlap"][shown]
    signal = m @ m.T
    same, cross = covariance(records.weights[:-1], wide)
    results["correlation"] = same + signal
    if cross is not None:
        results["replica_correlation"] = cross + signal
    noise = jnp.asarray(model.alpha, wide) * covariance(records.forces[:-1], wide)[0]
    results["noise_kernel"] = jnp.where(times[:, None] == times[None, :], noise, 0.0) if process.fresh else noise
    if plan.response:
        rates = jax.vmap(lambda t: jnp.asarray(rate_at(rule.lr, t), wide))(jnp.arange(plan.rows))
        ridge, delta, beta = (
            jnp.asarray(x, wide) for x in (rule.ridge, model.delta, 0.0 if process.decay is None else process.decay)
        )
        response = weight_response(records.kernel, rates, ridge, delta, beta, records.scale)
        results["response"] = response[shown][:, shown]
        results["response_kernel"] = records.kernel[shown][:, shown]
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
