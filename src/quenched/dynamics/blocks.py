"""The host's loop of a simulation: blocks of disorder samples, chunks of steps.

Disorder samples of small systems are mapped together in blocks: one sample alone costs the dispatch of its calls, thousands
of samples would cost nothing else. Large systems fill the processor with one sample, and run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from quenched.dynamics.checkpoint import Checkpoint, Position, restore
from quenched.dynamics.engine import advance, begin, finish
from quenched.dynamics.plan import Carry, Plan, Rows, slots_of
from quenched.dynamics.progress import Bar
from quenched.dynamics.recording import Records
from quenched.models.base import Disorder
from quenched.numerics.checks import DivergenceError

# measured on a CPU: blocks of small systems are up to 14 times faster (d = 10), blocks beyond the cache are slower than
# single samples; a few samples are done before the mapped code, which takes twice as long to compile, pays
_BLOCK_BYTES = 2e6
_LEAST_BLOCK = 8

_OVER_SAMPLES = eqx.if_array(0)
_BEGIN = eqx.filter_jit(begin)
_BEGIN_BLOCK = eqx.filter_jit(eqx.filter_vmap(begin, in_axes=(None, None, None, None, 0)))
_ADVANCE = eqx.filter_jit(advance)
_ADVANCE_BLOCK = eqx.filter_jit(
    eqx.filter_vmap(advance, in_axes=(None, None, None, None, 0, _OVER_SAMPLES, _OVER_SAMPLES, None, None, None))
)
_FINISH = eqx.filter_jit(finish)
_FINISH_BLOCK = eqx.filter_jit(eqx.filter_vmap(finish, in_axes=(None, None, None, _OVER_SAMPLES, _OVER_SAMPLES)))


class Run(NamedTuple):
    """A validated simulation, ready for compiled code: traced model, rule and plan, and what the host does around them."""

    model: Any
    rule: Any
    plan: Plan
    root: PRNGKeyArray
    steps: int
    observed: np.ndarray
    chunk: int
    disorder: int
    block: int
    raising: bool
    two_time: bool
    keep_weights: bool


def execute(run: Run, file: Checkpoint | None, progress: bool) -> Records:
    """Every block, from the checkpoint's position on."""
    records = Records(run.disorder, len(run.observed), keep_weights=run.keep_weights)
    saved = None if file is None else file.read(records)
    with Bar(run.disorder * run.steps, progress) as bar:
        for first in range(0 if saved is None else saved[0].sample, run.disorder, run.block):
            resumed = saved if saved is not None and saved[0].sample == first else None
            _block(run, first, resumed, file, records, bar)
    return records


