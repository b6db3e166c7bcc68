"""quenched: a laboratory for the statistical physics of learning. Every system is simulated and solved.

    import quenched as qd

Rooms and functions are imported when they are first used, so that ``import quenched`` costs nothing and changes nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quenched import (
        classifiers,
        data,
        dynamics,
        instruments,
        losses,
        models,
        observables,
        optimizers,
        plot,
        records,
        sampling,
        studies,
        theory,
    )
    from quenched.dynamics.simulate import simulate
    from quenched.instruments.diagnose import diagnose
    from quenched.lab.gather import open_store as open  # noqa: F401
    from quenched.lab.report.report import report
    from quenched.lab.sweep import sweep
    from quenched.records.files import load, save
    from quenched.theory.coupled import solve_replicas
    from quenched.theory.derivatives import differentiate
    from quenched.theory.limits import continuous_limit, solve_to_error
    from quenched.theory.solve import solve

_ROOMS = (
    "classifiers",
    "data",
    "dynamics",
    "instruments",
    "losses",
    "models",
    "observables",
    "optimizers",
    "plot",
    "records",
    "sampling",
    "studies",
    "theory",
)
_FUNCTIONS = {
    "simulate": "quenched.dynamics.simulate",
    "solve": "quenched.theory.solve",
    "solve_replicas": "quenched.theory.coupled",
    "differentiate": "quenched.theory.derivatives",
    "continuous_limit": "quenched.theory.limits",
    "solve_to_error": "quenched.theory.limits",
    "load": "quenched.records.files",
    "save": "quenched.records.files",
    "open": "quenched.lab.gather",
    "sweep": "quenched.lab.sweep",
    "diagnose": "quenched.instruments.diagnose",
    "report": "quenched.lab.report.report",
}
_OTHER_NAMES = {"open": "open_store"}
# what reads files resolves names in the table of public classes and imports nothing: the table has to be complete before
_READERS = ("load", "open", "report")
_NAMED_IN_FILES = ("data", "dynamics", "losses", "models", "observables", "sampling", "theory")

# without `open`: a star import must not take Python's own away
__all__ = [
    "classifiers",
    "continuous_limit",
    "data",
    "diagnose",
    "differentiate",
    "dynamics",
    "instruments",
    "load",
    "losses",
    "models",
    "observables",
    "optimizers",
    "plot",
    "records",
    "report",
    "sampling",
    "save",
    "simulate",
    "solve",
    "solve_replicas",
    "solve_to_error",
    "studies",
    "sweep",
    "theory",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"quenched.{name}")
    if name in _READERS:
        for room in _NAMED_IN_FILES:
            importlib.import_module(f"quenched.{room}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), _OTHER_NAMES.get(name, name))
    if name == "__version__":
        from importlib.metadata import version

        return version("quenched")
    raise AttributeError(f"module 'quenched' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "open", "__version__"])
