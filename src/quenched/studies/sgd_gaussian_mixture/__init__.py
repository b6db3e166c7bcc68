"""Dynamical mean-field theory of SGD on Gaussian mixtures (arXiv:2006.06098)."""

from quenched.studies.sgd_gaussian_mixture.study import SgdGaussianMixture

__all__ = ["SgdGaussianMixture"]
