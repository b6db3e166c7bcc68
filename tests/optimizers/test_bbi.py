"""BBI and ECDSep: the Hamiltonian flow, the conserved energy, bounces, published numbers, and what is refused."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quenched.numerics.checks import ParameterError, QuenchedWarning
from quenched.optimizers import bbi as bbi_optimiser
from quenched.optimizers import ecd_sep as sep_optimiser
from quenched.optimizers.base import rescaling
from quenched.optimizers.bbi import coefficients, hamiltonian, on_shell
from quenched.optimizers.ecd_sep import coefficients as sep_coefficients
from quenched.optimizers.ecd_sep import log_hamiltonian
from quenched.optimizers.ecd_sep import on_shell as sep_shell
from tests.optimizers.runs import ackley, run, trace, zakharov

NO_BOUNCES = {"fixed_interval": None, "progress_interval": None}


def potential(x):
    return 0.3 + jnp.sum(x**2) + 0.2 * jnp.sin(3 * x[0]) * x[1]


@pytest.mark.parametrize("kind", ["bbi", "sep"])
def test_the_flow_is_that_of_the_hamiltonian(kind: str) -> None:
    """The coefficients that the steps use against automatic differentiation of H."""
    with jax.enable_x64(True):
        x, p = jax.random.normal(jax.random.key(0), (2, 5))

        def energy(x, p):
            square = jnp.sum(p**2)
            return hamiltonian(potential(x), square) if kind == "bbi" else log_hamiltonian(potential(x), square, 1.3)

        value, slope, square = potential(x), jax.grad(potential)(x), jnp.sum(p**2)
        velocity, force = coefficients(value, energy(x, p)) if kind == "bbi" else sep_coefficients(value, square, 1.3)
        np.testing.assert_allclose(velocity * p, jax.grad(energy, 1)(x, p), rtol=1e-10)
        np.testing.assert_allclose(force * slope, jax.grad(energy, 0)(x, p), rtol=1e-10)


def test_rescaling_restores_the_energy() -> None:
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        for _ in range(50):
            value, energy = np.sort(rng.uniform(0.01, 5, 2))
            p = rng.normal(size=7)
            square = jnp.asarray(np.sum(p**2))
            r = float(rescaling(square, jnp.asarray(on_shell(value, energy)), True))
            assert abs(hamiltonian(value, np.sum((r * p) ** 2)) / energy - 1) < 1e-12
            log_energy = float(log_hamiltonian(value, 2.0, 1.7))
            r = float(rescaling(square, sep_shell(jnp.asarray(value), log_energy, 1.7), True))
            assert abs(float(log_hamiltonian(value, np.sum((r * p) ** 2), 1.7)) - log_energy) < 1e-12


def test_no_factor_where_there_is_no_shell() -> None:
    for square, shell in ((1.0, -0.3), (0.0, 2.0), (1.0, 1.0 + 1e-12)):
        assert float(rescaling(jnp.asarray(square), jnp.asarray(shell), True)) == 1.0
    assert float(rescaling(jnp.asarray(1.0), jnp.asarray(4.0), False)) == 1.0


def test_steps_are_those_written_by_hand() -> None:
    """Ten steps with bounces in known directions, of the algorithm as it is printed."""
    turns = np.random.default_rng(1).normal(size=(60, 2))
    dt, offset, extra, t0, bounces, t1 = 0.03, 1e-4, 2.0, 5, 2, 4
    x, p, energy, c0, c1, done, lowest, path = np.array([-4.0, 3.0]), None, None, 0, 0, 0, np.inf, []
    with jax.enable_x64(True):
        for k in range(60):
            loss, g = (np.asarray(v, float) for v in jax.value_and_grad(ackley)(jnp.asarray(x)))
            path.append(x)
            v = float(loss) - offset
            if p is None:
                energy = v + extra
                p = -g / np.linalg.norm(g) * math.sqrt(energy**2 / v - v)
            shell, square = v * ((energy / v) ** 2 - 1), p @ p
            r = math.sqrt(shell / square) if abs(square - shell) >= 1e-10 and shell >= 0 and square > 0 else 1.0
            if c1 != t1 and c0 != t0:
                p = r * p - dt / 2 * (v / energy + energy / v) * g
                x = x + dt * v / energy * p
                c0, c1 = c0 + 1, c1 + 1
                if v < lowest:
                    lowest, c1 = v, 0
            else:
                p = turns[k] * np.linalg.norm(p) / np.linalg.norm(turns[k])
                if c0 == t0:
                    done += 1
                    c0 = 0 if done < bounces else t0 + 1
                c1 = 0
    with jax.enable_x64(True):
        table = jnp.asarray(turns)
    optimiser = bbi_optimiser(
        dt,
        offset=offset,
        extra_energy=extra,
        fixed_interval=t0,
        fixed_bounces=bounces,
        progress_interval=t1,
        bounce=lambda step, params: table[step],
    )
    found = run(ackley, [-4.0, 3.0], optimiser, 60)
    np.testing.assert_allclose(found.path, path, rtol=1e-8)
    assert found.state.best_value == pytest.approx(lowest + offset, rel=1e-10)
    assert found.state.bounces > 2
    assert found.state.fixed_done == 2


@pytest.mark.parametrize("kind", ["gaussian", pytest.param("cube", marks=pytest.mark.slow)])
def test_a_bounce_keeps_the_length_and_has_no_preferred_direction(kind: str) -> None:
    n, runs = 3, 20000
    optimiser = bbi_optimiser(0.01, extra_energy=1.0, fixed_interval=1, bounce=kind)
    start = jnp.arange(1.0, n + 1)

    def momenta(key):
        loss = lambda x: jnp.sum(x**2)  # noqa: E731
        step = trace(loss, start, optimiser, 1, key=key)
        _, after = optimiser.update(step.params, step.state, step.params, value=loss(step.params))
        return step.state.momentum, after.momentum

    before, after = jax.jit(jax.vmap(momenta))(jax.random.split(jax.random.key(0), runs))
    square = np.sum(np.asarray(before[0], float) ** 2)
    np.testing.assert_allclose(np.sum(after**2, axis=1), square, rtol=1e-5)
    unit = np.asarray(after, float) / math.sqrt(square)
    assert np.all(np.abs(unit.mean(0)) < 4 * math.sqrt(1 / n / runs))
    second = unit.T @ unit / runs
    # the variance of u_i^2 on the sphere is 2(n-1)/n^2(n+2), that of u_i u_j is 1/n(n+2); by symmetry both laws have this mean
    assert np.all(np.abs(np.diag(second) - 1 / n) < 4 * math.sqrt(2 * (n - 1) / n**2 / (n + 2) / runs))
    assert np.all(np.abs(second - np.diag(np.diag(second))) < 4 * math.sqrt(1 / n / (n + 2) / runs))
    # isotropy: the fourth moment is that of the sphere for the Gaussian law only
    fourth, error = np.mean(unit**4), 4 * math.sqrt(np.var(unit**4) / (n * runs))
    assert (abs(fourth - 3 / n / (n + 2)) < error) == (kind == "gaussian")


def test_scaling_the_energies_scales_the_time() -> None:
    c, x0 = 3.7, [-1.0, 0.6]
    options = {"fixed_interval": 20, "progress_interval": 30, "seed": 3}
    plain = run(ackley, x0, bbi_optimiser(0.01, offset=1e-4, extra_energy=2.0, **options), 100)
    scaled = run(
        lambda x: c * ackley(x), x0, bbi_optimiser(0.01 / math.sqrt(c), offset=c * 1e-4, extra_energy=2 * c, **options), 100
    )
    np.testing.assert_allclose(scaled.path, plain.path, rtol=1e-9, atol=1e-9)
    assert plain.state.bounces > 0


def test_the_approach_to_a_quadratic_minimum() -> None:
    found = run(lambda x: x[0] ** 2 / 2, [1.0], bbi_optimiser(0.01, **NO_BOUNCES), 2500)
    x = found.path[:, 0]
    assert np.all(x > 0)
    rate = -np.polyfit(0.01 * np.arange(500, 2500), np.log(x[500:2500]), 1)[0]
    assert rate == pytest.approx(1 / math.sqrt(2), rel=0.02)


def test_zakharov() -> None:
    """Tuned hyperparameters of arXiv:2201.11137, double precision."""
    start = np.ones(10)
    optimiser = bbi_optimiser(0.0026037, offset=1e-22, **NO_BOUNCES)
    losses = run(zakharov, start, optimiser, 10000).losses
    assert losses[0] == 572680.3125
    assert 8.7e-19 < losses[:2500].min() < 8.7e-17
    assert losses.min() == pytest.approx(1e-22, rel=0.01)
    momentum = run(zakharov, start, optax.sgd(1.80266e-6, momentum=0.99722658), 10000).losses
    assert 1.2e-4 / 3 < momentum[:2500].min() < 1.2e-4 * 3
    assert 4e-12 / 3 < momentum.min() < 4e-12 * 3


def test_zakharov_in_single_precision_and_without_conservation() -> None:
    optimiser = bbi_optimiser(0.0026037, offset=1e-22, **NO_BOUNCES)
    assert 1e-18 < run(zakharov, np.ones(10), optimiser, 2500, "float32").losses.min() < 1e-16
    free = bbi_optimiser(0.0026037, offset=1e-22, conserve=False, **NO_BOUNCES)
    found = run(zakharov, np.ones(10), free, 2500)
    assert not np.isfinite(found.losses[-1])
    assert np.isfinite(found.state.best_value)


def test_the_best_point_is_kept() -> None:
    for optimiser in (
        bbi_optimiser(0.02, offset=1e-4, extra_energy=2.0, fixed_interval=20, fixed_bounces=4, progress_interval=50),
        sep_optimiser(0.3, offset=1e-4, extra_energy=2.0, noise=0.1),
    ):
        found = run(ackley, [-4.0, 3.0], optimiser, 500)
        best = int(np.argmin(found.losses))
        assert best < 499
        assert found.state.best_value == found.losses[best]
        np.testing.assert_array_equal(found.state.best_params, found.path[best])


@pytest.mark.parametrize("s", [0, 1])
def test_the_separable_energy_is_kept_by_the_rotations(s: int) -> None:
    optimiser = sep_optimiser(1e-4, offset=-0.1, extra_energy=3.0, exponent=1.5, regularisation=s, noise=0.3)
    found = run(ackley, [-1.0, 0.6], optimiser, 200)
    extra = 3.0 if s else 1.0
    assert found.state.energy == pytest.approx(1.5 * math.log(found.losses[0] + 0.1) + math.log(s + extra), rel=1e-12)
    assert abs(found.state.drift) < 1e-3


def test_weight_decay_is_part_of_the_potential() -> None:
    decayed = run(ackley, [-1.0, 0.6], sep_optimiser(0.01, extra_energy=1.0, weight_decay=0.2), 50)
    whole = run(lambda x: ackley(x) + 0.1 * jnp.sum(x**2), [-1.0, 0.6], sep_optimiser(0.01, extra_energy=1.0), 50)
    np.testing.assert_allclose(decayed.path, whole.path, rtol=1e-9)


@pytest.mark.parametrize("make", [bbi_optimiser, sep_optimiser])
def test_below_the_offset_the_particle_stands(make) -> None:
    loss = lambda x: jnp.sum(x**2)  # noqa: E731
    found = run(loss, [0.5, 0.1], make(0.1, offset=0.1, extra_energy=1.0), 200)
    assert bool(found.state.frozen)
    assert found.losses[-1] <= 0.1
    assert found.losses[-2] == found.losses[-1] == found.state.best_value


@pytest.mark.parametrize("make", [bbi_optimiser, sep_optimiser])
def test_a_schedule_is_the_learning_rate_of_its_step(make) -> None:
    schedule = optax.piecewise_constant_schedule(0.02, {10: 0.5})
    loss = lambda x: jnp.sum(x**2)  # noqa: E731
    varied = run(loss, [0.5, 0.1], make(schedule, offset=-1.0), 20).path
    np.testing.assert_array_equal(varied[:10], run(loss, [0.5, 0.1], make(0.02, offset=-1.0), 10).path)
    np.testing.assert_array_less(np.linalg.norm(varied[11] - varied[10]), 0.6 * np.linalg.norm(varied[10] - varied[9]))


def test_trees_are_one_particle() -> None:
    options = {"offset": -1.0, "extra_energy": 0.5, **NO_BOUNCES}
    vector = run(lambda x: potential(x), [0.5, 0.1, -0.3], bbi_optimiser(0.05, **options), 40)
    with jax.enable_x64(True):
        tree = {"a": jnp.asarray([0.5]), "b": jnp.asarray([[0.1, -0.3]])}
        loss = lambda t: potential(jnp.concatenate([t["a"], t["b"].ravel()]))  # noqa: E731
        end = trace(loss, tree, bbi_optimiser(0.05, **options), 40).params
    np.testing.assert_allclose(np.concatenate([end["a"], end["b"].ravel()]), vector.params, rtol=1e-9)


# ---- what is refused


def first_update(optimiser, start, loss=lambda x: jnp.sum(x**2), **given):
    value, grads = jax.value_and_grad(loss)(start)
    return optimiser.update(grads, optimiser.init(start), start, **({"value": value} | given))


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (bbi_optimiser, {"learning_rate": 0.0}, "learning_rate must be > 0"),
        (sep_optimiser, {"learning_rate": -1.0}, "learning_rate must be > 0"),
        (bbi_optimiser, {"extra_energy": -0.1}, "extra_energy must be >= 0"),
        (sep_optimiser, {"extra_energy": -0.1}, "extra_energy must be >= 0"),
        (bbi_optimiser, {"fixed_interval": 0}, "fixed_interval must be an integer >= 1"),
        (bbi_optimiser, {"progress_interval": 0}, "progress_interval must be an integer >= 1"),
        (bbi_optimiser, {"fixed_bounces": -1}, "fixed_bounces must be an integer >= 0"),
        (bbi_optimiser, {"bounce": "sphere"}, "bounce must be one of"),
        (bbi_optimiser, {"offset": math.inf}, "offset must be a finite number"),
        (sep_optimiser, {"exponent": 0.9}, "exponent must be >= 1"),
        (sep_optimiser, {"regularisation": 2}, "regularisation must be one of 0, 1"),
        (sep_optimiser, {"noise": -1e-5}, "noise must be >= 0"),
        (sep_optimiser, {"weight_decay": -1e-5}, "weight_decay must be >= 0"),
        (sep_optimiser, {"directions": "sphere"}, "directions must be one of"),
    ],
)
def test_options_out_of_range(make, options: dict, match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        make(**({"learning_rate": 0.1} | options))


@pytest.mark.parametrize("make", [bbi_optimiser, sep_optimiser])
def test_a_bad_first_update(make) -> None:
    start = jnp.asarray([1.0, 2.0])
    with pytest.raises(ParameterError, match="value must be given"):
        first_update(make(0.1), start, value=None)
    with pytest.raises(ParameterError, match="value must be a scalar"):
        first_update(make(0.1), start, value=jnp.ones(2))
    with pytest.raises(ParameterError, match="value must be finite"):
        first_update(make(0.1), start, value=jnp.nan)
    with pytest.raises(ParameterError, match=r"offset must be < the loss at the start, 5\.0, got 7\.0"):
        first_update(make(0.1, offset=7.0), start)
    optimiser = make(0.1)
    with pytest.raises(ParameterError, match="params must be given"):
        optimiser.update(start, optimiser.init(start), value=1.0)
    with pytest.warns(QuenchedWarning, match="gradient at the start is zero"):
        _, state = first_update(make(0.1, offset=-1.0, extra_energy=1.0), jnp.zeros(2))
    assert float(jnp.linalg.norm(state.momentum)) > 0.5
