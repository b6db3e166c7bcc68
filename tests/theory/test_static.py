import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfc
from sklearn.linear_model import LogisticRegression

from quenched.losses import AbstractLoss, AbstractMarginLoss, Door, Hinge, Logistic, PhaseRetrievalLoss, QuadraticHinge, Square
from quenched.models import GaussianMixture
from quenched.numerics.checks import ConvergenceError, IncompatibleError, ParameterError
from quenched.theory.square_loss import ridge_minimiser
from quenched.theory.static import bayes_error, capacity, proximal, ridge_estimator


def mixture(loss, alpha=2.0, noise=0.5, **options):
    return GaussianMixture(alpha=alpha, noise=noise, loss=loss, **options)


def numbers(ds):
    return {name: float(value) for name, value in ds.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ridge", "expected"),
    [
        (0.1, {"overlap": 1.66689, "norm": 3.91006, "loss": 0.17520, "test_error": 0.11660, "susceptibility": 5.52979}),
        (1.0, {"overlap": 0.56281, "norm": 0.40144, "loss": 0.42046, "test_error": 0.10452, "susceptibility": 0.83509}),
    ],
)
def test_logistic_reference_values(ridge, expected):
    found = numbers(ridge_estimator(mixture(Logistic()), ridge))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=6e-6), name


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "noise", "ridge"), [(2.0, 0.5, 0.1), (0.3, 0.05, 1e-3), (10.0, 2.0, 0.5), (3.0, 0.5, 0.0)])
def test_square_loss_agrees_with_its_closed_form(alpha, noise, ridge):
    found, exact = numbers(ridge_estimator(mixture(Square(), alpha, noise), ridge)), ridge_minimiser(alpha, noise, ridge)
    assert found["overlap"] == pytest.approx(exact.overlap, rel=1e-9)
    assert found["norm"] == pytest.approx(exact.norm, rel=1e-9)
    assert found["susceptibility"] == pytest.approx(exact.susceptibility, rel=1e-9)
    assert found["loss"] == pytest.approx(exact.mean_square / 2, rel=1e-9)


def test_logistic_regression_on_data():
    ridge, alpha, d, values = 0.3, 2.0, 400, []
    rng = np.random.default_rng(0)
    for _ in range(10):
        y = np.where(rng.random(round(alpha * d)) < 0.3, 1.0, -1.0)
        x = y[:, None] / d**0.5 + 0.5**0.5 * rng.standard_normal((len(y), d))
        fit = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-8, max_iter=1000).fit(x / d**0.5, y)
        w = fit.coef_[0]
        gap = y * (x @ w) / d**0.5
        values.append([w.mean(), (w**2).mean(), np.logaddexp(0, -gap).mean(), np.mean(gap < 0)])
    error = np.std(values, 0, ddof=1) / 10**0.5
    found = numbers(ridge_estimator(mixture(Logistic(), positive_fraction=0.3), ridge))
    theory = [found[k] for k in ("overlap", "norm", "loss", "train_error")]
    np.testing.assert_array_less(np.abs(np.mean(values, 0) - theory), 4 * error + 2 / d)


class Kinked(AbstractMarginLoss):
    """The quadratic hinge of margin 1, as a user would write it."""

    def of_gap(self, gap):
        return 0.5 * jnp.maximum(1.0 - gap, 0.0) ** 2


@pytest.mark.slow
def test_breakpoints_of_a_user_loss():
    known = numbers(ridge_estimator(mixture(QuadraticHinge()), 0.1))
    told = numbers(ridge_estimator(mixture(Kinked()), 0.1, breakpoints=(1.0,)))
    assert told == pytest.approx(known, rel=1e-9)


class Lopsided(AbstractLoss):
    """Square loss of the labels shifted by 0.4: not a function of y r."""

    def ell(self, y, r):
        return 0.5 * (y + 0.4 - r) ** 2


