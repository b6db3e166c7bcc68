"""Losses of one sample, ``ell(y, r)``, and scalar functions ``phi(r)``.

``y`` is the label and ``r = w.x/sqrt(d)`` the pre-activation. A loss is a function of both; its derivatives with respect to
``r`` come from automatic differentiation unless a class gives closed forms, so that a class with nothing but ``ell`` works in
simulation and in theory.
"""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.records.description import public

Elementwise = Float[Array, "..."]


class AbstractOutput(eqx.Module):
    """A scalar function phi(r), elementwise: the output of a single-layer network, a teacher, or the activation of a hidden unit.

    A subclass needs ``__call__`` only. The predicted class is sign(phi(r)).
    """

    @abc.abstractmethod
    def __call__(self, r: Elementwise) -> Elementwise:
        """phi(r), elementwise."""

    def slope(self, r: Elementwise) -> Elementwise:
        """d phi / d r."""
        return jax.jvp(self, (r,), (jnp.ones_like(r),))[1]

    def curvature(self, r: Elementwise) -> Elementwise:
        """d^2 phi / d r^2."""
        return jax.jvp(self.slope, (r,), (jnp.ones_like(r),))[1]

    @property
    def smooth(self) -> bool:
        """Whether the slope is continuous."""
        return True

    @property
    def same_sign(self) -> bool:
        """Whether sign(phi(r)) = sign(r) for every r, so that it classifies as the linear output does."""
        return False


@public
class Linear(AbstractOutput):
    """phi(r) = r."""

    def __call__(self, r: Elementwise) -> Elementwise:
        return r

    @property
    def same_sign(self) -> bool:
        return True


@public
class Tanh(AbstractOutput):
    """phi(r) = tanh(r)."""

    def __call__(self, r: Elementwise) -> Elementwise:
        return jnp.tanh(r)

    @property
    def same_sign(self) -> bool:
        return True


@public
class Relu(AbstractOutput):
    """phi(r) = max(0, r): not smooth, the theory's response needs a smooth function."""

    def __call__(self, r: Elementwise) -> Elementwise:
        return jnp.where(r > 0, r, 0.0)

    @property
    def smooth(self) -> bool:
        return False


@public
class Sign(AbstractOutput):
    """phi(r) = +1 for r >= 0, -1 below: a perceptron teacher. Its slope vanishes: no gradient passes through it."""

    def __call__(self, r: Elementwise) -> Elementwise:
        return jnp.where(r >= 0, jnp.ones_like(r), -jnp.ones_like(r))

    @property
    def smooth(self) -> bool:
        return False

    @property
    def same_sign(self) -> bool:
        return True


@public
class Door(AbstractOutput):
    """phi(r) = r^2 - L^2: positive outside a door of half-width ``width`` = L > 0 (default 0.7).

    It separates the centre of a three-cluster mixture from its two sides (Mignacco et al. 2020, arXiv:2006.06098).
    """

    width: float = eqx.field(default=0.7, converter=float)

    def __check_init__(self) -> None:
        checks.positive("width", self.width)

    def __call__(self, r: Elementwise) -> Elementwise:
        return r**2 - self.width**2


class AbstractLoss(eqx.Module):
    """Loss of one sample as a function of its label and pre-activation, elementwise over arrays.

    A subclass needs ``ell`` only. It must be written with ``jax.numpy``. A loss whose slope jumps overrides ``smooth`` to say so:
    automatic differentiation does not see the jump, and the theory would be wrong without notice.
    """

    @abc.abstractmethod
    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        """The loss ell(y, r)."""

    def slope(self, y: Elementwise, r: Elementwise) -> Elementwise:
        """d ell / d r."""
        return jax.jvp(lambda x: self.ell(y, x), (r,), (jnp.ones_like(r),))[1]

    def curvature(self, y: Elementwise, r: Elementwise) -> Elementwise:
        """d^2 ell / d r^2."""
        return jax.jvp(lambda x: self.slope(y, x), (r,), (jnp.ones_like(r),))[1]

    def gap(self, y: Elementwise, r: Elementwise) -> Elementwise:
        """The gap h = y phi(r) of a classified sample: it is misclassified if h < 0."""
        return y * r

    @property
    def classification(self) -> bool:
        """Whether labels are classes +-1."""
        return False

    @property
    def smooth(self) -> bool:
        """Whether the slope is continuous in r: where it jumps, the curvature has a delta function that no sample sees."""
        return True

    @property
    def curvature_continuous(self) -> bool:
        """Whether the curvature is continuous in r: where it jumps, the derivative of an average of curvatures has a delta
        function that no sample sees. Default: as ``smooth``.
        """
        return self.smooth

    @property
    def max_curvature(self) -> float:
        """A bound on the curvature over all (y, r); infinite where there is none or none is known."""
        return math.inf


