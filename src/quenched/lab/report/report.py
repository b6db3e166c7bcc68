"""``report``: from stores and runs to one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from quenched.lab.report.page import render
from quenched.lab.report.parts import run_part, sweep_part
from quenched.lab.report.pictures import Album
from quenched.lab.report.sections import judge, section, study_class
from quenched.lab.report.sources import Run, read
from quenched.numerics import checks
from quenched.records.files import write

CLAIMS = ("stored", "none", "quick", "all")

_PICTURES = 3_200_000
_SLICES = 1_200_000


def report(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    claims: str = "stored",
    title: str | None = None,
    consent: bool = False,
    listen: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write one self-contained HTML page about stores and runs, and return its path.

    ``paths``: stores of ``sweep``, folders that ``quenched run`` wrote, or their netCDF files. ``claims``: ``stored`` shows the
    verdicts that a run wrote beside its data, ``quick`` and ``all`` judge now, ``none`` shows no claims. ``title``: by default
    that of the study. ``listen`` hears what is being done, line by line.

    The page needs no network and stays below five megabytes: figures and slices that have no room are named on it. Studies
    are found by name in the registry; one that is not installed is shown by its data and provenance. Components from foreign
    packages are imported with ``consent=True`` only; without it such a run has no figures. Raises ``ParameterError`` for paths
    that are neither, ``DamagedFileError`` for damaged files.
    """
    checks.one_of("claims", claims, CLAIMS)
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given:
        raise checks.ParameterError("paths must name at least one store or run, got none")
    out = Path(out).expanduser()
    if out.is_dir() or not out.parent.is_dir():
        raise checks.ParameterError(f"out must be a file in an existing folder, got {out}")
    sources = [source for path in given for source in read(Path(path).expanduser())]
    album, room = Album(_PICTURES), _SLICES // len(sources)
    sections = []
    for name in dict.fromkeys(source.study for source in sources):
        own = [source for source in sources if source.study == name]
        study, note = study_class(name)
        content = section(name, study, note)
        stored = next((source.rows for source in own if source.rows), [])
        judge(content, name, study, claims, stored, listen)
        for source in own:
            listen(f"{name}: {source.path.name}")
            one = (
                run_part(source, study, album, consent)
                if isinstance(source, Run)
                else sweep_part(source, study, album, room, consent)
            )
            content.parts.append(one)
        sections.append(content)
    heading = title or (sections[0].title or sections[0].name if len(sections) == 1 else f"{len(sections)} studies")
    # half a character pair, which JSON can hold and a file cannot, is shown by its number
    write(render(heading, sections).encode(errors="backslashreplace"), out)
    return out
