"""The host's side of a run: rows of observations put into arrays (disorder, replica, t, ...), and two-time functions made of
snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Num, Shaped

from quenched.numerics.checks import ParameterError
from quenched.records.labels import trailing_dims

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]

_TIME = "time"
_ONCE = "once"
_SNAPSHOTS = ("block", "weights")


class Records:
    """Arrays that fill up during a run. ``arrays`` maps (kind, name) to an array whose first axis is the disorder sample."""

    def __init__(self, disorder: int, observations: int, *, keep_weights: bool = False) -> None:
        self.disorder = disorder
        self.observations = observations
        self.keep_weights = keep_weights
        self.arrays: dict[tuple[str, str], np.ndarray] = {}

    def put(self, first: int, slot: int, rows: Mapping[str, Any], count: int) -> None:
        """Enter ``count`` observations of a block of samples, arrays (block, count or more, replica, ...), from number ``slot``
        on. Weights that are only a means to correlations are held for one block.
        """
        for name, values in rows.items():
            block = np.moveaxis(np.asarray(values)[: self.disorder - first, :count], 1, 2)
            shape = (block.shape[1], self.observations, *block.shape[3:])
            if name == "weights" and not self.keep_weights:
                store = self.arrays.setdefault(_SNAPSHOTS, np.zeros((len(block), *shape), block.dtype))
            else:
                store = self._store(_TIME, name, shape, block.dtype)[first : first + len(block)]
            store[:, :, slot : slot + count] = block

    def put_once(self, first: int, values: Mapping[str, Any]) -> None:
        """Enter what is evaluated once per replica, arrays (block, replica, ...)."""
        for name, value in values.items():
            block = np.asarray(value)[: self.disorder - first]
            self._store(_ONCE, name, block.shape[1:], block.dtype)[first : first + len(block)] = block

    def two_time(self, first: int, block: int, *, pairs: bool) -> None:
        """Correlations of the snapshots of a finished block."""
        kept = self.keep_weights
        snapshots = self.arrays[_TIME, "weights"][first : first + block] if kept else self.arrays.pop(_SNAPSHOTS)
        parts = [correlations(sample, pairs) for sample in snapshots]
        self.put_once(first, {name: np.stack([part[name] for part in parts]) for name in parts[0]})

    def variables(self) -> Variables:
        """Everything with its dimensions, for the Dataset."""
        found: Variables = {}
        for (kind, name), values in self.arrays.items():
            if name in found:
                raise ParameterError(f"observable names must be distinct, got {name!r} twice")
            dims: tuple[str, ...] = ("disorder", "replica")
            if kind == _TIME or name in ("correlation", "replica_correlation"):
                dims = (*dims, "t")
            found[name] = ((*dims, *trailing_dims(name, values.ndim - len(dims))), values)
        return found

    def _store(self, kind: str, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if (kind, name) not in self.arrays:
            self.arrays[kind, name] = np.zeros((self.disorder, *shape), dtype)
        return self.arrays[kind, name]


def correlations(weights: Num[np.ndarray, "replica t n"], pairs: bool) -> dict[str, Shaped[np.ndarray, "replica t t"]]:
    """C(t,t') = w(t).w(t')/N of every replica and, with ``pairs``, the mean over the other replicas j of w_i(t).w_j(t')/N;
    float64.
    """
    replicas, _, n = weights.shape
    total = weights.sum(0, dtype=np.float64)
    own, cross = [], []
    for replica in weights:
        w = replica.astype(np.float64)
        own.append(w @ w.T / n)
        if pairs:
            cross.append(w @ (total - w).T / (n * (replicas - 1)))
    return {"correlation": np.stack(own), **({"replica_correlation": np.stack(cross)} if pairs else {})}
