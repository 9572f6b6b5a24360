"""Independent rows behind a quantile of overlapping windows: one row counts in several of them.

In window w a row of segment c counts for base_wc + a_w 1[above the threshold of w] (the linear form
of `quantiles`). The cells of single periods hold the sums of rows above every threshold, whose
Gram is known because thresholds are nested: above the higher of two is above both.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.infer import Units, UnitSums, row_sum_units
from attribution.metrics import Quantile, above
from attribution.quantiles import linear_forms

__all__ = ["window_rows"]


def window_rows(windows: Cube, single: Cube, metric: Quantile, pooled: np.ndarray) -> UnitSums:
    """Return the rows of single periods, in the sums of the linear form of every window.

    Parameters
    ----------
    windows : Cube
        W windows of the periods of `single`, over the same S segments, without clusters.
    single : Cube
    metric : Quantile
    pooled : ndarray, shape (W, P)
        Which of the P periods each window pools.

    Returns
    -------
    UnitSums
        Over (D, N) of the cells of all windows, as `attribution.joint.units_over` has them.
    """
    forms = linear_forms(windows, metric)
    rungs = sorted({form.rung for form in forms})
    (way,) = _rows_above(single, metric, rungs).ways
    (W, P), S = pooled.shape, len(single.codes)
    cells, blocks = P * S, 1 + len(rungs)
    kept = np.concatenate([2 * k * cells + np.arange(cells) for k in range(blocks)])
    rows = sparse.csr_array(way.sums[:, kept])
    eye, none = sparse.eye_array(S, format="csr"), sparse.csr_array((cells, W * S))
    weight = sparse.csr_array(sparse.kron(sparse.csr_array(pooled.T), eye))
    based = []
    for p in range(P):
        own = [sparse.diags_array(pooled[w, p] * form.base) for w, form in enumerate(forms)]
        based.append(sparse.hstack(own, format="csr"))
    exceeding = []
    for rung in rungs:
        a = np.array([form.slope * (form.rung == rung) for form in forms])
        exceeding.append(sparse.kron(sparse.csr_array((pooled * a[:, None]).T), eye))
    # The columns are (D of all windows, 0, N of all windows, 0).
    place = sparse.vstack(
        [
            sparse.hstack([weight, none, sparse.vstack(based, format="csr"), none]),
            *(sparse.hstack([none, none, block, none]) for block in exceeding),
        ],
        format="csr",
    )
    sums = sparse.csr_array(rows @ place)
    return UnitSums(sums, np.asarray(way.totals[kept] @ place), way.count, False, way.in_cell)


def _rows_above(single: Cube, metric: Quantile, rungs: list[float]) -> Units:
    """The rows of every period, with a 1 and whether they lie above each threshold."""
    power = int(single.weighted)
    D, W2 = (single.metric_sums(metric, role) for role in ("denominator", "den_den"))
    n = single.metric_sums(metric, "count")
    sums = [D, *(single.sums[above(metric.value, rung, power)] for rung in rungs)]
    squares = [W2, *(single.sums[above(metric.value, rung, 2 * power)] for rung in rungs)]
    gram = [[squares[max(i, j)] for j in range(len(sums))] for i in range(len(sums))]

    def first(x: np.ndarray) -> np.ndarray:
        """All periods in the first of the two that inference knows."""
        flat = x.reshape(*x.shape[:-2], 1, -1)
        return np.concatenate([flat, np.zeros_like(flat)], axis=-2)

    return row_sum_units(first(np.array(sums)), first(np.array(gram)), first(n))
