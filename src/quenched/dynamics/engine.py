"""The one engine: any Markov chain on any quenched disorder.

The pure core. ``begin`` draws the disorder and the starts, ``advance`` makes steps, ``finish`` evaluates what is asked at the
end; all three treat ONE disorder sample with R replicas. ``trajectory`` strings them together for code that differentiates,
maps or jits a run; ``simulate`` maps them over disorder samples, in chunks, and builds a Dataset.

One step is a ``vmap`` over replicas in which the disorder is not mapped, so that R replicas cost matrix-matrix products. The
loop is a ``fori_loop``: with Python bounds it is a ``scan`` and can be differentiated in reverse mode, with traced bounds one
compilation serves every length. Observations stand under a ``cond`` whose predicate depends on the step only: a real branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, Integer, Key, PRNGKeyArray, PyTree

from quenched.dynamics.base import AbstractDynamics, ChainState
from quenched.dynamics.plan import DISORDER, INIT, START, STEP, Carry, Observable, Plan, Rows, replica_keys, slots_of, stream
from quenched.dynamics.stops import AbstractStop
from quenched.models.base import AbstractModel, Disorder, Weights
from quenched.numerics.checks import ParameterError
from quenched.numerics.precision import traced
from quenched.numerics.pytrees import flat
from quenched.observables.replica_distance import replica_distance


class Trajectory(eqx.Module):
    """What ``trajectory`` returns; leading axes of ``records`` are (t, replica), of the rest (replica,)."""

    records: Rows
    final: Rows
    weights: Weights
    first_bad: Int[Array, " replica"]
    stopped: Int[Array, " replica"]


def begin(
    model: AbstractModel, rule: AbstractDynamics, plan: Plan, root: PRNGKeyArray, sample: Integer[Array, ""] | int
) -> tuple[Disorder, Carry, Rows]:
    """Disorder, state at step 0 and its observation, for one disorder sample."""
    disorder = model.sample(stream(root, DISORDER, sample), plan.sizes, jnp.dtype(plan.dtype))
    starts = replica_keys(stream(root, START, sample), plan.replicas, plan.share_start)
    inits = replica_keys(stream(root, INIT, sample), plan.replicas, plan.share_batches)

    def one(start: PRNGKeyArray, init: PRNGKeyArray) -> ChainState:
        state = rule.init(model, model.initial(start, disorder), disorder, init)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, (bool, int, float)) else leaf, state)

    axes = (None if plan.share_start else 0, None if plan.share_batches else 0)
    chain = eqx.filter_vmap(one, in_axes=axes, axis_size=plan.replicas)(starts, inits)
    weights = _weights(rule, chain)
    never = jnp.full(plan.replicas, -1, jnp.int32)
    carry = Carry(
        chain,
        jnp.where(_finite(weights, plan.replicas), never, 0),
        never,
        tuple(jax.vmap(a.init)(weights) for a in plan.accumulators),
    )
    return (
        disorder,
        _stop(model, plan, carry, weights, disorder, jnp.zeros((), jnp.int32)),
        observe(model, rule, plan, chain, disorder),
    )


def advance(
    model: AbstractModel,
    rule: AbstractDynamics,
    plan: Plan,
    root: PRNGKeyArray,
    sample: Integer[Array, ""] | int,
    disorder: Disorder,
    carry: Carry,
    first: Integer[Array, ""] | int,
    last: Integer[Array, ""] | int,
    slots: Int[Array, " length"],
) -> tuple[Carry, Rows]:
    """Make steps ``first``, ..., ``last`` - 1. The state after step ``first + i`` is observed into row ``slots[i]`` unless
    that is -1.

    Returns the state and the rows, arrays (plan.slots, R, ...).
    """
    keys = replica_keys(stream(root, STEP, sample), plan.replicas, plan.share_batches)
    moving, fixed = eqx.partition(carry, eqx.is_array)
    shapes = jax.eval_shape(lambda c: observe(model, rule, plan, eqx.combine(c, fixed.chain), disorder), moving.chain)
    buffers = jax.tree.map(lambda s: jnp.zeros((plan.slots, *s.shape), s.dtype), shapes)

    def body(i: Any, state: tuple[Carry, Rows]) -> tuple[Carry, Rows]:
        moving, buffers = state
        new = _step(model, rule, plan, keys, disorder, eqx.combine(moving, fixed), jnp.asarray(i, jnp.int32))
        slot = slots[i - first]
        buffers = lax.cond(
            slot >= 0,
            lambda b: jax.tree.map(lambda x, r: x.at[slot].set(r), b, observe(model, rule, plan, new.chain, disorder)),
            lambda b: b,
            buffers,
        )
        return eqx.filter(new, eqx.is_array), buffers

    moving, buffers = lax.fori_loop(first, last, body, (moving, buffers))
    return eqx.combine(moving, fixed), buffers


def finish(model: AbstractModel, rule: AbstractDynamics, plan: Plan, disorder: Disorder, carry: Carry) -> Rows:
    """Final observables and finished accumulators, arrays (R, ...)."""
    weights = _weights(rule, carry.chain)
    values: Rows = {}
    for name, function in plan.final.items():
        _add(values, {name: jax.vmap(lambda w, f=function: jnp.asarray(f(model, w, disorder)))(weights)})
    for accumulator, state in zip(plan.accumulators, carry.accumulators, strict=True):
        _add(values, jax.vmap(accumulator.finish)(state))
    return values


def observe(model: AbstractModel, rule: AbstractDynamics, plan: Plan, chain: ChainState, disorder: Disorder) -> Rows:
    """Every order parameter of every replica, arrays (R, ...): of the model, of the rule, the caller's, weights where asked."""
    moving, fixed = eqx.partition(chain, eqx.is_array)

    def one(moving: ChainState) -> Rows:
        state = eqx.combine(moving, fixed)
        weights = rule.weights(state)
        values = dict(model.observe(weights, disorder))
        _add(values, rule.observe(state))
        for name, function in plan.observables.items():
            _add(values, {name: function(model, weights, disorder)})
        if plan.snapshots:
            _add(values, {"weights": flat(weights)})
        return {name: jnp.asarray(value) for name, value in values.items()}

    values = jax.vmap(one)(moving)
    if plan.distance:
        _add(values, {"replica_distance": replica_distance(_weights(rule, chain))})
    return values


