"""The Dataset of ``simulate``, what it records, and what it refuses."""

from __future__ import annotations

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from quenched.dynamics import IID, Full, Gradient
from quenched.dynamics.engine import trajectory
from quenched.dynamics.progress import Bar
from quenched.dynamics.simulate import checked_count, simulate
from quenched.dynamics.stops import LossBelow
from quenched.losses import QuadraticHinge
from quenched.models import GaussianMixture
from quenched.numerics.checks import DivergenceError, IncompatibleError, ParameterError, QuenchedWarning
from quenched.observables.accumulators import WeightMoments
from quenched.records import provenance, rebuild
from tests.dynamics.engine_models import Multiply, OperatorMixture, OwnOperatorMixture, Pairs, Single, ZeroTemperatureFlip

MIXTURE = GaussianMixture(alpha=1.5)
SGD = Gradient(0.2, IID(0.5))
SMALL = {"steps": 70, "size": 20, "replicas": 3, "disorder": 2, "seed": 4}


def first_weight(model, weights, disorder):
    return weights[:2]


@pytest.fixture(scope="module")
def run():
    return simulate(
        MIXTURE, SGD, **SMALL, share_start=True, two_time=True, record_weights=True, observables={"first_weight": first_weight}
    )


def test_dimensions_and_coordinates(run):
    assert run["loss"].dims == ("disorder", "replica", "t")
    assert run["loss"].shape == (2, 3, 71)
    assert run["loss"].dtype == np.float32
    assert run["first_weight"].dims == ("disorder", "replica", "t", "first_weight_axis0")
    assert run["weights"].dims == ("disorder", "replica", "t", "parameter")
    assert run["correlation"].dims == ("disorder", "replica", "t", "t_prime")
    np.testing.assert_allclose(run["t"], 0.2 * np.arange(71), atol=1e-12)
    assert run["step"].dims == ("t",)
    np.testing.assert_array_equal(run["step"], np.arange(71))
    assert run["overlap"].attrs == {"long_name": "overlap with the signal", "symbol": "m", "units": "1"}
    assert isinstance(run["loss"].data, np.ndarray)


def test_recorded_functions_are_those_of_the_recorded_weights(run):
    w = run["weights"].values.astype(np.float64)
    np.testing.assert_array_equal(run["first_weight"], run["weights"].values[..., :2])
    np.testing.assert_allclose(run["norm"], (w**2).mean(-1), rtol=1e-5)
    np.testing.assert_allclose(run["overlap"], w.mean(-1), atol=1e-5)
    np.testing.assert_allclose(run["correlation"], w @ np.swapaxes(w, -1, -2) / 20, atol=1e-12)
    cross = np.einsum("aitp,ajsp->aijts", w, w) / 20
    np.testing.assert_allclose(run["replica_correlation"][:, 0], (cross[:, 0, 1] + cross[:, 0, 2]) / 2, atol=1e-12)


def test_replica_distance_is_the_mean_over_the_other_replicas(run):
    w = run["weights"].values.astype(np.float64)
    pair = ((w[:, :, None] - w[:, None]) ** 2).mean(-1)
    np.testing.assert_allclose(run["replica_distance"], pair.sum(2) / 2, rtol=2e-5, atol=1e-12)
    assert np.all(run["replica_distance"][..., 0] == 0)
    assert np.all(run["replica_distance"][..., 1:] > 0)


def test_rebuilt_arguments_give_the_identical_dataset(run):
    arguments = rebuild(run, consent=True)
    assert arguments["model"] == MIXTURE
    assert arguments["rule"] == SGD
    assert simulate(**arguments).identical(run)
    assert provenance(run)["environment"]["versions"].keys() == {"quenched", "jax", "numpy"}


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [7, 200])
def test_chunks_do_not_change_a_bit(run, chunk):
    other = simulate(
        MIXTURE,
        SGD,
        **SMALL,
        share_start=True,
        two_time=True,
        record_weights=True,
        observables={"first_weight": first_weight},
        chunk=chunk,
    )
    assert other.drop_attrs(deep=False).identical(run.drop_attrs(deep=False))


