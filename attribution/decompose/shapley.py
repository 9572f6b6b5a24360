"""The mix effect per dimension by raking: the Shapley value over margins and association.

    v(A) = sum_c rbar_c q_A(c)      q_A = a seed raked to the current margin of each dimension in A
                                    and the baseline margin of each other one

The seed is the baseline's shares, or the current ones if the player "association" is in A; what
association is worth is the joint line. Where rbar is additive, the lines of dimensions are those of
`adjusted`, whatever the associations.

A dimension that another one refines (region, of market) cannot move apart from it. The margin of
the child is then raked itself, from its baseline or current margin to its parents': the parent
moves volume between regions, the child within them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.coalitions import coalitions
from attribution.decompose.design import AdditiveFit, Design
from attribution.decompose.dimensions import _parent_levels, aliased_directions
from attribution.decompose.raking import Raked, rake
from attribution.errors import IdentificationError
from attribution.gradient import Gradient

__all__ = ["raked_coalitions"]


@dataclass(frozen=True, eq=False)
class RakedTables:
    """The shares of each coalition, with the chain rule to those of the two periods.

    Attributes
    ----------
    tables : ndarray, shape (n, B)
    coefficient : ndarray, shape (B, D)
        What a table counts for in the shift of shares that a dimension makes.
    """

    coefficient: np.ndarray
    _margins: _Margins

    @property
    def tables(self) -> np.ndarray:
        return self._margins.raked.tables

    def pull(self, weights: Callable[[int], sparse.csr_array]) -> Gradient:
        """Pull gradients in the tables, (K, n) for each, back to (p_0, p_1)."""
        return self._margins.pull(weights)


def raked_coalitions(p: np.ndarray, design: Design) -> RakedTables:
    """Rake the shares of every coalition of dimensions and association.

    Parameters
    ----------
    p : ndarray, shape (2, S)
        Shares in baseline and current.
    design : Design
        At least one dimension, no two identical.

    Returns
    -------
    RakedTables

    Raises
    ------
    IdentificationError
        Levels that only occur together, or raking does not converge.
    OptionError
        More than 9 dimensions.

    References
    ----------
    Deming & Stephan 1940; Shorrocks 2013.

    Examples
    --------
    Both margins move and the odds ratio stays: with association at its baseline or current state
    the table of everyone is the current one.

    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> p = np.array([[.25, .25, .25, .25], [.42, .28, .18, .12]])
    >>> found = raked_coalitions(p, Design(codes, (2, 2)))
    >>> (found.tables @ found.coefficient).round(3).T
    array([[ 0.11,  0.09, -0.11, -0.09],
           [ 0.06, -0.06,  0.04, -0.04]])
    """
    D = len(design.sizes)
    member, coefficient = coalitions(D + 1)
    margins = _margins(design, p, member[:, :D], member[:, D])
    return RakedTables(coefficient[:, :D], margins)


@dataclass(frozen=True, eq=False)
class _Margins:
    """Tables raked to margins that may be raked themselves."""

    raked: Raked
    design: Design
    leaves: list[int]
    member: np.ndarray
    current: np.ndarray
    inner: dict[int, _Margins]

    def pull(self, weights: Callable[[int], sparse.csr_array]) -> Gradient:
        design, n = self.raked.design, len(self.raked.tables)
        before, behind = (sparse.eye_array(n, 2 * n, k=k * n, format="csr") for k in (0, 1))
        in_seeds, slopes = [], []
        for b, current in enumerate(self.current):
            in_seed, in_margins = self.raked.pull(b, weights(b))
            in_seeds.append(in_seed.through(behind if current else before))
            slopes.append(in_margins)
        total = sum(in_seeds[1:], in_seeds[0])
        for i, leaf in enumerate(self.leaves):
            block, X = design.block(i), design.only([i]).matrix
            to_cells = sparse.csr_array(sparse.block_diag([X.T, X.T], format="csr"))
            if leaf in self.inner:
                of_leaf = [sparse.csr_array(slope[:, block]) for slope in slopes]
                total = total + self.inner[leaf].pull(of_leaf.__getitem__).through(to_cells)
            else:
                moved = self.member[:, leaf]
                sides = [
                    sum(slopes[b][:, block] for b in np.flatnonzero(moved == t))
                    for t in (False, True)
                ]
                total = total + Gradient.of(np.hstack(sides), to_cells)
        return total


def _margins(design: Design, p: np.ndarray, member: np.ndarray, current: np.ndarray) -> _Margins:
    """Rake p_0, or p_1 where `current`, to the margins of each coalition in `member`, (B, D)."""
    parents, leaves = design.parents, design.innermost
    within = design.only(leaves)
    for t in (0, 1):
        fit = AdditiveFit(within, p[t], np.zeros(len(p[t])))
        if aliased_directions(design, fit).shape[1]:
            raise IdentificationError(
                "levels of different dimensions occur only together, so that neither margin can "
                "be moved without the other."
            )
    goals, inner = np.zeros((within.width, len(member))), {}
    for i, leaf in enumerate(leaves):
        block = within.block(i)
        own = p @ within.matrix[:, block]
        if parents[leaf]:
            below = _parent_levels(design, leaf, parents[leaf])
            inner[leaf] = _margins(below, own, member[:, list(parents[leaf])], member[:, leaf])
            goals[block] = inner[leaf].raked.tables
        else:
            goals[block] = own[member[:, leaf].astype(int)].T
    raked = rake(p[current.astype(int)].T.copy(), within, goals)
    return _Margins(raked, design, leaves, member, current, inner)
