"""The theory of a system: one function that finds a solver for it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.simulate import checked_count
from quenched.models.base import AbstractModel
from quenched.numerics import checks
from quenched.theory import oracle, sampled

_COMMON = ("model", "rule", "steps", "replicas", "seed", "times", "two_time")
_SAMPLED = tuple(name for name in inspect.signature(sampled.solve_sampled).parameters if name not in _COMMON)


def solve(
    model: AbstractModel,
    rule: AbstractDynamics,
    *,
    steps: int,
    method: str = "auto",
    replicas: int = 1,
    seed: int = 0,
    times: Sequence[Any] | np.ndarray | None = None,
    two_time: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Order parameters of the infinite-size limit, with the names and coordinates that ``simulate`` gives them.

    ``method="auto"`` takes the first solver that covers (model, rule): "oracle", deterministic, for the square loss on two
    clusters (``theory.oracle.solve_oracle``); "sampled", Monte-Carlo, for any Gaussian single-layer model
    (``theory.sampled.solve_sampled``, which documents the variables). Errors of the sampled answer are over its dimension
    ``disorder``; the oracle has no such dimension.

    ``times``: observation steps, default every step. ``replicas`` >= 2 adds replica_distance and replica_correlation.
    ``two_time=False`` leaves out the two-time functions. ``options`` (samples, runs; response, probes, response_samples; memory,
    window, moments, horizon, memory_budget; final_gaps) are those of the sampled solver, by default its own: 4 runs of 8192
    trajectories, the past compressed beyond 256 steps. With "auto" the oracle needs none and ignores them, except
    ``final_gaps=True``, which it cannot give.

    Raises ``IncompatibleError`` with the reason of every solver where none covers the system, ``ParameterError`` for bad
    arguments, ``DivergenceError`` for an unstable rule. Warns (``QuenchedWarning``) where the model has cautions about the rule.
    """
    checks.instance("model", model, AbstractModel)
    checks.instance("rule", rule, AbstractDynamics)
    checks.one_of("method", method, ("auto", "oracle", "sampled"))
    unknown = sorted(set(options) - set(_SAMPLED))
    if unknown:
        raise checks.ParameterError(f"unknown option {', '.join(unknown)}; the options are {', '.join(_SAMPLED)}")
    if method == "oracle" and options:
        raise checks.ParameterError(f"the oracle takes no options, got {', '.join(sorted(options))}")
    checks.seed(seed)
    chosen = choose(model, rule, method, bool(options.get("final_gaps")))
    common: dict[str, Any] = {
        "steps": checked_count("steps", steps),
        "replicas": checked_count("replicas", replicas),
        "times": times,
        "two_time": two_time,
    }
    rule.check(model)
    for sentence in model.cautions(rule):
        warnings.warn(sentence, checks.QuenchedWarning, stacklevel=2)
    if chosen == "oracle":
        return oracle.solve_oracle(model, rule, **common)
    return sampled.solve_sampled(model, rule, seed=seed, **common, **options)


def choose(model: AbstractModel, rule: AbstractDynamics, method: str = "auto", gaps: bool = False) -> str:
    """Name of the solver that covers a system; raises ``IncompatibleError`` with the reasons of all that were asked.

    ``gaps``: whether single samples are wanted, which the oracle does not have.
    """
    reasons = {}
    if method in ("auto", "oracle"):
        reasons["oracle"] = "the oracle has no samples whose gaps it could return" if gaps else oracle.refuses(model, rule)
    if method in ("auto", "sampled"):
        reasons["sampled"] = sampled.refuses(model, rule)
    for name, reason in reasons.items():
        if reason is None:
            return name
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise checks.IncompatibleError(f"no theory covers {type(model).__name__} with {type(rule).__name__} ({listed})")
