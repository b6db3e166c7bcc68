"""Sample losses: closed forms against finite differences and automatic differentiation, stability, refusals."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from quenched.losses import (
    AbstractLoss,
    Door,
    Hinge,
    Linear,
    Logistic,
    PhaseRetrievalLoss,
    QuadraticHinge,
    Relu,
    Sign,
    Square,
    Tanh,
)
from quenched.numerics.checks import ParameterError

OUTPUTS = [Linear(), Door(), Door(width=1.3), Tanh()]
MARGIN_LOSSES = [Logistic, QuadraticHinge, Hinge, Square]
PAIRS = [kind(output=output) for kind in MARGIN_LOSSES for output in OUTPUTS]
LOSSES = [
    *PAIRS,
    QuadraticHinge(margin=-0.5),
    Hinge(margin=0.3),
    PhaseRetrievalLoss(),
    Square(output=Relu()),
    Logistic(output=Relu()),
]


def name(loss: AbstractLoss) -> str:
    return f"{type(loss).__name__}-{type(getattr(loss, 'output', Linear())).__name__}"


def grid() -> tuple[np.ndarray, np.ndarray]:
    # irrational offset: no point sits on a kink of any loss here
    r = np.linspace(-3, 3, 61) + 0.01 * math.sqrt(2)
    y = np.where(np.arange(r.size) % 2, 1.0, -1.0)
    return y, r


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_slope_and_curvature_are_finite_differences(loss: AbstractLoss) -> None:
    y, r = grid()
    h = 1e-6
    with jax.enable_x64(True):
        ell, slope, curvature = (jax.jit(f) for f in (loss.ell, loss.slope, loss.curvature))
        # central differences: rounding 1e-16/h on values up to 20, truncation h^2
        np.testing.assert_allclose(slope(y, r), (ell(y, r + h) - ell(y, r - h)) / (2 * h), rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(curvature(y, r), (slope(y, r + h) - slope(y, r - h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_closed_forms_are_the_automatic_derivatives(loss: AbstractLoss) -> None:
    y, r = grid()
    with jax.enable_x64(True):
        y, r = jnp.asarray(y), jnp.asarray(r)
        first = jax.vmap(jax.grad(loss.ell, argnums=1))
        second = jax.vmap(jax.grad(jax.grad(loss.ell, argnums=1), argnums=1))
        closed, automatic = jax.jit(
            lambda y, r: ((loss.slope(y, r), loss.curvature(y, r), AbstractLoss.slope(loss, y, r)), (first(y, r), second(y, r)))
        )(y, r)
        np.testing.assert_allclose(closed[0], automatic[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(closed[1], automatic[1], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(closed[2], automatic[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES, ids=name)
def test_stable_at_large_preactivations_in_float32(loss: AbstractLoss) -> None:
    r = np.array([-50.0, -49.3, 49.3, 50.0] * 2, np.float32)
    y = np.repeat([1.0, -1.0], 4).astype(np.float32)
    everything = jax.jit(lambda y, r: (loss.ell(y, r), loss.slope(y, r), loss.curvature(y, r)))
    with jax.enable_x64(True):
        exact = everything(y.astype(np.float64), r.astype(np.float64))
    for value, reference in zip(everything(y, r), exact, strict=True):
        assert value.dtype == np.float32
        # a few roundings of single precision; below 1e-37 float32 has no normal numbers
        np.testing.assert_allclose(value, reference, rtol=2e-5, atol=1e-37)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if math.isfinite(loss.max_curvature)], ids=name)
def test_max_curvature_bounds_the_curvature(loss: AbstractLoss) -> None:
    y, r = grid()
    assert float(jnp.max(loss.curvature(jnp.asarray(y), jnp.asarray(r)))) <= loss.max_curvature + 1e-6


def test_which_bounds_are_known() -> None:
    assert Logistic().max_curvature == 0.25
    assert Square().max_curvature == QuadraticHinge().max_curvature == 1.0
    for loss in (Logistic(output=Door()), Hinge(), PhaseRetrievalLoss(), Square(output=Tanh())):
        assert math.isinf(loss.max_curvature)


def test_which_losses_are_smooth() -> None:
    assert all(loss.smooth for loss in (Logistic(), QuadraticHinge(), Square(output=Tanh()), PhaseRetrievalLoss()))
    assert not any(loss.smooth for loss in (Hinge(), Logistic(output=Relu()), Square(output=Sign())))


def test_a_loss_needs_ell_only() -> None:
    class Cubic(AbstractLoss):
        def ell(self, y, r):
            return jnp.abs(y - r) ** 3

    y, r = jnp.array([0.0, 0.0]), jnp.array([2.0, -1.0])
    np.testing.assert_allclose(Cubic().slope(y, r), [12.0, -3.0], rtol=1e-6)
    np.testing.assert_allclose(Cubic().curvature(y, r), [12.0, 6.0], rtol=1e-6)


def test_the_hinge_loss_vanishes_where_the_constraint_holds() -> None:
    loss = QuadraticHinge(margin=0.2)
    y, r = jnp.array([1.0, 1.0, -1.0]), jnp.array([0.2, 0.1, -5.0])
    np.testing.assert_allclose(loss.ell(y, r), [0.0, 0.005, 0.0], atol=1e-8)
    assert loss.slope(y, r)[0] == 0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Door(width=0.0), "width must be > 0"),
        (lambda: Door(width=-0.7), "width must be > 0"),
        (lambda: QuadraticHinge(margin=math.nan), "margin must be a finite number"),
        (lambda: Hinge(margin=math.inf), "margin must be a finite number"),
        (lambda: Logistic(output="door"), "output"),
        (lambda: Square(output=Logistic()), "output"),
        (lambda: QuadraticHinge(output=None), "output"),
    ],
)
def test_refusals(make, match: str) -> None:
    # a wrong type is caught by the run-time type check of the tests before the check of the library
    with pytest.raises((ParameterError, TypeCheckError), match=match):
        make()
