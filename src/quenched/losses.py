"""Losses of one sample, ``ell(y, r)``, and output functions ``phi(r)``.

``y`` is the label and ``r = w.x/sqrt(d)`` the pre-activation. A loss is a function of both; its derivatives with respect to ``r`` come from
automatic differentiation unless a class gives closed forms, so that a class with nothing but ``ell`` works in simulation and in theory.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.records.description import public

Elementwise = Float[Array, "..."]


class AbstractOutput(eqx.Module):
    """Output function phi(r) of a single-layer network; the prediction is sign(phi(r))."""

    @abc.abstractmethod
    def __call__(self, r: Elementwise) -> Elementwise:
        """phi(r), elementwise."""


@public
class Linear(AbstractOutput):
    """phi(r) = r."""

    def __call__(self, r: Elementwise) -> Elementwise:
        return r


@public
class Door(AbstractOutput):
    """phi(r) = r^2 - L^2: positive outside a door of half-width ``width`` = L > 0.

    It separates the centre of a three-cluster mixture from its two sides (Mignacco et al. 2020, arXiv:2006.06098).
    """

    width: float = eqx.field(default=0.7, converter=float)

    def __check_init__(self) -> None:
        checks.positive("width", self.width)

    def __call__(self, r: Elementwise) -> Elementwise:
        return r**2 - self.width**2


class AbstractLoss(eqx.Module):
    """Loss of one sample as a function of its label and pre-activation, elementwise over arrays.

    A subclass needs ``ell`` only. It must be written with ``jax.numpy``.
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


class AbstractMarginLoss(AbstractLoss):
    """A loss ell(y phi(r)) that depends on the label only through the gap: labels must be +-1."""

    output: AbstractOutput = Linear()

    def __check_init__(self) -> None:
        checks.instance("output", self.output, AbstractOutput)

    @abc.abstractmethod
    def of_gap(self, gap: Elementwise) -> Elementwise:
        """The loss as a function of the gap h = y phi(r)."""

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return self.of_gap(self.gap(y, r))

    def gap(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return y * self.output(r)

    @property
    def classification(self) -> bool:
        return True


@public
class Logistic(AbstractMarginLoss):
    """ell = ln(1 + exp(-h)), h = y phi(r) (cross-entropy of two classes), stable for any h."""

    def of_gap(self, gap: Elementwise) -> Elementwise:
        return jax.nn.softplus(-gap)


@public
class QuadraticHinge(AbstractMarginLoss):
    """ell = max(0, kappa - h)^2 / 2, h = y phi(r): a constraint-satisfaction problem with margin ``margin`` = kappa.

    The loss vanishes exactly where the constraint h >= kappa holds. Negative margins are allowed (non-convex on the sphere).
    """

    margin: float = eqx.field(default=1.0, converter=float)

    def __check_init__(self) -> None:
        checks.finite("margin", self.margin)

    def of_gap(self, gap: Elementwise) -> Elementwise:
        return 0.5 * jnp.maximum(self.margin - gap, 0.0) ** 2


@public
class Square(AbstractLoss):
    """ell = (y - phi(r))^2 / 2."""

    output: AbstractOutput = Linear()

    def __check_init__(self) -> None:
        checks.instance("output", self.output, AbstractOutput)

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return 0.5 * (y - self.output(r)) ** 2

    def gap(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return y * self.output(r)


@public
class PhaseRetrievalLoss(AbstractLoss):
    """ell = (y - r^2)^2 / 4 for a measured intensity y = r*^2 (Mignacco et al. 2021, arXiv:2103.04902)."""

    def ell(self, y: Elementwise, r: Elementwise) -> Elementwise:
        return 0.25 * (y - r**2) ** 2
