"""Landscapes of the papers: what bounces find, and how fast a narrow valley is left behind."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quenched.optimizers import bbi
from quenched.theory.microcanonical import occupation_ratio
from tests.optimizers.runs import two_basins

WIDE, NARROW = 0.864, 1.664


def basins(runs: int, bounce: str) -> tuple[int, int]:
    """How many runs from (10, -10), different by their bounces only, enter the wide and the narrow basin first."""
    optimiser = bbi(0.01, offset=1e-3, fixed_interval=20, progress_interval=750, bounce=bounce)
    start = jnp.asarray([10.0, -10.0])

    def where(x):
        inside = jnp.asarray([WIDE * jnp.sum((x + 2) ** 2) < 1, NARROW * jnp.sum((x - 2) ** 2) < 1])
        return jnp.where(inside.any(), 1 + jnp.argmax(inside), 0).astype(jnp.int32)

    def step(params, state):
        value, grads = jax.value_and_grad(two_basins)(params)
        updates, state = optimiser.update(grads, state, params, value=value)
        return params + updates, state

    @jax.jit
    def first(keys):
        state = jax.vmap(lambda k: optimiser.init(start)._replace(key=jax.random.key_data(k)))(keys)

        def go(carry):
            params, state, entered, k = carry
            params, state = jax.vmap(step)(params, state)
            return params, state, jnp.where(entered > 0, entered, jax.vmap(where)(params)), k + 1

        begun = (jnp.tile(start, (runs, 1)), state, jnp.zeros(runs, jnp.int32), 0)
        return jax.lax.while_loop(lambda c: (c[3] < 25_000) & jnp.any(c[2] == 0), go, begun)[2]

    with jax.enable_x64(True):
        start = jnp.asarray([10.0, -10.0])
        entered = np.asarray(first(jax.random.split(jax.random.key(0), runs)))
    assert np.mean(entered > 0) > 0.99
    return int(np.sum(entered == 1)), int(np.sum(entered == 2))


def test_wide_basins_are_entered_more_often_in_a_few_runs() -> None:
    wide, narrow = basins(300, "gaussian")
    share, error = 1.75 / 2.75, math.sqrt(1.75 / 2.75**2 / 300)
    assert abs(wide / (wide + narrow) - share) < 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("bounce", ["gaussian", "cube"])
def test_wide_basins_are_entered_more_often(bounce: str) -> None:
    """1.725 in the paper. Times of first entry are no stationary law: mixing would predict 1.926."""
    wide, narrow = basins(2000, bounce)
    assert wide / narrow == pytest.approx(1.75, abs=0.15)
    assert wide / narrow < occupation_ratio([WIDE] * 2, [NARROW] * 2) == pytest.approx(1.926, abs=1e-3)


def steps_to(optimiser: optax.GradientTransformation, small: float, most: int = 20_000):
    """Steps until (x^2 + m^2 y^2)/2 from (1, 1) has fallen by 1e-8."""
    optimiser = optax.with_extra_args_support(optimiser)
    start = jnp.ones(2)
    loss: Callable = lambda x: (x[0] ** 2 + small**2 * x[1] ** 2) / 2  # noqa: E731

    def go(carry):
        params, state, k = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(grads, state, params, value=value)
        return params + updates, state, k + 1

    def on(carry):
        return (carry[2] < most) & ~(loss(carry[0]) < 1e-8 * loss(start))

    return jax.lax.while_loop(on, go, (start, optimiser.init(start), 0))[2]


def fewest(make: Callable, values: np.ndarray, small: float) -> int:
    with jax.enable_x64(True):
        return int(jnp.min(jax.jit(jax.vmap(lambda v: steps_to(make(v), small)))(jnp.asarray(values))))


@pytest.mark.parametrize(("small", "expected"), [(0.1, 58), (0.03, 161), (0.01, 382)])
def test_steps_down_a_valley(small: float, expected: int) -> None:
    steps = fewest(lambda dt: bbi(dt, fixed_interval=None, progress_interval=None), np.linspace(0.8, 2.0, 61), small)
    assert steps == pytest.approx(expected, rel=0.15)


def test_steps_of_gradient_descent_with_and_without_momentum() -> None:
    small = 0.01
    best = (2 / (1 + small)) ** 2, ((1 - small) / (1 + small)) ** 2
    with jax.enable_x64(True):
        optimal = int(steps_to(optax.sgd(best[0], momentum=best[1]), small))
    assert optimal == pytest.approx(831, rel=0.05)
    usual = fewest(lambda lr: optax.sgd(lr, momentum=0.9), np.linspace(3.0, 3.79, 80), small)
    # the flat direction has to shrink a hundredfold, at lr m^2/(1 - decay) per step, lr below 2 (1 + decay)
    assert usual == pytest.approx(math.log(100) / (2 * 1.9 * small**2 / 0.1), rel=0.05)
    assert fewest(optax.sgd, np.linspace(1.0, 2.0, 21), small) > 19_999
