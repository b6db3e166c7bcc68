"""The host's loop of a simulation: points, blocks of disorder samples, chunks of steps.

Disorder samples of small systems are mapped together in blocks: one sample alone costs the dispatch of its calls, thousands
of samples would cost nothing else. Large systems fill the processor with one sample, and run one after the other. Several
points (models, rules and seeds of equal shapes) may share the calls; one point is the usual case.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

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


class Run(NamedTuple):
    """A validated simulation, ready for compiled code: traced model, rule and plan, and what the host does around them.

    Of several points, model, rule and plan are those of the first, ``root`` holds their keys, and ``numbers`` is
    (model, rule, plan) with the scalars of all points stacked and everything else None.
    """

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
    points: int = 1
    numbers: PyTree = None


class Answers:
    """The records of every point, and the error of those that diverged: nothing more is entered for them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.records = [Records(run.disorder, len(run.observed), keep_weights=run.keep_weights) for _ in range(run.points)]
        self.errors: dict[int, DivergenceError] = {}

    @property
    def left(self) -> list[int]:
        """The points that have not diverged."""
        return [point for point in range(self.run.points) if point not in self.errors]

    def put(self, first: int, slot: int, seen: Mapping[str, np.ndarray], count: int) -> None:
        """Enter ``count`` observations, arrays (points, block, count or more, replica, ...), from number ``slot`` on."""
        for point in self.left:
            self.records[point].put(first, slot, {name: rows[point] for name, rows in seen.items()}, count)

    def put_once(self, first: int, real: int, values: Mapping[str, np.ndarray]) -> None:
        """Enter what is known at the end of a block of ``real`` samples, arrays (points, block, replica, ...)."""
        pairs = self.run.plan.share_start and self.run.plan.replicas > 1
        for point in self.left:
            self.records[point].put_once(first, {name: value[point] for name, value in values.items()})
            if self.run.two_time:
                self.records[point].two_time(first, real, pairs=pairs)

    def check(self, first: int, steps: np.ndarray) -> None:
        """Note divergences, from the first bad steps (points, block, replica) of a block. Raises when no point is left."""
        for point in self.left:
            bad = steps[point, : self.run.disorder - first]
            if np.any(bad >= 0):
                sample, replica = np.argwhere((bad >= 0) & (bad == bad[bad >= 0].min()))[0]
                self.errors[point] = DivergenceError(
                    f"weights became non-finite at step {bad[sample, replica]} (disorder sample {first + sample}, "
                    f'replica {replica}); take smaller steps, or on_divergence="record" to keep the run'
                )
        if not self.left:
            raise self.errors[0]

    def __iter__(self) -> Iterator[Records | DivergenceError]:
        return (self.errors.get(point, records) for point, records in enumerate(self.records))


def execute(run: Run, file: Checkpoint | None, progress: bool) -> list[Records | DivergenceError]:
    """Every block, from the checkpoint's position on; an answer per point. Only a single point may have a checkpoint."""
    answers = Answers(run)
    saved = None if file is None else file.read(answers.records[0])
    # a divergence is an answer; it ends the loop where no other point is left
    with Bar(run.disorder * run.steps, progress) as bar, contextlib.suppress(DivergenceError):
        for first in range(0 if saved is None else saved[0].sample, run.disorder, run.block):
            resumed = saved if saved is not None and saved[0].sample == first else None
            _block(run, first, resumed, file, answers, bar)
    return list(answers)


def automatic_block(run: Run) -> int:
    """Disorder samples per block: as many as fit into a cache, in equal blocks; 1 where few would fit or few are asked for."""
    if run.disorder < _LEAST_BLOCK:
        return 1
    most = min(run.disorder, int(_BLOCK_BYTES / sample_bytes(run)))
    return 1 if most < _LEAST_BLOCK else -(-run.disorder // -(-run.disorder // most))


def sample_bytes(run: Run) -> int:
    """Memory of the disorder and the state of one sample of one point."""
    leaves, structure = jax.tree.flatten((run.model, run.rule, run.plan))
    arrays, static = eqx.partition(tuple(leaves), eqx.is_array)
    return sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(_begun.eval_shape(structure, static, arrays, run.root))
    )


