"""The mix effect per dimension in Das Gupta's published form for cross-classified shares.

    p_c = product over d of A_d(c)      A_d = exp of the Shapley value of d in log p_S(c),
                                        p_S(c) the share of c's levels in the dimensions S
    effect_d = sum_c rbar_c [Shapley value of d in the product of the A of both periods]_c

so that for two dimensions A_1 = (p_ij / p_.j)^1/2 (p_i.)^1/2. The A_d of a period are no shares:
effects change when a constant is added to all rates, and a dimension whose margin did not move can
get one. The form is here because published tables use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from attribution.decompose.coalitions import coalitions, groups
from attribution.decompose.design import Design
from attribution.gradient import Gradient

__all__ = ["standardized_products"]


@dataclass(frozen=True, eq=False)
class ProductTables:
    """The product of each coalition's factors, with the chain rule to the shares.

    Attributes
    ----------
    tables : ndarray, shape (n, B)
        The factors of a coalition's dimensions taken from the current period, the others' from
        the baseline.
    coefficient : ndarray, shape (B, D)
        What a table counts for in the shift of shares that a dimension makes.
    """

    tables: np.ndarray
    coefficient: np.ndarray
    _member: np.ndarray
    _margins: list[tuple[np.ndarray, np.ndarray]]

    def pull(self, weights: Callable[[int], sparse.csr_array]) -> Gradient:
        """Pull gradients in the tables, (K, n) for each, back to (p_0, p_1)."""
        n, D = len(self.tables), self.coefficient.shape[1]
        in_logs: dict[tuple[int, int], Any] = {}
        for b, q in enumerate(self.tables.T):
            moved = weights(b).multiply(q)
            for d, t in enumerate(self._member[b].astype(int)):
                in_logs[t, d] = in_logs[t, d] + moved if (t, d) in in_logs else moved
        total = Gradient.zero(weights(0).shape[0], 2 * n)
        # The share of everything, of no dimension, is 1 and does not move.
        for S in range(1, len(self._margins)):
            group, shares = self._margins[S]
            adds = sparse.csr_array((np.ones(n), (group, np.arange(n))))
            for t, share in enumerate(shares):
                of_margin: Any = sum(self.coefficient[S, d] * in_logs[t, d] for d in range(D))
                per_share = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
                spread = adds.multiply(per_share[:, None])
                to_cells = sparse.eye_array(n, 2 * n, k=t * n, format="csr")
                total = total + Gradient.of(of_margin @ adds.T, spread).through(to_cells)
        return total


def standardized_products(p: np.ndarray, design: Design) -> ProductTables:
    """Standardize the factors of cross-classified shares over all coalitions of dimensions.

    Parameters
    ----------
    p : ndarray, shape (2, S)
        Shares in baseline and current; 0/0 among their margins is taken as 1.
    design : Design
        At least one dimension.

    Returns
    -------
    ProductTables

    Raises
    ------
    OptionError
        More than 10 dimensions.

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates: A User's Manual. Current
    Population Reports P23-186, U.S. Bureau of the Census, eq. 5.36.

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> p = np.array([[.25, .25, .25, .25], [.42, .28, .18, .12]])
    >>> found = standardized_products(p, Design(codes, (2, 2)))
    >>> (found.tables @ found.coefficient).round(3).T
    array([[ 0.11,  0.09, -0.11, -0.09],
           [ 0.06, -0.06,  0.04, -0.04]])
    """
    n, D = p.shape[1], len(design.sizes)
    member, coefficient = coalitions(D)
    logs, vanish, margins = np.zeros((2, n, len(member))), np.zeros((2, n, len(member))), []
    for S, inside in enumerate(member):
        group = groups(design.codes, design.sizes, np.flatnonzero(inside).tolist())
        shares = np.stack([np.bincount(group, weights=p[t]) for t in (0, 1)])
        margins.append((group, shares))
        logs[..., S] = np.log(np.where(shares > 0, shares, 1.0))[:, group]
        vanish[..., S] = (shares <= 0)[:, group]
    factors = logs @ coefficient
    # A factor is 0 where a level joins a margin that is positive and makes it 0; among margins
    # that are 0 already, 0/0 counts as 1.
    none = np.zeros((2, n, D))
    for d in range(D):
        inside = member[:, d]
        none[..., d] = (vanish[..., inside] > vanish[..., ~inside]).any(axis=-1)
    current, baseline = member.T.astype(float), (~member).T.astype(float)
    tables = np.exp(factors[1] @ current + factors[0] @ baseline)
    tables[(none[1] @ current + none[0] @ baseline) > 0] = 0.0
    return ProductTables(tables, coefficient, member, margins)
