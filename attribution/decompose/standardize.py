"""Many populations at once: Das Gupta's standardized rates and effects that are transitive.

The effect e of population j against population k, a_e(k, j), is the line of their two-period
decomposition. Taken pair by pair, effects contradict each other: A to B and B to C do not add up to
A to C. Averaged over all third populations they do (Das Gupta 1993, ch. 6):

    a*_e(k, j) = (1/P) sum_i [a_e(k, i) + a_e(i, j)] = u_e(j) - u_e(k)
    u_e(j)     = (1/P) sum_i a_e(i, j)                 effects add up to R_j - mean of R
    standardized_j = level + u_rate(j)                 level = mean over pairs of sum_c p_c r_c

with p_c, r_c the midpoints of the pair. With two populations both are the plain decomposition. Of
a total, a ratio with a volume of its own or another function of sums the level is its value midway
(`coefficients.midway`), and a total has the line "volume" too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.coefficients import Form, TotalForm
from attribution.decompose.decomposition import Decomposition, Line, decompose
from attribution.decompose.design import Design
from attribution.decompose.functions import FunctionDecomposition, decompose_function
from attribution.decompose.rates import choose
from attribution.decompose.turnover import staying
from attribution.gradient import Gradient

__all__ = ["Populations", "Standardization", "standardize_populations"]

Pair = Decomposition | FunctionDecomposition


@dataclass(frozen=True, eq=False)
class Populations:
    """The sums of P populations, and how each pair of them is decomposed.

    Attributes
    ----------
    sums : ndarray, shape (M, P, S)
        Of a ratio D and N; of another function its volume, then its sums.
    n : ndarray, shape (P, S)
    codes, sizes, nested, mix
        See `standardize_populations`.
    function : Form or None
        None for a ratio.
    """

    sums: np.ndarray
    n: np.ndarray
    codes: np.ndarray
    sizes: tuple[int, ...]
    nested: Sequence[tuple[int, int]]
    mix: str
    function: Form | None

    def pairs(self, form: str) -> Iterator[tuple[list[int], np.ndarray, Pair]]:
        """Decompose each pair over the cells that either has: ([k, j], cells, decomposition)."""
        asked: dict[str, Any] = {"rates": form, "mix": self.mix, "nested": self.nested}
        for both in map(list, itertools.combinations(range(len(self.n)), 2)):
            cells = np.flatnonzero((self.sums[0, both] > 0).any(axis=0))
            sums, n = self.sums[:, both][..., cells], self.n[both][:, cells]
            codes = self.codes[cells]
            if self.function is None:
                D, N = sums
                yield both, cells, decompose(D, N, n, codes, self.sizes, **asked)
            else:
                parts = decompose_function(sums, n, codes, self.sizes, self.function, **asked)
                yield both, cells, parts


@dataclass(frozen=True, eq=False)
class Standardization:
    """P populations made comparable.

    Attributes
    ----------
    R : ndarray, shape (P,)
        The crude KPI of each population.
    lines : tuple of Line
        "volume" of a total, "mix" per dimension, "joint", "rate", and "turnover" where a pair lacks
        levels of the other.
    effects : ndarray, shape (E, P)
        u_e(j): what each line adds to a population against the average one; columns add up to
        R - mean(R), rows to 0.
    level : float
        What the standardized rates average.
    form, reason : str
        The rates in use, the same for all pairs, and why.
    populations : Populations
    """

    R: np.ndarray
    lines: tuple[Line, ...]
    effects: np.ndarray
    level: float
    form: str
    reason: str
    populations: Populations

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
            E' P lines over M P S sums: one sum of all populations after the other. It decomposes
            every pair once more: holding the gradients of all would fill the memory.
        """
        chosen, (M, P, S) = list(lines), self.populations.sums.shape
        slopes = np.zeros((len(lines), P, M, P, S))
        for both, cells, parts in self.populations.pairs(self.form):
            in_pair = parts.gradient.combine(_members(parts, self.lines)[chosen]).toarray() / P
            in_pair = in_pair.reshape(len(chosen), M, 2, len(cells))
            for k, sign in zip(both, (-1.0, 1.0), strict=True):
                for t, population in enumerate(both):
                    slopes[:, k, :, population][..., cells] += sign * in_pair[:, :, t]
        return _dense(slopes.reshape(len(chosen) * P, -1))

    def standardized_gradient(self) -> Gradient:
        """Return the gradient of `standardized`, P lines over the sums of `gradient`."""
        M, P, S = self.populations.sums.shape
        level, slopes = np.zeros((M, P, S)), np.zeros((P, M, P, S))
        for both, cells, parts in self.populations.pairs(self.form):
            in_level, in_rate = _level_and_rate(parts).reshape(2, M, 2, len(cells))
            for t, population in enumerate(both):
                level[:, population, cells] += in_level[:, t] / (P * (P - 1) / 2)
                for k, sign in zip(both, (-1.0, 1.0), strict=True):
                    slopes[k, :, population][..., cells] += sign * in_rate[:, t] / P
        return _dense((slopes + level).reshape(P, -1))


