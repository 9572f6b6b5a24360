"""The rates a decomposition uses: saturated (as observed), additive or pairs (fitted), and `auto`.

With one row per cell, observed rates turn rate effects into mix (a cell empty in one period has no
rate to compare) and understate their own noise. The additive fit of each period keeps the KPI and
every one-dimension margin exactly and has a rate for every cell (METHODS.md 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.design import AdditiveFit, Design
from attribution.gradient import Gradient, diagonals

__all__ = ["Rates", "choose", "crossed", "explained", "fitted", "saturated"]

_BOTH_PERIODS = 0.98
_ROWS_PER_CELL = 10


@dataclass(frozen=True, eq=False)
class Rates:
    """Rates in use, and the chain rule from them to the sums.

    Attributes
    ----------
    form : str
        "saturated", "additive" or "pairs".
    r : ndarray, shape (2, S)
        The rates.
    design : Design
        The dummies that were fitted.
    D : ndarray, shape (2, S)
        The denominators the rates were observed on.
    weights : ndarray, shape (2, S)
        What a cell counts for in the fit: its denominator, or its full count.
    fits : tuple of AdditiveFit
        Those of the two periods, empty if saturated.
    source : ndarray of int, shape (2, S)
        The period whose observation or fit a rate comes from.
    observed : ndarray, shape (2, S)
        N / D, 0 where D is 0.
    """

    form: str
    r: np.ndarray
    design: Design
    D: np.ndarray
    weights: np.ndarray
    fits: tuple[AdditiveFit, ...]
    source: np.ndarray
    observed: np.ndarray

    @property
    def borrowed(self) -> np.ndarray:
        """Cells whose rate in a period comes from the other one, shape (2, S) of bool."""
        return self.source != np.array([[0], [1]])

    @property
    def slopes(self) -> int:
        """The factors that the gradients of many lines share."""
        return max((fit.shared for fit in self.fits), default=1)

    def pull(self, gradient: Gradient, exact: bool = True) -> Gradient:
        """Turn a gradient over (r_0, r_1) into one over (D_0, D_1, N_0, N_1).

        With h = d effect / d N, d effect / d D = - h r, r the observed rate; where a fit weighs
        cells by D itself, moving weights make it the fitted one.

        Parameters
        ----------
        gradient : Gradient
        exact : bool
            False takes the fitted rate where a fit weighs cells by full counts too. That is the
            gradient for noise: h (N_g - r D_g) is a unit's residual from the fit, while around the
            observed rate a unit alone in its cell would have none.
        """
        in_N = self._pull_saturated(gradient) if not self.fits else self._pull_fitted(gradient)
        around_fit = bool(self.fits) and (self.weights is self.D or not exact)
        of_own_period = np.where(self.D > 0, self.r if around_fit else self.observed, 0.0)
        return in_N.through(diagonals(-of_own_period.ravel(), np.ones(of_own_period.size)))

    def _pull_saturated(self, gradient: Gradient) -> Gradient:
        S = self.D.shape[1]
        cells = np.arange(S)
        observed = [self.source[t] * S + cells for t in (0, 1)]
        flat = np.concatenate(observed)
        jacobian = sparse.csr_array(
            (1 / self.D.ravel()[flat], (np.arange(2 * S), flat)), shape=(2 * S, 2 * S)
        )
        return gradient.through(jacobian)

    def _pull_fitted(self, gradient: Gradient) -> Gradient:
        # g . d fitted = sum_c h_c w_c d r_c, h = (sum of g + X u) / w_t, u the fit's solution for
        # X'g, and d r_c = (d N_c - r_c d D_c) / D_c.
        S, X = self.D.shape[1], self.design.matrix
        pulled = Gradient.zero(gradient.shape[0], 2 * S)
        for t, fit in enumerate(self.fits):
            # Every rate that this period's fit predicts, in either period.
            chosen = (self.source == t).astype(float).ravel()
            stacked = sparse.csr_array(
                sparse.vstack([X, X], format="csr").multiply(chosen[:, None])
            )
            per_N = np.divide(fit.p, self.D[t], out=np.zeros(S), where=self.D[t] > 0)
            placed = sparse.csr_array(
                (per_N, (np.arange(S), t * S + np.arange(S))), shape=(S, 2 * S)
            )
            on_dummies = fit.solved(gradient.through(stacked))
            pulled = pulled + on_dummies.through(sparse.csr_array(X.T @ placed))
            everywhere = sparse.csr_array(np.ones((1, S))) @ placed
            pulled = pulled + Gradient.of(gradient.times(chosen[:, None]), everywhere)
        return pulled


def saturated(D: np.ndarray, N: np.ndarray, design: Design) -> Rates:
    """Take rates as observed; a cell empty in one period takes the other period's.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
        Every segment is observed in at least one period.
    design : Design

    Returns
    -------
    Rates
    """
    source = np.where(D > 0, [[0], [1]], [[1], [0]])
    observed = _observed(D, N)
    r = np.take_along_axis(observed, source, axis=0)
    return Rates("saturated", r, design, D, D, (), source, observed)


def fitted(
    D: np.ndarray,
    N: np.ndarray,
    design: Design,
    pairs: Sequence[tuple[int, int]] = (),
    weights: np.ndarray | None = None,
) -> Rates:
    """Replace rates by each period's own fit on the dimensions, in all cells of S.

    A cell that the period's fit cannot predict takes the other period's fitted rate.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
    design : Design
    pairs : sequence of (int, int)
        Dimensions whose two-way terms are fitted too.
    weights : ndarray, shape (2, S), optional
        What a cell counts for; its denominator by default.

    Returns
    -------
    Rates
    """
    weights, observed = D if weights is None else weights, _observed(D, N)
    fitted_on = crossed(design, pairs) if pairs else design
    fits = tuple(
        AdditiveFit(fitted_on, np.where(D[t] > 0, weights[t], 0.0), observed[t]) for t in (0, 1)
    )
    predicts = np.stack([fit.predicts() for fit in fits])
    source = np.where(predicts, [[0], [1]], [[1], [0]])
    r = np.take_along_axis(np.stack([fit.fitted for fit in fits]), source, axis=0)
    form = "pairs" if pairs else "additive"
    return Rates(form, r, fitted_on, D, weights, fits, source, observed)


def crossed(design: Design, pairs: Sequence[tuple[int, int]]) -> Design:
    """Return the design whose dimensions are the named pairs, crossed, and those in no pair.

    Examples
    --------
    >>> crossed(Design(np.array([[0, 1, 0], [1, 1, 1]]), (2, 2, 2)), [(0, 1)]).codes
    array([[0, 0],
           [1, 1]])
    """
    columns, sizes = [], []
    for a, b in pairs:
        pair = design.codes[:, a].astype(np.int64) * design.sizes[b] + design.codes[:, b]
        found, code = np.unique(pair, return_inverse=True)
        columns.append(code.ravel())
        sizes.append(len(found))
    paired = {d for pair in pairs for d in pair}
    for d in [d for d in range(len(design.sizes)) if d not in paired]:
        columns.append(design.codes[:, d])
        sizes.append(design.sizes[d])
    return Design(np.stack(columns, axis=1), tuple(sizes))


def _observed(D: np.ndarray, N: np.ndarray) -> np.ndarray:
    return np.divide(N, D, out=np.zeros_like(N), where=D > 0)


def explained(D: np.ndarray, N: np.ndarray, rates: Rates) -> tuple[float, float]:
    """Return the part of the observed rates' variance between cells that `rates` reproduces.

    1 - sum_c D_c (r_c - fitted_c)^2 / sum_c D_c (r_c - R)^2, per period.
    """
    parts = []
    for t in (0, 1):
        seen = D[t] > 0
        d, r = D[t][seen], N[t][seen] / D[t][seen]
        spread = d @ (r - d @ r / d.sum()) ** 2
        parts.append(float(1 - d @ (r - rates.r[t][seen]) ** 2 / spread) if spread > 0 else 1.0)
    return parts[0], parts[1]


def choose(volume: np.ndarray, D: np.ndarray, n: np.ndarray, dimensions: int) -> tuple[str, str]:
    """Apply the `auto` rule: which form, and why.

    Saturated if the cells with rows in both periods hold at least 98 % of the volume in each
    period and have a median of at least 10 rows in each period; else additive. A table that holds
    every such cell as one row in each period is one of aggregates: how many rows its cells are
    says nothing of their noise, and they are taken as they are.

    Parameters
    ----------
    volume, D, n : ndarray, shape (2, S)
        Volumes, denominators and unweighted row counts within S.
    dimensions : int

    Returns
    -------
    form, reason : str
    """
    if unsampled := int((~(D > 0)).all(axis=0).sum()):
        return "additive", f"{unsampled:,} counted segments were never sampled"
    if dimensions <= 1:
        return "saturated", "one dimension: both forms are the same"
    both = (D > 0).all(axis=0)
    held = float(min(volume[t][both].sum() / volume[t].sum() for t in (0, 1)))
    rows = float(min(np.median(n[t][both]) for t in (0, 1))) if both.any() else 0.0
    if held >= _BOTH_PERIODS and (n[:, both] == 1).all():
        return "saturated", "the table is one of aggregates, one row for each segment and period"
    facts = (
        f"cells seen in both periods hold {100 * held:.1f} % of the volume with a median of "
        f"{rows:.0f} rows"
    )
    if held >= _BOTH_PERIODS and rows >= _ROWS_PER_CELL:
        return "saturated", facts
    return "additive", (
        f"{facts}; saturated rates need {100 * _BOTH_PERIODS:.0f} % and {_ROWS_PER_CELL}"
    )
