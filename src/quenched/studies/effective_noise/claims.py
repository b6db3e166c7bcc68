"""What the study says, as checks. The paper has figures only: parameters of logistic and hinge rows are this project's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quenched.dynamics import IID, AbstractBatches, Full, Gradient, Persistent
from quenched.dynamics.simulate import simulate
from quenched.dynamics.stops import LossBelow
from quenched.losses import QuadraticHinge, Square
from quenched.models import GaussianMixture, GaussianStart
from quenched.observables import gaps
from quenched.observables.fdt import effective_temperature, fluctuation_response
from quenched.observables.statistics import compare, mean_error
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.effective_noise.control_claims import CLAIMS as CONTROL_CLAIMS
from quenched.studies.effective_noise.measure import Window, simulated_fluctuations, theory_fluctuations
from quenched.theory import solve

SOURCE = "arXiv:2112.10852"
OWN = "this project, docs/measured.md"

LINEAR = GaussianMixture(alpha=3.0, noise=0.5, loss=Square())
LINEAR_RULE = Gradient(lr=0.2, batches=IID(fraction=0.3))
STATIONARY = GaussianMixture(alpha=4.0, noise=1.0)
RESTING = GaussianMixture(alpha=0.5, noise=0.5, loss=QuadraticHinge(margin=1.0), start=GaussianStart(variance=1.0))
LAGS = (1, 5, 20, 60)
SEEDS = (11, 12)


def _rule(batches: AbstractBatches, ridge: float = 0.2) -> Gradient:
    return Gradient(lr=0.2, ridge=ridge, batches=batches)


def linear_temperature() -> Measured:
    """T_eff of the DMFT of the square loss at four lags, late."""
    two_time = solve(LINEAR, LINEAR_RULE, steps=560, method="oracle")
    return Measured(effective_temperature(fluctuation_response(two_time, [500], LAGS))["temperature"].values)


def linear_distance() -> Measured:
    """Replica distance of the square loss, late."""
    late = solve(LINEAR, LINEAR_RULE, steps=400, method="oracle", replicas=2, two_time=False, times=[400])
    return Measured(float(late["replica_distance"].values[-1]))


def distance_of_equal_batches() -> Measured:
    """Largest replica distance of full-batch descent in a simulation."""
    run = simulate(STATIONARY, _rule(Full()), steps=40, size=300, disorder=2, replicas=3, share_start=True)
    return Measured(float(run["replica_distance"].max()))


def langevin_temperature() -> Measured:
    """T_eff at lag 1 of Langevin dynamics at temperature 0.05, extrapolated to lr = 0 from lr = 0.1 and 0.05."""
    model = GaussianMixture(alpha=3.0, noise=0.5, loss=Square())
    found = []
    for lr in (0.1, 0.05):
        wait = round(40 / lr)
        two_time = solve(model, Gradient(lr=lr, ridge=0.2, temperature=0.05), steps=wait + 1, method="oracle")
        found.append(float(effective_temperature(fluctuation_response(two_time, [wait], [1]))["temperature"].values[0]))
    return Measured(2 * found[1] - found[0])


def distance_from_fluctuations() -> Measured:
    """dist / 2 [C(t,t) - C(t,tw)] at t = 1000, tw = 600 by the DMFT of the square loss: the slowest mode takes 60 steps."""
    both = solve(LINEAR, LINEAR_RULE, steps=1000, method="oracle", replicas=2, times=[600, 1000])
    c = both["correlation"].values
    return Measured(float(both["replica_distance"].values[-1] / (2 * (c[1, 1] - c[1, 0]))))


def resting_agreement() -> Measured:
    """z-scores of the replica distance, theory against simulation, at five steps of three batch laws."""
    found = []
    for batches in (IID(fraction=0.3), Persistent(fraction=0.6, time=1.0), Persistent(fraction=0.3, time=4.0)):
        times = [10, 20, 40, 60, 80]
        rule = _rule(batches, ridge=0.0)
        theory = solve(
            RESTING, rule, steps=80, replicas=2, probes=4, two_time=False, times=times, samples=4096, runs=8, seed=SEEDS[0]
        )
        experiment = simulate(
            RESTING, rule, steps=80, size=500, disorder=24, replicas=2, share_start=True, times=times, seed=SEEDS[1]
        )
        found.append(compare(theory, experiment, "replica_distance")["z"].values)
    return Measured(np.concatenate(found))


def temperatures(batches: AbstractBatches, lags: Sequence[int]) -> Measured:
    """T_eff of the logistic mixture by theory, with the error over independent runs."""
    fluctuations = theory_fluctuations(STATIONARY, _rule(batches), Window(80, max(lags)), samples=8192, runs=8, seed=SEEDS[0])
    found = effective_temperature(fluctuations).sel(lag=list(lags))
    return Measured(found["temperature"].values, found["temperature_error"].values)


def temperature_agreement() -> Measured:
    """z-scores of T_eff, theory against simulation, at three lags of SGD and persistent SGD."""
    found = []
    for batches in (IID(fraction=0.3), Persistent(fraction=0.3, time=2.0)):
        window, rule = Window(80, 60), _rule(batches)
        theory = effective_temperature(theory_fluctuations(STATIONARY, rule, window, samples=8192, runs=8, seed=SEEDS[0]))
        finite = simulated_fluctuations(STATIONARY, rule, window, size=500, disorder=24, replicas=4, seed=SEEDS[1])
        experiment = effective_temperature(finite)
        error = np.hypot(theory["temperature_error"], experiment["temperature_error"])
        found.append(((experiment["temperature"] - theory["temperature"]) / error).sel(lag=[1, 10, 60]).values)
    return Measured(np.concatenate(found))


def growth_with_lag() -> Measured:
    """T_eff(60)/T_eff(1) - 1 of persistent SGD and, with the sign reversed, of SGD with independent batches."""
    persistent = temperatures(Persistent(fraction=0.3, time=2.0), (1, 60)).value
    independent = temperatures(IID(fraction=0.3), (1, 60)).value
    return Measured([persistent[1] / persistent[0] - 1, 1 - independent[1] / independent[0]])


def boundary_order() -> Measured:
    """Decrease of the fraction at the margin, and increase of the mean gap, along GD, persistent tau = 4, persistent tau = 16."""
    at_margin, mean_gap = [], []
    for batches in (Full(), Persistent(fraction=0.3, time=4.0), Persistent(fraction=0.3, time=16.0)):
        end = simulate(
            RESTING,
            _rule(batches, ridge=0.0),
            steps=20000,
            size=400,
            disorder=5,
            times=[20000],
            final={"gap": gaps.sample_gaps},
            stop=LossBelow(1e-9, every=10),
            seed=SEEDS[0],
        )
        numbers = gaps.statistics(end["gap"], margin=1.0, norm=end["norm"].isel(t=-1))
        at_margin.append(float(numbers["at_margin"]))
        mean_gap.append(float(numbers["mean_gap"]))
    return Measured([*(-np.diff(at_margin)), *np.diff(mean_gap)])


def capacity() -> Measured:
    """Final training loss of random labels on the sphere, alpha = 1.5 (a) and 2.5 (b): (loss a, 2e-3 - loss b)."""
    from quenched.dynamics import Spherical
    from quenched.models import RandomLabels, SphericalStart

    found = []
    for alpha in (1.5, 2.5):
        model = RandomLabels(alpha=alpha, loss=QuadraticHinge(margin=0.0), start=SphericalStart())
        rule = Gradient(lr=0.2, constraint=Spherical())
        run = simulate(model, rule, steps=4000, size=400, disorder=4, times=[4000], seed=SEEDS[0])
        found.append(float(mean_error(run["loss"].isel(t=-1))[0]))
    return Measured([found[0], 2e-3 - found[1]])


CLAIMS = (
    Claim(
        "square loss, independent batches: T_eff of the DMFT at lags 1, 5, 20, 60 is the closed form, and decreases with the lag",
        linear_temperature,
        Reference([0.0077410, 0.0072732, 0.0062305, 0.0053960], "exact", OWN, relative=1e-3),
    ),
    Claim(
        "square loss, independent batches: the replica distance tends to 2 E2 <S>",
        linear_distance,
        Reference(0.033864, "exact", OWN, absolute=1e-5),
    ),
    Claim(
        "full batch: replicas with the same start never separate",
        distance_of_equal_batches,
        Reference(0.0, "exact", SOURCE, absolute=1e-12),
    ),
    Claim(
        "Langevin control: the effective temperature tends to the temperature of the thermostat as lr -> 0",
        langevin_temperature,
        Reference(0.05, "exact", SOURCE, absolute=5e-4),
    ),
    Claim(
        "stationary convex state: dist(inf) = 2 [C(0) - C(inf)], the replicas forget each other",
        distance_from_fluctuations,
        Reference(1.0, "exact", SOURCE, relative=0.05),
    ),
    Claim(
        "over-parametrised hinge: replica distance of theory and simulation agree (z-scores)",
        resting_agreement,
        Reference(0.0, "theory", SOURCE, absolute=4.0),
        cost="slow",
    ),
    Claim(
        "logistic loss, SGD b=0.3: T_eff at lags 1, 10, 60",
        lambda: temperatures(IID(fraction=0.3), (1, 10, 60)),
        Reference([0.0093, 0.0087, 0.0080], "measured", OWN, relative=0.03),
        cost="slow",
    ),
    Claim(
        "logistic loss, persistent SGD b=0.3, tau=2: T_eff at lags 1, 10, 60",
        lambda: temperatures(Persistent(fraction=0.3, time=2.0), (1, 10, 60)),
        Reference([0.0077, 0.0278, 0.0312], "measured", OWN, relative=0.04),
        cost="slow",
    ),
    Claim(
        "logistic loss, persistent SGD b=0.6, tau=0.6: T_eff at lags 1, 10, 60",
        lambda: temperatures(Persistent(fraction=0.6, time=0.6), (1, 10, 60)),
        Reference([0.0085, 0.0180, 0.0170], "measured", OWN, relative=0.04),
        cost="slow",
    ),
    Claim(
        "logistic loss: T_eff of theory and simulation agree at lags 1, 10, 60 (z-scores)",
        temperature_agreement,
        Reference(0.0, "theory", SOURCE, absolute=4.0),
        cost="slow",
    ),
    Claim(
        "T_eff grows with the lag for persistent batches (coherent noise), and decreases for independent ones",
        growth_with_lag,
        Reference(0.0, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "more noise, wider decision boundary: fewer samples at the margin and a larger mean gap along GD, tau = 4, tau = 16",
        boundary_order,
        Reference(0.0, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "random labels, margin 0, sphere: satisfiable at alpha = 1.5, not at 2.5 (Cover's capacity is 2)",
        capacity,
        Reference(0.0, "exact", "Cover 1965; Gardner 1988", absolute=1e-3, relation="<="),
        cost="slow",
    ),
    *CONTROL_CLAIMS,
)
