"""The grid that points span, from nothing but their parameters."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quenched.dynamics import IID, Full, Gradient, Persistent
from quenched.lab.swept import POINT, Grid, flatten, grid
from quenched.models import GaussianMixture
from tests.lab.ramp import Ramp


def product(**axes: Any) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def place(found: Grid, point: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(np.flatnonzero(found.coords[dim][1] == point[dim])[0]) for dim in found.dims)


def test_parameters_become_dotted_paths() -> None:
    rule = Gradient(lr=0.2, batches=Persistent(fraction=0.3, time=1.0))
    flat = flatten(Ramp(model=GaussianMixture(alpha=3.0), rule=rule, compare=(IID(0.5), Full())).provenance(7))
    assert flat["model"] == "GaussianMixture"
    assert flat["model.alpha"] == 3.0
    assert flat["rule.batches"] == "Persistent"
    assert flat["rule.batches.time"] == 1.0
    assert (flat["compare.0"], flat["compare.0.fraction"], flat["compare.1"]) == ("IID", 0.5, "Full")
    assert (flat["lags.1"], flat["flag"], flat["seed"]) == (2.0, False, 7)
    assert not any(isinstance(value, (dict, list)) for value in flat.values())


def test_functions_mappings_and_arrays_are_values_too() -> None:
    parameters = {
        "f": {"function": "package.f"},
        "options": {"mapping": {"b1": 0.9}},
        "data": {"class": "Arrays", "x": {"array": {"shape": [2], "dtype": "float64", "sha256": "ab"}}},
    }
    flat = flatten({"parameters": parameters, "seed": 0})
    assert flat == {"f": "package.f", "options.b1": 0.9, "data": "Arrays", "data.x": "ab", "seed": 0}


def test_a_product_is_a_grid_with_increasing_values() -> None:
    points = product(y=(3.0, 1.0, 2.0), seed=(1, 0), constant=("a",))
    found = grid(points)
    assert found.dims == ("y", "seed")
    np.testing.assert_array_equal(found.coords["y"][1], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found.coords["seed"][1], [0, 1])
    assert found.coords["seed"][1].dtype.kind == "i"
    assert found.fixed == {"constant": "a"}
    assert [found.cells[place(found, point)] for point in points] == list(range(6))


def test_a_missing_point_is_an_empty_cell() -> None:
    points = product(x=(1, 2), y=(1, 2))[:3]
    np.testing.assert_array_equal(grid(points).cells, [[0, 1], [2, -1]])


def test_names_are_in_natural_order() -> None:
    found = grid([{"x": name} for name in ("a10", "b", "a2", "A")])
    assert found.coords["x"][1].tolist() == ["A", "a2", "a10", "b"]


def test_a_class_comes_before_its_fields_and_determines_them() -> None:
    points = [{"b": "Full"}, {"b": "IID", "b.fraction": 0.3}, {"b": "Persistent", "b.fraction": 0.3, "b.time": 1.0}]
    found = grid([{**point, "a.x": x} for point in points for x in (1.0, 2.0)])
    assert found.dims == ("b", "a.x")
    assert found.coords["b"][1].tolist() == ["Full", "IID", "Persistent"]
    for path, values in {"b.fraction": [np.nan, 0.3, 0.3], "b.time": [np.nan, np.nan, 1.0]}.items():
        assert found.coords[path][0] == ("b",)
        np.testing.assert_array_equal(found.coords[path][1], values)


def test_fields_of_a_nested_class_that_others_lack_are_empty() -> None:
    found = grid([{"b": "Full"}, {"b": "Mixed", "b.inner": "IID", "b.on": True}])
    assert found.coords["b.inner"][1].tolist() == ["", "IID"]
    np.testing.assert_array_equal(found.coords["b.on"][1], [np.nan, 1.0])


def test_what_two_dimensions_determine_lies_along_both() -> None:
    found = grid([{**point, "z.sum": point["x"] + point["y"]} for point in product(x=(1, 2), y=(1, 2), seed=(0, 1))])
    assert found.dims == ("x", "y", "seed")
    assert found.coords["z.sum"][0] == ("x", "y")
    np.testing.assert_array_equal(found.coords["z.sum"][1], [[2, 3], [3, 4]])


def test_the_seed_is_the_last_to_become_a_dimension() -> None:
    found = grid([{"model.noise.x": 0.1 * seed, "seed": seed} for seed in range(4)])
    assert found.dims == ("model.noise.x",)
    assert found.coords["seed"][0] == ("model.noise.x",)


def test_a_grid_that_is_mostly_empty_becomes_a_list() -> None:
    points = [{"x": x, "y": (7 * x) % 5, "z": x // 4, "w": float(x % 3)} for x in (4, 1, 2, 3, 0)]
    points += [{**points[0], "y": 9}, {**points[1], "w": 9.0}, {**points[2], "z": 9}]
    found = grid(points)
    assert found.dims == (POINT,)
    assert sorted(found.cells.tolist()) == list(range(8))
    for path in ("x", "y", "z", "w"):
        assert found.coords[path][0] == (POINT,)
        assert found.coords[path][1].tolist() == [points[row][path] for row in found.cells]


def test_half_a_grid_stays_a_grid() -> None:
    full = product(x=(0, 1, 2, 3), y=(0, 1, 2, 3))
    half = [point for point in full if (point["x"] + point["y"]) % 2 == 0]
    assert grid(half).dims == ("x", "y")
    assert grid(half[:-1]).dims == (POINT,)


def test_one_point_has_no_dimension() -> None:
    found = grid([{"x": 1.0, "seed": 0}])
    assert (found.dims, found.cells.shape, int(found.cells), found.coords) == ((), (), 0, {})
    assert found.fixed == {"x": 1.0, "seed": 0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, False], [False, True]),
        ([2, 1.5], [1.5, 2.0]),
        ([None, 2.0, 1.0], [1.0, 2.0, np.nan]),
        ([1, "a", None], ["", "1", "a"]),
        ([10**30, 1], ["1", str(10**30)]),
        ([10**400, 1.0], ["1.0", str(10**400)]),
    ],
)
def test_values_of_any_kind_are_a_coordinate(values: list[Any], expected: list[Any]) -> None:
    found = grid([{"x": value} for value in values])
    assert found.dims == ("x",)
    np.testing.assert_array_equal(found.coords["x"][1], expected)


scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=2), st.none())


@pytest.mark.slow
@given(
    st.lists(st.fixed_dictionaries({"seed": st.integers(0, 3)}, optional=dict.fromkeys(("a", "a.b", "c"), scalars)), min_size=1)
)
def test_every_point_has_one_cell_in_any_order(points: list[dict[str, Any]]) -> None:
    found = grid(points)
    assert sorted(found.cells[found.cells >= 0].tolist()) == list(range(len(points)))
    backwards = grid(points[::-1])
    assert (backwards.dims, backwards.cells.shape) == (found.dims, found.cells.shape)
    for path, (dims, values) in found.coords.items():
        assert backwards.coords[path][0] == dims
        np.testing.assert_array_equal(backwards.coords[path][1], values)
