"""Parameters of a system by dotted path, and which of them sampled trajectories follow smoothly."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.dynamics.batches import IID, Epochs, Fresh, Full
from quenched.numerics import checks
from quenched.numerics.precision import traced

_DISCRETE = ("lt", "le", "gt", "ge", "eq", "ne", "sign", "floor", "ceil", "round", "argmax", "argmin", "is_finite")
_INSTEAD = "take the difference of two `solve` with one seed, over a change that moves the answer by many errors"
_UNSEEN = "at fixed random numbers a trajectory does not see it"


def single_numbers(model: Any, rule: Any, wrt: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of single numbers, an entry each for a tuple of them; raises ``ParameterError`` for what no trajectory follows."""
    if not wrt:
        raise checks.ParameterError("wrt must name at least one parameter, got none")
    paths: list[str] = []
    for path in wrt:
        value = find((model, rule), path)
        if isinstance(value, tuple) and value and all(isinstance(entry, float) for entry in value):
            paths += [f"{path}.{k}" for k in range(len(value))]
        elif isinstance(value, float):
            paths.append(path)
        else:
            fields = _fields(value)
            inside = f"; it has {', '.join(fields)}" if fields else ""
            raise checks.ParameterError(f"{path} must be a real number to be differentiated by, got {value!r}{inside}")
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise checks.ParameterError(f"wrt must name every parameter once, got {', '.join(twice)} twice")
    for path in paths:
        reason = _no_path(model, rule, path)
        if reason is not None:
            raise checks.ParameterError(f"{path} cannot be differentiated by: {reason}")
    return tuple(paths)


def find(roots: tuple[Any, Any], path: str) -> Any:
    """What a dotted path names, from (model, rule); raises ``ParameterError`` with near names."""
    names = path.split(".")
    value: Any = dict(zip(("model", "rule"), roots, strict=True))
    for k, name in enumerate(names):
        known = list(value) if isinstance(value, dict) else _fields(value)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            owner = ".".join(names[:k]) or "a path"
            has = f"has {', '.join(known)}" if known else "has no parameters"
            raise checks.ParameterError(f"there is no parameter {path}: {owner} {has}{hint}")
        value = value[name] if isinstance(value, dict) else value[int(name)] if isinstance(value, tuple) else getattr(value, name)
    return value


def _fields(value: Any) -> list[str]:
    if isinstance(value, tuple):
        return [str(k) for k in range(len(value))]
    return [field.name for field in dataclasses.fields(value) if field.init] if dataclasses.is_dataclass(value) else []


def _no_path(model: Any, rule: Any, path: str) -> str | None:
    """Why trajectories at fixed random numbers do not follow a parameter, in one line; None if nothing speaks against it."""
    if path.startswith("rule.batches."):
        return f"it moves the probabilities of the batches, and {_UNSEEN}; {_INSTEAD}"
    # exact types: another law may depend on the learning rate
    if path.split(".")[1] == "lr" and type(rule.batches) not in (Full, IID, Epochs, Fresh):
        return (
            f"the learning rate moves the probabilities of {type(rule.batches).__name__} batches, and {_UNSEEN}; "
            f"{_INSTEAD}, or take Full, IID or Epochs batches, whose law does not contain it"
        )
    if path == "rule.temperature" and not rule.thermal:
        return (
            "thermal noise is proportional to sqrt(temperature), whose slope at 0 is infinite; differentiate at a temperature > 0"
        )
    if path.startswith("model.") and _decides(model, path):
        return f"it moves the probabilities of the labels or classes, and {_UNSEEN}; {_INSTEAD}"
    return None


def _decides(model: Any, path: str) -> bool:
    """Whether a parameter of the model enters a comparison in the law of the samples."""
    with jax.enable_x64(True):
        law = traced(model, "float64")

        def latent(value: Float[Array, ""]) -> Any:
            moved = eqx.tree_at(lambda tree: find((tree, None), path), law, value)
            return moved.latent(jnp.full((2, model.directions), 0.3), jnp.full(2, 0.4))

        closed = jax.make_jaxpr(latent)(find((law, None), path))
    return _compares(closed.jaxpr, [True])[0]


def _compares(jaxpr: Any, reached: list[bool]) -> tuple[bool, list[bool]]:
    """Whether something that the reached inputs enter is compared, and which outputs they reach."""
    seen = {v for v, r in zip(jaxpr.invars, reached, strict=True) if r}
    found = False
    for equation in jaxpr.eqns:
        enters = [not hasattr(v, "val") and v in seen for v in equation.invars]
        if not any(enters):
            continue
        inner = [getattr(p, "jaxpr", p) for p in equation.params.values() if hasattr(getattr(p, "jaxpr", p), "eqns")]
        # a call with one body and the same inputs is followed, any other counts as reached as a whole
        if len(inner) == 1 and len(inner[0].invars) == len(enters):
            compared, outputs = _compares(inner[0], enters)
        else:
            compared = equation.primitive.name in _DISCRETE or any(_compares(j, [True] * len(j.invars))[0] for j in inner)
            outputs = [True] * len(equation.outvars)
        found |= compared
        seen |= {v for v, r in zip(equation.outvars, outputs, strict=True) if r}
    return found, [not hasattr(v, "val") and v in seen for v in jaxpr.outvars]
