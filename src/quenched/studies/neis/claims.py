"""What the study says, as checks."""

from __future__ import annotations

import functools

import jax
import jax.flatten_util
import numpy as np

from quenched.sampling import (
    AbstractField,
    AbstractTarget,
    FiniteTime,
    Funnel,
    FunnelField,
    GenericField,
    GradientField,
    MixtureTarget,
    annealed_weights,
    estimate,
    four_modes,
    train,
    two_modes,
)
from quenched.sampling.neis import Estimate
from quenched.sampling.train import Trained, log_second_moment
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.neis import parts, zero
from quenched.studies.neis.study import Neis

SOURCE = "arXiv:2206.09908"
OWN = "this project, docs/sampling.md"
TWO = Neis()
SHIFTED = MixtureTarget((1,), ((1, 0),), ((1, 1),))
SMALL = GenericField(8, 0.2)


def vanilla() -> Measured:
    """Relative variances of importance sampling without a flow, two and four modes."""
    return Measured([two_modes().vanilla_relative_variance(), four_modes().vanilla_relative_variance()])


def one_orbit() -> Measured:
    """Largest |A/(Z_1/Z_0) - 1| of b = 1 on the line, window +-20."""
    found = zero.line_measured(60)["weight"]
    return Measured(float(np.abs(found.sel(window=20.0) - 1).max()))


def two_gaussians() -> Measured:
    """Largest |A/(Z_1/Z_0) - 1|, and largest error of the map T(x) = s x + w, for N(0, 1) to N(1, 1/4)."""
    x = np.linspace(-3, 3, 41)[:, None]
    spread = np.abs(zero.weights(zero.gaussians(), x, 40.0, 50) / zero.WIDTH - 1).max()
    image = np.abs(zero.map_measured(41)["image"] - zero.map_expected(41)["image"]).max()
    return Measured([float(spread), float(image)])


def torus() -> Measured:
    """Standard deviation of A over 2000 uniform starts for windows +-10 and +-40."""
    given, _ = zero.torus(zero.log_wave, 8)
    x = np.random.default_rng(0).random((2000, 2))
    return Measured([float(np.std(zero.weights(given, x, time, 20))) for time in (10.0, 40.0)])


def torus_ends() -> Measured:
    """Largest difference of A/(Z_1/Z_0) - 1 from what the ends of the orbits leave, window +-10."""
    given, _ = zero.torus(zero.log_wave, 8)
    x = np.random.default_rng(1).random((200, 2))
    return Measured(float(np.abs(zero.weights(given, x, 10.0, 50) - 1 - zero.remainder(x, 10.0, 50)).max()))


def gradient() -> Measured:
    """Derivative of ln E A^2 along a random direction: automatic less central difference, over the former."""
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(1), (20, 2))
        start = SMALL.initial(jax.random.key(0), 2)
        flat, back = jax.flatten_util.ravel_pytree(start)
        direction = jax.random.normal(jax.random.key(2), flat.shape)

        def along(s: float | jax.Array) -> jax.Array:
            return log_second_moment(back(flat + s * direction), SMALL, SHIFTED, FiniteTime(steps=20), x)[0]

        exact = float(jax.grad(along)(0.0))
        return Measured((float(along(1e-5) - along(-1e-5)) / 2e-5 - exact) / exact)


def unbiased() -> Measured:
    """Mean weight of an untrained field less the exact constant, for windows from t_- = 0 to -1."""
    with jax.enable_x64(True):
        start = SMALL.initial(jax.random.key(0), 2)
    found = [
        estimate(SHIFTED, SMALL, start, FiniteTime(start=t, steps=40), samples=40_000, seed=1).statistics
        for t in (0.0, -0.25, -0.5, -1.0)
    ]
    return Measured([s.value for s in found], [s.error for s in found])


@functools.cache
def trained(field: AbstractField, seed: int) -> Trained:
    """Two modes, as the paper trains."""
    return train(TWO.target, field, TWO.estimator, TWO.training, seed=seed)


@functools.cache
def fresh(field: AbstractField, seed: int) -> Estimate:
    """40,000 fresh points."""
    return estimate(TWO.target, field, trained(field, seed).parameters, TWO.estimator, samples=40_000, seed=seed + 100)


