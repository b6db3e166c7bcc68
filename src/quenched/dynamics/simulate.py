"""``simulate``: the microscopic dynamics of a model at finite size, as a labelled Dataset."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.blocks import Run, automatic_block, execute, rows_per_chunk
from quenched.dynamics.checkpoint import Checkpoint
from quenched.dynamics.plan import Observable, Plan
from quenched.dynamics.recording import Records
from quenched.dynamics.stops import AbstractStop
from quenched.models.base import AbstractModel
from quenched.models.structured import in_ensemble
from quenched.numerics import checks
from quenched.numerics.checks import DivergenceError
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset, describe_argument, environment

_COORDINATES = ("disorder", "replica", "t", "t_prime", "step", "step_prime")


def simulate(
    model: AbstractModel,
    rule: AbstractDynamics,
    *,
    steps: int,
    size: int | None = None,
    ensemble: str | None = None,
    replicas: int = 1,
    disorder: int = 1,
    seed: int = 0,
    times: Sequence[Any] | np.ndarray | None = None,
    observables: Mapping[str, Observable] | None = None,
    final: Mapping[str, Observable] | None = None,
    accumulators: Sequence[Any] = (),
    two_time: bool = False,
    record_weights: bool = False,
    share_start: bool = False,
    share_batches: bool = False,
    stop: AbstractStop | None = None,
    on_divergence: str = "raise",
    dtype: str = "float32",
    chunk: int = 64,
    block: int | None = None,
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> xr.Dataset:
    """Run a dynamics on a model for ``steps`` steps and return its order parameters, dims (disorder, replica, t, ...).

    Args:
        model: the disorder and what the state sees of it.
        rule: how one replica moves.
        steps: number of steps, >= 1.
        size: the dimension d (number of spins N, ...); None for models of given data.
        ensemble: "structured" takes a Gaussian single-layer model on fast structured data with the same infinite-size limit, at
            O(d log d) per step (``models.StructuredEnsemble``, as which the model is described). Default None: data as the
            model draws them.
        replicas: replicas per disorder sample: same data, independent starts and batches unless shared. They move together as
            one matrix.
        disorder: number of independent disorder samples.
        seed: 0 <= seed < 2**32. The random numbers of a replica follow from (seed, disorder sample, replica, step) alone.
        times: observation steps, increasing, within [0, steps]. Default: every step up to 200 steps, about 100 linear times
            beyond.
        observables: name -> function (model, weights, disorder) of one replica, at the observation times; added to those of
            model and rule.
        final: the same, evaluated once at the end; dims (disorder, replica, ...).
        accumulators: streaming observables, updated after every step.
        two_time: also ``correlation`` C(t,t') = w(t).w(t')/N at the observation times, and ``replica_correlation`` with
            ``share_start`` and at least two replicas. Keeps replicas * times * N weights of a block in memory.
        record_weights: also ``weights`` (disorder, replica, t, parameter), every array of the state flattened in turn.
        share_start: all replicas of a sample start at the same weights; then ``replica_distance``, the mean over the other
            replicas of |w_i - w_j|^2/N, is recorded.
        share_batches: the replicas of a sample have the same batches and thermal noise.
        stop: a condition that freezes a replica that meets it; adds ``stop_step`` (-1: never).
        on_divergence: ``"raise"`` a ``DivergenceError`` that names the step, or ``"record"`` it in ``first_bad_step`` (-1:
            never).
        dtype: floating type of data and weights, ``"float32"`` or ``"float64"``.
        chunk: steps between two visits of the host (progress, checkpoint, divergence); does not change any number.
        block: disorder samples mapped together; default from their memory. Changes last bits only.
        progress: show a bar with the current loss and overlap.
        checkpoint: file from which an interrupted call, repeated with the same arguments, goes on bit for bit; removed at the
            end.

    Raises:
        ParameterError: a bad value; nothing has been computed or written.
        IncompatibleError: the rule or the stop condition needs what the model lacks.
        DivergenceError: weights became non-finite; an existing checkpoint keeps the last good state.

    ``simulate(**rebuild(ds))`` makes the Dataset again. Replica numbers and block sizes change the shapes of matrix products,
    and with them last bits.
    """
    job = prepare(
        model,
        rule,
        steps=steps,
        size=size,
        ensemble=ensemble,
        replicas=replicas,
        disorder=disorder,
        seed=seed,
        times=times,
        observables=observables,
        final=final,
        accumulators=accumulators,
        two_time=two_time,
        record_weights=record_weights,
        share_start=share_start,
        share_batches=share_batches,
        stop=stop,
        on_divergence=on_divergence,
        dtype=dtype,
        chunk=chunk,
        block=block,
    )
    file = None if checkpoint is None else Checkpoint(checkpoint, {**job.description, "environment": environment()})
    with jax.enable_x64(dtype == "float64"):
        (answer,) = execute(job.run, file, progress)
    if isinstance(answer, DivergenceError):
        raise answer
    ds = package(job, answer)
    if file is not None:
        file.remove()
    return ds


class Job(NamedTuple):
    """A simulation whose arguments have been checked: what is executed, and what its Dataset says about it.

    ``physical`` are the times of the observations.
    """

    run: Run
    description: dict[str, Any]
    physical: np.ndarray


def prepare(
    model: AbstractModel,
    rule: AbstractDynamics,
    *,
    steps: int,
    size: int | None,
    ensemble: str | None,
    replicas: int,
    disorder: int,
    seed: int,
    times: Sequence[Any] | np.ndarray | None,
    observables: Mapping[str, Observable] | None,
    final: Mapping[str, Observable] | None,
    accumulators: Sequence[Any],
    two_time: bool,
    record_weights: bool,
    share_start: bool,
    share_batches: bool,
    stop: AbstractStop | None,
    on_divergence: str,
    dtype: str,
    chunk: int,
    block: int | None,
) -> Job:
    """Check and describe a call of ``simulate``; nothing is computed. Arguments and errors are those of ``simulate``."""
    checks.instance("model", model, AbstractModel)
    checks.instance("rule", rule, AbstractDynamics)
    model = in_ensemble(model, ensemble)
    rule.check(model)
    if stop is not None:
        checks.instance("stop", stop, AbstractStop)
        stop.check(model)
    steps = checked_count("steps", steps)
    replicas = checked_count("replicas", replicas)
    disorder = checked_count("disorder", disorder)
    chunk = checked_count("chunk", chunk)
    seed = _integer("seed", seed)
    checks.seed(seed)
    size = None if size is None else _integer("size", size)
    if share_start and replicas < 2:
        raise checks.ParameterError(f"replicas must be >= 2 with share_start, which compares them, got {replicas!r}")
    block = None if block is None else min(checked_count("block", block), disorder)
    checks.one_of("on_divergence", on_divergence, ("raise", "record"))
    checks.one_of("dtype", dtype, ("float32", "float64"))
    observed = observation_steps(times, steps)
    physical = rule.times(steps)[observed]
    for sentence in model.cautions(rule.core):
        # the caller of simulate, two frames up, is who can change the rule
        warnings.warn(sentence, checks.QuenchedWarning, stacklevel=3)
    for name in {**(observables or {}), **(final or {})}:
        if name in _COORDINATES:
            raise checks.ParameterError(f"observable names must be new, and {name!r} is the name of a coordinate")
    prepared = model.prepare()
    snapshots = bool(two_time or record_weights)
    plan = Plan(
        sizes=prepared.sizes(size),
        replicas=replicas,
        slots=rows_per_chunk(observed, chunk, snapshots),
        dtype=dtype,
        share_start=bool(share_start),
        share_batches=bool(share_batches),
        distance=bool(share_start) and replicas > 1,
        snapshots=snapshots,
        observables=dict(observables or {}),
        final=dict(final or {}),
        accumulators=tuple(accumulators),
        stop=stop,
    )
    with jax.enable_x64(dtype == "float64"):
        on_device = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, prepared)
        run = Run(
            *traced((on_device, rule, plan), dtype),
            root=jax.random.key(np.uint32(seed), impl="threefry2x32"),
            steps=steps,
            observed=observed,
            chunk=chunk,
            disorder=disorder,
            block=block or 1,
            raising=on_divergence == "raise",
            two_time=bool(two_time),
            keep_weights=bool(record_weights),
        )
        if block is None:
            run = run._replace(block=automatic_block(run))
    arguments = {
        "model": model,
        "rule": rule,
        "steps": steps,
        "size": size,
        "replicas": replicas,
        "disorder": disorder,
        "seed": seed,
        "times": None if times is None else observed.tolist(),
        "observables": plan.observables,
        "final": plan.final,
        "accumulators": plan.accumulators,
        "two_time": bool(two_time),
        "record_weights": bool(record_weights),
        "share_start": plan.share_start,
        "share_batches": plan.share_batches,
        "stop": stop,
        "on_divergence": on_divergence,
        "dtype": dtype,
        # the block decides about last bits: it belongs to the description, so that the same numbers come again on another machine
        "block": run.block,
    }
    return Job(run, {name: describe_argument(value) for name, value in arguments.items()}, physical)


def package(job: Job, records: Records, **provenance: Any) -> xr.Dataset:
    """The Dataset of a finished simulation; ``provenance`` is added to the description of the call."""
    coords: dict[str, Any] = {"t": job.physical, "step": ("t", job.run.observed)}
    if job.run.two_time:
        coords |= {"t_prime": job.physical, "step_prime": ("t_prime", job.run.observed)}
    return dataset(records.variables(), coords, {"engine": "simulate", **job.description, **provenance})


def observation_steps(times: Sequence[Any] | np.ndarray | None, steps: int, *, every: bool = False) -> np.ndarray:
    """The observation steps as int64: the caller's, or by default all, in long runs about 100 unless ``every``."""
    if times is None:
        return np.arange(steps + 1) if every or steps <= 200 else np.unique(np.round(np.linspace(0, steps, 101)).astype(np.int64))
    chosen = np.asarray(times)
    if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
        raise checks.ParameterError(f"times must be a sequence of integer steps, got {times!r}")
    if chosen.min() < 0 or chosen.max() > steps or np.any(np.diff(chosen.astype(np.int64)) <= 0):
        raise checks.ParameterError(f"times must increase within [0, steps={steps}], got {times!r}")
    return chosen.astype(np.int64)


def checked_count(name: str, value: Any) -> int:
    """A Python integer >= 1; NumPy integers are accepted."""
    number = _integer(name, value)
    checks.integer_at_least(name, number, 1)
    return number


def _integer(name: str, value: Any) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise checks.ParameterError(f"{name} must be an integer, got {value!r}") from None
