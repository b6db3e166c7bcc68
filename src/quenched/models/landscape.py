"""Landscapes of one or two dimensions on which everything about noise, escape and flatness is computable."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.records.description import public


class AbstractLandscape(eqx.Module):
    """A loss L(theta) of ``dimension`` d parameters, written with ``jax.numpy``."""

    @property
    def dimension(self) -> int:
        """d."""
        return 1

    @abc.abstractmethod
    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        """L at one point."""

    def gradient(self, theta: Float[Array, " d"]) -> Float[Array, " d"]:
        """grad L, by automatic differentiation."""
        return jax.grad(self.potential)(theta)

    def hessian(self, theta: Float[Array, " d"]) -> Float[Array, "d d"]:
        """The second derivatives of L, by automatic differentiation."""
        return jax.hessian(self.potential)(theta)


@public
class DoubleWell(AbstractLandscape):
    """L(x) = height (x^2 - 1)^2 (1 - asymmetry tanh(sharpness x)): two minima of equal depth, sharp at -1 and flat at +1.

    Defaults 0.25, 0.6, 2, for which L''(-1) = 3.157, L''(1) = 0.843, and the barrier at -0.2004 is 0.28292 high. With
    asymmetry 0 the wells are alike.
    """

    height: float = eqx.field(default=0.25, converter=float)
    asymmetry: float = eqx.field(default=0.6, converter=float)
    sharpness: float = eqx.field(default=2.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("height", self.height)
        checks.in_interval("asymmetry", self.asymmetry, -1.0, 1.0, closed="neither")

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        x = theta[0]
        return self.height * (x**2 - 1) ** 2 * (1 - self.asymmetry * jnp.tanh(self.sharpness * x))


@public
class Channel(AbstractLandscape):
    """L(x, y) = ``well``(x) + (4 - 3 tanh 2x) y^2/2: the double well with a second direction, stiff at the sharp minimum."""

    well: DoubleWell = DoubleWell()

    @property
    def dimension(self) -> int:
        return 2

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return self.well.potential(theta[:1]) + 0.5 * (4 - 3 * jnp.tanh(2 * theta[0])) * theta[1] ** 2


@public
class Harmonic(AbstractLandscape):
    """L(x) = curvature x^2/2."""

    curvature: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("curvature", self.curvature)

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return 0.5 * self.curvature * theta[0] ** 2


@public
class Quartic(AbstractLandscape):
    """L(x) = x^4/4 + tilt x."""

    tilt: float = eqx.field(default=0.0, converter=float)

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return 0.25 * theta[0] ** 4 + self.tilt * theta[0]


@public
class Tilted(AbstractLandscape):
    """``well``(x) + depth (1 + tanh 2x)/2: the flat minimum is shallower by ``depth`` (default 0.03): depth against flatness."""

    well: DoubleWell = DoubleWell()
    depth: float = eqx.field(default=0.03, converter=float)

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return self.well.potential(theta) + self.depth * (1 + jnp.tanh(2 * theta[0])) / 2


@public
class Cosine(AbstractLandscape):
    """L(x) = height (1 - cos(2 pi x/period)): a periodic landscape."""

    height: float = eqx.field(default=0.5, converter=float)
    period: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.positive("period", self.period)

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return self.height * (1 - jnp.cos(2 * jnp.pi * theta[0] / self.period))


@public
class FromPotential(AbstractLandscape):
    """A landscape of one's own: ``loss`` of theta (d,), written with ``jax.numpy``."""

    loss: Callable[[Any], Any] = eqx.field(static=True)
    size: int = 1

    @property
    def dimension(self) -> int:
        return self.size

    def potential(self, theta: Float[Array, " d"]) -> Array:
        return self.loss(theta)
