"""The replica-symmetric equations of docs/hopfield.md as they stand, on fine grids: a judge that uses nothing of the library.

Gauge xi = 1: h = (1/(M Gamma)) sum_a n_a chi_a + sqrt(load p) z, m = E f, n_a = E chi_a f, q = E f^2 with f = tanh(beta h),
C = beta (1 - q), p = q sum_k mu_k lambda_k^2/(1 - lambda_k C)^2.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf
from scipy.stats import binom


@lru_cache
def normal_grid(spacing):
    """Equidistant points and normalised weights of N(0, 1)."""
    z = np.arange(-9, 9 + spacing / 2, spacing)
    weights = np.exp(-(z**2) / 2)
    return z, weights / weights.sum()


@dataclass(frozen=True)
class Plain:
    """One model: load, M, r, rule, the average over examples, Gamma = R (``normalise``) or 1; spacing of the grid of z."""

    load: float
    examples: float = 1
    quality: float = 1.0
    rule: str = "unsupervised"
    average: str = "binomial"
    normalise: bool = True
    spacing: float = 0.012

    @property
    def grid(self):
        return normal_grid(self.spacing)

    @property
    def second_moment(self):
        return self.quality**2 + (1 - self.quality**2) / self.examples

    @property
    def scale(self):
        return self.second_moment if self.normalise else 1.0

    @property
    def spectrum(self):
        signal = self.second_moment / self.scale
        if self.rule == "supervised":
            return [(1.0, signal)]
        return [(1.0, signal), (self.examples - 1.0, (1 - self.quality**2) / (self.examples * self.scale))]

    def chibar(self):
        """Values and weights of the average of an archetype's example signs."""
        r, count = self.quality, self.examples
        if self.average == "binomial":
            k = np.arange(count + 1)
            return 1 - 2 * k / count, binom.pmf(k, count, (1 - r) / 2)
        x, weights = normal_grid(0.25)
        return r + np.sqrt((1 - r**2) / count) * x, weights

    def p(self, q, c):
        return q * sum(mu * lam**2 / (1 - lam * c) ** 2 for mu, lam in self.spectrum)

    def update(self, n, q, temperature):
        """n, q and m that follow from n and q, T > 0."""
        c = (1 - q) / temperature
        f, weights, values = self._activity(n, self.p(q, c), temperature)
        normal = self.grid[1]
        return weights @ (values * (f @ normal)), weights @ (f**2 @ normal), weights @ (f @ normal)

    def update_at_zero(self, n, c):
        """n, C and m that follow from n and C, T = 0."""
        width = np.sqrt(2 * self.load * self.p(1.0, c))
        values, weights = self.chibar()
        scaled = n * values / (self.scale * width)
        zero = 2 / (np.sqrt(np.pi) * width) * (weights @ np.exp(-(scaled**2)))
        return weights @ (values * erf(scaled)), zero, weights @ erf(scaled)

    def solve(self, temperature, start=(1.0, 0.999), damping=0.5):
        """The state that damped iteration goes to, as a dictionary; start n = 0 for the spin glass."""
        last = np.array(start if temperature else (start[0], 0.01))
        step = self.update if temperature else (lambda n, c, _: self.update_at_zero(n, c))
        for _ in range(20_000):
            after = np.array(step(*last, temperature)[:2])
            if np.max(np.abs(after - last)) < 1e-12:
                break
            last = last + damping * (after - last)
        else:
            raise AssertionError("the judge did not settle")
        n, other = last
        q, c = (other, (1 - other) / temperature) if temperature else (1.0, other)
        return {"n": n, "q": q, "c": c, "m": step(n, other, temperature)[2], "p": self.p(q, c)}

    def free_energy(self, n, q, p, temperature):
        """f = -T A with the diagonal couplings kept, T > 0, at any n, q, p: stationary where these solve the equations."""
        beta, load = 1 / temperature, self.load
        c = beta * (1 - q)
        (values, weights), (z, normal) = self.chibar(), self.grid
        h = (n / self.scale) * values[:, None] + np.sqrt(load * p) * z
        log_cosh = np.abs(beta * h) + np.log1p(np.exp(-2 * beta * np.abs(h))) - np.log(2)
        noise = sum(mu * (np.log(1 - lam * c) - beta * lam * q / (1 - lam * c)) for mu, lam in self.spectrum)
        inner = weights @ (log_cosh @ normal) - beta * n**2 / (2 * self.scale)
        return -temperature * (np.log(2) + inner - load / 2 * noise - load * beta**2 / 2 * p * (1 - q))

    def simulated_energy(self, state, temperature, step=1e-5):
        """e = d(beta f)/d beta at fixed n, q, p, where f is stationary, plus what the missing diagonal of J adds."""
        beta, order = 1 / temperature, (state["n"], state["q"], state["p"])
        up, down = ((beta + s) * self.free_energy(*order, 1 / (beta + s)) for s in (step, -step))
        return (up - down) / (2 * step) + self.diagonal

    @property
    def diagonal(self):
        return self.load / 2 * (self.second_moment if self.rule == "supervised" else 1.0) / self.scale

    def stability(self, state, temperature):
        """1 - load beta^2 sum_k mu_k lambda_k^2/(1 - lambda_k C)^2 E sech^4(beta h)."""
        f, weights, _ = self._activity(state["n"], state["p"], temperature)
        curvature = weights @ ((1 - f**2) ** 2 @ self.grid[1])
        return 1 - self.load / temperature**2 * self.p(1.0, state["c"]) * curvature

    def _activity(self, n, p, temperature):
        values, weights = self.chibar()
        h = (n / self.scale) * values[:, None] + np.sqrt(self.load * p) * self.grid[0]
        return np.tanh(h / temperature), weights, values


def example_state(model, temperature):
    """m and all n_a of the state of example 1, with every one of the 2^M configurations of signs summed by name."""
    count, r = model.examples, model.quality
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    weights = np.prod((1 + r * signs) / 2, axis=1)
    n = np.array([1.0] + [r**2] * (count - 1))
    other = 0.99 if temperature else 0.01
    for _ in range(20_000):
        q, c = (other, (1 - other) / temperature) if temperature else (1.0, other)
        sd = np.sqrt(model.load * model.p(q, c))
        h = signs @ n / (count * model.scale)
        if temperature:
            z, normal = model.grid
            f = np.tanh((h[:, None] + sd * z) / temperature)
            first, second = f @ normal, f**2 @ normal
        else:
            first, second = erf(h / (np.sqrt(2) * sd)), np.sqrt(2 / np.pi) / sd * np.exp(-((h / sd) ** 2) / 2)
        after = weights @ (signs * first[:, None])
        if np.max(np.abs(after - n)) < 1e-12 and abs(weights @ second - other) < 1e-12:
            return weights @ first, n, weights @ second
        n, other = (n + after) / 2, (other + weights @ second) / 2
    raise AssertionError("the judge did not settle")


def critical_load_at_zero(examples, quality, rule):
    """max_y load(y) of the binomial average at T = 0, by brute force."""
    model = Plain(0.0, examples, quality, rule)
    y = np.geomspace(1e-2, 1e2, 4000)[:, None]
    values, weights = model.chibar()
    n = erf(y * values) @ (weights * values)
    c = 2 / np.sqrt(np.pi) * y[:, 0] * model.second_moment / n * (np.exp(-((y * values) ** 2)) @ weights)
    with np.errstate(divide="ignore"):
        load = n**2 / (2 * (y[:, 0] * model.second_moment) ** 2) / model.p(1.0, c)
    return np.max(np.where((c >= 0) & (c < 1), load, 0.0))
