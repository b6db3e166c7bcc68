"""The sampled solver as a function: checks, independent runs, Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import Fresh
from quenched.dynamics.constraints import Free, Spherical
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import checked_count, observation_steps
from quenched.dynamics.transforms import Momentum, Plain
from quenched.models.base import AbstractModel
from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics import checks
from quenched.numerics.mixing import check_power_of_two
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.theory.sampled.process import Plan
from quenched.theory.sampled.trajectory import trajectory

_ROUND = 64
_RESPONSES = ("probe", "exact", "none")


def refuses(model: AbstractModel, rule: AbstractDynamics) -> str | None:
    """Why the sampled solver does not cover this system, in one line; None if it does.

    Covered: every ``AbstractGaussianModel`` with a loss whose slope is continuous, and a ``Gradient`` rule with any batch
    process, learning rate or schedule, ridge, temperature and ``normalise_batch``, plain or with ``Momentum``, free or
    ``Spherical``.
    """
    if not isinstance(model, AbstractGaussianModel):
        return f"the sampled solver needs a Gaussian single-layer model, got {type(model).__name__}"
    own = [name for name in ("losses", "loss_scale", "preactivations") if not _inherits(model, name)]
    if own:
        return f"the sampled solver needs the energy sum_mu ell(y_mu, r_mu), {type(model).__name__} has its own {', '.join(own)}"
    if not model.loss.smooth:
        return (
            f"the sampled solver needs a loss with a continuous slope, got {type(model.loss).__name__}: "
            "its curvature has a delta function that no average over samples sees"
        )
    # exact types: a subclass may move the weights in another way
    if type(rule) is not Gradient:
        return f"the sampled solver needs a Gradient rule, got {type(rule).__name__}"
    if type(rule.transform) not in (Plain, Momentum):
        return f"the sampled solver needs the Plain or Momentum transform, got {type(rule.transform).__name__}"
    if type(rule.constraint) not in (Free, Spherical):
        return f"the sampled solver needs a Free or Spherical constraint, got {type(rule.constraint).__name__}"
    return None


def _inherits(model: AbstractGaussianModel, name: str) -> bool:
    return getattr(type(model), name) is getattr(AbstractGaussianModel, name)


class Options(NamedTuple):
    """What the caller asked for, checked."""

    steps: int
    replicas: int
    seed: int
    times: np.ndarray
    two_time: bool
    samples: int
    runs: int
    response: str
    probes: int
    response_samples: int
    memory_budget: float
    final_gaps: bool


def solve_sampled(
    model: Any,
    rule: Any,
    *,
    steps: int,
    replicas: int = 1,
    seed: int = 0,
    times: Sequence[Any] | np.ndarray | None = None,
    two_time: bool = True,
    samples: int = 8192,
    runs: int = 4,
    response: str = "probe",
    probes: int = 1,
    response_samples: int | None = None,
    memory_budget: float = 4e9,
    final_gaps: bool = False,
) -> xr.Dataset:
    """Order parameters of the infinite-size limit, estimated with N = ``samples`` effective trajectories (a power of two >= 16).

    ``runs`` independent runs (default 4) are the dimension ``disorder``; their spread is the error, about 1/sqrt(N) times a
    number below 1. Exact at finite learning rate; the bias is O(1/N). All averages are over ``replicas`` (common data and start,
    independent batches and thermal noise).

    ``times``: observation steps, default every step. Dimensions (disorder, t), overlap with several directions (disorder, t,
    direction), and with ``two_time`` (disorder, t, t_prime). Variables: overlap, norm, loss and train_error over all samples,
    test_error where it has a closed form, correlation, response, noise_kernel M, response_kernel Gam; replica_correlation,
    replica_distance; ``final_gaps=True`` adds gap (disorder, sample), the gaps of all trajectories and replicas at the last
    step.

    ``response``: how the kernel Gam of the samples is estimated.
    "probe": a random field of +-1 on every trajectory, one tangent per probe; ``probes`` divide the variance of its noise.
    "exact": one tangent per step, on the first ``response_samples`` trajectories (default all); N T^2 memory and N T^3 time.
    Worth it where the response does not decay: alpha < 1 without ridge. "none": as "probe", but the weight response and Gam are
    not returned.

    Memory grows as N T; a request above ``memory_budget`` bytes is refused with its estimate. Raises ``IncompatibleError`` for a
    system that ``refuses`` names, ``ParameterError`` for bad arguments, ``DivergenceError`` with the step of the first
    non-finite number. Source: arXiv:2006.06098 for the equations, ``docs/dmft.md`` for this form of them.
    """
    reason = refuses(model, rule)
    if reason is not None:
        raise checks.IncompatibleError(reason)
    steps = checked_count("steps", steps)
    options = Options(
        steps=steps,
        replicas=checked_count("replicas", replicas),
        seed=seed,
        times=observation_steps(times, steps, every=True),
        two_time=bool(two_time),
        samples=checked_count("samples", samples),
        runs=checked_count("runs", runs),
        response=response,
        probes=checked_count("probes", probes),
        response_samples=samples if response_samples is None else checked_count("response_samples", response_samples),
        memory_budget=memory_budget,
        final_gaps=bool(final_gaps),
    )
    _check(options)
    clock = rule.times(steps)
    plan = make_plan(options, every=times is None)
    _check_memory(plan, rule, options)
    outcomes = _runs(model, rule, plan, options)
    provenance = {"engine": "solve", "model": model, "rule": rule, "method": "sampled", **options._asdict()}
    provenance["times"] = None if times is None else options.times.tolist()
    provenance["response_samples"] = response_samples
    return _answer(model, outcomes, clock, options, provenance)


def _check(options: Options) -> None:
    checks.seed(options.seed)
    check_power_of_two("samples", options.samples, 16)
    checks.one_of("response", options.response, _RESPONSES)
    checks.positive("memory_budget", options.memory_budget)
    if options.samples > 2**20:
        raise checks.ParameterError(f"samples must be <= 2**20, got {options.samples!r}: take more runs")
    if options.response == "exact" and options.probes > 1:
        raise checks.ParameterError(f"probes must be 1 with response='exact', which has none, got {options.probes!r}")
    if options.response_samples > options.samples:
        raise checks.ParameterError(f"response_samples must be <= samples={options.samples}, got {options.response_samples!r}")


def make_plan(options: Options, every: bool) -> Plan:
    """Buffer sizes, rounded up so that nearby requests share one compilation."""
    rows = _round_up(options.steps + 1, _ROUND)
    return Plan(
        rows=rows,
        slots=rows if every else _round_up(len(options.times), 16),
        samples=options.samples,
        replicas=options.replicas,
        probes=options.probes,
        exact=options.response_samples if options.response == "exact" else 0,
        response=options.response != "none",
        two_time=options.two_time,
    )


def memory_estimate(plan: Plan, runs: int, fresh: bool) -> int:
    """Bytes that a solve takes at its peak: history, snapshots, kernels, and what the runs return."""
    tangents = plan.rows * plan.exact if plan.exact else plan.probes * plan.samples
    lanes = 0 if fresh else plan.replicas * (2 * plan.samples + tangents)
    snapshots = 2 * (plan.slots + 1) * plan.replicas * plan.samples if plan.two_time else 0
    # sign probes store their signs, the covariance copies its snapshots once, a step has about ten temporaries of a lane
    working = 10 * plan.replicas * (plan.samples + tangents) + snapshots // 2
    kernels = 6 * plan.rows**2 + (runs + 1) * 5 * plan.slots**2 * plan.two_time
    return 4 * (lanes * plan.rows + snapshots + working) + 8 * kernels


def _check_memory(plan: Plan, rule: Gradient, options: Options) -> None:
    need = memory_estimate(plan, options.runs, isinstance(rule.batches, Fresh))
    if need > options.memory_budget:
        knobs = ["samples", "steps", "replicas", "probes"]
        if plan.exact:
            knobs.insert(0, "response_samples")
        if plan.two_time:
            knobs.append("the number of times (or two_time=False)")
        raise checks.ParameterError(
            f"memory_budget must be at least {need:.3g} bytes for this request, got {options.memory_budget:.3g}; "
            f"raise it, or lower {', '.join(knobs)}"
        )


_compiled = eqx.filter_jit(trajectory)


def _runs(model: Any, rule: Any, plan: Plan, options: Options) -> list[dict[str, np.ndarray]]:
    # one after the other: mapped together, where the loop has to select over whole histories, four runs took 5 to 9 times as long
    times = np.full(plan.slots, np.iinfo(np.int32).max, np.int32)
    times[: len(options.times)] = options.times
    outcomes = []
    with jax.enable_x64(True):
        law, dynamics = traced((model, rule), "float64")
        root = jax.random.key(np.uint32(options.seed), impl="threefry2x32")
        for run in range(options.runs):
            key = jax.random.fold_in(root, run)
            result = _compiled(law, dynamics, plan, key, jnp.int32(options.steps), jnp.asarray(times))
            outcome = {name: np.asarray(value) for name, value in result.items()}
            bad = int(outcome.pop("first_bad"))
            if bad >= 0:
                raise checks.DivergenceError(
                    f"order parameters or kernels are not finite at step {bad} of {options.steps} (run {run}): lower lr"
                )
            outcomes.append(_cut(outcome, options))
    return outcomes


_TWO_TIME = ("correlation", "replica_correlation", "noise_kernel", "response", "response_kernel")


def _cut(outcome: dict[str, np.ndarray], options: Options) -> dict[str, np.ndarray]:
    """The observed part of the buffers, copied so that the buffers are freed."""
    count = len(options.times)
    cut = {}
    for name, value in outcome.items():
        if name == "gap":
            if options.final_gaps:
                cut[name] = value.reshape(-1)
        elif name in _TWO_TIME:
            cut[name] = value[:count, :count].copy()
        else:
            cut[name] = value[options.times]
    return cut


def _answer(
    model: Any, outcomes: list[dict[str, np.ndarray]], clock: np.ndarray, options: Options, provenance: dict[str, Any]
) -> xr.Dataset:
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name in outcomes[0]:
        values = np.stack([outcome[name] for outcome in outcomes])
        dims: tuple[str, ...] = ("disorder", "t")
        if name == "gap":
            dims = ("disorder", "sample")
        elif name in _TWO_TIME:
            dims = ("disorder", "t", "t_prime")
        elif name == "overlap":
            dims, values = (dims, values[..., 0]) if model.directions == 1 else ((*dims, "direction"), values)
        variables[name] = (dims, values)
    kept = options.times
    coords: dict[str, Any] = {"t": clock[kept], "step": (("t",), kept)}
    if options.two_time:
        coords |= {"t_prime": clock[kept], "step_prime": (("t_prime",), kept)}
    certificate = {
        "method": "sampled",
        "samples": options.samples,
        "runs": options.runs,
        "response": options.response,
        "standard_error": {name: _final_error(variables[name][1]) for name in ("norm", "loss")} if options.runs > 1 else None,
    }
    return dataset(variables, coords, provenance, certificate=certificate)


def _final_error(values: np.ndarray) -> float:
    """Standard error over runs at the last observation time."""
    return float(np.std(values[:, -1], ddof=1) / len(values) ** 0.5)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
