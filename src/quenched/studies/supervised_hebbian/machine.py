"""Random archetypes as classes: phase diagrams by data-set entropy, and the machine that names a fresh example's class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, PRNGKeyArray

from quenched.models import BoltzmannMachine, Hopfield, hebbian
from quenched.records.labels import Label, register_label
from quenched.theory import hopfield

register_label("accuracy", Label("accuracy on fresh examples", "A"))

_LINES = ("critical_load", "first_order_load", "spin_glass_temperature")
_FRESH = 20


def diagrams(entropies: Sequence[float], points: int) -> xr.Dataset:
    """Lines of the phase diagram by data-set entropy rho, and ``critical_entropy`` against load at T = 0."""
    top = hopfield.critical_load(hopfield.PatternLaw.supervised(0.0)).load
    loads = np.linspace(0, 1.1 * top, points)
    parts = []
    for rho in entropies:
        law = hopfield.PatternLaw.supervised(rho)
        parts.append(hopfield.phase_diagram(law, np.linspace(0, 0.999, points), loads, instability=False)[list(_LINES)])
    attrs = {"long_name": "data-set entropy", "symbol": r"\rho", "units": "1"}
    return xr.concat(parts, xr.IndexVariable("entropy", list(entropies), attrs), combine_attrs="drop_conflicts")


def accuracies(size: int, classes: int, qualities: Sequence[float], examples: Sequence[int]) -> xr.Dataset:
    """``accuracy`` (quality, examples) in signal-to-noise theory."""
    values = [[hopfield.classifier_accuracy(size, classes, m, r) for m in examples] for r in qualities]
    return xr.Dataset({"accuracy": (("quality", "examples"), np.array(values))}, _coordinates(qualities, examples))


def measured_accuracies(
    size: int, classes: int, qualities: Sequence[float], examples: Sequence[int], disorder: int, seed: int
) -> xr.Dataset:
    """The same for machines with the class means as weights, 20 fresh examples per class, with errors over data sets."""
    values = np.array([[_accuracy(size, classes, m, r, disorder, seed) for m in examples] for r in qualities])
    dims = ("quality", "examples")
    variables = {
        "accuracy": (dims, values.mean(-1)),
        "accuracy_error": (dims, values.std(-1, ddof=1) / disorder**0.5),
    }
    return xr.Dataset(variables, _coordinates(qualities, examples))


def _accuracy(size: int, classes: int, examples: int, quality: float, disorder: int, seed: int) -> np.ndarray:
    """Fraction of fresh examples whose most active hidden unit is their class, by data set."""
    machine = BoltzmannMachine(Hopfield(load=classes / size, examples=examples, quality=quality, rule="supervised"))

    def right(key: PRNGKeyArray) -> Array:
        key_data, key_fresh = jax.random.split(key)
        data = machine.sample(key_data, (classes, size), jnp.dtype("float32"))
        keys = jax.random.split(key_fresh, classes)
        fresh = jax.vmap(lambda k, xi: hebbian.draw_examples(k, xi, _FRESH, quality))(keys, data.archetypes)
        activity = jax.vmap(jax.vmap(lambda spins: machine.hidden_means(spins, data)))(fresh)
        return jnp.mean(jnp.argmax(activity, axis=-1) == jnp.arange(classes)[:, None])

    return np.asarray(jax.lax.map(right, jax.random.split(jax.random.key(seed), disorder)), np.float64)


def _coordinates(qualities: Sequence[float], examples: Sequence[int]) -> dict[str, Any]:
    return {
        "quality": ("quality", np.asarray(qualities, float), {"long_name": "quality", "symbol": "r", "units": "1"}),
        "examples": ("examples", np.asarray(examples), {"long_name": "examples per class", "symbol": "M", "units": "1"}),
    }
