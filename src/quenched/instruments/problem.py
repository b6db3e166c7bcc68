"""What a user may bring: a loss and parameters of any library, data as a pytree, or arrays and a model."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from quenched.dynamics import Gradient, Minibatch, Momentum
from quenched.losses import AbstractLoss
from quenched.numerics import checks

DEFAULT_RULE = Gradient(lr=0.01, batches=Minibatch(size=32), transform=Momentum(decay=0.9))
"""SGD with momentum 0.9, learning rate 0.01, batches of 32."""


def from_model(loss: Any, params: Any, data: Any) -> tuple[Any, Any, Any]:
    """``(loss, params, data)`` with a loss that is a function; unchanged where ``loss`` is no name and no ``AbstractLoss``.

    ``loss``: ``"squared_error"``, |y - f|^2/2; ``"cross_entropy"`` of classes y = 0, ..., K-1 and K outputs; an ``AbstractLoss``
    of y and one output, such as ``Logistic()`` with y = +-1. ``params``: a callable of ONE sample with its arrays as leaves
    (Equinox, Flax NNX), or ``(module, variables)`` of Flax Linen, where ``module.apply(variables, X)`` takes all samples and the
    collections beside "params" stay fixed. ``data``: arrays ``(X, y)``, X (n, d, ...), y (n,), or (n, K) for a squared error.
    Outputs f and targets y of shape (n, 1) count as (n,).

    Raises ``ParameterError`` for another name, a model that is neither, and arrays that do not fit each other or the loss.
    """
    if not isinstance(loss, str | AbstractLoss):
        return loss, params, data
    if isinstance(loss, str):
        checks.one_of("loss", loss, ("squared_error", "cross_entropy"))
    x, y = _checked_arrays(data)
    outputs, trained = _outputs(params)
    _check_fit(loss, _shape_of_outputs(outputs, trained, x), y)
    if loss != "cross_entropy":
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))

    def mean(trained: Any, batch: tuple[Array, Array]) -> Array:
        return jnp.mean(_each(loss, _column(outputs(trained, batch[0])), batch[1]))

    return mean, trained, (x, y)


def _each(loss: str | AbstractLoss, f: Array, y: Array) -> Array:
    if loss == "cross_entropy":
        return optax.softmax_cross_entropy_with_integer_labels(f, y)
    if isinstance(loss, AbstractLoss):
        return loss.ell(y, f)
    return 0.5 * jnp.sum(jnp.reshape(f - y, (len(f), -1)) ** 2, axis=1)


def _outputs(model: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """The outputs as a function of (weights, X), and the weights."""
    if isinstance(model, tuple | list) and len(model) == 2 and hasattr(model[0], "apply"):
        module, variables = model
        if not isinstance(variables, Mapping) or "params" not in variables:
            raise checks.ParameterError(f'variables of (module, variables) must hold "params", got {_told(variables)}')
        fixed = {name: value for name, value in variables.items() if name != "params"}
        return lambda trained, x: module.apply({**fixed, "params": trained}, x), variables["params"]
    if not callable(model):
        raise checks.ParameterError(
            f"params must be a callable of one sample, or (module, variables) with module.apply, where loss is no function, "
            f"got {_told(model)}"
        )
    trained, rest = eqx.partition(model, eqx.is_inexact_array)
    if not jax.tree.leaves(trained):
        raise checks.ParameterError(f"params must have at least one floating array, got {type(model).__name__} without one")
    return lambda trained, x: jax.vmap(eqx.combine(trained, rest))(x), trained


def _checked_arrays(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise checks.ParameterError(f"data must be a pair of arrays (X, y), got {_told(data)}")
    for name, array in zip(("X", "y"), data, strict=True):
        kinds = (jnp.integer, jnp.floating)
        if not isinstance(array, np.ndarray | jax.Array) or not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
            raise checks.ParameterError(f"{name} of data must be an array of real numbers, got {_told(array)}")
        if not np.all(np.isfinite(np.asarray(array))):
            raise checks.ParameterError(f"{name} of data must be finite, got an entry that is not")
    x, y = data
    if x.ndim < 2 or len(x) == 0:
        raise checks.ParameterError(f"X of data must have shape (n, d, ...) with n >= 1, got {x.shape}")
    if y.ndim == 0 or len(y) != len(x):
        raise checks.ParameterError(f"y of data must have as many samples as X, n={len(x)}, got shape {y.shape}")
    return jnp.asarray(x), jnp.asarray(_column(y))


def _shape_of_outputs(outputs: Callable[[Any, Any], Any], trained: Any, x: Any) -> tuple[int, ...]:
    try:
        shape = eqx.filter_eval_shape(lambda w, inputs: _column(outputs(w, inputs)), trained, x).shape
    # whatever a model of any library raises: a missing key, a wrong shape, a state that it wants to change
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise checks.ParameterError(f"params must accept X of shape {x.shape}, but the model fails: {first}") from error
    if len(shape) not in (1, 2) or shape[0] != len(x):
        raise checks.ParameterError(f"params must give a number or a vector per sample, n={len(x)}, got outputs {shape}")
    return tuple(shape)


def _check_fit(loss: str | AbstractLoss, shape: tuple[int, ...], y: Any) -> None:
    if loss == "cross_entropy":
        if len(shape) != 2:
            raise checks.ParameterError(f"cross_entropy must have at least 2 outputs per sample, got outputs {shape}")
        if y.ndim != 1 or not jnp.issubdtype(y.dtype, jnp.integer) or y.min() < 0 or y.max() >= shape[1]:
            raise checks.ParameterError(
                f"y of data must hold integers 0 <= y < {shape[1]}, one per sample, for cross_entropy with outputs {shape}, "
                f"got {y.dtype} of shape {y.shape} from {y.min()} to {y.max()}"
            )
        return
    if isinstance(loss, AbstractLoss):
        if len(shape) != 1:
            raise checks.ParameterError(f"{type(loss).__name__} must have one output per sample, got outputs {shape}")
        if loss.classification and not np.all(np.abs(np.asarray(y)) == 1):
            raise checks.ParameterError(f"y of data must be +-1 for {type(loss).__name__}, got {y.min()} to {y.max()}")
    if y.shape != shape:
        raise checks.ParameterError(f"y of data must have the shape of the outputs, {shape}, got {y.shape}")


def _column(array: Any) -> Any:
    """(n, 1) as (n,)."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _told(value: Any) -> str:
    """A value in a message: arrays by shape and type, anything else by its class."""
    return f"{value.dtype} of shape {value.shape}" if hasattr(value, "dtype") else type(value).__name__


def from_file(path: str | Path) -> dict[str, Any]:
    """``loss``, ``params``, ``data`` and, where it is there, ``rule`` of a Python file, which is executed.

    Raises ``ParameterError`` for a file that does not exist, fails, or lacks one of the first three.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise checks.ParameterError(f"the problem must be a Python file that defines loss, params and data, got {file}")
    module = _executed(file)
    missing = [name for name in ("loss", "params", "data") if not hasattr(module, name)]
    if missing:
        raise checks.ParameterError(f"{file} must define loss, params and data, it lacks {', '.join(missing)}")
    return {name: getattr(module, name) for name in ("loss", "params", "data", "rule") if hasattr(module, name)}


def _executed(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_diagnosed_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise checks.ParameterError(f"the problem must be a Python file, got {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # as when a script is run: what lies beside it can be imported
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise checks.ParameterError(f"{file} must run without an error, it raised {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module
