"""A user's density in, ln Z out."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.sampling import (
    DoubleWells,
    FiniteTime,
    FlowTraining,
    GradientField,
    MixtureTarget,
    ModuleField,
    neis,
    two_modes,
)

QUICK = {
    "field": GradientField(4, 1.0),
    "estimator": FiniteTime(steps=16),
    "training": FlowTraining(steps=15, samples=100),
    "samples": 3000,
}


def _log_density(x):
    return -jnp.sum((x - 1) ** 2)


@pytest.mark.slow
def test_a_user_s_density(tmp_path) -> None:
    found = neis(_log_density, 2, **QUICK, observables={"position": lambda x: x, "square": lambda x: x[0] ** 2}, seed=1)
    assert abs(found.log_constant - np.log(np.pi)) < 4 * found.log_constant_error < 0.2
    assert np.all(np.abs(found.position - 1) < 4 * found.position_error)
    assert abs(found.square - 1.5) < 4 * found.square_error < 0.3
    assert found.training_relative_variance[-1] < found.training_relative_variance[0]
    assert found.parameters.sizes == {"parameter": 4 * 2 + 4 + 4}
    # training, estimate, and 1000 weights with half the step
    assert found.density_queries == 15 * 100 * 17 + 3000 * 17 + 1000 * 33
    assert found.gradient_queries == 15 * 100 * 17
    assert abs(found.step_change) < 1e-3
    qd.save(found, tmp_path / "a.nc")
    assert qd.load(tmp_path / "a.nc", consent=True).log_constant == found.log_constant


@pytest.mark.slow
def test_a_run_is_made_again_from_its_description() -> None:
    target = MixtureTarget((1.0,), ((0.5, 0.5),), ((0.5, 0.5),))
    found = neis(target, **QUICK)
    again = neis(**qd.records.rebuild(found))
    assert float(again.log_constant) == float(found.log_constant)


@pytest.mark.slow
def test_a_heavy_tail_is_announced() -> None:
    """Unit time along one line cannot mend twenty coordinates: the estimate is far too small, and says that it is not good."""
    wells = DoubleWells(20, 2.0)
    with pytest.warns(QuenchedWarning, match="Pareto index"):
        found = neis(wells, **QUICK)
    assert found.log_constant < wells.log_constant()
    assert found.tail_index > 0.7


@pytest.mark.slow
def test_too_few_steps_are_announced() -> None:
    field = ModuleField(lambda x: 12 * x)
    with pytest.warns(QuenchedWarning, match="halving the time step"):
        neis(_log_density, 1, field=field, estimator=FiniteTime(steps=3), training=FlowTraining(steps=0), samples=2000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: neis(_log_density), "dimension must be given"),
        (lambda: neis(two_modes(), 3), "dimension must be that of the target"),
        (lambda: neis(lambda x: x @ jnp.ones(3), 2), r"log_density must take a point of shape \(2,\)"),
        (lambda: neis(lambda x: jnp.nan * x[0], 2), "log_density must be finite"),
        (lambda: neis(lambda x: -jnp.inf * jnp.abs(x[0]), 2), "log_density must be finite"),
        (lambda: neis(_log_density, 2, samples=1), "samples must"),
        (lambda: neis(_log_density, 2, seed=-1), "seed must"),
        (lambda: neis(_log_density, 2, observables={"log_constant": jnp.sum}), "observables must not be named log_constant"),
        (
            lambda: neis(_log_density, 2, field=ModuleField(jnp.sin, trace=lambda module, x: 1.0)),
            "divergence must be the trace",
        ),
    ],
)
def test_bad_input_is_refused(make, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()
