"""What fitted rates leave over in the cells of two dimensions crossed."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from attribution.decompose.decomposition import Decomposition
from attribution.decompose.rates import crossed
from attribution.gradient import Gradient

__all__ = ["misfit"]


def misfit(parts: Decomposition, a: int, b: int) -> tuple[np.ndarray, Gradient, np.ndarray]:
    """Return the sums of residuals over the crossing of two dimensions, with their gradient.

    ``e_tk = sum over c in k of (N_tc - D_tc r_tc)``, r_tc the rates in use: a score of the two-way
    term that a fit of main effects lacks.

    Parameters
    ----------
    parts : Decomposition
    a, b : int
        Dimensions.

    Returns
    -------
    e : ndarray, shape (K,)
        K = both periods x observed pairs of levels.
    gradient : Gradient
        Over the 4 S sums.
    size : ndarray, shape (K,)
        The denominators of the pairs.
    """
    stages, stayed = parts.stages, parts.turnover.stayed
    D, rates = stages.rates.D, stages.rates
    cells = D.shape[1]
    pair = crossed(parts.design, [(a, b)]).codes[stayed, 0]
    levels, code = np.unique(pair, return_inverse=True)
    member = sparse.csr_array(
        (np.ones(cells), (code.ravel(), np.arange(cells))), shape=(len(levels), cells)
    )
    both = sparse.block_diag([member, member], format="csr")
    own = np.where(D > 0, rates.r, 0.0)
    residual = (rates.observed - own) * D
    in_use = Gradient.of(both, sparse.diags_array(-D.ravel()))
    nothing = Gradient.zero(2 * len(levels), 2 * cells)
    through = stages.to_sums(Gradient.beside(nothing, in_use))
    S = len(stayed)
    at = np.concatenate([np.flatnonzero(stayed) + t * S for t in (0, 1)])
    place = sparse.csr_array((np.ones(2 * cells), (np.arange(2 * cells), at)), (2 * cells, 2 * S))
    directly = sparse.hstack([-sparse.diags_array(own.ravel()) @ place, place], format="csr")
    e = both @ residual.ravel()
    # What the rates in use fit exactly is left over as rounding.
    e = np.where(np.abs(e) > 1e-9 * (both @ np.abs(rates.observed * D).ravel()), e, 0.0)
    return e, through + Gradient.of(both, directly), both @ D.ravel()
