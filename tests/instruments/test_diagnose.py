"""``diagnose`` as a new user meets it: networks of several libraries, prediction beside measurement, bad input, command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quenched as qd
from quenched.instruments import figures, write_page
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError
from quenched.theory import ornstein_uhlenbeck as ou

RULE = qd.dynamics.Gradient(lr=0.005, batches=qd.dynamics.Minibatch(size=8), transform=qd.dynamics.Momentum(decay=0.9))


def regression(n: int = 400) -> tuple[Any, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Linear regression at its minimum: loss, weights, data."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 6)) * np.array([1.5, 1, 0.7, 0.5, 0.3, 0.2])
    y = x @ random.normal(size=6) + 0.5 * random.normal(size=n)
    return squares, np.linalg.lstsq(x, y)[0], (x, y)


def squares(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    return 0.5 * jnp.mean((batch[0] @ params - batch[1]) ** 2)


@pytest.fixture(scope="module")
def tree() -> Any:
    return qd.diagnose(*regression(), RULE, steps=1000, chains=64, probes=24)


def test_prediction_and_measurement_agree_in_regression(tree: Any) -> None:
    """At this learning rate noise that grows with the distance adds some per cent to what additive noise does."""
    measured, predicted = tree["measured"], tree["predicted"]
    gap = measured["global_displacement"].values - predicted["global_displacement"].values
    error = np.hypot(measured["global_displacement_error"], predicted["global_displacement_error"]).values
    assert np.all(np.abs(gap) < 5 * error + 0.1 * predicted["global_displacement"].values)
    assert float(measured["local_displacement"]) == pytest.approx(float(predicted["local_displacement"]), rel=0.12)
    assert float(measured["exponent"]) == pytest.approx(float(predicted["exponent"]), abs=0.1)


def test_the_prediction_is_that_of_the_matrices(tree: Any) -> None:
    x, y = regression()[2]
    problem = ou.quadratic(x, y)
    rho, q = np.linalg.eigh(problem.hessian)
    noise = np.einsum("il,ij,jl->l", q, problem.noise, q)
    steps = tree["predicted"]["step"].values
    exact = ou.displacement(ou.MomentumSGD.of(RULE), rho, noise, steps, start="fixed").global_displacement.values
    found, error = (tree["predicted"][name].values for name in ("global_displacement", "global_displacement_error"))
    # the first step is exact, up to the rounding of float32
    assert np.all(np.abs(found - exact) < 5 * error + 1e-4 * exact)
    np.testing.assert_allclose(tree["curvature"]["eigenvalue"], rho[::-1][:5], rtol=1e-4)
    np.testing.assert_allclose(tree["curvature"]["noise_along"], noise[::-1][:5], rtol=1e-3)
    state = ou.stationary_state(ou.MomentumSGD.of(RULE), rho, noise)
    cost = float(np.sum(rho * state.position_variance) / 2)
    assert float(tree["predicted"]["excess_loss"]) == pytest.approx(cost, rel=0.3)
    assert float(tree["measured"]["loss_change"]) == pytest.approx(cost, rel=0.4)


def test_off_the_minimum_the_drift_is_exact() -> None:
    """Large batches: the motion is the descent of a quadratic, to the digits of float32."""
    loss, weights, data = regression()
    rule = qd.dynamics.Gradient(lr=0.05, ridge=0.01, batches=qd.dynamics.Reshuffled(size=400), transform=RULE.transform)
    found = qd.diagnose(loss, weights + 0.3, data, rule, steps=200, chains=2)
    np.testing.assert_allclose(found["measured"]["global_displacement"], found["predicted"]["drift"], rtol=2e-3)
    assert "reshuffled" in found.attrs["cautions"]


def test_an_equinox_network() -> None:
    x, y = (a.astype(np.float32) for a in regression(200)[2])
    model = eqx.nn.MLP(6, "scalar", 8, 1, activation=jnp.tanh, key=jax.random.key(0))

    def loss(model: eqx.nn.MLP, batch: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean((jax.vmap(model)(batch["inputs"]) - batch["targets"]) ** 2)

    found = qd.diagnose(loss, model, {"inputs": x, "targets": y}, RULE, steps=100, chains=4)
    assert found.attrs["weights"] == 6 * 8 + 8 + 8 + 1
    # untrained: the network rolls down, and the drift is most of the motion
    assert float(found["predicted"]["drift"][-1]) > float(found["predicted"]["spread"][-1])
    assert np.all(np.isfinite(found["measured"]["global_displacement"]))


def test_a_flax_network_and_its_page(tmp_path: Path) -> None:
    nn = pytest.importorskip("flax.linen")
    module = nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(1)])
    x, y = (a.astype(np.float32) for a in regression(200)[2])
    params = module.init(jax.random.key(0), x[:1])

    def loss(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.mean((module.apply(params, batch[0])[:, 0] - batch[1]) ** 2)

    found = qd.diagnose(loss, params, (x, y), steps=100, chains=4)
    assert set(figures(found)) == {"diagnosis"}
    page = write_page(found, tmp_path / "page.html", title="<script>alert(1)</script>").read_text()
    assert "<script>alert" not in page
    assert "squared step length" in page
    assert page.count("data:image/") == 1
    qd.save(found, tmp_path / "tree.nc")
    assert qd.load(tmp_path / "tree.nc")["measured"].identical(found["measured"])


def test_negative_curvature_is_said_and_predictions_are_of_finite_steps() -> None:
    def saddle(params: jax.Array, batch: jax.Array) -> jax.Array:
        return jnp.mean(0.5 * params[0] ** 2 - 0.1 * params[1] ** 2 + batch @ params)

    data = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    data -= data.mean(0)
    found = qd.diagnose(saddle, jnp.zeros(2), data, RULE, steps=60, chains=64, probes=24)
    assert "is negative: there is no stationary state" in found.attrs["cautions"]
    assert np.isnan(found["predicted"]["excess_loss"])
    np.testing.assert_allclose(
        found["measured"]["global_displacement"][-1], found["predicted"]["global_displacement"][-1], rtol=0.5
    )


def test_an_unstable_step_leaves_the_prediction_out() -> None:
    def sharp(params: jax.Array, batch: jax.Array) -> jax.Array:
        return jnp.mean(jnp.cos(30 * params[0]) + batch @ params)

    data = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    found = qd.diagnose(sharp, jnp.asarray([np.pi / 30, 0.0]), data, RULE, steps=20, chains=2)
    assert "no prediction: lr must be < " in found.attrs["cautions"]
    assert np.all(np.isnan(found["predicted"]["global_displacement"]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": lambda p, b: jnp.log(-jnp.sum(p**2)) + squares(p, b)}, DivergenceError, "loss must be finite"),
        ({"data": (np.ones((5, 6)), np.ones(4))}, ParameterError, "one leading axis"),
        ({"data": (np.ones((5, 7)), np.ones(5))}, ParameterError, "loss must accept a batch of shapes"),
        ({"params": {"w": np.arange(6)}}, ParameterError, r"floating arrays only, got int64 at \['w'\]"),
        ({"rule": qd.dynamics.Gradient()}, IncompatibleError, "batches of a size, got Full"),
        ({"rule": qd.dynamics.Gradient(batches=qd.dynamics.GaussianBatch(size=4))}, IncompatibleError, "got GaussianBatch"),
        ({"rule": qd.dynamics.Gradient(batches=qd.dynamics.Reshuffled(size=500))}, ParameterError, "with n=400"),
        ({"steps": 3}, ParameterError, "steps must be an integer >= 10"),
        ({"chains": 1}, ParameterError, "chains must be an integer >= 2"),
        ({"window": (1, 2)}, ParameterError, "window must hold at least 5"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], message: str) -> None:
    loss, params, data = regression()
    arguments = {"loss": loss, "params": params, "data": data, "rule": RULE, "steps": 50, "chains": 2, **change}
    with pytest.raises(error, match=message):
        qd.diagnose(**arguments)


# ---- the command line

FILE = """
import jax.numpy as jnp
import numpy as np
import quenched as qd

