"""Every Python block of the README and of the pages in docs runs as it stands; blocks of one page share their names.

The page on sweeps is followed word for word: its commands are run between its Python blocks, in one folder, and what the page
shows of their output is compared. Blocks that need another machine have other languages (``bash``, ``py``) and are not run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
FOLLOWED = ROOT / "docs" / "sweep.md"
STEP = re.compile(r"^```(console|text|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def execute(page: Path, text: str, match: re.Match[str], names: dict[str, object]) -> None:
    """A Python block of a page, which is the last group of the match."""
    last = match.re.groups
    # as many empty lines as stand before the block: a traceback then shows the line of the page
    padding = "\n" * text[: match.start(last)].count("\n")
    with matplotlib.rc_context({"backend": "Agg"}):
        exec(compile(padding + match[last], page, "exec"), names)


RUN = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.name != "README.md"))
    for page in PAGES
    if blocks(page) and page != FOLLOWED
]


@pytest.mark.parametrize("page", RUN)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": f"page_{page.stem.replace('-', '_')}"}
    for match in BLOCK.finditer(text):
        execute(page, text, match, names)


def test_the_page_on_sweeps_is_followed_word_for_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = FOLLOWED.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "page_sweep"}
    told = ""
    for match in STEP.finditer(text):
        language, block = match.groups()
        if language == "console":
            told = "".join(run(line) for line in block.splitlines())
        elif language == "text":
            assert block in told
        else:
            execute(FOLLOWED, text, match, names)


def run(line: str) -> str:
    """A command of a page in a process of its own; what it printed."""
    words = shlex.split(line)
    assert words[0] == "quenched"
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "160"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def test_local_links_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
