"""A displaced mode on its way to the minimum: mean position and velocity, and the spread around them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from quenched.numerics import checks
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.theory.ornstein_uhlenbeck import propagation as step
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD, check_stable

register_label("mode_position", Label("distance from the minimum along a mode", r"q\cdot(\theta_k-\mu)"))
register_label("mode_step", Label("step along a mode", r"q\cdot(\theta_k-\theta_{k-1})"))
register_label("mode_spread", Label("standard deviation along a mode", r"\sqrt{q\cdot\mathrm{Cov}(\theta_k)q}"))


def relaxation(rule: MomentumSGD, curvature: Any, noise: Any, steps: Any, position: Any) -> xr.Dataset:
    """<x_k> and <x_k - x_{k-1}> of modes that start at ``position`` with an empty momentum buffer: dims (mode, step).

    ``mode_position`` = (a_k (1 - eta h) - beta a_{k-1}) x_0 with ``mode_spread``, the standard deviation
    eta sqrt(Sigma/S sum_j a_j^2); ``mode_step`` = -eta h a_k x_0. Exact in discrete time for additive noise; a_k as in
    ``propagation``. ``curvature``, ``noise``, ``position``: arrays (mode,); ``steps``: integers >= 0. Raises ``ParameterError``
    for an unstable mode.
    """
    rho, q, x0 = (np.atleast_1d(np.asarray(a, float)) for a in (curvature, noise, position))
    if not rho.shape == q.shape == x0.shape or rho.ndim != 1:
        raise checks.ParameterError(f"curvature, noise, position must be (mode,), got {rho.shape}, {q.shape}, {x0.shape}")
    check_stable(rule, rho)
    with jax.enable_x64(True):
        x = jnp.asarray(rule.lr * (rho + rule.ridge))[:, None]
        k = jnp.asarray(np.asarray(steps), float)[None]
        x, k = (jnp.broadcast_to(a, (len(rho), k.size)) for a in (x, k))
        a = step.kick(x, rule.momentum, k)
        # x_k = x_0 - eta h (a_1 + ... + a_k) x_0: kicks of the slope at every step
        place = (1 - x * step.kick_sum(x, rule.momentum, k)) * x0[:, None]
        spread = rule.lr * jnp.sqrt(q[:, None] / rule.batch_size * jnp.maximum(step.kick_squares(x, rule.momentum, k), 0.0))
        moves = -x * a * x0[:, None]
        variables = {"mode_position": place, "mode_spread": spread, "mode_step": moves}
        values = {name: (("mode", "step"), np.asarray(v, float)) for name, v in variables.items()}
    coords = {"curvature": ("mode", rho), "step": np.asarray(steps)}
    return dataset(values, coords, {"engine": "relaxation", "rule": rule})
