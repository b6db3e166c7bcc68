import numpy as np
import pytest

from quenched.numerics.checks import ConvergenceError, ParameterError
from quenched.numerics.fixed_point import fixed_point


@pytest.mark.parametrize("memory", [0, 3])
def test_scalar_fixed_point(memory):
    solution = fixed_point(np.cos, np.array([1.0]), tolerance=1e-13, memory=memory)
    assert solution.value[0] == pytest.approx(0.7390851332151607, abs=1e-12)
    assert solution.residual <= 1e-13


def test_damping_stabilises_an_oscillating_map():
    def steep(x):
        return 2.0 - 1.5 * x

    with pytest.raises(ConvergenceError, match="residual"):
        fixed_point(steep, np.array([0.0]), damping=1.0, max_iterations=500)
    assert fixed_point(steep, np.array([0.0]), damping=0.5).value[0] == pytest.approx(0.8, abs=1e-9)


def test_mixing_solves_a_slow_linear_problem_in_few_iterations():
    rng = np.random.default_rng(1)
    q, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    matrix = q @ np.diag([0.99, 0.9, 0.5, -0.3]) @ q.T
    shift = rng.standard_normal(4)
    exact = np.linalg.solve(np.eye(4) - matrix, shift)

    def function(x):
        return matrix @ x + shift

    slow = fixed_point(function, np.zeros(4), tolerance=1e-11, max_iterations=100_000)
    fast = fixed_point(function, np.zeros(4), tolerance=1e-11, memory=5)
    # the residual is magnified by 1/(1 - 0.99) in the error
    np.testing.assert_allclose(fast.value, exact, atol=1e-8)
    assert slow.iterations > 500
    assert fast.iterations < 20


def test_shape_is_kept_and_start_is_not_modified():
    start = np.zeros((2, 3))
    solution = fixed_point(lambda x: x / 2 + 1, start, memory=2)
    assert solution.value.shape == (2, 3)
    np.testing.assert_array_equal(start, 0.0)
    np.testing.assert_allclose(solution.value, 2.0, atol=1e-9)


def test_failure_gives_the_residual_or_the_last_iterate():
    with pytest.raises(ConvergenceError, match=r"3 iterations, residual 0\.\d+"):
        fixed_point(np.cos, np.array([1.0]), max_iterations=3)
    last = fixed_point(np.cos, np.array([1.0]), max_iterations=3, on_failure="last")
    assert last.iterations == 3
    assert last.residual > 1e-10


def test_a_non_finite_value_is_reported():
    with pytest.raises(ConvergenceError, match="non-finite value at iteration"):
        fixed_point(lambda x: x * 1e200, np.array([1.0]), damping=1.0)


def test_bad_parameters_are_refused():
    with pytest.raises(ParameterError, match="damping"):
        fixed_point(np.cos, np.array([1.0]), damping=0.0)
    with pytest.raises(ParameterError, match="on_failure"):
        fixed_point(np.cos, np.array([1.0]), on_failure="ignore")
