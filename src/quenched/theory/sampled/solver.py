"""The sampled solver as a function: checks, independent runs, Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import AbstractBatches
from quenched.dynamics.constraints import Free, Spherical
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.simulate import checked_count, observation_steps
from quenched.dynamics.transforms import Momentum, Plain
from quenched.models.base import AbstractModel
from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics import checks
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.theory.sampled.options import Options, check_memory, check_options, chosen_memory, make_plan, padded_times
from quenched.theory.sampled.process import Plan
from quenched.theory.sampled.trajectory import trajectory


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
    if not isinstance(rule.batches, AbstractBatches):
        return (
            f"the sampled solver needs batches of a fraction of the samples, got {type(rule.batches).__name__}: "
            "a batch of a fixed size is a vanishing fraction of infinitely many"
        )
    if type(rule.transform) not in (Plain, Momentum):
        return f"the sampled solver needs the Plain or Momentum transform, got {type(rule.transform).__name__}"
    if type(rule.constraint) not in (Free, Spherical):
        return f"the sampled solver needs a Free or Spherical constraint, got {type(rule.constraint).__name__}"
    return None


def _inherits(model: AbstractGaussianModel, name: str) -> bool:
    return getattr(type(model), name) is getattr(AbstractGaussianModel, name)


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
    memory: str = "auto",
    window: int = 16,
    moments: int = 4,
    horizon: int | None = None,
    memory_budget: float = 4e9,
    final_gaps: bool = False,
) -> xr.Dataset:
    """Order parameters of the infinite-size limit, estimated with N = ``samples`` effective trajectories (a power of two >= 16).

    ``runs`` independent runs (default 4) are the dimension ``disorder``; their spread is the error, about 1/sqrt(N) times a
    number below 1. Exact at finite learning rate; the bias is O(1/N). All averages are over ``replicas`` (common data and start,
    independent batches and thermal noise).

    ``times``: observation steps, default every step. Dimensions (disorder, t), overlap with several directions (disorder, t,
    direction), and with ``two_time`` (disorder, t, t_prime). Variables: overlap, norm, loss and train_error over all samples,
    test_error where it has a closed form, correlation, response, integrated_response, noise_kernel M, response_kernel Gam;
    replica_correlation, replica_distance; ``final_gaps=True`` adds gap (disorder, sample), the gaps of all trajectories and
    replicas at the last step. The two-time functions are those of the observation times, each from all steps: chi(t, t') =
    sum over s in [t', t) of lr_s R(t, s) needs no R at other times.

    ``response``: how the kernel Gam of the samples is estimated.
    "probe": a random field of +-1 on every trajectory, one tangent per probe; ``probes`` divide the variance of its noise.
    "exact": one tangent per step, on the first ``response_samples`` trajectories (default all); N T^2 memory and N T^3 time.
    Worth it where the response does not decay: alpha < 1 without ridge. "none": as "probe", but the weight response and Gam are
    not returned.

    ``memory``: how the past of the trajectories is kept. "dense": all of it, O(N T) per step and of storage. "compressed": the
    last 2 ``window`` (W, default 16) steps, and ``moments`` (k, default 4) Legendre moments of every older block of W, 2 W,
    4 W, ... steps, O(N (W + k log(T/W))). The kernel is then replaced by its projection on polynomials of degree < k on each
    block, an error of 1e-5 to 1e-3 in the order parameters, far below that of the sampling. "auto" (default): compressed
    beyond 256 steps.

    ``horizon`` (steps, default None: no limit): Gam(t, s) is taken as 0 for t - s > horizon. The estimated kernel has a noise of
    order 1/sqrt(N) at every lag, also where the kernel itself has died out; summed over the past it grows as sqrt(steps/N). Give
    runs longer than N steps a horizon of several relaxation times of the response, all the more with a weak ridge.

    A request above ``memory_budget`` bytes is refused with its estimate. Raises ``IncompatibleError`` for a system that
    ``refuses`` names, ``ParameterError`` for bad arguments, ``DivergenceError`` with the step of the first non-finite number.
    Source: arXiv:2006.06098 for the equations, ``docs/dmft.md`` for this form of them.
    """
    reason = refuses(model, rule)
    if reason is not None:
        raise checks.IncompatibleError(reason)
    steps = checked_count("steps", steps)
    options = Options(
        steps=steps,
        times=None if times is None else observation_steps(times, steps),
        replicas=checked_count("replicas", replicas),
        seed=seed,
        two_time=bool(two_time),
        samples=checked_count("samples", samples),
        runs=checked_count("runs", runs),
        response=response,
        probes=checked_count("probes", probes),
        response_samples=None if response_samples is None else checked_count("response_samples", response_samples),
        memory=memory,
        window=checked_count("window", window),
        moments=checked_count("moments", moments),
        horizon=None if horizon is None else checked_count("horizon", horizon),
        memory_budget=memory_budget,
        final_gaps=bool(final_gaps),
    )
    check_options(options)
    clock = rule.times(steps)
    plan = make_plan(options)
    check_memory(plan, rule, options)
    outcomes = _runs(model, rule, plan, options)
    provenance = {"engine": "solve", "model": model, "rule": rule, "method": "sampled", **options._asdict()}
    provenance["times"] = None if options.times is None else options.times.tolist()
    return _answer(model, outcomes, clock, options, provenance)


compiled = eqx.filter_jit(trajectory)
"""``trajectory`` compiled: one program per plan and kind of model and rule, whatever their numbers."""


def _runs(model: Any, rule: Any, plan: Plan, options: Options) -> list[dict[str, np.ndarray]]:
    # one after the other: mapped together, where the loop has to select over whole histories, four runs took 5 to 9 times as long
    times = padded_times(options, plan)
    outcomes = []
    with jax.enable_x64(True):
        law, dynamics = traced((model, rule), "float64")
        root = jax.random.key(np.uint32(options.seed), impl="threefry2x32")
        for run in range(options.runs):
            key = jax.random.fold_in(root, run)
            result = compiled(law, dynamics, plan, key, jnp.int32(options.steps), jnp.asarray(times))
            outcome = {name: np.asarray(value) for name, value in result.items()}
            bad = int(outcome.pop("first_bad"))
            if bad >= 0:
                raise checks.DivergenceError(
                    f"order parameters or kernels are not finite at step {bad} of {options.steps} (run {run}): lower lr"
                )
            outcomes.append(_cut(outcome, options))
    return outcomes


_TWO_TIME = ("correlation", "replica_correlation", "noise_kernel", "response", "integrated_response", "response_kernel")


def _cut(outcome: dict[str, np.ndarray], options: Options) -> dict[str, np.ndarray]:
    """The observed part of the buffers, copied so that the buffers are freed."""
    count = len(options.observed)
    cut = {}
    for name, value in outcome.items():
        if name == "gap":
            if options.final_gaps:
                cut[name] = value.reshape(-1)
        elif name in _TWO_TIME:
            cut[name] = value[:count, :count].copy()
        else:
            cut[name] = value[:count].copy()
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
    kept = options.observed
    coords: dict[str, Any] = {"t": clock[kept], "step": (("t",), kept)}
    if options.two_time:
        coords |= {"t_prime": clock[kept], "step_prime": (("t_prime",), kept)}
    certificate = {
        "method": "sampled",
        "samples": options.samples,
        "runs": options.runs,
        "response": options.response,
        "memory": chosen_memory(options),
        "standard_error": {name: _final_error(variables[name][1]) for name in ("norm", "loss")} if options.runs > 1 else None,
    }
    return dataset(variables, coords, provenance, certificate=certificate)


def _final_error(values: np.ndarray) -> float:
    """Standard error over runs at the last observation time."""
    return float(np.std(values[:, -1], ddof=1) / len(values) ** 0.5)
