"""The energy-conserving optimisers as a rule: what the chain knows of its energy is observed."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import Fresh, Full
from quenched.dynamics.gradient import Gradient, GradientState, own_keys
from quenched.dynamics.sampling import AbstractSampling
from quenched.dynamics.schedules import AbstractSchedule, number_or_schedule, rate_at
from quenched.dynamics.transforms import AbstractTransform
from quenched.models.base import AbstractLossModel, AbstractModel, Disorder, Weights, squared_norm
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.optimizers import bbi, ecd_sep
from quenched.records.description import public
from quenched.records.labels import Label, register_label

register_label("conserved_energy", Label("conserved energy (ECDSep: its logarithm)", "E"))
register_label("potential_energy", Label("loss above its expected minimum, at the last evaluation", "V"))
register_label("energy_drift", Label("relative error of the energy before rescaling", r"\delta E/E"))
register_label("bounces", Label("bounces so far", r"n_{\mathrm{bounce}}"))
register_label("frozen", Label("whether the particle stands (1) because V <= 0", "f"))
register_label("best_loss", Label("lowest energy of a step so far", r"F_{\min}"))


class AbstractEnergyConserving(AbstractTransform):
    """An optimiser whose state is an ``optimizers.EnergyState``."""

    def __check_init__(self) -> None:
        # the optimiser checks its own options
        self.build(1.0)

    @abc.abstractmethod
    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformationExtraArgs:
        """The optimiser; ``lr`` is the step of time."""


@public
class BBI(AbstractEnergyConserving):
    """Born-Infeld dynamics with bounces: the fields are the arguments of ``optimizers.bbi``, with its defaults.

    ``offset`` = V0 has to lie below the minimum of the energy of every batch.
    """

    offset: float = eqx.field(default=0.0, converter=float)
    extra_energy: float = eqx.field(default=0.0, converter=float)
    fixed_interval: int | None = 1000
    fixed_bounces: int = 1
    progress_interval: int | None = 3000
    bounce: str = "gaussian"
    conserve: bool = True

    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformationExtraArgs:
        return bbi(
            lr,
            offset=self.offset,
            extra_energy=self.extra_energy,
            fixed_interval=self.fixed_interval,
            fixed_bounces=self.fixed_bounces,
            progress_interval=self.progress_interval,
            bounce=self.bounce,
            conserve=self.conserve,
        )


@public
class ECDSep(AbstractEnergyConserving):
    """Separable energy-conserving descent: the fields are the arguments of ``optimizers.ecd_sep``, with its defaults.

    A weight decay is the ``ridge`` of the rule.
    """

    offset: float = eqx.field(default=0.0, converter=float)
    extra_energy: float = eqx.field(default=0.0, converter=float)
    exponent: float = eqx.field(default=1.0, converter=float)
    regularisation: int = 1
    noise: float = eqx.field(default=1e-5, converter=float)
    conserve: bool = True

    def build(self, lr: Real | AbstractSchedule) -> optax.GradientTransformationExtraArgs:
        return ecd_sep(
            lr,
            offset=self.offset,
            extra_energy=self.extra_energy,
            exponent=self.exponent,
            regularisation=self.regularisation,
            noise=self.noise,
            conserve=self.conserve,
        )


@public
class EnergyConserving(AbstractDynamics):
    """Frictionless motion on  V = E_batch(w) - V0,  E_batch = scale * sum_mu s_mu loss_mu(w) + ridge/2 |w|^2.

    ``lr`` is the step of time dt > 0 or a schedule (default 0.01); ``optimiser`` a ``BBI`` or an ``ECDSep``; ``batches``,
    ``ridge`` and ``normalise_batch`` are those of ``Gradient``. With batches V is the energy of the batch; that of the first
    batch is conserved. There is no thermal noise and no constraint: both would change the energy.

    Observed of the chain, besides what the model observes: ``conserved_energy``, ``potential_energy`` V and ``energy_drift`` as
    the last step saw them (NaN and 0 before the first), ``bounces``, ``frozen`` and ``best_loss``, the lowest E_batch so far
    (infinite before the first step).

    Raises ``ParameterError`` for values out of range. Source: arXiv:2201.11137, arXiv:2306.00352.
    """

    lr: float | AbstractSchedule = eqx.field(default=0.01, converter=number_or_schedule)
    optimiser: AbstractEnergyConserving = BBI()
    batches: AbstractSampling = Full()
    ridge: float = eqx.field(default=0.0, converter=float)
    normalise_batch: bool = False

    def __check_init__(self) -> None:
        checks.instance("optimiser", self.optimiser, AbstractEnergyConserving)
        # the gradient rule checks the other fields
        self.core.times(0)

    @property
    def core(self) -> AbstractDynamics:
        """The gradient rule that moves alike. Outside ``jit``."""
        return Gradient(self.lr, self.batches, self.ridge, self.optimiser, normalise_batch=self.normalise_batch)

    def check(self, model: AbstractModel) -> None:
        if not isinstance(model, AbstractLossModel):
            raise checks.IncompatibleError(f"EnergyConserving needs a model with a loss; {type(model).__name__} has none")
        if isinstance(self.batches, Fresh):
            raise checks.IncompatibleError("EnergyConserving needs given data: Fresh batches have no potential that is conserved")
        self.core.check(model)

    def times(self, steps: int) -> np.ndarray:
        return self.core.times(steps)

    def init(self, model: Any, weights: Weights, disorder: Disorder, key: PRNGKeyArray) -> GradientState:
        key_batch, key_optimiser = jax.random.split(key)
        batch = self.batches.init(key_batch, model.samples(disorder))
        optimiser = own_keys(self.optimiser.build(self.lr).init(weights), key_optimiser)
        return GradientState(weights, optimiser, batch, jnp.zeros((), jnp.int32))

    def step(self, model: Any, state: GradientState, disorder: Disorder, key: PRNGKeyArray) -> GradientState:
        def energy(w: Weights) -> Float[Array, ""]:
            batch = self.batches.energy(model, w, disorder, state.batch, self.normalise_batch)
            return batch + 0.5 * self.ridge * squared_norm(w)

        value, slope = jax.value_and_grad(energy)(state.weights)
        updates, optimiser = self.optimiser.build(self.lr).update(slope, state.optimiser, state.weights, value=value)
        weights = optax.apply_updates(state.weights, updates)
        batch = self.batches.step(state.batch, key, rate_at(self.lr, state.count))
        return GradientState(weights, optimiser, batch, state.count + 1)

    def weights(self, state: GradientState) -> Weights:
        return state.weights

    def observe(self, state: GradientState) -> dict[str, Array]:
        inner = state.optimiser
        return {
            "conserved_energy": inner.energy,
            "potential_energy": inner.potential,
            "energy_drift": inner.drift,
            "bounces": inner.bounces,
            "frozen": inner.frozen.astype(jnp.int32),
            "best_loss": inner.best_value,
        }
