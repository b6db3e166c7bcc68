"""Landscapes on which optimisers are tried: rough, stiff, with several minima, or with a narrow valley."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quenched.models.landscape import AbstractLandscape
from quenched.numerics import checks
from quenched.records.description import public


class AbstractTestLandscape(AbstractLandscape):
    """A landscape with known global minima, where F is 0, and the point from which the papers start."""

    @property
    @abc.abstractmethod
    def start(self) -> tuple[float, ...]:
        """The customary starting point, d numbers."""

    @property
    @abc.abstractmethod
    def minima(self) -> Float[np.ndarray, "k d"]:
        """The global minima."""

    @property
    def minimal_hessians(self) -> Float[np.ndarray, "k d d"] | None:
        """The second derivatives at the minima; None where F has none there. Default: None."""
        return None


@public
class Ackley(AbstractTestLandscape):
    """F(x) = -20 exp(-decay |x|/sqrt(n)) - exp(mean_i cos 2 pi x_i) + 20 + e: a shallow cone under waves of length 1.

    ``size`` n >= 1 (default 2) coordinates. ``decay`` > 0 is 0.02 as in arXiv:2201.11137, a tenth of the usual. The global
    minimum 0 is the tip of a cone, where the derivative counts as 0 and there is no Hessian; the other integer points are near
    local minima. Starts at (-4, 3, -4, ...).
    """

    size: int = 2
    decay: float = eqx.field(default=0.02, converter=float)

    def __check_init__(self) -> None:
        checks.integer_at_least("size", self.size, 1)
        checks.positive("decay", self.decay)

    @property
    def dimension(self) -> int:
        return self.size

    @property
    def start(self) -> tuple[float, ...]:
        return tuple((-4.0, 3.0)[i % 2] for i in range(self.size))

    @property
    def minima(self) -> Float[np.ndarray, "k d"]:
        return np.zeros((1, self.size))

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        square = jnp.mean(theta**2)
        # the derivative of a root is infinite at 0
        radius = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
        waves = jnp.exp(jnp.mean(jnp.cos(2 * jnp.pi * theta)))
        return -20 * jnp.exp(-self.decay * radius) - waves + 20 + jnp.e


@public
class Zakharov(AbstractTestLandscape):
    """F(x) = |x|^2 + b^2 + b^4, b = sum_i i x_i/2: one minimum, at the bottom of a valley that gets steep far from it.

    ``size`` n >= 1 (default 10) coordinates. At the minimum 0 the Hessian is 2 I + v v^T/2, v = (1, ..., n). Starts at all ones,
    where F = 572680.3125 for n = 10.
    """

    size: int = 10

    def __check_init__(self) -> None:
        checks.integer_at_least("size", self.size, 1)

    @property
    def dimension(self) -> int:
        return self.size

    @property
    def start(self) -> tuple[float, ...]:
        return (1.0,) * self.size

    @property
    def minima(self) -> Float[np.ndarray, "k d"]:
        return np.zeros((1, self.size))

    @property
    def minimal_hessians(self) -> Float[np.ndarray, "k d d"]:
        v = np.arange(1.0, self.size + 1)
        return (2 * np.eye(self.size) + np.outer(v, v) / 2)[None]

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        b = jnp.sum(jnp.arange(1, self.size + 1, dtype=theta.dtype) * theta) / 2
        return jnp.sum(theta**2) + b**2 + b**4


@public
class TwoBasins(AbstractTestLandscape):
    """A wide and a narrow minimum of equal depth, in two dimensions, c_1 = (-2, -2) and c_2 = (2, 2):

        F(x) = 1 - exp(-wide |x - c_1|^2) - (1 - lift) exp(-narrow |x - c_2|^2) + wall |x - c_1|^2 |x - c_2|^2.

    Defaults 0.4, 0.8, lift 2.75e-6, wall 0.001; the lift makes up for what is left of the wide Gaussian at c_2. Up to terms of
    that order, exp(-32 wide), the centres are the minima, F is 0 there (-1e-8 at c_2), and the Hessians are those of
    ``minimal_hessians``, 0.864 and 1.664 times the unit matrix. Starts at (10, -10), F = 44.264.
    """

    wide: float = eqx.field(default=0.4, converter=float)
    narrow: float = eqx.field(default=0.8, converter=float)
    lift: float = eqx.field(default=2.75e-6, converter=float)
    wall: float = eqx.field(default=1e-3, converter=float)

    def __check_init__(self) -> None:
        for name in ("wide", "narrow", "wall"):
            checks.positive(name, getattr(self, name))
        checks.in_interval("lift", self.lift, 0.0, 1.0, closed="left")

    @property
    def dimension(self) -> int:
        return 2

    @property
    def start(self) -> tuple[float, ...]:
        return (10.0, -10.0)

    @property
    def minima(self) -> Float[np.ndarray, "k d"]:
        return np.array([[-2.0, -2.0], [2.0, 2.0]])

    @property
    def minimal_hessians(self) -> Float[np.ndarray, "k d d"]:
        return np.stack([(2 * width + 64 * self.wall) * np.eye(2) for width in (self.wide, self.narrow)])

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        left, right = jnp.sum((theta + 2) ** 2), jnp.sum((theta - 2) ** 2)
        return 1 - jnp.exp(-self.wide * left) - (1 - self.lift) * jnp.exp(-self.narrow * right) + self.wall * left * right


@public
class Valley(AbstractTestLandscape):
    """F(x, y) = (steep^2 x^2 + flat^2 y^2)/2: a valley with condition number (steep/flat)^2. Defaults 1 and 0.1, start (1, 1)."""

    steep: float = eqx.field(default=1.0, converter=float)
    flat: float = eqx.field(default=0.1, converter=float)

    def __check_init__(self) -> None:
        checks.positive("steep", self.steep)
        checks.positive("flat", self.flat)

    @property
    def dimension(self) -> int:
        return 2

    @property
    def start(self) -> tuple[float, ...]:
        return (1.0, 1.0)

    @property
    def minima(self) -> Float[np.ndarray, "k d"]:
        return np.zeros((1, 2))

    @property
    def minimal_hessians(self) -> Float[np.ndarray, "k d d"]:
        return np.diag([self.steep**2, self.flat**2])[None]

    def potential(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        return (self.steep**2 * theta[0] ** 2 + self.flat**2 * theta[1] ** 2) / 2