class AbstractMarginLoss(AbstractLoss):
    """A loss ell(h) that depends on the label only through the gap h = y phi(r): labels must be +-1.

    A subclass needs ``of_gap`` only. The derivatives follow from the chain rule, d/dr = y phi' ell',
    d^2/dr^2 = y phi'' ell' + (y phi')^2 ell''.
    """

    # keyword only, so that the fields of a subclass come first: QuadraticHinge(0.5) is a margin
    output: AbstractOutput = eqx.field(default=Linear(), kw_only=True)

    def __check_init__(self) -> None:
        checks.instance("output", self.output, AbstractOutput)

    @abc.abstractmethod
    def of_gap(self, gap: Elementwise) -> Elementwise:
        """The loss as a function of the gap h = y phi(r)."""

    def gap_slope(self, gap: Elementwise) -> Elementwise:
        """d ell / d h."""
        return jax.jvp(self.of_gap, (gap,), (jnp.ones_like(gap),))[1]

    def gap_curvature(self, gap: Elementwise) -> Elementwise:
        """d^2 ell / d h^2."""
        return jax.jvp(self.gap_slope, (gap,), (jnp.ones_like(gap),))[1]

    @property
    def max_gap_curvature(self) -> float:
        """A bound on ``gap_curvature``; infinite where none is known."""
        return math.inf

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return self.of_gap(self.gap(y, r))

    def slope(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return y * self.output.slope(r) * self.gap_slope(self.gap(y, r))

    def curvature(self, y: Elementwise, r: Elementwise) -> Elementwise:
        gap = self.gap(y, r)
        through_output = y * self.output.curvature(r) * self.gap_slope(gap)
        return through_output + (y * self.output.slope(r)) ** 2 * self.gap_curvature(gap)

    def gap(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return y * self.output(r)

    @property
    def classification(self) -> bool:
        return True

    @property
    def smooth(self) -> bool:
        return self.output.smooth

    @property
    def max_curvature(self) -> float:
        return self.max_gap_curvature if isinstance(self.output, Linear) else math.inf


@public
class Logistic(AbstractMarginLoss):
    """ell = ln(1 + exp(-h)), h = y phi(r) (cross-entropy of two classes), stable for any h."""

    def of_gap(self, gap: Elementwise) -> Elementwise:
        return jax.nn.softplus(-gap)

    def gap_slope(self, gap: Elementwise) -> Elementwise:
        return -jax.nn.sigmoid(-gap)

    def gap_curvature(self, gap: Elementwise) -> Elementwise:
        return jax.nn.sigmoid(gap) * jax.nn.sigmoid(-gap)

    @property
    def max_gap_curvature(self) -> float:
        return 0.25


@public
class QuadraticHinge(AbstractMarginLoss):
    """ell = max(0, kappa - h)^2 / 2, h = y phi(r): a constraint-satisfaction problem with margin ``margin`` = kappa (default 1).

    The loss vanishes exactly where the constraint h >= kappa holds. Negative margins are allowed (non-convex on the sphere).
    """

    margin: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.finite("margin", self.margin)

    def of_gap(self, gap: Elementwise) -> Elementwise:
        return 0.5 * jnp.maximum(self.margin - gap, 0.0) ** 2

    def gap_slope(self, gap: Elementwise) -> Elementwise:
        return -jnp.maximum(self.margin - gap, 0.0)

    def gap_curvature(self, gap: Elementwise) -> Elementwise:
        return jnp.where(gap < self.margin, jnp.ones_like(gap), jnp.zeros_like(gap))

    @property
    def curvature_continuous(self) -> bool:
        return False

    @property
    def max_gap_curvature(self) -> float:
        return 1.0


@public
class Hinge(AbstractMarginLoss):
    """ell = max(0, kappa - h), h = y phi(r), margin ``margin`` = kappa (default 1).

    Piecewise linear: ``smooth`` is False. The curvature is returned as zero almost everywhere and misses the delta function at
    h = kappa, so a theory that needs the response must refuse this loss; the simulation takes it.
    """

    margin: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.finite("margin", self.margin)

    def of_gap(self, gap: Elementwise) -> Elementwise:
        return jnp.where(gap < self.margin, self.margin - gap, 0.0)

    def gap_slope(self, gap: Elementwise) -> Elementwise:
        return jnp.where(gap < self.margin, -jnp.ones_like(gap), jnp.zeros_like(gap))

    def gap_curvature(self, gap: Elementwise) -> Elementwise:
        return jnp.zeros_like(gap)

    @property
    def smooth(self) -> bool:
        return False


@public
class Square(AbstractLoss):
    """ell = (y - phi(r))^2 / 2."""

    output: AbstractOutput = Linear()

    def __check_init__(self) -> None:
        checks.instance("output", self.output, AbstractOutput)

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return 0.5 * (y - self.output(r)) ** 2

    def slope(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return (self.output(r) - y) * self.output.slope(r)

    def curvature(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return self.output.slope(r) ** 2 + (self.output(r) - y) * self.output.curvature(r)

    def gap(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return y * self.output(r)

    @property
    def smooth(self) -> bool:
        return self.output.smooth

    @property
    def max_curvature(self) -> float:
        return 1.0 if isinstance(self.output, Linear) else math.inf


@public
class PhaseRetrievalLoss(AbstractLoss):
    """ell = (y - r^2)^2 / 4 for a measured intensity y = r*^2 (Mignacco et al. 2021, arXiv:2103.04902)."""

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return 0.25 * (y - r**2) ** 2

    def slope(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return r * (r**2 - y)

    def curvature(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return 3 * r**2 - y
