"""Studies: one paper each. The lab finds them through the entry-point group ``quenched.studies``, never by importing them here."""

from quenched.studies.base import Study
from quenched.studies.claims import Claim, Measured, Reference, Verdict

__all__ = ["Claim", "Measured", "Reference", "Study", "Verdict"]
