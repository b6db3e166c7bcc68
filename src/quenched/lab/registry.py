"""Studies by name, from the entry-point group ``quenched.studies`` of every installed package."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from quenched.numerics.checks import QuenchedError

if TYPE_CHECKING:
    from quenched.studies.base import Study

GROUP = "quenched.studies"


class UnknownStudyError(QuenchedError, LookupError):
    """No study of this name is registered."""


class BrokenStudyError(QuenchedError, ImportError):
    """A registered study cannot be imported; the others can."""


def registered() -> dict[str, EntryPoint]:
    """Entry points by study name, sorted; nothing is imported."""
    # where the backport importlib_metadata is imported (dask does) the points found are of its class, not of the one named here
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: EntryPoint(point.name, point.value, point.group) for point in found}


def load(name: str) -> type[Study]:
    """The class of a study. Raises ``UnknownStudyError`` with the nearest names, or ``BrokenStudyError``."""
    points = registered()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"registered: {', '.join(points) or 'none'}"
        raise UnknownStudyError(f"there is no study {name!r}; {hint}")
    from quenched.studies.base import Study

    point = points[name]
    try:
        study = point.load()
    except Exception as error:  # a foreign package may fail in any way; it must not take the others with it
        raise BrokenStudyError(f"study {name} ({point.value}) cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(study, type) and issubclass(study, Study)):
        raise BrokenStudyError(f"study {name} ({point.value}) is not a subclass of quenched.studies.Study")
    return study


def title(name: str) -> str:
    """The one-line title of a study, read from its source where it stands there as a literal.

    Importing a study takes seconds (it pulls in JAX); a list of titles need not. Otherwise as ``load``.
    """
    point = registered().get(name)
    literal = _literal_title(point) if point else None
    return load(name).title if literal is None else literal


def _literal_title(point: EntryPoint) -> str | None:
    package, *rest = point.module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not point.attr:
        return None
    if rest:
        roots = [Path(root) for root in spec.submodule_search_locations or ()]
        stems = [reduce(Path.joinpath, rest, root) for root in roots]
        candidates = [path for stem in stems for path in (stem.with_suffix(".py"), stem / "__init__.py")]
    else:
        candidates = [Path(spec.origin)] if spec.origin else []
    source = next((path for path in candidates if path.is_file()), None)
    if source is None:
        return None
    try:
        module = ast.parse(source.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return None
    for statement in module.body:
        if isinstance(statement, ast.ClassDef) and statement.name == point.attr:
            return next(filter(None, map(_assigned_title, statement.body)), None)
    return None


def _assigned_title(statement: ast.stmt) -> str | None:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    named = any(isinstance(target, ast.Name) and target.id == "title" for target in targets)
    value = getattr(statement, "value", None)
    return value.value if named and isinstance(value, ast.Constant) and isinstance(value.value, str) else None
