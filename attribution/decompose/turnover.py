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
from attribution.decompose.margins import outside_shares
from attribution.gradient import Gradient

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
    estimate : ndarray, shape (number of lines,)
    gradient : Gradient
        Over the 4 S sums (D_0, D_1, N_0, N_1).
    """

    stayed: np.ndarray
    exists: np.ndarray
    lines: list[tuple[int, tuple[int, ...]]]
    line_of: np.ndarray
    estimate: np.ndarray
    gradient: Gradient


def staying(D: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Return which levels exist in each period, (2, q), and which segments form S, (S,).

    A level exists where its denominator is positive. One pass: S is not searched again.
    """
    X = design.matrix
    exists = (X.T @ D.T).T > 0
    in_one_only = exists[0] ^ exists[1]
    return exists, X @ in_one_only.astype(float) == 0


def turnover(D: np.ndarray, N: np.ndarray, design: Design) -> Turnover:
    """Find the levels that exist in one period only and value their segments.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
        Denominators and numerators.
    design : Design

    Returns
    -------
    Turnover
    """
    exists, stayed = staying(D, design)
    in_one_only = exists[0] ^ exists[1]
    line_of = np.full(D.shape[1], -1)
    lines: list[tuple[int, tuple[int, ...]]] = []
    number: dict[tuple[int, tuple[int, ...]], int] = {}
    for c in np.flatnonzero(~stayed):
        levels = design.codes[c] + design.offsets[:-1]
        key = (int(D[1, c] > 0), tuple(int(x) for x in levels[in_one_only[levels]]))
        if key not in number:
            number[key] = len(lines)
            lines.append(key)
        line_of[c] = number[key]
    order = sorted(range(len(lines)), key=lambda i: (lines[i][0], len(lines[i][1]), lines[i][1]))
    rank = np.empty(len(lines), dtype=int)
    rank[order] = np.arange(len(lines))
    line_of = np.where(line_of >= 0, rank[line_of] if len(lines) else -1, -1)
    lines = [lines[i] for i in order]
    estimate, gradient = _lines(D, N, stayed, line_of, lines)
    return Turnover(stayed, exists, lines, line_of, estimate, gradient)


def _lines(D, N, stayed, line_of, lines) -> tuple[np.ndarray, Gradient]:
    if not lines:
        return np.zeros(0), Gradient.zero(0, 4 * D.shape[1])
    outside = np.flatnonzero(~stayed)
    member = sparse.csr_array(
        (np.ones(len(outside)), (line_of[outside], outside)), shape=(len(lines), len(stayed))
    )
    value, gradient = outside_shares(D, N, stayed)
    return member @ value, gradient.combine(member)
