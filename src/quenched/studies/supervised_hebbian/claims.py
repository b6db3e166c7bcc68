"""What the study says, as checks."""

from __future__ import annotations

import functools

import numpy as np

from quenched.classifiers import HebbianClassifier, ReplicaLayerClassifier
from quenched.data import Digits, Mnist
from quenched.dynamics import BlockGibbs, Glauber
from quenched.dynamics.simulate import simulate
from quenched.models import BoltzmannMachine, Hopfield
from quenched.observables import mean_error, time_averages, ultrametricity
from quenched.studies import learning_curves, memories
from quenched.studies.claims import Claim, Measured, Reference
from quenched.studies.memories import Effort
from quenched.studies.supervised_hebbian import images, machine
from quenched.studies.supervised_hebbian.study import SupervisedHebbian
from quenched.theory import hopfield
from quenched.theory.hopfield import PatternLaw

SOURCE = "arXiv:2203.01304"
OWN = "this project, docs/hopfield.md"
DIGITS = "this project, docs/hebbian-digits.md"
STUDY = SupervisedHebbian()


def critical_loads() -> Measured:
    """alpha_c at T = 0 for rho = 0, 0.05, 0.1, 0.2, 0.5, 1."""
    return Measured([hopfield.critical_load(PatternLaw.supervised(rho)).load for rho in (0, 0.05, 0.1, 0.2, 0.5, 1)])


def first_order_loads() -> Measured:
    """alpha_1 at T = 0 for rho = 0, 0.05, 0.1, 0.2, 0.5."""
    return Measured([hopfield.first_order_load(PatternLaw.supervised(rho)) for rho in (0, 0.05, 0.1, 0.2, 0.5)])


def high_entropy() -> Measured:
    """d ln alpha_c/d ln rho between rho = 30 and 100."""
    low, high = (hopfield.critical_load(PatternLaw.supervised(rho)).load for rho in (30, 100))
    return Measured(np.log(high / low) / np.log(100 / 30))


def retrieval() -> Measured:
    """m where T = 0 dynamics stops, N = 4000, less theory: exact average, and Gaussian one."""
    model = Hopfield(load=0.02, examples=20, quality=0.5, rule="supervised")
    mean, error = mean_error(memories.retrieved(model, 0.0, 4000, Effort(12), 1)["archetype_overlap"])
    return Measured(float(mean - hopfield.equilibrium(model)["archetype_overlap"]), float(error))


def teacher() -> Measured:
    """m at M = 100, 150, 250, 400, N = 3000, r = 0.2, load 0.02, less theory."""
    arguments = (Hopfield(load=0.02, quality=0.2), ("supervised",), (100, 150, 250, 400))
    theory, found = learning_curves.expected(*arguments), learning_curves.measured(*arguments, 3000, Effort(8), 3)
    difference = found["archetype_overlap"].values - theory["archetype_overlap"].values
    return Measured(difference[0], found["archetype_overlap_error"].values[0])


def same_law() -> Measured:
    """m and e of Glauber's dynamics less those of block Gibbs sampling of the dual machine, on the same data sets."""
    network = Hopfield(load=0.02, examples=5, quality=0.8, rule="supervised")
    runs = [
        time_averages(simulate(model, rule, steps=660, size=2000, disorder=4, replicas=4, seed=1, times=range(0, 661, 5)), 60)
        for model, rule in ((network, Glauber(0.4)), (BoltzmannMachine(network), BlockGibbs(0.4)))
    ]
    differences = (runs[0] - runs[1])[["archetype_overlap", "spin_energy"]].mean("replica")
    mean, error = mean_error(differences)
    return Measured([float(v) for v in mean.data_vars.values()], [float(v) for v in error.data_vars.values()])


def random_classes() -> Measured:
    """Accuracy of machines on fresh examples less the formula, (N, K, M, r) = (500, 50, 100, .2), (300, 30, 5, .3)."""
    cases = ((500, 50, 100, 0.2), (300, 30, 5, 0.3))
    found = [machine.measured_accuracies(n, k, (r,), (m,), 10, 2) for n, k, m, r in cases]
    theory = [hopfield.classifier_accuracy(*case) for case in cases]
    return Measured(
        [float(ds["accuracy"].squeeze()) - value for ds, value in zip(found, theory, strict=True)],
        [float(ds["accuracy_error"].squeeze()) for ds in found],
    )


