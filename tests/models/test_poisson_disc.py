"""The physics-informed network: its equation, its derivatives, its points, and that descent solves it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.dynamics import BBI, EnergyConserving
from quenched.models.poisson_disc import PoissonDisc, disc_rule, exact_solution, source
from quenched.numerics.checks import ParameterError
from quenched.numerics.pytrees import flat
from quenched.records.description import build, describe

SMALL = PoissonDisc(frequency=3.0, width=7, layers=2, interior=40, boundary=10, penalty=50.0)


def drawn(model: PoissonDisc):
    points = model.sample(jax.random.key(0), model.sizes(None), jnp.float64)
    weights = model.initial(jax.random.key(1), points)
    # a start without biases is too special for a test
    return points, jax.tree.map(lambda w: w + 0.3 * jax.random.normal(jax.random.key(w.size), w.shape), weights)


@pytest.mark.parametrize("k", [3.0, 20.0])
def test_the_source_is_that_of_the_exact_solution(k: float) -> None:
    with jax.enable_x64(True):
        x = 0.6 * jax.random.normal(jax.random.key(0), (50, 2))
        u = lambda y: exact_solution(y, k)  # noqa: E731
        laplacian = jax.vmap(lambda y: jnp.trace(jax.hessian(u)(y)))(x)
        np.testing.assert_allclose(source(x, k), -laplacian + u(x) ** 2, rtol=1e-10, atol=1e-9)


def test_the_source_as_it_is_printed() -> None:
    """arXiv:2201.11137, k = 20; u = 0.833469 on the boundary."""
    with jax.enable_x64(True):
        x = jnp.asarray([[0.3, -0.5], [0.0, 0.1], [1.0, 0.0]])
        s = np.sum(np.asarray(x) ** 2, axis=1)
        printed = (3 - 4 * (1 + 6400 * s) * np.cos(40 * s) + np.cos(80 * s) - 640 * np.sin(40 * s)) / 8
        np.testing.assert_allclose(source(x, 20.0), printed, rtol=1e-11)
        assert float(exact_solution(x[2], 20.0)) == pytest.approx(0.833469, abs=5e-7)


def test_derivatives_in_the_plane() -> None:
    with jax.enable_x64(True):
        points, weights = drawn(SMALL)
        u = lambda y: SMALL.solution(weights, y[None])[0]  # noqa: E731
        jet = jax.jit(SMALL.jet)(weights, points.x)
        np.testing.assert_allclose(jet.value, jax.vmap(u)(points.x), rtol=1e-12)
        np.testing.assert_allclose(jet.slope, jax.vmap(jax.grad(u))(points.x).T, rtol=1e-10)
        laplacian = jax.jit(jax.vmap(lambda y: jnp.trace(jax.hessian(u)(y))))(points.x)
        np.testing.assert_allclose(jet.laplacian, laplacian, rtol=1e-9, atol=1e-10)


def test_the_energy_and_its_gradient() -> None:
    with jax.enable_x64(True):
        points, weights = drawn(SMALL)

        @jax.jit
        def energy(w):
            return SMALL.loss_scale(SMALL.samples(points)) * jnp.sum(SMALL.losses(w, points))

        u = SMALL.jet(weights, points.x)
        residual = np.asarray(-u.laplacian + u.value**2 - source(points.x, 3.0))
        miss = np.asarray(u.value)[40:] - np.sin(3.0) ** 2
        assert float(energy(weights)) == pytest.approx(np.mean(residual**2) + 50 * np.mean(miss**2), rel=1e-12)
        along = jax.tree.map(lambda w: jax.random.normal(jax.random.key(w.ndim), w.shape), weights)
        h = 1e-5
        ends = [energy(jax.tree.map(lambda w, d, c=c: w + c * d, weights, along)) for c in (h, -h)]
        assert float(flat(jax.jit(jax.grad(energy))(weights)) @ flat(along)) == pytest.approx(
            float(ends[0] - ends[1]) / (2 * h), rel=1e-6
        )
        few = jnp.asarray([3, 45, 0])
        np.testing.assert_allclose(SMALL.batch_losses(weights, points, few), SMALL.losses(weights, points)[few], rtol=1e-12)


def test_points() -> None:
    model = PoissonDisc(interior=20_000, boundary=500)
    points = model.sample(jax.random.key(3), model.sizes(None), jnp.float32)
    square = np.sum(np.asarray(points.x, float) ** 2, axis=1)
    np.testing.assert_allclose(square[20_000:], 1.0, rtol=1e-5)
    inner = square[:20_000]
    # uniform on the disc: r^2 is uniform on [0, 1]
    assert np.all(inner <= 1)
    assert abs(inner.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 20_000)
    assert np.all(np.abs(np.asarray(points.x)[:20_000].mean(axis=0)) < 4 * np.sqrt(0.25 / 20_000))
    np.testing.assert_array_equal(points.on_boundary, [0.0] * 20_000 + [1.0] * 500)


@pytest.mark.parametrize("k", [0.5, 20.0, 60.0])
def test_the_rule_integrates_the_solution(k: float) -> None:
    """The mean of sin^4(k s) over s in [0, 1] is 3/8 - sin(2k)/4k + sin(4k)/32k."""
    points, weights = disc_rule()
    mean = weights @ np.sin(k * np.sum(points**2, axis=1)) ** 4
    assert mean == pytest.approx(3 / 8 - np.sin(2 * k) / (4 * k) + np.sin(4 * k) / (32 * k), rel=1e-10)


def test_the_error_of_a_constant() -> None:
    with jax.enable_x64(True):
        points, weights = drawn(SMALL)
        nothing = jax.tree.map(jnp.zeros_like, weights)
        assert float(SMALL.observe(nothing, points)["solution_error"]) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.slow
def test_descent_solves_the_equation() -> None:
    model = PoissonDisc(frequency=1.0, width=20, layers=1, interior=200, boundary=40, penalty=100.0)
    rule = EnergyConserving(0.01, BBI(fixed_interval=200, progress_interval=1000), ridge=0.0)
    run = qd.simulate(model, rule, steps=10_000, times=[0, 10_000], dtype="float64")
    error, best = run.solution_error.values[0, 0], run.best_loss.values[0, 0, -1]
    assert best < 0.05 * run.loss.values[0, 0, 0]
    assert error[1] < 0.3 * error[0]


def test_description() -> None:
    assert build(describe(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"frequency": 0.0}, "frequency must lie in"),
        ({"frequency": 61.0}, "frequency must lie in"),
        ({"width": 0}, "width must be an integer >= 1"),
        ({"layers": -1}, "layers must be an integer >= 0"),
        ({"interior": 0}, "interior must be an integer >= 1"),
        ({"boundary": 0}, "boundary must be an integer >= 1"),
        ({"penalty": 0.0}, "penalty must be > 0"),
    ],
)
def test_refusals(options: dict, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        PoissonDisc(**options)
