from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="module")
def threads() -> Iterator[Client]:
    """A cluster in this process, which costs nothing; sweeps see a foreign one."""
    lean = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, **lean) as own,
        Client(own, set_as_default=False) as client,
    ):
        yield client
