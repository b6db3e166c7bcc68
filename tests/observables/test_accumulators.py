"""Streaming summaries against the same numbers from the recorded weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.numerics.checks import ParameterError
from quenched.observables.accumulators import AbstractAccumulator, FrozenOverlap, MeanSquareDisplacement, WeightMoments
from quenched.records.description import build, describe

RNG = np.random.default_rng(8)
STEPS = 12
PATH = {"a": RNG.normal(100.0, 1.0, size=(STEPS + 1, 3)), "b": RNG.normal(size=(STEPS + 1, 2, 2))}
FLAT = np.concatenate([PATH["a"], PATH["b"].reshape(STEPS + 1, 4)], 1)


def stream(accumulator: AbstractAccumulator, path: dict | np.ndarray) -> dict[str, np.ndarray]:
    """Run an accumulator over a recorded path as the engine does: in a compiled loop, step by step."""
    path = jax.tree.map(jnp.asarray, path)
    first = jax.tree.map(lambda x: x[0], path)
    steps = jnp.arange(1, jax.tree.leaves(path)[0].shape[0])

    @jax.jit
    def run(state, rest):
        state, _ = jax.lax.scan(lambda s, x: (accumulator.update(s, x[0], x[1]), None), state, (rest, steps))
        return accumulator.finish(state)

    return run(accumulator.init(first), jax.tree.map(lambda x: x[1:], path))


def test_displacement_from_several_starts() -> None:
    result = stream(MeanSquareDisplacement(starts=(0, 3, 10), lags=(1, 4, 9)), PATH)["mean_square_displacement"]
    for i, start in enumerate((0, 3, 10)):
        for j, lag in enumerate((1, 4, 9)):
            if start + lag > STEPS:
                assert np.isnan(result[i, j])
            else:
                expected = ((FLAT[start + lag] - FLAT[start]) ** 2).mean()
                assert result[i, j] == pytest.approx(expected, rel=1e-4)


def test_moments_after_the_burn_in_keep_their_digits_far_from_zero() -> None:
    result = stream(WeightMoments(burn_in=4), PATH)
    np.testing.assert_allclose(result["time_average"], FLAT[5:].mean(0), rtol=1e-5)
    # float32 holds weights of size 100 to 4e-6: squares would have lost the variance of order one to a part in a thousand
    np.testing.assert_allclose(result["time_variance"], FLAT[5:].var(0, ddof=1), rtol=1e-4)
    assert np.isnan(stream(WeightMoments(burn_in=STEPS), PATH)["time_variance"]).all()


def test_frozen_overlap_and_fluctuation() -> None:
    result = stream(FrozenOverlap(burn_in=4), PATH)
    assert float(result["frozen_overlap"]) == pytest.approx((FLAT[5:].mean(0) ** 2).mean(), rel=1e-5)
    assert float(result["fluctuation"]) == pytest.approx(FLAT[5:].var(0, ddof=1).mean(), rel=1e-4)


def test_spins_are_averaged_as_numbers() -> None:
    spins = RNG.choice([-1, 1], size=(STEPS + 1, 6)).astype(np.int8)
    np.testing.assert_allclose(stream(WeightMoments(), spins)["time_average"], spins[1:].mean(0), atol=1e-6)
    displacement = stream(MeanSquareDisplacement((0,), (STEPS,)), spins)["mean_square_displacement"]
    assert float(displacement[0, 0]) == pytest.approx(((spins[-1] - spins[0]) ** 2).mean())


@pytest.mark.slow
def test_in_the_engine_they_agree_with_recorded_weights() -> None:
    model = qd.models.GaussianMixture(alpha=2.0)
    rule = qd.dynamics.Gradient(lr=0.2, batches=qd.dynamics.IID(0.5))
    ds = qd.simulate(
        model,
        rule,
        steps=8,
        size=20,
        replicas=2,
        accumulators=[MeanSquareDisplacement((2,), (1, 5)), WeightMoments(3), FrozenOverlap(3)],
        record_weights=True,
        seed=3,
    )
    w = ds.weights.values.astype(np.float64)
    direct = np.stack([((w[:, :, 2 + k] - w[:, :, 2]) ** 2).mean(-1) for k in (1, 5)], -1)
    assert ds.mean_square_displacement.dims == ("disorder", "replica", "waiting", "lag")
    np.testing.assert_allclose(ds.mean_square_displacement[:, :, 0], direct, rtol=1e-4)
    np.testing.assert_allclose(ds.time_average, w[:, :, 4:].mean(2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ds.frozen_overlap, (w[:, :, 4:].mean(2) ** 2).mean(-1), rtol=1e-4)


def test_descriptions_and_refusals() -> None:
    one = MeanSquareDisplacement(starts=[np.int64(3)], lags=(1, 2))
    assert build(describe(one)) == one
    with pytest.raises(ParameterError, match="lags must be an integer >= 1"):
        MeanSquareDisplacement(lags=(0,))
    with pytest.raises(ParameterError, match="distinct"):
        MeanSquareDisplacement(starts=(1, 1))
    with pytest.raises(ParameterError, match="burn_in"):
        WeightMoments(-1)