@pytest.mark.slow
def test_blocks_change_last_bits_only():
    runs = [simulate(MIXTURE, SGD, steps=10, size=20, replicas=2, disorder=5, block=block) for block in (1, 3)]
    for name in runs[0]:
        np.testing.assert_allclose(runs[0][name], runs[1][name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_the_core_and_the_dataset_are_the_same_run(run):
    core = trajectory(
        MIXTURE, SGD, jax.random.key(4), steps=70, sizes=(30, 20), replicas=3, share_start=True, sample=1, snapshots=True
    )
    np.testing.assert_allclose(np.moveaxis(core.records["weights"], 0, 1), run["weights"][1], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_new_values_seeds_steps_and_times_never_recompile():
    events = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: events.append(name) if name == "/jax/core/compile/backend_compile_duration" else None
    )
    arguments = {"size": 21, "replicas": 2}
    simulate(MIXTURE, SGD, steps=70, **arguments)
    compiled = len(events)
    assert compiled >= 1
    simulate(GaussianMixture(alpha=1.5, noise=0.3), Gradient(0.1, IID(0.25), ridge=0.5), steps=70, seed=2**32 - 1, **arguments)
    simulate(MIXTURE, SGD, steps=9, **arguments)
    simulate(MIXTURE, SGD, steps=333, times=[3, 10, 300], chunk=64, **arguments)
    assert len(events) == compiled


@pytest.mark.slow
def test_one_configuration_compiles_at_most_three_programs():
    programs = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, fun_name="", **__: programs.append(fun_name) if name.endswith("backend_compile_duration") else None
    )
    simulate(MIXTURE, SGD, steps=130, size=22, replicas=2, disorder=3, final={"gap": gaps}, stop=LossBelow(1e-9))
    assert 2 <= len([name for name in programs if any(core in name for core in ("begin", "advance", "finish"))]) <= 3


def gaps(model, weights, disorder):
    return model.gaps(weights, disorder)


@pytest.mark.slow
def test_final_observables_accumulators_and_stops():
    # all constraints y r >= kappa can hold at alpha = 0.3: gradient descent gets there and stands still
    model = GaussianMixture(alpha=0.3, loss=QuadraticHinge(margin=0.5))
    stop = LossBelow(1e-6)
    ds = simulate(
        model,
        Gradient(0.5, Full()),
        steps=2000,
        size=40,
        replicas=2,
        times=[0, 5, 1000, 2000],
        final={"gap": gaps},
        stop=stop,
        accumulators=[WeightMoments()],
        record_weights=True,
    )
    stopped = ds["stop_step"].values
    assert np.all((stopped > 5) & (stopped < 1000))
    assert np.all(ds["loss"][..., 2:] < 1e-6)
    assert np.all(ds["loss"][..., :2] > 1e-6)
    np.testing.assert_array_equal(ds["weights"][..., 2, :], ds["weights"][..., 3, :])
    assert ds["gap"].dims == ("disorder", "replica", "sample")
    # the loss at the end follows from the gaps at the end
    np.testing.assert_allclose((np.maximum(0.5 - ds["gap"], 0) ** 2 / 2).mean("sample"), ds["loss"][..., -1], rtol=1e-4)
    # the accumulator stops with its replica: the average still holds the way to the end
    assert np.all(np.abs(ds["time_average"] - ds["weights"][..., -1, :]).max("parameter") > 1e-3)
    again = rebuild(ds, consent=True)
    assert again["stop"] == stop
    assert again["accumulators"] == (WeightMoments(),)


@pytest.mark.slow
def test_stopped_exactly_where_the_loss_first_falls_below():
    stop = LossBelow(0.5)
    free = simulate(MIXTURE, SGD, steps=70, size=20, replicas=3)
    held = simulate(MIXTURE, SGD, steps=70, size=20, replicas=3, stop=stop)
    expected = np.argmax(free["loss"].values < 0.5, axis=-1)
    np.testing.assert_array_equal(held["stop_step"], expected)
    for r, k in enumerate(expected[0]):
        np.testing.assert_allclose(held["loss"][0, r, k:], free["loss"][0, r, k], rtol=1e-5)


@pytest.mark.slow
def test_spins_without_a_loss_run_and_never_go_bad():
    ds = simulate(
        Pairs(),
        ZeroTemperatureFlip(),
        steps=100,
        size=24,
        replicas=4,
        disorder=9,
        share_start=True,
        two_time=True,
        on_divergence="record",
        times=[0, 50, 100],
    )
    assert ds["energy"].shape == (9, 4, 3)
    assert np.all(ds["first_bad_step"] == -1)
    np.testing.assert_array_equal(np.diagonal(ds["correlation"], axis1=-2, axis2=-1), 1.0)
    assert provenance(ds)["block"] == 9


@pytest.mark.slow
@pytest.mark.parametrize("kind", [OperatorMixture, OwnOperatorMixture])
@pytest.mark.parametrize("block", [1, 2])
def test_data_may_be_an_operator(kind, block):
    arguments = {"steps": 8, "size": 20, "replicas": 2, "disorder": 2, "two_time": True}
    plain = simulate(MIXTURE, SGD, block=1, **arguments)
    operator = simulate(kind(alpha=1.5), SGD, block=block, final={"gap": gaps}, stop=LossBelow(1e-9), **arguments)
    np.testing.assert_allclose(plain["correlation"], operator["correlation"], rtol=1e-4, atol=1e-5)


def test_divergence_names_step_replica_and_quantity():
    with pytest.raises(DivergenceError, match=r"weights became non-finite at step 128 \(disorder sample 0, replica 0\)"):
        simulate(Single(), Multiply(), steps=140, replicas=2)


def test_divergence_may_be_recorded():
    ds = simulate(Single(), Multiply(), steps=140, replicas=2, on_divergence="record")
    np.testing.assert_array_equal(ds["first_bad_step"], [[128, 128]])
    assert np.isinf(ds["norm"].values[0, 0, -1])


@pytest.mark.slow
def test_double_precision_does_not_leak():
    ds = simulate(Single(), Multiply(factor=1 + 1e-12), steps=3, dtype="float64")
    assert ds["norm"].dtype == np.float64
    assert ds["norm"].values[0, 0, -1] == pytest.approx(1 + 6e-12, abs=1e-15)
    assert jnp.zeros(1).dtype == jnp.float32
    with jax.enable_x64(True):
        assert simulate(MIXTURE, SGD, steps=2, size=20)["loss"].dtype == np.float32


@pytest.mark.slow
def test_shared_batches_and_start_make_equal_replicas():
    ds = simulate(MIXTURE, SGD, steps=20, size=20, replicas=2, share_start=True, share_batches=True)
    np.testing.assert_allclose(ds["replica_distance"], 0, atol=1e-12)


def test_cautions_are_warnings():
    with pytest.warns(QuenchedWarning, match="thermodynamic"):
        simulate(Single(origin=7.0), Multiply(factor=0.5), steps=1)


def test_default_times_are_about_a_hundred_beyond_two_hundred_steps():
    step = simulate(Single(), Multiply(factor=0.999), steps=1000)["step"].values
    assert step[0] == 0
    assert step[-1] == 1000
    assert len(step) == 101


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be an integer >= 1, got 0"),
        ({"steps": True}, "steps must be an integer"),
        ({"replicas": 0}, "replicas must be an integer >= 1"),
        ({"disorder": -1}, "disorder must be an integer >= 1"),
        ({"size": None}, "size must be given"),
        ({"size": 1}, "size must be an integer >= 2"),
        ({"seed": -1}, "seed must be an integer with 0 <= seed"),
        ({"seed": 2**32}, "seed must be an integer with 0 <= seed"),
        ({"times": [0, 11]}, r"times must increase within \[0, steps=10\]"),
        ({"times": [3, 2]}, "times must increase"),
        ({"times": [1, 1]}, "times must increase"),
        ({"times": []}, "times must be a sequence of integer steps"),
        ({"times": np.array([0.5])}, "times must be a sequence of integer steps"),
        ({"chunk": 0}, "chunk must be an integer >= 1"),
        ({"block": 0}, "block must be an integer >= 1"),
        ({"dtype": "int32"}, "dtype must be one of"),
        ({"on_divergence": "ignore"}, "on_divergence must be one of"),
        ({"observables": {"loss": first_weight}}, "observable names must be distinct, got 'loss' twice"),
        ({"observables": {"step": first_weight}}, "'step' is the name of a coordinate"),
        ({"checkpoint": "/nowhere/at/all.npz"}, "checkpoint must be a file in an existing folder"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        simulate(MIXTURE, SGD, **{"steps": 10, "size": 20, **arguments})


def test_counts_are_integers_of_any_kind():
    assert checked_count("steps", np.int64(3)) == 3
    with pytest.raises(ParameterError, match=r"steps must be an integer, got 2\.0"):
        checked_count("steps", 2.0)


def test_incompatible_pairs_are_refused_by_name():
    with pytest.raises(IncompatibleError, match="Gradient needs a model with a loss; Pairs has none"):
        simulate(Pairs(), Gradient(), steps=0, size=10)
    with pytest.raises(IncompatibleError, match="LossBelow needs a model with a loss; Pairs has none"):
        simulate(Pairs(), ZeroTemperatureFlip(), steps=1, size=10, stop=LossBelow())


def test_the_bar_shows_the_physics():
    text = io.StringIO()
    with Bar(10, True, Console(file=text, force_terminal=True, width=120)) as bar:
        bar.look({"loss": np.array([[1.0, 3.0]]), "overlap": np.array([[0.5, 0.5]]), "other": np.zeros((1, 2))})
        bar.update(10)
    assert "training loss 2 ± 1" in text.getvalue()
    assert "overlap 0.5" in text.getvalue()


def test_progress_draws_on_the_error_stream_only(capsys):
    simulate(Single(), Multiply(factor=0.9), steps=3, progress=True)
    simulate(Single(), Multiply(factor=0.9), steps=3)
    assert capsys.readouterr().out == ""
