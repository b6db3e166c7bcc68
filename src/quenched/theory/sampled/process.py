"""The effective process: N trajectories of one sample and one weight, and the kernels that they make for themselves.

Source: Mignacco, Krzakala, Urbani, Zdeborova, arXiv:2006.06098 (equations), arXiv:2112.10852 (replicas), in the form of
``docs/dmft.md``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from quenched.dynamics.batches import Fresh, fractional
from quenched.dynamics.constraints import Spherical
from quenched.dynamics.gradient import Gradient
from quenched.dynamics.schedules import rate_at
from quenched.dynamics.transforms import Momentum
from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics.mixing import OrthogonalMixing
from quenched.numerics.precision import Real
from quenched.theory.sampled.latents import Latents, draw_latents
from quenched.theory.sampled.memory import AbstractMemory, DenseMemory, LegendreMemory
from quenched.theory.sampled.response import Impulses, SignProbes

Lanes = dict[str, Array]


class Plan(eqx.Module):
    """Shapes and choices, all static: ``rows`` >= steps + 1 is the longest run, ``slots`` the number of observation times.

    ``exact`` is the number of trajectories with an exact response, 0 for sign probes. ``response`` and ``two_time`` together ask
    for the response functions, ``two_time`` alone for the correlations. ``memory`` is "dense" or "compressed", the latter with
    ``window`` and ``moments`` of ``LegendreMemory``; ``rows`` is a multiple of 16 or of the window. The kernel Gam(t, s) is
    taken as 0 for t - s > ``horizon`` (0: nowhere). ``keep_weights`` returns the
    weights of all trajectories at the observation times. ``reversible``: all ``rows`` steps are made and the run differentiates
    in reverse mode.
    """

    rows: int
    slots: int
    samples: int
    replicas: int = 1
    probes: int = 1
    exact: int = 0
    response: bool = True
    two_time: bool = True
    dtype: str = "float32"
    memory: str = "dense"
    window: int = 16
    moments: int = 4
    horizon: int = 0
    keep_weights: bool = False
    reversible: bool = False

    @property
    def responds(self) -> bool:
        """Whether the response of a weight is measured."""
        return self.response and self.two_time

    def build_memory(self) -> AbstractMemory:
        """The memory of the plan."""
        return LegendreMemory(self.rows, self.window, self.moments) if self.memory == "compressed" else DenseMemory(self.rows)


class State(eqx.Module):
    """State at step t. ``lanes`` is what the memory acts on: h, w (replica, N), the tangents dh (replica, field, N), and the
    responses of a weight since every observation time s_i, to a kick at s_i and to a constant field from s_i on (slots,)."""

    overlap: Float[Array, " k"]
    lanes: Lanes
    velocity: tuple[Array, Lanes] | None
    batch: PyTree
    past: PyTree


class Sample(NamedTuple):
    """The effective samples at one step: zeta, y have a replica axis of size 1 where replicas share them."""

    zeta: Float[Array, "a n k"]
    y: Float[Array, "a n"]
    r: Float[Array, "replica n"]


class Kernels(NamedTuple):
    """What one step contributes: forces f (replica, N), and the estimates of Gam(t, s) for s < t (the rest is void) and s = t."""

    force: Float[Array, "replica n"]
    row: Float[Array, " rows"]
    now: Float[Array, ""]


def cast(tree: PyTree, dtype: Any) -> PyTree:
    """Floating arrays of a component in another precision; Python numbers stay, they take the precision of what they meet."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, tree)


