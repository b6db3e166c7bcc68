"""Illegal values are refused by name before any work, in Python and on the command line; dubious ones are announced."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.cli import main
from quenched.dynamics.response import linearity
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError, QuenchedWarning

D, L, M = qd.dynamics, qd.losses, qd.models
MIXTURE, RULE = M.GaussianMixture(), D.Gradient()
DOOR = L.Logistic(output=L.Door(0.7))
NAN, INF = float("nan"), float("inf")


class Regressive(M.AbstractGaussianModel):
    """Real labels."""

    @property
    def delta(self):
        return 1.0

    def latent(self, normal, uniform):
        return normal, normal[:, 0]


def build(component: type, name: str, value: float) -> Callable[[], Any]:
    return lambda: component(**{name: value})


FIELDS = [
    (M.GaussianMixture, "alpha", "alpha", (0.0, -1.0)),
    (M.RandomLabels, "alpha", "alpha", (0.0, -2)),
    (M.PhaseRetrieval, "alpha", "alpha", (0.0,)),
    (M.TeacherStudent, "alpha", "alpha", (0.0,)),
    (M.GaussianMixture, "noise", "noise", (-0.5,)),
    (M.RandomLabels, "noise", "noise", (-0.5, 0.0)),
    (M.GaussianMixture, "positive_fraction", "positive_fraction", (0.0, 1.0, 1.5)),
    (M.GaussianMixture, "clusters", "clusters", (1, 4)),
    (M.GaussianStart, "variance", "variance", (-0.1,)),
    (M.SphericalStart, "overlap", "overlap", (1.0, -1.5)),
    (D.Gradient, "lr", "lr", (0.0, -0.2)),
    (D.Gradient, "ridge", "ridge", (-0.1,)),
    (D.Gradient, "temperature", "temperature", (-0.1,)),
    (D.IID, "fraction", "batch fraction", (0.0, -0.3, 1.3)),
    (D.Persistent, "fraction", "batch fraction", (0.0, 1.3)),
    (D.Persistent, "time", "persistence time", (0.0, -1.0)),
    (D.Epochs, "fraction", "batch fraction", (0.0, 1.5, 0.3, 0.7)),
    (L.Door, "width", "width", (0.0, -0.7)),
]


@pytest.mark.parametrize(
    ("make", "name"),
    [(build(c, field, v), f"^{name} must") for c, field, name, values in FIELDS for v in values],
    ids=[f"{c.__name__}.{field}={v}" for c, field, _, values in FIELDS for v in values],
)
def test_a_value_out_of_range_is_named(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        make()


REAL = [(c, field, name) for c, field, name, _ in FIELDS if field != "clusters"] + [
    (M.GaussianStart, "overlap", "overlap"),
    (L.QuadraticHinge, "margin", "margin"),
    (M.TwoLayerNetwork, "variance", "variance"),
    (M.SingleLayerData, "stiffness", "stiffness"),
]


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize(("component", "field", "name"), REAL, ids=[f"{c.__name__}.{f}" for c, f, _ in REAL])
def test_a_number_that_is_not_finite_is_named(component: type, field: str, name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"^{name} must"):
        component(**{field: value})


ILLEGAL_BATCHES = [
    (D.Persistent(0.3, 0.1), 0.2, "entering the batch.*time=0.1 with lr=0.2"),
    (D.Persistent(0.1, 1.0), 0.2, "leaving the batch.*probability 1.8"),
]


@pytest.mark.parametrize(("batches", "lr", "message"), ILLEGAL_BATCHES)
def test_persistent_batches_need_probabilities(batches: D.Persistent, lr: float, message: str) -> None:
    with pytest.raises(ParameterError, match=f"persistence time must.*{message}"):
        D.Gradient(lr=lr, batches=batches)
    assert D.Gradient(lr=0.2, batches=D.Persistent(0.5, 0.4)).batches.time == 0.4


def test_a_schedule_is_checked_too() -> None:
    rule = D.Gradient(lr=D.ExponentialDecay(initial=0.5, final=0.1), batches=D.Persistent(0.5, 0.3))
    for run in (lambda: qd.simulate(MIXTURE, rule, steps=3, size=10), lambda: qd.solve(MIXTURE, rule, steps=3, samples=16)):
        with pytest.raises(ParameterError, match="persistence time must"):
            run()


def given(y: np.ndarray) -> qd.data.Arrays:
    return qd.data.Arrays(np.random.default_rng(0).normal(size=(len(y), 3)), y)


LABELS = np.array([1.0, -1.0, 0.0, 1.0])
MODELS_WITH_LABELS = [
    (lambda: Regressive(loss=L.Logistic()), r"loss Logistic needs labels \+-1"),
    (lambda: M.PhaseRetrieval(loss=L.QuadraticHinge()), r"loss QuadraticHinge needs labels \+-1"),
    (lambda: qd.simulate(M.SingleLayerData(data=given(LABELS)), RULE, steps=1), r"y must be \+-1"),
    (lambda: qd.simulate(M.TwoLayerNetwork(data=given(LABELS)), RULE, steps=1), r"y must be \+-1"),
    (lambda: given(np.array([1.0, NAN])), "y must be finite"),
    (lambda: qd.data.Arrays(np.array([[INF], [1.0]]), np.ones(2)), "x must be finite"),
]


@pytest.mark.parametrize(("make", "message"), MODELS_WITH_LABELS)
def test_labels_of_a_classification_are_signs(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()


ON_SPHERE = D.Gradient(constraint=D.Spherical())
SIMULATE = {
    "steps=0": ({"steps": 0}, "steps must be an integer >= 1"),
    "steps=-3": ({"steps": -3}, "steps must be an integer >= 1"),
    "size=None": ({"size": None}, "size must be given"),
    "size=1": ({"size": 1}, "size must be an integer >= 2"),
    "replicas=0": ({"replicas": 0}, "replicas must be an integer >= 1"),
    "disorder=0": ({"disorder": 0}, "disorder must be an integer >= 1"),
    "seed=-1": ({"seed": -1}, "seed must be an integer with 0 <= seed"),
    "seed=2**32": ({"seed": 2**32}, "seed must be an integer with 0 <= seed"),
    "times beyond": ({"times": [0, 4]}, r"times must increase within \[0, steps=3\]"),
    "times falling": ({"times": [2, 1]}, "times must increase"),
    "times real": ({"times": np.array([0.5])}, "times must be a sequence of integer steps"),
    "dtype": ({"dtype": "float16"}, "dtype must be one of"),
    "on_divergence": ({"on_divergence": "ignore"}, "on_divergence must be one of"),
    "chunk=0": ({"chunk": 0}, "chunk must be an integer >= 1"),
    "sphere": ({"rule": ON_SPHERE}, r"start must lie on the sphere.*R0 \+ m0\^2 = 1"),
    "tw = T": ({"rule": D.PerturbationResponse(RULE, start=3)}, "start must be smaller than the number of steps"),
    "tw > T": ({"rule": D.PerturbationResponse(RULE, start=9)}, "start must be smaller than the number of steps"),
}


@pytest.mark.parametrize("case", SIMULATE)
def test_simulate_refuses(case: str, tmp_path: Path) -> None:
    arguments, message = SIMULATE[case]
    with pytest.raises(ParameterError, match=message):
        qd.simulate(**{"model": MIXTURE, "rule": RULE, "steps": 3, "size": 10, "checkpoint": tmp_path / "c.npz", **arguments})
    assert list(tmp_path.iterdir()) == []


SOLVE = {
    "steps=0": ({"steps": 0}, "steps must be an integer >= 1"),
    "samples=1": ({"samples": 1}, "samples must"),
    "samples=0": ({"samples": 0}, "samples must"),
    "samples=100": ({"samples": 100}, "samples must be a power of two"),
    "runs=0": ({"runs": 0}, "runs must be an integer >= 1"),
    "replicas=0": ({"replicas": 0}, "replicas must be an integer >= 1"),
    "probes=0": ({"probes": 0}, "probes must be an integer >= 1"),
    "response": ({"response": "guess"}, "response must be one of"),
    "memory": ({"memory_budget": 1e3}, "memory_budget must be at least"),
    "seed": ({"seed": -1}, "seed must be an integer with 0 <= seed"),
    "times": ({"times": [0, 4]}, "times must"),
    "method": ({"method": "magic"}, "method must be one of"),
    "unknown": ({"probe": 1}, "unknown option probe"),
    "sphere": ({"rule": ON_SPHERE}, "start must lie on the sphere"),
}


@pytest.mark.parametrize("case", SOLVE)
def test_solve_refuses(case: str) -> None:
    arguments, message = SOLVE[case]
    with pytest.raises(ParameterError, match=message):
        qd.solve(**{"model": MIXTURE, "rule": RULE, "steps": 3, "samples": 16, **arguments})


def test_theory_refuses_by_name_what_it_does_not_cover() -> None:
    for model, rule, message in (
        (M.SingleLayerData(), RULE, "no theory covers SingleLayerData"),
        (M.GaussianMixture(loss=L.Hinge()), RULE, "Hinge"),
        (MIXTURE, D.Gradient(transform=D.Optax("adam")), "Optax"),
    ):
        with pytest.raises(IncompatibleError, match=message):
            qd.solve(model, rule, steps=3)


# ---- legal, but announced


WARNED = {
    "three clusters": (M.GaussianMixture(clusters=3, noise=0.05, loss=DOOR), RULE, "start has overlap 0"),
    "phase retrieval": (
        M.PhaseRetrieval(start=M.SphericalStart()),
        D.Gradient(lr=0.02, constraint=D.Spherical()),
        "start has overlap 0",
    ),
    # x_max = (Delta + 1)(alpha + Delta) = 3.75 for the square loss: 0.6 * 3.75 = 2.25 > 2
    "unstable": (M.GaussianMixture(loss=L.Square()), D.Gradient(lr=0.6), "lr is large.*2.25 > 2"),
}


@pytest.mark.parametrize("case", WARNED)
def test_a_dubious_system_is_announced(case: str) -> None:
    model, rule, message = WARNED[case]
    with pytest.raises(ParameterError, match="size"), pytest.warns(QuenchedWarning, match=message):
        qd.simulate(model, rule, steps=1, size=1)
    with pytest.raises(ParameterError, match="samples"), pytest.warns(QuenchedWarning, match=message):
        qd.solve(model, rule, steps=1, samples=1, method="sampled")


@pytest.mark.slow
def test_a_stable_system_is_not_announced() -> None:
    qd.solve(M.GaussianMixture(loss=L.Square()), D.Gradient(lr=0.5), steps=1, method="oracle")
    qd.simulate(M.GaussianMixture(loss=L.QuadraticHinge(margin=-0.5)), RULE, steps=1, size=10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::quenched.numerics.checks.QuenchedWarning")
def test_divergence_names_the_step() -> None:
    model, rule = M.GaussianMixture(loss=L.Square()), D.Gradient(lr=50.0)
    for run in (
        lambda: qd.simulate(model, rule, steps=200, size=10),
        lambda: qd.solve(model, rule, steps=400, method="oracle"),
        lambda: qd.solve(model, rule, steps=200, method="sampled", samples=16, runs=1, two_time=False),
    ):
        with pytest.raises(DivergenceError, match=r"step \d+"):
            run()


# ---- fluctuation and response


@pytest.fixture(scope="module")
def theory():
    return qd.solve(M.GaussianMixture(loss=L.Square()), D.Gradient(ridge=0.1, batches=D.IID(0.5)), steps=20, method="oracle")


@pytest.mark.parametrize(
    ("waiting", "lags", "message"),
    [
        ([-1], [1], "waiting_steps must"),
        ([20], [1], "waiting_steps"),
        ([30], [1], "waiting_steps"),
        ([5], [16], "lags must"),
        ([5], [0], "lags must"),
        ([5], [], "lags must"),
    ],
)
def test_waiting_times_and_lags_lie_within_the_run(theory, waiting: list[int], lags: list[int], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        qd.observables.fluctuation_response(theory, waiting, lags)


def test_no_temperature_without_response(theory) -> None:
    fr = qd.observables.fluctuation_response(theory, [5], [1, 2])
    for chi in (fr.integrated_response * -1, fr.integrated_response * 0):
        with pytest.raises(ParameterError, match="integrated_response must be > 0"):
            qd.observables.effective_temperature(fr.assign(integrated_response=chi))


def test_no_temperature_at_rest(theory) -> None:
    fr = qd.observables.fluctuation_response(theory, [5], [1, 2])
    with pytest.raises(ParameterError, match=r"over-parametrised.*no stationary noise.*replica distance"):
        qd.observables.effective_temperature(fr.assign(loss=fr.loss * 0 + 1e-7))


@pytest.mark.slow
def test_a_distance_needs_two_replicas(theory) -> None:
    with pytest.raises(ParameterError, match=r"replica_correlation.*replicas=2"):
        qd.observables.replica_distance.distance_from_correlation(theory)
    with pytest.raises(ParameterError, match=">= 2 replicas"):
        qd.observables.replica_distance.replica_distance(jnp.ones((1, 5)))
    with pytest.raises(ParameterError, match=r"replicas must be >= 2 with share_start.*got 1"):
        qd.simulate(MIXTURE, RULE, steps=1, size=10, share_start=True)
    one = qd.simulate(MIXTURE, RULE, steps=1, size=10)
    with pytest.raises(ParameterError, match="replica_distance"):
        qd.observables.compare(theory, one, "replica_distance")


@pytest.mark.parametrize("strength", [0.0, -0.05, NAN, INF])
def test_a_field_has_a_positive_strength(strength: float) -> None:
    with pytest.raises(ParameterError, match=r"^strength must"):
        D.PerturbationResponse(RULE, strength=strength)


@pytest.mark.slow
def test_a_field_too_strong_for_linear_response_is_seen() -> None:
    weak, strong = (D.PerturbationResponse(RULE, strength=s, start=2) for s in (0.05, 20.0))
    run = {"steps": 12, "size": 40, "times": [2, 12], "seed": 1, "dtype": "float64"}
    assert linearity(MIXTURE, weak, **run) < 0.01 < linearity(MIXTURE, strong, **run)


def test_negative_margins_are_allowed() -> None:
    assert L.QuadraticHinge(margin=-0.5).margin == -0.5


def test_an_unfit_pair_is_refused_before_any_work() -> None:
    class Idle(D.AbstractDynamics):
        def check(self, model):
            return None

        def init(self, model, weights, disorder, key):
            return weights

        def step(self, model, state, disorder, key):
            return state

        def weights(self, state):
            return state

        def times(self, steps):
            return np.arange(steps + 1.0)

    with pytest.raises(IncompatibleError, match="Idle has no external field"):
        qd.simulate(MIXTURE, D.PerturbationResponse(Idle()), steps=3, size=10)


# ---- the command line

BOTH = {
    "--model.alpha 0": "alpha must be > 0, got 0.0",
    "--model.alpha -1": "alpha must be > 0, got -1.0",
    "--model.noise -0.5": "noise must be >= 0, got -0.5",
    "--model.noise .inf": "noise must be a finite number, got inf",
    "--model.start.variance -0.1": "variance must be >= 0, got -0.1",
    "--rule.lr 0": "lr must be > 0, got 0.0",
    "--rule.ridge -0.1": "ridge must be >= 0, got -0.1",
    "--rule.ridge .nan": "ridge must be a finite number, got nan",
    "--rule.batches IID --rule.batches.fraction 1.3": "batch fraction must lie in (0, 1], got 1.3",
    "--rule.batches IID --rule.batches.fraction 0": "batch fraction must lie in (0, 1], got 0.0",
    "--rule.batches Persistent --rule.batches.fraction 0.3 --rule.batches.time 0.1": "persistence time must be >= lr",
    "--rule.batches Persistent --rule.batches.fraction 0.1 --rule.batches.time 1": "got probability 1.8 with fraction=0.1",
    "--rule.batches Epochs --rule.batches.fraction 0.3": "batch fraction must be 1/integer for Epochs, got 0.3",
    "--model.loss Logistic --model.loss.output Door --model.loss.output.width 0": "width must be > 0, got 0.0",
    "--steps 0": "steps must be an integer >= 2, got 0",
    "--samples 1": "samples must",
    "--size 1": "size must be an integer >= 2, got 1",
    "--seed -1": "seed must be an integer with 0 <= seed < 2**32, got -1",
    "--rule.constraint Spherical": "start must lie on the sphere",
    "--model PhaseRetrieval --model.loss Logistic": "loss Logistic needs labels +-1",
    "--model os.system": "os.system",
    "--rule.lr fast": "--rule.lr",
    "--no-such 1": "--no-such",
}
NOISE = {
    "--waiting 0": "waiting must be an integer >= 1, got 0",
    "--waiting -5": "waiting must be an integer >= 1, got -5",
    "--lags 0": "lags must be an integer >= 2, got 0",
    "--replicas 1": "replicas must be an integer >= 2, got 1",
}
CASES = [
    *(("sgd-gaussian-mixture", w, m) for w, m in BOTH.items()),
    *(("effective-noise", w, m) for w, m in (BOTH | NOISE).items()),
]


@pytest.mark.parametrize(("study", "words", "message"), CASES)
def test_the_command_line_says_no_in_one_line(
    study: str, words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", study, *words.split(), "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("quenched: ")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_says_no_too(tmp_path: Path) -> None:
    words = "run effective-noise --rule.batches Persistent --rule.batches.fraction 0.1 --rule.batches.time 1 --out out"
    done = subprocess.run(
        [sys.executable, "-m", "quenched", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path.parent / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "leaving the batch" in done.stderr
    assert list(tmp_path.iterdir()) == []
