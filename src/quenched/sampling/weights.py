"""What a set of importance weights is worth: its mean with an error, and the signs that the error is not to be believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quenched.numerics import checks
from quenched.numerics.annealed_importance import log_mean
from quenched.records.labels import Label, register_label

for _name, _label in {
    "log_constant": Label("logarithm of the normalisation constant", r"\ln Z"),
    "effective_sample_size": Label("effective sample size", "n_{eff}"),
    "relative_variance": Label("relative variance of a weight", r"\mathrm{Var}\,w/(E\,w)^2"),
    "largest_share": Label("share of the largest weight", r"\max w/\sum w"),
    "tail_index": Label("Pareto index of the largest weights", r"\hat k"),
    "density_queries": Label("evaluations of the target density", r"n_{\rho}"),
    "gradient_queries": Label("evaluations of the gradient of the target density", r"n_{\nabla}"),
}.items():
    register_label(_name, _label)


class WeightStatistics(NamedTuple):
    """ln of the mean weight, its standard error, Var w/(E w)^2, (sum w)^2/sum w^2, max w/sum w and the Pareto index."""

    value: float
    error: float
    relative_variance: float
    effective_sample_size: float
    largest_share: float
    tail_index: float


def weight_statistics(log_weights: Float[np.ndarray, " n"]) -> WeightStatistics:
    """Statistics of weights given by their logarithms (n,). Raises ``ParameterError`` for an empty array, NaN or +infinity."""
    w = np.asarray(log_weights, np.float64)
    mean = log_mean(w)
    share = float(np.exp(w.max() - np.log(len(w)) - mean.value)) if np.isfinite(mean.value) else np.nan
    return WeightStatistics(*mean, share, tail_index(w))


def self_normalised(log_weights: Float[np.ndarray, " n"], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sum w f/sum w of ``values`` f (n, ...) and its standard error sqrt(sum w^2 (f - mean)^2)/sum w (delta method).

    The bias is of order 1/n.
    """
    w = np.exp(log_weights - log_weights.max())
    w = w / w.sum()
    mean = np.tensordot(w, values, axes=1)
    return mean, np.asarray(np.sqrt(np.tensordot(w**2, (values - mean) ** 2, axes=1)))


def tail_index(log_weights: Float[np.ndarray, " n"]) -> float:
    """Index k of the generalised Pareto law of the largest weights: their tail is w^(-1/k), moments above 1/k are infinite.

    Below 1/2 the variance exists and the standard error means what it says; above 0.7 the estimate is not to be believed at any
    affordable number of samples. The fit is that of Zhang and Stephens (Technometrics 51 (2009) 316) to the largest min(n/5,
    3 sqrt(n)) weights, drawn towards 1/2 by ten pseudo-observations (Vehtari et al., arXiv:1507.02646). -infinity if the
    largest weights are equal (a bounded tail without spread); NaN for fewer than 25 weights.
    """
    w = np.sort(np.asarray(log_weights, np.float64))
    count = int(min(len(w) / 5, 3 * np.sqrt(len(w))))
    if count < 5 or not np.isfinite(w[-1]):
        return np.nan
    relative = np.exp(w[-count - 1 :] - w[-1])
    excess = relative[1:] - relative[0]
    # spread below what weights can be computed to
    if excess[-1] < 1e-12:
        return -np.inf
    excess = np.maximum(excess, np.finfo(float).tiny)
    return _zhang_stephens(excess)


def _zhang_stephens(x: Float[np.ndarray, " n"]) -> float:
    n = len(x)
    nodes = 30 + int(np.sqrt(n))
    checks.positive("excess", float(x[-1]))
    quartile = max(x[int(n / 4 + 0.5) - 1], np.finfo(float).eps * x[-1])
    theta = 1 / x[-1] + (1 - np.sqrt(nodes / (np.arange(1, nodes + 1) - 0.5))) / (3 * quartile)
    shape = np.log1p(-theta[:, None] * x).mean(1)
    log_likelihood = n * (np.log(-theta / shape) - shape - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    best = float(theta @ posterior / posterior.sum())
    return float((n * np.log1p(-best * x).mean() + 5) / (n + 10))