class Process(eqx.Module):
    """The constants of one run: laws, observation times, latent variables, mixing matrix, response fields.

    Components are held in the precision of the trajectories (``model``) and in that of the kernels (``wide``, ``rule``).
    """

    model: AbstractGaussianModel
    wide: AbstractGaussianModel
    rule: Gradient
    plan: Plan
    times: Int[Array, " slots"]
    latents: Latents
    mixing: OrthogonalMixing
    fields: SignProbes | Impulses
    memory: AbstractMemory
    key: PRNGKeyArray

    @classmethod
    def draw(
        cls,
        model: AbstractGaussianModel,
        rule: Gradient,
        plan: Plan,
        key: PRNGKeyArray,
        times: Int[Array, " slots"],
        group: int | Int[Array, ""] = 0,
    ) -> Process:
        """Draw everything that stays fixed during a run. ``group`` enters the random numbers of the steps only."""
        dtype, wide = jnp.dtype(plan.dtype), jnp.result_type(float)
        law = cast(model, dtype)
        key_latent, key_mix, key_probe, key_step = jax.random.split(key, 4)
        # groups share their probes: the noise of the estimated kernel is no difference between replicas
        key_probe, key_step = jax.random.fold_in(key_probe, 0), jax.random.fold_in(key_step, group)
        if plan.exact:
            fields: SignProbes | Impulses = Impulses((plan.replicas, plan.rows, plan.exact))
        else:
            fields = SignProbes.draw(key_probe, plan.replicas, plan.probes, plan.rows, plan.samples, dtype)
        return cls(
            model=law,
            wide=cast(model, wide),
            rule=cast(rule, wide),
            plan=plan,
            times=times,
            latents=draw_latents(key_latent, law, plan.samples, dtype),
            mixing=OrthogonalMixing.draw(key_mix, plan.samples, dtype),
            fields=fields,
            memory=plan.build_memory(),
            key=key_step,
        )

    @property
    def fresh(self) -> bool:
        """Whether samples are used once: then there is no memory, no reaction and no lasting response."""
        return isinstance(self.rule.batches, Fresh)

    @property
    def decay(self) -> Real | None:
        """The momentum beta, None for plain descent."""
        return self.rule.transform.decay if isinstance(self.rule.transform, Momentum) else None

    def keys(self, t: Int[Array, ""] | int, purpose: int) -> Key[Array, " replica"]:
        """One key per replica for a purpose at a step."""
        key = jax.random.fold_in(jax.random.fold_in(self.key, t), purpose)
        return jax.vmap(lambda a: jax.random.fold_in(key, a))(jnp.arange(self.plan.replicas))

    # ---- one step

    def start(self) -> State:
        """State at step 0: h = w = sqrt(R0) w0, no tangent, no response."""
        plan, dtype = self.plan, self.latents.w0.dtype
        spread = jnp.sqrt(jnp.asarray(self.model.start.spread, dtype))
        w = jnp.broadcast_to(spread * self.latents.w0, (plan.replicas, plan.samples))
        lanes = {"w": w}
        if not self.fresh:
            lanes |= {"h": w, "dh": jnp.zeros_like(self.fields.field(jnp.zeros((), jnp.int32)), dtype)}
        if plan.responds:
            lanes |= dict.fromkeys(("kicked", "pulled"), jnp.zeros(plan.slots, jnp.result_type(float)))
        overlap = jnp.full(self.model.directions, self.wide.start.mean_overlap, jnp.result_type(float))
        batch = jax.vmap(lambda k: jax.tree.map(jnp.asarray, self.rule.batches.init(k, plan.samples)))(self.keys(0, 0))
        velocity = None if self.decay is None else jax.tree.map(jnp.zeros_like, (overlap, lanes))
        return State(overlap, lanes, velocity, batch, None if self.fresh else self.memory.init(lanes))

    def sample(self, state: State, t: Int[Array, ""]) -> Sample:
        """zeta, y and r = m.zeta + sqrt(Delta) h."""
        dtype = self.latents.w0.dtype
        if self.fresh:
            draw = jax.vmap(lambda k: draw_latents(k, self.model, self.plan.samples, dtype))(self.keys(t, 1))
            zeta, y = draw.zeta, draw.y
            h = jnp.sqrt(jnp.mean(state.lanes["w"] ** 2, axis=1, keepdims=True)) * draw.w0
        else:
            zeta, y, h = self.latents.zeta[None], self.latents.y[None], state.lanes["h"]
        r = zeta @ state.overlap.astype(dtype) + jnp.sqrt(jnp.asarray(self.model.delta, dtype)) * h
        return Sample(zeta, y, r)

    def norm(self, overlap: Float[Array, " k"], lanes: Lanes) -> Float[Array, ""]:
        """C(t,t), averaged over replicas."""
        return jnp.mean(lanes["w"] ** 2).astype(overlap.dtype) + jnp.sum(overlap**2)

    def settle(self, state: State, t: Int[Array, ""]) -> State:
        """The past rearranged at the start of a period of the memory; everything else unchanged."""
        return state if self.fresh else replace(state, past=self.memory.settle(state.past, t))

    def advance(self, state: State, sample: Sample, t: Int[Array, ""]) -> tuple[State, Kernels]:
        """From step t to step t + 1, with the row of kernels that the step needs."""
        rule, fresh, dtype, wide = self.rule, self.fresh, sample.r.dtype, state.overlap.dtype
        alpha, delta = jnp.asarray(self.wide.alpha, wide), jnp.asarray(self.wide.delta, wide)
        root = jnp.sqrt(delta).astype(dtype)
        lr = jnp.asarray(rate_at(rule.lr, t), wide)

        selected = jax.vmap(fractional(rule.batches).selected)(state.batch).astype(dtype)
        if rule.normalise_batch:
            selected = selected / jnp.asarray(fractional(rule.batches).mean, dtype)
        force = selected * self.model.loss.slope(sample.y, sample.r)
        stiffness = selected * self.model.loss.curvature(sample.y, sample.r)
        noise = jnp.sqrt(alpha).astype(dtype) * self.mixing(force)
        now = alpha * jnp.mean(stiffness)

        if fresh:
            # another set of samples at every step and for every replica: the noise is independent
            noise = noise * jax.vmap(lambda k: jax.random.rademacher(k, (self.plan.samples,), dtype))(self.keys(t, 2))
            row, past = jnp.zeros(self.plan.rows, wide), None
            memory = {name: now.astype(x.dtype) * x for name, x in state.lanes.items()}
        else:
            tangent = state.lanes["dh"]
            stiff = stiffness[:, None, : tangent.shape[-1]]
            row = alpha * jnp.sqrt(delta) * self.fields.project(stiff * tangent, self.plan.rows)
            if self.plan.horizon:
                row = jnp.where(jnp.arange(self.plan.rows) >= t - self.plan.horizon, row, 0.0)
            past = self.memory.push(state.past, state.lanes, t)
            memory = self.memory.sums(past, row, now, t)

        pull = {"w": root * noise}
        if not fresh:
            pull["h"] = root * (noise + force)
            pull["dh"] = root * stiff * (self.fields.field(t) + root * tangent)
        if self.plan.responds:
            pull["kicked"] = jnp.where(t == self.times, -1 / lr, 0.0)
            pull["pulled"] = jnp.where(t >= self.times, -1.0, 0.0)
        gradient = {
            name: jnp.asarray(rule.ridge, x.dtype) * x + delta.astype(x.dtype) * memory[name] + pull[name]
            for name, x in state.lanes.items()
        }
        drift = jnp.mean(jnp.mean(force[..., None] * sample.zeta, axis=1), axis=0)
        gradient_m = rule.ridge * state.overlap + alpha * drift

        velocity = state.velocity
        direction: tuple[Array, Lanes] = (gradient_m, gradient)
        if velocity is not None:
            direction = velocity = jax.tree.map(lambda v, g: jnp.asarray(self.decay, g.dtype) * v + g, velocity, direction)
        overlap, lanes = jax.tree.map(lambda x, g: x - lr.astype(x.dtype) * g, (state.overlap, state.lanes), direction)
        if rule.thermal:
            kick = self.thermal_noise(jnp.sqrt(2 * rule.temperature * lr).astype(dtype), t)
            lanes = {name: x + kick if name in ("h", "w") else x for name, x in lanes.items()}
        if isinstance(rule.constraint, Spherical):
            scale = 1 / jnp.sqrt(self.norm(overlap, lanes))
            overlap, lanes = jax.tree.map(lambda x: x * scale.astype(x.dtype), (overlap, lanes))
        batch = jax.vmap(lambda b, k: rule.batches.step(b, k, lr))(state.batch, self.keys(t, 3))
        return State(overlap, lanes, velocity, batch, past), Kernels(force, row, now)

    def thermal_noise(self, strength: Float[Array, ""], t: Int[Array, ""]) -> Float[Array, "replica n"]:
        """Independent normals of mean square 1 exactly, common to h and w of one trajectory."""
        draw = jax.vmap(lambda k: jax.random.normal(k, (self.plan.samples,), strength.dtype))(self.keys(t, 4))
        return strength * draw / jnp.sqrt(jnp.mean(draw**2, axis=1, keepdims=True))
