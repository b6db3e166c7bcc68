"""``diagnose``: curvature, noise and motion of a user's own network, measured, and predicted from the first two."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.dynamics import Gradient, Minibatch, Reshuffled
from quenched.dynamics.wander import wander
from quenched.instruments.problem import DEFAULT_RULE
from quenched.numerics import checks
from quenched.observables import curvature, gradient_noise
from quenched.observables.diffusion import anomalous_exponent
from quenched.observables.displacement import log_spaced
from quenched.observables.loss_on_data import LossOnData, check_finite
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.ornstein_uhlenbeck import MomentumSGD
from quenched.theory.ornstein_uhlenbeck import measured as prediction

for _name, _label in {
    "gradient_norm": Label("norm of the gradient", "|g|"),
    "noise_temperature": Label("temperature of the noise", "T"),
    "excess_loss": Label("training loss due to the noise", r"\mathrm{tr}(HC)/2"),
    "drift": Label("squared distance due to the slope", r"|\langle\theta_k\rangle-\theta_0|^2"),
    "spread": Label("squared distance due to the noise", r"\mathrm{tr}\,\mathrm{Cov}\,\theta_k"),
}.items():
    register_label(_name, _label)


def diagnose(
    loss: Any,
    params: Any,
    data: Any,
    rule: Gradient = DEFAULT_RULE,
    *,
    steps: int = 2000,
    chains: int = 8,
    modes: int = 5,
    probes: int = 8,
    depth: int = 40,
    window: tuple[float | int, float | int] | None = None,
    chunk: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.DataTree:
    """How the noise of SGD moves a network: curvature, gradient noise, and the motion from here on, measured and predicted.

    ``loss(params, batch)``: the mean over a batch, written with ``jax.numpy``; ``params``: a pytree (Equinox module, Flax
    variables, dictionary), best at the end of training; ``data``: a pytree of arrays with one leading axis, such as ``(x, y)``.
    Or, with no function to write: ``loss`` is ``"squared_error"``, ``"cross_entropy"`` or an ``AbstractLoss`` of the library,
    ``params`` an Equinox model of ONE sample or ``(module, variables)`` of Flax, ``data`` the arrays ``(X, y)`` of scikit-learn,
    X (n, d) and y (n,); see ``instruments.problem.from_model``.

    ``rule``: the ``Gradient`` rule of the training loop, with ``Minibatch`` or ``Reshuffled`` batches, plain or with momentum;
    default lr 0.01, momentum 0.9, batches of 32. ``chains`` copies go on from ``params`` for ``steps`` steps with an empty
    momentum buffer; nothing is stored but sums: the memory is a few times (chains + depth) copies of the weights.

    A tree of Datasets:

    ``/curvature``: ``loss``, ``gradient_norm``, the ``modes`` largest ``eigenvalue`` with ``residual`` and ``noise_along``
    (q.Sigma q), ``spectral_density`` from ``probes`` random starts of ``depth`` products, ``trace``, ``negative_mass``.
    ``/noise``: ``noise_trace``, ``noise_ratio`` sigma^2 = tr Sigma/tr H, ``alignment``, and ``noise_temperature`` T = eta
    sigma^2/(2 S (1-beta)): where Sigma = sigma^2 H, it is the variance of the weights in every direction.
    ``/measured``: ``global_displacement`` (step,), ``local_displacement`` (not the first tenth of the run), ``exponent`` over
    ``window`` (default: the last two decades), each with ``_error``, the standard error over the chains; ``loss_change``.
    ``/predicted``: the same by linear theory, exact in discrete time, from the measured Hessian and noise: the quadratic
    landscape around ``params`` with constant noise, its displacement in two parts, ``drift`` and ``spread``; ``excess_loss`` =
    tr(H C)/2, what the noise costs in the stationary state. Negative curvature is legal at finite steps. Where measurement and
    prediction part, the landscape is not quadratic or its noise not constant over the distance moved.
    The attribute ``cautions`` of the tree lists what does not hold, one sentence per line.

    Raises ``ParameterError`` for bad arguments (see ``LossOnData``), ``DivergenceError`` for a loss that is not finite,
    ``IncompatibleError`` for a rule without a linear theory. Source: Kunin et al., arXiv:2107.09133, and docs/noise-of-my-sgd.md.
    """
    from quenched.instruments.problem import from_model

    checks.instance("rule", rule, Gradient)
    linear = MomentumSGD.of(rule)
    if not isinstance(rule.batches, Minibatch | Reshuffled):
        raise checks.IncompatibleError(f"diagnose needs Minibatch or Reshuffled batches, got {type(rule.batches).__name__}")
    for name, value, low in (("steps", steps, 10), ("chains", chains, 2), ("modes", modes, 1), ("probes", probes, 3)):
        checks.integer_at_least(name, value, low)
    problem = LossOnData(*from_model(loss, params, data), chunk)
    rule.batches.check_samples(problem.samples)
    cautions: list[str] = []
    scalars = _curvature(problem, modes, probes, depth, seed, cautions)
    noise = _noise(problem, linear, probes, seed)
    times = np.array(log_spaced(steps))
    span = (max(steps / 100, 1), steps) if window is None else window
    measured = wander(problem, rule, steps, chains, span, seed=seed, progress=progress)
    predicted = _predicted(
        problem, linear, rule, times, span, probes, depth, seed, scalars, float(noise["noise_trace"]), cautions
    )
    tree = xr.DataTree.from_dict({"curvature": scalars, "noise": noise, "measured": measured, "predicted": predicted})
    tree.attrs["cautions"] = "\n".join(cautions)
    tree.attrs["rule"] = repr(rule)
    tree.attrs["weights"], tree.attrs["samples"] = problem.size, problem.samples
    tree.attrs["steps"], tree.attrs["chains"] = steps, chains
    return tree


def _curvature(problem: LossOnData, modes: int, probes: int, depth: int, seed: int, cautions: list[str]) -> xr.Dataset:
    value, gradient = check_finite(problem)
    top = curvature.top_eigenpairs(problem, min(modes, problem.size), seed=seed)
    density = curvature.spectral_density(problem, probes=probes, depth=depth, seed=seed)
    negative = curvature.negative_mass(density)
    if negative > 0.01:
        cautions.append(
            f"{100 * negative:.1f} % of the curvature is negative: there is no stationary state, and predictions hold at finite "
            "steps only"
        )
    along = gradient_noise.noise_along(problem, top["eigenvector"].values)
    names = ("node", "node_weight", "spectral_density", "spectral_density_error", "trace", "trace_error")
    variables: dict[str, Any] = {name: (density[name].dims, density[name].values) for name in names}
    variables |= {name: (("mode",), top[name].values) for name in ("eigenvalue", "residual")}
    variables |= {
        "noise_along": (("mode",), along),
        "loss": ((), value),
        "gradient_norm": ((), float(np.linalg.norm(gradient))),
        "negative_mass": ((), negative),
    }
    coords = {"eigenvalue_grid": density["eigenvalue_grid"].values}
    return dataset(variables, coords, {"engine": "diagnose", "part": "curvature", "depth": depth, "seed": seed})


def _noise(problem: LossOnData, linear: MomentumSGD, probes: int, seed: int) -> xr.Dataset:
    found = gradient_noise.alignment(problem, probes=max(2 * probes, 8), seed=seed)
    scale = linear.lr / (2 * linear.batch_size * (1 - linear.momentum))
    ratio, error = float(found["noise_ratio"]), float(found["noise_ratio_error"])
    variables: dict[str, Any] = {str(name): ((), value.values) for name, value in found.data_vars.items()}
    variables |= {"noise_temperature": ((), scale * ratio), "noise_temperature_error": ((), scale * error)}
    return dataset(variables, {}, {"engine": "diagnose", "part": "noise", "seed": seed})


def _predicted(
    problem: LossOnData,
    linear: MomentumSGD,
    rule: Gradient,
    times: np.ndarray,
    window: Any,
    probes: int,
    depth: int,
    seed: int,
    found: xr.Dataset,
    trace: float,
    cautions: list[str],
) -> xr.Dataset:
    noise = prediction.noise_quadrature(problem, trace, probes, depth, seed)
    slope = _slope(problem, linear, depth)
    nothing = np.full(len(times), np.nan)
    try:
        moved = prediction.displacement(linear, noise, slope, times)
        stride, error = prediction.step_length(linear, noise, slope, int(times[-1]) // 10, int(times[-1]))
    except checks.ParameterError as unstable:
        cautions.append(f"no prediction: {unstable}")
        moved, stride, error = prediction.Predicted(nothing, nothing, nothing), np.nan, np.nan
    if isinstance(rule.batches, Reshuffled):
        cautions.append("the prediction is that of batches with replacement: reshuffled ones diffuse less beyond an epoch")
    whole = moved.drift + moved.spread
    exponent = float(anomalous_exponent(times, whole, window)["exponent"]) if np.all(np.isfinite(whole)) else np.nan
    cost = prediction.excess_loss(linear, noise) if np.isfinite(stride) and float(found["negative_mass"]) <= 0.01 else np.nan
    variables = {
        "global_displacement": (("step",), whole),
        "global_displacement_error": (("step",), moved.spread_error),
        "drift": (("step",), moved.drift),
        "spread": (("step",), moved.spread),
        "local_displacement": ((), stride),
        "local_displacement_error": ((), error),
        "excess_loss": ((), cost),
        "exponent": ((), exponent),
    }
    return dataset(variables, {"step": times}, {"engine": "diagnose", "part": "predicted", "probes": probes, "seed": seed})


def _slope(problem: LossOnData, linear: MomentumSGD, depth: int) -> prediction.Quadrature:
    gradient = check_finite(problem)[1]
    whole = gradient + linear.ridge * np.asarray(problem.weights)
    return prediction.quadrature(problem, jnp.asarray(whole, problem.weights.dtype), depth)
