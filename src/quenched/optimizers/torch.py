"""The energy-conserving optimisers for PyTorch: step by step the numbers of ``optimizers.bbi`` and ``optimizers.ecd_sep``.

    from quenched.optimizers.torch import BBI
    optimiser = BBI(network.parameters(), lr=0.1, extra_energy=1.0, offset=1e-6)
    optimiser.step(closure)      # the closure clears the gradients, calls backward and returns the loss

The closure runs once per step. Scalars have double precision whatever the parameters have. Needs the extra ``quenched[torch]``.

Source: De Luca, Silverstein, arXiv:2201.11137; De Luca, Gatti, Silverstein, arXiv:2306.00352.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import torch

from quenched.numerics import checks
from quenched.optimizers.base import FREEZE_BELOW, RESCALE_ABOVE, check_options, first_loss
from quenched.optimizers.bbi import check_bounces
from quenched.optimizers.bbi import coefficients as bbi_coefficients
from quenched.optimizers.bbi import on_shell as bbi_shell
from quenched.optimizers.ecd_sep import check_exponents
from quenched.optimizers.ecd_sep import coefficients as sep_coefficients

Tensors = list[torch.Tensor]
Draw = Callable[[int, Tensors], Tensors]


class EnergyConserving(torch.optim.Optimizer):
    """What both have in common: one energy for all groups of parameters, which may differ in ``lr`` alone.

    ``best_value`` and ``best_params`` are the lowest loss seen and where. ``shared`` holds the numbers of the state by the names
    of ``optimizers.EnergyState``. Raises ``ParameterError`` without a closure, ``DivergenceError`` for a loss that is no number.
    """

    def __init__(self, params: Any, options: dict[str, Any], kind: str | Draw, generator: torch.Generator | None):
        super().__init__(params, options)
        self._kind, self._generator = kind, generator

    @property
    def tensors(self) -> Tensors:
        """The parameters of all groups, in order."""
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def shared(self) -> dict[str, Any]:
        """The numbers of the state. They lie with the first parameter, so that ``state_dict`` carries them."""
        if "steps" not in self.state[self.tensors[0]]:
            for p in self.tensors:
                self.state[p].update(momentum=torch.zeros_like(p), best=p.detach().clone())
            self.state[self.tensors[0]].update(self._start())
        return self.state[self.tensors[0]]

    @property
    def best_value(self) -> float:
        """The lowest loss seen."""
        return self.shared["best_value"]

    @property
    def best_params(self) -> Tensors:
        """The parameters of the lowest loss, in order."""
        self.shared  # noqa: B018  (the first access makes the state)
        return [self.state[p]["best"] for p in self.tensors]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; returns the loss that the closure gives."""
        if closure is None:
            raise checks.ParameterError("closure must be given to step: a function that calls backward and returns the loss")
        with torch.enable_grad():
            returned = closure()
        state, options = self.shared, self.param_groups[0]
        loss = float(torch.as_tensor(returned).detach())
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.tensors]
        decay = options.get("weight_decay", 0.0)
        if decay > 0:
            loss += decay / 2 * squared(self.tensors)
            grads = [g + decay * p for g, p in zip(grads, self.tensors, strict=True)]
        if state["energy"] is None:
            first_loss(loss, options["offset"], math.sqrt(squared(grads)), options["extra_energy"])
        if not math.isfinite(loss):
            raise checks.DivergenceError(f"the loss is {loss!r} at step {state['steps']}")
        potential = loss - options["offset"]
        frozen = potential <= 0 or options.get("exponent", 1.0) * math.log(potential) <= math.log(FREEZE_BELOW)
        state.update(potential=potential, frozen=frozen)
        better = loss < state["best_value"]
        # a bounce does not count as a visit
        if (frozen or not self._bounced(state, options, better)) and better:
            state["best_value"] = loss
            for p in self.tensors:
                self.state[p]["best"].copy_(p)
        if not frozen and not state["bounced"]:
            self._move(potential, grads, state, options)
        state["steps"] += 1
        return returned

    def _start(self) -> dict[str, Any]:
        counters = dict.fromkeys(("steps", "since_fixed", "since_progress", "fixed_done", "bounces"), 0)
        return counters | {"energy": None, "potential": None, "frozen": False, "bounced": False, "best_value": math.inf}

    def _bounced(self, state: dict[str, Any], options: dict[str, Any], better: bool) -> bool:
        return False

    @abc.abstractmethod
    def _move(self, potential: float, grads: Tensors, state: dict[str, Any], options: dict[str, Any]) -> None:
        """Move the parameters in place."""

    def _momenta(self) -> Tensors:
        return [self.state[p]["momentum"] for p in self.tensors]

    def _set_off(self, length: float, grads: Tensors, count: int) -> None:
        """The first momentum, of the given length: down the gradient, at random where there is none."""
        slope = squared(grads)
        direction = [-g for g in grads] if slope > 0 else self._numbers("gaussian", count)
        aim(self._momenta(), direction, length)

    def _kick(self, scale: float, force: float, grads: Tensors) -> None:
        for rate, p, g in zip(self._rates(), self._momenta(), grads, strict=True):
            p.mul_(scale).add_(g, alpha=-rate * force)

    def _drift(self, velocity: float) -> None:
        for rate, q, p in zip(self._rates(), self.tensors, self._momenta(), strict=True):
            q.add_(p, alpha=rate * velocity)

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.param_groups for _ in group["params"]]

    def _numbers(self, kind: str | Draw, count: int) -> Tensors:
        if callable(kind):
            return kind(count, self.tensors)
        draw, shift = (torch.rand, -0.5) if kind == "cube" else (torch.randn, 0.0)
        return [draw(p.shape, dtype=p.dtype, device=p.device, generator=self._generator) + shift for p in self.tensors]


