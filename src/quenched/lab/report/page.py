"""The page as one HTML file: template, style and scripts of the package, and nothing from outside."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import quenched
from quenched.lab.report.content import Section

_SCRIPTS = ("scales.js", "drawing.js", "controls.js", "viewer.js")


def render(title: str, sections: Sequence[Section]) -> str:
    """The whole page. It forbids everything but its own style, its own script and embedded images, by their checksums."""
    style = _text("page.css")
    script = "(() => {\n" + '"use strict";\n' + "\n".join(map(_text, _SCRIPTS)) + "})();"
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_checksum(style)}'; script-src '{_checksum(script)}'; base-uri 'none'"
    )
    interactive = any(part.viewer for section in sections for part in section.parts)
    return (
        _environment()
        .from_string(_text("page.html.jinja"))
        .render(
            title=title,
            sections=sections,
            style=Markup(style),
            script=Markup(script) if interactive else None,
            policy=policy,
            version=quenched.__version__,
        )
    )


def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


@functools.cache
def _text(name: str) -> str:
    return resources.files("quenched.lab.report").joinpath("page", name).read_text(encoding="utf-8")


def _checksum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