def _level(parts: Pair) -> float:
    """The KPI midway between the two populations of a pair."""
    if isinstance(parts, FunctionDecomposition):
        return parts.midway
    p, r = parts.stages.shares.p, parts.stages.rates.r
    return float(p.mean(axis=0) @ r.mean(axis=0))


def _level_and_rate(parts: Pair) -> np.ndarray:
    """The gradients of the level and of the rate line of a pair, two rows."""
    if isinstance(parts, FunctionDecomposition):
        rate = [line.effect for line in parts.lines].index("rate")
        own = parts.gradient.combine(np.eye(len(parts.lines))[[rate]])
        return np.vstack([parts.midway_gradient.toarray(), own.toarray()])
    p, r = parts.stages.shares.p, parts.stages.rates.r
    mean_p, half_r, change = p.mean(axis=0), r.mean(axis=0) / 2, (r[1] - r[0]) / 2
    in_p_and_r = [
        np.concatenate([half_r, half_r, mean_p / 2, mean_p / 2]),
        np.concatenate([change, change, -mean_p, mean_p]),
    ]
    return parts.stages.to_sums(_dense(np.stack(in_p_and_r))).toarray()


def standardize_populations(
    sums: np.ndarray,
    n: np.ndarray,
    codes: np.ndarray,
    sizes: tuple[int, ...],
    *,
    function: Form | None = None,
    rates: str = "auto",
    mix: str = "adjusted",
    nested: Sequence[tuple[int, int]] = (),
) -> Standardization:
    """Standardize P populations with R_k = sum_c N_kc / sum_c D_kc, or another function of sums.

    Parameters
    ----------
    sums : ndarray, shape (M, P, S)
        Denominators and numerators of the observed segments in each population; of another
        function its volume, then its sums.
    n : ndarray, shape (P, S)
        Unweighted numbers of observations, for the `auto` rule.
    codes : ndarray of int, shape (S, D)
        The level of each segment in each dimension.
    sizes : tuple of int
        Levels per dimension.
    function : Form, optional
        What the KPI is of its sums; None for a ratio.
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
    >>> three = standardize_populations(np.stack([D, N]), D, np.array([[0], [1]]), (2,))
    >>> three.R, three.standardized
    (array([0.92 , 0.875, 0.83 ]), array([0.875, 0.875, 0.875]))
    """
    V, P = sums[0], len(n)
    form, reason = (rates, "as asked") if rates != "auto" else _choose(V, n, codes, sizes)
    lines = _lines(V, Design(codes, sizes), function)
    populations = Populations(sums, n, codes, sizes, nested, mix, function)
    effects, levels, R = np.zeros((len(lines), P)), [], np.zeros(P)
    for both, _, parts in populations.pairs(form):
        i, j = both
        found = _members(parts, lines) @ parts.estimate
        effects[:, j] += found / P
        effects[:, i] -= found / P
        levels.append(_level(parts))
        R[both] = parts.R
    level = float(np.mean(levels))
    return Standardization(R, lines, effects, level, form, reason, populations)


def _lines(D: np.ndarray, design: Design, function: Form | None) -> tuple[Line, ...]:
    """The lines of all pairs; turnover if any two populations do not have the same levels."""
    volume = (Line("volume"),) if isinstance(function, TotalForm) else ()
    exists = (design.matrix.T @ D.T) > 0
    turned = bool((exists.any(axis=1) & ~exists.all(axis=1)).any())
    dimensions = range(len(design.sizes))
    joint = (Line("joint"),) if len(dimensions) > 1 else ()
    turnover = (Line("turnover"),) if turned else ()
    mix = [Line("mix", d) for d in dimensions]
    return (*volume, *mix, *joint, Line("rate"), *turnover)


def _members(parts: Pair, lines: tuple[Line, ...]) -> np.ndarray:
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