class BBI(EnergyConserving):
    """Born-Infeld dynamics with bounces; the arguments of ``optimizers.bbi``, with ``lr`` for the step of time.

    ``bounce`` may be a function (step, parameters) that gives tensors like the parameters; ``generator`` draws otherwise.
    """

    def __init__(
        self,
        params: Any,
        lr: float | int,
        *,
        offset: float | int = 0.0,
        extra_energy: float | int = 0.0,
        fixed_interval: int | None = 1000,
        fixed_bounces: int = 1,
        progress_interval: int | None = 3000,
        bounce: str | Draw = "gaussian",
        conserve: bool = True,
        generator: torch.Generator | None = None,
    ):
        check_options(lr, {"extra_energy": extra_energy})
        check_bounces(offset, fixed_interval, fixed_bounces, progress_interval, bounce)
        options: dict[str, Any] = {"lr": lr, "offset": float(offset), "extra_energy": float(extra_energy), "conserve": conserve}
        options |= {"fixed_interval": fixed_interval, "fixed_bounces": fixed_bounces, "progress_interval": progress_interval}
        super().__init__(params, options, bounce, generator)

    def _bounced(self, state: dict[str, Any], options: dict[str, Any], better: bool) -> bool:
        fixed = state["fixed_done"] < options["fixed_bounces"] and state["since_fixed"] == options["fixed_interval"]
        state["bounced"] = fixed or state["since_progress"] == options["progress_interval"]
        if state["bounced"]:
            aim(self._momenta(), self._numbers(self._kind, state["steps"]), math.sqrt(squared(self._momenta())))
            state["bounces"] += 1
            state["fixed_done"] += fixed
        state["since_fixed"] = 0 if fixed else state["since_fixed"] + (not state["bounced"])
        state["since_progress"] = 0 if state["bounced"] or better else state["since_progress"] + 1
        return state["bounced"]

    def _move(self, potential: float, grads: Tensors, state: dict[str, Any], options: dict[str, Any]) -> None:
        starting = state["energy"] is None
        if starting:
            state["energy"] = potential + options["extra_energy"]
        shell = bbi_shell(potential, state["energy"])
        if starting:
            self._set_off(math.sqrt(max(shell, 0.0)), grads, state["steps"])
        velocity, force = bbi_coefficients(potential, state["energy"])
        self._kick(rescaling(squared(self._momenta()), shell, options["conserve"]), force, grads)
        self._drift(velocity)


class ECDSep(EnergyConserving):
    """Separable energy-conserving descent; the arguments of ``optimizers.ecd_sep``, with ``lr`` for the step of time.

    ``directions`` may be a function (step, parameters) that gives tensors like the parameters; ``generator`` draws otherwise.
    """

    def __init__(
        self,
        params: Any,
        lr: float | int,
        *,
        offset: float | int = 0.0,
        extra_energy: float | int = 0.0,
        exponent: float | int = 1.0,
        regularisation: int = 1,
        noise: float | int = 1e-5,
        weight_decay: float | int = 0.0,
        directions: str | Draw = "gaussian",
        conserve: bool = True,
        generator: torch.Generator | None = None,
    ):
        check_options(lr, {"extra_energy": extra_energy, "noise": noise, "weight_decay": weight_decay})
        check_exponents(offset, exponent, regularisation, directions)
        options = {"lr": lr, "offset": float(offset), "extra_energy": float(extra_energy) if regularisation else 1.0}
        options |= {"exponent": float(exponent), "regularisation": regularisation, "noise": float(noise)}
        options |= {"weight_decay": float(weight_decay), "conserve": conserve}
        super().__init__(params, options, directions, generator)

    def _move(self, potential: float, grads: Tensors, state: dict[str, Any], options: dict[str, Any]) -> None:
        s, eta = options["regularisation"], options["exponent"]
        depth = eta * math.log(potential)
        if state["energy"] is None:
            state["energy"] = depth + math.log(s + options["extra_energy"])
            self._set_off(math.sqrt(options["extra_energy"]), grads, state["steps"])
        square = squared(self._momenta())
        _, force = sep_coefficients(potential, square, eta, s)
        self._kick(rescaling(square, math.exp(state["energy"] - depth) - s, options["conserve"]), force, grads)
        square = squared(self._momenta())
        velocity, _ = sep_coefficients(potential, square, eta, s)
        self._drift(velocity)
        if options["noise"] > 0 and square > 0:
            numbers, length = self._numbers(self._kind, state["steps"]), math.sqrt(square)
            turned = [p / length + options["noise"] * z for p, z in zip(self._momenta(), numbers, strict=True)]
            aim(self._momenta(), turned, length)


def squared(tensors: Tensors) -> float:
    """The sum of squares over all tensors."""
    return sum(float(torch.sum(x * x)) for x in tensors)


def aim(momenta: Tensors, direction: Tensors, length: float) -> None:
    """Give the momenta, in place, a direction and a length."""
    scale = length / math.sqrt(squared(direction))
    for p, z in zip(momenta, direction, strict=True):
        p.copy_(scale * z)


def rescaling(square: float, shell: float, conserve: bool) -> float:
    """The factor that puts a momentum of ``square`` |p|^2 on the energy ``shell``; 1 where there is none."""
    wanted = conserve and abs(square - shell) >= RESCALE_ABOVE and shell >= 0 and square > 0
    return math.sqrt(shell) / math.sqrt(square) if wanted else 1.0