def trajectory(
    model: AbstractModel,
    rule: AbstractDynamics,
    key: PRNGKeyArray,
    *,
    steps: int,
    sizes: tuple[int, ...],
    replicas: int = 1,
    times: Sequence[int] | None = None,
    observables: Mapping[str, Observable] | None = None,
    final: Mapping[str, Observable] | None = None,
    accumulators: Sequence[Any] = (),
    stop: AbstractStop | None = None,
    share_start: bool = False,
    share_batches: bool = False,
    snapshots: bool = False,
    sample: Integer[Array, ""] | int = 0,
) -> Trajectory:
    """A run as a pure function of its parameters, for ``jax.grad``, ``jax.vmap`` and ``jax.jit``.

    ``key`` is a typed key; ``trajectory`` with ``jax.random.key(seed)`` and ``sample=a`` has the random numbers of disorder
    sample ``a`` of ``simulate(seed=seed)``. ``sizes`` is ``model.sizes(size)``; ``times`` are observation steps (default:
    every step). Fields of ``model`` and ``rule`` may be tracers: put them there with ``equinox.tree_at``. The floating type
    is JAX's current default; open ``jax.enable_x64(True)`` around the differentiation for float64. Reverse mode keeps the
    state of every step in memory. Nothing is checked and nothing raises on divergence: look at ``first_bad``.
    """
    observed = np.arange(steps + 1) if times is None else np.asarray(times)
    dtype = jnp.result_type(float)
    plan = Plan(
        sizes=tuple(sizes),
        replicas=replicas,
        slots=len(observed),
        dtype=dtype.name,
        share_start=share_start,
        share_batches=share_batches,
        distance=share_start and replicas > 1,
        snapshots=snapshots,
        observables=dict(observables or {}),
        final=dict(final or {}),
        accumulators=tuple(accumulators),
        stop=stop,
    )
    model, rule, plan = traced(model, dtype), traced(rule, dtype), traced(plan, dtype)
    disorder, carry, row = begin(model, rule, plan, key, sample)
    slots = slots_of(observed, 0, steps)
    carry, rows = advance(model, rule, plan, key, sample, disorder, carry, 0, steps, jnp.asarray(slots))
    records = jax.tree.map(lambda r: r[: int(np.sum(slots >= 0))], rows)
    if observed[0] == 0:
        records = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), row, records)
    values = finish(model, rule, plan, disorder, carry)
    return Trajectory(records, values, _weights(rule, carry.chain), carry.first_bad, carry.stopped)


