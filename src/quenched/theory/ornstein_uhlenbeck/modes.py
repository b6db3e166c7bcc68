"""The linear theory of momentum SGD for given modes: stationary state, displacements, oscillations, power spectra.

A mode is a direction in which the loss has curvature rho and the gradient of one sample has variance q; batches of S samples then
kick it with variance q/S. In the eigenbasis of the Hessian q = q_l^T Sigma q_l, whether or not Sigma commutes with it: variances
of single modes are exact, and so is their sum. Source: Kunin et al., arXiv:2107.09133.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.numerics.precision import traced
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.ornstein_uhlenbeck import moves
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD, check_stable

FORMULAS = ("discrete", "continuous")
STARTS = ("stationary", "fixed")

for _name, _label in {
    "curvature": Label("curvature of a mode", r"\rho"),
    "position_variance": Label("stationary variance of the position", r"\langle\theta^2\rangle", dims=("mode",)),
    "velocity_variance": Label("stationary variance of the velocity", r"\langle v^2\rangle", dims=("mode",)),
    "position_velocity": Label("stationary covariance of position and velocity", r"\langle\theta v\rangle", dims=("mode",)),
    "phase": Label("phase of the oscillation per step", r"\varphi"),
    "decay": Label("factor of the amplitude per step", "|z|"),
}.items():
    register_label(_name, _label)


def stationary_state(rule: MomentumSGD, curvature: Any, noise: Any, formula: str = "discrete") -> xr.Dataset:
    """Variances of position and velocity, their covariance, and the squared step length of every mode; dims (mode,).

    ``curvature`` rho_l >= 0 and ``noise`` q_l >= 0, arrays (mode,). ``formula``: "discrete" (exact for additive noise) or
    "continuous" (the limit eta -> 0 at first order). Raises ``ParameterError`` for an unstable mode, a negative curvature, or rho
    + lambda = 0 with noise: such modes have no stationary state, ask for ``displacement`` at finite steps from a fixed start.
    """
    rho, q = _modes(rule, curvature, noise, formula)
    _need_confined(rule, rho, q)
    with jax.enable_x64(True):
        h, s2 = jnp.asarray(rho + rule.ridge), jnp.asarray(q / rule.batch_size)
        theta, v, cross = moves.variances(rule, jnp.where(h == 0, 1.0, h), s2, formula)
    variables = {
        "position_variance": (("mode",), theta),
        "velocity_variance": (("mode",), v),
        "position_velocity": (("mode",), cross),
        "local_displacement": (("mode",), rule.lr**2 * np.asarray(v)),
    }
    return dataset(variables, {"curvature": ("mode", rho)}, _provenance("stationary_state", rule, formula=formula))


def displacement(
    rule: MomentumSGD,
    curvature: Any,
    noise: Any,
    steps: Any,
    *,
    start: str = "stationary",
    formula: str = "discrete",
    position: Any = 0.0,
    velocity: Any = 0.0,
    slope: Any = None,
    samples: int | None = None,
) -> xr.Dataset:
    """E|theta_k - theta_0|^2, summed over the modes, after k = ``steps`` (integers >= 0): ``global_displacement`` (step,).

    ``start``: "stationary", or "fixed" at ``position`` (relative to the minimum, arrays (mode,) or numbers) with ``velocity``: a
    trained network that goes on with an empty momentum buffer is a fixed start with velocity 0. In place of the position one
    may give the ``slope`` of the loss there, which flat modes have too. ``formula``: "discrete" (exact for additive noise,
    default), "continuous" (exact for the continuous model), or "paper_sum" (the published sum, stationary start only, which
    never saturates). ``samples`` = n: batches without replacement from n samples
    (``Reshuffled``), discrete, fixed start at the beginning of an epoch. A fixed start also gives its parts ``drift`` and
    ``spread``. Modes with negative curvature are legal from a fixed start.

    Raises ``ParameterError`` for bad arguments and unstable modes.
    """
    rho, q = _modes(rule, curvature, noise, formula, ("discrete", "continuous", "paper_sum"))
    checks.one_of("start", start, STARTS)
    ks = np.asarray(steps)
    if ks.ndim != 1 or ks.size == 0 or not np.issubdtype(ks.dtype, np.integer) or ks.min() < 0:
        raise checks.ParameterError(f"steps must be integers >= 0, at least one, got {steps!r}")
    if start == "stationary":
        _need_no_saddle(rho + rule.ridge)
    elif formula == "paper_sum":
        raise checks.ParameterError("start must be 'stationary' for formula='paper_sum', got 'fixed'")
    if samples is not None:
        checks.integer_at_least("samples", samples, max(2, math.ceil(rule.batch_size)))
        if start != "fixed" or formula != "discrete":
            raise checks.ParameterError("samples needs start='fixed' and formula='discrete': it is a law of whole epochs")
    with jax.enable_x64(True):
        mine = traced(rule, np.float64)
        h, s2 = jnp.asarray(rho + rule.ridge), jnp.asarray(q / rule.batch_size)
        k = jnp.asarray(ks, jnp.float64)
        if formula == "paper_sum":
            sums = _paper_sum(mine, h, s2, int(ks.max()) or 1)
            parts = {"global_displacement": jnp.where(k == 0, 0.0, sums[jnp.maximum(k.astype(int) - 1, 0)])}
        elif start == "stationary":
            parts = {"global_displacement": _stationary(mine, h, s2, k, formula)}
        else:
            x0, v0 = (jnp.broadcast_to(jnp.asarray(a, jnp.float64), h.shape) for a in (position, velocity))
            g0 = h * x0 if slope is None else jnp.broadcast_to(jnp.asarray(slope, jnp.float64), h.shape)
            drift, spread = _fixed(mine, h, s2, g0, v0, k, formula, samples)
            parts = {"global_displacement": drift + spread, "drift": drift, "spread": spread}
    variables = {name: (("step",), values) for name, values in parts.items()}
    record = _provenance("displacement", rule, formula=formula, start=start, samples=samples)
    return dataset(variables, {"step": ks}, record, start=start, formula=formula)


@eqx.filter_jit
def _stationary(rule: MomentumSGD, h: Array, s2: Array, k: Array, formula: str) -> Float[Array, " step"]:
    return lax.map(lambda one: jnp.sum(moves.from_stationary(rule, h, s2, one, formula)), k)


@eqx.filter_jit
def _fixed(
    rule: MomentumSGD, h: Array, s2: Array, g0: Array, v0: Array, k: Array, formula: str, samples: int | None
) -> tuple[Array, Array]:
    def one(step: Array) -> tuple[Array, Array]:
        drift, spread = moves.from_fixed(rule, h, s2, g0, v0, step, formula)
        if samples is not None:
            epoch = jnp.floor(samples / jnp.asarray(rule.batch_size))
            spread = moves.from_epoch(rule, h, s2, samples, epoch, step)
        return jnp.sum(drift), jnp.sum(spread)

    return lax.map(one, k)


_paper_sum = eqx.filter_jit(moves.paper_sum)


def oscillation(rule: MomentumSGD, curvature: Any, formula: str = "discrete") -> xr.Dataset:
    """Phase and decay per step of every mode: a displaced mode moves as Re(z^k), z = decay e^{i phase}; dims (mode,).

    Discrete: cos(phase) = (1 + beta - eta h)/(2 sqrt beta), decay sqrt(beta); over-damped modes have phase 0 (pi beyond the upper
    threshold) and the decay of the slower root. Continuous: phase eta sqrt(omega^2 - gamma^2), decay e^{-gamma eta}.
    """
    rho, _ = _modes(rule, curvature, np.zeros(np.shape(curvature)), formula)
    h = rho + rule.ridge
    if formula == "discrete":
        middle, beta = (1 + rule.momentum - rule.lr * h) / 2, rule.momentum
        root = np.sqrt((middle**2 - beta).astype(complex))
        z = np.where(middle >= 0, middle + root, middle - root)
        phase, decay = np.abs(np.angle(z)), np.abs(z)
    else:
        gamma = float(rule.damping())
        root = np.sqrt((gamma**2 - 2 * h / (rule.lr * (1 + rule.momentum))).astype(complex))
        phase, decay = rule.lr * np.abs(root.imag), np.exp(rule.lr * (root.real - gamma))
    variables = {"phase": (("mode",), phase), "decay": (("mode",), decay)}
    return dataset(variables, {"curvature": ("mode", rho)}, _provenance("oscillation", rule, formula=formula))


def power_spectrum(rule: MomentumSGD, curvature: Any, noise: Any, frequency: Any) -> xr.Dataset:
    """S(w) = eta^2 s^2/|1 - (1 + beta - eta h) e^{-iw} + beta e^{-2iw}|^2 of the position of every mode; dims (mode, frequency).

    ``frequency`` w in radians per step; the variance is the integral of S over (-pi, pi] divided by 2 pi.
    """
    rho, q = _modes(rule, curvature, noise, "discrete")
    w = np.asarray(frequency, float)
    turn = np.exp(-1j * w)
    below = 1 - (1 + rule.momentum - rule.lr * (rho + rule.ridge))[:, None] * turn + rule.momentum * turn**2
    spectrum = rule.lr**2 * (q / rule.batch_size)[:, None] / np.abs(below) ** 2
    variables = {"power_spectrum": (("mode", "frequency"), spectrum)}
    coords = {"curvature": ("mode", rho), "frequency": w}
    return dataset(variables, coords, _provenance("power_spectrum", rule))


def power_law_displacement(
    rule: MomentumSGD,
    exponent: float | int,
    steps: Any,
    *,
    largest: float = 1.0,
    noise_ratio: float = 1.0,
    start: str = "stationary",
) -> np.ndarray:
    """E|theta_k - theta_0|^2 of the spectrum rho_l = ``largest`` l^-alpha, q_l = ``noise_ratio`` rho_l, alpha = ``exponent`` > 1.

    eta sigma2/(S (1-beta)) Gamma(1 - 1/alpha) s^(1/alpha), s = eta largest k/(1-beta): the exponent of the anomalous diffusion is
    1/alpha. From a fixed start times 2^(1/alpha - 1). Holds for 1/(1-beta) << k and 1 << s << (number of modes)^alpha.
    """
    checks.one_of("start", start, STARTS)
    if not exponent > 1:
        raise checks.ParameterError(f"exponent must be > 1, got {exponent!r}: flatter spectra are dominated by their last modes")
    s = rule.lr * largest * np.asarray(steps, float) / (1 - rule.momentum)
    amplitude = rule.lr * noise_ratio / (rule.batch_size * (1 - rule.momentum)) * math.gamma(1 - 1 / exponent)
    return amplitude * s ** (1 / exponent) * (1.0 if start == "stationary" else 2 ** (1 / exponent - 1))


def _modes(
    rule: MomentumSGD, curvature: Any, noise: Any, formula: str, formulas: tuple[str, ...] = FORMULAS
) -> tuple[np.ndarray, np.ndarray]:
    """Checked arrays (mode,) of curvatures and noise."""
    checks.instance("rule", rule, MomentumSGD)
    checks.one_of("formula", formula, formulas)
    rho, q = np.atleast_1d(np.asarray(curvature, float)), np.atleast_1d(np.asarray(noise, float))
    if rho.ndim != 1 or q.shape != rho.shape:
        raise checks.ParameterError(f"curvature and noise must be arrays (mode,) of equal length, got {rho.shape} and {q.shape}")
    for name, values in (("curvature", rho), ("noise", q)):
        bad = ~np.isfinite(values)
        if bad.any():
            raise checks.ParameterError(f"{name} must be finite, got {values[bad][0]} in mode {int(bad.argmax())}")
    if q.min() < 0:
        raise checks.ParameterError(f"noise must be >= 0, got {q.min():g} in mode {int(q.argmin())}")
    check_stable(rule, rho)
    return rho, q


def _need_no_saddle(h: np.ndarray) -> None:
    if h.min() < 0:
        raise checks.ParameterError(
            f"curvature + ridge must be >= 0 in a stationary state, got {h.min():g} in mode {int(h.argmin())}; a displacement at "
            "finite steps from start='fixed' exists"
        )


def _need_confined(rule: MomentumSGD, rho: np.ndarray, q: np.ndarray) -> None:
    h = rho + rule.ridge
    _need_no_saddle(h)
    free = (h == 0) & (q > 0)
    if free.any():
        raise checks.ParameterError(
            f"curvature + ridge must be > 0 where there is noise, got 0 in mode {int(free.argmax())}: its position diffuses "
            "freely and has no stationary state; displacements at finite steps exist"
        )


def _provenance(engine: str, rule: MomentumSGD, **arguments: Any) -> dict[str, Any]:
    return {"engine": engine, "rule": rule, **arguments}
