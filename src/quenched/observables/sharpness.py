"""How sharp the place is where training ended: top eigenvalue and trace of the Hessian of one replica's energy.

Functions of (model, weights, disorder), for ``observables`` and ``final`` of ``simulate``; a user's own loss outside an engine
has ``observables.curvature``, with certificates.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from matfree import decomp

from quenched.records.labels import Label, register_label

register_label("sharpness", Label("top eigenvalue of the Hessian", r"\rho_1"))
register_label("hessian_trace", Label("trace of the Hessian", r"\mathrm{tr}\,H"))

DEPTH = 30
"""Products of the Krylov space: the top eigenvalue of a Hessian, far from the others, takes a dozen."""
PROBES = 64
"""Random signs of the trace: relative error sqrt(2/64) |H|_F/tr H at most."""


def sharpness(model: Any, weights: Any, disorder: Any) -> Float[Array, ""]:
    """The largest eigenvalue of the Hessian of loss_scale * sum of the losses, by Lanczos with full reorthogonalisation."""
    flat, product = _product(model, weights, disorder)
    start = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)
    tridiagonal = decomp.tridiag_sym(min(DEPTH, flat.size), reortho="full")(product, start)[1]
    return jnp.linalg.eigvalsh(tridiagonal)[-1]


def hessian_trace(model: Any, weights: Any, disorder: Any) -> Float[Array, ""]:
    """The trace of the same Hessian, Hutchinson's estimate from fixed random signs."""
    flat, product = _product(model, weights, disorder)
    signs = jax.random.rademacher(jax.random.key(1), (PROBES, *flat.shape), flat.dtype)
    return jnp.mean(jax.lax.map(lambda v: v @ product(v), signs))


def _product(model: Any, weights: Any, disorder: Any) -> tuple[Array, Any]:
    """The weights as one vector, and v -> H v there."""
    flat, back = ravel_pytree(weights)

    def energy(w: Array) -> Array:
        losses = model.losses(back(w), disorder)
        return model.loss_scale(losses.shape[0]) * jnp.sum(losses)

    slope = jax.grad(energy)
    return flat, lambda v: jax.jvp(slope, (flat,), (v,))[1]
