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

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scand. J. Stat. 6.

    Examples
    --------
    >>> adjusted_p_values(np.array([0.01, np.nan, 0.04]), "holm")
    array([0.02,  nan, 0.04])
    """
    adjusted = p_values.copy()
    known = ~np.isnan(p_values)
    if adjust is None or not known.any():
        return adjusted
    p = p_values[known]
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    in_place = np.empty_like(p)
    in_place[order] = np.minimum(stepped, 1.0)
    adjusted[known] = in_place
    return adjusted
