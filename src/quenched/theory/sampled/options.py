"""What a caller may ask of the sampled solver, and the plan of buffers and storage that follows."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from quenched.dynamics.batches import Fresh
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import observation_steps
from quenched.numerics import checks
from quenched.numerics.mixing import check_power_of_two
from quenched.theory.sampled.process import Plan

_ROUND = 64
_LONG = 256
"""Steps beyond which memory="auto" compresses the past."""
_RESPONSES = ("probe", "exact", "none")
_MEMORIES = ("auto", "dense", "compressed")


class Options(NamedTuple):
    """What the caller asked for; ``check_options`` refuses bad values. Meaning and defaults: ``solve_sampled``.

    ``times`` are the observation steps, None for every step.
    """

    steps: int
    times: np.ndarray | None = None
    replicas: int = 1
    seed: int = 0
    two_time: bool = True
    samples: int = 8192
    runs: int = 4
    response: str = "probe"
    probes: int = 1
    response_samples: int | None = None
    memory: str = "auto"
    window: int = 16
    moments: int = 4
    horizon: int | None = None
    memory_budget: float = 4e9
    final_gaps: bool = False

    @property
    def observed(self) -> np.ndarray:
        """The observation steps."""
        return observation_steps(self.times, self.steps, every=True)


def check_options(options: Options) -> None:
    """Refuse bad values, alone or together; raises ``ParameterError``."""
    checks.seed(options.seed)
    check_power_of_two("samples", options.samples, 16)
    checks.one_of("response", options.response, _RESPONSES)
    checks.one_of("memory", options.memory, _MEMORIES)
    check_power_of_two("window", options.window, 2)
    checks.integer_at_least("moments", options.moments, 1)
    if options.horizon is not None:
        checks.integer_at_least("horizon", options.horizon, 1)
    checks.positive("memory_budget", options.memory_budget)
    if options.moments > options.window:
        raise checks.ParameterError(
            f"moments must be <= window={options.window}, the steps of the smallest block, got {options.moments!r}"
        )
    if options.samples > 2**20:
        raise checks.ParameterError(f"samples must be <= 2**20, got {options.samples!r}: take more runs")
    if options.response == "exact" and options.probes > 1:
        raise checks.ParameterError(f"probes must be 1 with response='exact', which has none, got {options.probes!r}")
    if (options.response_samples or 0) > options.samples:
        raise checks.ParameterError(f"response_samples must be <= samples={options.samples}, got {options.response_samples!r}")


def chosen_memory(options: Options) -> str:
    """ "dense" or "compressed"."""
    return options.memory if options.memory != "auto" else "compressed" if options.steps > _LONG else "dense"


def make_plan(options: Options, **changes: Any) -> Plan:
    """Buffer sizes, rounded up so that nearby requests share one compilation; ``changes`` are other fields of the plan."""
    long = chosen_memory(options) == "compressed"
    # of a compressed past only the number of block sizes depends on the rows: an eighth more of them costs next to nothing
    unit = max(_ROUND, options.window, 1 << (options.steps.bit_length() - 3)) if long else _ROUND
    rows = _round_up(options.steps + 1, unit)
    slots = _round_up(options.steps + 1, _ROUND) if options.times is None else _round_up(len(options.times), 16)
    fields: dict[str, Any] = {
        "rows": rows,
        "slots": slots,
        "samples": options.samples,
        "replicas": options.replicas,
        "probes": options.probes,
        "exact": (options.response_samples or options.samples) if options.response == "exact" else 0,
        "response": options.response != "none",
        "two_time": options.two_time,
        "memory": "compressed" if long else "dense",
        "window": options.window,
        "moments": options.moments,
        "horizon": options.horizon or 0,
    }
    return Plan(**(fields | changes))


def padded_times(options: Options, plan: Plan) -> np.ndarray:
    """The observation steps in the plan's number of slots, padded with a step that never comes."""
    times = np.full(plan.slots, np.iinfo(np.int32).max, np.int32)
    observed = options.observed
    times[: len(observed)] = observed
    return times


def memory_estimate(plan: Plan, runs: int, fresh: bool) -> int:
    """Bytes that a solve takes at its peak: the past and the records, each with a copy that the loop makes of them, the working
    arrays of a step, and what the runs return."""
    tangents = plan.rows * plan.exact if plan.exact else plan.probes * plan.samples
    lanes = plan.replicas * (2 * plan.samples + tangents)
    past = 0 if fresh else plan.build_memory().stored
    responses = 2 * plan.slots * plan.responds
    paths = (plan.two_time + (plan.two_time or plan.keep_weights)) * (plan.slots + 1) * plan.replicas * plan.samples
    # sign probes store their signs, the covariance copies its snapshots once, a step has about ten temporaries of a lane
    working = 10 * plan.replicas * (plan.samples + tangents) + paths // 2
    pairs = (2 * 3 + (runs + 1) * 6) * plan.slots**2 * plan.two_time
    size = jnp.dtype(plan.dtype).itemsize
    return size * (2 * lanes * past + 2 * paths + working) + 8 * (2 * responses * past + pairs)


def check_memory(plan: Plan, rule: Gradient, options: Options) -> None:
    """Refuse a request above ``memory_budget``; raises ``ParameterError`` with the estimate and what would lower it."""
    need = memory_estimate(plan, options.runs, isinstance(rule.batches, Fresh))
    if need <= options.memory_budget:
        return
    knobs = ["response_samples"] * bool(plan.exact) + ["samples", "steps", "replicas", "probes"]
    advice = [f"lower {', '.join(knobs)}"]
    if plan.two_time:
        every = " (every step, as `times` is not given)" if options.times is None else ""
        advice.append(
            f"pass fewer `times` than the {len(options.observed)} of these two-time functions{every}, or two_time=False"
        )
    if plan.memory == "dense":
        advice.append("take memory='compressed'")
    raise checks.ParameterError(
        f"memory_budget must be at least {need:.3g} bytes for this request, got {options.memory_budget:.3g}; "
        f"raise it, or {'; or '.join(advice)}"
    )


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
