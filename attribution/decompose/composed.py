"""A function of several KPIs: each one's own lines, times what a change of that KPI is worth.

    F(f_1) - F(f_0) = sum over j of C_j (f_1j - f_0j),   f_1j - f_0j = sum of the lines of KPI j

For a product C_j is Das Gupta's weight of the other factors, the Shapley value of factor j; for a
sum it is a constant. Every C_j is differentiated too, so that the noise of one factor is carried
into the effects of the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.coalitions import shapley_weights
from attribution.decompose.decomposition import Decomposition, Line
from attribution.decompose.functions import FunctionDecomposition
from attribution.decompose.turnover import Turnover
from attribution.gradient import Gradient

__all__ = ["Composition", "compose", "product_worth"]

_STEP = 1e-30


@dataclass(frozen=True, eq=False)
class Composition:
    """The lines of several KPIs as lines of a function of them.

    Attributes
    ----------
    R : ndarray, shape (2,)
        The function in both periods.
    lines : tuple of Line
        Those of the first KPI, then those of the second ...
    factor : ndarray of int, shape (K,)
        The KPI that a line belongs to.
    estimate : ndarray, shape (K,)
        They add up to R_1 - R_0.
    scores : Gradient
        Of `estimate`, over the sums of all KPIs, block after block.
    members : csr_array, shape (K, 2 S)
        1 where a line rests on a segment of a period.
    form : str
        "saturated" where the rates of all KPIs are, else "fitted".
    turnover : Turnover
        Its `stayed`: the segments that stayed for every KPI.
    denominators : tuple of int
        The denominator of each block of sums.
    """

    R: np.ndarray
    lines: tuple[Line, ...]
    factor: np.ndarray
    estimate: np.ndarray
    scores: Gradient
    members: sparse.csr_array
    form: str
    turnover: Turnover
    denominators: tuple[int, ...]

    @property
    def total_change(self) -> tuple[np.ndarray, Gradient]:
        """R_1 - R_0, shape (1,), with its gradient."""
        return np.diff(self.R), self.scores.combine(np.ones((1, len(self.estimate))))

    @property
    def everywhere(self) -> sparse.csr_array:
        """One line that rests on all segments, shape (1, 2 S)."""
        return sparse.csr_array(np.ones((1, self.members.shape[1])))


def product_worth(f: np.ndarray) -> np.ndarray:
    """Return what a change of each factor of a product is worth: Das Gupta's weights.

    ``C_j = sum over A of |A|! (P - 1 - |A|)! / P! prod of f_1k in A, f_0k outside``, A the sets of
    the other factors.

    Parameters
    ----------
    f : ndarray, shape (2, P)
        The factors in both periods; real or complex.

    Returns
    -------
    ndarray, shape (P,)

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates. US Census Bureau P23-186.

    Examples
    --------
    >>> f = np.array([[2.0, 10], [3, 12]])
    >>> (product_worth(f) * np.diff(f, axis=0)).tolist()
    [[11.0, 5.0]]
    """
    P = f.shape[1]
    weights = shapley_weights(P)
    worth = []
    for j in range(P):
        others = [k for k in range(P) if k != j]
        worth.append(
            sum(
                weights[sum(now)] * np.prod([f[t, k] for t, k in zip(now, others, strict=True)])
                for now in itertools.product((0, 1), repeat=P - 1)
            )
        )
    return np.array(worth)


def compose(
    parts: Sequence[Decomposition | FunctionDecomposition],
    there: Sequence[np.ndarray],
    R: np.ndarray,
    worth: Callable[[np.ndarray], np.ndarray],
) -> Composition:
    """Put the lines of several KPIs together.

    Parameters
    ----------
    parts : sequence of Decomposition or FunctionDecomposition
        Of each KPI, over the segments that it has.
    there : sequence of ndarray of bool, shape (S,)
        Which of all segments these are.
    R : ndarray, shape (2,)
        The function in both periods.
    worth : callable
        The KPIs in both periods, (2, P), to the coefficients C, (P,); also of complex numbers.

    Returns
    -------
    Composition
    """
    f = np.stack([part.R for part in parts], axis=1)
    C, slopes = worth(f), _slopes(worth, f)
    blocks, starts = sum(part.blocks for part in parts), [0]
    own, ends, denominators = [], [], []
    for j, (part, cells) in enumerate(zip(parts, there, strict=True)):
        place = _place(cells, part.blocks, starts[j], blocks)
        own.append(part.scores.through(place).combine(C[j] * sparse.eye_array(len(part.lines))))
        ends.append(part.ends.through(place))
        denominators += [starts[j] + k for k in part.denominators]
        starts.append(starts[j] + part.blocks)
    factor = np.repeat(np.arange(len(parts)), [len(part.lines) for part in parts])
    plain = np.concatenate([part.estimate for part in parts])
    through_worth = Gradient.stack(ends).combine(plain[:, None] * slopes[factor])
    stayed = np.ones(len(there[0]), dtype=bool)
    for part, cells in zip(parts, there, strict=True):
        stayed[cells] &= part.turnover.stayed
        stayed &= cells
    members = [part.members @ _place(c, 1, 0, 1) for part, c in zip(parts, there, strict=True)]
    none = np.full(len(stayed), -1)
    return Composition(
        R=R,
        lines=tuple(line for part in parts for line in part.lines),
        factor=factor,
        estimate=C[factor] * plain,
        scores=Gradient.stack(own) + through_worth,
        members=sparse.csr_array(sparse.vstack(members, format="csr")),
        form="saturated" if all(part.form == "saturated" for part in parts) else "fitted",
        turnover=Turnover(stayed, np.zeros((2, 0), dtype=bool), [], none),
        denominators=tuple(denominators),
    )


def _place(cells: np.ndarray, own: int, start: int, blocks: int) -> sparse.csr_array:
    """Where the sums of a KPI over its own segments stand among those of all."""
    S, here = len(cells), np.flatnonzero(cells)
    columns = np.concatenate([(2 * (start + b) + t) * S + here for b in range(own) for t in (0, 1)])
    ones = (np.ones(len(columns)), (np.arange(len(columns)), columns))
    return sparse.csr_array(ones, shape=(len(columns), 2 * S * blocks))


def _slopes(worth: Callable[[np.ndarray], np.ndarray], f: np.ndarray) -> np.ndarray:
    """The derivative of the coefficients in the KPIs, (P, 2 P): of each KPI both periods."""
    columns = []
    for j in range(f.shape[1]):
        for t in (0, 1):
            step = _STEP * (abs(f[t, j]) or 1.0)
            moved = f.astype(complex)
            moved[t, j] += 1j * step
            columns.append(np.imag(worth(moved)) / step)
    return np.stack(columns, axis=1)
