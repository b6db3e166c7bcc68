"""Checkpoints: the state between two chunks in one file, from which a run goes on bit for bit.

The file is an ``.npz`` without pickles: a JSON text (description of the run, position, names) and plain arrays; typed random
keys are stored as their integers. It is replaced atomically, so that a run killed at any moment leaves a whole checkpoint,
and it is removed when the run ends well: the answer is then the Dataset (keep it with ``records.save``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from quenched.dynamics.recording import Records
from quenched.numerics.checks import ParameterError
from quenched.records.files import DamagedFileError, replacing

# writing takes at most one part in twenty of the run's time
_SHARE = 20.0


class Position(NamedTuple):
    """Where a run stands: the first sample of its current block and the steps that the block has made."""

    sample: int
    step: int


class Checkpoint:
    """The checkpoint file of one run; ``description`` is what decides about its bits."""

    def __init__(self, path: str | Path, description: Mapping[str, Any]) -> None:
        self.path = Path(path)
        # through JSON, so that tuples and lists compare equal to what a file gives back
        self.description = json.loads(json.dumps(description, sort_keys=True))
        self._due = 0.0
        if not self.path.parent.is_dir():
            raise ParameterError(f"checkpoint must be a file in an existing folder, got {str(path)!r}")

    def write(self, position: Position, carry: PyTree, records: Records) -> None:
        """Store the state (None where a block has yet to begin), unless the last writing is so recent that files would take a
        sizeable part of the run's time.
        """
        started = time.monotonic()
        if started < self._due:
            return
        arrays = {f"state_{i}": leaf for i, leaf in enumerate(_leaves(carry))}
        names = list(records.arrays)
        arrays.update({f"record_{i}": records.arrays[name] for i, name in enumerate(names)})
        text = json.dumps({"description": self.description, "position": position, "records": names})
        arrays["text"] = np.array(text)
        with replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        now = time.monotonic()
        self._due = now + _SHARE * (now - started)

    def read(self, records: Records) -> tuple[Position, list[np.ndarray]] | None:
        """Position and leaves of the stored state, None if there is no file; fills ``records``.

        Raises ``ParameterError`` if the file belongs to another run, naming the difference, ``DamagedFileError`` if it cannot
        be read.
        """
        if not self.path.exists():
            return None
        try:
            with open(self.path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                text = json.loads(str(file["text"]))
                theirs = text["description"]
                leaves = [file[f"state_{i}"] for i in range(sum(name.startswith("state_") for name in file.files))]
                stored = {(kind, name): file[f"record_{i}"] for i, (kind, name) in enumerate(text["records"])}
                position = Position(*text["position"])
        except Exception as error:  # zip and NumPy raise anything from KeyError to zlib.error on damaged bytes
            raise DamagedFileError(f"{self.path} is damaged or not a checkpoint: {type(error).__name__}: {error}") from error
        self._refuse(theirs)
        records.arrays.update(stored)
        return position, leaves

    def remove(self) -> None:
        """The run has ended well."""
        self.path.unlink(missing_ok=True)

    def _refuse(self, theirs: Mapping[str, Any]) -> None:
        ours = self.description
        for key in sorted({*ours, *theirs}):
            if ours.get(key) != theirs.get(key):
                difference = f"{key} is {theirs.get(key)!r} there and {ours.get(key)!r} here"
                raise ParameterError(f"checkpoint {self.path} belongs to another run: {difference}")


def restore(carry: PyTree, leaves: list[np.ndarray]) -> PyTree:
    """The state of a fresh start with its arrays replaced by stored ones."""
    moving, fixed = eqx.partition(carry, eqx.is_array)
    fresh, structure = jax.tree.flatten(moving)
    return eqx.combine(jax.tree.unflatten(structure, [_restored(f, s) for f, s in zip(fresh, leaves, strict=True)]), fixed)


def _leaves(carry: PyTree) -> list[np.ndarray]:
    moving = jax.tree.leaves(eqx.filter(carry, eqx.is_array))
    return [np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for leaf in moving]


def _restored(fresh: jax.Array, stored: np.ndarray) -> jax.Array:
    if _is_key(fresh):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(fresh))
    return jnp.asarray(stored)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
