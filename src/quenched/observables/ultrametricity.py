"""Is a set of images a tree? Distances of random triangles, and how well a dendrogram keeps the distances.

In an ultrametric space the two longer sides of every triangle are equal: points are leaves of a tree, and their distance is the
height of their common ancestor. Images of one class are not independent copies of one archetype but nearly the leaves of such a
tree (arXiv:2203.01304). Neither number means much alone; the surrogate, in which pixels keep their means and lose everything
else, says what they are for copies of one archetype.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.cluster.hierarchy import cophenet, leaves_list, linkage
from scipy.spatial.distance import squareform

from quenched.numerics import checks
from quenched.records.labels import LABELS, Label, register_label

_LABELS = {
    "ultrametric_index": Label("ultrametric index", "U"),
    "cophenetic_correlation": Label("cophenetic correlation", "c"),
    "sample_overlap": Label("overlap of two images", "q_{ab}", dims=("sample", "sample_prime")),
    "link_height": Label("distance at which branches meet", "d", dims=("link",)),
}
for _name, _label in _LABELS.items():
    register_label(_name, _label)

METHODS = ("average", "single", "complete", "weighted")
"""Rules by which a dendrogram measures the distance of two branches."""

Spins = Float[np.ndarray, "n N"]


def ultrametricity(x: Any, triangles: int = 20000, groups: int = 20, tree_samples: int = 400, seed: int = 0) -> xr.Dataset:
    """Ultrametric index and cophenetic correlation of images ``x`` (n, N) of +-1 pixels, beside those of the surrogate.

    With the distances d = (1 - x.x'/N)/2 in [0, 1] of three different images, sorted d1 <= d2 <= d3,

        U = < (d3 - d2)/(d3 - d1) >     over random triangles, those with d3 = d1 left out.

    U = 0 in an ultrametric space, about 0.49 for independent pixels. The images are divided at random into ``groups`` sets of
    equal size, and ``triangles`` are drawn inside these, the same number in each: the error ``ultrametric_index_error`` is that
    of the mean over sets, which are independent, so that it contains the choice of images and not only that of triangles.

    ``cophenetic_correlation`` is the correlation of the distances with the heights of the common ancestors in the dendrogram of
    average linkage of the first ``tree_samples`` images (1 for an ultrametric set); it depends on their number.

    Variables have the dimension ``ensemble``: ``data`` and ``surrogate`` (``independent_pixels``). Raises ``ParameterError`` for
    pixels that are not +-1, for fewer than 3 images per group, and if no triangle has d3 > d1 (all images equal).
    """
    spins = as_spins(x)
    for name, value, low in (("triangles", triangles, 1), ("groups", groups, 2), ("tree_samples", tree_samples, 3)):
        checks.integer_at_least(name, value, low)
    checks.seed(seed)
    if len(spins) < 3 * groups:
        raise checks.ParameterError(f"x must have at least 3 images in each of {groups} groups, got {len(spins)} images")
    rng = np.random.default_rng(seed)
    ensembles = {"data": spins, "surrogate": independent_pixels(spins, rng)}
    index = [ultrametric_index(images, triangles, groups, rng) for images in ensembles.values()]
    tree = [cophenetic_correlation(images[:tree_samples]) for images in ensembles.values()]
    values = {"ultrametric_index": [u for u, _ in index], "cophenetic_correlation": tree}
    ds = xr.Dataset({name: ("ensemble", v, _LABELS[name].attributes()) for name, v in values.items()})
    ds["ultrametric_index_error"] = ("ensemble", [error for _, error in index], _LABELS["ultrametric_index"].attributes())
    numbers = {"samples": len(spins), "tree_samples": min(tree_samples, len(spins)), "triangles": triangles, "groups": groups}
    return ds.assign_coords(ensemble=list(ensembles)).assign_attrs(numbers)


def as_spins(x: Any) -> Spins:
    """Images (n, N) of +-1 pixels as float64. Raises ``ParameterError`` for another shape or other values, NaN included."""
    spins = np.asarray(x, np.float64)
    if spins.ndim != 2 or spins.size == 0:
        raise checks.ParameterError(f"x must be images times pixels, got shape {spins.shape}")
    wrong = np.abs(spins) != 1
    if wrong.any():
        raise checks.ParameterError(f"x must be +1 or -1, got {float(spins[wrong][0])!r}")
    return spins


def independent_pixels(x: Spins, rng: np.random.Generator) -> Spins:
    """The surrogate: as many images in which pixel i is +1 with its own frequency in ``x``, independently of every other."""
    return np.where(rng.random(x.shape) < (1 + x.mean(axis=0)) / 2, 1.0, -1.0)


def distances(x: Spins) -> Float[np.ndarray, "n n"]:
    """d_ab = (1 - x_a.x_b/N)/2, the fraction of pixels that differ; exact for +-1."""
    return 0.5 - x @ x.T / (2 * x.shape[1])


def ultrametric_index(x: Spins, triangles: int, groups: int, rng: np.random.Generator) -> tuple[float, float]:
    """U and its standard error over ``groups`` random sets of images; see ``ultrametricity``."""
    size = len(x) // groups
    count = -(-triangles // groups)
    order = rng.permutation(len(x))[: size * groups].reshape(groups, size)
    means = np.array([_index_of_group(x[members], count, rng) for members in order])
    if np.isnan(means).any():
        raise checks.ParameterError("x must have triangles with different sides in every group of images, got equal images")
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(groups))


def cophenetic_correlation(x: Spins, method: str = "average") -> float:
    """Correlation of d_ab with the height at which a and b meet in the dendrogram. 3 images at least, not all equally far."""
    condensed = squareform(distances(x), checks=False)
    if condensed.min() == condensed.max():
        raise checks.ParameterError("x must have images at different distances, got all at one distance")
    return float(cophenet(linkage(condensed, method), condensed)[0])


def ordered_overlaps(x: Any, labels: Any = None, method: str = "average") -> xr.Dataset:
    """Overlaps q_ab = x_a.x_b/N in the order of the leaves of the dendrogram, in which sub-classes are blocks.

    ``x`` (n, N), +-1 pixels, n >= 2; ``labels`` (n,), any, are kept beside the images; ``method`` is the linkage. Variables:
    ``sample_overlap`` (sample, sample_prime) and the tree as SciPy has it, ``link`` (n - 1, 2), the two branches that meet, and
    ``link_height``, the distance d = (1 - q)/2 at which they do. The coordinate ``sample`` is the place of an image in ``x``.

    Raises ``ParameterError`` for pixels that are not +-1, and for labels of another length.
    """
    spins = as_spins(x)
    checks.one_of("method", method, METHODS)
    if len(spins) < 2:
        raise checks.ParameterError(f"x must have at least 2 images, got {len(spins)}")
    d = distances(spins)
    tree = linkage(squareform(d, checks=False), method)
    leaves = leaves_list(tree)
    ds = xr.Dataset(
        {
            "sample_overlap": (("sample", "sample_prime"), 1 - 2 * d[np.ix_(leaves, leaves)]),
            "link": (("merge", "branch"), tree[:, :2].astype(np.int64)),
            "link_height": ("merge", tree[:, 2]),
        },
        {"sample": leaves, "sample_prime": leaves},
        {"method": method},
    )
    for name in ("sample_overlap", "link_height"):
        ds[name].attrs.update(LABELS[name].attributes())
    if labels is None:
        return ds
    labels = np.asarray(labels)
    if labels.shape != (len(spins),):
        raise checks.ParameterError(f"labels must have one entry per image, {len(spins)}, got shape {labels.shape}")
    return ds.assign_coords(label=("sample", labels[leaves], {"long_name": "class", "symbol": "c", "units": "1"}))


def _index_of_group(x: Spins, count: int, rng: np.random.Generator) -> float:
    """Mean of (d3 - d2)/(d3 - d1) over ``count`` random triangles; NaN where there is none with d3 > d1."""
    d = distances(x)
    n = len(x)
    # three different images: the second is one of the others, the third one of those left
    first = rng.integers(n, size=count)
    second = (first + rng.integers(1, n, size=count)) % n
    low, high = np.minimum(first, second), np.maximum(first, second)
    third = rng.integers(n - 2, size=count)
    third += third >= low
    third += third >= high
    near, middle, far = np.sort([d[first, second], d[second, third], d[first, third]], axis=0)
    proper = far > near
    return float(np.mean((far - middle)[proper] / (far - near)[proper])) if proper.any() else float("nan")
