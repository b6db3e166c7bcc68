"""The convolutional network: the map by hand, its gradient, a short run, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.data import Arrays, Digits
from quenched.models import ConvolutionalNetwork
from quenched.numerics.checks import ParameterError
from quenched.numerics.pytrees import dimension
from quenched.records.description import build, describe

SMALL = Digits(train=200, test=100)


def images(*sample: int, n: int = 6) -> Arrays:
    rng = np.random.default_rng(0)
    return Arrays(rng.standard_normal((n, *sample)), np.resize([1.0, -1.0], n))


def ready(model: ConvolutionalNetwork, dtype=jnp.float32):
    model = model.prepare()
    sizes = model.sizes(None)

    @jax.jit
    def draw():
        disorder = model.sample(jax.random.key(0), sizes, dtype)
        return disorder, model.initial(jax.random.key(1), disorder)

    return model, *draw()


def by_hand(z: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """tanh(K*z/sqrt(9 c) + b) of one image (h, w, c), pixel by pixel."""
    h, w, c = z.shape
    padded = np.pad(z, ((1, 1), (1, 1), (0, 0)))
    field = [
        [np.einsum("ijc,ijck", padded[i : i + 3, j : j + 3], kernel) / np.sqrt(9 * c) + bias for j in range(0, w, 2)]
        for i in range(0, h, 2)
    ]
    return np.tanh(np.array(field))


@pytest.mark.parametrize(
    ("sample", "shape"),
    [
        ((25,), (5, 5, 1)),
        ((75,), (5, 5, 3)),
        ((5, 6), (5, 6, 1)),
        ((5, 6, 2), (5, 6, 2)),
    ],
)
def test_images_of_any_form(sample: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    model, disorder, w = ready(ConvolutionalNetwork(data=images(*sample), channels=(2, 3)))
    assert model.shape == shape
    assert model.prepare().shape == shape
    assert disorder.x.shape == (6, np.prod(sample))
    assert [leaf.shape for leaf in jax.tree.leaves(w)] == [
        (3, 3, shape[2], 2),
        (2,),
        (3, 3, 2, 3),
        (3,),
        (2, 2, 3),
    ]
    expected = []
    for x in np.asarray(disorder.x, np.float64).reshape(6, *shape):
        z = by_hand(by_hand(x, *map(np.asarray, (w.first, w.first_bias))), *map(np.asarray, (w.second, w.second_bias)))
        expected.append(np.sum(z * w.readout) / np.sqrt(12))
    np.testing.assert_allclose(jax.jit(lambda: model.output(w, disorder.x))(), expected, rtol=1e-4, atol=1e-5)


def test_flat_images_that_are_not_square_need_their_shape() -> None:
    whole, flat = (ConvolutionalNetwork(data=d, shape=(4, 6, 2)) for d in (images(4, 6, 2), images(48)))
    (m, a, w), (other, b, v) = ready(whole), ready(flat)
    np.testing.assert_array_equal(jax.jit(lambda: m.losses(w, a))(), jax.jit(lambda: other.losses(v, b))())


def test_losses_and_observables() -> None:
    model, disorder, w = ready(ConvolutionalNetwork(data=SMALL, channels=(2, 3)))
    assert model.samples(disorder) == 200
    assert model.loss_scale(200) == 1 / 200
    chosen = jnp.asarray([3, 0, 17, 3])
    losses, few, gaps, values = jax.jit(
        lambda: (
            model.losses(w, disorder),
            model.batch_losses(w, disorder, chosen),
            model.gaps(w, disorder),
            model.observe(w, disorder),
        )
    )()
    assert losses.shape == (200,)
    np.testing.assert_allclose(few, losses[chosen], rtol=1e-5)
    assert set(values) == {"norm", "loss", "train_error", "test_error"}
    assert float(values["loss"]) == pytest.approx(float(losses.mean()), rel=1e-5)
    assert float(values["train_error"]) == pytest.approx(float((gaps < 0).mean()))
    total = sum(np.sum(np.asarray(leaf) ** 2) for leaf in jax.tree.leaves(w))
    assert float(values["norm"]) == pytest.approx(total / dimension(w), rel=1e-5)


def test_no_held_out_data_no_test_error_and_regression_no_errors() -> None:
    arrays = images(4, 4)
    for y, names in ((arrays.y, {"norm", "loss", "train_error"}), (0.7 * arrays.y, {"norm", "loss"})):
        model, disorder, w = ready(ConvolutionalNetwork(data=Arrays(arrays.x, y), channels=(1, 2), loss=qd.losses.Square()))
        assert set(jax.eval_shape(model.observe, w, disorder)) == names


def test_the_gradient_is_that_of_finite_differences() -> None:
    with jax.enable_x64(True):
        model, disorder, w = ready(ConvolutionalNetwork(data=images(5, 5, 3), channels=(2, 3), variance=0.5), jnp.float64)
        flat, back = jax.flatten_util.ravel_pytree(w)
        energy = jax.jit(lambda v: jnp.mean(model.losses(back(v), disorder)))
        gradient, step = jax.jit(jax.grad(energy))(flat), 1e-5
        for direction in np.random.default_rng(1).standard_normal((4, flat.size)):
            slope = (energy(flat + step * direction) - energy(flat - step * direction)) / (2 * step)
            # the error of a central difference is of the order step^2
            assert float(slope) == pytest.approx(float(gradient @ direction), rel=1e-6, abs=1e-8)


@pytest.mark.slow
def test_outputs_are_of_order_one_at_any_number_of_channels() -> None:
    spreads = []
    for channels in ((4, 8), (32, 64)):
        model, disorder, w = ready(ConvolutionalNetwork(data=SMALL, channels=channels))
        spreads.append(float(jnp.std(jax.jit(lambda m=model, v=w, x=disorder.x: m.output(v, x))())))
    assert 0.2 < spreads[0] / spreads[1] < 5
    assert 0.05 < spreads[1] < 2


def test_a_short_run_lowers_the_loss() -> None:
    rule = qd.dynamics.Gradient(lr=0.5, batches=qd.dynamics.Minibatch(size=20))
    run = qd.simulate(ConvolutionalNetwork(data=SMALL, channels=(4, 8)), rule, steps=100, replicas=2, seed=0)
    loss = run.loss.mean(("disorder", "replica"))
    assert float(loss.isel(t=-1)) < 0.8 * float(loss.isel(t=0))


def test_it_survives_its_description() -> None:
    for model in (ConvolutionalNetwork(channels=(3, 5), variance=0.5), ConvolutionalNetwork(data=SMALL, shape=(4, 16, 1))):
        assert build(describe(model)) == model


def test_size_is_given_by_the_data_which_must_be_loaded() -> None:
    model = ConvolutionalNetwork(data=SMALL)
    with pytest.raises(ParameterError, match="data must be loaded"):
        model.sizes(None)
    with pytest.raises(ParameterError, match="size must be None"):
        model.prepare().sizes(100)
    assert model.prepare().sizes(None) == (200, 64)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ConvolutionalNetwork(channels=(0, 4)), "channels must be an integer >= 1"),
        (lambda: ConvolutionalNetwork(variance=0.0), "variance must be > 0"),
        (lambda: ConvolutionalNetwork(variance=float("nan")), "variance must be a finite number"),
        (lambda: ConvolutionalNetwork(shape=(8, 0, 1)), "shape must be an integer >= 1"),
        (lambda: ConvolutionalNetwork(shape=(8, 9, 1)).prepare(), r"shape must fit the images, got \(8, 9, 1\)"),
        (lambda: ConvolutionalNetwork(data=images(4, 6), shape=(6, 4, 1)).prepare(), "shape must fit the images"),
        (lambda: ConvolutionalNetwork(data=images(10)).prepare(), r"x must hold images .* shape \(10,\)"),
        (lambda: ConvolutionalNetwork(data=images(2, 2, 2, 2)).prepare(), "x must hold images"),
        (lambda: ConvolutionalNetwork(data=Arrays(np.eye(4), [0, 1, 2, 1])).prepare(), r"y must be \+-1 for the loss"),
        (lambda: ConvolutionalNetwork(data=Arrays(np.ones((3, 4)), [1, 1, -1])).prepare(), "x must vary"),
    ],
)
def test_refusals(make, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make()
