"""What a bootstrap draws from: clusters within strata, or trials; and how reweighting it varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.errors import OptionError
from attribution.gradient import Gradient
from attribution.infer.unit_sums import UnitSums
from attribution.spill import Stacked

__all__ = ["Population", "Spread", "cluster_strata", "of_clusters", "of_trials"]


@dataclass(frozen=True, eq=False)
class Population:
    """Units to draw: their sums (n, 4 S), how many of each there are, the strata's members."""

    sums: sparse.csr_array
    counts: np.ndarray
    strata: list[np.ndarray]

    def draw(self, rng: np.random.Generator, size: int, weights: str) -> np.ndarray:
        """Draw `size` sets of weights, shape (n, size)."""
        n = len(self.counts)
        if weights == "poisson":
            return rng.poisson(self.counts[:, None], (n, size)).astype(float)
        drawn = np.empty((n, size))
        for members in self.strata:
            counts = self.counts[members]
            G = int(counts.sum())
            if len(members) < G:
                found = rng.multinomial(G - 1, counts / G, size).T
            else:
                # Each unit once: counting draws is ten times faster than a multinomial.
                picked = rng.integers(0, G, (G - 1, size)) * size + np.arange(size)
                found = np.bincount(picked.ravel(), minlength=G * size).reshape(G, size)
            drawn[members] = found * (G / (G - 1))
        return drawn


def of_clusters(units: UnitSums, strata: np.ndarray | None) -> Population:
    _check_held(units)
    G = units.count
    codes = np.zeros(G, dtype=int) if strata is None else np.asarray(strata)
    if codes.shape != (G,):
        raise OptionError(f"strata: {codes.shape} codes for {G:,} clusters; one per cluster.")
    _, code, size = np.unique(codes, return_inverse=True, return_counts=True)
    if alone := int((size == 1).sum()):
        raise OptionError(
            f"strata: {alone:,} of {len(size):,} strata hold a single cluster, which cannot vary "
            "within its stratum. Merge its level with another (mapping=...), or leave strata out."
        )
    members = np.split(np.argsort(code, kind="stable"), np.cumsum(size)[:-1])
    return Population(units.sums, np.ones(G), members)


def _check_held(units: UnitSums) -> None:
    if isinstance(units.sums, Stacked):
        raise OptionError(
            f"inference: 'bootstrap' holds the sums of all {units.count:,} clusters at once, and "
            "they are too many. Use inference='analytic', or fewer dimensions."
        )


def of_trials(units: UnitSums) -> Population:
    """Successes and failures of each cell, if independent rows are 0/1 trials."""
    cells = len(units.totals) // 2
    if units.ones is not None:
        raise OptionError(
            "inference: 'bootstrap' of a KPI of several sums draws clusters. Name cluster=...; a "
            "column with an id of its own for each row will do."
        )
    D, N = np.split(units.totals, 2)
    root = units.sums
    dd, dn = root.diagonal()[:cells] ** 2, root.diagonal()[:cells] * root.diagonal(cells)[:cells]
    nn = root.diagonal(cells)[:cells] ** 2 + root.diagonal()[cells:] ** 2
    # A trial is its own square; then the sums are counts.
    trials = all(np.allclose(a, b, rtol=1e-9) for a, b in ((dd, D), (dn, N), (nn, N)))
    if not trials or not np.allclose(units.totals, np.rint(units.totals), rtol=0, atol=1e-9):
        raise OptionError(
            "inference: 'bootstrap' without clusters can draw 0/1 outcomes of unweighted rows "
            "only. Name cluster=...; a column with an id of its own for each row will do."
        )
    counts = np.concatenate([D - N, N])
    seen = np.flatnonzero(counts > 0)
    cell = np.arange(cells)
    each = sparse.csr_array(
        (
            np.ones(3 * cells),
            (
                np.concatenate([cell, cells + cell, cells + cell]),
                np.concatenate([cell, cell, cells + cell]),
            ),
        ),
        shape=(2 * cells, 2 * cells),
    )
    return Population(each[seen], counts[seen], [np.arange(len(seen))])


def cluster_strata(units: UnitSums, level: np.ndarray, name: str) -> np.ndarray:
    """Return the level of a dimension that each cluster lies in, shape (G,).

    Parameters
    ----------
    units : UnitSums
    level : ndarray of int, shape (S,)
        The level of each segment in the dimension.
    name : str
        Its name, for the error.

    Raises
    ------
    OptionError
        There are no clusters, or some lie in several levels.
    """
    if not units.clustered:
        raise OptionError(f"strata: {name!r} holds no clusters; name cluster=... too.")
    _check_held(units)
    S = len(level)
    found = level[units.sums.indices % S]
    starts = units.sums.indptr[:-1]
    lowest, highest = np.minimum.reduceat(found, starts), np.maximum.reduceat(found, starts)
    if several := int((lowest != highest).sum()):
        raise OptionError(
            f"strata: {several:,} of {units.count:,} clusters lie in more than one level of "
            f"{name!r}. Name a dimension that is the same for all rows of a cluster."
        )
    return lowest


# -- linearized standard errors ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Spread:
    """What the linearized variance of a reweighted population is made of.

    V = sum_h f_h [ sum_g w_g psi_g^2 - (sum_g w_g psi_g)^2 / sum_g w_g ],  f_h = G_h / (G_h - 1),
    over strata h; psi centred within strata. `rows` @ w gives the sums.
    """

    rows: sparse.csr_array
    factors: np.ndarray

    @classmethod
    def of(cls, population: Population, gradient: Gradient) -> Spread:
        psi, counts = gradient.dot(population.sums), population.counts
        factors = np.array([G / (G - 1) for G in _sizes(population)])
        squares = np.empty(psi.shape)
        blocks = []
        for members, factor in zip(population.strata, factors, strict=True):
            own = psi[members] - counts[members] @ psi[members] / counts[members].sum()
            squares[members] = factor * own**2
            values = np.hstack([np.ones((len(members), 1)), own])
            place = sparse.csr_array(
                (np.ones(len(members)), (np.arange(len(members)), members)),
                shape=(len(members), len(psi)),
            )
            blocks.append(sparse.csr_array(values.T) @ place)
        rows = sparse.vstack([sparse.csr_array(squares.T), *blocks], format="csr")
        return cls(sparse.csr_array(rows), factors)

    def std_errors(self, w: np.ndarray) -> np.ndarray:
        """Return the standard errors under weights (n, b), shape (b, K)."""
        H = len(self.factors)
        K = (self.rows.shape[0] - H) // (H + 1)
        found = self.rows @ w
        within = found[K:].reshape(H, K + 1, -1)
        off_centre = self.factors[:, None, None] * within[:, 1:] ** 2 / within[:, :1]
        return np.sqrt(np.maximum(found[:K] - off_centre.sum(axis=0), 0.0)).T


def _sizes(population: Population) -> list[float]:
    return [float(population.counts[members].sum()) for members in population.strata]
