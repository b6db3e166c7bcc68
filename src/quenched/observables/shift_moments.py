"""The decomposition of the test loss accumulated inside the loop: no sample is stored."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from quenched.numerics import checks
from quenched.observables.accumulators import AbstractAccumulator
from quenched.observables.loss_curvature import double_if
from quenched.observables.shift_curvature import ChainMoments, as_vector, decomposition, located
from quenched.records.datasets import dataset
from quenched.records.description import describe
from quenched.records.labels import Label, register_label

for _name, _label in {
    "shift_mean": Label("mean of the parameters, relative to the training minimum", "b", dims=("parameter",)),
    "shift_quadratic": Label("mean of the quadratic test loss around the training minimum", r"\frac12 E[x\cdot Cx]"),
    "shift_square": Label("mean square distance from the training minimum", "E|x|^2"),
    "shift_excess": Label("excess test loss", r"E[U_{\mathrm{te}}]-U_{\mathrm{te}}(\theta_{\mathrm{te}})"),
    "shift_count": Label("states that were counted", "n"),
}.items():
    register_label(_name, _label)


class ShiftState(eqx.Module):
    """The number of states seen, and their means."""

    seen: Int[Array, ""]
    mean: Float[Array, " parameter"]
    quadratic: Float[Array, ""]
    square: Float[Array, ""]
    excess: Float[Array, ""]


class ShiftMoments(AbstractAccumulator):
    """Running means of what ``shift_curvature`` needs, over every ``every``-th step after ``burn_in``.

    ``test_loss`` of the weights; the two minima are pytrees of arrays like the weights. With x = theta - theta_tr and C the
    Hessian at theta_te the results are ``shift_mean`` E x (parameter,), ``shift_quadratic`` E x.C x/2, ``shift_square`` E
    |x|^2, ``shift_excess`` and ``shift_count``; ``shift_curvature_from_moments`` makes the decomposition of them, with
    replicas as chains. Memory: N + 4; a counted step costs one Hessian-vector product. Never written into a file.
    """

    test_loss: Callable[[Any], Any] = eqx.field(static=True)
    test_minimum: PyTree
    train_minimum: PyTree
    burn_in: int = eqx.field(default=0, converter=operator.index)
    every: int = eqx.field(default=1, converter=operator.index)

    def __init__(self, test_loss: Any, test_minimum: Any, train_minimum: Any, burn_in: int = 0, every: int = 1):
        self.test_loss = test_loss
        te, tr = as_vector("test_minimum", test_minimum)[0], as_vector("train_minimum", train_minimum)[0]
        if te.shape != tr.shape:
            raise checks.ParameterError(f"minima must be alike, got {te.shape} and {tr.shape} weights")
        with double_if(te):
            self.test_minimum, self.train_minimum = (jax.tree.map(jnp.asarray, t) for t in (test_minimum, train_minimum))
        self.burn_in, self.every = operator.index(burn_in), operator.index(every)
        checks.integer_at_least("burn_in", self.burn_in, 0)
        checks.integer_at_least("every", self.every, 1)

    def described(self) -> dict[str, Any]:
        """Nothing of a user's loss can be brought back from a file: the shapes and checksums of the minima only."""
        minima = {name: describe(as_vector(name, getattr(self, name))[0]) for name in ("test_minimum", "train_minimum")}
        return {**minima, "burn_in": self.burn_in, "every": self.every}

    def init(self, weights: PyTree) -> ShiftState:
        vector = ravel_pytree(weights)[0]
        zero = jnp.zeros((), vector.dtype)
        return ShiftState(jnp.zeros((), jnp.int32), jnp.zeros_like(vector), zero, zero, zero)

    def update(self, state: ShiftState, weights: PyTree, step: Int[Array, ""]) -> ShiftState:
        counted = (step > self.burn_in) & ((step - self.burn_in) % self.every == 0)
        return lax.cond(counted, lambda: self._with(state, weights), lambda: state)

    def _with(self, state: ShiftState, weights: PyTree) -> ShiftState:
        theta, back = ravel_pytree(weights)
        te, tr = (ravel_pytree(p)[0].astype(theta.dtype) for p in (self.test_minimum, self.train_minimum))
        slope = jax.grad(lambda v: self.test_loss(back(v)))
        x = theta - tr
        quadratic = jnp.dot(x, jax.jvp(slope, (te,), (x,))[1]) / 2
        now = ShiftState(state.seen + 1, x, quadratic, jnp.dot(x, x), self.test_loss(weights) - self.test_loss(back(te)))
        share = 1 / now.seen.astype(theta.dtype)
        means = jax.tree.map(lambda old, new: (old + (new - old) * share).astype(old.dtype), state, now)
        return eqx.tree_at(lambda s: s.seen, means, now.seen)

    def finish(self, state: ShiftState) -> dict[str, Array]:
        found = {"mean": state.mean, "quadratic": state.quadratic, "square": state.square, "excess": state.excess}
        return {f"shift_{name}": value for name, value in found.items()} | {"shift_count": state.seen}


def shift_curvature_from_moments(
    run: xr.Dataset,
    test_loss: Callable[[Any], Any],
    test_minimum: Any,
    train_minimum: Any,
    *,
    temperature: float | int | None = None,
    tolerance: float = 1e-3,
) -> xr.Dataset:
    """The Dataset of ``shift_curvature`` from a run of ``simulate`` with the accumulator ``ShiftMoments``; chains are replicas.

    Loss and minima are those of the accumulator. Raises ``ParameterError`` for a run without it or without a counted step, for
    more than one disorder sample, whose minima differ, and as ``shift_curvature``; an indefinite C cannot be projected
    afterwards.
    """
    if temperature is not None:
        checks.positive("temperature", temperature)
    if "shift_mean" not in run or run.sizes.get("disorder", 1) != 1:
        raise checks.ParameterError("run must have one disorder sample and the accumulator ShiftMoments")
    if not int(run["shift_count"].min()) > 0:
        raise checks.ParameterError("run must have counted at least one step: burn_in is too long")
    te, back = as_vector("test_minimum", test_minimum)
    tr, _ = as_vector("train_minimum", train_minimum)
    rows = [np.asarray(run[f"shift_{name}"].values[0], float) for name in ("mean", "quadratic", "square", "excess", "count")]
    if tr.shape != te.shape or rows[0].shape[1:] != te.shape:
        raise checks.ParameterError(f"minima must be those of the accumulator, got {te.shape}, {tr.shape}, {rows[0].shape[1:]}")
    with double_if(te):
        curvature = located(test_loss, back, te, "refuse", tolerance)
        found = decomposition(curvature, tr, ChainMoments(*rows))
    extra = {} if temperature is None else {"temperature": float(temperature)}
    return dataset({name: ((), value) for name, value in found.items()}, {}, {"engine": "shift_curvature"}, **extra)
