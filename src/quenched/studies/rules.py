"""Several rules beside each other: names for batch processes, and one Dataset over the dimension ``rule``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import xarray as xr

from quenched.dynamics import IID, AbstractBatches, Epochs, Fresh, Full, Gradient, Persistent


def batch_name(batches: AbstractBatches) -> str:
    """The name of a batch process in a legend."""
    if isinstance(batches, Full):
        return "GD"
    if isinstance(batches, IID):
        return f"SGD, b={batches.fraction:g}"
    if isinstance(batches, Persistent):
        return f"persistent SGD, b={batches.fraction:g}, τ={batches.time:g}"
    if isinstance(batches, Epochs):
        return f"epochs, b={batches.fraction:g}"
    if isinstance(batches, Fresh):
        return "one pass"
    return type(batches).__name__


def with_batches(rule: Gradient, batches: AbstractBatches) -> Gradient:
    """The same rule with another batch process."""
    return dataclasses.replace(rule, batches=batches)


def distinct(rules: Iterable[Gradient]) -> tuple[Gradient, ...]:
    """The rules without repetition of a batch process, in order: each has a name of its own."""
    return tuple({batch_name(rule.batches): rule for rule in rules}.values())


def beside(rules: Iterable[Gradient], run: Callable[[Gradient], xr.Dataset]) -> xr.Dataset:
    """Run every rule and join the answers along ``rule``, whose coordinate is the name of the batch process.

    Variables that not every rule has are dropped; a deterministic answer is one sample of ``disorder``. Provenance is that of
    the study: the attributes of single runs are dropped.
    """
    names, answers = [], []
    for rule in rules:
        answer = run(rule)
        answers.append(answer if "disorder" in answer.dims else answer.expand_dims("disorder"))
        names.append(batch_name(rule.batches))
    common = [name for name in answers[0].data_vars if all(name in answer for answer in answers)]
    return xr.concat([answer[common] for answer in answers], xr.IndexVariable("rule", names), combine_attrs="drop", join="exact")
