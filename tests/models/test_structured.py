"""Structured data: the operator is a matrix with the right law, and dynamics on it have the limit of Gaussian data."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import quenched as qd
from quenched.models.structured import StructuredEnsemble, StructuredMatrix
from quenched.numerics.checks import IncompatibleError, ParameterError
from quenched.numerics.quadrature import marchenko_pastur_quantiles
from quenched.observables import mean_error
from quenched.records import rebuild

SQUARE = qd.models.GaussianMixture(alpha=2.0, noise=0.5, loss=qd.losses.Square())
LAWS = {
    "two clusters": qd.models.GaussianMixture(alpha=2.0, noise=0.5),
    "three clusters": qd.models.GaussianMixture(
        alpha=1.5,
        noise=0.1,
        clusters=3,
        loss=qd.losses.Logistic(output=qd.losses.Door(width=0.7)),
        start=qd.models.GaussianStart(overlap=0.2),
    ),
    "teacher": qd.models.TeacherStudent(alpha=0.5),
    "random labels": qd.models.RandomLabels(alpha=0.5),
}


def dense(operator, d: int) -> np.ndarray:
    return np.asarray(jax.vmap(operator.mv, out_axes=1)(jnp.eye(d)))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(64, 32), (48, 48), (21, 50), (100, 37)])
def test_matrix_has_the_spectrum_of_the_law(n: int, d: int) -> None:
    with jax.enable_x64(True):
        z = dense(StructuredMatrix.draw(jax.random.key(0), n, d, "float64"), d)
    k = min(n, d)
    values = np.linalg.svd(z, compute_uv=False)[:k]
    np.testing.assert_allclose(np.sort(values**2) / d, marchenko_pastur_quantiles(n / d, k), rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_projections_on_the_directions_are_the_law_of_the_model(name: str) -> None:
    """x.v/sqrt(d) is what ``latent`` makes of Z v/sqrt(d), and the other directions have variance Delta."""
    law, d = LAWS[name], 128
    model = StructuredEnsemble(law)
    with jax.enable_x64(True):
        sizes = model.sizes(d)
        data = model.sample(jax.random.key(1), sizes, "float64")
        x, v = dense(data.x, d), np.asarray(data.directions)
        zeta = x @ v.T / d**0.5
        along = np.asarray(data.x.excess) + float(data.x.spread) * np.asarray(
            jax.vmap(data.x.z.mv, out_axes=1)(data.directions) / d**0.5
        )
    np.testing.assert_allclose(zeta, along, atol=1e-12)
    across = x - zeta @ v / d**0.5
    assert np.mean(across**2) == pytest.approx(float(law.delta) * (1 - law.directions / d), rel=0.05)


@pytest.mark.slow
def test_gradient_is_that_of_the_matrix() -> None:
    model, d = StructuredEnsemble(LAWS["two clusters"]), 48
    with jax.enable_x64(True):
        data = model.sample(jax.random.key(2), model.sizes(d), "float64")
        same = dataclasses.replace(data, x=jnp.asarray(dense(data.x, d)))
        w = jax.random.normal(jax.random.key(3), (3, d))
        ours, direct = (jax.vmap(jax.grad(lambda u, x=x: jnp.sum(model.losses(u, x))))(w) for x in (data, same))
        curved = jax.jvp(jax.grad(lambda u: jnp.sum(model.losses(u, data))), (w[0],), (w[1],))[1]
        expected = jax.hessian(lambda u: jnp.sum(model.losses(u, same)))(w[0]) @ w[1]
    np.testing.assert_allclose(ours, direct, rtol=1e-10)
    np.testing.assert_allclose(curved, expected, rtol=1e-10)


def four_sigma(runs: int) -> float:
    """The bound on a mean over its measured error that is as rarely passed as four standard errors of a Gaussian."""
    return float(stats.t.isf(stats.norm.sf(4.0), runs - 1))


def z_scores(found: xr.Dataset, exact: xr.Dataset, names: tuple[str, ...]) -> np.ndarray:
    pairs = [mean_error(found[name]) for name in names]
    return np.concatenate(
        [(mean.values - exact[name].values) / error.values for (mean, error), name in zip(pairs, names, strict=True)]
    )


RULES = {
    "gradient descent": qd.dynamics.Gradient(lr=0.2, ridge=0.1),
    "SGD": qd.dynamics.Gradient(lr=0.4, ridge=0.1, batches=qd.dynamics.IID(fraction=0.3)),
}


def test_dynamics_have_the_limit_of_gaussian_data() -> None:
    times = [1, 5, 20, 59]
    found = qd.simulate(SQUARE, RULES["SGD"], steps=59, size=2048, disorder=16, times=times, ensemble="structured", seed=5)
    exact = qd.solve(SQUARE, RULES["SGD"], steps=59, times=times, method="oracle", two_time=False)
    assert np.abs(z_scores(found, exact, ("overlap", "norm", "loss"))).max() < four_sigma(16)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32768, 24000])
@pytest.mark.parametrize("name", RULES)
def test_large_systems_have_the_limit_of_gaussian_data(name: str, size: int) -> None:
    times = [1, 5, 20, 59]
    found = qd.simulate(SQUARE, RULES[name], steps=59, size=size, disorder=8, times=times, ensemble="structured", seed=6)
    exact = qd.solve(SQUARE, RULES[name], steps=59, times=times, method="oracle", two_time=False)
    z = z_scores(found, exact, ("overlap", "norm", "loss"))
    print(name, size, z)
    assert np.abs(z).max() < four_sigma(8)
    assert mean_error(found["overlap"])[1].max() < 0.004


@pytest.mark.slow
def test_large_overparametrised_systems_have_the_limit_of_gaussian_data() -> None:
    model = dataclasses.replace(SQUARE, alpha=0.5, start=qd.models.GaussianStart(variance=1.0))
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(fraction=0.3))
    found = qd.simulate(model, rule, steps=50, size=32768, disorder=8, times=[10, 50], ensemble="structured", seed=7)
    exact = qd.solve(model, rule, steps=50, times=[10, 50], method="oracle", two_time=False)
    assert np.abs(z_scores(found, exact, ("overlap", "norm", "loss"))).max() < four_sigma(8)


@pytest.mark.slow
def test_long_run_agrees_with_the_long_theory() -> None:
    """Persistent SGD with the logistic loss after 250, 500 and 1000 steps, by the sampled theory and by brute force."""
    model = LAWS["two clusters"]
    rule = qd.dynamics.Gradient(lr=0.2, ridge=0.1, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))
    times = [250, 500, 1000]
    theory = qd.solve(model, rule, steps=1000, times=times, two_time=False, samples=8192, runs=6, seed=8)
    found = qd.simulate(model, rule, steps=1000, size=32768, disorder=6, times=times, ensemble="structured", seed=9)
    known = {"overlap": [1.0129, 1.0134, 1.0117], "norm": [1.3606, 1.3616, 1.3592]}
    for name, allowed in (("overlap", 0.006), ("norm", 0.015)):
        (a, ea), (b, eb) = mean_error(theory[name]), mean_error(found[name])
        print(name, a.values, ea.values, b.values, eb.values)
        np.testing.assert_allclose(a, known[name], atol=allowed)
        np.testing.assert_allclose(b, known[name], atol=allowed)
        assert np.all(np.abs(a - b) < 5 * np.hypot(ea, eb))


@pytest.mark.slow
def test_every_rule_runs_and_the_call_can_be_rebuilt() -> None:
    rule = qd.dynamics.Gradient(
        lr=0.1,
        batches=qd.dynamics.Persistent(fraction=0.3, time=1.0),
        transform=qd.dynamics.Momentum(decay=0.5),
        temperature=0.01,
    )
    probe = qd.dynamics.PerturbationResponse(rule, start=2)
    first = qd.simulate(LAWS["two clusters"], probe, steps=6, size=40, disorder=2, replicas=2, ensemble="structured", seed=1)
    again = qd.simulate(**rebuild(first))
    xr.testing.assert_identical(first, again)
    assert first.sizes["replica"] == 2
    assert "StructuredEnsemble" in first.attrs["provenance"]
    assert float(first.integrated_response.isel(t=-1).min()) > 0


def test_what_has_no_structured_form_is_refused_by_name() -> None:
    law, rule = LAWS["two clusters"], qd.dynamics.Gradient(lr=0.1)
    with pytest.raises(ParameterError, match="ensemble must be one of None, 'structured', got 'haar'"):
        qd.simulate(law, rule, steps=1, size=8, ensemble="haar")
    with pytest.raises(IncompatibleError, match="needs a Gaussian single-layer model, got TwoLayerNetwork"):
        qd.simulate(qd.models.TwoLayerNetwork(), rule, steps=1, ensemble="structured")
    with pytest.raises(IncompatibleError, match="Fresh"):
        qd.simulate(law, qd.dynamics.Gradient(lr=0.1, batches=qd.dynamics.Fresh()), steps=1, size=8, ensemble="structured")
    with pytest.raises(IncompatibleError, match="StructuredEnsemble"):
        qd.solve(StructuredEnsemble(law), rule, steps=1)
