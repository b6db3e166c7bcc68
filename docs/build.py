"""Turn docs/*.md and pages at the root into a static site, readable offline: ``python docs/build.py site``."""

from __future__ import annotations

import html
import re
import shutil
import sys
from pathlib import Path

import markdown
from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parents[1]
EXTRA = ("CONTRIBUTING.md", "CHANGELOG.md")
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title} · quenched</title>
<style>
body {{ font: 17px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
nav a {{ margin-right: 1em; white-space: nowrap; }} pre {{ background: #f5f5f2; padding: .8em; overflow-x: auto; }}
img {{ max-width: 100%; }}
code {{ font-size: .9em; }} table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: .3em .6em; text-align: left; }}
</style>
<nav>{nav}</nav><hr>
{body}
</html>
"""
# code first, so that a dollar sign inside code is not a formula
FORMULA = re.compile(r"(?P<code>```.*?```|`[^`\n]+`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$", re.DOTALL)


def render(text: str) -> str:
    """Markdown with formulas to HTML. Formulas are taken out before, because Markdown would read their underscores."""
    formulas: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        if match["code"]:
            return match["code"]
        tex = match["block"] or match["inline"]
        formulas.append(convert(tex.strip(), display="block" if match["block"] else "inline"))
        return f"FORMULA{len(formulas) - 1}END"

    body = markdown.markdown(FORMULA.sub(take_out, text), extensions=["tables", "fenced_code", "toc"])
    body = re.sub(r'href="(?!https?:)([^"#]*/)?([\w.-]+)\.md(#[^"]*)?"', r'href="\2.html\3"', body)
    return re.sub(r"FORMULA(\d+)END", lambda match: formulas[int(match[1])], body)


def build(target: Path) -> list[Path]:
    """Write every page, and copy the figures."""
    sources = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in EXTRA)]
    sources.sort(key=lambda path: path.name != "index.md")
    titles = {
        source: next(line[2:] for line in source.read_text("utf-8").splitlines() if line.startswith("# ")) for source in sources
    }
    nav = " ".join(f'<a href="{source.stem}.html">{html.escape(title)}</a>' for source, title in titles.items())
    target.mkdir(parents=True, exist_ok=True)
    for source, title in titles.items():
        page = PAGE.format(title=html.escape(title), nav=nav, body=render(source.read_text("utf-8")))
        (target / f"{source.stem}.html").write_text(page, "utf-8")
    if (ROOT / "docs" / "figures").is_dir():
        shutil.copytree(ROOT / "docs" / "figures", target / "figures", dirs_exist_ok=True)
    return [target / f"{source.stem}.html" for source in sources]


if __name__ == "__main__":
    print("\n".join(map(str, build(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))))
