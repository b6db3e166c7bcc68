"""Several rules beside each other: names for batch processes, and one Dataset over the dimension ``rule``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import xarray as xr

from quenched.dynamics import (
    IID,
    AbstractSampling,
    Epochs,
    Fresh,
    Full,
    GaussianBatch,
    Gradient,
    Minibatch,
    Persistent,
    Reshuffled,
)


def batch_name(batches: AbstractSampling) -> str:
    """The name of a batch process in a legend."""
    if isinstance(batches, Full):
        return "GD"
    if isinstance(batches, IID):
        return f"SGD, b={batches.fraction:g}"
    if isinstance(batches, Persistent):
        return f"persistent SGD, b={batches.fraction:g}, τ={batches.time:g}"
    if isinstance(batches, Epochs):
        return f"epochs, b={batches.fraction:g}"
    if isinstance(batches, Minibatch):
        return f"minibatches, S={batches.size}"
    if isinstance(batches, Reshuffled):
        return f"reshuffled minibatches, S={batches.size}"
    if isinstance(batches, GaussianBatch):
        return f"Gaussian minibatches, S={batches.size}"
    if isinstance(batches, Fresh):
        return "one pass"
    return type(batches).__name__


def with_batches(rule: Gradient, batches: AbstractSampling) -> Gradient:
    """The same rule with another batch process."""
    return dataclasses.replace(rule, batches=batches)


def named(rules: Iterable[Gradient]) -> dict[str, Gradient]:
    """The rules by the names of their batch processes, in order, without repetition."""
    return {batch_name(rule.batches): rule for rule in rules}


def beside(answers: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Answers of several rules joined along ``rule``, whose coordinate is the name of the batch process.

    Variables that not every rule has are dropped; a deterministic answer is one sample of ``disorder``. Provenance is that of
    the study: the attributes of single runs are dropped.
    """
    runs = [answer if "disorder" in answer.dims else answer.expand_dims("disorder") for answer in answers.values()]
    common = [name for name in runs[0].data_vars if all(name in run for run in runs)]
    names = xr.IndexVariable("rule", list(answers))
    joined = xr.concat([run[common] for run in runs], names, combine_attrs="drop", join="exact")
    # labels of the variables stay
    return joined.assign({name: joined[name].assign_attrs(runs[0][name].attrs) for name in common})
