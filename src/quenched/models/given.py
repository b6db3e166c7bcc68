"""Given data inside models: features centred and scaled once, before anything is traced."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from quenched.data import AbstractData, Arrays
from quenched.numerics import checks


class Prepared(Arrays):
    """Arrays that ``prepare`` has put into a model: nothing is left to be read or scaled. ``signed``: all labels are +-1."""

    signed: bool = False


def prepared(data: AbstractData, model: str) -> Prepared:
    """The arrays of a prepared model; inside ``jit`` it is too late to load them."""
    if not isinstance(data, Prepared):
        raise checks.ParameterError(f"data must be loaded before {model} is used: take model.prepare()")
    return data


def no_size(size: int | None) -> None:
    """Given data have one size."""
    if size is not None:
        raise checks.ParameterError(f"size must be None for a model of given data, got {size!r}")


def signed_labels(arrays: Arrays, model: str, loss: Any) -> None:
    """One number per sample, +-1 for a classification loss."""
    for name, y in (("y", arrays.y), ("y_test", arrays.y_test)):
        if y is None:
            continue
        if y.ndim != 1:
            raise checks.ParameterError(f"{name} must have one number per sample for {model}, got shape {y.shape}")
        if loss.classification and not _signed(y):
            wrong = y[np.abs(y.astype(np.float64)) != 1][0]
            raise checks.ParameterError(f"{name} must be +-1 for the loss {type(loss).__name__}, got {wrong!r}")


def _signed(y: np.ndarray | None) -> bool:
    return y is not None and bool(np.all(np.abs(y.astype(np.float64)) == 1))


def standardise(arrays: Arrays, stiffness: float = math.inf) -> Prepared:
    """Flat features, centred with the training mean, times one number: the largest for which

        mean_mu |x_mu|^2/d <= 1    and    largest eigenvalue of X^T X/d <= ``stiffness``,

    over the training samples. One number for all features keeps the geometry, and constant features at 0. Held-out data get the
    same map.
    """
    x = arrays.x.reshape(len(arrays.x), -1).astype(np.float64)
    centre = x.mean(0)
    x = x - centre
    d = x.shape[1]
    power = np.mean(np.sum(x**2, axis=1)) / d
    if not power > 0:
        raise checks.ParameterError("x must vary over the samples, got samples that are all equal")
    scale = 1 / math.sqrt(power)
    if math.isfinite(stiffness):
        gram = x.T @ x if d <= len(x) else x @ x.T
        scale = min(scale, math.sqrt(stiffness * d / np.linalg.eigvalsh(gram)[-1]))
    x_test = arrays.x_test
    if x_test is not None:
        x_test = (x_test.reshape(len(x_test), -1).astype(np.float64) - centre) * scale
    return Prepared(
        x * scale, arrays.y, x_test, arrays.y_test, signed=_signed(arrays.y) and (x_test is None or _signed(arrays.y_test))
    )


def held_out(arrays: Arrays, dtype: Any) -> tuple[Any, Any]:
    """Held-out samples as JAX arrays, or (None, None)."""
    if arrays.x_test is None or arrays.y_test is None:
        return None, None
    return as_jax(arrays.x_test, dtype), as_jax(arrays.y_test, dtype)


def as_jax(array: Any, dtype: Any) -> Any:
    """Floating arrays in the run's type, integers and booleans as they are."""
    return jnp.asarray(array, dtype) if jnp.issubdtype(array.dtype, jnp.floating) else jnp.asarray(array)
