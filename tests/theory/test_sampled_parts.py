from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_triangular

from quenched.dynamics import IID, Fresh, Gradient, Momentum, Persistent, PowerLawDecay, Spherical
from quenched.dynamics.schedules import learning_rates
from quenched.losses import QuadraticHinge
from quenched.models import GaussianMixture, GaussianStart, SphericalStart, TeacherStudent
from quenched.numerics.checks import ParameterError
from quenched.theory import solve
from quenched.theory.sampled.latents import draw_latents
from quenched.theory.sampled.memory import DenseMemory, LegendreMemory
from quenched.theory.sampled.response import Impulses, SignProbes
from quenched.theory.sampled.trajectory import covariance


@pytest.mark.slow
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


def driven(memory, lanes, kernel):
    """The sums at every step: lanes (T, ...) and a kernel (T, T) whose values above the diagonal must not matter."""
    steps = len(kernel)

    def step(state, t):
        state = jax.lax.cond(t % memory.period == 0, memory.settle, lambda state, t: state, state, t)
        state = memory.push(state, jax.tree.map(lambda x: x[t], lanes), t)
        return state, memory.sums(state, jnp.pad(kernel[t], (0, memory.rows - steps)), kernel[t, t], t)

    state = memory.init(jax.tree.map(lambda x: x[0], lanes))
    return jax.jit(lambda: jax.lax.scan(step, state, jnp.arange(steps, dtype=jnp.int32))[1])()


def test_dense_memory_sums_the_past_only():
    rng, steps = np.random.default_rng(0), 30
    lanes = {"h": rng.standard_normal((steps, 2, 5)), "dh": rng.standard_normal((steps, 2, 3, 5))}
    lanes = {name: x.astype(np.float32) for name, x in lanes.items()}
    kernel = rng.standard_normal((steps, steps))
    with jax.enable_x64(True):
        sums = driven(DenseMemory(32), jax.tree.map(jnp.asarray, lanes), jnp.asarray(kernel))
    for name, x in lanes.items():
        assert sums[name].dtype == np.float32
        np.testing.assert_allclose(sums[name], np.tensordot(np.tril(kernel), x, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("window", "moments"), [(2, 1), (4, 3), (8, 4), (16, 2), (64, 5)])
def test_compressed_memory_is_exact_for_kernels_polynomial_in_the_past(window, moments):
    """At every stage of merging, for rough lanes; another polynomial at every step, and any number on the diagonal."""
    rng, steps, rows = np.random.default_rng(window), 120, 128
    s = np.linspace(-1, 1, steps)
    kernel = rng.standard_normal((steps, moments)) @ s ** np.arange(moments)[:, None]
    kernel[np.arange(steps), np.arange(steps)] = rng.standard_normal(steps)
    lanes = {"a": rng.standard_normal((steps, 3)), "b": rng.standard_normal((steps, 2, 4))}
    with jax.enable_x64(True):
        sums = driven(LegendreMemory(rows, window, moments), jax.tree.map(jnp.asarray, lanes), jnp.asarray(kernel))
    for name, x in lanes.items():
        np.testing.assert_allclose(sums[name], np.tensordot(np.tril(kernel), x, 1), atol=1e-11)


@pytest.mark.parametrize(("rows", "window"), [(4096, 16), (320, 8), (64, 32)])
def test_blocks_cover_the_past_once_and_keep_their_distance(rows, window):
    memory = LegendreMemory(rows, window, 2)
    made = jax.jit(lambda t: memory.made(t))
    for start in range(0, rows, window):
        counts, reached = np.asarray(made(jnp.int32(start))), 0
        assert counts[-1] == 0
        for level in reversed(range(memory.levels)):
            size, alive = window << level, range(2 * counts[level + 1], counts[level])
            assert len(alive) <= 3
            for block in alive:
                assert block * size == reached
                reached += size
                assert start - reached >= size
        # what is left is in the ring
        assert reached == max(0, start - window)


def test_memory_grows_with_the_logarithm_of_the_length():
    stored = [LegendreMemory(16 * 2**k, 16, 4).stored for k in range(3, 14)]
    np.testing.assert_array_equal(np.diff(stored), 3 * 4)
    assert stored[-1] < 200
    assert LegendreMemory(32, 16, 4).stored == 32


@pytest.mark.parametrize(
    ("arguments", "word"), [((96, 24, 4), "window must be a power of two"), ((64, 8, 9), "moments"), ((40, 16, 4), "rows")]
)
def test_bad_memories_are_refused(arguments, word):
    with pytest.raises(ParameterError, match=word):
        LegendreMemory(*arguments)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def weight_response(kernel, rates, ridge, delta, decay, scale):
    """R(t, s) from Gam(t, u), as one triangular system for all times.

    v(t+1, s) = decay v(t, s) + ridge R(t, s) + Delta sum_{u <= t} Gam(t, u) R(u, s) - 1[s = t]/lr_t,
    R(t+1, s) = k_t [R(t, s) - lr_t v(t+1, s)].
    """
    n = len(rates)
    lag = np.arange(n)[:, None] - np.arange(n)
    inertia = np.where(lag >= 0, decay ** np.maximum(lag, 0), 0.0) * rates[:, None]
    pull = inertia @ (ridge * np.eye(n) + delta * kernel)
    matrix = np.diag(1 / scale) - np.eye(n, k=-1) + np.pad(pull[:, 1:], ((0, 0), (0, 1)))
    return np.concatenate([np.zeros((1, n)), solve_triangular(matrix, inertia / rates, lower=True)[:-1]])


RULES = [
    Gradient(0.2, ridge=0.1, batches=IID(0.5)),
    Gradient(PowerLawDecay(0.3, 10.0, 0.5), ridge=0.2, temperature=0.05),
    Gradient(0.1, ridge=0.1, batches=Persistent(0.5, 1.0), transform=Momentum(0.7)),
    Gradient(0.05, transform=Momentum(0.5), constraint=Spherical()),
    Gradient(0.1, ridge=0.3, batches=Fresh()),
]


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=["ridge", "schedule", "momentum", "sphere", "fresh"])
def test_response_lanes_solve_the_equations_of_the_weight(rule):
    start = SphericalStart(0.3) if isinstance(rule.constraint, Spherical) else GaussianStart(0.1, 0.5)
    model, steps = GaussianMixture(alpha=1.5, noise=0.5, start=start), 40
    ds = solve(model, rule, steps=steps, method="sampled", samples=256, runs=1, memory="dense", seed=1)
    kernel, ours = ds.response_kernel.values[0], ds.response.values[0]
    rates = learning_rates(rule.lr, steps + 1)
    # the projection factor k_t is R(t + 1, t)
    scale = np.append(np.diagonal(ours, -1), 1.0)
    if not isinstance(rule.constraint, Spherical):
        np.testing.assert_allclose(scale, 1, atol=1e-14)
    decay = rule.transform.decay if isinstance(rule.transform, Momentum) else 0.0
    expected = weight_response(kernel, rates, rule.ridge, 0.5, decay, scale)
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    integrated = np.cumsum((expected * rates)[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(ds.integrated_response.values[0], integrated, atol=1e-12)


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
