"""The four parts of the excess test loss of SGD against its temperature: measured, and predicted from the two minima."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from quenched.dynamics import Gradient, Minibatch
from quenched.dynamics.simulate import simulate
from quenched.observables import ShiftMoments, line_scan, mean_error, shift_curvature, shift_curvature_from_moments
from quenched.observables.sharpness import hessian_trace, sharpness
from quenched.observables.shift_curvature import PARTS
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label
from quenched.studies.shift_curvature.problem import SAME, Problem, problem_of
from quenched.theory.effective_potential import local_covariance
from quenched.theory.shift_curvature import predicted_bias, sampling_shift

if TYPE_CHECKING:
    from quenched.studies.shift_curvature.study import ShiftCurvature

register_label("sgd_temperature", Label("temperature of SGD", r"T=\eta/2S"))
register_label("takeuchi", Label("mean shift-curvature of two data sets of one law", r"\frac12 E[s\cdot C s]"))

Pair = tuple[float, int]
KEPT = (*PARTS, "parts", "excess", "residual_loss", "shift_length", "bias_length", "parameter_variance")
RECORDS = 400
"""States that are kept of each chain; neighbours are as far apart as the slowest direction needs, or closer."""


def own_problem(study: ShiftCurvature, seed: int) -> Problem:
    """The study's model: its own loss has its decay."""
    return problem_of(study.model, 0.0, study.domain, seed)


def temperature(pair: Pair) -> float:
    """T = eta/(2S)."""
    return pair[0] / (2 * pair[1])


def ladder(study: ShiftCurvature) -> list[Pair]:
    """Learning rate and batch size of every temperature: the batch size stays, the rate grows."""
    return [(study.lr * factor, study.batch_size) for factor in study.ladder]


def equal_pairs(study: ShiftCurvature) -> list[Pair]:
    """Learning rates and batch sizes of the study's own temperature, as far as a batch has a whole number of samples."""
    return [(study.lr * factor, study.batch_size * factor) for factor in study.equal]


def stable_pairs(problem: Problem, pairs: Sequence[Pair]) -> list[Pair]:
    """Those whose learning rate keeps the training minimum stable, with a margin: eta times the largest curvature < 1.8."""
    with jax.enable_x64(True):
        h = np.asarray(jax.hessian(problem.train_loss)(jnp.asarray(problem.train_minimum)), float)
    top = float(np.linalg.eigvalsh(h)[-1])
    return [pair for pair in pairs if pair[0] * top < 1.8 and pair[1] <= problem.model.problem.samples]


# ---- theory


def predicted(study: ShiftCurvature, problem: Problem, pairs: Sequence[Pair], dim: str) -> xr.Dataset:
    """The parts at leading order: P of the linear theory at finite eta, b of the third derivative; dims (rule, dim)."""
    with jax.enable_x64(True):
        tr = jnp.asarray(problem.train_minimum)
        h = np.asarray(jax.hessian(problem.train_loss)(tr), float)
        noise = _noise(problem)
        bent = {name: np.asarray(jax.hessian(f)(jnp.asarray(problem.test_minima[name])), float) for name, f in _tests(problem)}
        gaps = {name: float(f(tr) - f(jnp.asarray(problem.test_minima[name]))) for name, f in _tests(problem)}
    rows: dict[str, list[list[float]]] = {}
    moments = []
    for pair in pairs:
        p = local_covariance(h, noise, temperature(pair), lr=pair[0])
        moments.append((p, predicted_bias(problem.train_loss, problem.train_minimum, p)))
    for name in problem.domains:
        c, s = bent[name], problem.test_minima[name] - problem.train_minimum
        shift = s @ c @ s / 2
        parts = [
            {"shift": shift, "bias": b @ c @ b / 2, "cross": -b @ c @ s, "covariance": np.sum(c * p) / 2} for p, b in moments
        ]
        for key in PARTS:
            rows.setdefault(key, []).append([float(one[key]) for one in parts])
        total = [float(sum(one.values())) for one in parts]
        rows.setdefault("parts", []).append(total)
        # the loss at the training minimum is known in full
        rows.setdefault("excess", []).append([one + gaps[name] - shift for one in total])
    return _beside(rows, problem.domains, dim, [_place(pair, dim) for pair in pairs])


def penalty(study: ShiftCurvature, problem: Problem) -> xr.Dataset:
    """Takeuchi's mean over data sets, for the test set of the same law."""
    with jax.enable_x64(True):
        h = np.asarray(jax.hessian(problem.train_loss)(jnp.asarray(problem.train_minimum)), float)
    arrays: Any = study.model.prepare()
    sizes = len(arrays.data.x), len(arrays.data.x_test)
    return dataset({"takeuchi": ((), sampling_shift(h, _noise(problem), *sizes))}, {}, {"engine": "shift-curvature"})


