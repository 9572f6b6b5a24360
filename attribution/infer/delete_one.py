"""Residuals as leaving out one unit at a time gives them, for cells of few units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from attribution.infer.unit_sums import UnitSums

__all__ = ["delete_one"]


def delete_one(units: UnitSums, power: np.ndarray, of: Sequence[int]) -> UnitSums:
    """The power of the factor is 0 where a cell is left as it is, shape (2 S,)."""
    width = len(power)
    if not units.clustered and units.ones is None:
        D, N = units.totals[:width], units.totals[width:]
        r = np.divide(N, D, out=np.zeros(width), where=D != 0)
        return replace(units, sums=_delete_one_row(units, r, power))

    def changed(sums: sparse.csr_array) -> sparse.csr_array:
        blocks = [
            _delete_one_block(units, sums, power, j, base)
            if j != base
            else sums[:, j * width : (j + 1) * width]
            for j, base in enumerate(of)
        ]
        return sparse.csr_array(sparse.hstack(blocks, format="csr"))

    return units.mapped(changed)


def _delete_one_block(
    units: UnitSums, sums: sparse.csr_array, power: np.ndarray, j: int, base: int
) -> sparse.csr_array:
    width = len(power)
    in_D, in_N = (sums[:, i * width : (i + 1) * width].copy() for i in (base, j))
    D, N = (units.totals[i * width : (i + 1) * width] for i in (base, j))
    r = np.divide(N, D, out=np.zeros(width), where=D != 0)
    if not units.clustered:
        n = units.in_cell.ravel()
        factor = np.divide(n, n - 1, out=np.ones(width), where=n > 1) ** power
        own = in_N @ sparse.diags_array(factor)
        return sparse.csr_array(own + in_D @ sparse.diags_array(r * (1 - factor)))
    # D and N were placed together, so their blocks hold the same entries in the same order.
    c = in_D.indices
    left = D[c] - in_D.data
    alone = left <= 1e-9 * D[c]
    factor = np.divide(D[c], left, out=np.ones(len(c)), where=~alone) ** power[c]
    in_N.data = in_N.data + (in_N.data - r[c] * in_D.data) * (factor - 1)
    return in_N


def _delete_one_row(units: UnitSums, r: np.ndarray, power: np.ndarray) -> sparse.csr_array:
    """The same for rows, all rows of a cell taken as equally large: N + (k - 1)(N - r D)."""
    n, width = units.in_cell.ravel(), len(r)
    k = np.divide(n, n - 1, out=np.ones(width), where=n > 1) ** power
    in_D, in_N = units.sums[:, :width], units.sums[:, width:]
    in_N = in_N @ sparse.diags_array(k) - in_D @ sparse.diags_array((k - 1) * r)
    return sparse.csr_array(sparse.hstack([in_D, in_N], format="csr"))
