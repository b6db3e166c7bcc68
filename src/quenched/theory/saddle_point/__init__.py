"""Saddle-point equations of any model: iteration with a certificate, branches in a parameter, spinodal and first-order points.

Replica-symmetric equations have several solutions, some of which are no states at all. Two ways lead to the right one. Where the
control parameter (load, sample size) is an explicit function of one number along the branch, ``Curve`` needs no iteration:
its maximum is the spinodal, and every solution is a root. Where it is not, ``follow`` continues a solution in the parameter,
round the folds, and says which part is stable. ``iterate`` is the damped iteration of the textbooks, which names a two-cycle and
refuses an inadmissible solution instead of returning either.
"""

from quenched.theory.saddle_point.continuation import Branch, Fold, follow
from quenched.theory.saddle_point.curve import Curve, equal_free_energy, maximum, solve_level
from quenched.theory.saddle_point.iteration import iterate

__all__ = ["Branch", "Curve", "Fold", "equal_free_energy", "follow", "iterate", "maximum", "solve_level"]
