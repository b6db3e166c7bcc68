"""Descriptions of components as Python text. Nothing is built, so that any file can be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

LONGEST = 2000
"""Longer texts from files are cut off, with a note how much is missing."""

# control characters, separators of lines, marks that turn the direction of writing, half character pairs
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clipped(text: str, longest: int = LONGEST) -> str:
    """A text from a file as a page can bear it: not too long, and what would disturb its lines by number (``\\u202e``)."""
    shown = _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text[:longest])
    return shown if len(text) <= longest else f"{shown}… ({len(text) - longest} more characters)"


def spelled(description: Any, swept: Mapping[str, str] | None = None, path: str = "") -> Markup:
    """A description as Python code; what stands at a swept path (``rule.batches.fraction``) is its values, marked."""
    swept = swept or {}
    if path in swept:
        return Markup("<mark>{}</mark>").format(clipped(swept[path]))
    below = f"{path}." if path else ""
    if isinstance(description, list):
        entries = [spelled(entry, swept, f"{below}{i}") for i, entry in enumerate(description)]
        return Markup("({}{})").format(Markup(", ").join(entries), "," if len(entries) == 1 else "")
    if not isinstance(description, dict):
        return Markup("{}").format(clipped(repr(description)))
    if "class" not in description:
        return _spelled_other(description, swept, below)
    arguments = [
        Markup("{}={}").format(clipped(key), spelled(value, swept, below + key))
        for key, value in description.items()
        if key != "class"
    ]
    return Markup("{}({})").format(clipped(str(description["class"])), Markup(", ").join(arguments))


def _spelled_other(description: dict[str, Any], swept: Mapping[str, str], below: str) -> Markup:
    """A function, an array by its checksum, a mapping."""
    if "function" in description:
        return Markup("{}").format(clipped(str(description["function"])))
    array = description.get("array")
    if isinstance(array, dict):
        text = f"array(shape={array.get('shape')}, {array.get('dtype')}, sha256={str(array.get('sha256'))[:12]}…)"
        return Markup("{}").format(clipped(text))
    mapping = description.get("mapping", description)
    entries = mapping.items() if isinstance(mapping, dict) else ()
    pairs = [Markup("{}: {}").format(clipped(repr(key)), spelled(value, swept, f"{below}{key}")) for key, value in entries]
    return Markup("{{{}}}").format(Markup(", ").join(pairs))


def values_in_words(values: np.ndarray) -> str:
    """The values of a swept parameter: all of them if they are few, else their range."""
    if values.dtype.kind not in "iuf":
        return " | ".join(str(value) for value in values)
    if len(values) <= 6:
        return ", ".join(f"{value:.6g}" for value in values)
    return f"{values.min():.6g} … {values.max():.6g} ({len(values)} values)"


def with_error(value: float, error: float) -> str:
    """A value with its standard error, the error to two digits and the value to as many places; empty for no value."""
    if not np.isfinite(value):
        return ""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.5g}"
    places = max(0, 1 - int(np.floor(np.log10(error))))
    if places > 12 or abs(value) >= 1e7:
        return f"{value:.5g} ± {error:.1e}"
    return f"{value:.{places}f} ± {error:.{places}f}"
