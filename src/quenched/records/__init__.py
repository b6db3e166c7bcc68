"""Records: components as JSON, Datasets with labels and provenance, files."""

from quenched.records.datasets import dataset, provenance, rebuild
from quenched.records.description import UnknownClassError, build, canonical_json, describe, public
from quenched.records.files import DamagedFileError, load, save
from quenched.records.identity import SCHEMA, fingerprint, identity
from quenched.records.labels import LABELS, Label, register_label

__all__ = [
    "LABELS",
    "SCHEMA",
    "DamagedFileError",
    "Label",
    "UnknownClassError",
    "build",
    "canonical_json",
    "dataset",
    "describe",
    "fingerprint",
    "identity",
    "load",
    "provenance",
    "public",
    "rebuild",
    "register_label",
    "save",
]
