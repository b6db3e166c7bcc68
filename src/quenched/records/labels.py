"""Long name, symbol, units and axes of the variables that a Dataset may hold: one table for simulation, theory and plots."""

from __future__ import annotations

from typing import NamedTuple

from quenched.numerics.checks import ParameterError


class Label(NamedTuple):
    """``symbol`` is LaTeX without dollars; ``units`` is "1" for pure numbers.

    ``dims`` names the axes of the variable that follow (disorder, replica, t); a variable with fewer axes uses the first ones.
    """

    long_name: str
    symbol: str
    units: str = "1"
    dims: tuple[str, ...] = ()

    def attributes(self) -> dict[str, str]:
        """What a variable of a Dataset carries."""
        return {"long_name": self.long_name, "symbol": self.symbol, "units": self.units}


LABELS: dict[str, Label] = {
    "t": Label("time (sum of learning rates)", "t"),
    "t_prime": Label("earlier time (sum of learning rates)", "t'"),
    "step": Label("step", "k"),
    "step_prime": Label("earlier step", "k'"),
    "waiting": Label("waiting time", "t_w"),
    "lag": Label("lag", r"t - t_w"),
    "disorder": Label("disorder sample", "a"),
    "replica": Label("replica", "r"),
    "overlap": Label("overlap with the signal", "m", dims=("direction",)),
    "norm": Label("squared norm per weight", "C(t,t)"),
    "loss": Label("training loss", r"\langle\ell\rangle"),
    "train_error": Label("training error", r"\epsilon_{\mathrm{train}}"),
    "test_loss": Label("loss on held-out data", r"\langle\ell\rangle_{\mathrm{test}}"),
    "test_error": Label("test error", r"\epsilon"),
    "correlation": Label("correlation", "C(t,t')", dims=("t_prime",)),
    "response": Label("response", "R(t,t')", dims=("t_prime",)),
    "replica_correlation": Label("correlation between replicas", "C_{12}(t,t')", dims=("t_prime",)),
    "replica_distance": Label("replica distance", r"|w^1-w^2|^2/N"),
    "noise_kernel": Label("noise kernel", "M(t,t')", dims=("t_prime",)),
    "response_kernel": Label("response kernel", r"\Gamma(t,t')", dims=("t_prime",)),
    "half_displacement": Label("half mean-square displacement", "B(t,t_w)"),
    "integrated_response": Label("integrated response", r"\chi(t,t_w)"),
    "temperature": Label("effective temperature", r"T_{\mathrm{eff}}"),
    "local_displacement": Label("squared step length", r"\langle|\theta_k-\theta_{k-1}|^2\rangle"),
    "global_displacement": Label("squared distance from the start", r"\langle|\theta_k-\theta_0|^2\rangle"),
    "power_spectrum": Label("power spectrum of the position", "S(w)"),
    "frequency": Label("angular frequency per step", "w"),
    "learning_rate": Label("learning rate", r"\eta"),
    "batch_size": Label("batch size", "S"),
    "momentum": Label("momentum", r"\beta"),
    "weights": Label("weights", "w", dims=("parameter",)),
    "gap": Label("gap of a sample", "h", dims=("sample",)),
    "stop_step": Label("step at which the stop condition was met (-1: never)", r"k_{\mathrm{stop}}"),
    "first_bad_step": Label("first step with non-finite weights (-1: never)", r"k_{\mathrm{bad}}"),
}

PARAMETERS: dict[str, str] = {
    "alpha": r"\alpha",
    "lr": r"\eta",
    "ridge": r"\lambda",
    "temperature": "T",
    "fraction": "b",
    "time": r"\tau",
    "margin": r"\kappa",
}
"""Symbol (LaTeX) of a parameter, by the last part of its dotted path; a variable of the same name may mean something else."""


def register_label(name: str, label: Label) -> None:
    """Add the label of a variable; a second registration must say the same."""
    if LABELS.get(name, label) != label:
        raise ParameterError(f"the label of {name!r} is taken by {LABELS[name]}")
    LABELS[name] = label


def trailing_dims(name: str, count: int) -> tuple[str, ...]:
    """Names of the ``count`` axes of a variable that follow the sample and time axes."""
    known = LABELS[name].dims if name in LABELS else ()
    return known[:count] + tuple(f"{name}_axis{k}" for k in range(len(known), count))
