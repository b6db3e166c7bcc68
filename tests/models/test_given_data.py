"""Models of given data: scaling, order parameters, stability of the usual step, refusals."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.data import Arrays, Digits
from quenched.dynamics import Gradient
from quenched.losses import Logistic, Relu, Square
from quenched.models import FromLoss, GaussianMixture, GaussianStart, SingleLayerData, TwoLayerNetwork
from quenched.models.given import standardise
from quenched.numerics.checks import ParameterError
from quenched.records.description import build, describe

SMALL = Digits(train=300, test=100)


def linear_mean_square(params, batch):
    """A loss of one's own: mean over the batch of (w.x + c - y)^2/2."""
    x, y = batch
    return 0.5 * jnp.mean((x @ params["w"] + params["c"] - y) ** 2)


def not_a_scalar(params, batch):
    return (batch[0] @ params["w"] - batch[1]) ** 2


def parameters(d: int = 64) -> dict[str, np.ndarray]:
    return {"w": np.linspace(-0.1, 0.1, d), "c": np.array(0.2)}


def own(**changes) -> FromLoss:
    return FromLoss(**{"loss": linear_mean_square, "params": parameters(), "data": SMALL, **changes})


def ready(model, seed: int = 0):
    model = model.prepare()
    sizes = model.sizes(None)

    @jax.jit
    def draw():
        disorder = model.sample(jax.random.key(seed), sizes, jnp.float32)
        return disorder, model.initial(jax.random.key(1), disorder)

    return model, *draw()


def train(model, rule: Gradient, steps: int) -> list[dict[str, float]]:
    model, disorder, w = ready(model)
    rule.check(model)

    @jax.jit
    def chain(state):
        return jax.lax.fori_loop(
            0, steps, lambda t, s: rule.step(model, s, disorder, jax.random.fold_in(jax.random.key(3), t)), state
        )

    start = rule.init(model, w, disorder, jax.random.key(2))
    return [{k: float(v) for k, v in model.observe(rule.weights(s), disorder).items()} for s in (start, chain(start))]


# ---- scaling


def test_features_are_centred_and_bounded() -> None:
    arrays = Digits().load()
    scaled = standardise(arrays, 4.0)
    x, d = scaled.x, 64
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
    top, power = np.linalg.eigvalsh(x.T @ x / d)[-1], np.mean(np.sum(x**2, 1)) / d
    assert top == pytest.approx(4.0)
    assert power < 1
    # one map for all: the held-out samples are moved by the training mean
    factor = x[0, 20] / (arrays.x[0, 20] - arrays.x[:, 20].mean(dtype=np.float64))
    np.testing.assert_allclose(scaled.x_test, (arrays.x_test - arrays.x.mean(0, dtype=np.float64)) * factor, rtol=1e-5, atol=1e-8)


def test_without_a_bound_only_the_norm_counts() -> None:
    x = standardise(Digits().load()).x
    assert np.mean(np.sum(x**2, 1)) / 64 == pytest.approx(1.0)


def test_isotropic_data_keep_the_norm_of_the_mixture() -> None:
    x = np.random.default_rng(0).standard_normal((50, 200)) * 3 + 7
    scaled = standardise(Arrays(x, np.ones(50)), 4.0).x
    assert np.mean(np.sum(scaled**2, 1)) / 200 == pytest.approx(1.0)


def test_preparing_twice_changes_nothing() -> None:
    once = SingleLayerData(data=SMALL).prepare()
    np.testing.assert_allclose(once.prepare().data.x, once.data.x, rtol=1e-10, atol=1e-14)


# ---- a single layer


def test_the_direction_is_the_difference_of_the_class_means() -> None:
    _, disorder, _ = ready(SingleLayerData(data=SMALL))
    x, y, v = (np.asarray(a, np.float64) for a in (disorder.x, disorder.y, disorder.directions[0]))
    difference = x[y > 0].mean(0) - x[y < 0].mean(0)
    np.testing.assert_allclose(v, difference * 8 / np.linalg.norm(difference), atol=1e-4)
    start = GaussianStart(overlap=0.5, variance=0.0)
    assert float(SingleLayerData(data=SMALL, start=start).initial(jax.random.key(0), disorder) @ v) / 64 == pytest.approx(
        0.5, rel=1e-4
    )


def test_labels_without_correlation_get_some_direction() -> None:
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 2.0], [-1.0, 2.0]])
    _, disorder, _ = ready(SingleLayerData(data=Arrays(x, np.ones(4))))
    assert float(jnp.sum(disorder.directions**2)) == pytest.approx(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [Logistic(), Square()])
