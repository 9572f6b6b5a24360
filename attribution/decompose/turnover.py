"""Segments that enter and leave: one line per level, never a rate of 0 for what was not there.

    entry = sum over new segments  D_1c / D_1 (r_1c - R_1S)
    exit  = sum over gone segments D_0c / D_0 (R_0S - r_0c)

S are the segments all of whose levels exist in both periods; entry + exit + (R_1S - R_0S) is the
change, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.design import Design

__all__ = ["Turnover", "staying", "turnover"]


@dataclass(frozen=True, eq=False)
class Turnover:
    """Who entered, who left, and what that did.

    Attributes
    ----------
    stayed : ndarray of bool, shape (S,)
        The segments of METHODS.md's S.
    exists : ndarray of bool, shape (2, q)
        Which levels exist in each period.
    lines : list of (period, levels)
        One per entering (period 1) or leaving (period 0) set of levels; levels are columns of
        the design.
    line_of : ndarray of int, shape (S,)
        The line a segment belongs to, -1 within S.
    """

    stayed: np.ndarray
    exists: np.ndarray
    lines: list[tuple[int, tuple[int, ...]]]
    line_of: np.ndarray

    @property
    def members(self) -> sparse.csr_array:
        """1 where a segment belongs to a line, shape (number of lines, S)."""
        outside = np.flatnonzero(self.line_of >= 0)
        return sparse.csr_array(
            (np.ones(len(outside)), (self.line_of[outside], outside)),
            shape=(len(self.lines), len(self.stayed)),
        )


def staying(D: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Return which levels exist in each period, (2, q), and which segments form S, (S,).

    A level exists where its denominator is positive. One pass: S is not searched again.
    """
    X = design.matrix
    exists = (X.T @ D.T).T > 0
    in_one_only = exists[0] ^ exists[1]
    return exists, X @ in_one_only.astype(float) == 0


def turnover(D: np.ndarray, design: Design, whole: bool = False) -> Turnover:
    """Find the levels that exist in one period only and the lines their segments belong to.

    Parameters
    ----------
    D : ndarray, shape (2, S)
        Denominators, or full counts.
    design : Design
    whole : bool
        A segment of one period only is outside S even where its levels exist in both: nobody
        planned it, or nobody delivered it. Its line names all of its levels.

    Returns
    -------
    Turnover
    """
    exists, stayed = staying(D, design)
    if whole:
        stayed = stayed & (D > 0).all(axis=0)
    in_one_only = exists[0] ^ exists[1]
    line_of = np.full(D.shape[1], -1)
    lines: list[tuple[int, tuple[int, ...]]] = []
    number: dict[tuple[int, tuple[int, ...]], int] = {}
    for c in np.flatnonzero(~stayed):
        levels = design.codes[c] + design.offsets[:-1]
        alone = levels[in_one_only[levels]]
        key = (int(D[1, c] > 0), tuple(int(x) for x in (alone if len(alone) else levels)))
        if key not in number:
            number[key] = len(lines)
            lines.append(key)
        line_of[c] = number[key]
    order = sorted(range(len(lines)), key=lambda i: (lines[i][0], len(lines[i][1]), lines[i][1]))
    rank = np.empty(len(lines), dtype=int)
    rank[order] = np.arange(len(lines))
    line_of = np.where(line_of >= 0, rank[line_of] if len(lines) else -1, -1)
    lines = [lines[i] for i in order]
    return Turnover(stayed, exists, lines, line_of)
