"""Large batches and sharp minima: SGD as a Fokker-Planck equation (arXiv:2112.00987)."""

from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck

__all__ = ["SgdFokkerPlanck"]
