"""A study's fields as command-line options."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import docstring_parser
import equinox as eqx
import yaml
from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from quenched.lab.conversion import subclasses
from quenched.numerics.checks import ParameterError
from quenched.studies.base import Study

_HINTS = """\
a component is chosen by the name of its class, its fields follow with a dot:
  --rule.batches Persistent --rule.batches.fraction 0.3
  --model.help GaussianMixture      the fields of a class, and their defaults
  --model mypackage.MyModel         a class of your own, by its import path
Changing a class keeps the values of arguments with the same name (a batch fraction, say): give them too if they should change.
"""
_OVER = """\
--over sweeps a parameter; repeat it for a grid of two or more:
  --over model.alpha=0.5:4:15             from 0.5 to 4 in 15 values, both ends included
  --over rule.lr=0.01:1:5:log             the same on a logarithmic scale
  --over rule.batches.fraction=0.1,0.3,1  these values
  --over rule.batches=Full,IID            components by the names of their classes
  --over rule.normalise_batch=true,false  booleans
  --over compare.0.fraction=0.1,0.2       entry 0 of a tuple
The other options set what is not swept. Every point is a file in the store: interrupt with Ctrl-C, and run the same command
again to continue.

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


class SweepOptions(typing.NamedTuple):
    """What ``quenched sweep`` was asked for; ``over`` as texts."""

    study: Study
    over: tuple[str, ...]
    seeds: int
    seed: int
    store: Path
    scheduler: str | None
    workers: int | None
    retry: bool


def preset(study: type[Study], scale: str) -> Study:
    """The named preset. Raises ``ParameterError`` with the names that exist."""
    presets = study.presets()
    if scale not in presets:
        raise ParameterError(f"scale must be one of {', '.join(presets)} for {study.name}, got {scale!r}")
    return presets[scale]


def parse_run(study: type[Study], words: list[str]) -> RunOptions:
    """The options of ``quenched run STUDY``. Raises ``ParameterError``, or what the components raise; ``--help`` exits."""
    scale = _scale(words)
    parser = _parser(study, scale, "run", _HINTS)
    parser.add_argument("--seed", type=int, default=0, help="integer, 0 <= seed < 2**32")
    parser.add_argument("--out", type=str, default=f"runs/{study.name}", help="folder for the data file, figures and claims")
    parser.add_argument(
        "--claims", type=typing.Literal["none", "quick", "all"], default="quick", help="claims to judge after the run"
    )
    _add_fields(parser, study, scale)
    chosen, values = _parsed(parser, study, words)
    return RunOptions(chosen, values.seed, Path(values.out).expanduser(), values.claims)


def parse_sweep(study: type[Study], words: list[str]) -> SweepOptions:
    """The options of ``quenched sweep STUDY``; raises as ``parse_run``."""
    scale = _scale(words)
    parser = _parser(study, scale, "sweep", _OVER + _HINTS)
    text = "a parameter and its values, see below; repeat it"
    # without a type: jsonargparse then leaves the texts alone
    parser.add_argument("--over", action="append", default=[], metavar="PATH=VALUES", help=text)
    parser.add_argument("--seeds", type=int, default=1, help="compute every point with so many seeds: seed, seed + 1, ...")
    parser.add_argument("--seed", type=int, default=0, help="the first seed, 0 <= seed < 2**32")
    text = "folder of the points; what is in it is not computed again"
    parser.add_argument("--store", type=str, default=f"stores/{study.name}", help=text)
    parser.add_argument("--scheduler", type=str | None, default=None, help="a dask cluster that runs already: tcp://host:port")
    text = "worker processes, each pinned to its cores (default: one per core)"
    parser.add_argument("--workers", type=int | None, default=None, help=text)
    text = "compute points again that failed for a reason that would come again, such as a divergence"
    parser.add_argument("--retry", action="store_true", help=text)
    _add_fields(parser, study, scale)
    chosen, values = _parsed(parser, study, words)
    store = Path(values.store).expanduser()
    return SweepOptions(
        chosen, _texts(values.over), values.seeds, values.seed, store, values.scheduler, values.workers, values.retry
    )


def _texts(over: Any) -> tuple[str, ...]:
    """From the command line it is a list of texts; in a configuration file it may be anything."""
    texts = (over,) if isinstance(over, str) else over
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ParameterError(f"over must be a list of texts PATH=VALUES, got {over!r}")
    return tuple(texts)


def _parser(study: type[Study], scale: str, command: str, hints: str) -> ArgumentParser:
    restore_annotations()
    set_parsing_settings(
        import_path_denylist=[]
    )  # refuses the paths that jsonargparse denies (os, subprocess, ...), not only warns
    parser = ArgumentParser(
        prog=f"quenched {command} {study.name}",
        description=f"{study.title}. {study.paper}",
        epilog=hints,
        exit_on_error=False,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--scale", type=str, default=scale, help=f"preset that gives the defaults: {', '.join(study.presets())}")
    parser.add_argument("--config", action="config", help="YAML file with any of these options (see --print_config)")
    return parser


def _add_fields(parser: ArgumentParser, study: type[Study], scale: str) -> None:
    """The study's fields; their defaults are the values of the preset ``scale``."""
    defaults = preset(study, scale)
    group = parser.add_argument_group(f"parameters of {study.name}")
    types, texts = typing.get_type_hints(study), field_help(study)
    for field in dataclasses.fields(study):
        value = getattr(defaults, field.name)
        action = group.add_argument(f"--{field.name}", type=types[field.name], default=packed(value), help=texts.get(field.name))
        action.written_default = written(value)


def _parsed(parser: ArgumentParser, study: type[Study], words: list[str]) -> tuple[Study, Any]:
    """The study and all values. Every kind of bad input becomes a ``ParameterError``, or stays the library's own error."""
    try:
        values = parser.instantiate(parser.parse_args(words))
        return study(**{field.name: getattr(values, field.name) for field in dataclasses.fields(study)}), values
    except ArgumentError as error:
        raise ParameterError(one_line(str(error))) from error
    except (ValueError, TypeError) as error:
        if type(error).__module__.startswith("quenched."):
            raise
        raise ParameterError(one_line(str(error))) from error


def _scale(words: list[str]) -> str:
    """The preset is needed before the parser can be built: from the command line, else from the configuration file."""
    first = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    first.add_argument("--scale")
    first.add_argument("--config", type=Path)
    try:
        known, _ = first.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise ParameterError(str(error)) from error
    if known.scale:
        return known.scale
    if known.config is None:
        return "quick"
    try:
        content = yaml.safe_load(known.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(f"config {known.config} cannot be read: {error}") from error
    return str(content.get("scale", "quick")) if isinstance(content, dict) else "quick"


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
    for cls in subclasses(eqx.Module):
        annotations = getattr(inspect.getattr_static(cls, "__init__"), "__annotations__", {})
        for field in dataclasses.fields(cls):
            if annotations.get(field.name) is Any:
                annotations[field.name] = field.type


# what is wrong with the value of a field that may also be None: that it is not None is no news
_OPTIONAL = re.compile(
    r"Does not validate against any of the Union subtypes\s+Subtypes: \[<class '[\w.]+'>, <class 'NoneType'>\]\s+"
    r"Errors:\s+- (.*?)\s+- Expected a <class 'NoneType'>\s+Given value type:.*",
    re.DOTALL,
)


def one_line(message: str) -> str:
    """The message of a jsonargparse error, on one line, with the option's full name first."""
    message = _OPTIONAL.sub(r"\1", message)
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
