"""Shift-curvature, SGD and generalisation (arXiv:2108.09507)."""

from quenched.studies.shift_curvature.study import ShiftCurvature

__all__ = ["ShiftCurvature"]