def line(study: ShiftCurvature, problem: Problem) -> xr.Dataset:
    """Train and test loss through the two minima: dims (rule, along_shift)."""
    each = [line_scan(problem.train_loss, f, problem.train_minimum, problem.test_minima[name]) for name, f in _tests(problem)]
    names = ("line_train_loss", "line_test_loss", "parabola")
    rows = {n: [one[n].values for one in each] for n in names}
    return _beside(rows, problem.domains, "along_shift", each[0].along_shift.values)


# ---- experiment


def measured(study: ShiftCurvature, problem: Problem, pairs: Sequence[Pair], dim: str, seed: int, progress: bool) -> xr.Dataset:
    """The parts and the excess of SGD from the training minimum, with errors over chains: dims (rule, dim).

    All domains against the temperature; the first one only against the learning rate.
    """
    found = []
    tests = list(_tests(problem))[: None if dim == "sgd_temperature" else 1]
    for pair in pairs:
        x = _samples(study, problem, pair, seed, progress)
        t, tr = temperature(pair), problem.train_minimum
        found.append([shift_curvature(f, problem.test_minima[n], tr, x, temperature=t) for n, f in tests])
    return collected(found, [n for n, _ in tests], dim, [_place(pair, dim) for pair in pairs])


def collected(found: Sequence[Sequence[xr.Dataset]], domains: list[str], dim: str, places: Sequence[float]) -> xr.Dataset:
    """Decompositions (pair, domain) beside each other."""
    names = [n for n in found[0][0].data_vars if str(n).removesuffix("_error") in KEPT]
    rows = {str(n): np.array([[float(one[n]) for one in row] for row in found]).T for n in names}
    return _beside(rows, domains, dim, places)


def _samples(study: ShiftCurvature, problem: Problem, pair: Pair, seed: int, progress: bool) -> Float[np.ndarray, "c k w"]:
    lr, size = pair
    skipped, steps = round(study.settle / lr), round((study.settle + study.time) / lr)
    run = simulate(
        problem.model,
        Gradient(lr=lr, batches=Minibatch(size)),
        steps=steps,
        times=np.unique(np.linspace(skipped, steps, RECORDS).astype(int)).tolist(),
        replicas=study.chains,
        seed=seed,
        record_weights=True,
        dtype="float64",
        # one chunk for the longest run: one program for all learning rates
        chunk=round((study.settle + study.time) / (study.lr * min(1.0, *study.ladder))),
        progress=progress,
    )
    return run["weights"].values[0]


def network(study: ShiftCurvature, seed: int, progress: bool) -> xr.Dataset:
    """The same for a network, by sums inside the loop, with sharpness and trace at the end: dims (rule, sgd_temperature)."""
    assert study.network is not None
    problem = problem_of(study.network, study.network_decay, 0.0, seed)
    test, te, tr = problem.test_losses[SAME], problem.test_minima[SAME], problem.train_minimum
    watched = ShiftMoments(test, te, tr, burn_in=study.network_steps // 2, every=4)
    found, ends = [], []
    for factor in study.ladder:
        lr = study.network_lr * factor
        run = simulate(
            problem.model,
            Gradient(lr=lr, batches=Minibatch(study.network_batch)),
            steps=study.network_steps,
            times=[0],
            replicas=study.network_chains,
            seed=seed,
            accumulators=[watched],
            final={"sharpness": sharpness, "hessian_trace": hessian_trace},
            dtype="float64",
            progress=progress,
        )
        t = lr / (2 * study.network_batch)
        found.append([shift_curvature_from_moments(run, test, te, tr, temperature=t)])
        ends.append([mean_error(run[name]) for name in ("sharpness", "hessian_trace")])
    places = [study.network_lr * factor / (2 * study.network_batch) for factor in study.ladder]
    answer = collected(found, [SAME], "sgd_temperature", places)
    for i, name in enumerate(("sharpness", "hessian_trace")):
        for j, key in enumerate((name, f"{name}_error")):
            answer[key] = (("rule", "sgd_temperature"), np.array([[float(row[i][j]) for row in ends]]), dict(ends[0][i][0].attrs))
    return answer


def _noise(problem: Problem) -> Float[np.ndarray, "w w"]:
    """Sigma at the training minimum."""
    sgd = problem.model.problem
    with jax.enable_x64(True):
        rows = jax.jit(jax.jacrev(lambda w: sgd.each(w, sgd.data)))(jnp.asarray(problem.train_minimum))
    return np.cov(np.asarray(rows, float).T, bias=True)


def _tests(problem: Problem) -> Any:
    return problem.test_losses.items()


def _place(pair: Pair, dim: str) -> float:
    return pair[0] if dim == "learning_rate" else temperature(pair)


def _beside(rows: Mapping[str, Any], rules: list[str], dim: str, places: Any) -> xr.Dataset:
    coords = {"rule": rules, dim: np.asarray(places, float)}
    return dataset({n: (("rule", dim), np.asarray(r, float)) for n, r in rows.items()}, coords, {"engine": "shift-curvature"})
