"""The rates a decomposition uses: saturated (as observed), additive (fitted), and the `auto` rule.

With one row per cell, observed rates turn rate effects into mix (a cell empty in one period has no
rate to compare) and understate their own noise. The additive fit of each period keeps the KPI and
every one-dimension margin exactly and has a rate for every cell (METHODS.md 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from attribution.decompose.design import AdditiveFit, Design
from attribution.gradient import Gradient

__all__ = ["Rates", "additive", "choose", "saturated"]

_BOTH_PERIODS = 0.98
_ROWS_PER_CELL = 10


@dataclass(frozen=True, eq=False)
class Rates:
    """Rates in use, and the chain rule from them to the sums.

    Attributes
    ----------
    form : str
        "saturated" or "additive".
    r : ndarray, shape (2, S)
        The rates.
    fits : tuple of AdditiveFit
        Those of the two periods, empty if saturated.
    source : ndarray of int, shape (2, S)
        The period whose observation or fit a rate comes from.
    """

    form: str
    r: np.ndarray
    design: Design
    D: np.ndarray
    fits: tuple[AdditiveFit, ...]
    source: np.ndarray

    @property
    def borrowed(self) -> np.ndarray:
        """Cells whose rate in a period comes from the other one, shape (2, S) of bool."""
        return self.source != np.array([[0], [1]])

    def pull(self, gradient: Gradient) -> Gradient:
        """Turn a gradient over (r_0, r_1) into one over (D_0, D_1, N_0, N_1).

        With h = d effect / d N, d effect / d D = - h r for either form.
        """
        in_N = self._pull_saturated(gradient) if not self.fits else self._pull_additive(gradient)
        of_own_period = self._own_rates()
        to_sums = sparse.hstack(
            [sparse.diags_array(-of_own_period), sparse.eye_array(len(of_own_period))],
            format="csr",
        )
        return in_N.through(to_sums)

    def _own_rates(self) -> np.ndarray:
        """The rate in use for each observed cell of each period, flat; 0 where D = 0."""
        own = np.where(self.D > 0, self.r, 0.0)
        return own.ravel()

    def _pull_saturated(self, gradient: Gradient) -> Gradient:
        S = self.D.shape[1]
        cells = np.arange(S)
        observed = [self.source[t] * S + cells for t in (0, 1)]
        flat = np.concatenate(observed)
        jacobian = sparse.csr_array(
            (1 / self.D.ravel()[flat], (np.arange(2 * S), flat)), shape=(2 * S, 2 * S)
        )
        return gradient.through(jacobian)

    def _pull_additive(self, gradient: Gradient) -> Gradient:
        # g . d fitted = sum_c h_c d N_c, h = (sum of g + X u) / D_t, u the fit's solution for X'g
        S, X = self.D.shape[1], self.design.matrix
        terms = []
        for t, fit in enumerate(self.fits):
            # Every rate that this period's fit predicts, in either period.
            chosen = (self.source == t).astype(float).ravel()
            stacked = sparse.vstack([X, X], format="csr").multiply(chosen[:, None])
            on_dummies = gradient.through(sparse.csr_array(stacked)).toarray()
            on_mean = gradient.through(sparse.csr_array(chosen[:, None])).toarray()
            observed = fit.observed / self.D[t].sum()
            basis = sparse.vstack([X.multiply(observed[:, None]).T, observed[None, :]])
            empty = sparse.csr_array(basis.shape)
            placed = sparse.hstack([empty] * t + [basis] + [empty] * (1 - t), format="csr")
            terms.append((np.hstack([fit.solve(on_dummies), on_mean]), placed))
        return Gradient(tuple(terms), (gradient.shape[0], 2 * S))


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
    flat = np.take_along_axis(N, source, axis=0) / np.take_along_axis(D, source, axis=0)
    return Rates("saturated", flat, design, D, (), source)


def additive(D: np.ndarray, N: np.ndarray, design: Design) -> Rates:
    """Replace rates by each period's own additive fit, in all cells of S.

    A cell that the period's fit cannot predict takes the other period's fitted rate.

    Parameters
    ----------
    D, N : ndarray, shape (2, S)
    design : Design

    Returns
    -------
    Rates
    """
    observed = np.divide(N, D, out=np.zeros_like(N), where=D > 0)
    fits = tuple(AdditiveFit(design, D[t], observed[t]) for t in (0, 1))
    predicts = np.stack([fit.predicts() for fit in fits])
    source = np.where(predicts, [[0], [1]], [[1], [0]])
    fitted = np.stack([fit.fitted for fit in fits])
    return Rates("additive", np.take_along_axis(fitted, source, axis=0), design, D, fits, source)


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


def choose(D: np.ndarray, n: np.ndarray, dimensions: int) -> tuple[str, str]:
    """Apply the `auto` rule: which form, and why.

    Saturated if the cells with rows in both periods hold at least 98 % of the denominator in
    each period and have a median of at least 10 rows in each period; else additive.

    Parameters
    ----------
    D, n : ndarray, shape (2, S)
        Denominators and unweighted row counts within S.
    dimensions : int

    Returns
    -------
    form, reason : str
    """
    if dimensions <= 1:
        return "saturated", "one dimension: both forms are the same"
    both = (D > 0).all(axis=0)
    held = float(min(D[t][both].sum() / D[t].sum() for t in (0, 1)))
    rows = float(min(np.median(n[t][both]) for t in (0, 1))) if both.any() else 0.0
    facts = (
        f"cells seen in both periods hold {100 * held:.1f} % of the volume with a median of "
        f"{rows:.0f} rows"
    )
    if held >= _BOTH_PERIODS and rows >= _ROWS_PER_CELL:
        return "saturated", facts
    return "additive", (
        f"{facts}; saturated rates need {100 * _BOTH_PERIODS:.0f} % and {_ROWS_PER_CELL}"
    )