# never run: a compiled function keeps its traces, so that only the first call of a shape costs time
@functools.partial(jax.jit, static_argnums=(0, 1))
def _begun(structure: Any, static: tuple[Any, ...], arrays: tuple[Any, ...], root: PRNGKeyArray) -> PyTree:
    model, rule, plan = jax.tree.unflatten(structure, eqx.combine(arrays, static))
    return eqx.filter(begin(model, rule, plan, root, 0), eqx.is_array)


def rows_per_chunk(observed: np.ndarray, chunk: int, snapshots: bool) -> int:
    """Observations that one chunk has to hold. Snapshots of weights are large: there the need is rounded up to a power of
    two, while everything else gets a row per step and never depends on the observation times."""
    if not snapshots:
        return chunk
    most = int(np.max(np.searchsorted(observed, observed + chunk) - np.arange(len(observed))))
    return min(chunk, 1 << (most - 1).bit_length())


# ---- compiled code: each function for one sample or a block of samples, of one point or of several


class _Forms(NamedTuple):
    sample: Callable[..., Any]
    block: Callable[..., Any]
    sample_of_points: Callable[..., Any]
    block_of_points: Callable[..., Any]


def _forms(function: Callable[..., Any], samples: tuple[Any, ...], points: tuple[bool, ...]) -> _Forms:
    """``samples`` and ``points``: which arguments after model, rule and plan belong to a sample, and which to a point."""
    block = eqx.filter_vmap(function, in_axes=(None, None, None, *samples))
    return _Forms(
        eqx.filter_jit(function),
        eqx.filter_jit(block),
        eqx.filter_jit(_over_points(function, points, function.__name__)),
        eqx.filter_jit(_over_points(block, points, function.__name__)),
    )


def _over_points(function: Callable[..., Any], own: tuple[bool, ...], name: str) -> Callable[..., Any]:
    """The same for several points in one program: ``own`` tells which arguments have an entry for every point.

    One point after the other, not mapped: a mapped program is hardly faster, slower beyond the cache, and the place of a point
    in it decides about last bits (remainders of vector loops, alignment). Here every point runs through the same code.
    """

    def points(numbers: PyTree, shared: PyTree, *arguments: Any) -> Any:
        arrays, fixed = eqx.partition(tuple(a if mine else None for a, mine in zip(arguments, own, strict=True)), eqx.is_array)
        fixed_results: list[PyTree] = []

        def one(point: tuple[PyTree, PyTree]) -> PyTree:
            own_numbers, own_arrays = point
            found = zip(eqx.combine(own_arrays, fixed), arguments, own, strict=True)
            result = function(*eqx.combine(own_numbers, shared), *(entry if mine else common for entry, common, mine in found))
            fixed_results.append(eqx.filter(result, eqx.is_array, inverse=True))
            return eqx.filter(result, eqx.is_array)

        return eqx.combine(jax.lax.map(one, (numbers, arrays)), fixed_results[0])

    # compiled programs are listed by name in profiles and caches
    points.__name__ = name
    return points


_MAPPED = eqx.if_array(0)
_BEGIN = _forms(begin, samples=(None, 0), points=(True, False))
_ADVANCE = _forms(
    advance,
    samples=(None, 0, _MAPPED, _MAPPED, None, None, None),
    points=(True, False, True, True, False, False, False),
)
_FINISH = _forms(finish, samples=(_MAPPED, _MAPPED), points=(True, True))


def is_number(leaf: Any) -> bool:
    """A parameter that points of one batch may differ in: a traced scalar."""
    return eqx.is_array(leaf) and leaf.ndim == 0