def test_the_usual_step_is_stable_and_learns(loss) -> None:
    rule = Gradient(lr=0.2)
    model = SingleLayerData(data=SMALL, loss=loss)
    assert model.cautions(rule) == []
    before, after = train(model, rule, 200)
    assert after["loss"] < 0.75 * before["loss"]
    # chance is 1/2 with a standard error of 0.05 on 100 held-out samples
    assert after["test_error"] < 0.3
    assert after["train_error"] < 0.2
    assert after["overlap"] > 0


def test_norm_scaling_alone_would_explode() -> None:
    model = SingleLayerData(data=SMALL, loss=Square(), stiffness=1e9)
    assert model.cautions(Gradient(lr=0.2))
    assert not train(model, Gradient(lr=0.2), 200)[1]["loss"] < 1e6


def test_observables_by_hand() -> None:
    model, disorder, w = ready(SingleLayerData(data=SMALL))
    values = model.observe(w, disorder)
    r, r_test = (np.asarray(x) @ np.asarray(w) / 8 for x in (disorder.x, disorder.x_test))
    assert float(values["loss"]) == pytest.approx(np.mean(np.log1p(np.exp(-r * np.asarray(disorder.y)))), rel=1e-4)
    assert float(values["train_error"]) == pytest.approx(np.mean(np.sign(r) != np.asarray(disorder.y)), abs=1e-6)
    assert float(values["test_error"]) == pytest.approx(np.mean(np.sign(r_test) != np.asarray(disorder.y_test)), abs=1e-6)


def test_no_held_out_data_no_test_error_and_regression_no_errors() -> None:
    arrays = SMALL.load()
    for y, names in ((arrays.y, {"overlap", "norm", "loss", "train_error"}), (arrays.y * 0.7, {"overlap", "norm", "loss"})):
        model, disorder, w = ready(SingleLayerData(data=Arrays(arrays.x, y), loss=Square()))
        assert set(model.observe(w, disorder)) == names


@pytest.mark.slow
def test_it_is_the_mixture_on_the_mixture_s_data() -> None:
    mixture = GaussianMixture()
    data = mixture.sample(jax.random.key(0), (400, 200), jnp.float32)
    model, disorder, w = ready(SingleLayerData(data=Arrays(data.x, data.y)))
    # the scale is a fraction of one and the same for all, so losses agree at weights scaled back
    ratio = np.linalg.norm(disorder.x) / np.linalg.norm(data.x - data.x.mean(0))
    centred = type(data)(data.x - data.x.mean(0), data.y, data.directions)
    np.testing.assert_allclose(model.losses(w, disorder), mixture.losses(w * ratio, centred), rtol=1e-3, atol=1e-4)
    assert 0.5 < ratio < 2


# ---- a hidden layer


@pytest.mark.slow
def test_a_network_starts_with_outputs_of_order_one_at_any_width() -> None:
    spreads = []
    for width in (16, 1024):
        model, disorder, w = ready(TwoLayerNetwork(data=SMALL, width=width))
        spreads.append(float(jax.jit(lambda m=model, w=w, x=disorder.x: jnp.std(m.output(w, x)))()))
    assert 0.2 < spreads[0] / spreads[1] < 5
    assert 0.1 < spreads[1] < 2


@pytest.mark.slow
@pytest.mark.parametrize("activation", [None, Relu()])
def test_a_network_learns(activation) -> None:
    model = TwoLayerNetwork(data=SMALL, width=16) if activation is None else TwoLayerNetwork(data=SMALL, activation=activation)
    before, after = train(model, Gradient(lr=1.0), 300)
    assert after["loss"] < 0.6 * before["loss"]
    assert after["test_error"] < 0.25
    assert set(after) == {"norm", "loss", "train_error", "test_error"}


@pytest.mark.slow
def test_the_energy_of_a_network_is_the_mean() -> None:
    model, disorder, w = ready(TwoLayerNetwork(data=SMALL, width=4))
    rule = Gradient(lr=0.1)
    new = jax.jit(
        lambda: rule.step(model, rule.init(model, w, disorder, jax.random.key(0)), disorder, jax.random.key(1)).weights
    )()
    gradient = jax.jit(jax.grad(lambda v: jnp.mean(model.losses(v, disorder))))(w)
    for a, b, g in zip(*(jax.tree.leaves(t) for t in (w, new, gradient)), strict=True):
        np.testing.assert_allclose(b, a - 0.1 * g, rtol=1e-5, atol=1e-6)


