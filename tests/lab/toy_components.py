"""Components of a stranger's package, found by their import path only: nothing imports this file before it is named."""

from __future__ import annotations

from typing import Any

import equinox as eqx

from quenched.models import AbstractModel


class Spins(AbstractModel):
    bias: float = eqx.field(default=0.5, converter=float)

    def sizes(self, size: int) -> tuple[int, ...]:
        return (size,)

    def sample(self, key: Any, sizes: Any, dtype: Any) -> None:
        return None

    def initial(self, key: Any, disorder: Any) -> None:
        return None
