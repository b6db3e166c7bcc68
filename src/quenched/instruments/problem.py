"""What a user may bring: a loss and parameters of any library, data as a pytree, or arrays and a model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from quenched.dynamics import Gradient, Minibatch, Momentum
from quenched.numerics import checks

DEFAULT_RULE = Gradient(lr=0.01, batches=Minibatch(size=32), transform=Momentum(decay=0.9))
"""SGD with momentum 0.9, learning rate 0.01, batches of 32."""


def squared_error(params: Any, batch: tuple[Array, Array]) -> Array:
    """Half the mean squared error of ``params``, a callable of x (n, ...) that gives (n,) or (n, 1): an Equinox-style model."""
    x, y = batch
    return 0.5 * jnp.mean((jnp.reshape(params(x), jnp.shape(y)) - y) ** 2)


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
