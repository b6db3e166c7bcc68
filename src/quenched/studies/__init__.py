"""Studies: one paper each, found through the entry-point group ``quenched.studies``; none is imported here."""

from quenched.studies.base import Study
from quenched.studies.claims import Claim, Measured, Reference, Verdict

__all__ = ["Claim", "Measured", "Reference", "Study", "Verdict"]
