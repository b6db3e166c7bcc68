"""A study whose experiment is a set of simulations: run one after the other, or together with those of other points.

Such a study says which calls of ``simulate`` it makes (``simulations``) and what it makes of their answers (``measured``). The
rest is here, so that the same experiment is made alone and in a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import xarray as xr

from quenched.dynamics import AbstractDynamics
from quenched.dynamics.many import batch_width, shape_of, simulate_many
from quenched.dynamics.simulate import simulate
from quenched.models.base import AbstractModel
from quenched.numerics.checks import ParameterError
from quenched.studies.batches import Together

Part = xr.Dataset | xr.DataTree | None
Name = TypeVar("Name")
Answer = TypeVar("Answer")


class Simulation(NamedTuple):
    """One call of ``simulate`` but its seed."""

    model: AbstractModel
    rule: AbstractDynamics
    arguments: Mapping[str, Any]

    def run(self, seed: int, progress: bool = False) -> xr.Dataset:
        """Make the call."""
        return simulate(self.model, self.rule, **self.arguments, seed=seed, progress=progress)

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """Static sizes; None for a model whose data have to be loaded first."""
        drawn = type(self.model).prepare is AbstractModel.prepare
        return self.model.sizes(self.arguments.get("size")) if drawn else None

    @property
    def width(self) -> int:
        """How many of such simulations are worth a batch; 1 for given data, a single large sample."""
        return 1 if self.sizes is None else batch_width(math.prod(self.sizes))


@runtime_checkable
class Simulated(Protocol):
    """A study that is made of simulations."""

    def simulations(self) -> Mapping[Any, Simulation]:
        """Every simulation, by a name."""

    def measured(self, answers: Mapping[Any, xr.Dataset]) -> Part:
        """The experiment, from the answers by name."""

    def theory(self, seed: int, progress: bool) -> Part: ...

    def outcome(self, seed: int, parts: Mapping[str, Part], batch: int | None = None) -> xr.DataTree: ...

    def fingerprint(self, seed: int = 0) -> str: ...


def one_by_one(simulations: Mapping[Name, Simulation], seed: int, progress: bool) -> dict[Name, xr.Dataset]:
    """The answers of simulations, run one after the other."""
    return {name: simulation.run(seed, progress) for name, simulation in simulations.items()}


def in_batches(study: Simulated) -> Together | None:
    """How points are computed together: their simulations in batches, their theories one after the other.

    None where a point is large, and for a point that cannot be simulated: it will say why when it is run.
    """
    try:
        simulations = list(study.simulations().values())
        width = min((one.width for one in simulations), default=1)
        shape = tuple((shape_of((one.model, one.rule, dict(one.arguments))), one.sizes) for one in simulations)
    except ParameterError:
        return None
    return Together(shape, width, compute) if width > 1 else None


def compute(studies: Sequence[Simulated], seeds: Sequence[int]) -> list[xr.DataTree | Exception]:
    """The outcomes of points that are alike, computed in a batch of their number."""
    calls = [study.simulations() for study in studies]
    answers = [
        simulate_many([(one.model, one.rule) for one in alike], seeds=seeds, **alike[0].arguments)
        for alike in zip(*(call.values() for call in calls), strict=True)
    ]
    found: dict[str, xr.DataTree | Exception] = {}
    for index, (study, seed) in enumerate(zip(studies, seeds, strict=True)):
        # a batch may be filled up with repetitions of a point, whose theory is solved once
        if study.fingerprint(seed) not in found:
            own = dict(zip(calls[index], (answer[index] for answer in answers), strict=True))
            found[study.fingerprint(seed)] = _outcome(study, seed, own, len(studies))
    return [found[study.fingerprint(seed)] for study, seed in zip(studies, seeds, strict=True)]


def _outcome(study: Simulated, seed: int, answers: Mapping[Any, xr.Dataset | Exception], width: int) -> xr.DataTree | Exception:
    try:
        theory = study.theory(seed, False)
        measured = study.measured({name: _sound(answer) for name, answer in answers.items()})
        return study.outcome(seed, {"theory": theory, "experiment": measured}, batch=width)
    except Exception as error:
        return error


def _sound(answer: Answer | Exception) -> Answer:
    if isinstance(answer, Exception):
        raise answer
    return answer
