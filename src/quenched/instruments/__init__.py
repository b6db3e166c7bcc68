"""Instruments for a user's own network: one call that measures its noise and predicts its motion."""

from quenched.instruments.diagnose import diagnose
from quenched.instruments.page import figures, write_page

__all__ = ["diagnose", "figures", "write_page"]
