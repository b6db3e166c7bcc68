"""The two studies of memories at a small size: they run, draw, come back from a file, and agree with their theory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from quenched.data import Digits
from quenched.models import Hopfield
from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.studies import learning_curves, memories, memory_lines
from quenched.studies.emergence_of_a_concept import EmergenceOfAConcept
from quenched.studies.memories import Effort
from quenched.studies.supervised_hebbian import SupervisedHebbian
from tests.studies.outcomes import survives_a_file

EMERGENCE = EmergenceOfAConcept(
    model=Hopfield(load=0.02, examples=9, quality=0.7),
    sizes=(100, 200),
    examples=(100, 400),
    memory_examples=(2, 10),
    memory_load=0.02,
    curve_size=200,
    qualities=(0.1, 0.3),
    loads=(0.02,),
    lines=5,
    disorder=4,
    sweeps=60,
)
SUPERVISED = SupervisedHebbian(
    sizes=(100, 200),
    examples=(100, 400),
    curve_size=200,
    entropies=(0.0, 0.1),
    lines=5,
    class_size=100,
    classes=10,
    class_qualities=(0.3,),
    class_examples=(1, 10),
    data=Digits(),
    replicas=(1, 3),
    per_class=(1, 10),
    draws=2,
    tree_images=40,
    disorder=4,
    sweeps=60,
)
FIGURES = {
    EMERGENCE: {"concept", "memory", "sample-size", "phases", "fields"},
    SUPERVISED: {"learning-curve", "phases", "classes", "layers", "prototypes", "overlaps", "ultrametricity"},
}


@pytest.fixture(scope="module", params=[pytest.param(s, id=s.name, marks=pytest.mark.slow) for s in (EMERGENCE, SUPERVISED)])
def outcome(request):
    return request.param, request.param.run(seed=3)


def test_they_draw_their_figures(outcome) -> None:
    study, tree = outcome
    figures = study.figures(tree)
    assert set(figures) == FIGURES[study]
    for name, figure in figures.items():
        if name not in ("prototypes", "overlaps"):
            for ax in figure.axes:
                assert ax.get_xlabel()
                assert ax.get_ylabel()


def test_an_outcome_survives_a_file(outcome, tmp_path) -> None:
    study, tree = outcome
    survives_a_file(study, 3, tree, tmp_path)


def test_theory_and_simulation_have_the_same_numbers(outcome) -> None:
    _, tree = outcome
    assert set(memories.POINT) <= set(tree.data_vars)
    m = tree["archetype_overlap"]
    assert float(m.sel(engine="experiment")) == pytest.approx(float(m.sel(engine="theory")), abs=0.15)
    concept = tree["experiment/concept"].to_dataset()
    theory = tree["theory/concept"].to_dataset().sel(examples=concept["examples"])
    # 400 examples of quality 0.2 are enough for both rules
    last = {"examples": 400}
    np.testing.assert_allclose(concept["archetype_overlap"].sel(last), theory["archetype_overlap"].sel(last), atol=0.05)


def test_a_map_has_the_point_only() -> None:
    for cls in (EmergenceOfAConcept, SupervisedHebbian):
        study = cls.presets()["map"]
        tree = study.theory(0, False)
        assert set(tree.children) == {"point"}


def test_a_state_that_does_not_exist_is_no_number() -> None:
    beyond = memories.expected(Hopfield(load=0.06, examples=20, quality=0.5), 0.0)
    assert np.isnan(beyond["archetype_overlap"])
    assert np.isnan(beyond["advantage"])
    assert float(beyond["glass_overlap"]) == 1.0
    curve = learning_curves.expected(Hopfield(load=0.02, quality=0.2), ("unsupervised",), (75, 250))
    assert np.isnan(curve["archetype_overlap"].values[0, 0])
    assert curve["archetype_overlap"].values[0, 1] > 0.98
    assert float(curve["critical_sample_size"][0]) == 113


def test_a_limit_in_the_size_is_recovered() -> None:
    sizes = np.array([100.0, 200.0, 400.0])
    values = {name: ("size", 0.5 + 3 * sizes**-power) for name, power in memories.POWERS.items()}
    errors = {f"{name}_error": ("size", np.array([0.1, 0.2, 0.05])) for name in memories.POWERS}
    found = memories.extrapolated(xr.Dataset(values | errors, {"size": sizes}))
    for name in memories.POWERS:
        assert float(found[name][0]) == pytest.approx(0.5, abs=1e-10)
        assert float(found[f"{name}_error"][0]) > 0.05


def test_the_error_of_a_limit_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    sizes, errors = np.array([100.0, 200.0, 400.0]), np.array([0.01, 0.02, 0.015])
    limits = []
    for _ in range(2000):
        y = 0.5 + 3 / sizes + errors * rng.standard_normal(3)
        ds = xr.Dataset({"archetype_overlap": ("size", y), "archetype_overlap_error": ("size", errors)}, {"size": sizes})
        limits.append(memories.extrapolated(ds))
    values = np.array([float(ds["archetype_overlap"][0]) for ds in limits])
    assert values.mean() == pytest.approx(0.5, abs=4 * values.std() / 2000**0.5)
    assert values.std() == pytest.approx(float(limits[0]["archetype_overlap_error"][0]), rel=0.06)


@pytest.mark.slow
def test_free_energies_by_integration_over_the_temperature() -> None:
    """High temperature: the glass is a paramagnet, and the integral is exact up to the finite size."""
    model = Hopfield(load=0.1, examples=5, quality=0.8)
    effort = Effort(disorder=16, hold=20)
    found = memories.cooled(model, 2.0, 500, effort, 0)["glass_free_energy"]
    theory = memories.hopfield.equilibrium(model, 2.0, state="spin_glass")
    law = memories.hopfield.PatternLaw.of(model)
    # the simulated energy has no diagonal: load/(2 R) more
    expected = float(theory["spin_free_energy"]) + model.load / (2 * law.second_moment)
    assert float(found.mean()) == pytest.approx(expected, abs=0.003)
    retrieval = memories.heated(Hopfield(load=0.01, examples=5, quality=0.8), 0.3, 1000, effort, 0)
    state = memories.hopfield.equilibrium(Hopfield(load=0.01, examples=5, quality=0.8), 0.3)
    assert retrieval.mean() == pytest.approx(float(state["spin_free_energy"]) + 0.01 / (2 * law.second_moment), abs=0.01)


def test_lines_are_drawn_in_their_plane_only() -> None:
    model = Hopfield(load=0.02, examples=20, quality=0.5)
    lines = memory_lines.transitions(model, "model.load", "temperature")
    assert set(lines) == set(memory_lines.NAMES.values()) - {memory_lines.NAMES["instability_temperature"]}
    swapped = memory_lines.transitions(model, "temperature", "model.load")
    for name, (x, y) in lines.items():
        np.testing.assert_array_equal(swapped[name], (y, x))
    assert memory_lines.transitions(model, "model.load", "model.quality") == {}
    # temperatures of the unnormalised rule are R times smaller
    bare = memory_lines.transitions(dataclasses.replace(model, normalise=False), "model.load", "temperature")
    name = memory_lines.NAMES["spin_glass_temperature"]
    np.testing.assert_allclose(bare[name][1], lines[name][1] * model.second_moment)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -0.1}, "temperature must be >= 0"),
        ({"temperature": 1e-5}, "temperature must be 0 or >= 0.001"),
        ({"sizes": (1,)}, "sizes must be an integer >= 2"),
        ({"examples": (0,)}, "examples must be an integer >= 1"),
        ({"disorder": 1}, "disorder must be an integer >= 2"),
        ({"quality": 0.0}, "quality must lie in"),
    ],
)
@pytest.mark.parametrize("cls", [EmergenceOfAConcept, SupervisedHebbian])
def test_bad_values_are_named(cls, changes, message) -> None:
    with pytest.raises(ParameterError, match=message):
        cls(**changes)


def test_more_bad_values_are_named() -> None:
    with pytest.raises(ParameterError, match="loads must lie in"):
        EmergenceOfAConcept(loads=(0.2,))
    with pytest.raises(ParameterError, match="qualities must lie in"):
        EmergenceOfAConcept(qualities=(1.5,))
    with pytest.raises(ParameterError, match="entropies must be >= 0"):
        SupervisedHebbian(entropies=(-0.1,))
    with pytest.raises(ParameterError, match="held_out must leave images"):
        dataclasses.replace(SUPERVISED, held_out=1438, sizes=(), examples=(), class_qualities=()).run()


def test_a_run_that_does_not_stop_is_an_error(monkeypatch) -> None:
    def still_moving(*args, **kwargs):
        return xr.Dataset({"stop_step": (("disorder", "replica"), np.array([[-1], [3]]))})

    monkeypatch.setattr(memories, "simulate", still_moving)
    with pytest.raises(ConvergenceError, match="1 of 2 runs"):
        memories.retrieved(Hopfield(), 0.0, 100, Effort(), 0)
