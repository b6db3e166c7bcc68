"""The study: do large batches prefer sharp minima, or have they not converged yet?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import xarray as xr

from quenched.data import Digits
from quenched.models import AbstractLossModel, TwoLayerNetwork
from quenched.models.landscape import AbstractLandscape, DoubleWell
from quenched.numerics import checks
from quenched.studies.base import Study
from quenched.studies.batches import Together
from quenched.studies.claims import Claim
from quenched.studies.sgd_fokker_planck import measure, network, summary
from quenched.studies.simulations import Simulation, in_batches, one_by_one
from quenched.theory.fokker_planck import Temperature

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class SgdFokkerPlanck(Study):
    """One landscape with a sharp and a flat minimum: where SGD of several batch sizes ends, and how long that takes."""

    name: ClassVar[str] = "sgd-fokker-planck"
    title: ClassVar[str] = "Large batches and sharp minima: where SGD ends, and how long it takes, by its Fokker-Planck equation"
    paper: ClassVar[str] = (
        "X. Dai, Y. Zhu, On Large Batch Training and Sharp Minima: A Fokker-Planck Perspective, "
        "J. Statistical Theory and Practice 14 (2020), arXiv:2112.00987"
    )
    equations: ClassVar[tuple[str, ...]] = (
        r"\theta_{k+1} = \theta_k - \eta (\nabla L + \chi_k),  <\chi \chi^T> = \sigma^2 / S",
        r"\partial_t p = \nabla (p \nabla L) + T \Delta p,  T = \eta \sigma^2 / 2S,  t = \eta k",
        r"p_\infty = e^{-L/T} / Z,  P_{flat} / P_{sharp} -> (L''_{sharp} / L''_{flat})^{1/2}",
        r"1/\lambda_1 ~ e^{\Delta E / T} = e^{2 S \Delta E / \eta \sigma^2}",
    )

    landscape: AbstractLandscape = DoubleWell()
    """The loss: one parameter, two minima."""
    lr: float = 0.1
    """Learning rate."""
    noise: float = 8.0
    """Variance sigma^2 of the gradient of one sample."""
    batch_size: int = 8
    """Batch size S whose numbers are summarised."""
    compare: tuple[int, ...] = (4, 6, 12, 16, 24)
    """Batch sizes shown beside it."""
    momenta: tuple[float, ...] = (0.0, 0.5, 0.9)
    """Momenta beta at one temperature: the batch grows as 1/(1 - beta). Empty: left out."""
    momentum_batch: int = 5
    """Batch size at beta = 0 of the runs with momentum."""
    examples: int = 40320
    """Examples that every batch size has seen at the end."""
    chains: int = 800
    """Runs of SGD from either minimum."""
    samples: int = 4096
    """Samples in the data set of SGD."""
    low: float = -2.3
    """Left end of the box of the Fokker-Planck equation."""
    high: float = 2.7
    """Right end of the box."""
    wide: float = 6.0
    """Half the width of the box with noise along the curvature, which spreads further. 0: left out."""
    cells: int = 1000
    """Cells of the box."""
    network: AbstractLossModel | None = TwoLayerNetwork(data=Digits(train=1024, test=359))
    """Network whose sharpness is measured against the batch size. null: left out."""
    network_sizes: tuple[int, ...] = (8, 32, 128, 512)
    """Batch sizes of the network."""
    network_lr: float = 2.0
    """Its learning rate; the one that grows with the batch size has this value at ``network_reference``."""
    network_reference: int = 512
    """Batch size at which the learning rates of all ways to compare agree."""
    network_epochs: int = 60
    """Passes through the data."""
    network_replicas: int = 4
    """Trainings from independent starts."""

    def check(self) -> None:
        for name in ("lr", "noise", "network_lr"):
            checks.positive(name, getattr(self, name))
        lows = {"batch_size": 1, "momentum_batch": 1, "examples": 1, "chains": 2, "samples": 2, "cells": 100}
        lows |= {"network_reference": 1, "network_epochs": 1, "network_replicas": 2}
        for name, low in lows.items():
            checks.integer_at_least(name, getattr(self, name), low)
        for name in ("compare", "network_sizes"):
            for size in getattr(self, name):
                checks.integer_at_least(name, size, 1)
        if self.network is not None and len(set(self.network_sizes)) < 2:
            raise checks.ParameterError(f"network_sizes must be two or more batch sizes, got {self.network_sizes!r}")
        for beta in self.momenta:
            checks.in_interval("momenta", beta, 0.0, 1.0, closed="left")
        checks.non_negative("wide", self.wide)
        if self.examples < measure.MOMENTS * max(self.sizes):
            raise checks.ParameterError(
                f"examples must be >= {measure.MOMENTS} steps of the largest batch, {measure.MOMENTS * max(self.sizes)}, "
                f"got {self.examples}"
            )
        if not self.low < self.high:
            raise checks.ParameterError(f"low must be < high, got {self.low!r}, {self.high!r}")
        if self.landscape.dimension != 1:
            raise checks.ParameterError(f"landscape must have one dimension, got {self.landscape.dimension}")

    @classmethod
    def presets(cls) -> Mapping[str, Study]:
        ladder = (4, 5, 6, 7, 10, 12, 14, 16, 20, 24, 32, 40)
        return {
            "quick": cls(),
            "map": cls(compare=(), momenta=(), wide=0.0, chains=400, network=None),
            "paper": cls(
                compare=ladder,
                momenta=(0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
                chains=4000,
                examples=120960,
                cells=2000,
                network_sizes=(4, 8, 16, 32, 64, 128, 256, 512),
                network_replicas=16,
            ),
        }

    @property
    def sizes(self) -> tuple[int, ...]:
        """All batch sizes, in increasing order."""
        return tuple(sorted({self.batch_size, *self.compare}))

    def temperature(self, size: float | int, momentum: float = 0.0) -> Temperature:
        """T of a batch size, with its parts."""
        return Temperature(self.lr, size, self.noise, momentum)

    def moments(self, size: int) -> np.ndarray:
        """Steps at which SGD with this batch size is looked at: equal numbers of examples for all sizes."""
        return np.maximum(np.round(np.arange(1, measure.MOMENTS + 1) * self.examples / (size * measure.MOMENTS)), 1).astype(int)

    def theory(self, seed: int, progress: bool) -> xr.DataTree:
        wells = measure.wells(self)
        parts = {
            "mixing": measure.mixing_times(self, wells),
            "populations": measure.populations(self, wells),
            "densities": measure.densities(self, wells),
        }
        if self.momenta:
            parts["momentum"] = measure.momentum_rates(self, wells)
        if self.wide:
            parts["preference"] = measure.preferences(self, wells)
        return xr.DataTree.from_dict(parts)

    def simulations(self) -> dict[tuple[str, str, str], Simulation]:
        """The experiment: SGD from either minimum, for every batch size and every momentum; the network."""
        return measure.simulations(self) | network.simulations(self)

    def measured(self, answers: Mapping[tuple[str, str, str], xr.Dataset]) -> xr.DataTree:
        """Populations, relaxation times and densities of the simulated runs."""
        parts = measure.measured(self, answers)
        if self.network is not None:
            parts["network"] = network.measured(self, answers)
        return xr.DataTree.from_dict(parts)

    def experiment(self, seed: int, progress: bool) -> xr.DataTree:
        return self.measured(one_by_one(self.simulations(), seed, progress))

    def together(self) -> Together | None:
        return in_batches(self)

    def summary(self, tree: xr.DataTree) -> xr.Dataset:
        """Mixing time, and probability of the flat minimum after the examples and in the end, of the study's batch size."""
        return summary.summarise(self, tree)

    def figures(self, tree: xr.DataTree) -> Mapping[str, Figure]:
        from quenched.studies.sgd_fokker_planck import figures

        return figures.draw(self, tree)

    @classmethod
    def claims(cls) -> tuple[Claim, ...]:
        from quenched.studies.sgd_fokker_planck import claims

        return claims.CLAIMS
