"""The optimisers for PyTorch against those for optax, step by step."""

from __future__ import annotations

import copy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quenched.numerics.checks import DivergenceError, ParameterError
from quenched.optimizers import bbi, ecd_sep
from tests.optimizers.runs import run

torch = pytest.importorskip("torch")
peers = pytest.importorskip("quenched.optimizers.torch")

START = np.array([-1.0, 0.7, 0.4])
STEPS = 80
TURNS = np.random.default_rng(0).normal(size=(STEPS, 3))


def rough(x):
    return 0.02 + (x**2).sum() + 0.3 * (1 - (3 * x[0]).cos() * x[1].cos())


def rough_jax(x):
    return 0.02 + jnp.sum(x**2) + 0.3 * (1 - jnp.cos(3 * x[0]) * jnp.cos(x[1]))


def torch_run(make, steps: int = STEPS, loss=rough):
    first = torch.tensor(START[:2], dtype=torch.float64, requires_grad=True)
    last = torch.tensor(START[2:], dtype=torch.float64, requires_grad=True)
    optimiser = make([{"params": [first]}, {"params": [last]}])
    path, losses = [], []

    def closure():
        optimiser.zero_grad()
        value = loss(torch.cat([first, last]))
        value.backward()
        return value

    for _ in range(steps):
        path.append(np.concatenate([first.detach().numpy(), last.detach().numpy()]))
        losses.append(float(optimiser.step(closure).detach()))
    return optimiser, np.array(path), np.array(losses)


def split(step, params):
    turn = torch.tensor(TURNS[step])
    return [turn[:2], turn[2:]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bbi", {"extra_energy": 0.5, "fixed_interval": 7, "fixed_bounces": 3, "progress_interval": 9}),
        ("bbi", {"extra_energy": 0.5, "fixed_interval": None, "progress_interval": 5}),
        ("bbi", {"offset": 0.01, "fixed_interval": 7, "fixed_bounces": 0, "progress_interval": None}),
        ("bbi", {"offset": 0.3, "fixed_interval": None, "progress_interval": None}),
        ("bbi", {"offset": 0.01, "extra_energy": 0.2, "conserve": False}),
        ("sep", {"extra_energy": 0.5, "noise": 0.1, "exponent": 1.4}),
        ("sep", {"offset": 0.01, "noise": 0.0, "weight_decay": 0.1}),
        ("sep", {"regularisation": 0, "noise": 0.02}),
    ],
)
def test_the_same_numbers_as_with_optax(name: str, options: dict) -> None:
    with jax.enable_x64(True):
        table = jnp.asarray(TURNS)
    injected = {"bounce" if name == "bbi" else "directions": lambda step, params: table[step]}
    found = run(rough_jax, START, (bbi if name == "bbi" else ecd_sep)(0.03, **options, **injected), STEPS)
    make = peers.BBI if name == "bbi" else peers.ECDSep
    optimiser, path, losses = torch_run(lambda p: make(p, 0.03, **options, **{next(iter(injected)): split}))
    np.testing.assert_allclose(path, found.path, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(losses, found.losses, rtol=1e-8)
    shared = optimiser.shared
    for number in ("steps", "bounces", "fixed_done", "frozen"):
        assert shared[number] == getattr(found.state, number), number
    for number in ("energy", "potential", "best_value"):
        assert shared[number] == pytest.approx(float(getattr(found.state, number)), rel=1e-7, abs=1e-10), number
    best = np.concatenate([x.numpy() for x in optimiser.best_params])
    np.testing.assert_allclose(best, found.state.best_params, rtol=1e-7, atol=1e-9)
    assert optimiser.best_value == losses.min() or "weight_decay" in options


def test_a_stored_state_goes_on() -> None:
    weights = torch.nn.Parameter(torch.tensor(START))

    def closure():
        weights.grad = None
        value = rough(weights)
        value.backward()
        return value

    optimiser = peers.BBI([weights], 0.03, extra_energy=0.5, fixed_interval=None, progress_interval=None)
    for _ in range(10):
        optimiser.step(closure)
    stored, place = copy.deepcopy(optimiser.state_dict()), weights.detach().clone()
    for _ in range(10):
        optimiser.step(closure)
    end = weights.detach().clone()
    with torch.no_grad():
        weights.copy_(place)
    again = peers.BBI([weights], 0.1)
    again.load_state_dict(stored)
    for _ in range(10):
        again.step(closure)
    assert torch.equal(weights, end)


def test_a_generator_makes_the_bounces_repeatable() -> None:
    def make(params):
        generator = torch.Generator().manual_seed(4)
        return peers.BBI(params, 0.03, extra_energy=0.5, fixed_interval=7, bounce="cube", generator=generator)

    np.testing.assert_array_equal(torch_run(make)[1], torch_run(make)[1])
    plain = torch_run(lambda p: peers.ECDSep(p, 0.03, noise=0.2, generator=torch.Generator().manual_seed(4)))[1]
    other = torch_run(lambda p: peers.ECDSep(p, 0.03, noise=0.2, generator=torch.Generator().manual_seed(5)))[1]
    assert not np.allclose(plain, other)


def test_refusals() -> None:
    weights = [torch.nn.Parameter(torch.tensor(START))]
    with pytest.raises(ParameterError, match="closure must be given"):
        peers.BBI(weights, 0.1).step()
    with pytest.raises(ParameterError, match="learning_rate must be > 0"):
        peers.BBI(weights, 0.0)
    with pytest.raises(ParameterError, match="fixed_interval must be"):
        peers.BBI(weights, 0.1, fixed_interval=0)
    with pytest.raises(ParameterError, match="exponent must be >= 1"):
        peers.ECDSep(weights, 0.1, exponent=0.5)
    with pytest.raises(ParameterError, match="offset must be < the loss at the start"):
        torch_run(lambda p: peers.BBI(p, 0.1, offset=100.0), 1)
    with pytest.raises(ParameterError, match="value must be finite at the start"):
        torch_run(lambda p: peers.ECDSep(p, 0.1), 1, lambda x: rough(x) / 0)

    def worse(x):
        return rough(x) if torch.equal(x.detach(), torch.tensor(START)) else rough(x) / 0

    with pytest.raises(DivergenceError, match="the loss is inf at step 1"):
        torch_run(lambda p: peers.BBI(p, 0.1), 3, worse)


@pytest.mark.slow
def test_the_other_optimisers_do_not_import_torch() -> None:
    code = "import quenched.optimizers, sys; assert 'torch' not in sys.modules; import quenched.optimizers.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
