from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.dynamics import IID, Gradient
from quenched.losses import QuadraticHinge
from quenched.models import GaussianMixture, GaussianStart, TeacherStudent
from quenched.theory import solve
from quenched.theory.sampled.latents import draw_latents
from quenched.theory.sampled.memory import DenseMemory
from quenched.theory.sampled.response import Impulses, SignProbes, weight_response
from quenched.theory.sampled.trajectory import covariance


@pytest.mark.parametrize("model", [GaussianMixture(noise=0.5), GaussianMixture(noise=0.05, clusters=3), TeacherStudent()])
def test_latents_have_exact_moments(model):
    n = 1024
    latents = draw_latents(jax.random.key(0), model, n, "float32")
    zeta, y, w0 = (np.asarray(x, np.float64) for x in (latents.zeta[:, 0], latents.y, latents.w0))
    # class fractions are exact; zeta^2 = <c^2> + Delta without error
    labels = {2: 0.0, 3: 0.0}.get(getattr(model, "clusters", 2))
    if isinstance(model, GaussianMixture):
        assert y.mean() == labels
    centres = {2: 1.0, 3: 0.5}[model.clusters] if isinstance(model, GaussianMixture) else 0.0
    assert zeta.mean() == pytest.approx(0, abs=1e-5)
    assert np.mean(zeta**2) == pytest.approx(centres + float(model.delta), abs=1e-5)
    for other in (np.ones(n), zeta, y):
        assert np.mean(w0 * other) == pytest.approx(0, abs=1e-5)
    assert np.mean(w0**2) == pytest.approx(1, abs=1e-5)
    # still Gaussian: the fourth moment of stratified normals has an error far below sqrt(96/N)
    assert np.mean(w0**4) == pytest.approx(3, abs=4 * (96 / n) ** 0.5)


def test_memory_sums_the_past_only():
    rng = np.random.default_rng(0)
    memory = DenseMemory(16)
    lanes = {"h": rng.standard_normal((16, 2, 5)).astype(np.float32), "dh": rng.standard_normal((16, 2, 3, 5)).astype(np.float32)}
    past, row = rng.standard_normal(16).astype(np.float32), np.float32(0.7)
    state = memory.init({name: jnp.zeros(x.shape[1:], jnp.float32) for name, x in lanes.items()})
    apply = jax.jit(lambda *arguments: memory.apply(*arguments))
    for t in (*range(10), 15):
        state = memory.push(state, {name: jnp.asarray(x[t]) for name, x in lanes.items()}, jnp.int32(t))
        weights = np.asarray(memory.row(jnp.asarray(past), jnp.asarray(row), jnp.int32(t)))
        np.testing.assert_array_equal(weights, np.concatenate([past[:t], [row], np.zeros(15 - t, np.float32)]))
        sums = apply(state, jnp.asarray(weights), jnp.int32(t))
        pushed = [u for u in range(t + 1) if u < 10 or u == 15]
        for name, x in lanes.items():
            np.testing.assert_allclose(sums[name], np.tensordot(weights[pushed], x[pushed], 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "rows"), [(64, 40), (16, 40)])
def test_probe_fields_are_signs_orthogonal_over_time_and_project_by_a_transform(n, rows):
    probes = SignProbes.draw(jax.random.key(0), 2, 3, rows, n, "float32")
    field = jax.jit(lambda t: probes.field(t))
    fields = np.stack([np.asarray(field(jnp.int32(t))) for t in range(rows)])
    assert fields.shape == (rows, 2, 3, n)
    assert set(np.unique(fields)) == {-1.0, 1.0}
    recycled = min(n, rows)
    gram = np.einsum("tapi,sapi->apts", fields[:recycled], fields[:recycled]) / n
    np.testing.assert_array_equal(gram, np.broadcast_to(np.eye(recycled), gram.shape))
    x = np.random.default_rng(1).standard_normal((2, 3, n)).astype(np.float32)
    expected = np.mean(fields * x, axis=(1, 2, 3))
    np.testing.assert_allclose(probes.project(jnp.asarray(x), rows), expected, atol=1e-6)