def digits_layer() -> Measured:
    """Test accuracy of ten replicas per class less that of one, 8 x 8 digits, cosine."""
    training, test = images.binary(Digits(), STUDY.ink)
    scores = [ReplicaLayerClassifier(replicas=count, random_state=0).fit(*training).score(*test) for count in (1, 10)]
    return Measured(scores[1] - scores[0])


@functools.cache
def mnist() -> tuple[images.Labelled, images.Labelled]:
    """Binary MNIST."""
    return images.binary(Mnist(), STUDY.ink)


def single_archetype() -> Measured:
    """Test accuracy of one archetype per class, centred."""
    training, test = mnist()
    return Measured(HebbianClassifier(scoring="centred").fit(*training).score(*test))


def replica_layer() -> Measured:
    """Test accuracy of 100 replicas per class, cosine."""
    training, test = mnist()
    layer = ReplicaLayerClassifier(replicas=100, clustering="minibatch", random_state=0).fit(*training)
    return Measured([layer.score(*test), layer.with_scoring("euclid").score(*test)])


def tree_of_ones() -> Measured:
    """Ultrametric index of the ones among the first 6000 training images, and of the surrogate."""
    (x, y), _ = mnist()
    found = ultrametricity(x[:6000][y[:6000] == 1])
    return Measured(found["ultrametric_index"].values, found["ultrametric_index_error"].values)


CLAIMS = (
    Claim(
        "critical loads at T = 0 for data-set entropies 0, 0.05, 0.1, 0.2, 0.5, 1",
        critical_loads,
        Reference([0.13790557, 0.0991487, 0.0715413, 0.0387598, 0.00906927, 0.00179258], "exact", OWN, relative=1e-5),
    ),
    Claim(
        "loads below which retrieval is the global minimum at T = 0, entropies 0, 0.05, 0.1, 0.2, 0.5",
        first_order_loads,
        Reference([0.051854, 0.039196, 0.029472, 0.016960, 0.0043901], "exact", OWN, absolute=1e-5),
    ),
    Claim(
        "at high entropy the critical load falls as rho^-4",
        high_entropy,
        Reference(-4.0, "exact", OWN, absolute=0.1),
    ),
    Claim(
        "500 pixels, 50 classes and 300 pixels, 30 classes: accuracy on fresh examples, machines less the formula",
        random_classes,
        Reference(0.0, "theory", SOURCE, absolute=0.03),
    ),
    Claim(
        "8 x 8 digits: ten replicas per class gain at least five points over one archetype",
        digits_layer,
        Reference(0.05, "relation", DIGITS, relation=">="),
    ),
    Claim(
        "load 0.02, M = 20, r = 0.5, T = 0, N = 4000: m of simulations less theory",
        retrieval,
        Reference(0.0, "theory", OWN, absolute=0.006),
        cost="slow",
    ),
    Claim(
        "r = 0.2, load 0.02, N = 3000: m at M = 100, 150, 250, 400 examples, simulation less theory",
        teacher,
        Reference(0.0, "theory", OWN, absolute=0.01),
        cost="slow",
    ),
    Claim(
        "Glauber's dynamics and block Gibbs sampling of the dual machine: m and energy on the same data sets",
        same_law,
        Reference(0.0, "exact", SOURCE, absolute=0.003),
        cost="slow",
    ),
    Claim(
        "MNIST, one archetype per class: 75 per cent (our protocol)",
        single_archetype,
        Reference(0.75, "published", SOURCE, absolute=0.01),
        cost="slow",
    ),
    Claim(
        "MNIST, a hundred replicas per class: 95 per cent (our protocol), cosine and euclid",
        replica_layer,
        Reference(0.95, "published", SOURCE, absolute=0.01),
        cost="slow",
    ),
    Claim(
        "MNIST, class 1: ultrametric index of images and of independent pixels",
        tree_of_ones,
        Reference([0.374, 0.490], "measured", DIGITS, absolute=0.01),
        cost="slow",
    ),
)
