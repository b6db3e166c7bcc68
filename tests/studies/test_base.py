"""Studies and claims: what the most repeated shape of the house promises."""

from __future__ import annotations

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.studies import Claim, Measured, Reference, Study


@dataclasses.dataclass(frozen=True)
class Parabola(Study):
    """Free fall."""

    name: ClassVar[str] = "parabola"
    title: ClassVar[str] = "Free fall"
    paper: ClassVar[str] = "Galilei, 1638"

    acceleration: float = 9.81
    steps: int = 3

    def check(self) -> None:
        if self.steps < 1:
            raise ParameterError(f"steps must be an integer >= 1, got {self.steps!r}")

    def theory(self, seed: int, progress: bool) -> xr.Dataset:
        t = np.arange(self.steps + 1.0)
        return xr.Dataset({"height": ("t", -0.5 * self.acceleration * t**2)}, {"t": t})


def test_run_keeps_only_the_parts_a_study_has() -> None:
    tree = Parabola(steps=2).run(seed=5)
    assert list(tree.children) == ["theory"]
    assert tree["theory"]["height"].values[-1] == -2 * 9.81


def test_provenance_describes_the_study_completely() -> None:
    study = Parabola(acceleration=1.5, steps=2)
    provenance = json.loads(study.run(seed=7).attrs["provenance"])
    assert provenance["seed"] == 7
    assert provenance["study"] == "parabola"
    assert provenance["parameters"] == {"acceleration": 1.5, "steps": 2}


def test_a_study_has_no_lines_between_phases_unless_it_says_so() -> None:
    assert Parabola().transitions("acceleration", "steps") == {}


def test_integers_in_float_fields_become_floats() -> None:
    study = Parabola(acceleration=2)
    assert isinstance(study.acceleration, float)
    assert isinstance(study.steps, int)


def test_bad_parameters_and_seeds_are_refused() -> None:
    with pytest.raises(ParameterError, match="steps must be an integer >= 1, got 0"):
        Parabola(steps=0)
    with pytest.raises(ParameterError, match="seed"):
        Parabola().run(seed=-1)
    with pytest.raises(ParameterError, match="seed"):
        Parabola().run(seed=2**32)


def judge(value: object, reference: Reference, error: object = 0.0) -> bool:
    return Claim("s", lambda: Measured(value, error), reference).judge().passed


def test_each_tolerance_has_its_edge() -> None:
    assert judge(10.5, Reference(10, "exact", "s", absolute=0.5))
    assert not judge(10.51, Reference(10, "exact", "s", absolute=0.5))
    assert judge(-9.0, Reference(-10, "exact", "s", relative=0.1))
    assert not judge(-8.9, Reference(-10, "exact", "s", relative=0.1))
    assert judge(10.39, Reference(10, "exact", "s", sigmas=4), error=0.1)
    assert not judge(10.41, Reference(10, "exact", "s", sigmas=4), error=0.1)
    # errors of measurement and reference add in quadrature: 3-4-5
    assert judge(15.0, Reference(10, "measured", "s", sigmas=1, error=4.0), error=3.0)
    assert not judge(15.01, Reference(10, "measured", "s", sigmas=1, error=4.0), error=3.0)


def test_the_largest_tolerance_counts() -> None:
    both = Reference(10, "exact", "s", relative=0.05, sigmas=4)
    assert judge(10.39, both, error=0.1)
    assert judge(10.5, both, error=0.01)
    assert not judge(10.6, both, error=0.1)


def test_arrays_pass_only_as_a_whole() -> None:
    reference = Reference([1.0, 2.0], "exact", "s", absolute=0.1)
    assert judge([1.05, 1.95], reference)
    assert not judge([1.05, 1.85], reference)
    with pytest.raises(ParameterError, match="shape"):
        judge([1.0, 2.0, 3.0], reference)


def test_bounds_are_one_sided() -> None:
    assert judge(0.95, Reference(0.9, "relation", "s", relation=">="))
    assert not judge(0.85, Reference(0.9, "relation", "s", relation=">="))
    assert judge([-1.0, 0.0], Reference(0.0, "relation", "s", relation="<="))
    assert not judge([-1.0, 0.1], Reference(0.0, "relation", "s", relation="<="))


def test_nan_never_passes() -> None:
    assert not judge(float("nan"), Reference(0.0, "exact", "s", absolute=1.0))
    assert not judge(0.0, Reference(0.0, "exact", "s", sigmas=3), error=float("nan"))
    assert not judge(float("nan"), Reference(0.0, "relation", "s", relation=">="))


def test_references_must_be_complete() -> None:
    with pytest.raises(ParameterError, match="tolerance"):
        Reference(1.0, "exact", "s")
    with pytest.raises(ParameterError, match="kind"):
        Reference(1.0, "guess", "s", absolute=0.1)
    with pytest.raises(ParameterError, match="relative"):
        Reference(1.0, "exact", "s", relative=-0.1)
    with pytest.raises(ParameterError, match="cost"):
        Claim("s", lambda: Measured(1.0), Reference(1.0, "exact", "s", absolute=1), cost="cheap")
