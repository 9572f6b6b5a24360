"""Raking (iterative proportional fitting): the table with given margins that is nearest to a seed.

    q_c = s_c exp(sum_d F_d(l_d(c)))        sum of q over the cells of a level = its margin

The associations between the dimensions are those of the seed, the margins those asked for. Sweeps
over the dimensions converge slowly where two of them nearly coincide (a market is mostly one
queue's), so what a few sweeps leave over is solved by Newton steps in the log factors F: each is a
weighted least squares fit on the dummies with the table as weights, and so is the derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.design import AdditiveFit, Design
from attribution.errors import IdentificationError
from attribution.gradient import Gradient

__all__ = ["Raked", "rake"]

# Every margin is met to this part of itself; sums of very many cells are not known that well.
_TOLERANCE = 1e-13
_SURE_CELLS = 10_000
_SWEEPS = 200
_NEWTON_STEPS = 60
# A cell that shrinks below this part of its seed is on its way to 0, where no factors lead.
_VANISHING = 1e-10
# Cells of tables raked at once: 32 MB.
_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Raked:
    """B tables of the same cells.

    Attributes
    ----------
    design : Design
        The dimensions whose margins were asked for.
    seed, tables : ndarray, shape (n, B)
        Shares before and after, adding up to 1 in each column.
    """

    design: Design
    seed: np.ndarray
    tables: np.ndarray

    def pull(self, b: int, weights: sparse.csr_array) -> tuple[Gradient, np.ndarray]:
        """Pull a gradient in table `b` back to what it was raked from.

        With u the fit of weights w on the dummies, cells weighted by q, and e its residual:
        d (w q) = sum_c (q_c / s_c) e_c d s_c + sum_d u_d d margin_d.

        Parameters
        ----------
        b : int
        weights : sparse array, shape (K, n)
            Gradients of K lines with respect to the cells of the table.

        Returns
        -------
        in_seed : Gradient
            K lines over n cells; 0 where the seed is 0.
        in_margins : ndarray, shape (K, q)
            Along margins that keep their sum.
        """
        q, s, X = self.tables[:, b], self.seed[:, b], self.design.matrix
        fit = AdditiveFit(self.design, q, np.zeros(len(q)))
        moved = sparse.csr_array(weights.multiply(q))
        mean = np.asarray(moved.sum(axis=1))[:, None]
        slopes = fit.solve((moved @ X).toarray() - mean * fit.margins)
        ratio = np.divide(q, s, out=np.zeros_like(q), where=s > 0)
        everyone = sparse.csr_array(ratio[None, :])
        by_level = sparse.vstack([X.multiply(ratio[:, None]).T, everyone], format="csr")
        own = Gradient.of(
            sparse.eye_array(len(slopes), format="csr"), sparse.csr_array(weights.multiply(ratio))
        )
        return own + Gradient.of(-np.hstack([slopes, mean]), by_level), slopes


def rake(seed: np.ndarray, design: Design, margins: np.ndarray) -> Raked:
    """Rake tables to one-dimension margins.

    Parameters
    ----------
    seed : ndarray, shape (n, B)
        Nonnegative shares; a cell that is 0 stays 0.
    design : Design
        D dimensions over n cells, q levels in all.
    margins : ndarray, shape (q, B)
        The shares of the levels, adding up to 1 in each dimension.

    Returns
    -------
    Raked
        Every margin is met to 1e-13 of itself.

    Raises
    ------
    IdentificationError
        Raking does not converge: with the seed's cells of 0 no table has these margins.

    References
    ----------
    Deming, W. E. & Stephan, F. F. (1940). On a Least Squares Adjustment of a Sampled Frequency
    Table When the Expected Marginal Totals are Known. Ann. Math. Stat. 11:427-444.

    Examples
    --------
    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> seed = np.array([.4, .1, .1, .4])[:, None]
    >>> margins = np.array([.5, .5, .8, .2])[:, None]
    >>> raked = rake(seed, Design(codes, (2, 2)), margins).tables
    >>> (raked.T @ Design(codes, (2, 2)).matrix).round(12), raked.ravel().round(3)
    (array([[0.5, 0.5, 0.8, 0.2]]), array([0.483, 0.017, 0.317, 0.183]))
    >>> bool(np.isclose(raked[0] * raked[3] / raked[1] / raked[2], 16))  # the seed's odds ratio
    True
    """
    tables = seed.astype(float)
    step = max(1, _AT_ONCE // max(len(seed), 1))
    for start in range(0, seed.shape[1], step):
        some = slice(start, start + step)
        tables[:, some] = _raked(tables[:, some], seed[:, some], design, margins[:, some])
    return Raked(design, seed, tables)


def _raked(q: np.ndarray, s: np.ndarray, design: Design, margins: np.ndarray) -> np.ndarray:
    tolerance = _TOLERANCE * max(1.0, np.sqrt(len(q) / _SURE_CELLS))
    sums = [sparse.csr_array(design.only([d]).matrix.T) for d in range(len(design.sizes))]
    off, sweeps = np.full(q.shape[1], np.inf), 0
    while sweeps < _SWEEPS and (off > tolerance).any():
        q, off = _sweep(q, design, sums, margins)
        sweeps += 1
    for b in np.flatnonzero(off > tolerance):
        one, goal = q[:, [b]], margins[:, [b]]
        for _ in range(_NEWTON_STEPS):
            _check_alive(one, s[:, [b]])
            stepped = _newton(one[:, 0], design, goal[:, 0])[:, None]
            one, off_one = _sweep(stepped, design, sums, goal)
            if off_one[0] <= tolerance:
                break
        else:
            raise _unraked()
        q[:, b] = one[:, 0]
    _check_alive(q, s)
    return q


def _sweep(
    q: np.ndarray, design: Design, sums: list[sparse.csr_array], margins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scale the tables to the margins of one dimension after the other; say how far off it was."""
    off = np.zeros(q.shape[1])
    for d, add in enumerate(sums):
        here, goal = add @ q, margins[design.block(d)]
        if (here[goal > 0] <= 0).any():
            raise _unraked()
        factor = np.divide(goal, here, out=np.ones_like(goal), where=here > 0)
        off = np.maximum(off, np.abs(factor - 1).max(axis=0))
        q = q * factor[design.codes[:, d]]
    return q, off


def _newton(q: np.ndarray, design: Design, goal: np.ndarray) -> np.ndarray:
    """One step down the dual, log sum_c q_c exp(X f)_c - f goal, halved until it is one."""
    X = design.matrix
    gap = goal - X.T @ q
    f = AdditiveFit(design, q, np.zeros(len(q))).solve(gap[None, :])[0]
    change, along = X @ f, float(f @ goal)
    for length in 0.5 ** np.arange(12):
        # Factors beyond e^700 are no step down and would overflow.
        moved = q * np.exp(np.minimum(length * change, 700.0))
        if np.log(moved.sum()) - length * along <= 1e-12:  # the last steps gain less than rounding
            return moved / moved.sum()
    return q


def _check_alive(q: np.ndarray, s: np.ndarray) -> None:
    if (q[s > 0] < _VANISHING * s[s > 0]).any():
        raise _unraked()


def _unraked() -> IdentificationError:
    return IdentificationError(
        "raking does not converge: too many combinations of levels are empty for any table to "
        "have the margins of one period and the empty cells of the other."
    )
