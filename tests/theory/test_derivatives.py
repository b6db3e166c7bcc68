"""Derivatives of the theory: against differences at common random numbers, in both modes, and what has none."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import numpy as np
import pytest

import quenched as qd
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError

SOFT = qd.losses.Logistic()
MIXTURE = qd.models.GaussianMixture(alpha=2.0, noise=0.5, loss=SOFT)
DOWN = qd.dynamics.PiecewiseConstant(values=(0.4, 0.2), boundaries=(5,))
RULE = qd.dynamics.Gradient(lr=DOWN, ridge=0.1, batches=qd.dynamics.IID(fraction=0.3))
STEADY = dataclasses.replace(RULE, lr=0.2)
SMALL = {"steps": 12, "samples": 256, "runs": 2, "dtype": "float64"}
PATHS = ("rule.lr.values", "rule.ridge", "model.noise", "model.start.variance", "model.alpha")


def difference(observable: str, path: str, index: int | None, h: float = 1e-5, **options) -> np.ndarray:
    """Central difference of ``differentiate``'s own value at the same random numbers."""
    values = []
    for sign in (1, -1):
        roots = {"model": MIXTURE, "rule": RULE}
        root, *names = path.split(".")

        def where(tree, names=names):
            for name in names:
                tree = getattr(tree, name)
            return tree

        old = where(roots[root])
        new = old + sign * h if index is None else tuple(v + sign * h * (k == index) for k, v in enumerate(old))
        roots[root] = eqx.tree_at(where, roots[root], new)
        ds = qd.differentiate(roots["model"], roots["rule"], observable, "rule.ridge", **options)
        values.append(ds["value"].values)
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["dense", "compressed"])
@pytest.mark.parametrize("observable", ["test_error", "norm"])
def test_derivatives_are_differences_at_common_random_numbers(observable: str, memory: str) -> None:
    options = SMALL | {"memory": memory, "window": 4, "moments": 2}
    ds = qd.differentiate(MIXTURE, RULE, observable, PATHS, mode="forward", **options)
    assert list(ds["parameter"].values) == ["rule.lr.values.0", "rule.lr.values.1", *PATHS[1:]]
    for k, (path, index) in enumerate([(PATHS[0], 0), (PATHS[0], 1), *((path, None) for path in PATHS[1:])]):
        expected = difference(observable, path, index, **options)
        np.testing.assert_allclose(ds["derivative"].isel(parameter=k), expected, rtol=2e-5, atol=1e-8, err_msg=path)


@pytest.mark.slow
def test_reverse_mode_is_forward_mode() -> None:
    options = SMALL | {"memory": "compressed", "window": 4, "moments": 2, "steps": 20}
    forward, reverse = (
        qd.differentiate(MIXTURE, RULE, "test_error", PATHS, mode=mode, **options) for mode in ("forward", "reverse")
    )
    np.testing.assert_allclose(reverse["value"], forward["value"], rtol=1e-12)
    np.testing.assert_allclose(reverse["derivative"], forward["derivative"], rtol=1e-7, atol=1e-12)


@pytest.mark.slow
def test_the_value_is_that_of_solve_and_the_derivative_that_of_the_exact_solution() -> None:
    """Square loss: the ridge derivative of the overlap by the deterministic solver, within the error over runs."""
    model = dataclasses.replace(MIXTURE, loss=qd.losses.Square())
    options = {"steps": 30, "samples": 4096, "runs": 4, "seed": 3}
    ds = qd.differentiate(model, STEADY, "overlap", ["rule.ridge", "rule.lr"], **options)
    solved = qd.solve(model, STEADY, method="sampled", times=[30], two_time=False, **options)
    np.testing.assert_allclose(ds["value"], solved["overlap"][:, 0], rtol=1e-5)
    h = 1e-4
    for k, name in enumerate(("ridge", "lr")):
        ends = [
            qd.solve(model, dataclasses.replace(STEADY, **{name: getattr(STEADY, name) + sign * h}), steps=30, method="oracle")
            for sign in (1, -1)
        ]
        exact = float(ends[0]["overlap"][-1] - ends[1]["overlap"][-1]) / (2 * h)
        found = ds["derivative"].isel(parameter=k).values
        print(name, exact, found)
        assert abs(found.mean() - exact) < 6 * found.std(ddof=1) / 2 + 1e-3 * abs(exact)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("rule.batches.fraction", "moves the probabilities of the batches"),
        ("model.nose", "did you mean noise"),
        ("rule.batches", "must be a real number"),
        ("model.labels", "there is no parameter"),
        ((), "at least one"),
        (("rule.ridge", "rule.ridge"), "every parameter once"),
    ],
)
def test_a_path_without_a_derivative_is_refused_by_name(path, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        qd.differentiate(MIXTURE, RULE, "norm", path, steps=3)


def test_what_moves_probabilities_is_refused() -> None:
    lasting = dataclasses.replace(STEADY, batches=qd.dynamics.Persistent(fraction=0.3, time=1.0))
    with pytest.raises(ParameterError, match=r"rule\.lr .* moves the probabilities of Persistent batches"):
        qd.differentiate(MIXTURE, lasting, "norm", "rule.lr", steps=3)
    with pytest.raises(ParameterError, match=r"rule\.batches\.time"):
        qd.differentiate(MIXTURE, lasting, "norm", "rule.batches.time", steps=3)
    with pytest.raises(ParameterError, match=r"rule\.temperature .* slope at 0 is infinite"):
        qd.differentiate(MIXTURE, STEADY, "norm", "rule.temperature", steps=3)
    with pytest.raises(IncompatibleError, match="continuous curvature"):
        qd.differentiate(dataclasses.replace(MIXTURE, loss=qd.losses.QuadraticHinge()), STEADY, "norm", "rule.lr", steps=3)


def test_observables_and_budgets_are_checked() -> None:
    with pytest.raises(ParameterError, match="train_error"):
        qd.differentiate(MIXTURE, STEADY, "train_error", "rule.lr", steps=3)
    with pytest.raises(ParameterError, match="replicas must be >= 2"):
        qd.differentiate(MIXTURE, STEADY, "replica_distance", "rule.lr", steps=3)
    with pytest.raises(ParameterError, match=r"memory_budget must be at least .* for reverse mode"):
        qd.differentiate(MIXTURE, STEADY, "norm", "rule.lr", steps=2000, mode="reverse", memory_budget=1e7)
    with pytest.raises(ParameterError, match=r"memory_budget must be at least .* for forward mode"):
        qd.differentiate(MIXTURE, STEADY, "norm", "rule.lr", steps=2000, mode="forward", memory_budget=1e5)


@pytest.mark.slow
def test_a_derivative_that_is_infinite_is_named() -> None:
    still = dataclasses.replace(MIXTURE, start=qd.models.GaussianStart(variance=0.0))
    with pytest.raises(DivergenceError, match="not finite"):
        qd.differentiate(still, STEADY, "norm", "model.start.variance", **SMALL)
