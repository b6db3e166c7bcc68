"""Learning of restricted Boltzmann machines: the fixed point with labels, and what is found without."""

from __future__ import annotations

import numpy as np
import pytest

import quenched as qd
from quenched.dynamics import ClampedLearning, ContrastiveDivergence
from quenched.models import BoltzmannLearning, Hopfield, clamped_weights
from quenched.models.boltzmann_learning import clipped
from quenched.numerics.checks import IncompatibleError, ParameterError


def test_the_fixed_point_of_clamped_learning() -> None:
    """Every component follows w' = w + lr (etabar - tanh(z w/T)), w = W/sqrt(N), to T atanh(etabar)/z."""
    model = BoltzmannLearning(classes=3, examples=5, quality=0.3)
    rule = ClampedLearning(lr=1.0, temperature=0.7, activity=1.3)
    options = {"steps": 600, "size": 50, "disorder": 2, "times": [600], "dtype": "float64", "final": {"means": _means}}
    run = qd.simulate(model, rule, record_weights=True, **options)
    found = run["weights"].values[:, 0, -1].reshape(2, 3, 50)
    expected = clamped_weights(run["means"].values[:, 0].reshape(-1, 50), 5, temperature=0.7, activity=1.3)
    # five equal examples have |etabar| = 1, clipped to 0.9
    assert np.any(np.abs(run["means"].values) == 1)
    np.testing.assert_allclose(found.reshape(-1, 50), expected, atol=1e-6)


def _means(model, weights, disorder):
    return disorder.means


def test_labels_give_hebbs_rule_to_first_order() -> None:
    model = BoltzmannLearning(classes=1, examples=40, quality=0.3)
    run = qd.simulate(model, ClampedLearning(lr=1.0), steps=400, size=400, disorder=8, times=[400])
    assert float(run["hebb_correlation"].mean()) == pytest.approx(0.9987, abs=0.002)
    # the mean of 40 examples has the cosine 1/sqrt(1 + rho) with its archetype
    rho = (1 - 0.3**2) / (40 * 0.3**2)
    assert float(run["matched_overlap"].mean()) == pytest.approx(1 / np.sqrt(1 + rho), abs=0.02)


@pytest.mark.slow
def test_without_labels_it_finds_less_than_with_them() -> None:
    found = {}
    for hidden in ("one_hot", "gaussian", "binary"):
        model = BoltzmannLearning(classes=5, examples=300, quality=0.4, hidden=hidden)
        run = qd.simulate(model, ContrastiveDivergence(), steps=600, size=100, disorder=8, times=[600])
        found[hidden] = float(run["matched_overlap"].mean())
    labels = qd.simulate(model, ClampedLearning(), steps=100, size=100, disorder=8, times=[100])
    assert found["one_hot"] > found["gaussian"] > found["binary"]
    assert found["one_hot"] < float(labels["matched_overlap"].mean()) - 0.05


@pytest.mark.parametrize("hidden", ["one_hot", "gaussian", "binary"])
def test_weights_without_signal_stay_without(hidden: str) -> None:
    """Data of quality so low that nothing can be learnt: the update has zero mean at W = 0."""
    model = BoltzmannLearning(classes=2, examples=500, quality=1e-6, hidden=hidden, scale=0.0)
    run = qd.simulate(
        model, ContrastiveDivergence(lr=1.0, sweeps=3), steps=1, size=40, disorder=4, times=[1], record_weights=True
    )
    # 1000 examples: each component, over sqrt(N), is a difference of two means of independent signs
    assert np.abs(run["weights"].values).max() < 6 * np.sqrt(40 * 2 / 1000)
    assert abs(run["weights"].values.mean()) < 0.01 * np.sqrt(40)


def test_more_units_than_classes() -> None:
    model = BoltzmannLearning(classes=2, examples=20, units=4)
    run = qd.simulate(model, ContrastiveDivergence(), steps=3, size=20, times=[3])
    assert np.isnan(run["hebb_correlation"].values).all()
    assert np.isfinite(run["matched_overlap"].values).all()
    with pytest.raises(IncompatibleError, match="one unit per class, 2, got units=4"):
        qd.simulate(model, ClampedLearning(), steps=1, size=20)


def test_what_makes_no_sense_is_refused() -> None:
    for cls, options, name in (
        (BoltzmannLearning, {"classes": 0}, "classes"),
        (BoltzmannLearning, {"examples": 0}, "examples"),
        (BoltzmannLearning, {"quality": 0.0}, "quality"),
        (BoltzmannLearning, {"hidden": "ternary"}, "hidden"),
        (BoltzmannLearning, {"units": 0}, "units"),
        (BoltzmannLearning, {"scale": -1.0}, "scale"),
        (ClampedLearning, {"lr": 0.0}, "lr"),
        (ClampedLearning, {"activity": 0.0}, "activity"),
        (ContrastiveDivergence, {"sweeps": 0}, "sweeps"),
        (ContrastiveDivergence, {"temperature": 0.0}, "temperature"),
    ):
        with pytest.raises(ParameterError, match=name):
            cls(**options)
    for rule in (ClampedLearning(), ContrastiveDivergence()):
        with pytest.raises(IncompatibleError, match="BoltzmannLearning"):
            qd.simulate(Hopfield(load=0.1), rule, steps=1, size=20)
    for means, options, name in (
        (np.array([[1.5]]), {}, "means must lie"),
        (np.array([[np.nan]]), {}, "means must lie"),
        (np.zeros((1, 1)), {"temperature": 0.0}, "temperature"),
        (np.zeros((1, 1)), {"activity": -1.0}, "activity"),
    ):
        with pytest.raises(ParameterError, match=name):
            clamped_weights(means, 3, **options)
    np.testing.assert_array_equal(clipped(np.array([-1.0, 0.5, 1.0]), 2), [-0.75, 0.5, 0.75])
