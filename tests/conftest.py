"""Run-time checks of array shapes and types: the hook has to stand before any import of the library."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

install_import_hook("quenched", "beartype.beartype")

# how long an example takes says how busy the machine is
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if _DATA.is_dir():
    os.environ.setdefault("QUENCHED_DATA", str(_DATA))
