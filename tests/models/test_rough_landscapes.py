"""Landscapes for optimisers: values, minima and curvatures, and motion on them without noise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.dynamics import BBI, EnergyConserving
from quenched.models import Ackley, Noiseless, OnLandscape, TwoBasins, Valley, Zakharov
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe

ALL = [Ackley(), Ackley(size=5), Zakharov(), Zakharov(size=3), TwoBasins(), Valley(), Valley(2.0, 0.3)]


@pytest.mark.parametrize(
    ("landscape", "point", "value", "tolerance"),
    [
        (Zakharov(), (1.0,) * 10, 572680.3125, 0.0),
        # |x|^2 = 5, b = (1 - 4)/2
        (Zakharov(size=2), (1.0, -2.0), 5 + 1.5**2 + 1.5**4, 1e-14),
        # waves are at their crests on integer points: only the cone is left
        (Ackley(), (-4.0, 3.0), 20 - 20 * np.exp(-0.02 * np.sqrt(12.5)), 1e-12),
        (Ackley(size=1), (0.5,), 20 - 20 * np.exp(-0.01) + np.e - np.exp(-1), 1e-12),
        (TwoBasins(), (10.0, -10.0), 44.264, 1e-12),
        (TwoBasins(), (0.0, 0.0), 1 - np.exp(-3.2) - (1 - 2.75e-6) * np.exp(-6.4) + 0.064, 1e-12),
        (Valley(), (1.0, 1.0), 0.505, 1e-14),
    ],
)
def test_values(landscape, point: tuple[float, ...], value: float, tolerance: float) -> None:
    with jax.enable_x64(True):
        assert float(landscape.potential(jnp.asarray(point))) == pytest.approx(value, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("landscape", ALL)
def test_minima_and_start(landscape) -> None:
    # what is left of one Gaussian of two basins at the other centre
    left = 4 * np.exp(-12.8) if isinstance(landscape, TwoBasins) else 1e-12
    assert len(landscape.start) == landscape.dimension
    with jax.enable_x64(True):
        for i, point in enumerate(jnp.asarray(landscape.minima)):
            assert abs(float(landscape.potential(point))) < left
            np.testing.assert_allclose(landscape.gradient(point), np.zeros(landscape.dimension), atol=left)
            near = point + 1e-3 * jax.random.normal(jax.random.key(i), (50, landscape.dimension))
            assert np.all(np.asarray(jax.vmap(landscape.potential)(near)) > float(landscape.potential(point)))
            if landscape.minimal_hessians is not None:
                np.testing.assert_allclose(landscape.hessian(point), landscape.minimal_hessians[i], rtol=1e-12, atol=10 * left)


def test_curvatures_of_the_two_basins() -> None:
    np.testing.assert_allclose(TwoBasins().minimal_hessians, [0.864 * np.eye(2), 1.664 * np.eye(2)], rtol=1e-12)


@pytest.mark.parametrize("landscape", ALL)
def test_gradients(landscape) -> None:
    """Against central differences."""
    with jax.enable_x64(True):
        point = 0.3 + 0.7 * jax.random.normal(jax.random.key(1), (landscape.dimension,))
        h = 1e-6
        steps = [(landscape.potential(point + h * e) - landscape.potential(point - h * e)) / (2 * h) for e in jnp.eye(len(point))]
        np.testing.assert_allclose(landscape.gradient(point), steps, rtol=1e-6, atol=1e-7)


def test_the_tip_of_the_cone_has_a_finite_gradient() -> None:
    np.testing.assert_array_equal(Ackley().gradient(jnp.zeros(2)), [0.0, 0.0])
    np.testing.assert_array_less(0.0, jax.vmap(Ackley().potential)(0.01 * jnp.eye(2)))


def test_energy_conserving_descent_without_noise_reaches_the_offset() -> None:
    """Zakharov with the parameters of arXiv:2201.11137: V = F - V0 shows no rounding of samples, down to 1e-22."""
    landscape = Zakharov()
    model = OnLandscape(landscape, Noiseless(), start=landscape.start, count=1)
    rule = EnergyConserving(0.0026037, BBI(offset=1e-22, fixed_interval=None, progress_interval=None))
    run = qd.simulate(model, rule, steps=10_000, times=[0, 1, 2500, 10_000], dtype="float64")
    best = run.best_loss.values[0, 0]
    assert best[1] == 572680.3125
    assert 8.7e-19 < best[2] < 8.7e-17
    assert best[3] == pytest.approx(1e-22, rel=0.01)


@pytest.mark.parametrize("landscape", ALL)
def test_description(landscape) -> None:
    model = OnLandscape(landscape, Noiseless(), start=landscape.start, count=1)
    assert build(describe(model)) == model


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Ackley(size=0), "size must be an integer >= 1"),
        (lambda: Ackley(decay=0.0), "decay must be > 0"),
        (lambda: Zakharov(size=-1), "size must be an integer >= 1"),
        (lambda: TwoBasins(narrow=-0.1), "narrow must be > 0"),
        (lambda: TwoBasins(lift=1.0), "lift must lie in"),
        (lambda: Valley(flat=0.0), "flat must be > 0"),
        (lambda: OnLandscape(Valley(), Noiseless(), start=(1.0, 1.0), count=0), "count must be an integer >= 1"),
    ],
)
def test_refusals(make, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make()