def test_probes_are_independent_of_each_other():
    n, rows = 256, 40
    probes = SignProbes.draw(jax.random.key(1), 1, 4, rows, n, "float32")
    fields = np.stack([np.asarray(probes.field(jnp.int32(t)))[0] for t in range(rows)])
    # the noise of the estimate at (t, s) is carried by the product of two fields: it has to differ from probe to probe
    products = np.einsum("tpi,spi->ptsi", fields, fields)[:, *np.triu_indices(rows, 1)]
    overlap = np.einsum("pki,qki->pqk", products, products) / n
    off = overlap[~np.eye(4, dtype=bool)]
    assert abs(off.mean()) < 5 / off.size**0.5
    assert np.mean(np.abs(off) > 0.5) < 0.05
    # and from one pair of times to the next, also for equal t XOR s
    assert abs(np.mean(products[0] @ products[0].T / n) - 1 / len(products[0])) < 5 / len(products[0])


def test_more_probes_reduce_the_noise_of_the_response():
    model = GaussianMixture(alpha=0.5, noise=0.5, loss=QuadraticHinge(1.0), start=GaussianStart(variance=1.0))
    rule = Gradient(0.2, batches=IID(0.3))
    spread = []
    for probes in (1, 4):
        ds = solve(model, rule, steps=30, method="sampled", samples=1024, runs=24, probes=probes, seed=2)
        spread.append(ds.response.values[:, -1, :10].std(0, ddof=1).mean())
    # twice fewer noise is expected where probes dominate; the deviation of a standard deviation from 24 runs is 15 %
    assert spread[1] < 0.75 * spread[0]


def test_impulses_act_once():
    impulses = Impulses((2, 8, 4))
    field = np.asarray(impulses.field(jnp.int32(3)))
    assert field.shape == (2, 8, 4)
    np.testing.assert_array_equal(field.sum(axis=(0, 2)), np.where(np.arange(8) == 3, 8, 0))


@pytest.mark.parametrize("decay", [0.0, 0.6])
def test_weight_response_is_the_recursion(decay):
    rng = np.random.default_rng(0)
    n, ridge, delta = 12, 0.3, 0.5
    kernel, rates, scale = np.tril(rng.standard_normal((n, n))), 0.1 + rng.random(n), 0.5 + rng.random(n)
    r, v = np.zeros((n + 1, n)), np.zeros((n + 1, n))
    for t in range(n):
        v[t + 1] = decay * v[t] + ridge * r[t] + delta * kernel[t] @ r[:n]
        v[t + 1, t] -= 1 / rates[t]
        r[t + 1] = scale[t] * (r[t] - rates[t] * v[t + 1])
    with jax.enable_x64(True):
        arguments = [jnp.asarray(x) for x in (kernel, rates, ridge, delta, decay, scale)]
        ours = np.asarray(weight_response(*arguments))
    np.testing.assert_allclose(ours, r[:n], atol=1e-10 * np.abs(r).max())


@pytest.mark.parametrize("replicas", [1, 3])
def test_covariance_within_and_between_replicas(replicas):
    x = np.random.default_rng(0).standard_normal((5, replicas, 1024)).astype(np.float32)
    with jax.enable_x64(True):
        alike, pairs = covariance(jnp.asarray(x), "float64")
    full = np.einsum("tai,sbi->abts", x.astype(np.float64), x.astype(np.float64)) / 1024
    np.testing.assert_allclose(alike, np.mean([full[a, a] for a in range(replicas)], axis=0), atol=1e-6)
    if replicas == 1:
        assert pairs is None
    else:
        expected = np.mean([full[a, b] for a in range(replicas) for b in range(replicas) if a != b], axis=0)
        np.testing.assert_allclose(pairs, expected, atol=1e-6)
