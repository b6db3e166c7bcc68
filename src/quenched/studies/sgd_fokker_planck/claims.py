"""What the study says, as checks. The paper's statements are theorems; the numbers are those of the canonical landscape."""

from __future__ import annotations

import numpy as np

from quenched.models.landscape import DoubleWell
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.sgd_fokker_planck import measure, network
from quenched.studies.sgd_fokker_planck.study import SgdFokkerPlanck
from quenched.theory import fokker_planck as fp

SOURCE = "arXiv:2112.00987"
OWN = "this project, docs/measured.md"
WELL, BOX = DoubleWell(), (-2.6, 2.9)


def small_batches() -> list[fp.Line]:
    """S = 1, 2, 3 at eta = 0.1, sigma^2 = 1."""
    return [fp.line(WELL, fp.Temperature(0.1, size), *BOX, 2000) for size in (1, 2, 3)]


def mixing_times() -> Measured:
    """1/lambda_1 in units of eta k."""
    return Measured([1 / fp.gap(process) for process in small_batches()])


def final_preference() -> Measured:
    """Probability of the flat minimum in the end."""
    return Measured([fp.basin_mass(process, -0.200434)[1] for process in small_batches()])


def exponent() -> Measured:
    """Slope of ln(mixing steps) per unit of S at large S, times eta sigma^2/(2 dE)."""
    sizes = np.array([2.0, 2.4, 2.8, 3.2])
    logs = [np.log(1 / fp.gap(fp.line(WELL, fp.Temperature(0.1, size), *BOX, 2000))) for size in sizes]
    return Measured(np.polyfit(sizes, logs, 1)[0] * 0.1 / (2 * 0.282924))


def arrived() -> Measured:
    """Probability of having reached the flat minimum: at S = 1, t = 600, minus 1/2; 0.02 minus that at S = 3, t = 1e6."""
    found = []
    for size, time in ((1, 600.0), (3, 1e6)):
        process = fp.line(WELL, fp.Temperature(0.1, size), BOX[0], 1.0, 2000, boundary="absorbing")
        under_way = fp.relax(process, -1.0, [time])["density"].values[0] * process.width
        found.append(1 - under_way.sum())
    return Measured([found[0] - 0.5, 0.02 - found[1]])


def finite_rate() -> Measured:
    """Gap of the transfer operator over that of the Fokker-Planck equation at T = 0.08, eta = 0.02, 0.1, 0.3."""
    own = fp.gap(fp.line(WELL, 0.08, *BOX, 2000))
    return Measured([fp.transfer(WELL, fp.Temperature.at(0.08, eta), -2.2, 2.6, 700).gap / own for eta in (0.02, 0.1, 0.3)])


def momentum() -> Measured:
    """Kinetic gap per unit of t' at T = 0.08, eta = 0.1, beta = 0, 0.5, 0.9."""
    found = []
    for beta in (0.0, 0.5, 0.9):
        rates = fp.kinetic_spectrum(WELL, fp.Temperature.at(0.08, 0.1, beta), -2.1, 2.5, nodes=240, functions=64, count=2)
        found.append(rates[1].real * (1 - beta))
    return Measured(found)


def agreement() -> Measured:
    """z-scores of the population of the flat well, SGD against the transfer operator, after equal numbers of examples."""
    study = SgdFokkerPlanck(compare=(4, 12, 24), momenta=(), wide=0.0, chains=4000, network=None)
    theory = measure.populations(study, measure.wells(study))["flat_fraction"]
    found = study.experiment(11, False)["populations"].to_dataset()["flat_fraction"]
    # the error of the expected number: that of an observed zero would be zero
    error = np.sqrt(theory * (1 - theory) / study.chains)
    z = ((found - theory) / error).where(theory * study.chains > 10, 0.0)
    return Measured(z.values[:, 4::5])


def sharpness_of_a_network() -> Measured:
    """Differences of the sharpness from the smallest to the largest batch over its error: equal eta, equal eta/S, equal steps.

    The first grows; of the others the absolute value is taken.
    """
    study = SgdFokkerPlanck(momenta=(), wide=0.0)
    answers = {key: one.run(12) for key, one in network.simulations(study).items()}
    found = network.measured(study, answers)
    rise = found["sharpness"].isel(batch_size=-1) - found["sharpness"].isel(batch_size=0)
    rate, ratio, time = (float(rise.sel(rule=way)) for way in (network.RATE, network.RATIO, network.TIME))
    return Measured([rate, 0.2 * rate - abs(ratio), 0.2 * rate - abs(time)])


CLAIMS = (
    Claim(
        "eta = 0.1, sigma^2 = 1: the mixing time at batch sizes 1, 2, 3, in units of eta k",
        mixing_times,
        Reference([550.4, 1.488e5, 4.191e7], "measured", OWN, relative=0.01),
    ),
    Claim(
        "the probability of the flat minimum in the end is nearly the same for batch sizes 1, 2, 3",
        final_preference,
        Reference([0.6544, 0.6581, 0.6588], "measured", OWN, absolute=2e-4),
    ),
    Claim(
        "the logarithm of the mixing time grows as 2 dE/(eta sigma^2) per unit of the batch size",
        exponent,
        Reference(1.0, "exact", SOURCE, relative=0.03),
    ),
    Claim(
        "from the sharp minimum half of the runs have reached the flat one at t = 600 with batch size 1; with 3, 2 % at t = 10^6",
        arrived,
        Reference(0.0, "relation", OWN, relation=">="),
    ),
    Claim(
        "gap of the transfer operator over that of the Fokker-Planck equation at T = 0.08 and learning rates 0.02, 0.1, 0.3",
        finite_rate,
        Reference(np.array([0.01455, 0.01511, 0.02664]) / 0.014448, "measured", OWN, relative=0.005),
    ),
    Claim(
        "momentum at one temperature slows escape per unit of eta k/(1 - beta): the kinetic gap at beta = 0, 0.5, 0.9",
        momentum,
        Reference([0.013712, 0.011353, 0.002977], "measured", OWN, relative=0.005),
    ),
    Claim(
        "network on digits: at equal epochs and eta sharpness grows with the batch size; at equal eta/S or equal steps hardly",
        sharpness_of_a_network,
        Reference(0.0, "relation", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "population of the flat minimum: SGD and the transfer operator agree after equal numbers of examples (z-scores)",
        agreement,
        Reference(0.0, "theory", SOURCE, absolute=4.0),
        cost="slow",
    ),
)