def about(found: Estimate, target: AbstractTarget) -> tuple[float, float]:
    """Relative variance about the exact constant, with its error."""
    return parts.variance_about(found.log_weights, parts.log_ratio(target))


def final_variance(field: AbstractField) -> Measured:
    """Relative variance after training, seeds 0 and 1."""
    return Measured(*zip(*(about(fresh(field, seed), TWO.target) for seed in (0, 1)), strict=True))


def gain() -> Measured:
    """Vanilla variance over variance after training in decades, gradient field, seeds 0 and 1."""
    values, errors = (
        np.array(part) for part in zip(*(about(fresh(GradientField(20), s), TWO.target) for s in (0, 1)), strict=True)
    )
    return Measured(np.log10(two_modes().vanilla_relative_variance() / values), errors / values / np.log(10))


def constant() -> Measured:
    """ln of the estimate less the exact value, gradient field, seeds 0 and 1."""
    found = [fresh(GradientField(20), seed).statistics for seed in (0, 1)]
    return Measured([s.value - parts.log_ratio(TWO.target) for s in found], [s.error for s in found])


def untrained() -> Measured:
    """Relative variance of fields as they are drawn, seeds 0 and 1, points of a broader law included."""
    field = GradientField(20)
    x, shares = parts.broad_sample(2, 10_000, 3.0, 5)
    values = []
    for seed in (0, 1):
        logs = parts.weights_at(field, trained(field, seed).path[0], TWO.target, TWO.estimator, x)
        values.append(float(np.mean(np.exp(2 * (logs - parts.log_ratio(TWO.target)) + shares))) - 1)
    return Measured(values)


def four() -> Measured:
    """Relative variance after training: four modes in ten dimensions."""
    study = Neis.presets()["four-modes"]
    assert isinstance(study, Neis)
    flow = train(study.target, study.field, study.estimator, study.training, seed=0)
    found = estimate(study.target, study.field, flow.parameters, study.estimator, samples=20_000, seed=7)
    return Measured(about(found, study.target)[0])


def acceptance() -> Measured:
    """Accepted Langevin moves: two modes with K = 10 and 100, funnel with K = 100."""
    cases = ((two_modes(), 10), (two_modes(), 100), (Funnel(), 100))
    return Measured([annealed_weights(target, rungs=k, particles=5000).acceptance for target, k in cases])


def annealed_median() -> Measured:
    """Median over 20 batches of 30,000 particles of the estimate over the exact value, K = 10."""
    means = [annealed_weights(two_modes(), rungs=10, particles=30_000, seed=s).log_weights for s in range(20)]
    return Measured(np.median([np.exp(parts.log_mean(w).value - parts.log_ratio(two_modes())) for w in means]))


def funnel_annealed() -> Measured:
    """Median over 10 batches of 20,000 and 5000 particles of the estimate over the exact value, K = 10 and K = 100."""
    target, medians = Funnel(), []
    for rungs, particles in ((10, 20_000), (100, 5000)):
        logs = [annealed_weights(target, rungs=rungs, particles=particles, seed=s).log_weights for s in range(10)]
        medians.append(np.median([np.exp(parts.log_mean(w).value - parts.log_ratio(target)) for w in logs]))
    return Measured(medians)


def funnel_flow() -> Measured:
    """Estimate over exact value, 40,000 points, with the field (beta, alpha) = (4.6, 4)."""
    target, field = Funnel(), FunnelField(4.6, 4.0)
    with jax.enable_x64(True):
        start = field.initial(jax.random.key(0), 10)
    found = estimate(target, field, start, FiniteTime(start=-0.5, steps=100), samples=40_000, seed=0).statistics
    ratio = np.exp(found.value - parts.log_ratio(target))
    return Measured(ratio, ratio * found.error)


def funnel_training() -> Measured:
    """Where 100 batches of 1000 points take (beta, alpha) from (2, 2), seeds 0 and 1."""
    study = Neis.presets()["funnel"]
    assert isinstance(study, Neis)
    ends = [train(study.target, study.field, study.estimator, study.training, seed=seed).parameters for seed in (0, 1)]
    return Measured([[float(end["beta"]), float(end["alpha"])] for end in ends])


