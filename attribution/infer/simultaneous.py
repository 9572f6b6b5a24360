"""P-values adjusted for the number of lines in one view (Holm 1979), the total apart."""

from __future__ import annotations

import numpy as np

__all__ = ["ADJUSTMENTS", "adjusted_p_values"]

ADJUSTMENTS = ("holm", None)


def adjusted_p_values(p_values: np.ndarray, adjust: str | None) -> np.ndarray:
    """Adjust the p-values of one family; lines without one stay out of it.

    Parameters
    ----------
    p_values : ndarray, shape (K,)
        NaN where a line has no variance.
    adjust : {"holm", None}
        Holm's step-down controls the family-wise error under any dependence.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> adjusted_p_values(np.array([0.01, np.nan, 0.04]), "holm")
    array([0.02,  nan, 0.04])
    """
    adjusted = p_values.copy()
    known = ~np.isnan(p_values)
    if adjust is None or not known.any():
        return adjusted
    from statsmodels.stats.multitest import multipletests

    adjusted[known] = multipletests(p_values[known], method=adjust)[1]
    return adjusted
