"""Equations and symbols as MathML.

A study's equations mix LaTeX and plain text. ``latex2mathml`` converts the LaTeX; it does not escape, and passes on attributes
that a page must not have, so that its answer is built anew from the elements and attributes listed here. What it cannot
convert is shown as it was written.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markupsafe import Markup, escape

from quenched.lab.report.spelling import clipped
from quenched.records.labels import LABELS

_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
_ELEMENTS = re.compile(
    "math|m(?:row|i|o|n|text|space|sub|sup|subsup|frac|sqrt|root|over|under|underover|table|tr|td|style|padded)"
)
_ATTRIBUTES = re.compile(
    "display|stretchy|mathvariant|width|accent|linethickness|displaystyle|scriptlevel|fence|separator|form|movablelimits"
)
# what the converter calls identifiers and are operators, with the attributes that make them sit well
_OPERATORS = {
    "⟨": {"stretchy": "false", "form": "prefix"},
    "⟩": {"stretchy": "false", "form": "postfix"},
    "|": {"stretchy": "false", "lspace": "0", "rspace": "0"},
    "′": {"lspace": "0", "rspace": "0"},
    **{relation: {} for relation in "<>&∼"},
}
_UPRIGHT = "ΓΔΘΛΞΠΣΥΦΨΩ"
# stand for what XML reserves while the converter, which does not escape, is at work
_RESERVED = {"<": "\ue000", ">": "\ue001", "&": "\ue002"}
_WRITTEN = {stand_in: character for character, stand_in in _RESERVED.items()}
_LONGEST = 2000
_LONGEST_SYMBOL = 40


def equation(text: str) -> Markup:
    """One line of a study's equations: a row of formulas, which may be broken where two spaces follow a comma."""
    parts = [part for part in re.split(r"(?<=[,;:.])\s{2,}", text.strip()) if part]
    formulas = [_formula(_as_latex(part), "block") for part in parts]
    if any(formula is None for formula in formulas):
        return Markup("<code>{}</code>").format(clipped(text))
    return Markup(" ").join(formula for formula in formulas if formula is not None)


def symbol(latex: str) -> Markup | None:
    """A symbol in running text, or None if it cannot be converted."""
    return _formula(latex, "inline") if 0 < len(latex) <= _LONGEST_SYMBOL else None


def label(name: str, attrs: dict[str, object]) -> Markup:
    """The text "symbol: long name (units)" of a variable, as in the figures: from its attributes, else the table of labels."""
    known = LABELS[name].attributes() if name in LABELS else {}
    latex, long_name, units = (str(attrs.get(key, known.get(key, ""))) for key in ("symbol", "long_name", "units"))
    sign = symbol(latex)
    words = escape(clipped(long_name or ("" if sign else name)))
    text = Markup("{}: {}").format(sign, words) if sign and words else sign or words
    return text if units in ("", "1") else Markup("{} ({})").format(text, clipped(units))


def plain_label(name: str, attrs: dict[str, object]) -> str:
    """The long name of a variable, else its name: for controls, which can show text only."""
    known = LABELS[name].long_name if name in LABELS else ""
    return str(attrs.get("long_name", known)) or name


def _as_latex(text: str) -> str:
    """Plain spellings as LaTeX: words upright, <x> as an average, ~ between spaces as "distributed as"."""
    text = re.sub(r"<(\S(?:[^<>]*\S)?)>", r"\\langle \1\\rangle ", text)
    text = re.sub(r"\s~\s", r" \\sim ", text)
    # a phrase of words stays a phrase, a single word becomes one name; commands and what is upright already are left alone
    text = re.sub(
        r"(?:\\[A-Za-z]+(?:\{[A-Za-z ]*\})?)|(?<![A-Za-z])[A-Za-z]{3,}(?:(?:[ -]|, )[A-Za-z]{2,})*",
        lambda found: found[0] if found[0].startswith("\\") else rf"\text{{{found[0]}}}",
        text,
    )
    return text


def _formula(latex: str, display: str) -> Markup | None:
    if len(latex) > _LONGEST or not latex.isprintable() or any(stand_in in latex for stand_in in _WRITTEN):
        return None
    for character, stand_in in _RESERVED.items():
        latex = latex.replace(character, stand_in)
    try:
        tree = ElementTree.fromstring(convert(latex, display=display))
    except Exception:  # the converter raises anything from IndexError to its own errors
        return None
    clean = _clean(tree)
    return None if clean is None else Markup(ElementTree.tostring(clean, encoding="unicode"))


def _clean(element: ElementTree.Element) -> ElementTree.Element | None:
    """The element with the known attributes and children only; None if there is anything unknown, or LaTeX is left in it."""
    tag, text = element.tag.removeprefix(_NAMESPACE), element.text or ""
    for stand_in, character in _WRITTEN.items():
        text = text.replace(stand_in, character)
    if not _ELEMENTS.fullmatch(tag) or "\\" in text or (tag == "mi" and text in "{}" and text) or (element.tail or "").strip():
        return None
    attributes = {name: value for name, value in element.attrib.items() if _ATTRIBUTES.fullmatch(name)}
    if text in _OPERATORS:
        tag, attributes = "mo", attributes | _OPERATORS[text]
    elif tag == "mi" and text and text in _UPRIGHT:
        attributes["mathvariant"] = "normal"
    parts = [_clean(child) for child in element]
    children = [part for part in parts if part is not None]
    if len(children) < len(parts):
        return None
    if tag == "msup" and children[-1].text == "′":
        # the character is raised already: as a superscript it would fly off
        tag = "mrow"
    clean = ElementTree.Element(tag, attributes)
    clean.text = text
    clean.extend(children)
    return clean
