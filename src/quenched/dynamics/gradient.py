"""The gradient rule: batch process x optax transformation x ridge x thermal noise x constraint."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import Fresh, Full
from quenched.dynamics.constraints import AbstractConstraint, Free
from quenched.dynamics.minibatches import AbstractMinibatch, GaussianBatch
from quenched.dynamics.sampling import AbstractSampling
from quenched.dynamics.schedules import AbstractSchedule, learning_rates, rate_at
from quenched.dynamics.transforms import AbstractTransform, Plain
from quenched.models.base import AbstractLossModel, AbstractModel, Disorder, Weights, squared_norm
from quenched.numerics import checks
from quenched.records.description import public


class GradientState(eqx.Module):
    """Weights, optimiser state, batch process state and the number of steps made, of one replica."""

    weights: Weights
    optimiser: PyTree
    batch: PyTree
    count: Int[Array, ""]


@public
class Gradient(AbstractDynamics):
    """w <- w + optax update of the gradient of  E = scale * sum_mu s_mu(t) loss_mu(w) + ridge/2 |w|^2.

    ``lr`` is a number > 0 or a schedule; ``batches`` the law of the selections s_mu in {0, 1}; with ``normalise_batch=True``
    they are {0, 1/b} (the convention of arXiv:2210.06591). With minibatches of S samples (``Minibatch``, ``Reshuffled``,
    ``GaussianBatch``) the sum over the batch is always its mean times n, and ``normalise_batch`` is refused. ``ridge`` = lambda
    >= 0 is added once per step, not multiplied by b. ``scale`` is the model's: 1 for single-layer models (sum over samples),
    1/n for networks. ``temperature`` = T >= 0 adds sqrt(2 T lr) N(0, 1) to every weight and step; whether there is noise at all
    is fixed by the constructor, so make a rule
    with another temperature by ``dataclasses.replace``, not by ``tree_at`` from 0. ``constraint`` projects after every step.
    Defaults: lr = 0.2, full batch, no ridge, plain gradient descent, T = 0, no constraint. Physical time is the sum of
    learning rates.

    Raises ``ParameterError`` for lr <= 0, ridge < 0, T < 0, or a batch law that has no legal probabilities at this lr.
    """

    lr: float | AbstractSchedule = 0.2
    batches: AbstractSampling = Full()
    ridge: float = eqx.field(default=0.0, converter=float)
    transform: AbstractTransform = Plain()
    temperature: float = eqx.field(default=0.0, converter=float)
    constraint: AbstractConstraint = Free()
    normalise_batch: bool = False
    thermal: bool = eqx.field(init=False)

    def __init__(
        self,
        lr: float | int | AbstractSchedule = 0.2,
        batches: AbstractSampling = Full(),
        ridge: float | int = 0.0,
        transform: AbstractTransform = Plain(),
        temperature: float | int = 0.0,
        constraint: AbstractConstraint = Free(),
        normalise_batch: bool = False,
    ):
        self.lr = lr if isinstance(lr, AbstractSchedule) else _number("lr", lr)
        self.batches = batches
        self.ridge = ridge
        self.transform = transform
        self.temperature = temperature
        self.constraint = constraint
        self.normalise_batch = normalise_batch
        # whether noise is drawn is a branch of the compiled code, the temperature itself is traced
        self.thermal = _number("temperature", temperature) > 0

    def __check_init__(self) -> None:
        checks.instance("batches", self.batches, AbstractSampling)
        if self.normalise_batch and isinstance(self.batches, AbstractMinibatch | GaussianBatch):
            raise checks.ParameterError("normalise_batch must be False with minibatches of a size: they are normalised already")
        checks.instance("transform", self.transform, AbstractTransform)
        checks.instance("constraint", self.constraint, AbstractConstraint)
        checks.non_negative("ridge", self.ridge)
        checks.non_negative("temperature", self.temperature)
        if isinstance(self.lr, float):
            checks.positive("lr", self.lr)
            self.batches.check_lr(self.lr)

    def check(self, model: AbstractModel) -> None:
        if not isinstance(model, AbstractLossModel):
            raise checks.IncompatibleError(f"Gradient needs a model with a loss; {type(model).__name__} has none")
        if isinstance(self.batches, Fresh) and not hasattr(model, "refresh"):
            raise checks.IncompatibleError(
                f"Fresh batches need a model that draws samples; {type(model).__name__} has given data"
            )
        self.constraint.check(model)

    def times(self, steps: int) -> np.ndarray:
        rates = learning_rates(self.lr, steps)
        if rates.size and not (np.all(np.isfinite(rates)) and rates.min() > 0):
            raise checks.ParameterError(f"lr must be > 0 at every step, got {rates.min()!r}")
        if rates.size:
            self.batches.check_lr(float(rates.max()))
        return np.concatenate([[0.0], np.cumsum(rates)])

    # ---- one replica

    def _optimiser(self) -> optax.GradientTransformationExtraArgs:
        return optax.with_extra_args_support(self.transform.build(self.lr))

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> GradientState:
        key_batch, key_optimiser = jax.random.split(key)
        weights = self.constraint.project(weights)
        batch = self.batches.init(key_batch, model.samples(disorder))
        optimiser = own_keys(self._optimiser().init(weights), key_optimiser)
        return GradientState(weights, optimiser, batch, jnp.zeros((), jnp.int32))

    def step(
        self, model: Any, state: GradientState, disorder: Disorder, key: PRNGKeyArray, field: Weights | None = None
    ) -> GradientState:
        """One step. ``field`` F is an external force: minus F is added to the gradient (for linear response)."""
        key_batch, key_noise, key_fresh = jax.random.split(key, 3)
        if isinstance(self.batches, Fresh):
            disorder = model.refresh(key_fresh, disorder)

        def energy(w: Weights) -> Float[Array, ""]:
            batch = self.batches.energy(model, w, disorder, state.batch, self.normalise_batch)
            return batch + 0.5 * self.ridge * squared_norm(w)

        value, gradient = jax.value_and_grad(energy)(state.weights)
        if field is not None:
            gradient = jax.tree.map(lambda g, f: g - f, gradient, field)
        updates, optimiser = self._optimiser().update(
            gradient, state.optimiser, state.weights, value=value, grad=gradient, value_fn=energy
        )
        weights = optax.apply_updates(state.weights, updates)
        lr = rate_at(self.lr, state.count)
        if self.thermal:
            weights = add_noise(key_noise, weights, jnp.sqrt(2 * self.temperature * lr))
        weights = self.constraint.project(weights)
        batch = self.batches.step(state.batch, key_batch, lr)
        return GradientState(weights, optimiser, batch, state.count + 1)

    def weights(self, state: GradientState) -> Weights:
        return state.weights


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or value is None:
        raise checks.ParameterError(f"{name} must be a number, got {value!r}")
    return float(value)


def own_keys(state: PyTree, key: PRNGKeyArray) -> PyTree:
    """Give every random key inside an optimiser's state a value of its own replica: optax draws the same one for all."""

    def fresh(leaf: Any, index: int) -> Any:
        own = jax.random.fold_in(key, index)
        if not eqx.is_array(leaf):
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jax.random.bits(own, jax.random.key_data(leaf).shape, jnp.uint32))
        if leaf.dtype == jnp.uint32 and leaf.shape == (2,):
            return jax.random.bits(own, (2,), jnp.uint32)
        return leaf

    leaves, structure = jax.tree.flatten(state)
    return jax.tree.unflatten(structure, [fresh(leaf, index) for index, leaf in enumerate(leaves)])


def add_noise(key: PRNGKeyArray, weights: Weights, scale: Float[Array, ""]) -> Weights:
    """Add scale * N(0, 1) to every weight of a pytree."""
    leaves, structure = jax.tree.flatten(weights)
    keys = jax.random.split(key, len(leaves))
    noisy = [w + scale.astype(w.dtype) * jax.random.normal(k, w.shape, w.dtype) for k, w in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noisy)
