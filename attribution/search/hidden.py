"""Causes that drift of blocks hides, and how well a model explains the scores with both.

    log p(y | X, V) = -½ r'(M₀⁻¹ - M₀⁻¹ Z (V⁻¹ + Z'M₀⁻¹Z)⁻¹ Z'M₀⁻¹) r - ½ log|I + V Z'M₀⁻¹Z|

up to what all models share, with r = y - X θ, M₀ the covariance without blocks, Z the blocks and V
their variances. Two models with other causes and other blocks are compared by it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg

from attribution.search.working import Block, Working

__all__ = ["log_evidence"]


def log_evidence(work: Working, beyond: np.ndarray, blocks: tuple[Block, ...]) -> float:
    """Return the log marginal likelihood of a model, up to what models of one `work` share.

    Parameters
    ----------
    work : Working
        Scores without drift of blocks, at any effects that are near.
    beyond : ndarray, shape (S,)
        The effects of `work` less those of the model.
    blocks : tuple of Block
        The model's.

    Returns
    -------
    float
    """
    moved = work.through_units(beyond[:, None])[:, 0]
    found = -(beyond @ moved) / 2 - beyond @ work.u
    system = replace(work, drift=replace(work.drift, blocks=blocks)).block_system
    if system is None:
        return float(found)
    Z, _, factor = system
    own = linalg.solve_triangular(factor, Z.T @ (work.u + moved), lower=True)
    widths = [int(block.group.max()) + 1 for block in blocks]
    prior = np.log([block.variance for block in blocks]) @ np.array(widths)
    return float(found + own @ own / 2 - np.log(np.diag(factor)).sum() - prior / 2)
