"""The border between Python numbers in the fields and traced arrays inside compiled code."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Real = float | Float[Array, ""]
"""A parameter as it is seen by code that may run inside ``jit``: a Python float or a traced scalar."""

T = TypeVar("T")


def traced(tree: T, dtype: np.dtype | type | str) -> T:
    """Turn every Python float of a component into a 0-d array, so that changing its value never recompiles.

    Integers, booleans and strings stay as they are: they define shapes and branches.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype) if isinstance(leaf, float) else leaf, tree)
