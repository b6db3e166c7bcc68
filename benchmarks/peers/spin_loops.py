"""Sequential heat bath as one writes it in NumPy and in Numba: one spin after the other, fields kept up to date."""

from __future__ import annotations

import numba
import numpy as np


def numpy_sweeps(couplings: np.ndarray, spins: np.ndarray, temperature: float, sweeps: int, seed: int = 0) -> np.ndarray:
    """Spins (N,) after ``sweeps`` sweeps in random order at T > 0; fields float32."""
    rng = np.random.default_rng(seed)
    spins = spins.copy()
    fields = couplings @ spins
    for _ in range(sweeps):
        uniform = rng.random(len(spins), dtype=np.float32)
        for i in rng.permutation(len(spins)):
            new = 1 if uniform[i] < 1 / (1 + np.exp(-2 * fields[i] / temperature)) else -1
            if new != spins[i]:
                fields += couplings[i] * (new - spins[i])
                spins[i] = new
    return spins


@numba.njit(fastmath=True)
def numba_sweeps(couplings: np.ndarray, spins: np.ndarray, temperature: float, sweeps: int, seed: int = 0) -> np.ndarray:
    """The same, compiled."""
    np.random.seed(seed)
    n = len(spins)
    spins = spins.copy()
    fields = couplings @ spins
    for _ in range(sweeps):
        for i in np.random.permutation(n):
            up = 1 / (1 + np.exp(-2 * fields[i] / temperature))
            new = np.float32(1.0) if np.random.random() < up else np.float32(-1.0)
            if new != spins[i]:
                change = new - spins[i]
                row = couplings[i]
                for j in range(n):
                    fields[j] += row[j] * change
                spins[i] = new
    return spins
