"""What curvature costs on the test set: shift, bias, cross term and covariance of a distribution of parameters.

To second order around the minimum theta_te of the test loss, with s = theta_te - theta_tr the shift of the minimum, b = E
theta - theta_tr the bias, P the covariance of the parameters and C the Hessian of the test loss,

    E U_te(theta) - U_te(theta_te) = s.C s/2 + b.C b/2 - b.C s + tr(C P)/2.

Each term is invariant under reparametrisation although curvature is not. It is a property of the distribution, wherever that
comes from: SGD, a window of weight averaging, a posterior. Source: Bradley, Gomez-Uribe, Vuyyuru, arXiv:2108.09507.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from quenched.numerics import checks
from quenched.observables.loss_curvature import INDEFINITE, Curvature, curvature_at, double_if
from quenched.records.datasets import dataset
from quenched.records.labels import Label, register_label

for _name, _label in {
    "shift": Label("shift-curvature", r"\frac12 s\cdot C s"),
    "bias": Label("bias-curvature", r"\frac12 b\cdot C b"),
    "cross": Label("cross term", r"-b\cdot C s"),
    "covariance": Label("parameter covariance", r"\frac12\mathrm{tr}\,CP"),
    "parts": Label("sum of the four parts", r"\Sigma"),
    "excess": Label("excess test loss", r"E[U_{\mathrm{te}}]-U_{\mathrm{te}}(\theta_{\mathrm{te}})"),
    "residual_loss": Label("excess test loss beyond the four parts", r"E[U_{\mathrm{te}}]-U_{\mathrm{te}}-\Sigma"),
    "shift_length": Label("distance of the two minima", "|s|"),
    "bias_length": Label("distance of the mean from the training minimum", "|b|"),
    "parameter_variance": Label("variance of the parameters", r"\mathrm{tr}\,P"),
    "negative_curvature": Label("sum of the discarded negative curvatures", r"\sum_{\lambda<0}|\lambda|"),
}.items():
    register_label(_name, _label)

PARTS = ("shift", "bias", "cross", "covariance")


class ChainMoments(NamedTuple):
    """All of a sample that the decomposition needs, by chain: means over it, relative to the training minimum theta_tr.

    ``mean`` x = theta - theta_tr, ``quadratic`` x.C x/2, ``square`` |x|^2, ``excess`` U_te(theta) - U_te(theta_te);
    ``weight``: how much a chain counts, the number of its samples.
    """

    mean: Float[np.ndarray, "chain weight"]
    quadratic: Float[np.ndarray, " chain"]
    square: Float[np.ndarray, " chain"]
    excess: Float[np.ndarray, " chain"]
    weight: Float[np.ndarray, " chain"]


def shift_curvature(
    test_loss: Callable[[Any], Any],
    test_minimum: Any,
    train_minimum: Any,
    samples: Any,
    *,
    temperature: float | int | None = None,
    train_loss: Callable[[Any], Any] | None = None,
    basin: Callable[[Any], Any] | None = None,
    indefinite: str = "refuse",
    tolerance: float = 1e-3,
) -> xr.Dataset:
    """The four parts of the excess test loss of a distribution of parameters, and the measured excess.

    ``test_loss`` of the parameters, written with ``jax.numpy``; ``test_minimum``, ``train_minimum``: a vector (d,) or any
    pytree of arrays; ``samples``: the same with leading axes (chain, sample) or (sample,). Hessian-vector products only, no d
    x d matrix.

    Scalars ``shift``, ``bias``, ``cross``, ``covariance``, their sum ``parts``, ``excess``, and ``residual_loss`` = excess -
    parts, which is of third order; all but ``shift`` with ``_error``, jackknife standard errors over the chains (NaN for
    one); the lengths ``shift_length``, ``bias_length``, ``parameter_variance``; ``negative_curvature``. ``bias`` contains the
    noise of the mean, tr(C Cov mean)/2: where its error is as large as itself it is that. ``temperature`` T is an attribute.

    Options: ``train_loss`` checks that its gradient vanishes at ``train_minimum`` too. ``basin``: parameters -> whether they
    lie in the basin of the minima. ``indefinite``: what to do where C has a negative eigenvalue: "refuse", or "project" onto
    the others.

    Raises ``ParameterError`` for shapes that do not fit, samples that are not finite, a minimum where the gradient exceeds
    ``tolerance``, an indefinite C, or chains that left the basin (with their fraction): take ``shift_curvature_by_basin``.
    """
    checks.one_of("indefinite", indefinite, INDEFINITE)
    if temperature is not None:
        checks.positive("temperature", temperature)
    te, back = as_vector("test_minimum", test_minimum)
    tr, _ = as_vector("train_minimum", train_minimum)
    x = stacked(samples, test_minimum, train_minimum)
    with double_if(te):
        if basin is not None:
            inside = np.asarray(each(lambda theta: jnp.asarray(basin(back(theta)), bool), x), bool)
            left = float(np.mean(~inside.all(axis=1)))
            if left > 0:
                raise checks.ParameterError(
                    f"samples must stay in the basin of the minima, got a fraction {left:.3g} of chains that left it: take "
                    "shift_curvature_by_basin"
                )
        if train_loss is not None:
            check_gradient("train_minimum", train_loss, back, tr, tolerance)
        curvature = located(test_loss, back, te, indefinite, tolerance)
        moments = moments_of(curvature, tr, x)
        found = decomposition(curvature, tr, moments)
    extra = {} if temperature is None else {"temperature": float(temperature)}
    return dataset({name: ((), value) for name, value in found.items()}, {}, {"engine": "shift_curvature"}, **extra)


def decomposition(curvature: Curvature, train_minimum: Float[np.ndarray, " weight"], moments: ChainMoments) -> dict[str, Any]:
    """The four parts, the excess, errors and lengths, from sums over chains."""
    s = curvature.place - train_minimum
    n, weight = len(moments.mean), moments.weight
    bent = np.asarray(lax.map(curvature.product, jnp.asarray(moments.mean, curvature.place.dtype)), float)
    c_s = np.asarray(curvature.product(jnp.asarray(s)), float)
    gram, along = moments.mean @ bent.T, moments.mean @ c_s
    shift = float(s @ c_s) / 2

    def parts(share: Float[np.ndarray, "row chain"]) -> dict[str, np.ndarray]:
        bias = np.einsum("ri,ij,rj->r", share, gram, share) / 2
        cross, covariance = -share @ along, share @ moments.quadratic - bias
        total, excess = shift + bias + cross + covariance, share @ moments.excess
        return {
            "bias": bias,
            "cross": cross,
            "covariance": covariance,
            "parts": total,
            "excess": excess,
            "residual_loss": excess - total,
        }

    whole = parts(weight[None] / weight.sum())
    others = weight * (1 - np.eye(n))
    known = n > 1 and np.count_nonzero(weight) > 1
    left_out = parts(others / others.sum(axis=1, keepdims=True)) if known else {}
    found: dict[str, Any] = {"shift": shift}
    for name, value in whole.items():
        found[name] = value[0]
        found[f"{name}_error"] = np.sqrt((n - 1) * np.var(left_out[name])) if known else np.nan
    share = weight / weight.sum()
    mean = share @ moments.mean
    return found | {
        "shift_length": np.linalg.norm(s),
        "bias_length": np.linalg.norm(mean),
        "parameter_variance": share @ moments.square - mean @ mean,
        "negative_curvature": curvature.discarded,
    }


def moments_of(
    curvature: Curvature,
    train_minimum: Float[np.ndarray, " weight"],
    x: Float[np.ndarray, "chain sample weight"],
    counted: Float[np.ndarray, "chain sample"] | None = None,
) -> ChainMoments:
    """The sums over the chains of a sample, each counted once or as often as ``counted`` says."""
    here, lowest = jnp.asarray(train_minimum, curvature.place.dtype), curvature.loss(jnp.asarray(curvature.place))

    def one(theta: Float[Array, " weight"]) -> tuple[Array, Array, Array]:
        u = theta - here
        return jnp.dot(u, curvature.product(u)) / 2, jnp.dot(u, u), curvature.loss(theta) - lowest

    times = np.ones(x.shape[:2]) if counted is None else counted
    share = times / np.maximum(times.sum(axis=1, keepdims=True), 1.0)
    quadratic, square, excess = ((share * np.asarray(a, float)).sum(axis=1) for a in each(one, x))
    mean = np.einsum("cs,csw->cw", share, x - train_minimum.astype(float))
    return ChainMoments(mean, quadratic, square, excess, times.sum(axis=1))


def located(
    test_loss: Callable[[Any], Any], back: Callable[[Array], Any], te: np.ndarray, indefinite: str, tolerance: float
) -> Curvature:
    """The curvature of the test loss at its minimum, with every check of it."""
    check_gradient("test_minimum", test_loss, back, te, tolerance)
    return curvature_at(lambda theta: test_loss(back(theta)), te, indefinite)


def check_gradient(name: str, loss: Callable[[Any], Any], back: Callable[[Array], Any], at: np.ndarray, tolerance: float) -> None:
    """Refuse a claimed minimum where the gradient is not small."""
    left = float(jnp.linalg.norm(jax.grad(lambda theta: loss(back(theta)))(jnp.asarray(at))))
    if not left <= tolerance:
        raise checks.ParameterError(f"{name} must have a gradient <= {tolerance:g}, got {left:.3g}")


def as_vector(name: str, tree: Any) -> tuple[np.ndarray, Callable[[Array], Any]]:
    """A point as one vector in its own precision, and the way back."""
    leaves = jax.tree.leaves(tree)
    if not leaves or not all(np.asarray(leaf).dtype.kind == "f" for leaf in leaves):
        raise checks.ParameterError(f"{name} must be a pytree of floating arrays, got {tree!r}")
    with double_if(*(np.asarray(leaf) for leaf in leaves)):
        vector, back = ravel_pytree(jax.tree.map(jnp.asarray, tree))
    array = np.asarray(vector)
    if not np.all(np.isfinite(array)):
        raise checks.ParameterError(f"{name} must be finite, got an entry that is not")
    return array, back


def stacked(samples: Any, test_minimum: Any, train_minimum: Any) -> Float[np.ndarray, "chain sample weight"]:
    """Samples as one array, with the shapes checked against the minima."""
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (test_minimum, train_minimum, samples)]
    trees = [jax.tree.structure(tree) for tree in (test_minimum, train_minimum, samples)]
    extra = {len(long) - len(short) for short, long in zip(shapes[0], shapes[2], strict=False)}
    fits = len(set(map(str, trees))) == 1 and shapes[0] == shapes[1] and extra in ({1}, {2})
    if not fits or any(long[len(long) - len(short) :] != short for short, long in zip(shapes[0], shapes[2], strict=True)):
        raise checks.ParameterError(
            f"minima must be alike and samples (chain, sample, ...) of them, got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    lead = extra.pop()
    rows = [np.asarray(leaf) for leaf in jax.tree.leaves(samples)]
    x = np.concatenate([a.reshape(*a.shape[:lead], -1) for a in rows], axis=-1)
    x = x[None] if lead == 1 else x
    if not np.all(np.isfinite(x)):
        raise checks.ParameterError("samples must be finite, got an entry that is not: a chain has diverged")
    return x


def each(function: Callable[[Array], Any], x: Float[np.ndarray, "chain sample weight"]) -> Any:
    """A function of every sample, a few at a time: (chain, sample, ...)."""
    rows = jnp.asarray(x.reshape(-1, x.shape[2]))
    found = jax.jit(lambda r: lax.map(function, r, batch_size=min(256, len(rows))))(rows)
    return jax.tree.map(lambda a: a.reshape(*x.shape[:2], *a.shape[1:]), found)
