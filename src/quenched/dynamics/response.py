"""Linear response by perturbation: three copies of one chain that see the same random numbers.

The base copy is the unperturbed dynamics. From step tw on the other two feel a constant field +-strength theta with random signs
theta_i = +-1, and

    chi(t, tw) = theta.(w+ - w-)/(2 strength N) = sum over s in [tw, t) of lr_s R(t, s) + O(strength^2),

because the field enters as lr_s F and R is the response to lr_s F(s): only w(t) is measured, and no learning rate is divided
out. The random direction makes the trace of the response; its error is of order 1/sqrt(N). Beside it stands B(t, tw) = |w(t) -
w(tw)|^2/(2N) of the base copy, so that B/chi is the effective temperature (arXiv:2112.10852).
"""

from __future__ import annotations

import dataclasses
import inspect
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from quenched.dynamics.base import AbstractDynamics, ChainState
from quenched.models.base import AbstractModel, Disorder, Weights
from quenched.numerics import checks
from quenched.numerics.pytrees import dimension
from quenched.observables.replica_distance import squared_distance
from quenched.records.description import public

# far from the small integers with which a rule may split the same key
_DIRECTION = 0x7468_6574


class ResponseState(eqx.Module):
    """The three chains (base, plus, minus) on a leading axis, the direction theta, w(tw) and the number of steps made."""

    chains: PyTree
    direction: Weights
    reference: Weights
    count: Int[Array, ""]


@public
class PerturbationResponse(AbstractDynamics):
    """A rule together with the measurement of its response and of its displacement after step ``start`` = tw.

    ``rule`` is any dynamics whose ``step`` takes ``field``; ``strength`` (default 0.05) the size of the field in units of the
    gradient per weight; ``start`` >= 0 (default 0) the step from which the field acts. The weights, and every other observable,
    are those of the base copy, which is the run of the rule alone (the same random numbers). Records ``integrated_response``
    and ``half_displacement``, both 0 up to step ``start``.

    A step costs three steps of the rule and the state three states; steps before ``start`` are not cheaper. ``strength`` is too
    large where halving it changes chi: see ``linearity``. Too small, and rounding shows: every step adds an error of about
    (float epsilon) |w_i|/(strength sqrt(N)) to chi. For networks the energy is a mean over n samples, E = sum loss/n: so is its
    gradient, and B/chi is the temperature of that mean energy, n times smaller than in the convention of a sum. ``strength``
    has to be compared with the gradient per weight of that E.

    Raises ``IncompatibleError``, by name, for a rule without ``field``; ``ParameterError`` for strength <= 0, start < 0, or a
    run that ends at ``start`` or before.
    """

    rule: AbstractDynamics
    strength: float = eqx.field(default=0.05, converter=float)
    start: int = eqx.field(default=0, converter=operator.index)

    def __check_init__(self) -> None:
        checks.instance("rule", self.rule, AbstractDynamics)
        checks.positive("strength", self.strength)
        checks.integer_at_least("start", self.start, 0)

    def check(self, model: AbstractModel) -> None:
        if "field" not in inspect.signature(type(self.rule).step).parameters:
            raise checks.IncompatibleError(
                f"PerturbationResponse needs a rule whose step takes `field`; {type(self.rule).__name__} has no external field"
            )
        self.rule.check(model)

    @property
    def core(self) -> AbstractDynamics:
        return self.rule.core

    def times(self, steps: int) -> np.ndarray:
        if steps <= self.start:
            raise checks.ParameterError(f"start must be smaller than the number of steps, {steps}, got {self.start}")
        return self.rule.times(steps)

    # ---- one replica

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> ResponseState:
        base = self.rule.init(model, weights, disorder, key)
        direction = random_signs(jax.random.fold_in(key, _DIRECTION), weights)
        return ResponseState(_copies(base), direction, self.rule.weights(base), jnp.zeros((), jnp.int32))

    def step(self, model: Any, state: ResponseState, disorder: Disorder, key: PRNGKeyArray) -> ResponseState:
        active = (state.count >= self.start).astype(jnp.result_type(float))
        fields = jnp.asarray([0.0, 1.0, -1.0]) * active * self.strength
        rule: Any = self.rule

        def one(chain: ChainState, size: Array) -> ChainState:
            field = jax.tree.map(lambda theta: size.astype(theta.dtype) * theta, state.direction)
            return rule.step(model, chain, disorder, key, field=field)

        chains = eqx.filter_vmap(one)(state.chains, fields)
        # until the start the copies are set to the base: matrix products need not round equally in every column
        waits = state.count + 1 <= self.start
        base = _base(chains)
        chains = _where(waits, _copies(base), chains)
        reference = _where(waits, self.rule.weights(base), state.reference)
        return ResponseState(chains, state.direction, reference, state.count + 1)

    def weights(self, state: ResponseState) -> Weights:
        return self.rule.weights(_base(state.chains))

    def observe(self, state: ResponseState) -> dict[str, Array]:
        base, plus, minus = (self.rule.weights(_copy(state.chains, i)) for i in range(3))
        parts = jax.tree.map(lambda theta, p, m: jnp.sum(theta * (p - m)), state.direction, plus, minus)
        response = jax.tree.reduce(jnp.add, parts) / (2 * self.strength * dimension(base))
        displacement = squared_distance(base, state.reference) / 2
        # exactly zero up to the start, whatever a compiler makes of the difference of two equal expressions
        started = state.count > self.start
        response, displacement = (jnp.where(started, x, jnp.zeros_like(x)) for x in (response, displacement))
        own = self.rule.observe(_base(state.chains))
        return {**own, "integrated_response": response, "half_displacement": displacement}


def random_signs(key: PRNGKeyArray, weights: Weights) -> Weights:
    """Independent signs +-1 in the shape and type of the weights."""
    leaves, structure = jax.tree.flatten(weights)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(structure, [jax.random.rademacher(k, w.shape, w.dtype) for k, w in zip(keys, leaves, strict=True)])


def linearity(model: AbstractModel, probe: PerturbationResponse, *, steps: int, **run: Any) -> float:
    """Relative change of chi when the strength is halved: the largest over time, of the mean over samples, against the largest
    chi.

    Runs ``simulate`` twice with the same seed (``run`` are its other arguments), hence with the same data, batches and
    directions: the change is free of statistical noise. The field enters at second order, so that the error of the full
    strength is about 4/3 of the number. Below 0.01 the response is linear for the purpose of an effective temperature;
    otherwise take a smaller strength.
    """
    from quenched.dynamics.simulate import simulate

    halved = dataclasses.replace(probe, strength=probe.strength / 2)
    full, half = (simulate(model, p, steps=steps, **run)["integrated_response"] for p in (probe, halved))
    return relative_change(full, half)


def relative_change(full: xr.DataArray, half: xr.DataArray) -> float:
    """max over time of |chi - chi'| / max chi', for chi and chi' at full and at half strength from the same random numbers."""
    samples = [dim for dim in ("disorder", "replica") if dim in full.dims]
    change = np.abs((full - half).mean(samples)).max() / np.abs(half.mean(samples)).max()
    return float(change)


def _copies(base: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * 3) if eqx.is_array(leaf) else leaf, base)


def _copy(chains: PyTree, i: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[i] if eqx.is_array(leaf) else leaf, chains)


def _base(chains: PyTree) -> PyTree:
    return _copy(chains, 0)


def _where(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda y, n: jnp.where(condition, y, n) if eqx.is_array(y) else y, yes, no)
