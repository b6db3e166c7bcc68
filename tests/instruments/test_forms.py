"""A model and arrays instead of a loss written by hand: the same numbers, and one clear line for what does not fit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.instruments.command import diagnose_command
from quenched.instruments.problem import from_model
from quenched.numerics.checks import ParameterError
from quenched.observables.loss_on_data import check_finite

RULE = qd.dynamics.Gradient(lr=0.005, batches=qd.dynamics.Minibatch(size=8), transform=qd.dynamics.Momentum(decay=0.9))
SHORT = {"steps": 50, "chains": 2, "modes": 2, "probes": 3, "depth": 10}
N, D = 60, 5


def arrays() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(N, D)).astype(np.float32)
    return x, np.sin(x @ random.normal(size=D)).astype(np.float32)


def network(outputs: Any = "scalar") -> eqx.nn.MLP:
    return eqx.nn.MLP(D, outputs, 6, 1, activation=jnp.tanh, key=jax.random.key(0))


def on_all(problem: qd.observables.LossOnData, weights: jax.Array) -> jax.Array:
    return problem.on(weights, problem.data)


def assert_same(form: tuple[Any, Any, Any], by_hand: tuple[Any, Any, Any]) -> None:
    """Loss, gradient, largest eigenvalue."""
    found = []
    for problem in (qd.observables.LossOnData(*form), qd.observables.LossOnData(*by_hand)):
        value, gradient = check_finite(problem)
        hessian = jax.jit(jax.hessian(partial(on_all, problem)))(problem.weights)
        found.append([value, np.linalg.norm(gradient), np.linalg.eigvalsh(hessian)[-1]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize("outputs", ["scalar", 1])
def test_an_equinox_model_and_a_squared_error(outputs: Any) -> None:
    x, y = arrays()

    def loss(model: Any, batch: Any) -> jax.Array:
        return 0.5 * jnp.mean((jax.vmap(model)(batch[0]).reshape(-1) - batch[1]) ** 2)

    by_hand = loss, network(outputs), (x, y)
    assert_same(from_model("squared_error", network(outputs), (x, y)), by_hand)
    assert_same(from_model(qd.losses.Square(), network(outputs), [x, y[:, None]]), by_hand)


def test_the_diagnosis_is_that_of_the_loss_by_hand() -> None:
    x, y = arrays()

    def loss(model: Any, batch: Any) -> jax.Array:
        return 0.5 * jnp.mean((jax.vmap(model)(batch[0]) - batch[1]) ** 2)

    found = qd.diagnose("squared_error", network(), (x, y), RULE, **SHORT)["curvature"]
    problem = qd.observables.LossOnData(loss, network(), (x, y))
    value, gradient = check_finite(problem)
    assert float(found["loss"]) == pytest.approx(value, rel=1e-5)
    assert float(found["gradient_norm"]) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    top = qd.observables.top_eigenpairs(problem, 2)["eigenvalue"]
    np.testing.assert_allclose(found["eigenvalue"], top, rtol=1e-4)


def test_a_flax_module_whose_statistics_stay_fixed() -> None:
    nn = pytest.importorskip("flax.linen")
    x, y = arrays()
    module = nn.Sequential([nn.Dense(6), nn.BatchNorm(use_running_average=True), nn.tanh, nn.Dense(1)])
    variables = module.init(jax.random.key(0), x)

    def loss(params: Any, batch: Any) -> jax.Array:
        outputs = module.apply({"params": params, "batch_stats": variables["batch_stats"]}, batch[0])
        return 0.5 * jnp.mean((outputs[:, 0] - batch[1]) ** 2)

    assert_same(from_model("squared_error", (module, variables), (x, y)), (loss, variables["params"], (x, y)))


def test_a_flax_nnx_module() -> None:
    nnx = pytest.importorskip("flax.nnx")
    x, y = arrays()
    model = nnx.Linear(D, 1, rngs=nnx.Rngs(0))
    mean, trained, data = from_model("squared_error", model, (x, y))
    by_hand = 0.5 * np.mean((x @ np.asarray(model.kernel[...])[:, 0] + np.asarray(model.bias[...]) - y) ** 2)
    assert float(mean(trained, data)) == pytest.approx(by_hand, rel=1e-5)


def test_cross_entropy_of_integer_classes() -> None:
    x, y = arrays()
    classes = np.digitize(y, [-0.5, 0.5])

    def loss(model: Any, batch: Any) -> jax.Array:
        scores = jax.nn.log_softmax(jax.vmap(model)(batch[0]))
        return -jnp.mean(scores[jnp.arange(len(batch[1])), batch[1]])

    assert_same(from_model("cross_entropy", network(3), (x, classes)), (loss, network(3), (x, classes)))


def test_losses_of_the_library_and_several_outputs() -> None:
    x, y = arrays()
    model, signs = network(), np.where(y > 0, 1, -1)
    mean, trained, data = from_model(qd.losses.Logistic(), model, (x, signs))
    by_hand = np.mean(np.log1p(np.exp(-signs * np.asarray(jax.vmap(model)(x)))))
    assert float(mean(trained, data)) == pytest.approx(by_hand, rel=1e-5)
    wide, targets = network(2), np.stack([y, y**2], axis=1)
    mean, trained, data = from_model("squared_error", wide, (x, targets))
    by_hand = 0.5 * np.mean(np.sum((np.asarray(jax.vmap(wide)(x)) - targets) ** 2, axis=1))
    assert float(mean(trained, data)) == pytest.approx(by_hand, rel=1e-5)


def test_integer_arrays_of_a_model_are_no_weights() -> None:
    class Chosen(eqx.Module):
        layer: eqx.nn.Linear
        columns: jax.Array

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.layer(x[self.columns])

    model = Chosen(eqx.nn.Linear(2, 1, key=jax.random.key(0)), jnp.array([0, 3]))
    problem = qd.observables.LossOnData(*from_model("squared_error", model, arrays()))
    assert problem.size == 3


def nothing(*arguments: Any) -> tuple[Any, ...]:
    return arguments


def test_a_loss_that_is_a_function_passes_unchanged() -> None:
    assert from_model(nothing, 1, 2) == (nothing, 1, 2)


X, Y = arrays()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "mse"}, "loss must be one of 'squared_error', 'cross_entropy', got 'mse'"),
        ({"params": {"w": np.ones(D)}}, "params must be a callable of one sample, or .*, got dict"),
        ({"params": jnp.tanh}, "params must have at least one floating array"),
        ({"params": network(2)}, r"y of data must have the shape of the outputs, \(60, 2\), got \(60,\)"),
        ({"params": network(2), "loss": qd.losses.Square()}, r"Square must have one output per sample, got outputs \(60, 2\)"),
        ({"data": X}, r"data must be a pair of arrays \(X, y\), got float32 of shape \(60, 5\)"),
        ({"data": (X.tolist(), Y)}, "X of data must be an array of real numbers, got list"),
        ({"data": (X, Y.astype(str))}, "y of data must be an array of real numbers, got <U"),
        ({"data": (X[:, 0], Y)}, r"X of data must have shape \(n, d, ...\) with n >= 1, got \(60,\)"),
        ({"data": (X[:, :4], Y)}, r"params must accept X of shape \(60, 4\), but the model fails: "),
        ({"data": (X, Y[:-1])}, r"y of data must have as many samples as X, n=60, got shape \(59,\)"),
        ({"data": (np.where(X > 2, np.nan, X), Y)}, "X of data must be finite"),
        ({"loss": qd.losses.Logistic()}, r"y of data must be \+-1 for Logistic"),
        ({"loss": "cross_entropy"}, r"cross_entropy must have at least 2 outputs per sample, got outputs \(60,\)"),
        ({"loss": "cross_entropy", "params": network(3)}, r"y of data must hold integers 0 <= y < 3, .* got float32"),
        (
            {"loss": "cross_entropy", "params": network(3), "data": (X, np.arange(N) % 4)},
            r"got int32 of shape \(60,\) from 0 to 3",
        ),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    arguments = {"loss": "squared_error", "params": network(), "data": (X, Y), **change}
    with pytest.raises(ParameterError, match=message):
        qd.diagnose(**arguments, rule=RULE, **SHORT)


def test_bad_flax_variables() -> None:
    nn = pytest.importorskip("flax.linen")
    module = nn.Dense(1)
    inner = module.init(jax.random.key(0), X)["params"]
    with pytest.raises(ParameterError, match=r'variables of \(module, variables\) must hold "params", got dict'):
        from_model("squared_error", (module, inner), (X, Y))


# ---- the command line

FILE = """
import equinox as eqx
import jax
import numpy as np

loss = "squared_error"
params = eqx.nn.Linear(3, "scalar", key=jax.random.key(0))
X = np.random.default_rng(0).normal(size=(100, 3))
data = (X, X @ np.ones(3))
"""


def test_the_command_takes_a_model_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(FILE)
    words = [str(tmp_path / "problem.py"), "--steps", "50", "--chains", "2", "--modes", "2", "--out", str(tmp_path / "mine")]
    assert diagnose_command(words) == 0
    found = qd.load(tmp_path / "mine" / "diagnosis.nc")
    assert (found.attrs["weights"], found.attrs["samples"]) == (4, 100)
    (tmp_path / "problem.py").write_text(FILE.replace("X @ np.ones(3)", "X[:7, 0]"))
    with pytest.raises(ParameterError, match="as many samples as X, n=100"):
        diagnose_command(words)
