"""A general Ornstein-Uhlenbeck process: modified loss, stationary currents, irreversibility.

    dx = -A x dt + sqrt(2 D) dW,    stationary law exp(-x^T U x/2),  U = B^{-1},  A B + B A^T = 2 D

and A = (D + Q) U with Q antisymmetric: Q U x p is the divergence-free current that detailed balance forbids. Source: Kunin et
al., arXiv:2107.09133, sec. 5; Risken, The Fokker-Planck Equation, ch. 6.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from quenched.numerics import checks
from quenched.numerics.lyapunov import continuous_lyapunov, discrete_lyapunov
from quenched.theory.ornstein_uhlenbeck.momentum import MomentumSGD


class OrnsteinUhlenbeck:
    """dx = -A (x - mean) dt + sqrt(2 D) dW, from the matrices ``drift`` A and ``diffusion`` D (n, n).

    Raises ``ParameterError`` unless D is symmetric and positive semi-definite, ``ConvergenceError`` unless all eigenvalues of A
    have a positive real part.
    """

    def __init__(self, drift: Any, diffusion: Any):
        self.drift = np.asarray(drift, float)
        self.diffusion = symmetric("diffusion", diffusion)
        if self.drift.shape != self.diffusion.shape:
            raise checks.ParameterError(f"drift must have the shape of diffusion, got {self.drift.shape}, {self.diffusion.shape}")
        lowest = np.linalg.eigvalsh(self.diffusion).min()
        if lowest < -1e-12 * np.abs(self.diffusion).max():
            raise checks.ParameterError(f"diffusion must be positive semi-definite, got an eigenvalue {lowest:.4g}")
        self.covariance: Float[np.ndarray, "n n"] = continuous_lyapunov(self.drift, 2 * self.diffusion, "the process")

    @cached_property
    def precision(self) -> Float[np.ndarray, "n n"]:
        """U = B^{-1}, the Hessian of the modified loss.

        Raises ``ParameterError`` where the noise does not reach every direction.
        """
        if np.linalg.cond(self.covariance) > 1e14:
            raise checks.ParameterError("covariance must be invertible: the noise does not reach every direction")
        return np.asarray(np.linalg.inv(self.covariance))

    @cached_property
    def circulation(self) -> Float[np.ndarray, "n n"]:
        """2 Q_ij = <x_i o dx_j - x_j o dx_i>/dt, twice the signed area swept per unit of time (Stratonovich).

        <x_i o dx_j>/dt = -(A B)_ji + D_ij: the symmetric part of D drops out.
        """
        return 2 * self.current_matrix

    @cached_property
    def current_matrix(self) -> Float[np.ndarray, "n n"]:
        """Q = A B - D, antisymmetric; zero if and only if there is detailed balance."""
        q = self.drift @ self.covariance - self.diffusion
        return (q - q.T) / 2

    def modified_loss(self, x: Any) -> np.ndarray:
        """x^T U x/2 for points x (..., n): the stationary density is exp(-modified loss)."""
        x = np.asarray(x, float)
        return 0.5 * np.einsum("...i,ij,...j->...", x, self.precision, x)

    def current(self, x: Any) -> np.ndarray:
        """The velocity -Q U x of the stationary current at points x (..., n): along the level lines of the modified loss."""
        return -np.asarray(x, float) @ (self.current_matrix @ self.precision).T

    def entropy_production(self) -> float:
        """tr((Q U)^T D^{-1} Q U B) per unit of time. Raises ``ParameterError`` for a singular D, where it is infinite."""
        if np.linalg.cond(self.diffusion) > 1e14:
            raise checks.ParameterError("diffusion must be invertible for the entropy production, which is infinite otherwise")
        flow = self.current_matrix @ self.precision
        return float(np.trace(flow.T @ np.linalg.solve(self.diffusion, flow) @ self.covariance))


def momentum_process(rule: MomentumSGD, hessian: Any, noise: Any) -> OrnsteinUhlenbeck:
    """The continuous model of momentum SGD in (theta, v), 2 d dimensions: underdamped motion at temperature 1/(S (1-beta^2)).

    A = [[0, -I], [2 (H+lambda)/(eta (1+beta)), 2 (1-beta)/(eta (1+beta))]], D = [[0, 0], [0, 2 (1-beta)/(eta (1+beta)) Sigma]]
    divided by kappa = S (1-beta^2). Source: Kunin et al., arXiv:2107.09133, eq. 8-9.
    """
    h, sigma = symmetric("hessian", hessian), symmetric("noise", noise)
    d = len(h)
    eye, zero = np.eye(d), np.zeros((d, d))
    mass = rule.lr * (1 + rule.momentum)
    drift = np.block([[zero, -eye], [2 / mass * (h + rule.ridge * eye), 2 * (1 - rule.momentum) / mass * eye]])
    kappa = rule.batch_size * (1 - rule.momentum**2)
    diffusion = np.block([[zero, zero], [zero, 2 * (1 - rule.momentum) / mass * sigma / kappa]])
    return OrnsteinUhlenbeck(drift, diffusion)


def step_matrices(rule: MomentumSGD, hessian: Any) -> tuple[np.ndarray, np.ndarray]:
    """(M, G) of a step (theta, v) -> M (theta, v) + G eps: M = [[1 - eta H, eta beta], [-H, beta]], G = [eta; 1]."""
    h = symmetric("hessian", hessian)
    eye = np.eye(len(h))
    h = h + rule.ridge * eye
    m = np.block([[eye - rule.lr * h, rule.lr * rule.momentum * eye], [-h, rule.momentum * eye]])
    return m, np.vstack([rule.lr * eye, eye])


def stationary_covariance(rule: MomentumSGD, hessian: Any, noise: Any) -> np.ndarray:
    """The covariance (2 d, 2 d) of (theta, v) of the discrete process with additive noise Sigma/S, for any Sigma.

    Solves C = M C M^T + G Sigma G^T/S by doubling, O(d^3 log). Raises ``ConvergenceError`` for an unstable step.
    """
    m, g = step_matrices(rule, hessian)
    return discrete_lyapunov(m, g @ (symmetric("noise", noise) / rule.batch_size) @ g.T, "the step")


def persistent_covariance(rule: MomentumSGD, hessian: Any, noise: Any, correlation: float) -> np.ndarray:
    """The same for noise that is correlated in time, <eps_k eps_l^T> = Sigma/S ``correlation``^|k-l|; returns (theta, v) only.

    A batch in which a sample stays for a while has such noise: for ``Persistent`` batches of a fraction b of n samples whose
    mean loss is taken, S = b n/(1-b) and the correlation is 1 - lr/(b tau).
    """
    checks.in_interval("correlation", correlation, 0.0, 1.0, closed="left")
    m, g = step_matrices(rule, hessian)
    sigma = symmetric("noise", noise) / rule.batch_size
    d, zero = len(sigma), np.zeros((len(sigma), len(m)))
    # the noise is a state of its own: it is used before it moves
    wide = np.block([[m, g], [zero, correlation * np.eye(d)]])
    fresh = np.zeros((len(wide), len(wide)))
    fresh[len(m) :, len(m) :] = (1 - correlation**2) * sigma
    return discrete_lyapunov(wide, fresh, "the step")[: len(m), : len(m)]


def symmetric(name: str, matrix: Any) -> np.ndarray:
    """A symmetric matrix as float64. Raises ``ParameterError`` if it is none, or has an entry that is not finite."""
    array = np.atleast_2d(np.asarray(matrix, float))
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise checks.ParameterError(f"{name} must be a square matrix, got shape {array.shape}")
    if not np.all(np.isfinite(array)):
        raise checks.ParameterError(f"{name} must be finite, got an entry that is not")
    gap = np.abs(array - array.T).max()
    if gap > 1e-10 * max(np.abs(array).max(), 1e-300):
        raise checks.ParameterError(f"{name} must be symmetric, got a difference of {gap:.3g} from its transpose")
    return (array + array.T) / 2