def automatic_block(run: Run) -> int:
    """Disorder samples per block: as many as fit into a cache, in equal blocks; 1 where few would fit or few are asked for."""
    if run.disorder < _LEAST_BLOCK:
        return 1
    shapes = eqx.filter_eval_shape(begin, run.model, run.rule, run.plan, run.root, 0)
    bytes_of_one = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes) if hasattr(leaf, "dtype"))
    most = min(run.disorder, int(_BLOCK_BYTES / bytes_of_one))
    return 1 if most < _LEAST_BLOCK else -(-run.disorder // -(-run.disorder // most))


def rows_per_chunk(observed: np.ndarray, chunk: int, snapshots: bool) -> int:
    """Observations that one chunk has to hold. Snapshots of weights are large: there the need is rounded up to a power of
    two, while everything else gets a row per step and never depends on the observation times."""
    if not snapshots:
        return chunk
    most = int(np.max(np.searchsorted(observed, observed + chunk) - np.arange(len(observed))))
    return min(chunk, 1 << (most - 1).bit_length())


def _block(
    run: Run, first: int, resumed: tuple[Position, list[np.ndarray]] | None, file: Checkpoint | None, records: Records, bar: Bar
) -> None:
    # the last block may reach beyond the last sample: its shape, and with it the compiled code, stays the same
    samples = np.arange(first, first + run.block, dtype=np.uint32)
    real = min(run.block, run.disorder - first)
    disorder, carry, row = _call(run, _BEGIN, _BEGIN_BLOCK, run.root, samples)
    if resumed is None or resumed[0].step == 0:
        step = 0
        _check(run, carry, first)
        if run.observed[0] == 0:
            records.put(first, 0, {name: _blocked(run, r)[:, None] for name, r in row.items()}, 1)
    else:
        step, carry = resumed[0].step, restore(carry, resumed[1])
    while step < run.steps:
        last = min(step + run.chunk, run.steps)
        arrived = run.plan.stop is not None and bool(np.all(_blocked(run, carry.stopped)[:real] >= 0))
        if arrived:
            # nothing moves any more: one observation of the frozen state serves all times that are left
            slots = np.full(run.chunk, -1, np.int32)
            slots[0] = 0
            carry, rows = _advance(run, samples, disorder, carry, step, step + 1, slots)
            last = run.steps
        else:
            slots = slots_of(run.observed, step, last, run.chunk)
            carry, rows = _advance(run, samples, disorder, carry, step, last, slots)
            _check(run, carry, first)
        slot, end = (int(i) for i in np.searchsorted(run.observed, [step, last], side="right"))
        if end > slot:
            seen = {name: _blocked(run, r) for name, r in rows.items()}
            if arrived:
                seen = {name: np.repeat(r[:, :1], end - slot, axis=1) for name, r in seen.items()}
            records.put(first, slot, seen, end - slot)
            bar.look({name: r[:real, end - slot - 1] for name, r in seen.items()})
        step = last
        bar.update(first * run.steps + step * real)
        if file is not None and step < run.steps:
            file.write(Position(first, step), carry, records)
    _conclude(run, first, real, disorder, carry, records)
    if file is not None and first + run.block < run.disorder:
        file.write(Position(first + run.block, 0), None, records)


def _conclude(run: Run, first: int, real: int, disorder: Disorder, carry: Carry, records: Records) -> None:
    """What is known once a block has made its last step."""
    once = {}
    if run.plan.final or run.plan.accumulators:
        once = _call(run, _FINISH, _FINISH_BLOCK, disorder, carry)
    if run.plan.stop is not None:
        once["stop_step"] = carry.stopped
    if not run.raising:
        once["first_bad_step"] = carry.first_bad
    records.put_once(first, {name: _blocked(run, value) for name, value in once.items()})
    if run.two_time:
        pairs = run.plan.share_start and run.plan.replicas > 1
        records.two_time(first, real, pairs=pairs)


def _advance(
    run: Run, samples: np.ndarray, disorder: Disorder, carry: Carry, first: int, last: int, slots: np.ndarray
) -> tuple[Carry, Rows]:
    bounds = (np.int32(first), np.int32(last), slots)
    return _call(run, _ADVANCE, _ADVANCE_BLOCK, run.root, samples, disorder, carry, *(jnp.asarray(b) for b in bounds))


def _call(run: Run, single: Callable[..., Any], mapped: Callable[..., Any], *arguments: Any) -> Any:
    """One sample is not mapped at all: a mapped axis of length one would cost it its plain matrix products."""
    if run.block > 1:
        return mapped(run.model, run.rule, run.plan, *(jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments))
    return single(run.model, run.rule, run.plan, *(jnp.asarray(a[0]) if isinstance(a, np.ndarray) else a for a in arguments))


def _blocked(run: Run, value: Any) -> np.ndarray:
    """A result on the host, with the axis of disorder samples in front."""
    array = np.asarray(value)
    return array if run.block > 1 else array[None]


def _check(run: Run, carry: Carry, first: int) -> None:
    if not run.raising:
        return
    bad = _blocked(run, carry.first_bad)[: run.disorder - first]
    if np.any(bad >= 0):
        sample, replica = np.argwhere((bad >= 0) & (bad == bad[bad >= 0].min()))[0]
        raise DivergenceError(
            f"weights became non-finite at step {bad[sample, replica]} (disorder sample {first + sample}, replica {replica}); "
            'take smaller steps, or on_divergence="record" to keep the run'
        )
