"""A model with training and test samples as two losses of one vector, their minima, and SGD that starts at the first."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from quenched.models import AbstractLossModel
from quenched.models.on_data import OnData
from quenched.models.two_layer import LabelledSamples
from quenched.numerics.checks import ParameterError
from quenched.observables import LossOnData, minimum_pair
from quenched.records.description import canonical_json, describe

Loss = Callable[[Array], Array]

SAME, MOVED = "same law", "scaled inputs"
"""The two domains that test samples come from."""


class Problem(NamedTuple):
    """The model of SGD, started at the training minimum; training and test loss of every domain; their minima."""

    model: OnData
    train_loss: Loss
    train_minimum: Float[np.ndarray, " weight"]
    test_losses: dict[str, Loss]
    test_minima: dict[str, Float[np.ndarray, " weight"]]

    @property
    def domains(self) -> list[str]:
        """Names of the domains."""
        return list(self.test_losses)


def problem_of(model: AbstractLossModel, decay: float, scale: float, seed: int) -> Problem:
    """Minima of the mean loss plus ``decay`` |w|^2/2, found from the start that ``seed`` draws; the test inputs of a second
    domain are those of the first times ``scale`` (0: none).

    Raises ``ParameterError`` for a model without held-out samples, ``ConvergenceError`` where minima are not found.
    """
    return _problem(_Named(canonical_json(describe(model)), model), decay, scale, seed)


@dataclasses.dataclass(frozen=True)
class _Named:
    """A model that is equal to another if they are described alike."""

    key: str
    model: Any = dataclasses.field(compare=False)


@functools.lru_cache(maxsize=4)
def _problem(named: _Named, decay: float, scale: float, seed: int) -> Problem:
    with jax.enable_x64(True):
        model = named.model.prepare()
        data = model.sample(jax.random.key(0), model.sizes(None), np.float64)
        if not isinstance(data, LabelledSamples) or data.x_test is None or data.y_test is None:
            raise ParameterError(f"model must have samples (x, y) with held-out ones, got {type(model).__name__}")
        start, back = ravel_pytree(model.initial(jax.random.key(seed), data))

        def mean_of(w: Array, samples: tuple[Array, Array]) -> Array:
            x, y = (jnp.asarray(a, w.dtype) for a in samples)
            return jnp.mean(model.losses(back(w), LabelledSamples(x, y, None, None))) + 0.5 * decay * jnp.sum(w**2)

        train = (data.x, data.y)
        held = {SAME: (data.x_test, data.y_test)} | ({MOVED: (data.x_test * scale, data.y_test)} if scale else {})
        train_loss = functools.partial(mean_of, samples=train)
        tests: dict[str, Loss] = {name: functools.partial(mean_of, samples=samples) for name, samples in held.items()}
        pairs = {name: minimum_pair(train_loss, test, np.asarray(start), max_iterations=20_000) for name, test in tests.items()}
        tr = pairs[SAME].train.position
        sgd = LossOnData(mean_of, jnp.asarray(tr), train)
    minima = {name: pair.test.position for name, pair in pairs.items()}
    return Problem(OnData(sgd), train_loss, tr, tests, minima)