def _step(
    model: AbstractModel,
    rule: AbstractDynamics,
    plan: Plan,
    keys: Key[Array, ...],
    disorder: Disorder,
    carry: Carry,
    i: Integer[Array, ""],
) -> Carry:
    moving, fixed = eqx.partition(carry.chain, eqx.is_array)

    def one(moving: ChainState, key: PRNGKeyArray) -> ChainState:
        state = rule.step(model, eqx.combine(moving, fixed), disorder, jax.random.fold_in(key, i))
        return eqx.filter(state, eqx.is_array)

    new = jax.vmap(one, in_axes=(0, None if plan.share_batches else 0))(moving, keys)
    if plan.stop is not None:
        new = _hold(carry.stopped >= 0, moving, new)
    chain = eqx.combine(new, fixed)
    weights = _weights(rule, chain)
    step = i + 1
    accumulators = tuple(
        jax.vmap(a.update, in_axes=(0, 0, None))(s, weights, step)
        for a, s in zip(plan.accumulators, carry.accumulators, strict=True)
    )
    if plan.stop is not None:
        accumulators = _hold(carry.stopped >= 0, carry.accumulators, accumulators)
    bad = (carry.first_bad < 0) & ~_finite(weights, plan.replicas)
    carry = Carry(chain, jnp.where(bad, step, carry.first_bad), carry.stopped, accumulators)
    return _stop(model, plan, carry, weights, disorder, step)


def _stop(
    model: AbstractModel, plan: Plan, carry: Carry, weights: Weights, disorder: Disorder, step: Integer[Array, ""]
) -> Carry:
    stop = plan.stop
    if stop is None:
        return carry
    met = lax.cond(
        step % stop.every == 0,
        lambda: jax.vmap(lambda w: jnp.asarray(stop(model, w, disorder), bool))(weights),
        lambda: jnp.zeros(plan.replicas, bool),
    )
    return eqx.tree_at(lambda c: c.stopped, carry, jnp.where((carry.stopped < 0) & met, step, carry.stopped))


def _hold(frozen: Bool[Array, " replica"], old: PyTree, new: PyTree) -> PyTree:
    """The old state where a replica is frozen, the new one elsewhere."""
    return jax.tree.map(lambda o, n: jnp.where(frozen.reshape(-1, *[1] * (n.ndim - 1)), o, n), old, new)


def _weights(rule: AbstractDynamics, chain: ChainState) -> Weights:
    moving, fixed = eqx.partition(chain, eqx.is_array)
    return jax.vmap(lambda m: rule.weights(eqx.combine(m, fixed)))(moving)


def _finite(weights: Weights, replicas: int) -> Bool[Array, " replica"]:
    """Whether every weight of a replica is finite; integers always are."""
    good = jnp.ones(replicas, bool)
    for leaf in jax.tree.leaves(weights):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            good = good & jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    return good


def _add(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if name in values:
            raise ParameterError(f"observable names must be distinct, got {name!r} twice")
        values[name] = value
