"""Labels and provenance of a Dataset."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from quenched.dynamics import Gradient
from quenched.models import GaussianMixture
from quenched.numerics.checks import ParameterError
from quenched.records import LABELS, Label, dataset, describe, provenance, rebuild, register_label
from quenched.records.labels import trailing_dims


def make(**arguments):
    return dataset({"norm": (("t",), np.ones(3))}, {"t": np.arange(3.0)}, {"engine": "simulate", **arguments})


def test_variables_and_coordinates_are_labelled():
    ds = make()
    assert ds["norm"].attrs == {"long_name": "squared norm per weight", "symbol": "C(t,t)", "units": "1"}
    assert ds["t"].attrs["symbol"] == "t"


def test_provenance_holds_the_description_and_versions_but_no_time_of_day():
    record = provenance(make(model=GaussianMixture(alpha=3), steps=5))
    assert record["model"] == describe(GaussianMixture(alpha=3))
    assert record["steps"] == 5
    assert set(record["environment"]) == {"versions", "backend"}
    assert make(steps=5).attrs == make(steps=5).attrs


def test_a_description_may_be_given_instead_of_a_component():
    model = GaussianMixture(alpha=3)
    assert provenance(make(model=describe(model))) == provenance(make(model=model))


def test_rebuild_gives_the_arguments_back():
    arguments = {"model": GaussianMixture(noise=0.3), "rule": Gradient(0.1), "steps": 5, "times": (0, 5), "size": None}
    assert rebuild(make(**arguments)) == arguments


def test_functions_that_cannot_be_imported_have_to_be_passed_again():
    ds = make(observables={"square": lambda model, weights, disorder: weights**2}, steps=3)
    with pytest.raises(ParameterError, match=r"observables .* pass it again: rebuild\(ds, observables=\.\.\.\)"):
        rebuild(ds)
    assert rebuild(ds, observables={"square": abs}) == {"observables": {"square": abs}, "steps": 3}


@pytest.mark.parametrize("text", [None, "{", "[1]", 3])
def test_a_dataset_without_a_readable_provenance_is_refused(text):
    ds = xr.Dataset() if text is None else xr.Dataset(attrs={"provenance": text})
    with pytest.raises(ParameterError, match="provenance"):
        provenance(ds)


def test_attributes_are_numbers_strings_or_json():
    ds = dataset({}, {}, {}, certificate={"residual": 1e-9, "model": GaussianMixture()}, note="text", converged=True)
    assert json.loads(ds.attrs["certificate"])["residual"] == 1e-9
    assert ds.attrs["note"] == "text"
    assert ds.attrs["converged"] == "true"


def test_labels_are_registered_once():
    label = Label("a test variable", "x", dims=("layer",))
    register_label("only_in_this_test", label)
    try:
        register_label("only_in_this_test", label)
        with pytest.raises(ParameterError, match="only_in_this_test"):
            register_label("only_in_this_test", Label("another", "y"))
        assert trailing_dims("only_in_this_test", 2) == ("layer", "only_in_this_test_axis1")
    finally:
        del LABELS["only_in_this_test"]
    assert trailing_dims("overlap", 0) == ()
