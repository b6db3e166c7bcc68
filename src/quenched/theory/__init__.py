"""Theory: closed equations for the order parameters, one solver per kind of equation."""

from quenched.theory import oracle, sampled, square_loss, static
from quenched.theory.solve import solve

__all__ = ["oracle", "sampled", "solve", "square_loss", "static"]
