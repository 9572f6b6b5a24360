"""Causes that drift of blocks hides, and how well a model explains the scores with both.

    log p(y | X, V) = -½ r'(M₀⁻¹ - M₀⁻¹ Z (V⁻¹ + Z'M₀⁻¹Z)⁻¹ Z'M₀⁻¹) r - ½ log|I + V Z'M₀⁻¹Z|

up to what all models share, with r = y - X θ, M₀ the covariance without blocks, Z the blocks and V
their variances. Two models with other causes and other blocks are compared by it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from attribution.search.working import Block, Working, block_precisions

__all__ = ["log_evidence"]


def log_evidence(
    work: Working,
    beyond: np.ndarray,
    blocks: tuple[Block, ...],
    widened: Sequence[float] = (1.0,),
) -> np.ndarray:
    """Return the log marginal likelihood of a model, up to what models of one `work` share.

    Parameters
    ----------
    work : Working
        Scores without drift of blocks, at any effects that are near.
    beyond : ndarray, shape (S,)
        The effects of `work` less those of the model.
    blocks : tuple of Block
        The model's.
    widened : sequence of float
        By what the variances of all blocks are multiplied.

    Returns
    -------
    ndarray, shape (len(widened),)
    """
    moved = work.through_units(beyond[:, None])[:, 0]
    plain = -(beyond @ moved) / 2 - beyond @ work.u
    if not blocks:
        return np.full(len(widened), float(plain))
    Z, _, own = work.of_blocks(blocks)
    score = Z.T @ (work.u + moved)
    precision, found = block_precisions(blocks), []
    for by in widened:
        system = own.copy()
        system[np.diag_indices_from(system)] += precision / by
        factor = linalg.cholesky(system, lower=True, overwrite_a=True, check_finite=False)
        solved = linalg.solve_triangular(factor, score, lower=True, check_finite=False)
        gain = np.log(np.diag(factor)).sum() - np.log(precision / by).sum() / 2
        found.append(plain + solved @ solved / 2 - gain)
    return np.array(found)
