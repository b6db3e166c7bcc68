"""Figures as ``data:`` addresses: an image of its own, so that neither scripts nor identifiers of a drawing reach the page."""

from __future__ import annotations

import base64
import io
import re
import warnings
from typing import TYPE_CHECKING

from quenched.lab.report.content import Picture
from quenched.plot.style import METADATA, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGE = 700_000


class Album:
    """Takes in figures until their room on the page is used up; ``left_out`` names those that came too late."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.left_out: list[str] = []

    def picture(self, name: str, figure: Figure, caption: str = "") -> Picture | None:
        """The figure as SVG, or as PNG if its drawing is larger than that; None if there is no room for either."""
        uri = _address(figure, "svg")
        if len(uri) > min(_LARGE, self.room):
            png = _address(figure, "png")
            uri = png if len(png) < len(uri) else uri
        if len(uri) > self.room:
            self.left_out.append(name)
            return None
        self.room -= len(uri)
        return Picture(uri, in_words(name, figure), caption)


def in_words(name: str, figure: Figure) -> str:
    """What the panels of a figure show, for those who cannot see it."""
    panels = []
    for ax in figure.axes:
        title = ax.get_title() or ax.get_title(loc="left")
        across, upwards = ax.get_xlabel(), ax.get_ylabel()
        if title or (across and upwards):
            shown = f"{upwards} against {across}" if across and upwards else across or upwards
            panels.append(_without_latex(f"{title}: {shown}" if title and shown else title or shown))
    return "; ".join([f"{name}. {panels[0]}", *panels[1:]]) if panels else name


def _without_latex(text: str) -> str:
    text = re.sub(r"\\(?:mathrm|text)\b", "", text)
    return re.sub(r"[$\\{}]", "", text)


def _address(figure: Figure, kind: str) -> str:
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        # a name may have characters that the figures' font lacks; a box stands in their place
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=kind, metadata=METADATA[kind], facecolor="white")
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{media};base64,{base64.b64encode(buffer.getvalue()).decode()}"
