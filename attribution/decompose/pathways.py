"""The pathway matrix: whose composition was pushed, and through whose rates it acted.

    s* = p_0 exp(sum_d F_d)     p_0 raked to the current margin of every dimension
    s_x = p_0 exp(x sum_d F_d) / its sum

    M[d, k]               = integral over x in (0, 1) of Cov_{s_x}(F_d, alpha_k)
    M[d, joint]           = the same with e
    M[association, joint] = sum_c (p_1c - s*_c) e_c         association's row is 0 elsewhere

with alpha_k and e the additive fit of `adjusted`. Columns add up to its lines, because the integral
of Cov_{s_x}(sum_d F_d, y) is the change of the mean of y from p_0 to s*.
"""

from __future__ import annotations

import numpy as np

from attribution.decompose.design import Design
from attribution.decompose.dimensions import adjusted, level_effects
from attribution.decompose.kitagawa import Weights
from attribution.decompose.raking import rake
from attribution.errors import IdentificationError

__all__ = ["pathways"]

# Gauss-Legendre points, doubled until the columns add up to this part of the movement.
_FIRST, _MOST = 16, 1024
_TOLERANCE = 1e-13


def pathways(p: np.ndarray, r: np.ndarray, design: Design, weights: Weights) -> np.ndarray:
    """Return the pathway matrix of the mix effect.

    Parameters
    ----------
    p, r : ndarray, shape (2, S)
        Shares and the rates in use.
    design : Design
        D dimensions, no two identical. The push of a dimension that another one refines is the
        mean push of its children, and the child's what is left: as their alphas are.
    weights : Weights
        Those of the method.

    Returns
    -------
    ndarray, shape (D + 1, D + 1)
        Rows: the dimensions pushed, then association. Columns: the dimensions whose rates they
        acted through, which add up to the `adjusted` lines, then joint. In units of the KPI.

    Raises
    ------
    IdentificationError
        The baseline's empty cells leave no table with the current margins: no matrix.

    Examples
    --------
    Queue B grew. It is staffed by new hires, and new hires are less accurate in either queue: the
    push is queue's, the accuracy tenure's.

    >>> from attribution.decompose.kitagawa import METHODS
    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> p = np.array([[.45, .05, .1, .4], [.27, .03, .14, .56]])
    >>> r = np.array([[.95, .85, .95, .85]] * 2)
    >>> found = pathways(p, r, Design(codes, (2, 2)), METHODS["midpoint"])
    >>> (100 * found).round(3) + 0.0
    array([[ 0. , -1.4,  0. ],
           [ 0. ,  0. ,  0. ],
           [ 0. ,  0. ,  0. ]])
    """
    D = len(design.sizes)
    by_level = adjusted(p, r, design, weights)
    leaves = design.only(design.innermost)
    margins = leaves.matrix.T @ p[1]
    try:
        raked = rake(p[0][:, None], leaves, margins[:, None]).tables[:, 0]
    except IdentificationError as error:
        raise IdentificationError(f"pathways: there is no matrix, because {error}") from None
    there = p[0] > 0
    push = np.log(np.divide(raked, p[0], out=np.ones_like(raked), where=there))
    of_push = level_effects(design, p[0], push).alpha
    value = np.column_stack([_apart(by_level.alpha, design), by_level.effects.residual])

    matrix = np.zeros((D + 1, D + 1))
    matrix[D, D] = (p[1] - raked) @ by_level.effects.residual
    goal = (raked - p[0]) @ value
    scale = max(float(np.abs(p[1] - p[0]) @ np.abs(value).sum(axis=1)), 1e-300)
    points = _FIRST
    while True:
        matrix[:D] = _integral(p[0], push, _apart(of_push, design), value, points)
        off = np.abs(matrix[:D].sum(axis=0) - goal).max(initial=0.0) / scale
        if off <= _TOLERANCE or points >= _MOST:
            return matrix
        points *= 2


def _apart(levels: np.ndarray, design: Design) -> np.ndarray:
    """The value of each cell's level in each dimension, shape (n, D)."""
    return levels[design.codes + design.offsets[:-1]]


def _integral(
    p0: np.ndarray, push: np.ndarray, pushes: np.ndarray, value: np.ndarray, points: int
) -> np.ndarray:
    """Integrate Cov_{s_x}(F_d, value_k) over x in (0, 1), shape (D, columns of value)."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    total = np.zeros((pushes.shape[1], value.shape[1]))
    for x, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        s = p0 * np.exp(x * push)
        s /= s.sum()
        total += weight * (pushes.T @ (s[:, None] * (value - s @ value)))
    return total
