"""Distances between replicas."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from quenched.numerics.checks import ParameterError
from quenched.observables import replica_distance as rd

RNG = np.random.default_rng(6)


def stacked(replicas: int) -> dict:
    return {"a": RNG.normal(size=(replicas, 3, 4)).astype(np.float32), "b": [RNG.normal(size=(replicas, 5)).astype(np.float32)]}


def test_pairs_and_means_agree_with_the_definition_for_a_pytree() -> None:
    w = stacked(4)
    flat = np.concatenate([w["a"].reshape(4, -1), w["b"][0]], 1).astype(np.float64)
    direct = ((flat[:, None] - flat[None]) ** 2).mean(-1)
    w = {"a": jnp.asarray(w["a"]), "b": [jnp.asarray(w["b"][0])]}
    np.testing.assert_allclose(rd.pair_distances(w), direct, rtol=1e-5)
    np.testing.assert_allclose(rd.replica_distance(w), direct.sum(1) / 3, rtol=1e-5)


@pytest.mark.slow
def test_close_replicas_keep_their_digits_and_equal_ones_are_at_zero() -> None:
    base = jnp.full((3, 1000), 1000.0).at[1].add(0.0625)
    pairs = np.asarray(rd.pair_distances({"w": base}))
    np.testing.assert_array_equal(pairs, 0.0625**2 * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    np.testing.assert_array_equal(rd.replica_distance({"w": base[::2]}), 0)
    np.testing.assert_allclose(rd.replica_distance({"w": base}), 0.0625**2 * np.array([0.5, 1, 0.5]), rtol=1e-6)


def test_unsigned_integers_do_not_wrap() -> None:
    w = jnp.asarray([[0, 1], [3, 1]], jnp.uint8)
    np.testing.assert_allclose(rd.pair_distances(w), [[0, 4.5], [4.5, 0]])


def test_from_correlations() -> None:
    w = RNG.normal(size=(2, 5, 30))
    c = np.einsum("atd,btd->abt", w, w) / 30
    square = lambda x: np.diag(x) + 0.1  # noqa: E731
    equal = (c[0, 0] + c[1, 1]) / 2
    ds = xr.Dataset(
        {"correlation": (("t", "t_prime"), square(equal)), "replica_correlation": (("t", "t_prime"), square(c[0, 1]))},
        coords={"t": np.arange(5.0), "t_prime": np.arange(5.0)},
    )
    np.testing.assert_allclose(rd.distance_from_correlation(ds), ((w[0] - w[1]) ** 2).mean(-1), atol=1e-12)
    with pytest.raises(ParameterError, match="replicas=2"):
        rd.distance_from_correlation(ds.drop_vars("replica_correlation"))


def test_one_replica_has_no_distance() -> None:
    with pytest.raises(ParameterError, match=">= 2 replicas"):
        rd.replica_distance(jnp.ones((1, 3)))
