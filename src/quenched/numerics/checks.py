"""Checks of parameters: each names the parameter, the rule and the value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


class QuenchedError(Exception):
    """Base class of every error that the library raises on purpose."""


class QuenchedWarning(UserWarning):
    """A legal request whose outcome may surprise: an unstable step, a start on a symmetric manifold."""


class ParameterError(QuenchedError, ValueError):
    """A parameter has a value outside its admissible range."""


class IncompatibleError(QuenchedError, TypeError):
    """A model, rule or theory lacks a capability that the other one needs."""


class DivergenceError(QuenchedError, ArithmeticError):
    """A dynamics or a solver produced a non-finite number; names the step and the quantity."""


class ConvergenceError(QuenchedError, ArithmeticError):
    """An iteration did not reach its tolerance; gives the residual."""


class NoSolutionError(QuenchedError, ArithmeticError):
    """Closed equations have no admissible solution at the given parameters: a state that does not exist there."""


def _fail(name: str, rule: str, value: Any) -> None:
    raise ParameterError(f"{name} must {rule}, got {value!r}")


def finite(name: str, value: float) -> None:
    """Require a finite real number."""
    if isinstance(value, bool) or not math.isfinite(value):
        _fail(name, "be a finite number", value)


def positive(name: str, value: float) -> None:
    """Require value > 0 (and finite)."""
    finite(name, value)
    if not value > 0:
        _fail(name, "be > 0", value)


def non_negative(name: str, value: float) -> None:
    """Require value >= 0 (and finite)."""
    finite(name, value)
    if not value >= 0:
        _fail(name, "be >= 0", value)


def in_interval(name: str, value: float, low: float, high: float, *, closed: str = "both") -> None:
    """Require low <= value <= high; ``closed`` is ``both``, ``left``, ``right`` or ``neither``."""
    finite(name, value)
    above = value >= low if closed in ("both", "left") else value > low
    below = value <= high if closed in ("both", "right") else value < high
    if not (above and below):
        left = "[" if closed in ("both", "left") else "("
        right = "]" if closed in ("both", "right") else ")"
        _fail(name, f"lie in {left}{low:g}, {high:g}{right}", value)


def integer_at_least(name: str, value: int, low: int) -> None:
    """Require an integer (never a boolean) with value >= low."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        _fail(name, f"be an integer >= {low}", value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Require that the value is one of a few."""
    allowed = tuple(allowed)
    if value not in allowed:
        _fail(name, "be one of " + ", ".join(repr(a) for a in allowed), value)


def seed(value: int) -> None:
    """Require 0 <= seed < 2**32, where distinct seeds give distinct keys."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        _fail("seed", "be an integer with 0 <= seed < 2**32", value)


def instance(name: str, value: Any, kind: type) -> None:
    """Require an instance of a class of components."""
    if not isinstance(value, kind):
        raise ParameterError(f"{name} must be a {kind.__name__}, got {value!r}")