def _call(run: Run, forms: _Forms, *arguments: Any) -> Any:
    """One sample is not mapped at all: a mapped axis of length one would cost it its plain matrix products."""
    mapped = run.block > 1
    ready = [(jnp.asarray(a) if mapped else jnp.asarray(a[0])) if isinstance(a, np.ndarray) else a for a in arguments]
    system = (run.model, run.rule, run.plan)
    if run.points == 1:
        return (forms.block if mapped else forms.sample)(*system, *ready)
    shared = eqx.filter(system, is_number, inverse=True)
    return (forms.block_of_points if mapped else forms.sample_of_points)(run.numbers, shared, *ready)


def _host(run: Run, value: Any) -> np.ndarray:
    """A result on the host, with the axes of points and of disorder samples in front."""
    array = np.asarray(value)
    return array.reshape(run.points, run.block, *array.shape[(run.points > 1) + (run.block > 1) :])


# ---- the loop


def _block(
    run: Run,
    first: int,
    resumed: tuple[Position, list[np.ndarray]] | None,
    file: Checkpoint | None,
    answers: Answers,
    bar: Bar,
) -> None:
    # the last block may reach beyond the last sample: its shape, and with it the compiled code, stays the same
    samples = np.arange(first, first + run.block, dtype=np.uint32)
    real = min(run.block, run.disorder - first)
    disorder, carry, row = _call(run, _BEGIN, run.root, samples)
    if resumed is None or resumed[0].step == 0:
        step = 0
        _check(run, carry, first, answers)
        if run.observed[0] == 0:
            answers.put(first, 0, {name: _host(run, r)[:, :, None] for name, r in row.items()}, 1)
    else:
        step, carry = resumed[0].step, restore(carry, resumed[1])
    while step < run.steps:
        last = min(step + run.chunk, run.steps)
        arrived = run.plan.stop is not None and bool(np.all(_host(run, carry.stopped)[answers.left, :real] >= 0))
        if arrived:
            # nothing moves any more: one observation of the frozen state serves all times that are left
            slots = np.full(run.chunk, -1, np.int32)
            slots[0] = 0
            carry, rows = _advance(run, samples, disorder, carry, step, step + 1, slots)
            last = run.steps
        else:
            slots = slots_of(run.observed, step, last, run.chunk)
            carry, rows = _advance(run, samples, disorder, carry, step, last, slots)
            _check(run, carry, first, answers)
        slot, end = (int(i) for i in np.searchsorted(run.observed, [step, last], side="right"))
        if end > slot:
            seen = {name: _host(run, r) for name, r in rows.items()}
            if arrived:
                seen = {name: np.repeat(r[:, :, :1], end - slot, axis=2) for name, r in seen.items()}
            answers.put(first, slot, seen, end - slot)
            bar.look({name: r[0, :real, end - slot - 1] for name, r in seen.items()})
        step = last
        bar.update(first * run.steps + step * real)
        if file is not None and step < run.steps:
            file.write(Position(first, step), carry, answers.records[0])
    answers.put_once(first, real, _once(run, disorder, carry))
    if file is not None and first + run.block < run.disorder:
        file.write(Position(first + run.block, 0), None, answers.records[0])


def _once(run: Run, disorder: Disorder, carry: Carry) -> dict[str, np.ndarray]:
    """What is known once a block has made its last step."""
    once = {}
    if run.plan.final or run.plan.accumulators:
        once = _call(run, _FINISH, disorder, carry)
    if run.plan.stop is not None:
        once["stop_step"] = carry.stopped
    if not run.raising:
        once["first_bad_step"] = carry.first_bad
    return {name: _host(run, value) for name, value in once.items()}


def _advance(
    run: Run, samples: np.ndarray, disorder: Disorder, carry: Carry, first: int, last: int, slots: np.ndarray
) -> tuple[Carry, Rows]:
    bounds = (np.int32(first), np.int32(last), slots)
    return _call(run, _ADVANCE, run.root, samples, disorder, carry, *(jnp.asarray(b) for b in bounds))


def _check(run: Run, carry: Carry, first: int, answers: Answers) -> None:
    if run.raising:
        answers.check(first, _host(run, carry.first_bad))
