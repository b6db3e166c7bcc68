"""Static theory of convex learning on two Gaussian clusters: the ridge estimator (replica symmetric, exact for convex
losses), the Bayes-optimal error, and the storage capacity of random labels.

Source: Mignacco, Krzakala, Lu, Urbani, Zdeborova, arXiv:2002.11544 (ridge estimator of the same mixture); Gardner, J. Phys. A
21 (1988) 257 (capacity).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy.special import erfc, ndtr

from quenched.losses import AbstractLoss, Hinge, Linear, QuadraticHinge
from quenched.models.gaussian_mixture import GaussianMixture
from quenched.numerics import checks
from quenched.numerics.fixed_point import fixed_point
from quenched.numerics.precision import Real, traced
from quenched.numerics.quadrature import normal_panels
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

register_label("susceptibility", Label("response of a weight summed over time", "V"))


def ridge_estimator(
    model: Any,
    ridge: float,
    *,
    breakpoints: Sequence[float] = (),
    tolerance: float = 1e-12,
    max_iterations: int = 5000,
) -> xr.Dataset:
    """The minimiser of sum_mu ell(y_mu, r_mu) + ``ridge``/2 |w|^2 on two clusters: the long-time limit of full-batch gradient
    descent.

    Three scalars: m = w.v/d, C = |w|^2/d and the susceptibility V, the response of a weight summed over physical time. With
    om = c m + sqrt(Delta C) xi, xi ~ N(0, 1), the proximal point p = argmin_u ell(c, u) + (u - om)^2/(2 Delta V) and g =
    -ell'(c, p),

        mh = alpha <c g>,  Vh = alpha Delta <ell''(p)/(1 + Delta V ell''(p))>,
        V = 1/(ridge + Vh),  m = V mh,  C = m^2 + alpha Delta V^2 <g^2>,

    averages over c = +-1 (with the cluster fractions) and xi. Scalar variables: overlap, norm, susceptibility, loss <ell(p)>,
    train_error, test_error. ``breakpoints``: gaps y r at which ell' or ell'' jumps (those of ``Hinge`` and ``QuadraticHinge`` are
    known); without them such a loss loses its digits after the fourth or so.

    Solved by continuation from strong ridge, with Anderson mixing and plain damping where that fails, to a residual of
    ``tolerance`` in (m/sqrt(C), ln C, ln V).

    Raises ``IncompatibleError`` for another model or a non-linear output, ``ParameterError`` for a non-convex loss,
    ``ConvergenceError`` with the residual where the iteration does not settle, as for separable data without ridge.
    """
    _check_model(model)
    checks.non_negative("ridge", ridge)
    loss, alpha, noise = model.loss, model.alpha, model.noise
    kinks = tuple(breakpoints) + ((loss.margin,) if isinstance(loss, (Hinge, QuadraticHinge)) else ())

    def unpack(state: np.ndarray) -> tuple[float, float, float]:
        c, v = np.exp(state[1:])
        return float(state[0] * np.sqrt(c)), float(c), float(v)

    def update(strength: float, state: np.ndarray) -> np.ndarray:
        m, c, v = unpack(state)
        cg, gg, stiffness = _averages(model, kinks, m, c, v)[:3]
        vh = alpha * noise * stiffness
        v_new = 1 / (strength + vh)
        # dmh/dm = -vh/Delta: added on both sides of (ridge + vh) m = mh, it makes the square loss converge at once
        m_new = (alpha * cg + vh / noise * m) / (strength + vh + vh / noise)
        c_new = m_new**2 + alpha * noise * v_new**2 * gg
        return np.array([m_new / np.sqrt(c_new), np.log(c_new), np.log(v_new)])

    # from strong to weak ridge: far from the solution a weakly regularised iterate may satisfy every sample and lose its way
    top = max(ridge, alpha * (1 + noise))
    ladder = np.geomspace(top, ridge, 1 + int(np.ceil(np.log(top / ridge) / np.log(4)))) if ridge > 0 else [top, 0.0]
    with jax.enable_x64(True):
        state = np.array([0.5, 0.0, 0.0])
        for strength in ladder:
            goal = tolerance if strength == ladder[-1] else max(tolerance, 1e-4)
            solve = partial(fixed_point, partial(update, float(strength)), state, tolerance=goal)
            try:
                solution = solve(memory=3, max_iterations=200)
            except checks.ConvergenceError:
                solution = solve(memory=0, max_iterations=max_iterations)
            state = solution.value
        m, c, v = unpack(state)
        loss_value, train_error = _averages(model, kinks, m, c, v)[3:]
    scalars = {
        "overlap": m,
        "norm": c,
        "susceptibility": v,
        "loss": loss_value,
        "train_error": train_error,
        "test_error": erfc(m / np.sqrt(2 * noise * c)) / 2,
    }
    provenance = {
        "engine": "ridge_estimator",
        "model": model,
        "ridge": float(ridge),
        "breakpoints": tuple(map(float, breakpoints)),
    }
    certificate = {
        "method": "fixed point by continuation in the ridge",
        "residual": solution.residual,
        "iterations": solution.iterations,
    }
    return dataset({name: ((), np.float64(value)) for name, value in scalars.items()}, {}, provenance, certificate=certificate)


def bayes_error(alpha: float, noise: float) -> float:
    """Smallest test error that any classifier of two balanced clusters can reach from n = alpha d samples.

    erfc(sqrt(alpha/(2 Delta (Delta + alpha))))/2, that of the plug-in direction w = sum_mu y_mu x_mu. Source: arXiv:2002.11544.
    """
    checks.positive("alpha", alpha)
    checks.positive("noise", noise)
    return float(erfc(np.sqrt(alpha / (2 * noise * (noise + alpha)))) / 2)


def capacity(margin: float = 0.0) -> float:
    """Largest load n/d at which random labels of random patterns can be stored with y r >= ``margin`` = kappa on the sphere
    |w|^2 = d.

    1/alpha_c = int_(-kappa)^inf Dt (t + kappa)^2 = (1 + kappa^2) Phi(kappa) + kappa phi(kappa); 2 at kappa = 0. Patterns of
    unit variance. Raises ``ParameterError`` for kappa < 0, where the space of solutions is not convex and the formula is only
    an upper bound.
    """
    checks.non_negative("margin", margin)
    return float(1 / ((1 + margin**2) * ndtr(margin) + margin * np.exp(-(margin**2) / 2) / np.sqrt(2 * np.pi)))


def proximal(loss: AbstractLoss, y: Float[Array, " n"], target: Float[Array, " n"], strength: Real) -> Float[Array, " n"]:
    """argmin_u ell(y, u) + (u - target)^2/(2 strength), elementwise, for a convex loss; runs inside ``jit``.

    The root of F(u) = u - target + strength ell'(y, u) lies between the target and target - strength ell'(y, target). Newton
    steps, replaced by bisection where they leave the bracket or have not halved F: where ell' bends twice Newton alone cycles,
    where it jumps bisection finds the jump. The error is of the order of the rounding of the bracket's ends.
    """
    far = target - strength * loss.slope(y, target)
    floor = 4 * jnp.finfo(target.dtype).eps * (1 + jnp.maximum(jnp.abs(target), jnp.abs(far)))

    def refine(carry: Any) -> Any:
        count, low, high, u, before, _ = carry
        value = u - target + strength * loss.slope(y, u)
        low, high = jnp.where(value <= 0, u, low), jnp.where(value >= 0, u, high)
        move = -value / (1 + strength * loss.curvature(y, u))
        inside = (u + move > low) & (u + move < high) & (jnp.abs(value) <= before / 2)
        settled = (jnp.abs(move) <= floor) | (high - low <= floor)
        new = jnp.where(settled, u, jnp.where(inside, u + move, (low + high) / 2))
        return count + 1, low, high, new, jnp.abs(value), jnp.all(settled)

    def unfinished(carry: Any) -> Any:
        return (carry[0] < 200) & ~carry[-1]

    unknown = jnp.full_like(target, jnp.inf)
    start = (0, jnp.minimum(target, far), jnp.maximum(target, far), target, unknown, jnp.asarray(False))
    return jax.lax.while_loop(unfinished, refine, start)[3]


def _averages(model: GaussianMixture, kinks: tuple[float, ...], m: float, c: float, v: float) -> np.ndarray:
    """<c g>, <g^2>, <ell''/(1 + Delta V ell'')>, <ell> and <1[y p < 0]> over both clusters; one compilation."""
    total = np.zeros(5)
    scale, strength = np.sqrt(model.noise * c), model.noise * v
    loss = traced(model.loss, np.float64)
    for sign, fraction in ((1.0, model.positive_fraction), (-1.0, 1 - model.positive_fraction)):
        # a kink of ell at p breaks the integrand at om = p + Delta V ell'(p), from both sides of a jump;
        # at p = 0 the training error jumps
        gaps = np.array([0.0, *(k + side * 1e-8 for k in kinks for side in (-1, 1))]) * sign
        slopes = np.asarray(loss.slope(jnp.full(gaps.shape, sign), jnp.asarray(gaps)))
        xi, weight = normal_panels((gaps + strength * slopes - sign * m) / scale)
        target = sign * m + scale * xi
        rows = _integrands(loss, jnp.asarray(sign), jnp.asarray(target), jnp.asarray(strength))
        # by parts: <ell''/(1 + Delta V ell'')> = -<dg/dom> = -<xi g>/scale, which needs no ell'' and no care at its jumps
        cg, loss_value, error = np.asarray(rows)
        total += fraction * (np.stack([cg, cg**2, -xi * sign * cg / scale, loss_value, error]) @ weight)
    return total


@eqx.filter_jit
def _integrands(loss: AbstractLoss, sign: Real, target: Float[Array, " n"], strength: Real) -> Float[Array, "3 n"]:
    """c g, ell(p) and 1[y p < 0] at the proximal points."""
    y = jnp.full_like(target, sign)
    p = proximal(loss, y, target, strength)
    # where the slope jumps it has no value at p, but the proximal equation still defines g
    g = -loss.slope(y, p) if loss.smooth else (p - target) / strength
    return jnp.stack([y * g, loss.ell(y, p), (y * p < 0).astype(p.dtype)])


def _check_model(model: Any) -> None:
    if type(model) is not GaussianMixture or model.clusters != 2:
        what = type(model).__name__ + (f" with clusters={model.clusters}" if isinstance(model, GaussianMixture) else "")
        raise checks.IncompatibleError(f"the ridge estimator needs a GaussianMixture with clusters=2, got {what}")
    checks.positive("noise", model.noise)
    output = getattr(model.loss, "output", Linear())
    if type(output) is not Linear:
        raise checks.IncompatibleError(f"the ridge estimator needs a Linear output, got {type(output).__name__}")
    with jax.enable_x64(True):
        r = jnp.linspace(-20.0, 20.0, 801)
        lowest = min(float(jnp.min(model.loss.curvature(jnp.full_like(r, y), r))) for y in (-1.0, 1.0))
    if lowest < 0:
        raise checks.ParameterError(f"loss must be convex, got {type(model.loss).__name__} with ell'' = {lowest:g}")
