"""Importing the library costs nothing and changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quenched


def python(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_facade_imports_nothing() -> None:
    python("import quenched, sys; assert not {'jax', 'numpy', 'xarray', 'matplotlib', 'torch'} & set(sys.modules)")


@pytest.mark.slow
def test_rooms_leave_the_configuration_of_jax_alone_and_need_no_peer() -> None:
    python(
        "import jax, os, sys\n"
        "before = dict(jax.config.values), dict(os.environ)\n"
        "import quenched as qd\n"
        "rooms = [getattr(qd, name) for name in ('models', 'losses', 'dynamics', 'data', 'observables', 'records', 'theory')]\n"
        "qd.simulate, qd.load\n"
        "assert before == (dict(jax.config.values), dict(os.environ))\n"
        "assert not {'matplotlib', 'torch'} & set(sys.modules), sorted({'matplotlib', 'torch'} & set(sys.modules))\n"
    )


def test_every_public_name_is_there() -> None:
    for name in quenched.__all__:
        assert getattr(quenched, name) is not None
    assert set(quenched.__all__) <= set(dir(quenched))
    assert quenched.__version__.count(".") == 2


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        quenched.frobnicate  # noqa: B018


@pytest.mark.slow
def test_a_file_of_the_library_is_read_in_a_fresh_process(tmp_path) -> None:
    """The table of public names must be complete before a file is read, although nothing else was imported."""
    python(
        "import quenched as qd\n"
        "model, rule = qd.models.GaussianMixture(alpha=1.0), qd.dynamics.Gradient(batches=qd.dynamics.IID(0.5))\n"
        f"qd.save(qd.simulate(model, rule, steps=2, size=10), {str(tmp_path / 'a.nc')!r})\n"
    )
    python(f"import quenched as qd; assert 'norm' in qd.load({str(tmp_path / 'a.nc')!r})")
