"""``simulate_many``: several simulations of equal shapes in one compiled call.

A small simulation costs the host more time than the processor: for its calls, for their results. Several of them share that. The
points of a call run through the same code one after the other, so that neither their company nor their order decides about a bit.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PyTree

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.blocks import Run, execute, is_number
from quenched.dynamics.simulate import Job, checked_count, package, prepare, simulate
from quenched.models.base import AbstractModel
from quenched.numerics.checks import ParameterError
from quenched.records.description import canonical_json, describe

_SIGNATURE = inspect.signature(simulate)
# measured on a CPU: half a megabyte per sample gains a third, beyond 16 points nothing more is gained
_BATCH_BYTES = 2e6
_WIDEST = 16
_OF_ONE = ("seed", "checkpoint")


def simulate_many(
    points: Sequence[tuple[AbstractModel, AbstractDynamics]],
    *,
    seeds: Sequence[int],
    width: int | None = None,
    progress: bool = False,
    **arguments: Any,
) -> list[xr.Dataset | Exception]:
    """Run ``simulate`` for several points (model, rule), ``width`` of them in one compiled call.

    Points may differ in the numbers of their models and rules and in their seeds; types, integers, names, given data and the
    sizes that follow from them must be the same. ``seeds`` has one seed per point, ``arguments`` are those of ``simulate`` but
    ``checkpoint``. ``width`` is the number of points per call, default all: the last call is filled up with repetitions.

    Returns an answer per point: the Dataset of its own ``simulate`` up to last bits, with the width as ``batch`` in its
    provenance; or the exception that its ``simulate`` raises, while the others go on. The bits of an answer may depend on the
    width, and do not on the other points of the call.

    Saves a few milliseconds per simulation, worth it where one takes about as long: ``batch_width`` says how many to take.

    Raises ``ParameterError`` for points that are not alike, and for arguments that only a single simulation has.
    """
    if len(points) != len(seeds):
        raise ParameterError(f"seeds must be as many as points, {len(points)}, got {len(seeds)}")
    width = max(len(points), 1) if width is None else checked_count("width", width)
    shared = _with_defaults(arguments)
    jobs = [_attempt(model, rule, {**shared, "seed": seed}) for (model, rule), seed in zip(points, seeds, strict=True)]
    answers: list[xr.Dataset | Exception] = []
    for first in range(0, len(jobs), width):
        answers += _batch(jobs[first : first + width], width, progress)
    return answers


def shape_of(tree: PyTree) -> Hashable:
    """All of a component but its numbers: points in one batch have equal shapes."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(_kind(leaf) for leaf in leaves)


def batch_width(numbers: int) -> int:
    """How many points to compute in one call, from the ``numbers`` that one disorder sample consists of: 1, 2, 4, 8 or 16.

    What points share is time of the host. With more than a megabyte per sample a call of any length takes many times as long.
    """
    fitting = _BATCH_BYTES / (numbers * np.dtype(np.float32).itemsize)
    return min(1 << int(math.log2(max(fitting, 1))), _WIDEST)


def _batch(jobs: Sequence[Job | Exception], width: int, progress: bool) -> list[xr.Dataset | Exception]:
    sound = [job for job in jobs if isinstance(job, Job)]
    if not sound:
        return [job for job in jobs if isinstance(job, Exception)]
    # the batch keeps its shape: a place without a point repeats one
    full = [job if isinstance(job, Job) else sound[0] for job in jobs] + [sound[0]] * (width - len(jobs))
    with jax.enable_x64(sound[0].run.plan.dtype == "float64"):
        records = execute(_stacked([job.run for job in full]), None, progress)
    answers: list[xr.Dataset | Exception] = []
    for job, answer in zip(jobs, records, strict=False):
        if isinstance(job, Exception):
            answers.append(job)
        else:
            answers.append(answer if isinstance(answer, Exception) else package(job, answer, batch=width))
    return answers


def _stacked(runs: Sequence[Run]) -> Run:
    """One run of all points, with their numbers and keys along a first axis."""
    if len(runs) == 1:
        return runs[0]
    systems = [(run.model, run.rule, run.plan) for run in runs]
    if len({shape_of(system) for system in systems}) > 1:
        raise ParameterError(
            "points of one call must differ in numbers only: types, integers, names, given data and sizes must be the same, "
            f"got sizes {sorted({run.plan.sizes for run in runs})}"
        )
    own = [(*eqx.filter(system, is_number), run.root) for system, run in zip(systems, runs, strict=True)]
    *numbers, root = jax.tree.map(lambda *leaves: jnp.stack(leaves), *own)
    return runs[0]._replace(root=root, points=len(runs), numbers=tuple(numbers))


def _attempt(model: Any, rule: Any, arguments: Mapping[str, Any]) -> Job | Exception:
    try:
        return prepare(model, rule, **arguments)
    except Exception as error:
        return error


def _with_defaults(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of ``prepare`` that points share."""
    for name in _OF_ONE:
        if name in arguments:
            raise ParameterError(f"{name} is an argument of a single simulation, got {arguments[name]!r} for all points")
    bound = _SIGNATURE.bind(None, None, **arguments)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name not in ("model", "rule", "progress", *_OF_ONE)}


def _kind(leaf: Any) -> Hashable:
    if isinstance(leaf, float) or is_number(leaf):
        return "number"
    if eqx.is_array_like(leaf) and np.ndim(leaf) > 0:
        return canonical_json(describe(np.asarray(leaf)))
    return type(leaf), leaf