def test_a_loss_that_is_not_a_function_of_the_gap():
    """Regression of y + 0.4 on unbalanced clusters, in closed form through k = alpha/(1 + Delta V)."""
    alpha, delta, ridge, rho = 2.0, 0.5, 0.2, 0.3
    v = ridge_minimiser(alpha, delta, ridge).susceptibility
    k = alpha / (1 + delta * v)
    target = 1 + 0.4 * (2 * rho - 1)
    found = numbers(ridge_estimator(mixture(Lopsided(), positive_fraction=rho), ridge))
    assert found["susceptibility"] == pytest.approx(v, rel=1e-9)
    assert found["overlap"] == pytest.approx(k * target / (ridge + k * (1 + delta)), rel=1e-9)


def test_the_estimator_satisfies_its_stationarity_condition():
    """sum_mu ell'(r_mu) r_mu + ridge |w|^2 = 0, which ties the loss of the quadratic hinge to the order parameters."""
    found = numbers(ridge_estimator(mixture(QuadraticHinge()), 0.3))
    # with u = (kappa - h)_+ and kappa = 1: u^2 = u - h u, alpha <h u> = ridge C, alpha <u> = m/V
    expected = (found["overlap"] / found["susceptibility"] - 0.3 * found["norm"]) / 2.0 / 2
    assert found["loss"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [Logistic(), QuadraticHinge(), Hinge()])
def test_no_estimator_beats_the_bayes_error(loss):
    for ridge in (0.05, 1.0, 20.0):
        assert float(ridge_estimator(mixture(loss), ridge).test_error) >= bayes_error(2.0, 0.5) - 1e-12


def test_strong_ridge_reaches_the_bayes_error():
    # w -> sum_mu y x/ridge: corrections of order 1/ridge
    assert float(ridge_estimator(mixture(Logistic()), 1e6).test_error) == pytest.approx(bayes_error(2.0, 0.5), abs=1e-9)
    assert bayes_error(2.0, 0.5) == pytest.approx(0.102952, abs=6e-7)


@pytest.mark.parametrize("loss", [Logistic(), QuadraticHinge(), Hinge(), Square()])
def test_proximal_point(loss):
    target = np.linspace(-60, 60, 40001)
    with jax.enable_x64(True):
        y = jnp.ones_like(jnp.asarray(target))
        solve = jax.jit(lambda strength: proximal(loss, y, jnp.asarray(target), strength))
        for strength in (1e-3, 1.0, 20.0, 1e3):
            p = solve(jnp.asarray(strength))
            if isinstance(loss, Hinge):
                expected = np.where(target > 1, target, np.minimum(1.0, target + strength))
                np.testing.assert_allclose(p, expected, atol=1e-14 * (61 + strength))
            else:
                equation = np.asarray(p - target + strength * loss.slope(y, p))
                np.testing.assert_allclose(equation, 0.0, atol=1e-14 * 61 * (1 + strength))


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.0, 3.0])
def test_capacity(margin):
    integral = quad(lambda t: (t + margin) ** 2 * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi), -margin, np.inf, epsabs=1e-13)[0]
    assert capacity(margin) == pytest.approx(1 / integral, rel=1e-10)
    assert capacity(0.0) == 2.0


def test_bayes_error_is_that_of_the_first_gradient_step():
    # from w = 0: m = lr alpha/2, C = m^2 (1 + Delta/alpha)
    alpha, delta, m = 3.0, 0.7, 0.2
    assert bayes_error(alpha, delta) == pytest.approx(erfc(m / np.sqrt(2 * delta * m**2 * (1 + delta / alpha))) / 2, rel=1e-14)


@pytest.mark.slow
def test_separable_data_without_ridge_do_not_converge():
    with pytest.raises(ConvergenceError, match="residual"):
        ridge_estimator(mixture(Logistic(), alpha=0.5), 0.0, max_iterations=50)


@pytest.mark.parametrize(
    ("model", "word"),
    [(GaussianMixture(clusters=3, loss=Logistic(output=Door())), "clusters=3"), (mixture(Logistic(output=Door())), "Door")],
)
def test_other_models_are_refused(model, word):
    with pytest.raises(IncompatibleError, match=word):
        ridge_estimator(model, 0.1)


def test_bad_parameters_are_refused():
    with pytest.raises(ParameterError, match="convex"):
        ridge_estimator(mixture(PhaseRetrievalLoss()), 3.0)
    with pytest.raises(ParameterError, match="margin"):
        capacity(-0.5)
    with pytest.raises(ParameterError, match="noise"):
        bayes_error(1.0, 0.0)
