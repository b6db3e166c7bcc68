"""The effective noise of SGD: effective temperature and replica distance (arXiv:2112.10852)."""

from quenched.studies.effective_noise.study import EffectiveNoise

__all__ = ["EffectiveNoise"]