# ---- a loss of one's own


@pytest.mark.slow
def test_sample_losses_are_the_loss_of_single_samples() -> None:
    model, disorder, w = ready(own())
    x, y = np.asarray(disorder.x), np.asarray(disorder.y)
    np.testing.assert_allclose(model.losses(w, disorder), 0.5 * (x @ w["w"] + 0.2 - y) ** 2, rtol=1e-4, atol=1e-5)
    values = model.observe(w, disorder)
    assert set(values) == {"norm", "loss", "test_loss"}
    assert float(values["loss"]) == pytest.approx(float(linear_mean_square(w, (disorder.x, disorder.y))), rel=1e-5)
    assert float(values["norm"]) == pytest.approx((np.sum(parameters()["w"] ** 2) + 0.04) / 65, rel=1e-5)


@pytest.mark.slow
def test_replicas_start_at_params_or_around_them() -> None:
    for spread in (0.0, 0.3):
        model, disorder, _ = ready(own(spread=spread, params=parameters(4000), data=Arrays(np.ones((2, 4000)), [1.0, 2.0])))
        a, b = (model.initial(jax.random.key(k), disorder)["w"] for k in (0, 1))
        apart = float(jnp.mean((a - b) ** 2))
        assert abs(apart - 2 * spread**2) <= 4.5 * 2 * spread**2 * math.sqrt(2 / 4000)


@pytest.mark.slow
def test_integer_leaves_and_labels_are_passed_on() -> None:
    def loss(params, batch):
        x, y = batch
        assert jnp.issubdtype(y.dtype, jnp.integer)
        return jnp.mean(jnp.where(y == params["class"], x @ params["w"], 0.0))

    data = Arrays(np.ones((3, 2)), np.array([0, 1, 2]))
    model, disorder, w = ready(FromLoss(loss, {"w": np.ones(2), "class": np.array(1)}, data))
    np.testing.assert_allclose(model.losses(w, disorder), [0.0, 2.0, 0.0])
    rule = Gradient(lr=0.1)
    new = rule.step(model, rule.init(model, w, disorder, jax.random.key(0)), disorder, jax.random.key(1)).weights
    np.testing.assert_allclose(new["w"], 1 - 0.1 / 3, rtol=1e-5)


def test_descriptions() -> None:
    for model in (SingleLayerData(data=SMALL), TwoLayerNetwork(width=7)):
        assert build(describe(model)) == model
    description = describe(own())
    assert description["loss"]["function"].endswith("linear_mean_square")
    assert "sha256" in description["params"]["mapping"]["w"]["array"]


@pytest.mark.parametrize("model", [SingleLayerData(data=SMALL), TwoLayerNetwork(data=SMALL), own()])
def test_size_is_given_by_the_data_which_must_be_loaded(model) -> None:
    with pytest.raises(ParameterError, match="data must be loaded"):
        model.sizes(None)
    with pytest.raises(ParameterError, match="size must be None"):
        model.prepare().sizes(100)
    assert model.prepare().sizes(None)[0] == 300


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SingleLayerData(stiffness=0.0), "stiffness must be > 0"),
        (lambda: TwoLayerNetwork(width=0), "width must be an integer >= 1"),
        (lambda: TwoLayerNetwork(variance=0.0), "variance must be > 0"),
        (lambda: SingleLayerData(data=Arrays(np.eye(3), [0, 1, 2])).prepare(), r"y must be \+-1 for the loss Logistic"),
        (lambda: TwoLayerNetwork(data=Arrays(np.eye(3), [0, 1, 2])).prepare(), r"y must be \+-1 for the loss Logistic"),
        (lambda: SingleLayerData(data=Arrays(np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 0])).prepare(), r"y_test must be \+-1"),
        (lambda: SingleLayerData(data=Arrays(np.eye(3), np.eye(3))).prepare(), "y must have one number per sample"),
        (lambda: SingleLayerData(data=Arrays(np.ones((3, 2)), [1, 1, -1])).prepare(), "x must vary over the samples"),
        (lambda: own(spread=-1.0), "spread must be >= 0"),
        (lambda: own(params={"w": np.arange(3)}), "params must contain at least one floating array"),
        (lambda: own(params={"w": np.array([np.nan])}), "params must be finite"),
        (lambda: own(loss=not_a_scalar).prepare(), "loss must return a scalar"),
    ],
)
def test_refusals(make, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make()
