"""Training: the gradient, the rules of descent, assistance, and what comes out on the published examples (arXiv:2206.09908)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.numerics.checks import DivergenceError, ParameterError
from quenched.sampling import (
    FiniteTime,
    FlowTraining,
    Funnel,
    FunnelField,
    GenericField,
    GradientField,
    LogDensity,
    MixtureTarget,
    ModuleField,
    estimate,
    four_modes,
    problem,
    train,
    two_modes,
)
from quenched.sampling.train import log_second_moment

SHIFTED = MixtureTarget((1,), ((1, 0),), ((1, 1),))


@pytest.mark.slow
@pytest.mark.parametrize("field", [GenericField(5, 1.0), GradientField(5, 1.0)], ids=["generic", "gradient"])
def test_the_gradient_of_the_second_moment_by_finite_differences(field) -> None:
    with jax.enable_x64(True):
        p = field.initial(jax.random.key(0), 2)
        x = jax.random.normal(jax.random.key(1), (20, 2))
        flat, unflatten = jax.flatten_util.ravel_pytree(p)

        def moment(vector):
            return jnp.exp(log_second_moment(unflatten(vector), field, two_modes(), FiniteTime(start=-0.5, steps=10), x)[0])

        value, gradient = jax.jit(jax.value_and_grad(moment))(flat)
        evaluate, step = jax.jit(moment), 1e-5
        for direction in jnp.eye(len(flat))[:: len(flat) // 4]:
            slope = (evaluate(flat + step * direction) - evaluate(flat - step * direction)) / (2 * step)
            assert float(gradient @ direction) == pytest.approx(float(slope), rel=1e-5, abs=1e-8 * float(value))


def test_normalised_steps_have_the_stated_lengths_and_fresh_samples() -> None:
    training = FlowTraining(steps=4, samples=20, lr=0.3, lr_ratio=0.2)
    trained = train(SHIFTED, GradientField(3, 1.0), FiniteTime(steps=5), training)
    flat = [np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(p)]) for p in trained.path]
    lengths = np.linalg.norm(np.diff(flat, axis=0), axis=1)
    assert np.allclose(lengths, 0.3 / (1 + (1 / 0.2 - 1) / 4 * np.arange(4)))
    assert len(set(trained.history["training_log_ratio"])) == 4
    assert trained.density_queries == trained.gradient_queries == 4 * 20 * 6


@pytest.mark.slow
def test_assistance_fades_and_is_counted() -> None:
    training = FlowTraining(steps=10, samples=20, assisted=0.3, assisted_until=0.5)
    assert [training.probability(i) for i in range(10)] == pytest.approx([0.3, 0.24, 0.18, 0.12, 0.06, *[0.0] * 5])
    trained = train(SHIFTED, GradientField(3, 1.0), FiniteTime(steps=5), training)
    assert trained.history["assisted_probability"][5:].max() == 0
    # five steps in which 6 points slide with 4 gradients per Runge-Kutta step
    assert trained.gradient_queries - trained.density_queries == 5 * 6 * 4 * 5


@pytest.mark.slow
def test_adam_learns_too_and_a_seed_repeats() -> None:
    training = FlowTraining(steps=30, samples=50, lr=0.05, optimiser="adam")
    runs = [train(SHIFTED, GradientField(5, 1.0), FiniteTime(steps=8), training, seed=s) for s in (3, 3, 4)]
    first, again, other = (run.history["training_relative_variance"] for run in runs)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first[-10:].mean() < first[:5].mean() / 2


def _second_moment_by_quadrature(field, parameters) -> tuple[float, float]:
    """E[A] and E[A^2] over N(0, I) in two dimensions, without sampling, in units of Z_1/Z_0 = 0.1."""
    grid = np.linspace(-7, 7, 281)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    base = np.exp(-(x**2).sum(1) / 2)
    with jax.enable_x64(True):
        given = problem(field, parameters, two_modes())
        one = jax.jit(lambda points: jax.lax.map(lambda y: FiniteTime().weigh(given, y).log_weight, points, batch_size=1000))
        weights = np.exp(one(jnp.asarray(x))) / 0.1
    return base @ weights / base.sum(), base @ weights**2 / base.sum()


@pytest.mark.slow
@pytest.mark.parametrize("field", [GradientField(20, 5.0), GenericField(20, 5.0)], ids=["gradient", "generic"])
def test_two_modes_before_and_after_training(field) -> None:
    """Untrained, the weights are as bad as vanilla ones (relative variance 1.9e6) and unbiased all the same; 50 steps gain five
    orders of magnitude. Published relative variances: about 1-3 (gradient), 1-9 (generic).
    """
    before = train(two_modes(), field, training=FlowTraining(steps=0)).parameters
    mean, moment = _second_moment_by_quadrature(field, before)
    assert mean == pytest.approx(1, abs=1e-3)
    assert moment > 1e5
    trained = train(two_modes(), field, training=FlowTraining(assisted=0.1))
    found = estimate(two_modes(), field, trained.parameters, seed=1)
    assert found.statistics.relative_variance < (6 if isinstance(field, GradientField) else 15)
    assert two_modes().vanilla_relative_variance() / found.statistics.relative_variance > 1e5
    assert abs(found.log_constant - two_modes().log_constant()) < 3 * found.statistics.error
    mean, moment = _second_moment_by_quadrature(field, trained.parameters)
    assert mean == pytest.approx(1, abs=1e-3)
    assert moment - 1 < (6 if isinstance(field, GradientField) else 15)


@pytest.mark.slow
def test_four_modes_in_ten_dimensions() -> None:
    field, estimator = GradientField(30, 5.0), FiniteTime(steps=60)
    training = FlowTraining(steps=60, samples=800, lr=0.5, assisted=0.3, assisted_until=0.75)
    trained = train(four_modes(), field, estimator, training)
    found = estimate(four_modes(), field, trained.parameters, estimator, seed=4)
    assert found.statistics.relative_variance < 15
    assert abs(found.log_constant - four_modes().log_constant()) < 4 * found.statistics.error


@pytest.mark.slow
def test_the_funnel_with_the_published_field() -> None:
    """The right tail of the weights is heavy (index near 0.9): typical means are a few per cent too small, never too large."""
    field, estimator = FunnelField(4.6, 4.0), FiniteTime(start=-0.5, steps=100)
    with jax.enable_x64(True):
        parameters = field.initial(jax.random.key(0), 10)
    found = estimate(Funnel(), field, parameters, estimator, samples=400_000, seed=1)
    ratio = np.exp(found.log_constant - Funnel().log_constant())
    assert ratio == pytest.approx(0.975, abs=0.03)
    assert ratio < 1 + 3 * found.statistics.error
    assert found.statistics.tail_index > 0.5


@pytest.mark.slow
def test_training_moves_the_field_of_the_funnel() -> None:
    training = FlowTraining(steps=100, samples=1000, lr=0.3, lr_ratio=0.5)
    trained = train(Funnel(), FunnelField(2.0, 2.0), FiniteTime(start=-0.5, steps=100), training)
    assert trained.path[0] == {"alpha": 2.0, "beta": 2.0}
    # published ranges; the last steps still have length 0.15
    assert 4.4 - 0.15 < trained.parameters["beta"] < 5 + 0.15
    assert 3.6 - 0.15 < trained.parameters["alpha"] < 4.7 + 0.15
    # outliers of a heavy tail aside, a batch looks harmless
    assert np.median(trained.history["training_relative_variance"][-40:]) < 1


@pytest.mark.slow
def test_a_density_that_is_no_number_on_the_way_stops_training_and_estimate() -> None:
    target = LogDensity(lambda x: -jnp.sum(jnp.where(x > 0.1, jnp.nan, x) ** 2), 1)
    with pytest.raises(DivergenceError, match="not finite at step 0"):
        train(target, GradientField(2), FiniteTime(steps=4), FlowTraining(steps=2, samples=5))
    with pytest.raises(ParameterError, match="log_weights must be numbers"):
        estimate(target, ModuleField(jnp.ones_like), None, FiniteTime(steps=4), samples=5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlowTraining(steps=-1), "steps must"),
        (lambda: FlowTraining(samples=1), "samples must"),
        (lambda: FlowTraining(lr=0.0), "lr must"),
        (lambda: FlowTraining(lr_ratio=0.0), "lr_ratio must"),
        (lambda: FlowTraining(lr_ratio=1.5), "lr_ratio must"),
        (lambda: FlowTraining(optimiser="sgd"), "optimiser must"),
        (lambda: FlowTraining(assisted=1.2), "assisted must"),
        (lambda: FlowTraining(assisted=-0.1), "assisted must"),
        (lambda: FlowTraining(assisted_until=0.0), "assisted_until must"),
        (lambda: FlowTraining(assisted=0.1, assisted_until=1.5), "assisted_until must"),
        (lambda: train(SHIFTED, ModuleField(jnp.sin), seed=1), "field must have parameters"),
        (lambda: train(SHIFTED, GradientField(), seed=-1), "seed must"),
    ],
)
def test_bad_input_is_refused(make, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
