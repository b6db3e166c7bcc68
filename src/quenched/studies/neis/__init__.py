"""Importance sampling along learned flows: normalisation constants at a variance that no longer depends on luck."""

from quenched.studies.neis.study import Neis

__all__ = ["Neis"]
