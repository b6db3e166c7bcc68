"""The grid of a sweep: its syntax, the conversion of its values, its points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quenched.dynamics import IID, Epochs, Full, Gradient, Momentum, Optax, Persistent, PowerLawDecay
from quenched.lab import grid
from quenched.lab.grid import Axis, Point, axes_of, parse_axis, points
from quenched.lab.substitution import with_values
from quenched.losses import Square
from quenched.models import SingleLayerData
from quenched.numerics.checks import ParameterError
from tests.lab.sweep_toy import Toy

# ---- syntax

PARSED: dict[str, tuple[Any, ...]] = {
    "x=0.5:4:8": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0),
    "x=0.1:1:10": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "x=4:0.5:2": (4.0, 0.5),
    "x=-1:1:3": (-1.0, 0.0, 1.0),
    "x=1e-3:1:4:log": (0.001, 0.01, 0.1, 1.0),
    "x=1:100:5:log": (1.0, 3.16227766016838, 10.0, 31.6227766016838, 100.0),
    "x=100:1:3:log": (100.0, 10.0, 1.0),
    "x=0.1,0.3": ("0.1", "0.3"),
    "x=3": ("3",),
    " x = 1 , 2 ": ("1", "2"),
    "x=true,false": ("true", "false"),
    "x=Full,IID": ("Full", "IID"),
    "x=tcp://host:1": ("tcp://host:1",),
}


@pytest.mark.parametrize("text", PARSED)
def test_an_axis_from_its_text(text: str) -> None:
    assert parse_axis(text) == Axis("x", PARSED[text])


BAD_AXES = {
    "x": "over must be PATH=FIRST:LAST:COUNT",
    "=1,2": "over must be PATH=",
    "x=": "over must be PATH=",
    "x=1,,2": "a value is empty",
    "x=1:2": "x must be a range FIRST:LAST:COUNT",
    "x=1:2:3:4": "x must be a range FIRST:LAST:COUNT",
    "x=1:2:3:log:5": "x must be a range FIRST:LAST:COUNT",
    "x=1:b:3": "x must be a range of two numbers and a count",
    "x=1:2:3.5": "x must be a range of two numbers and a count",
    "x=1:2:-3": "x must be a range of two numbers and a count",
    "x=1:2:1": "x must have from 2 to 1000000 values",
    "x=1:2:99999999": "x must have from 2 to 1000000 values",
    "x=0:2:3:log": "x must be > 0 at both ends",
    "x=1:-2:3:log": "x must be > 0 at both ends",
    "x=1:1e400:3": "x must be a range of finite numbers",
}


@pytest.mark.parametrize("text", BAD_AXES)
def test_a_bad_axis_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=BAD_AXES[text]):
        parse_axis(text)


finite = st.floats(-1e12, 1e12)
positive = st.floats(1e-12, 1e12)


@given(first=finite, last=finite, count=st.integers(2, 50))
def test_a_linear_range_has_its_ends_and_equal_steps(first: float, last: float, count: int) -> None:
    values = parse_axis(f"x={first!r}:{last!r}:{count}").values
    assert (values[0], values[-1], len(values)) == (first, last, count)
    # each value is correctly rounded: half a unit in the last place off at most
    ulp = math.ulp(max(abs(first), abs(last)))
    np.testing.assert_allclose(np.diff(values), (last - first) / (count - 1), rtol=0, atol=2 * ulp)


@given(first=positive, last=positive, count=st.integers(2, 50))
def test_a_logarithmic_range_has_its_ends_and_equal_ratios(first: float, last: float, count: int) -> None:
    values = np.array(parse_axis(f"x={first!r}:{last!r}:{count}:log").values)
    assert (values[0], values[-1], len(values)) == (first, last, count)
    assert np.all((values >= min(first, last)) & (values <= max(first, last)))
    # 15 digits are 5e-15; a logarithm of at most 55 has an absolute error of 1e-14
    np.testing.assert_allclose(values[1:] / values[:-1], (last / first) ** (1 / (count - 1)), rtol=1e-13)


def test_axes_of_python_values() -> None:
    expected = (Axis("x", (1.0, 2.0)), Axis("count", (1, 2)), Axis("word", ("a", "b")))
    assert axes_of({"x": np.array([1.0, 2.0]), "count": range(1, 3), "word": "a,b"}) == expected
    assert axes_of([Axis("x", (1, 2))]) == (Axis("x", (1, 2)),)
    assert axes_of({}) == ()


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ([Axis("x", (1,)), Axis("count", (1,)), Axis("x", (2,))], "x must be swept once"),
        ({"x": []}, "x must have at least one value"),
        ({"x": 3.0}, "x must be given as a list of values, got 3.0"),
    ],
)
def test_bad_axes_are_refused(over: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        axes_of(over)


# ---- substitution

SUBSTITUTED: list[tuple[dict[str, Any], str, Any]] = [
    ({"x": 2}, "x", 2.0),
    ({"x": "2"}, "x", 2.0),
    ({"x": np.float32(0.5)}, "x", 0.5),
    ({"count": 3.0}, "count", 3),
    ({"count": "3"}, "count", 3),
    ({"count": "1e3"}, "count", 1000),
    ({"count": np.int64(3)}, "count", 3),
    ({"flag": "true"}, "flag", True),
    ({"flag": "False"}, "flag", False),
    ({"flag": True}, "flag", True),
    ({"word": "01"}, "word", "01"),
    ({"word": "true"}, "word", "true"),
    ({"limit": "none"}, "limit", None),
    ({"limit": None}, "limit", None),
    ({"limit": "7"}, "limit", 7),
    ({"kind": "slow"}, "kind", "slow"),
    ({"numbers": (3, 4, 5.0)}, "numbers", (3, 4, 5)),
    ({"numbers.1": "9"}, "numbers", (1, 9)),
    ({"model.alpha": "2"}, "model.alpha", 2.0),
    ({"rule.ridge": 1}, "rule.ridge", 1.0),
    ({"model": "SingleLayerData"}, "model", SingleLayerData()),
    ({"model.loss": "Square"}, "model.loss", Square()),
    ({"rule.lr": "0.3"}, "rule.lr", 0.3),
    ({"rule.lr": "PowerLawDecay"}, "rule.lr", PowerLawDecay()),
    ({"rule.lr": "PowerLawDecay", "rule.lr.initial": "0.5"}, "rule.lr", PowerLawDecay(initial=0.5)),
    ({"rule.batches": "Full"}, "rule.batches", Full()),
    ({"rule.batches": Full}, "rule.batches", Full()),
    ({"rule.batches": IID(fraction=0.5)}, "rule.batches", IID(fraction=0.5)),
    ({"rule.batches": "IID"}, "rule.batches", IID(fraction=0.3)),
    ({"rule.batches": "Epochs", "rule.batches.fraction": "0.5"}, "rule.batches", Epochs(fraction=0.5)),
    ({"rule.batches.fraction": 0.5, "rule.batches": "IID"}, "rule.batches", IID(fraction=0.5)),
    ({"compare.0.fraction": "0.5"}, "compare", (IID(fraction=0.5), Persistent(fraction=0.6, time=0.6))),
    ({"compare.1": "IID"}, "compare", (IID(fraction=0.3), IID(fraction=0.6))),
    ({"rule.transform": "Momentum"}, "rule.transform", Momentum()),
    (
        {"rule": Gradient(transform=Optax("adam", {"b1": 0.8})), "rule.transform.arguments.b1": "0.7"},
        "rule.transform.arguments.b1",
        0.7,
    ),
    ({"span.low": 5, "span.high": 6}, "span.low", 5.0),
    ({"span.high": "-3", "span.low": "-4"}, "span.high", -3.0),
    ({"model": "tests.lab.toy_components.Spins"}, "model.bias", 0.5),
]


@pytest.mark.parametrize(("values", "path", "expected"), SUBSTITUTED)
def test_a_value_is_converted_by_the_type_of_its_field(values: dict[str, Any], path: str, expected: Any) -> None:
    found: Any = with_values(Toy(), values)
    for name in path.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == expected
    assert type(found) is type(expected)


def test_nothing_else_changes() -> None:
    study = with_values(Toy(word="kept"), {"rule.batches.fraction": "0.4"})
    assert study == Toy(word="kept", rule=Gradient(lr=0.2, batches=Persistent(fraction=0.4, time=1.0)))
    assert with_values(study, {}) is study


BAD_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"x": "abc"}, "x must be a finite number, got 'abc'"),
    ({"x": "nan"}, "x must be a finite number, got 'nan'"),
    ({"x": math.inf}, "x must be a finite number, got inf"),
    ({"x": True}, "x must be a finite number, got True"),
    ({"count": 2.5}, "count must be an integer, got 2.5"),
    ({"count": "2.5"}, "count must be an integer, got '2.5'"),
    ({"flag": 1}, "flag must be true or false, got 1"),
    ({"flag": "yes"}, "flag must be true or false, got 'yes'"),
    ({"word": 3}, "word must be a word, got 3"),
    ({"limit": "x"}, "limit must be an integer or none, got 'x'"),
    ({"kind": "medium"}, "kind must be one of fast, slow, got 'medium'"),
    ({"numbers": "1"}, "numbers must be a tuple .its entries are swept by number"),
    ({"numbers.1": "x"}, "numbers.1 must be an integer, got 'x'"),
    ({"numbers.2": "1"}, "there is no parameter numbers.2: a tuple has 0, 1"),
    ({"y": 1}, "there is no parameter y: Toy has model, rule, compare"),
    ({"cuont": 1}, "did you mean count"),
    ({"model.alpa": 1}, "there is no parameter model.alpa: GaussianMixture has .*did you mean alpha"),
    ({"model.alpha.x": 1}, "there is no parameter model.alpha.x: model.alpha is 3.0"),
    ({"model.": 1}, "a parameter must be named by words with dots"),
    ({"": 1}, "a parameter must be named by words with dots"),
    ({"rule.transform.decay": 1}, "there is no parameter rule.transform.decay: Plain has no parameters"),
    ({"model.alpha": "-1"}, "alpha must be > 0, got -1.0"),
    ({"rule.batches": "Ful"}, "rule.batches must be one of .*Epochs.*, got 'Ful'; did you mean Full"),
    ({"rule.batches": "AbstractBatches"}, "rule.batches must be one of"),
    ({"rule.batches": "Square"}, "rule.batches must be one of"),
    ({"rule.batches": 3}, "rule.batches must be one of .*, got 3"),
    (
        {"rule.batches": "Full", "rule.batches.fraction": 0.5},
        "there is no parameter rule.batches.fraction: Full has no parameters",
    ),
    ({"rule.batches": "os.system"}, "rule.batches must be one of .*; os.system is not"),
    ({"rule.batches": "no.such.Class"}, "no.such.Class cannot be imported"),
    ({"rule.batches.fraction": 0.1}, "leaving the batch"),
    ({"span.low": 5}, "low must lie in"),
    ({"rule.transform": "Optax", "rule.transform.optimiser": "nope"}, "optimiser must be the name of an optax optimiser"),
]


@pytest.mark.parametrize(("values", "message"), BAD_VALUES)
def test_a_bad_value_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        with_values(Toy(), values)


# ---- points


def test_points_are_all_combinations_in_order() -> None:
    found = points(Toy(), axes_of({"x": [1, 2], "flag": "false,true"}), [5, 6])
    assert found == [Point(Toy(x=x, flag=flag), seed) for x in (1.0, 2.0) for flag in (False, True) for seed in (5, 6)]
    assert points(Toy(), (), [0]) == [Point(Toy(), 0)]


def test_equal_points_are_one() -> None:
    assert points(Toy(), axes_of({"x": [2, "2", 2.0, "2e0"]}), [0]) == [Point(Toy(x=2.0), 0)]
    # a full batch has no fraction, so that it is one point however the other axis moves
    full = points(Toy(), axes_of({"model.alpha": [1, 2], "compare.0": "Full,IID"}), [0])
    assert len(full) == 4


@pytest.mark.parametrize(
    ("over", "seeds", "message"),
    [
        ({"x": [1, 2], "model.alpha": "1,-1"}, [0], "at the point x=1, model.alpha=-1: alpha must be > 0, got -1.0"),
        ({"count": "10:100:5"}, [0], "at the point count=32.5: count must be an integer, got 32.5"),
        ({"x": [1]}, [-1], "seed must be an integer with 0 <= seed"),
        ({"x": [1]}, [2**32], "seed must be an integer with 0 <= seed"),
        ({"x": "0:1:2000", "model.alpha": "1:2:2000"}, [0], "a sweep must have at most 1000000 points, got 4000000"),
    ],
)
def test_a_bad_point_is_named(over: Any, seeds: list[int], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        points(Toy(), axes_of(over), seeds)


def test_the_syntax_that_errors_show_is_the_syntax() -> None:
    for text in grid.SYNTAX.replace("...", "VALUE").split(" or ")[0].split(", "):
        assert parse_axis(text.replace("FIRST", "1").replace("LAST", "2").replace("COUNT", "3")).path == "PATH"