CLAIMS = (
    Claim(
        "without a flow the relative variance of a weight is 1.854198e6 (two modes) and 2.154479e6 (four modes)",
        vanilla,
        Reference([1854198.2, 2154478.8], "exact", SOURCE, relative=1e-6),
    ),
    Claim(
        "on the line a constant field leaves no variance: A = Z_1/Z_0 at every start",
        one_orbit,
        Reference(0.0, "exact", SOURCE, absolute=1e-6),
    ),
    Claim(
        "N(0, 1) to N(1, 1/4) along b = x - 2: no variance, and the map of equal shares is x/2 + 1",
        two_gaussians,
        Reference(0.0, "exact", SOURCE, absolute=1e-3),
    ),
    Claim(
        "Poisson flow on the torus: the spread of A, 0.45 without a flow, is below 0.03 at T = 10 and below 1e-8 at T = 40",
        torus,
        Reference([0.03, 1e-8], "relation", SOURCE, relation="<="),
    ),
    Claim(
        "what is left of the variance at finite time is what the ends of each orbit leave: (J_T - J_-T)/int J dt",
        torus_ends,
        Reference(0.0, "exact", OWN, absolute=1e-4),
    ),
    Claim("the gradient of ln E A^2 through orbits is that of finite differences", gradient, Reference(0.0, "exact", OWN, 1e-5)),
    Claim(
        "the mean weight of an untrained field is Z_1/Z_0 for every window: t_- = 0, -1/4, -1/2, -1",
        unbiased,
        Reference(0.0, "exact", SOURCE, sigmas=4),
        cost="slow",
    ),
    Claim(
        "two modes, gradient field of 20 units, 50 steps: relative variance of a weight on fresh points",
        functools.partial(final_variance, GradientField(20)),
        Reference(6.0, "published", SOURCE, relation="<="),
        cost="slow",
    ),
    Claim(
        "the same with a generic field",
        functools.partial(final_variance, GenericField(20)),
        Reference(15.0, "published", SOURCE, relation="<="),
        cost="slow",
    ),
    Claim(
        "five decades at least are gained over importance sampling without a flow",
        gain,
        Reference(5.0, "published", SOURCE, relation=">="),
        cost="slow",
    ),
    Claim(
        "and the estimate is right: ln Z less the exact value",
        constant,
        Reference(0.0, "exact", SOURCE, sigmas=3),
        cost="slow",
    ),
    Claim(
        "before training the relative variance is above 10^4",
        untrained,
        Reference(1e4, "relation", OWN, relation=">="),
        cost="slow",
    ),
    Claim(
        "four modes in ten dimensions, gradient field of 30 units, 60 steps: relative variance of a weight on fresh points",
        four,
        Reference(15.0, "published", SOURCE, relation="<="),
        cost="slow",
    ),
    Claim(
        "annealing accepts 88 and 85 % of its moves on two modes (K = 10, 100), and 92 % on the funnel",
        acceptance,
        Reference([0.88, 0.85, 0.92], "measured", OWN, absolute=0.03),
        cost="slow",
    ),
    Claim(
        "few levels: half of the estimates of AIS with K = 10 are below 0.9 of the exact value",
        annealed_median,
        Reference(0.9, "published", SOURCE, relation="<="),
        cost="slow",
    ),
    Claim(
        "funnel: typical estimates of AIS over the exact value, K = 10 and K = 100",
        funnel_annealed,
        Reference([0.645, 0.735], "published", SOURCE, absolute=0.08),
        cost="slow",
    ),
    Claim(
        "funnel with the field (4.6, 4): the estimate is a few per cent too small, as of any law with a heavy tail",
        funnel_flow,
        Reference(0.97, "published", SOURCE, absolute=0.03),
        cost="slow",
    ),
    Claim(
        "funnel: training moves (beta, alpha) from (2, 2) to the published range 4.4-5, 3.6-4.7",
        funnel_training,
        Reference([[4.7, 4.15]] * 2, "published", SOURCE, absolute=0.55),
        cost="slow",
    ),
)
