"""Velocity fields b(x) with their divergence: what a flow is made of, and what training changes.

A field is a component; its trainable numbers are a pytree beside it, like the weights of a model. Where the class knows a closed
form of the divergence it is used, otherwise the exact trace of the Jacobian. A random estimate of the trace would not do: the
volume J = exp(integral of div b) would be biased.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.numerics import checks
from quenched.records.datasets import describe_function
from quenched.records.description import public

Point = Float[Array, " d"]
Scalar = Float[Array, ""]
Parameters: TypeAlias = Any


class AbstractField(eqx.Module):
    """A velocity field on R^d, without time; all methods are functions of one point (d,)."""

    @abc.abstractmethod
    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        """The parameters that training starts from: a pytree of arrays, empty for a fixed field."""

    @abc.abstractmethod
    def velocity(self, parameters: Parameters, x: Point) -> Point:
        """b(x), shape (d,)."""

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        """div b(x), exactly; here the trace of the Jacobian, d times as expensive as the velocity."""
        return jnp.trace(jax.jacfwd(lambda y: self.velocity(parameters, y))(x))


def check_divergence(field: AbstractField, parameters: Parameters, points: Float[Array, "n d"]) -> None:
    """Compare ``divergence`` with the trace of the Jacobian of ``velocity``. Raises ``ParameterError`` where they differ by more
    than rounding, or where the velocity has the wrong shape.
    """
    shape = jax.eval_shape(lambda y: field.velocity(parameters, y), points[0]).shape
    if shape != points[0].shape:
        raise checks.ParameterError(f"velocity must have shape {points[0].shape}, got {shape}")

    def both(x: Point) -> tuple[Scalar, Scalar]:
        return field.divergence(parameters, x), AbstractField.divergence(field, parameters, x)

    given, exact = (np.asarray(part) for part in jax.jit(jax.vmap(both))(points))
    tolerance = np.sqrt(np.finfo(exact.dtype).eps) * (1 + np.abs(exact))
    if not np.all(np.abs(given - exact) <= tolerance):
        worst = int(np.argmax(np.abs(given - exact)))
        raise checks.ParameterError(
            f"divergence must be the trace of the Jacobian of the velocity: {float(exact[worst])!r} "
            f"for {type(field).__name__}, got {float(given[worst])!r}"
        )


def _glorot(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Uniform on +-sqrt(6/(fan in + fan out)); a vector counts as a matrix with one column."""
    fans = shape if len(shape) == 2 else (*shape, 1)
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * (6 / sum(fans)) ** 0.5


def _check_scale(width: int | None, scale: float) -> None:
    if width is not None:
        checks.integer_at_least("width", width, 1)
    checks.positive("scale", scale)


@public
class LinearField(AbstractField):
    """b(x) = W x + c. Starts from Glorot-uniform W (d, d) times ``scale`` (default 5) and c = 0."""

    scale: float = eqx.field(default=5.0, converter=float)

    def __check_init__(self) -> None:
        _check_scale(None, self.scale)

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        return {"matrix": self.scale * _glorot(key, (dimension, dimension)), "offset": jnp.zeros(dimension)}

    def velocity(self, parameters: Parameters, x: Point) -> Point:
        return parameters["matrix"] @ x + parameters["offset"]

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        return jnp.trace(parameters["matrix"])


@public
class GenericField(AbstractField):
    """b(x) = W_2 softplus(W_1 x + b_1) + b_2 with ``width`` m hidden units (default 20).

    Starts from Glorot-uniform arrays, those of the output times ``scale`` (default 5).
    """

    width: int = eqx.field(default=20, static=True)
    scale: float = eqx.field(default=5.0, converter=float)

    def __check_init__(self) -> None:
        _check_scale(self.width, self.scale)

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        shapes = {"w1": (self.width, dimension), "b1": (self.width,), "w2": (dimension, self.width), "b2": (dimension,)}
        keys = jax.random.split(key, 4)
        drawn = {name: _glorot(k, shape) for k, (name, shape) in zip(keys, shapes.items(), strict=True)}
        return drawn | {"w2": self.scale * drawn["w2"], "b2": self.scale * drawn["b2"]}

    def velocity(self, parameters: Parameters, x: Point) -> Point:
        hidden = jax.nn.softplus(parameters["w1"] @ x + parameters["b1"])
        return parameters["w2"] @ hidden + parameters["b2"]

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        loops = jnp.sum(parameters["w2"].T * parameters["w1"], axis=1)
        return loops @ jax.nn.sigmoid(parameters["w1"] @ x + parameters["b1"])


