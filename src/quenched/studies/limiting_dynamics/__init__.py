"""The limiting dynamics of SGD: displacement, oscillation and anomalous diffusion near a minimum."""

from quenched.studies.limiting_dynamics.study import LimitingDynamics

__all__ = ["LimitingDynamics"]
