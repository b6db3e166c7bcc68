"""The deterministic solution of gradient descent and SGD for the square loss: the oracle of every sampled solver.

For the square loss the effective process of one sample is linear in its Gaussian drive, and independent batches enter only
through their mean and variance. All averages of the dynamical mean-field theory then close on two-time functions: no
sampling, exact at finite learning rate. Source of the theory: Mignacco, Krzakala, Urbani, Zdeborova, arXiv:2006.06098; the
closed recursions are derived in ``integrate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import erfc

from quenched.dynamics.base import AbstractDynamics
from quenched.dynamics.batches import IID, Full, fractional
from quenched.dynamics.constraints import Free
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.schedules import learning_rates
from quenched.dynamics.simulate import observation_steps
from quenched.dynamics.transforms import Plain
from quenched.losses import Linear, Square
from quenched.models.base import AbstractModel
from quenched.models.gaussian_mixture import GaussianMixture
from quenched.numerics import checks
from quenched.numerics.quadrature import marchenko_pastur
from quenched.records.datasets import dataset

TwoTime = Float[np.ndarray, "n n"]
OneTime = Float[np.ndarray, " n"]
Row = Float[np.ndarray, " t"]


def refuses(model: AbstractModel, rule: AbstractDynamics) -> str | None:
    """Why the oracle does not cover this system, in one line; None if it does.

    Covered: a two-cluster ``GaussianMixture`` with the ``Square`` loss of a ``Linear`` output, and a ``Gradient`` rule with
    ``Full`` or ``IID`` batches of any fraction, any learning rate or schedule, ridge, temperature, ``normalise_batch``; plain
    and unconstrained.
    """
    # exact types: a subclass may change the law that the recursions are derived from
    if type(model) is not GaussianMixture:
        return f"the oracle needs a GaussianMixture, got {type(model).__name__}"
    if model.clusters != 2:
        return f"the oracle needs clusters=2, got clusters={model.clusters}"
    if type(model.loss) is not Square or type(model.loss.output) is not Linear:
        output = getattr(model.loss, "output", None)
        got = type(model.loss).__name__ + ("" if output is None else f" of a {type(output).__name__} output")
        return f"the oracle needs the Square loss of a Linear output, got {got}"
    if type(rule) is not Gradient:
        return f"the oracle needs a Gradient rule, got {type(rule).__name__}"
    if type(rule.batches) not in (Full, IID):
        return f"the oracle needs Full or IID batches, got {type(rule.batches).__name__}"
    if type(rule.transform) is not Plain:
        return f"the oracle needs the Plain transform, got {type(rule.transform).__name__}"
    if type(rule.constraint) is not Free:
        return f"the oracle needs no constraint, got {type(rule.constraint).__name__}"
    return None


def solve_oracle(
    model: Any,
    rule: Any,
    *,
    steps: int,
    replicas: int = 1,
    times: Sequence[Any] | np.ndarray | None = None,
    two_time: bool = True,
) -> xr.Dataset:
    """Order parameters of the infinite-size limit at ``steps`` + 1 times, exact up to rounding.

    ``times``: steps to return, default every step (they cost nothing more). ``replicas`` >= 2 adds the overlap and distance
    of two replicas with common data and start and independent batches and thermal noise. Dimensions (t,) and, with
    ``two_time``, (t, t_prime):

    overlap, norm, loss, test_error; train_error for full batches (for random batches the residual of a sample is not Gaussian
    and its sign has no closed form); correlation, response, integrated_response chi, noise_kernel M, response_kernel Gam;
    replica_correlation, replica_distance.

    R(t, s) = dw(t)/d(lr_s F(s)) with R(s+1, s) = 1; chi(t, t') = sum over s in [t', t) of lr_s R(t, s), of every step whatever
    ``times``; M(t,t') = alpha <f f'> and Gam(t,s) = alpha <s Lam''(t) dr(t)/dr(s)>, f = s Lam'. The certificate
    compares R(t, 0) with its Marchenko-Pastur average. Cost O(steps^2) per step in time, O(steps^2) in memory.

    Raises ``IncompatibleError`` for a system that ``refuses`` names, ``ParameterError`` for bad arguments,
    ``DivergenceError`` with the first bad step for an unstable learning rate.
    """
    reason = refuses(model, rule)
    if reason is not None:
        raise checks.IncompatibleError(reason)
    checks.integer_at_least("steps", steps, 1)
    checks.integer_at_least("replicas", replicas, 1)
    clock = rule.times(steps)
    system = linear_system(model, rule, steps)
    two = integrate(system, pair=replicas >= 2)
    kept = observation_steps(times, steps, every=True)
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (("t",), values[kept]) for name, values in one_time_values(model, system, two).items()
    }
    coords: dict[str, Any] = {"t": clock[kept], "step": (("t",), kept)}
    if two_time:
        coords |= {"t_prime": clock[kept], "step_prime": (("t_prime",), kept)}
        pairs = np.ix_(kept, kept)
        variables |= {name: (("t", "t_prime"), values[pairs]) for name, values in two_time_values(system, two).items()}
    provenance = {
        "engine": "solve",
        "model": model,
        "rule": rule,
        "steps": steps,
        "method": "oracle",
        "replicas": replicas,
        "times": None if times is None else kept.tolist(),
        "two_time": two_time,
    }
    certificate = {"method": "oracle", "steps": steps, "residual": response_residual(system, two.response)}
    return dataset(variables, coords, provenance, certificate=certificate)


class LinearSystem(NamedTuple):
    """The numbers that the recursions need; ``mean`` and ``variance`` are those of s, ``rates`` ends with a dummy 0."""

    alpha: float
    noise: float
    mean: float
    variance: float
    ridge: float
    temperature: float
    overlap: float
    spread: float
    rates: OneTime


class TwoTimeFunctions(NamedTuple):
    """``residual`` is <y (r - y)>, ``mean_square`` <(r - y)^2>, ``resolvent`` K, ``spread`` C11 - C12."""

    overlap: OneTime
    residual: OneTime
    mean_square: OneTime
    resolvent: TwoTime
    response: TwoTime
    correlation: TwoTime
    noise_kernel: TwoTime
    spread: TwoTime | None


def selection_moments(rule: Gradient) -> tuple[float, float]:
    """Mean and variance of the selection s, which takes values in {0, 1}, or {0, 1/b} with ``normalise_batch``."""
    b = float(fractional(rule.batches).mean)
    return (1.0, (1 - b) / b) if rule.normalise_batch else (b, b * (1 - b))


def linear_system(model: GaussianMixture, rule: Gradient, steps: int) -> LinearSystem:
    """Numbers of a covered system: mean and variance of the selection, schedule, start."""
    mean, variance = selection_moments(rule)
    return LinearSystem(
        alpha=model.alpha,
        noise=model.noise,
        mean=mean,
        variance=variance,
        ridge=rule.ridge,
        temperature=rule.temperature,
        overlap=float(model.start.mean_overlap),
        spread=float(model.start.spread),
        rates=np.append(learning_rates(rule.lr, steps), 0.0),
    )


def integrate(system: LinearSystem, pair: bool) -> TwoTimeFunctions:
    """Rows t = 0, 1, ... of all two-time functions; row t needs earlier rows only.

    With D = diag(lr), s = beta + ds, ds of variance v independent of the past, the residual e = r - y of a sample with y = 1 (the
    problem depends on y x only, hence not on the cluster fractions) obeys

        e = (m - 1) + sqrt(Delta) omega - Delta R D (s e),   omega Gaussian of covariance C,
        e = A [(m - 1) + sqrt(Delta) omega] - Delta K D (ds e),   A = (1 + Delta beta R D)^-1,   K = A R = R - Delta beta R D K,

    and ds e is uncorrelated in time and with omega. Therefore, with ebar = A (m - 1) and A = 1 - Delta beta K D,

        <e e'>    = ebar ebar' + Delta A C A^T + Delta^2 v K D <e^2> D K^T,
        Gam       = alpha beta A,
        M(t, t')  = alpha beta [ beta <e e'> - Delta v K(t, t') lr' <e'^2> ]  (t' < t),     M(t, t) = alpha (beta^2 + v) <e^2>,
        m(t+1)    = (1 - lr lam) m - lr alpha beta [ ebar + Delta (A m)(t) ],
        R(t+1, s) = (1 - lr lam) R(t, s) - lr Delta alpha beta K(t, s) + 1[s = t],
        C(t+1,t') = (1 - lr lam) C(t,t') - lr alpha beta [ m(t') ebar(t) + Delta (A C)(t,t') ]
                    + lr Delta sum_u M(t,u) lr_u R(t',u),

    plus 2 T lr on C(t+1, t+1). Two replicas: the difference C11 - C12 obeys the same linear equations without the terms of m,
    with source M11 - M12. It is carried instead of C12, so that the distance keeps its digits however small it is, and
    vanishes exactly without noise.
    """
    alpha, delta, beta, v, ridge, temperature, m0, r0, rates = system
    n = len(rates)
    m, ebar, e2 = np.zeros(n), np.zeros(n), np.zeros(n)
    response, k, c, noise = (np.zeros((n, n)) for _ in range(4))
    spread = np.zeros((n, n)) if pair else None
    m[0], c[0, 0] = m0, r0 + m0**2
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(n):
            now = slice(t + 1)
            lr = rates[now]
            k[t, now] = response[t, now] - delta * beta * ((lr[:t] * response[t, :t]) @ k[:t, now])
            a = -delta * beta * lr * k[t, now]
            a[t] = 1.0
            ebar[t] = a @ (m[now] - 1)
            ac = c[now, now] @ a
            batch = delta**2 * v * lr**2 * e2[now] * k[t, now]
            square = ebar[t] * ebar[now] + delta * ac + lower_matvec(k, batch - delta**2 * beta * lr * ac)
            e2[t] = square[t]
            kick = delta * v * lr * e2[now] * k[t, now]
            noise[t, now] = alpha * beta * (beta * square - kick)
            noise[t, t] += alpha * v * e2[t]
            if not np.isfinite(e2[t]):
                raise checks.DivergenceError(f"the loss is not finite at step {t}: the learning rate is unstable")
            if t == n - 1:
                break
            eta, keep = rates[t], 1 - rates[t] * ridge
            m[t + 1] = keep * m[t] - eta * alpha * beta * (ebar[t] + delta * (a @ m[now]))
            response[t + 1, now] = keep * response[t, now] - eta * delta * alpha * beta * k[t, now]
            response[t + 1, t] = 1.0
            step = _Step(keep, eta * alpha * beta, delta, eta * delta, 2 * temperature * eta)
            _advance(c, step, a, ac, ebar[t] * m, response, lr * noise[t, now])
            if spread is not None:
                aq = spread[now, now] @ a
                excess = delta * aq + lower_matvec(k, batch - delta**2 * beta * lr * aq)
                source = alpha * beta * (beta * excess - kick)
                source[t] += alpha * v * e2[t]
                _advance(spread, step, a, aq, np.zeros(n), response, lr * source)
    return TwoTimeFunctions(m, ebar, e2, k, response, c, noise + np.tril(noise, -1).T, spread)


class _Step(NamedTuple):
    """Coefficients of one step: 1 - lr lam, lr alpha beta, Delta, lr Delta, 2 T lr."""

    keep: float
    pull: float
    delta: float
    push: float
    thermal: float


def _advance(c: TwoTime, step: _Step, a: Row, ac: Row, signal: OneTime, response: TwoTime, source: Row) -> None:
    """Fill row and column t + 1 of a covariance, in place; a and ac are the rows of A and A C at t = len(a) - 1."""
    t = len(a) - 1
    now = slice(t + 1)
    drift = signal[now] + step.delta * ac
    row = step.keep * c[t, now] - step.pull * drift + step.push * lower_matvec(response, source)
    c[t + 1, now] = c[now, t + 1] = row
    drift_next = signal[t + 1] + step.delta * (a @ row)
    c[t + 1, t + 1] = step.keep * row[t] - step.pull * drift_next + step.push * (response[t + 1, now] @ source) + step.thermal


def lower_matvec(matrix: TwoTime, x: Row) -> Row:
    """L x for the leading block of a lower triangular matrix; skips most of the zeros above the diagonal, for memory traffic."""
    n = len(x)
    y = np.empty(n)
    block = max(64, n // 8)
    for low in range(0, n, block):
        high = min(low + block, n)
        y[low:high] = matrix[low:high, :high] @ x[:high]
    return y


def one_time_values(model: GaussianMixture, system: LinearSystem, two: TwoTimeFunctions) -> dict[str, np.ndarray]:
    """Order parameters at every step."""
    norm = np.diagonal(two.correlation).copy()
    with jax.enable_x64(True):
        error = np.asarray(model.test_error(jnp.asarray(two.overlap[:, None]), jnp.asarray(norm)), np.float64)
    values = {"overlap": two.overlap, "norm": norm, "loss": two.mean_square / 2, "test_error": error}
    if system.variance == 0:
        # the residual of a sample is Gaussian: misclassified when y r = 1 + y (r - y) < 0
        spread = np.sqrt(np.maximum(2 * (two.mean_square - two.residual**2), np.finfo(float).tiny))
        values["train_error"] = erfc((1 + two.residual) / spread) / 2
    if two.spread is not None:
        values["replica_distance"] = 2 * np.diagonal(two.spread)
    return values


def two_time_values(system: LinearSystem, two: TwoTimeFunctions) -> dict[str, np.ndarray]:
    """Two-time functions at every pair of steps."""
    pull = -system.noise * system.mean * two.resolvent * system.rates
    values = {
        "correlation": two.correlation,
        "response": two.response,
        "integrated_response": np.cumsum((two.response * system.rates)[:, ::-1], axis=1)[:, ::-1],
        "noise_kernel": two.noise_kernel,
        "response_kernel": system.alpha * system.mean * (np.eye(len(pull)) + pull),
    }
    if two.spread is not None:
        values["replica_correlation"] = two.correlation - two.spread
    return values


def response_residual(system: LinearSystem, response: TwoTime) -> float:
    """max over t of |R(t, 0) - <prod_(0<u<t) (1 - lr_u (lam + beta x))>|, x Marchenko-Pastur: an independent check."""
    steps = len(system.rates) - 1
    if system.noise == 0:
        x, w = np.zeros(1), np.ones(1)
    else:
        # the average is a polynomial of degree steps - 1: this order is exact
        x, w = marchenko_pastur(system.alpha, system.noise, steps // 2 + 1)
    product, worst = np.ones_like(x), 0.0
    for t in range(1, steps + 1):
        worst = max(worst, abs(float(w @ product) - float(response[t, 0])))
        product = product * (1 - system.rates[t] * (system.ridge + system.mean * x))
    return worst
