"""``python -m quenched`` is the command line."""

from quenched.cli import console

console()
