"""Lines of the phase diagram of retrieval: spinodal, first-order transition, instability of replica symmetry."""

from __future__ import annotations

from typing import NamedTuple

from scipy.optimize import root_scalar

from quenched.numerics import checks
from quenched.theory.hopfield.equilibrium import free_energy, replicon
from quenched.theory.hopfield.glass import spin_glass
from quenched.theory.hopfield.law import PatternLaw
from quenched.theory.hopfield.retrieval import branch, critical, retrieval, state_at
from quenched.theory.saddle_point import equal_free_energy, maximum

_SMALL = 0.004


class CriticalLoad(NamedTuple):
    """The largest ``load`` of retrieval and the ``overlap`` m there."""

    load: float
    overlap: float


def critical_load(law: PatternLaw, temperature: float | int = 0.0) -> CriticalLoad:
    """The largest load at which the archetype can be retrieved, as a metastable state at least (spinodal), and m there.

    0.13790557 at T = 0 for the classic model. ``temperature`` (default 0) in units Gamma = R. Raises ``NoSolutionError`` for
    T >= 1, and where no load has the state. Source: arXiv:2109.00454; Amit, Gutfreund, Sompolinsky (1987).
    """
    found = critical(law, float(temperature))
    return CriticalLoad(found.load, found.m)


def first_order_load(law: PatternLaw, temperature: float | int = 0.0) -> float:
    """The load below which retrieval is the global minimum: its free energy equals that of the spin glass (or paramagnet).

    0.051854 at T = 0 for the classic model. Arguments and errors as ``critical_load``.
    """
    temperature = float(temperature)
    curve = branch(law, temperature)
    top = maximum(curve)
    # where the load is as good as 0 retrieval is the only state
    last = curve.places[(curve.places > top.y) & (curve.levels > 1e-6 * top.level)][-1]

    def difference(place: float) -> float:
        state = state_at(law, place, temperature)
        return free_energy(law, state) - free_energy(law, spin_glass(law, state.load, temperature))

    crossing = equal_free_energy(difference, top.y, float(last), "the place on the branch")
    return state_at(law, crossing, temperature).load


def instability_temperature(load: float | int, law: PatternLaw) -> float:
    """The temperature (units Gamma = R) below which the retrieval state breaks replica symmetry (de Almeida-Thouless line).

    load beta^2 g(C) E sech^4(beta h) = 1. At small load it is sqrt(8 load/(9 pi)) exp(-1/(2 load)) for the classic model, out
    of reach of any thermal average: below T = 0.004 it is (2/3) load g(C) C, C of T = 0, right to a part in a thousand. Raises
    ``NoSolutionError`` above the critical load at T = 0, ``ParameterError`` for load <= 0. Source: Amit, Gutfreund, Sompolinsky
    (1987).
    """
    checks.positive("load", float(load))
    frozen = retrieval(law, float(load), 0.0)
    limit = float(2 / 3 * load * law.noise(frozen.susceptibility) * frozen.susceptibility)
    if limit < _SMALL:
        return limit

    def excess(temperature: float) -> float:
        return replicon(law, retrieval(law, float(load), temperature))

    found = root_scalar(excess, x0=limit, x1=0.99 * limit, method="secant", xtol=1e-10 * limit)
    if not found.converged:
        raise checks.ConvergenceError(f"the temperature of instability was not found: {excess(found.root):.3g} at {found.root:g}")
    return float(found.root)
