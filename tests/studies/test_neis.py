"""The study of importance sampling along flows at a small size: it runs, draws, comes back from a file, agrees with theory."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.sampling import FiniteTime, FlowTraining, Funnel, FunnelField, GradientField, LogDensity, MixtureTarget
from quenched.studies.neis import Neis, parts, zero
from tests.studies.outcomes import survives_a_file

NEAR = MixtureTarget((1.0,), ((1.0, -0.5),), ((0.5, 0.5),))
TINY = Neis(
    target=NEAR,
    field=GradientField(4, 0.5),
    estimator=FiniteTime(steps=8),
    training=FlowTraining(steps=5, samples=50, lr=0.1, assisted=0.2),
    samples=2000,
    curve_points=3,
    curve_samples=1000,
    repeats=2,
    rungs=(3,),
    starts=40,
)
FUNNEL = Neis(
    target=Funnel(3),
    field=FunnelField(),
    estimator=FiniteTime(start=-0.5, steps=10),
    training=FlowTraining(steps=3, samples=50),
    samples=200,
    curve_samples=200,
    curve_points=2,
    repeats=0,
    starts=0,
)
FIGURES = {"training", "flow", "methods", "zero-variance"}


@pytest.fixture(scope="module")
def outcome() -> xr.DataTree:
    return TINY.run(seed=3)


@pytest.mark.slow
def test_it_draws_its_figures(outcome) -> None:
    figures = TINY.figures(outcome)
    assert set(figures) == FIGURES
    for figure in figures.values():
        for ax in figure.axes:
            assert ax.get_xlabel()
            assert ax.get_ylabel()


@pytest.mark.slow
def test_an_outcome_survives_a_file(outcome, tmp_path) -> None:
    survives_a_file(TINY, 3, outcome, tmp_path)


@pytest.mark.slow
def test_estimates_agree_with_the_exact_constant(outcome) -> None:
    theory, found = outcome["log_ratio"].sel(engine="theory"), outcome["log_ratio"].sel(engine="experiment")
    error = float(outcome["log_ratio_error"].sel(engine="experiment"))
    # exactly: ln of the product of the standard deviations
    assert float(theory) == pytest.approx(np.log(0.5))
    assert abs(float(found) - float(theory)) < 4 * error < 0.3
    curve = outcome["experiment/curve"].to_dataset(inherit=False)
    assert np.all(np.abs(curve["log_ratio"] - np.log(0.5)) < 4 * curve["log_ratio_error"])
    methods = outcome["experiment/methods"].to_dataset(inherit=False)
    # at the same budget, each query counted
    spent = 5 * 50 * 9 + 5 * 50 * 9 + 3 * 10 * 4 * 8
    assert methods.attrs["budget"] == 2 * spent
    assert np.all(np.abs(methods["log_ratio_deviation"]) < 0.3)


@pytest.mark.slow
def test_flows_without_variance(outcome) -> None:
    theory, found = outcome["theory"], outcome["experiment"]
    assert float(np.abs(found["line/weight"].sel(window=20.0) - 1).max()) < 1e-10
    # the trapezoidal rule at 50 steps on a mode of width 0.3
    assert float(np.abs(found["line/weight"] - theory["line/weight"].sel(window=found["line/window"])).max()) < 0.01
    assert float(np.abs(found["map/image"] - theory["map/image"]).max()) < 1e-3
    spread = found["torus/weight_spread"]
    np.testing.assert_allclose(spread[1:3], theory["torus/weight_spread"][1:3], rtol=0.02)
    assert float(spread[-1]) < 1e-8


@pytest.mark.slow
def test_uniform_points_are_transported_to_the_density_of_the_torus() -> None:
    """The mean of a Fourier mode over the images is its mean under the target."""
    found = zero.torus_transported(300, 0)
    images = found["image_point"].values
    side = np.stack(np.meshgrid(*(np.arange(64) / 64,) * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp([2 * np.cos(2 * np.pi * (side - c)).sum(1) for c in zero.CENTRES]).sum(0)
    for wave in ((1, 0), (0, 1), (1, 1), (2, 0)):
        expected = density @ np.cos(2 * np.pi * side @ wave) / density.sum()
        values = np.cos(2 * np.pi * images @ wave)
        assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(len(values))


def test_a_broad_sample_keeps_the_mean_and_sees_rare_points() -> None:
    x, log_shares = parts.broad_sample(2, 40_000, 3.0, 0)
    shares = np.exp(log_shares)
    assert shares.max() <= 2
    for values, expected in ((np.ones(len(x)), 1.0), ((x**2).sum(1), 2.0), (x[:, 0] ** 4, 3.0)):
        terms = shares * values
        assert abs(terms.mean() - expected) < 4 * terms.std() / np.sqrt(len(x))
    assert (np.linalg.norm(x, axis=1) > 5).mean() > 0.05


def test_vanilla_weights_are_importance_sampling() -> None:
    logs = parts.vanilla_weights(NEAR, 50_000, 0)
    error = np.exp(logs).std() / np.sqrt(50_000)
    assert abs(np.exp(logs).mean() - 0.5) < 4 * error
    assert np.exp(logs).var() / 0.25 == pytest.approx(NEAR.vanilla_relative_variance(), rel=0.1)


@pytest.mark.slow
def test_the_funnel_shows_its_path_and_a_target_without_constant_no_number() -> None:
    tree = FUNNEL.run(seed=0)
    assert set(FUNNEL.figures(tree)) == {"training", "flow", "path"}
    assert np.isnan(tree["theory/target/vanilla_relative_variance"])
    assert np.isnan(tree["gain"].sel(engine="experiment"))
    own = LogDensity(lambda x: -(x[0] ** 2), 1)
    assert np.isnan(parts.exact(own)["log_ratio"])


def test_a_map_is_one_estimate() -> None:
    study = Neis.presets()["map"]
    assert set(study.theory(0, False).children) == {"target"}
    assert study.curve_points == study.repeats == study.starts == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 10}, "samples must be"),
        ({"training_share": 1.0}, "training_share must"),
        ({"rungs": (0,)}, "rungs must be"),
        ({"step_size": 0.0}, "step_size must be > 0"),
        ({"curve_spread": 0.5}, "curve_spread must"),
        ({"training": FlowTraining(steps=0)}, r"training\.steps must be"),
    ],
)
def test_bad_parameters_are_named(arguments, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Neis(**arguments)
