"""A study's fields as command-line options."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docstring_parser
import equinox as eqx
from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from quenched.numerics.checks import ParameterError
from quenched.studies.base import Study

_HINTS = """\
a component is chosen by the name of its class, its fields follow with a dot:
  --rule.batches Persistent --rule.batches.fraction 0.3
  --model.help GaussianMixture      the fields of a class, and their defaults
  --model mypackage.MyModel         a class of your own, by its import path
Changing a class keeps the values of arguments with the same name (a batch fraction, say): give them too if they should change.
"""


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows a component's default as it would be written in Python, not as nested dictionaries."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = super()._get_help_string(action)
        written = getattr(action, "written_default", None)
        return text if written is None else text.replace("%(default)s", written.replace("%", "%%"))


class RunOptions(typing.NamedTuple):
    """What ``quenched run`` was asked for."""

    study: Study
    seed: int
    out: Path
    claims: str


def preset(study: type[Study], scale: str) -> Study:
    """The named preset. Raises ``ParameterError`` with the names that exist."""
    presets = study.presets()
    if scale not in presets:
        raise ParameterError(f"scale must be one of {', '.join(presets)} for {study.name}, got {scale!r}")
    return presets[scale]


def run_parser(study: type[Study], scale: str) -> ArgumentParser:
    """The parser of ``quenched run STUDY``: defaults are the values of the preset ``scale``."""
    restore_annotations()
    set_parsing_settings(
        import_path_denylist=[]
    )  # refuses the paths that jsonargparse denies (os, subprocess, ...), not only warns
    parser = ArgumentParser(
        prog=f"quenched run {study.name}",
        description=f"{study.title}. {study.paper}",
        epilog=_HINTS,
        exit_on_error=False,
        formatter_class=_HelpFormatter,
    )
    defaults = preset(study, scale)
    parser.add_argument("--scale", type=str, default=scale, help=f"preset that gives the defaults: {', '.join(study.presets())}")
    parser.add_argument("--seed", type=int, default=0, help="integer, 0 <= seed < 2**32")
    parser.add_argument("--out", type=str, default=f"runs/{study.name}", help="folder for the data file, figures and claims")
    parser.add_argument(
        "--claims", type=typing.Literal["none", "quick", "all"], default="quick", help="claims to judge after the run"
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options (see --print_config)")
    group = parser.add_argument_group(f"parameters of {study.name}")
    types, texts = typing.get_type_hints(study), field_help(study)
    for field in dataclasses.fields(study):
        value = getattr(defaults, field.name)
        action = group.add_argument(f"--{field.name}", type=types[field.name], default=packed(value), help=texts.get(field.name))
        action.written_default = written(value)
    return parser


def parse_run(study: type[Study], scale: str, arguments: list[str]) -> RunOptions:
    """Options to an instance of the study. Raises what jsonargparse and the components raise; ``--help`` exits."""
    parser = run_parser(study, scale)
    values = parser.instantiate(parser.parse_args(arguments))
    fields = {field.name: getattr(values, field.name) for field in dataclasses.fields(study)}
    return RunOptions(study(**fields), values.seed, Path(values.out).expanduser(), values.claims)


def packed(value: Any) -> Any:
    """A field's value in the form that jsonargparse merges options into: components as class path and arguments."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        arguments = {field.name: packed(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return {"class_path": f"{type(value).__module__}.{type(value).__qualname__}", "init_args": arguments}
    return [packed(item) for item in value] if isinstance(value, (list, tuple)) else value


def written(value: Any) -> str:
    """A field's value as Python code."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        arguments = (f"{field.name}={written(getattr(value, field.name))}" for field in dataclasses.fields(value) if field.init)
        return f"{type(value).__name__}({', '.join(arguments)})"
    return repr(value)


def field_help(study: type[Study]) -> dict[str, str]:
    """Help of each field: the string below it, or its entry in the class docstring."""
    texts: dict[str, str] = {}
    for cls in reversed(study.__mro__):
        if dataclasses.is_dataclass(cls):
            try:
                parsed = docstring_parser.parse_from_object(cls)
            except (OSError, TypeError):  # no source at hand: defined interactively
                parsed = docstring_parser.parse(inspect.getdoc(cls) or "")
            texts |= {p.arg_name: " ".join(p.description.split()) for p in parsed.params if p.description}
    return texts


def restore_annotations() -> None:
    """Give components' constructors back the types of their fields.

    Equinox annotates a constructor argument whose field has a converter as ``Any``; an option would then accept any word, and the
    converter would fail without naming it. Only the command line's process does this.
    """
    for cls in _subclasses(eqx.Module):
        annotations = getattr(inspect.getattr_static(cls, "__init__"), "__annotations__", {})
        for field in dataclasses.fields(cls):
            if annotations.get(field.name) is Any:
                annotations[field.name] = field.type


def _subclasses(cls: type) -> Iterator[type]:
    child: type
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def one_line(message: str) -> str:
    """The message of a jsonargparse error, on one line, with the option's full name first."""
    path = ".".join(re.findall(r'Parser key "([^"]+)":', message))
    text = re.sub(r'Parser key "[^"]+":|Problem with given class_path \'[^\']*\':', "", message)
    text = re.sub(r"<class '(?:[\w<>]+\.)*(\w+)'>", r"\1", text)
    text = " ".join(text.split())
    refused = re.fullmatch(r"Option '(\w+)' is not accepted", text)
    if refused:
        return f"--{path}.{refused[1]} is not an option of the class chosen for --{path}; see --{path}.help"
    union = re.search(r"Does not validate against any of the Union subtypes.*Subtypes: \[(.*?)\].*Given value: (.*)", text)
    if union:
        return f"--{path} must be one of {union[1]}, got {union[2]}"
    wrong = re.fullmatch(r"Expected a (?:typing\.)?(.*?)\.? Got value: (.*)", text)
    if wrong:
        return f"--{path} must be of type {wrong[1]}, got {wrong[2]}"
    denied = re.match(r"(Importing '.*?' is not allowed)", text)
    if denied:
        return f"--{path}: {denied[1]}"
    name = re.fullmatch(r"Expected a dot import path string: (.*)", text)
    if name:
        return f"--{path}: {name[1]} is not a known class; see --{path}.help"
    return f"--{path}: {text}" if path else text
