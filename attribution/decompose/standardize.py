"""Many populations at once: Das Gupta's standardized rates and effects that are transitive.

The effect e of population j against population k, a_e(k, j), is the line of their two-period
decomposition. Taken pair by pair, effects contradict each other: A to B and B to C do not add up to
A to C. Averaged over all third populations they do (Das Gupta 1993, ch. 6):

    a*_e(k, j) = (1/P) sum_i [a_e(k, i) + a_e(i, j)] = u_e(j) - u_e(k)
    u_e(j)     = (1/P) sum_i a_e(i, j)                 effects add up to R_j - mean of R
    standardized_j = level + u_rate(j)                 level = mean over pairs of sum_c p_c r_c

with p_c, r_c the midpoints of the pair. With two populations both are the plain decomposition.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.decomposition import Decomposition, Line, decompose
from attribution.decompose.design import Design
from attribution.decompose.rates import choose
from attribution.decompose.turnover import staying
from attribution.gradient import Gradient

__all__ = ["Standardization", "standardize_populations"]


@dataclass(frozen=True, eq=False)
class Standardization:
    """P populations made comparable.

    Attributes
    ----------
    R : ndarray, shape (P,)
        The crude KPI of each population.
    lines : tuple of Line
        "mix" per dimension, "joint", "rate", and "turnover" where a pair lacks levels of the
        other.
    effects : ndarray, shape (E, P)
        u_e(j): what each line adds to a population against the average one; columns add up to
        R - mean(R), rows to 0.
    level : float
        What the standardized rates average.
    form, reason : str
        The rates in use, the same for all pairs, and why.
    """

    R: np.ndarray
    lines: tuple[Line, ...]
    effects: np.ndarray
    level: float
    form: str
    reason: str
    _sums: tuple[
        np.ndarray,
        np.ndarray,
        np.ndarray,
        np.ndarray,
        tuple[int, ...],
        Sequence[tuple[int, int]],
        str,
    ]

    @property
    def standardized(self) -> np.ndarray:
        """The KPI of each population at the same mix, shape (P,)."""
        return self.level + self.effects[self._rate]

    @property
    def _rate(self) -> int:
        return [line.effect for line in self.lines].index("rate")

    def gradient(self, lines: Sequence[int]) -> Gradient:
        """Return the gradient of some rows of `effects`, population by population.

        Parameters
        ----------
        lines : sequence of int
            E' positions in `lines`.

        Returns
        -------
        Gradient
            E' P lines over 2 P S sums: all D, then all N, a population after the other. It
            decomposes every pair once more: holding the gradients of all would fill the memory.
        """
        P, S = self._sums[0].shape
        chosen, slopes = list(lines), np.zeros((len(lines), P, 2, P, S))
        for both, cells, parts in _pairs(*self._sums, self.form):
            in_pair = parts.gradient.combine(_members(parts, self.lines)[chosen]).toarray() / P
            in_pair = in_pair.reshape(len(chosen), 2, 2, len(cells))
            for k, sign in zip(both, (-1.0, 1.0), strict=True):
                for t, population in enumerate(both):
                    slopes[:, k, :, population][..., cells] += sign * in_pair[:, :, t]
        return _dense(slopes.reshape(len(chosen) * P, -1))

    def standardized_gradient(self) -> Gradient:
        """Return the gradient of `standardized`, P lines over the sums of `gradient`."""
        P, S = self._sums[0].shape
        level, slopes = np.zeros((2, P, S)), np.zeros((P, 2, P, S))
        for both, cells, parts in _pairs(*self._sums, self.form):
            p, r = parts.stages.shares.p, parts.stages.rates.r
            mean_p, half_r, change = p.mean(axis=0), r.mean(axis=0) / 2, (r[1] - r[0]) / 2
            in_p_and_r = [
                np.concatenate([half_r, half_r, mean_p / 2, mean_p / 2]),
                np.concatenate([change, change, -mean_p, mean_p]),
            ]
            of_pair = parts.stages.to_sums(_dense(np.stack(in_p_and_r))).toarray()
            in_level, in_rate = of_pair.reshape(2, 2, 2, len(cells))
            for t, population in enumerate(both):
                level[:, population, cells] += in_level[:, t] / (P * (P - 1) / 2)
                for k, sign in zip(both, (-1.0, 1.0), strict=True):
                    slopes[k, :, population][..., cells] += sign * in_rate[:, t] / P
        return _dense((slopes + level).reshape(P, -1))


def standardize_populations(
    D: np.ndarray,
    N: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    *,
    rates: str = "auto",
    mix: str = "adjusted",
    nested: Sequence[tuple[int, int]] = (),
) -> Standardization:
    """Standardize P populations with R_k = sum_c N_kc / sum_c D_kc.

    Parameters
    ----------
    D, N : ndarray, shape (P, S)
        Denominators and numerators of the observed segments in each population.
    n : ndarray, shape (P, S)
        Unweighted numbers of observations, for the `auto` rule.
    codes : ndarray of int, shape (S, D)
        The level of each segment in each dimension.
    sizes : tuple of int
        Levels per dimension.
    rates : {"auto", "saturated", "additive"}
        "auto" takes observed rates if they are good enough for every pair, else fitted ones for
        all: rates of two kinds would not be comparable.
    mix : {"adjusted", "shapley", "das_gupta"}
        How the mix effect of each pair is divided among the dimensions.
    nested : sequence of (int, int)
        The declared hierarchy, as in `Design`.

    Returns
    -------
    Standardization

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates: A User's Manual. Current
    Population Reports P23-186, U.S. Bureau of the Census, chapter 6.

    Examples
    --------
    Three sites are equally good in each queue; the queues they work differ.

    >>> D = np.array([[80., 20], [50, 50], [20, 80]])
    >>> N = D * [.95, .80]
    >>> three = standardize_populations(D, N, D, np.array([[0], [1]]), (2,))
    >>> three.R, three.standardized
    (array([0.92 , 0.875, 0.83 ]), array([0.875, 0.875, 0.875]))
    """
    form, reason = (rates, "as asked") if rates != "auto" else _choose(D, n, codes, sizes)
    P = len(D)
    lines = _lines(D, Design(codes, sizes))
    effects, levels = np.zeros((len(lines), P)), []
    for (i, j), _, parts in _pairs(D, N, n, codes, sizes, nested, mix, form):
        found = _members(parts, lines) @ parts.estimate
        effects[:, j] += found / P
        effects[:, i] -= found / P
        p, r = parts.stages.shares.p, parts.stages.rates.r
        levels.append(p.mean(axis=0) @ r.mean(axis=0))
    R = N.sum(axis=1) / D.sum(axis=1)
    level, sums = float(np.mean(levels)), (D, N, n, codes, sizes, nested, mix)
    return Standardization(R, lines, effects, level, form, reason, sums)


def _pairs(
    D: np.ndarray,
    N: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    nested: Sequence[tuple[int, int]],
    mix: str,
    form: str,
) -> Iterator[tuple[list[int], np.ndarray, Decomposition]]:
    """Decompose each pair over the cells that either has: ([k, j], cells, decomposition)."""
    for both in map(list, itertools.combinations(range(len(D)), 2)):
        cells = np.flatnonzero((D[both] > 0).any(axis=0))
        D_2, N_2, n_2 = (x[both][:, cells] for x in (D, N, n))
        asked: dict[str, Any] = {"rates": form, "mix": mix, "nested": nested}
        yield both, cells, decompose(D_2, N_2, n_2, codes[cells], sizes, **asked)


def _lines(D: np.ndarray, design: Design) -> tuple[Line, ...]:
    """The lines of all pairs; turnover if any two populations do not have the same levels."""
    exists = (design.matrix.T @ D.T) > 0
    turned = bool((exists.any(axis=1) & ~exists.all(axis=1)).any())
    dimensions = range(len(design.sizes))
    joint = (Line("joint"),) if len(dimensions) > 1 else ()
    turnover = (Line("turnover"),) if turned else ()
    return (*(Line("mix", d) for d in dimensions), *joint, Line("rate"), *turnover)


def _members(parts: Decomposition, lines: tuple[Line, ...]) -> np.ndarray:
    """1 where a line of a pair belongs to one of the common lines, shape (E, K).

    What leaves one way enters the other way, so only exit and entry together turn with the pair.
    """
    keys = [(line.effect, line.dimension) for line in lines]
    members = np.zeros((len(lines), len(parts.lines)))
    for k, line in enumerate(parts.lines):
        effect = "turnover" if line.effect in ("entry", "exit") else line.effect
        members[keys.index((effect, line.dimension)), k] = 1.0
    return members


def _dense(rows: np.ndarray) -> Gradient:
    return Gradient.of(sparse.eye_array(len(rows), format="csr"), rows)


def _choose(
    D: np.ndarray, n: np.ndarray, codes: np.ndarray, sizes: tuple[int, ...]
) -> tuple[str, str]:
    """Apply the `auto` rule to every pair; the first that needs fitted rates decides."""
    form, reason = "saturated", "observed rates are good enough for every pair"
    for both in map(list, itertools.combinations(range(len(D)), 2)):
        cells = np.flatnonzero((D[both] > 0).any(axis=0))
        _, stayed = staying(D[both][:, cells], Design(codes[cells], sizes))
        V, rows = (x[both][:, cells[stayed]] for x in (D, n))
        form, why = choose(V, V, rows, len(sizes))
        if form == "additive":
            return form, why
    return form, reason