@public
class GradientField(AbstractField):
    """b = grad V, V(x) = w_2.softplus(W_1 x + b_1), with ``width`` m hidden units (default 20): b(x) = W_1^T (w_2 sigmoid(z)).

    Starts from Glorot-uniform arrays, w_2 times ``scale`` (default 5).
    """

    width: int = eqx.field(default=20, static=True)
    scale: float = eqx.field(default=5.0, converter=float)

    def __check_init__(self) -> None:
        _check_scale(self.width, self.scale)

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        k1, k2, k3 = jax.random.split(key, 3)
        return {
            "w1": _glorot(k1, (self.width, dimension)),
            "b1": _glorot(k2, (self.width,)),
            "w2": self.scale * _glorot(k3, (self.width,)),
        }

    def velocity(self, parameters: Parameters, x: Point) -> Point:
        return (parameters["w2"] * jax.nn.sigmoid(parameters["w1"] @ x + parameters["b1"])) @ parameters["w1"]

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        s = jax.nn.sigmoid(parameters["w1"] @ x + parameters["b1"])
        return jnp.sum(parameters["w2"] * s * (1 - s) * jnp.sum(parameters["w1"] ** 2, axis=1))


@public
class FunnelField(AbstractField):
    """b(x) = (-beta, -alpha x_2, ..., -alpha x_d) for |x| < ``radius``, 0 outside: orbits stop where they leave the ball.

    ``beta``, ``alpha`` (default 2) are where training starts; ``radius`` (default 25). Made for ``Funnel`` (arXiv:2206.09908).
    """

    beta: float = eqx.field(default=2.0, converter=float)
    alpha: float = eqx.field(default=2.0, converter=float)
    radius: float = eqx.field(default=25.0, converter=float)

    def __check_init__(self) -> None:
        checks.finite("beta", self.beta)
        checks.finite("alpha", self.alpha)
        checks.positive("radius", self.radius)

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        return {"beta": jnp.asarray(self.beta), "alpha": jnp.asarray(self.alpha)}

    def velocity(self, parameters: Parameters, x: Point) -> Point:
        inside = jnp.sum(x**2) < self.radius**2
        return jnp.where(inside, jnp.concatenate([-parameters["beta"][None], -parameters["alpha"] * x[1:]]), 0.0)

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        return jnp.where(jnp.sum(x**2) < self.radius**2, -parameters["alpha"] * (x.shape[0] - 1), 0.0)


@public
class ModuleField(AbstractField):
    """Any function of one point (d,) -> (d,): an Equinox module, whose floating arrays are trained, or a plain function.

    ``trace`` (optional) is a closed form of the divergence, a function of (module, x); it is the user's promise, which
    ``check_divergence`` tests. Files keep the name of the module only.
    """

    module: Any
    trace: Callable[[Any, Any], Any] | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        if not callable(self.module):
            raise checks.ParameterError(f"module must be a function of one point, got {self.module!r}")

    def initial(self, key: PRNGKeyArray, dimension: int) -> Parameters:
        return jax.tree.map(lambda a: jnp.asarray(a, jnp.result_type(float)), eqx.filter(self.module, eqx.is_inexact_array))

    def velocity(self, parameters: Parameters, x: Point) -> Array:
        return self._bound(parameters)(x)

    def divergence(self, parameters: Parameters, x: Point) -> Scalar:
        if self.trace is None:
            return super().divergence(parameters, x)
        return jnp.asarray(self.trace(self._bound(parameters), x))

    def _bound(self, parameters: Parameters) -> Any:
        return eqx.combine(parameters, eqx.filter(self.module, eqx.is_inexact_array, inverse=True))

    def described(self) -> dict[str, Any]:
        return {"module": describe_function(self.module)}
