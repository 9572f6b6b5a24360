"""The mix effect per dimension beside `adjusted`: shapley, das_gupta, ordered, for comparison.

Each method walks the shares from baseline to current through tables in between and says which part
of every segment's shift a dimension made; the mix effect of a level is what these parts are worth:

    shift_d = sum_b coefficient_b,d q_b             q_b the tables, shape (S,) each
    mix_{d,l} = sum over c in l of (rbar_c - Rbar) shift_d,c  +  Rbar pbar_d(l) sum_c shift_d,c

The last term is 0 but for the published Das Gupta form, whose tables are no shares: what it makes
of the whole population is spread over the levels by volume, and its lines of dimensions are the
published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from attribution.decompose.das_gupta import standardized_products
from attribution.decompose.design import Design
from attribution.decompose.dimensions import adjusted
from attribution.decompose.kitagawa import METHODS, Weights
from attribution.decompose.kitagawa import mix as segment_mix
from attribution.decompose.ordered import chained
from attribution.decompose.shapley import raked_coalitions
from attribution.errors import IdentificationError, OptionError, check_option
from attribution.gradient import Gradient

__all__ = ["MIX", "MixByLevel", "compared", "divided"]

MIX = ("adjusted", "shapley", "das_gupta", "ordered")
_FEW_LINES = 64


class Tables(Protocol):
    """Tables of shares between baseline and current, and what each counts for in a shift."""

    @property
    def tables(self) -> np.ndarray: ...
    @property
    def coefficient(self) -> np.ndarray: ...
    def pull(self, weights: Callable[[int], sparse.csr_array]) -> Gradient: ...


@dataclass(frozen=True, eq=False)
class MixByLevel:
    """The mix effect divided among the levels.

    Attributes
    ----------
    levels : ndarray, shape (q,)
        mix_{d,l}.
    joint : float
        What is left of the mix effect.
    design : Design
    """

    levels: np.ndarray
    joint: float
    design: Design
    _tables: Tables
    _p: np.ndarray
    _r: np.ndarray

    @property
    def slopes(self) -> int:
        """What the gradient of one level holds, beside the slopes on its own cells."""
        return self.design.width

    def gradient(self, rows: Any) -> Gradient:
        """The gradient of ``rows @ levels`` over (p_0, p_1, r_0, r_1); rows of shape (K, q)."""
        p, r, X, of = self._p, self._r, self.design.matrix, self.design.of_dimension
        coefficient, tables = self._tables.coefficient, self._tables.tables
        rows = sparse.csr_array(rows)
        (K, _), S = rows.shape, p.shape[1]
        value, R = _values(p, r)
        shift = tables @ coefficient
        whole, pbar = shift.sum(axis=0), X.T @ p.mean(axis=0)
        by_volume = (rows.multiply(pbar) @ self.design.dimension_totals.T).toarray()

        def weights(b: int) -> sparse.csr_array:
            by_cell = (rows.multiply(coefficient[b, of]) @ X.T).multiply(value - R)
            everyone = sparse.csr_array(np.outer(coefficient[b], np.ones(S)))
            return sparse.csr_array(sparse.vstack([by_cell, everyone]))

        eye = sparse.eye_array(K)
        in_shares = self._tables.pull(weights).combine(
            sparse.csr_array(sparse.hstack([eye, sparse.csr_array(R * by_volume)]))
        )
        through_shares = in_shares.through(sparse.eye_array(2 * S, 4 * S, format="csr"))
        moved = sparse.csr_array((shift.ravel(), X.indices, X.indptr), shape=X.shape)
        in_value = sparse.csr_array(rows @ moved.T) / 2
        in_volume = sparse.csr_array((rows.multiply(R * whole[of])) @ X.T) / 2
        through_own = Gradient.of(
            eye.tocsr(), sparse.hstack([in_volume, in_volume, in_value, in_value])
        )
        in_R = by_volume @ whole - 2 * np.asarray(in_value.sum(axis=1)).ravel()
        of_R = np.concatenate([r[0], r[1], p[0], p[1]]) / 2
        through_R = Gradient.of(in_R[:, None], of_R[None, :])
        total = through_shares + through_own + through_R
        # Every table leaves factors of its own; for few lines their product is less to carry on.
        return total if K > _FEW_LINES else Gradient.of(eye.tocsr(), total.toarray())


def divided(
    mix: str,
    p: np.ndarray,
    r: np.ndarray,
    design: Design,
    weights: Weights,
    order: Sequence[int] = (),
) -> MixByLevel:
    """Divide the mix effect among the levels by one of the methods beside `adjusted`.

    Parameters
    ----------
    mix : {"shapley", "das_gupta", "ordered"}
    p, r : ndarray, shape (2, S)
        Shares and the rates in use.
    design : Design
        No two dimensions identical.
    weights : Weights
        Those of the midpoint method.
    order : sequence of int
        For "ordered": all dimensions, the first decided first.

    Returns
    -------
    MixByLevel

    Raises
    ------
    OptionError
        Another method than midpoint, an order that does not name every dimension once, or more
        than 9 (shapley) or 10 (das_gupta) dimensions.
    IdentificationError
        The combinations of levels that are empty leave raking no table (shapley).

    References
    ----------
    Das Gupta 1993, eq. 5.36; Deming & Stephan 1940; Shorrocks 2013.

    Examples
    --------
    Queue B grew. It is staffed by new hires, who are less accurate in either queue. The queue as
    such costs nothing; the published form gives it half, an order that names it first all.

    >>> codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # queue, tenure
    >>> p = np.array([[.45, .05, .1, .4], [.27, .03, .14, .56]])
    >>> r = np.array([[.95, .85, .95, .85]] * 2)
    >>> design = Design(codes, (2, 2))
    >>> for mix in ("shapley", "das_gupta", "ordered"):
    ...     found = divided(mix, p, r, design, METHODS["midpoint"], order=[0, 1])
    ...     print(mix, (100 * design.dimension_totals @ found.levels).round(2) + 0.0)
    shapley [ 0.  -1.4]
    das_gupta [-0.7 -0.7]
    ordered [-1.4  0. ]
    """
    check_option("mix", mix, MIX[1:])
    if weights != METHODS["midpoint"]:
        raise OptionError(
            f"mix: {mix!r} is defined with method='midpoint' only; the other methods go with "
            "mix='adjusted'."
        )
    if mix == "ordered":
        found: Tables = chained(p, design, order)
    elif mix == "das_gupta":
        found = standardized_products(p, design)
    else:
        try:
            found = raked_coalitions(p, design)
        except IdentificationError as error:
            raise IdentificationError(
                f"mix: 'shapley' has no answer in these data: {error} Use mix='adjusted', or "
                "leave out or merge (mapping=...) levels of the dimensions concerned."
            ) from None
    value, R = _values(p, r)
    shift, X, of = found.tables @ found.coefficient, design.matrix, design.of_dimension
    moved = sparse.csr_array((shift.ravel(), X.indices, X.indptr), shape=X.shape)
    levels = moved.T @ (value - R) + R * (X.T @ p.mean(axis=0)) * shift.sum(axis=0)[of]
    joint = float(segment_mix(p, r, weights).sum() - levels.sum())
    return MixByLevel(levels, joint, design, found, p, r)


def compared(
    p: np.ndarray, r: np.ndarray, design: Design, order: Sequence[int] = ()
) -> dict[str, np.ndarray | str]:
    """Return the midpoint mix lines by every method, or the reason why a method has none.

    Parameters
    ----------
    p, r : ndarray, shape (2, S)
    design : Design
    order : sequence of int
        Adds "ordered".

    Returns
    -------
    dict of str to ndarray, shape (D + 1,), or str
        The mix line of each dimension, then joint.
    """
    weights, found = METHODS["midpoint"], {}
    by_level = adjusted(p, r, design, weights).levels
    lines = design.dimension_totals @ by_level
    found["adjusted"] = np.append(lines, segment_mix(p, r, weights).sum() - lines.sum())
    for mix in MIX[1:] if order else MIX[1:-1]:
        try:
            one = divided(mix, p, r, design, weights, order)
            found[mix] = np.append(design.dimension_totals @ one.levels, one.joint)
        except (IdentificationError, OptionError) as error:
            found[mix] = str(error)
    return found


def _values(p: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, float]:
    """The rates that value shifts, and the KPI they are measured from."""
    return r.mean(axis=0), float((p * r).sum() / 2)
