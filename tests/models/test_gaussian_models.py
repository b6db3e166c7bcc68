"""Laws, microscopic data and closed-form errors of the models on Gaussian data."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy.stats import kstest

from quenched.dynamics import IID, Gradient, Momentum, Optax, PowerLawDecay
from quenched.losses import Door, Hinge, Linear, Logistic, QuadraticHinge, Square, Tanh
from quenched.models import (
    AbstractGaussianModel,
    GaussianMixture,
    GaussianStart,
    PhaseRetrieval,
    RandomLabels,
    Samples,
    SphericalStart,
    TeacherStudent,
)
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe

THREE = GaussianMixture(noise=0.05, clusters=3, loss=Logistic(output=Door()))
MODELS = [
    GaussianMixture(positive_fraction=0.3),
    THREE,
    RandomLabels(noise=0.7),
    TeacherStudent(),
    TeacherStudent(teacher=Linear(), loss=Square()),
    PhaseRetrieval(),
]
N, D = 3000, 50


class TwoDirections(AbstractGaussianModel):
    """Four clusters on a square, y = product of the signs (XOR)."""

    @property
    def delta(self):
        return 0.3

    @property
    def directions(self) -> int:
        return 2

    def latent(self, normal, uniform):
        signs = jnp.stack([jnp.where(uniform < 0.5, 1.0, -1.0), jnp.where((uniform * 2) % 1 < 0.5, 1.0, -1.0)], axis=1)
        return signs.astype(normal.dtype) + 0.3**0.5 * normal, jnp.prod(signs, axis=1).astype(normal.dtype)


def draw(model: AbstractGaussianModel, n: int = N, d: int = D, seed: int = 0) -> Samples:
    return jax.jit(lambda: model.sample(jax.random.key(seed), (n, d), jnp.float32))()


def ids(model: AbstractGaussianModel) -> str:
    return type(model).__name__


@pytest.mark.parametrize("model", [*MODELS, TwoDirections()], ids=ids)
def test_data_have_the_law_along_and_across_the_directions(model: AbstractGaussianModel) -> None:
    data = draw(model)
    v, x = np.asarray(data.directions, np.float64), np.asarray(data.x, np.float64)
    np.testing.assert_allclose(v @ v.T, D * np.eye(len(v)), atol=1e-3)
    rng = np.random.default_rng(1)
    across = rng.standard_normal((3, D))
    across -= across @ v.T @ v / D
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    for projection in (x @ across.T).T:
        assert kstest(projection / math.sqrt(model.delta), "norm").pvalue > 1e-4
    # an independent sample of the law through ``latent``
    zeta, y = model.latent(
        jnp.asarray(rng.standard_normal((20000, model.directions)), jnp.float32), jnp.asarray(rng.random(20000), jnp.float32)
    )
    along = x @ v.T / math.sqrt(D)
    for ours, law in ((along, np.asarray(zeta)), (along**2, np.asarray(zeta) ** 2), (along * data.y[:, None], zeta * y[:, None])):
        error = np.sqrt(np.var(ours, axis=0) / len(ours) + np.var(np.asarray(law), axis=0) / len(law))
        assert np.all(np.abs(np.mean(ours, axis=0) - np.mean(np.asarray(law), axis=0)) < 4.5 * error)


@pytest.mark.slow
def test_phase_retrieval_and_teacher_measure_the_same_projection() -> None:
    for model, law in ((PhaseRetrieval(), lambda r: r**2), (TeacherStudent(), np.sign)):
        data = draw(model, 200)
        r = np.asarray(data.x @ data.directions[0]) / math.sqrt(D)
        np.testing.assert_allclose(data.y, law(r), rtol=1e-3, atol=1e-4)


def test_clusters_have_their_weights() -> None:
    uniform = jnp.linspace(0.0, 1.0, 1001)[:-1] + 0.0005
    c = np.asarray(GaussianMixture(positive_fraction=0.3).centres(uniform))
    assert (c == 1).mean() == pytest.approx(0.3)
    c = np.asarray(THREE.centres(uniform))
    assert [(c == k).mean() for k in (-1, 0, 1)] == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [GaussianMixture(), GaussianMixture(loss=Logistic(output=Tanh())), THREE, TeacherStudent(), GaussianMixture(loss=Square())],
)
def test_the_closed_error_is_that_of_new_samples(model: AbstractGaussianModel) -> None:
    data = draw(model, 40000, 30, seed=2)
    w = GaussianStart(0.4, 0.5).draw(jax.random.key(7), data.directions)
    values = model.observe(w, data)
    p = float(values["test_error"])
    assert abs(float(values["train_error"]) - p) < 4.5 * math.sqrt(p * (1 - p) / 40000)


def test_no_closed_error_where_there_is_none() -> None:
    m, c = jnp.ones(1), jnp.ones(())
    assert RandomLabels().test_error(m, c) is None
    assert PhaseRetrieval().test_error(m, c) is None
    assert TeacherStudent(teacher=Linear(), loss=Square()).test_error(m, c) is None
    assert GaussianMixture(loss=Logistic(output=Door())).test_error(m, c) is None


def test_vanishing_weights_guess() -> None:
    zero = jnp.zeros(1), jnp.zeros(())
    for model in (GaussianMixture(), THREE, TeacherStudent()):
        assert float(model.test_error(*zero)) == pytest.approx(0.5)


@pytest.mark.slow
def test_order_parameters_and_operators() -> None:
    model = GaussianMixture()
    data = draw(model, 60)
    w = model.initial(jax.random.key(0), data)
    values = model.observe(w, data)
    assert float(values["overlap"]) == pytest.approx(float(w.mean()), abs=1e-6)
    assert float(values["norm"]) == pytest.approx(float((w**2).mean()), rel=1e-5)
    operator = Samples(lineax.MatrixLinearOperator(data.x), data.y, data.directions)
    np.testing.assert_allclose(model.losses(w, operator), model.losses(w, data), rtol=1e-5)
    assert model.observe(w, data)["overlap"].shape == ()
    assert TwoDirections().observe(w, draw(TwoDirections(), 60))["overlap"].shape == (2,)


@pytest.mark.slow
def test_refresh_keeps_the_directions_and_redraws_the_samples() -> None:
    model = TwoDirections()
    data = draw(model, 30)
    new = model.refresh(jax.random.key(9), data)
    np.testing.assert_array_equal(new.directions, data.directions)
    assert not np.allclose(new.x, data.x)


@pytest.mark.slow
def test_starts_have_their_overlap_and_norm() -> None:
    v = draw(GaussianMixture(), 5, 4000).directions
    w = SphericalStart(0.3).draw(jax.random.key(0), v)
    assert float(v[0] @ w) / 4000 == pytest.approx(0.3, abs=1e-5)
    assert float(w @ w) / 4000 == pytest.approx(1.0, rel=1e-5)
    w = GaussianStart(0.5, 2.0).draw(jax.random.key(0), v)
    assert abs(float(v[0] @ w) / 4000 - 0.5) < 4.5 * math.sqrt(2.0 / 4000)
    assert abs(float(jnp.var(w)) - 2.0) < 4.5 * 2.0 * math.sqrt(2 / 4000)


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_a_model_survives_its_description(model: AbstractGaussianModel) -> None:
    assert build(describe(model)) == model


@pytest.mark.slow
def test_stiffness_is_the_top_eigenvalue_of_the_data() -> None:
    # fluctuations of the edge are of order d^(-2/3), of the outlier d^(-1/2)
    for model in (GaussianMixture(), GaussianMixture(positive_fraction=0.3), THREE, RandomLabels(alpha=3), TwoDirections()):
        n, d = model.sizes(1200)
        x = np.asarray(draw(model, n, d).x, np.float64)
        assert np.linalg.eigvalsh(x.T @ x / d)[-1] == pytest.approx(model.stiffness(), rel=0.06)
    assert GaussianMixture().stiffness() == pytest.approx((0.5 + 1) * (2 + 0.5))
    assert RandomLabels(alpha=4, noise=0.5).stiffness() == pytest.approx(0.5 * 9)
    # th = 1/2 below the threshold Delta/sqrt(alpha) = 1: no outlier
    assert GaussianMixture(alpha=1, noise=1, clusters=3).stiffness() == pytest.approx(4.0)


def test_cautions_on_the_step() -> None:
    square = GaussianMixture(loss=Square())
    assert square.cautions(Gradient(lr=2 / 3.75 - 1e-3)) == []
    (sentence,) = square.cautions(Gradient(lr=2 / 3.75 + 1e-3))
    assert sentence.startswith("lr is large")
    assert square.cautions(Gradient(lr=0.5, ridge=0.3))
    assert square.cautions(Gradient(lr=PowerLawDecay(0.6)))
    assert square.cautions(Gradient(lr=0.6, batches=IID(0.2))) == []
    assert square.cautions(Gradient(lr=0.6, batches=IID(0.2), normalise_batch=True))
    assert GaussianMixture(loss=Logistic()).cautions(Gradient(lr=2.0)) == []
    assert GaussianMixture(loss=Hinge()).cautions(Gradient(lr=9.0)) == []
    assert square.cautions(Gradient(lr=0.6, transform=Momentum(0.9))) == []
    assert square.cautions(Gradient(lr=0.6, transform=Optax("adam"))) == []


def test_a_step_beyond_the_caution_diverges() -> None:
    model = GaussianMixture(loss=Square())
    data = draw(model, 800, 400)
    norms = []
    for factor in (0.9, 1.1):
        rule = Gradient(lr=factor * 2 / model.stiffness())
        state = rule.init(model, model.initial(jax.random.key(0), data), data, jax.random.key(1))
        step = jax.jit(lambda s, rule=rule: rule.step(model, s, data, jax.random.key(2)))
        for _ in range(100):
            state = step(state)
        norms.append(float(jnp.mean(state.weights**2)))
    # an unstable mode grows by 1.2 per step, up to the 6 % of the finite size
    assert norms[0] < 10 < 1e4 < norms[1]


def test_cautions_on_symmetric_starts() -> None:
    for model in (THREE, PhaseRetrieval(start=SphericalStart())):
        assert [s for s in model.cautions(Gradient()) if s.startswith("start has overlap 0")]
    for model in (GaussianMixture(), PhaseRetrieval(), GaussianMixture(clusters=3, start=GaussianStart(0.1))):
        assert model.cautions(Gradient()) == []


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GaussianMixture(alpha=0), "alpha must be > 0"),
        (lambda: GaussianMixture(alpha=math.inf), "alpha must be a finite number"),
        (lambda: GaussianMixture(noise=-0.1), "noise must be >= 0"),
        (lambda: GaussianMixture(clusters=4), "clusters must be one of 2, 3"),
        (lambda: GaussianMixture(positive_fraction=1.0), "positive_fraction must lie in"),
        (lambda: GaussianMixture(clusters=3, positive_fraction=0.3), "positive_fraction must be 0.5"),
        (lambda: GaussianMixture(loss="logistic"), "loss"),
        (lambda: GaussianMixture(start=0.1), "start"),
        (lambda: RandomLabels(noise=0.0), "noise must be > 0"),
        (lambda: TeacherStudent(teacher=Logistic()), "teacher"),
        (lambda: GaussianStart(variance=-1.0), "variance must be >= 0"),
        (lambda: GaussianStart(overlap=math.nan), "overlap must be a finite number"),
        (lambda: SphericalStart(overlap=1.0), "overlap must lie in"),
        (lambda: PhaseRetrieval(loss=Logistic()), r"loss Logistic needs labels \+-1"),
        (lambda: TeacherStudent(teacher=Linear()), r"loss Logistic needs labels \+-1"),
        (lambda: TeacherStudent(teacher=Door(), loss=QuadraticHinge()), r"loss QuadraticHinge needs labels \+-1"),
        (lambda: TwoDirections(start=SphericalStart(0.3)), "start must have overlap 0 with 2 special"),
        (lambda: GaussianMixture().sizes(None), "size must be given"),
        (lambda: GaussianMixture().sizes(1), "size must be an integer >= 2"),
        (lambda: GaussianMixture(alpha=0.01).sizes(10), "alpha . size must give at least one sample"),
    ],
)
def test_refusals(make, match: str) -> None:
    with pytest.raises((ParameterError, TypeCheckError), match=match):
        make()
