"""Learning a flow: the second moment of the weights goes down, and with it the variance of an estimate that has no bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from quenched.numerics import checks
from quenched.records.description import public
from quenched.records.labels import Label, register_label
from quenched.sampling.estimators import AbstractEstimator, FiniteTime, problem
from quenched.sampling.fields import AbstractField, Parameters
from quenched.sampling.flow import runge_kutta
from quenched.sampling.targets import AbstractTarget

for _name, _label in {
    "training_log_ratio": Label("logarithm of the mean weight of a training batch", r"\ln\bar A"),
    "training_relative_variance": Label("relative variance of the weights of a training batch", r"\mathrm{Var}\,A/(E\,A)^2"),
    "assisted_probability": Label("probability that a training point is moved down the target's slope", "p"),
}.items():
    register_label(_name, _label)


@public
class FlowTraining(eqx.Module):
    """How a field is trained: ``steps`` (default 50) batches of ``samples`` (default 200) fresh base points.

    Step i has length ``lr``/(1 + D i) (default lr 0.3), where D makes the last one ``lr_ratio`` (default 0.2) times the first.
    ``optimiser`` "normalised" (default) moves by that length along minus the gradient over its norm; "adam" gives it to Adam.

    Assisted training: at step i a point is replaced, with probability ``assisted`` (1 - i/(``assisted_until`` steps)), by where
    it arrives after unit time down the slope of -ln density; so the flow learns of modes that it has not found. The law of the
    points is wrong while this lasts: what is measured in those steps estimates nothing. Defaults 0 (never) and 0.6.

    Raises ``ParameterError`` for values out of range. Source: arXiv:2206.09908, section 5 and appendices.
    """

    steps: int = eqx.field(default=50, static=True)
    samples: int = eqx.field(default=200, static=True)
    lr: float = eqx.field(default=0.3, converter=float)
    lr_ratio: float = eqx.field(default=0.2, converter=float)
    optimiser: str = eqx.field(default="normalised", static=True)
    assisted: float = eqx.field(default=0.0, converter=float)
    assisted_until: float = eqx.field(default=0.6, converter=float)

    def __check_init__(self) -> None:
        checks.integer_at_least("steps", self.steps, 0)
        checks.integer_at_least("samples", self.samples, 2)
        checks.positive("lr", self.lr)
        checks.in_interval("lr_ratio", self.lr_ratio, 0.0, 1.0, closed="right")
        checks.one_of("optimiser", self.optimiser, ("normalised", "adam"))
        checks.in_interval("assisted", self.assisted, 0.0, 1.0)
        checks.in_interval("assisted_until", self.assisted_until, 0.0, 1.0, closed="right")

    def probability(self, step: int) -> float:
        """With which probability a point of step i = ``step`` is replaced."""
        if self.assisted == 0:
            return 0.0
        return max(0.0, self.assisted * (1 - step / (self.assisted_until * self.steps)))

    def transform(self) -> optax.GradientTransformation:
        """The optax optimiser."""
        decay = (1 / self.lr_ratio - 1) / max(1, self.steps)

        def length(count: Any) -> Any:
            return self.lr / (1 + decay * count)

        if self.optimiser == "adam":
            return optax.adam(length)
        return optax.chain(optax.normalize_by_update_norm(), optax.scale_by_learning_rate(length))


class Trained(NamedTuple):
    """Trained ``parameters``; the ``path`` of parameters, one pytree per step and the start; ``history``, arrays (steps,) by
    name; evaluations of the target density and of its gradient.
    """

    parameters: Parameters
    path: tuple[Parameters, ...]
    history: dict[str, Float[np.ndarray, " step"]]
    density_queries: int
    gradient_queries: int


def log_second_moment(
    parameters: Parameters, field: AbstractField, target: AbstractTarget, estimator: AbstractEstimator, x: Float[Array, "n d"]
) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """ln (1/n) sum_i A(x_i)^2 at base points x (n, d), the objective, and the ln A(x_i).

    Its gradient is that of the second moment over the second moment: the same direction, and of a size that optimisers bear.
    """
    given = problem(field, parameters, target)
    logs = jax.vmap(lambda y: estimator.weigh(given, y).log_weight)(x)
    return jax.nn.logsumexp(2 * logs) - jnp.log(len(x)), logs


def train(
    target: AbstractTarget,
    field: AbstractField,
    estimator: AbstractEstimator | None = None,
    training: FlowTraining | None = None,
    *,
    seed: int = 0,
    parameters: Parameters | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> Trained:
    """Minimise the second moment of the weights of ``estimator`` (default ``FiniteTime()``) along ``field``, in float64.

    ``parameters`` start where given, else from ``field.initial``. ``progress(step, numbers)`` is called after every step. A step
    costs as many evaluations of the density, and of its gradient, as its points need; an assisted step at most 4 N gradients
    for each of the ``assisted`` x samples points that may be replaced.

    Raises ``DivergenceError`` naming the step at which the objective or its gradient is no number.
    """
    estimator = FiniteTime() if estimator is None else estimator
    training = FlowTraining() if training is None else training
    checks.seed(seed)
    with jax.enable_x64(True):
        key_start, key_steps = jax.random.split(jax.random.key(seed))
        current = field.initial(key_start, target.dimension) if parameters is None else parameters
        if training.steps and not jax.tree.leaves(current):
            raise checks.ParameterError(f"field must have parameters to train, got {type(field).__name__} without any")
        transform = training.transform()
        state = transform.init(current)
        path, rows = [_on_host(current)], []
        for i in range(training.steps):
            probability = training.probability(i)
            key = jax.random.fold_in(key_steps, i)
            current, state, numbers = _step(
                current, state, key, jnp.asarray(probability), probability > 0, field, target, estimator, training
            )
            row = {name: float(value) for name, value in numbers.items()} | {"assisted_probability": probability}
            if not all(np.isfinite(value) for value in row.values()):
                raise checks.DivergenceError(f"training: the objective or its gradient is not finite at step {i}: {row}")
            path.append(_on_host(current))
            rows.append(row)
            if progress is not None:
                progress(i, row)
    names = ("training_log_ratio", "training_relative_variance", "gradient_norm", "assisted_probability")
    history = {name: np.array([row[name] for row in rows]) for name in names}
    asked = training.steps * training.samples * estimator.queries
    pulls = sum(training.probability(i) > 0 for i in range(training.steps)) * _replaceable(training) * 4 * estimator.steps
    return Trained(path[-1], tuple(path), history, asked, asked + pulls)


def _on_host(tree: Parameters) -> Parameters:
    return jax.tree.map(np.asarray, tree)


def _replaceable(training: FlowTraining) -> int:
    return int(np.ceil(training.assisted * training.samples))


@eqx.filter_jit
def _step(
    parameters: Parameters,
    state: Any,
    key: PRNGKeyArray,
    probability: Any,
    assists: bool,
    field: AbstractField,
    target: AbstractTarget,
    estimator: AbstractEstimator,
    training: FlowTraining,
) -> tuple[Parameters, Any, dict[str, Array]]:
    key_base, key_choice = jax.random.split(key)
    x = jax.random.normal(key_base, (training.samples, target.dimension))
    if assists:
        # points are exchangeable: those that may be replaced come first, and the others cost nothing
        count = _replaceable(training)
        chosen = jax.random.bernoulli(key_choice, probability * training.samples / count, (count,))
        slid = jax.vmap(lambda y: _slide(target, y, estimator.steps))(x[:count])
        x = x.at[:count].set(jnp.where(chosen[:, None], slid, x[:count]))
    objective = jax.value_and_grad(log_second_moment, has_aux=True)
    (log_moment, logs), gradient = objective(parameters, field, target, estimator, x)
    updates, state = training.transform().update(gradient, state, parameters)
    log_mean = jax.nn.logsumexp(logs) - jnp.log(training.samples)
    numbers = {
        "training_log_ratio": log_mean,
        "training_relative_variance": jnp.expm1(log_moment - 2 * log_mean),
        "gradient_norm": optax.tree.norm(gradient),
    }
    return optax.apply_updates(parameters, updates), state, numbers


def _slide(target: AbstractTarget, x: Float[Array, " d"], steps: int) -> Float[Array, " d"]:
    """Where dx/dt = grad ln density arrives at time 1."""
    slope = jax.grad(target.log_density)
    return jax.lax.fori_loop(0, steps, lambda _, y: runge_kutta(slope, y, 1 / steps), x)