random = np.random.default_rng(0)
x = random.normal(size=(100, 3))
data = (x, x @ np.ones(3) + random.normal(size=100))
params = {"w": jnp.ones(3)}
rule = qd.dynamics.Gradient(lr=0.05, batches=qd.dynamics.Minibatch(size=4))


def loss(params, batch):
    return jnp.mean((batch[0] @ params["w"] - batch[1]) ** 2)
"""


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "160"}
    line = [sys.executable, "-m", "quenched", "diagnose", *words]
    return subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_writes_page_figure_and_data(tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(FILE)
    done = command(tmp_path, "problem.py", "--steps", "100", "--chains", "4", "--momentum", "0.5", "--out", "mine")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "diagnosis.nc",
        "diagnosis.svg",
        "diagnosis.png",
        "report.html",
    }
    assert "Momentum(decay=0.5)" in (tmp_path / "mine" / "report.html").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE.replace("data = ", "date = "), "must define loss, params and data, it lacks data"),
        (FILE + "\n1 / 0\n", "must run without an error, it raised ZeroDivisionError"),
        (FILE.replace("jnp.ones(3)}", "jnp.arange(3)}"), "floating arrays only, got int32 at ['w']"),
        (None, "must be a Python file that defines loss, params and data, got"),
    ],
)
def test_bad_files_are_one_line_and_status_2(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "problem.py").write_text(text)
    done = command(tmp_path, "problem.py", "--steps", "50")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
