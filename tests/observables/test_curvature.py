"""Krylov instruments against dense matrices, on losses of several libraries."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import quenched as qd
from quenched.numerics.checks import ConvergenceError, DivergenceError, ParameterError
from quenched.observables import curvature, gradient_noise
from quenched.observables.loss_on_data import LossOnData, check_finite

N, D, WIDTH = 200, 8, 12


def network(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ params["w"] + params["b"]) @ params["a"]


def loss(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = batch
    return 0.5 * jnp.mean((network(params, x) - y) ** 2)


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(N, D))
    return x, np.sin(x.sum(1)) + 0.1 * random.normal(size=N)


def params() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "w": random.normal(size=(D, WIDTH)) / np.sqrt(D),
        "b": random.normal(size=WIDTH),
        "a": random.normal(size=WIDTH) / np.sqrt(WIDTH),
    }


def dense(problem: LossOnData) -> tuple[np.ndarray, np.ndarray]:
    """The Hessian and the covariance of the gradients, as matrices."""
    w = problem.weights
    h = jax.hessian(lambda u: problem.on(u, problem.data))(w)
    g = jax.jacobian(lambda u: problem.each(u, problem.data))(w)
    return np.asarray(h), np.cov(np.asarray(g).T, bias=True)


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("chunk", [None, 64, 7])
def test_products_are_those_of_the_matrices(double, chunk: int | None) -> None:
    """Chunks that do not divide the number of samples included."""
    problem = LossOnData(loss, params(), data(), chunk)
    h, sigma = dense(problem)
    v = jnp.asarray(np.random.default_rng(2).normal(size=problem.size))
    np.testing.assert_allclose(problem.hessian(v), h @ v, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(problem.noise(v), sigma @ v, rtol=1e-10, atol=1e-12)
    assert float(problem.noise_trace()) == pytest.approx(np.trace(sigma), rel=1e-10)
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(problem.size, 3)))[0].T
    np.testing.assert_allclose(qd.observables.noise_along(problem, q), np.einsum("li,ij,lj->l", q, sigma, q), rtol=1e-9)
    value, gradient = check_finite(problem)
    assert value == pytest.approx(float(loss(params(), data())), rel=1e-12)
    np.testing.assert_allclose(gradient, jax.grad(lambda u: problem.on(u, problem.data))(problem.weights), rtol=1e-9)


def test_top_eigenpairs_are_exact_and_certified(double) -> None:
    problem = LossOnData(loss, params(), data())
    for operator, matrix in zip((curvature.hessian, curvature.noise), dense(problem), strict=True):
        found = curvature.top_eigenpairs(problem, 5, operator=operator, depth=80)
        np.testing.assert_allclose(found.eigenvalue, np.linalg.eigvalsh(matrix)[::-1][:5], rtol=1e-8)
        vectors = found.eigenvector.values
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(5), atol=1e-8)
        residual = np.linalg.norm(vectors @ matrix - found.eigenvalue.values[:, None] * vectors, axis=1)
        np.testing.assert_allclose(found.residual, residual, atol=1e-10)


def test_the_default_depth_has_no_ghosts_and_an_honest_residual() -> None:
    """Float32, default depth: every value within its residual, plus rounding, of one of its own."""
    problem = LossOnData(loss, params(), data())
    found = curvature.top_eigenpairs(problem, 5)
    with jax.enable_x64(True):
        exact = np.linalg.eigvalsh(dense(LossOnData(loss, params(), data()))[0])[::-1][:5]
    assert np.all(np.abs(found.eigenvalue - exact) <= found.residual + 1e-5 * exact[0])


def test_an_operator_with_few_directions(double) -> None:
    """Noise of five samples has rank four: the Krylov space ends, and what is known is right."""
    few = tuple(a[:5] for a in data())
    problem = LossOnData(loss, params(), few)
    sigma = dense(problem)[1]
    found = curvature.top_eigenpairs(problem, 4, operator=curvature.noise)
    np.testing.assert_allclose(found.eigenvalue, np.linalg.eigvalsh(sigma)[::-1][:4], rtol=1e-6)
    density = curvature.spectral_density(problem, operator=curvature.noise, probes=64, depth=20)
    assert abs(float(density.trace) - np.trace(sigma)) < 4 * float(density.trace_error)


def test_a_pair_that_has_not_converged_is_an_error_with_its_residual() -> None:
    problem = LossOnData(loss, params(), data())
    with pytest.raises(ConvergenceError, match=r"has not converged: residual .* take depth > 6"):
        curvature.top_eigenpairs(problem, 5, depth=6)


def test_moments_of_the_spectral_density_are_traces(double) -> None:
    problem = LossOnData(loss, params(), data())
    for operator, matrix in zip((curvature.hessian, curvature.noise), dense(problem), strict=True):
        found = curvature.spectral_density(problem, operator=operator, probes=32, depth=30)
        for power in (1, 2, 3):
            each = problem.size * np.sum(found.node**power * found.node_weight, axis=1)
            error = each.std(ddof=1) / np.sqrt(32)
            assert abs(each.mean() - np.trace(np.linalg.matrix_power(matrix, power))) < 4 * error
        assert abs(float(found.trace) - np.trace(matrix)) < 4 * float(found.trace_error)
        density = np.trapezoid(found.spectral_density, found.eigenvalue_grid)
        assert float(density) == pytest.approx(1, abs=1e-3)
    negative = curvature.negative_mass(curvature.spectral_density(problem, probes=32, depth=60))
    values = np.linalg.eigvalsh(dense(problem)[0])
    assert negative == pytest.approx(-values[values < 0].sum() / np.abs(values).sum(), rel=0.3)


def test_the_alignment_of_noise_and_hessian(double) -> None:
    problem = LossOnData(loss, params(), data())
    h, sigma = dense(problem)
    found = qd.observables.alignment(problem, probes=64)
    assert float(found.noise_trace) == pytest.approx(np.trace(sigma), rel=1e-10)
    assert abs(float(found.hessian_trace) - np.trace(h)) < 4 * float(found.hessian_trace_error)
    cosine = np.sum(h * sigma) / np.linalg.norm(h) / np.linalg.norm(sigma)
    assert abs(float(found.alignment) - cosine) < 4 * float(found.alignment_error)
    assert gradient_noise._cosine(np.array([1.0, 1.0, 1.0])) == 1


def test_noise_is_proportional_to_the_hessian_in_regression() -> None:
    """Residuals independent of the inputs, many samples: Sigma = sigma^2 H, cosine 1 (arXiv:2107.09133)."""
    random = np.random.default_rng(0)
    x = random.normal(size=(20_000, 5)) * np.array([2, 1, 0.5, 0.3, 0.1])
    w = random.normal(size=5)
    y = x @ w + 0.5 * random.normal(size=20_000)
    problem = LossOnData(lambda p, b: 0.5 * jnp.mean((b[0] @ p - b[1]) ** 2), np.linalg.lstsq(x, y)[0], (x, y))
    found = qd.observables.alignment(problem)
    assert float(found.alignment) > 0.995
    assert float(found.noise_ratio) == pytest.approx(0.25, rel=0.1)


# ---- other people's parameters


def test_an_equinox_model() -> None:
    model = eqx.nn.MLP(D, 1, 6, 1, key=jax.random.key(0))

    def fit(model: eqx.nn.MLP, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean((jax.vmap(model)(batch["x"])[:, 0] - batch["y"]) ** 2)

    x, y = (a.astype(np.float32) for a in data())
    problem = LossOnData(fit, model, {"x": x, "y": y})
    assert problem.size == 6 * D + 6 + 6 + 1
    found = curvature.top_eigenpairs(problem, 2, depth=40)
    assert found.eigenvalue[0] > found.eigenvalue[1] > 0


def test_a_flax_model() -> None:
    nn = pytest.importorskip("flax.linen")
    module = nn.Sequential([nn.Dense(6), nn.tanh, nn.Dense(1)])
    x, y = (a.astype(np.float32) for a in data())
    variables = module.init(jax.random.key(0), x[:1])

    def fit(variables: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.mean((module.apply(variables, batch[0])[:, 0] - batch[1]) ** 2)

    problem = LossOnData(fit, variables, (x, y))
    flat, _ = ravel_pytree(variables)
    np.testing.assert_array_equal(problem.weights, flat)
    assert float(curvature.spectral_density(problem, probes=4, depth=20).trace) > 0


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda: (loss, {**params(), "steps": np.array([1, 2])}, data()), ParameterError, r"got int64 at \['steps'\]"),
        (lambda: (loss, {**params(), "b": np.full(WIDTH, np.nan)}, data()), ParameterError, r"not at \['b'\]"),
        (lambda: (loss, {}, data()), ParameterError, "at least one floating array"),
        (lambda: (loss, params(), (data()[0], data()[1][:-1])), ParameterError, r"\[0\]: \(200, 8\), \[1\]: \(199,\)"),
        (lambda: (loss, params(), (data()[0][:, :3], data()[1])), ParameterError, "loss must accept a batch of shapes"),
        (lambda: (lambda p, b: network(p, b[0]), params(), data()), ParameterError, r"scalar.*got an array of shape \(200,\)"),
        (lambda: (3.0, params(), data()), ParameterError, "loss must be a function"),
        (lambda: (loss, params(), ()), ParameterError, "data must hold arrays"),
        (lambda: (loss, params(), data(), 0), ParameterError, "chunk must be an integer >= 1"),
    ],
)
def test_bad_problems(arguments, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LossOnData(*arguments())


def test_a_loss_that_is_not_finite() -> None:
    with pytest.raises(DivergenceError, match="loss must be finite at the given params, got nan"):
        check_finite(LossOnData(lambda p, b: jnp.log(-1 - jnp.mean(p["a"] ** 2)), params(), data()))
    with pytest.raises(DivergenceError, match="gradient of the loss must be finite"):
        check_finite(LossOnData(lambda p, b: jnp.sqrt(jnp.sum(0 * p["a"])) + jnp.mean(b[0]), params(), data()))


def test_bad_requests() -> None:
    problem = LossOnData(loss, params(), data())
    with pytest.raises(ParameterError, match="count must be <= the number of weights, 120"):
        curvature.top_eigenpairs(problem, 1000)
    with pytest.raises(ParameterError, match="probes must be an integer >= 2"):
        curvature.spectral_density(problem, probes=1)
