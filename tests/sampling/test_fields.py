"""Fields and flows: divergences, orbits, and the order of the integrator."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from quenched.numerics.checks import ParameterError
from quenched.sampling import (
    FunnelField,
    GenericField,
    GradientField,
    LinearField,
    ModuleField,
    check_divergence,
    flow_lines,
)
from quenched.sampling.flow import path, two_sided

MLP = eqx.nn.MLP(3, 3, 8, 2, activation=jax.nn.softplus, key=jax.random.key(4))
FIELDS = (LinearField(), GenericField(7), GradientField(7), FunnelField(), ModuleField(MLP), ModuleField(jnp.sin))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: type(field).__name__)
def test_divergence_is_the_trace_of_the_jacobian(field) -> None:
    with jax.enable_x64(True):
        parameters = field.initial(jax.random.key(0), 3)
        points = jax.random.normal(jax.random.key(1), (5, 3))
        check_divergence(field, parameters, points)
        outside = 30 * points / jnp.linalg.norm(points, axis=1, keepdims=True)
        check_divergence(field, parameters, outside)


def test_a_gradient_field_is_a_gradient_and_starts_at_its_scale() -> None:
    with jax.enable_x64(True):
        field = GradientField(50, 3.0)
        p = field.initial(jax.random.key(0), 4)

        def potential(x):
            return p["w2"] @ jax.nn.softplus(p["w1"] @ x + p["b1"])

        x = jnp.array([0.3, -1.0, 2.0, 0.1])
        assert np.allclose(field.velocity(p, x), jax.grad(potential)(x), atol=1e-12)
        # uniform within +-3 sqrt(6/51): the largest of 50 is near the edge
        edge = 3 * np.sqrt(6 / 51)
        assert 0.8 * edge < np.abs(p["w2"]).max() <= edge


def test_a_divergence_that_is_not_that_of_the_velocity_is_found() -> None:
    with jax.enable_x64(True):
        points = jax.random.normal(jax.random.key(1), (4, 3))
        right = ModuleField(lambda x: 2 * x, trace=lambda module, x: 6.0)
        check_divergence(right, right.initial(jax.random.key(0), 3), points)
        wrong = ModuleField(lambda x: 2 * x, trace=lambda module, x: 5.0)
        with pytest.raises(ParameterError, match=r"divergence must be the trace .* 6\.0 .* got 5\.0"):
            check_divergence(wrong, wrong.initial(jax.random.key(0), 3), points)
        with pytest.raises(ParameterError, match=r"velocity must have shape \(3,\)"):
            check_divergence(ModuleField(lambda x: x[:2]), None, points)


def test_the_orbit_of_a_linear_field_in_both_directions() -> None:
    matrix = np.array([[0.3, -1.2], [0.9, -0.5]])
    with jax.enable_x64(True):
        orbit = two_sided(lambda x: jnp.asarray(matrix) @ x, lambda x: jnp.asarray(-0.2), jnp.array([1.0, 2.0]), 0.02, 50)
        exact = np.stack([expm(t * matrix) @ [1.0, 2.0] for t in np.linspace(-1, 1, 101)])
        assert np.abs(orbit.points - exact).max() < 1e-7
        assert np.allclose(orbit.log_jacobian, -0.2 * np.linspace(-1, 1, 101), atol=1e-14)


def test_the_integrator_is_of_fourth_order() -> None:
    # dx/dt = x^2 gives x/(1 - x t), and d ln J/dt = 2 x_t gives -2 ln(1 - x t)
    with jax.enable_x64(True):

        def errors(steps: int) -> np.ndarray:
            end = path(lambda x: x**2, lambda x: 2 * x[0], jnp.full(1, 0.5), 1 / steps, steps)
            return np.array([end.points[-1, 0] - 1, end.log_jacobian[-1] - 2 * np.log(2)])

        assert np.all(np.log2(np.abs(errors(20) / errors(40))) > 3.7)


def test_orbits_of_the_funnel_field_stop_outside_the_ball() -> None:
    with jax.enable_x64(True):
        field = FunnelField(4.0, 4.0, 25.0)
        start = jnp.array([[0.0, 3.0, 1.0]])
        lines = flow_lines(field, field.initial(jax.random.key(0), 3), start, time=-2.0, steps=100)[0]
        assert lines.shape == (201, 3)
        radii = np.linalg.norm(lines, axis=1)
        assert radii[-1] == radii[-2] > 25
        # it leaves within one step of the boundary
        assert radii[-1] < 25 * np.exp(4 / 100) + 0.1


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: LinearField(0.0), "scale"),
        (lambda: GenericField(0), "width"),
        (lambda: GradientField(3, -1.0), "scale"),
        (lambda: FunnelField(np.inf), "beta"),
        (lambda: FunnelField(1, 1, 0), "radius"),
        (lambda: ModuleField(3), "module"),
    ],
)
def test_what_is_no_field_is_refused(make, name: str) -> None:
    with pytest.raises(ParameterError, match=f"^{name} must"):
        make()
