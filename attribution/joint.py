"""The joint noise of many periods: what each unit adds to any sum of lines of several steps.

Neighboring steps share a period and all periods share moderators, so the variance of a sum of
steps is no sum of their variances. Here every step's lines are linearized over the same units,
and what is asked of them - a sum over steps, a weighted sum - is formed before it is squared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from attribution.cube import Cube
from attribution.decompose import Decomposed
from attribution.errors import OptionError
from attribution.evidence import THIN_ROWS
from attribution.gradient import Gradient
from attribution.infer import Support, Units, cluster_units, infer, row_units, std_errors
from attribution.infer.units import UnitSums
from attribution.metrics import Metric
from attribution.total import Total

__all__ = ["Joint", "units_over"]

# What each unit adds to some lines, an array (rows, K) for each kind of unit.
Rows = list[np.ndarray]


def units_over(cube: Cube, metric: Metric) -> Units:
    """Return the clusters, or rows, over the cells of all periods.

    Inference arranges sums by two periods, (D_0, D_1, N_0, N_1); the cells of all periods stand in
    the first of them, period after period.

    Parameters
    ----------
    cube : Cube
    metric : Metric

    Returns
    -------
    Units

    Raises
    ------
    OptionError
        More than two cluster columns.
    """
    clusters, S = cube.clusters, len(cube.codes)
    if clusters is None:
        roles = ("denominator", "numerator", "den_den", "num_den", "num_num", "count")
        sums = [cube.metric_sums(metric, role) for role in roles]
        return row_units(*(np.stack([x.ravel(), np.zeros(x.size)]) for x in sums))
    if len(clusters.names) > 2:
        raise OptionError(
            f"cluster: {len(clusters.names)} columns; one, or two for two-way clustering."
        )
    moments = metric.moments(cube.weighted)
    return cluster_units(
        clusters.codes,
        np.zeros_like(clusters.period),
        clusters.period.astype(np.int64) * S + clusters.segment,
        clusters.sums[moments["denominator"].key],
        clusters.sums[moments["numerator"].key],
        len(cube.periods) * S,
    )


@dataclass(frozen=True, eq=False)
class Joint:
    """The units over all P periods, as they are and leaving one out at a time.

    Attributes
    ----------
    plain, adjusted : Units
    D, N : ndarray, shape (P,)
        The KPI's denominators and numerators.
    segments : int
    """

    plain: Units
    adjusted: Units
    D: np.ndarray
    N: np.ndarray
    segments: int

    @classmethod
    def of(
        cls,
        cube: Cube,
        metric: Metric,
        single: Cube | None = None,
        pooled: np.ndarray | None = None,
    ) -> Joint:
        """Arrange the units of a cube.

        Parameters
        ----------
        cube : Cube
        metric : Metric
        single : Cube, optional
            The periods that those of `cube` pool, where they overlap: a row of several windows is
            one row.
        pooled : ndarray, shape (P, periods of single), optional
            Which they pool.
        """
        units = units_over(cube, metric)
        if single is not None and pooled is not None and not units.clustered:
            units = _blended(units, units_over(single, metric), pooled, len(cube.codes))
        n = cube.metric_sums(metric, "count").ravel()
        thin = np.stack([n < THIN_ROWS, np.zeros(len(n), dtype=bool)])
        D, N = (cube.metric_sums(metric, r).sum(axis=1) for r in ("denominator", "numerator"))
        adjusted = units.delete_one(np.ones(len(n), dtype=bool), thin)
        return cls(units, adjusted, D, N, len(cube.codes))

    @property
    def _cells(self) -> int:
        return len(self.D) * self.segments

    def totals(self) -> tuple[Rows, Rows]:
        """Return what each unit adds to the denominator and numerator of each period."""
        cells = self._cells
        summed = sparse.csr_array(np.kron(np.eye(len(self.D)), np.ones((self.segments, 1))))
        at = (slice(0, cells), slice(2 * cells, 3 * cells))
        D, N = (
            [np.asarray((kind.sums[:, here] @ summed).toarray()) for kind in self.plain.kinds]
            for here in at
        )
        return D, N

    def levels(self) -> Rows:
        """Return what each unit adds to the KPI of each period: (N_g - R D_g) / D."""
        D, N = self.totals()
        return [(n - self.N / self.D * d) / self.D for d, n in zip(D, N, strict=True)]

    def change(self, pair: tuple[int, int], conf_level: float) -> Total:
        """Return the change of the KPI between two periods."""
        i, j = pair
        R = self.N / self.D
        rows = [x[:, [j]] - x[:, [i]] for x in self.levels()]
        support = self.support(np.isin(np.arange(len(R)), pair)[None, :])
        size = float(np.abs(R).max())
        found = infer(np.array([R[j] - R[i]]), self.std_errors(rows), support, conf_level, size)
        names = ("std_error", "conf_low", "conf_high", "p_value")
        known = {name: float(getattr(found, name)[0]) for name in names}
        return Total(float(R[i]), float(R[j]), float(R[j] - R[i]), **known)

    def lines(self, parts: Decomposed, pair: tuple[int, int], there: np.ndarray) -> Rows:
        """Return what each unit adds to the lines of one step.

        Parameters
        ----------
        parts : Decomposition
        pair : (int, int)
            The periods of its baseline and current.
        there : ndarray of bool, shape (S,)
            The segments that the decomposition is over.
        """
        cells, segment = self._cells, np.flatnonzero(there)
        here = np.concatenate([t * self.segments + segment for t in pair])
        saturated = parts.form == "saturated"
        stayed = np.tile(parts.turnover.stayed, 2).astype(float) * saturated
        found = []
        for plain, adjusted in zip(self.plain.kinds, self.adjusted.kinds, strict=True):
            # Leaving one out changes residuals, and so numerators, only.
            in_D, in_N = plain.sums[:, here], plain.sums[:, 2 * cells + here]
            if saturated:
                other = adjusted.sums[:, 2 * cells + here]
                in_N = in_N @ sparse.diags_array(1 - stayed) + other @ sparse.diags_array(stayed)
            sums = sparse.csr_array(sparse.hstack([in_D, in_N], format="csr"))
            rows = parts.scores.dot(sums)
            found.append(rows - rows.mean(axis=0) if plain.clustered else rows)
        return found

    def std_errors(self, rows: Rows) -> np.ndarray:
        """Return the standard errors of lines from what each unit adds to them."""
        return std_errors(Gradient.zero(rows[0].shape[1], 1), self.plain, rows)

    def covariance(self, rows: Rows) -> np.ndarray:
        """Return the joint covariance of lines from what each unit adds to them, (K, K)."""
        kinds = zip(self.plain.kinds, rows, strict=True)
        found = [kind.count / (kind.count - 1) * x.T @ x for kind, x in kinds]
        if self.plain.overlap is None:
            return found[0]
        values, vectors = np.linalg.eigh(sum(found[:-1], -found[-1]))
        return (vectors * np.maximum(values, 0.0)) @ vectors.T

    def support(self, periods: np.ndarray) -> Support:
        """Count the units of the periods that each line rests on, given as a mask (K, P)."""
        each = np.stack([self._units_in(np.eye(len(self.D))[t]) for t in range(len(self.D))])
        per_period = np.where(periods, each, np.inf).min(axis=1)
        either = np.array([self._units_in(mask) for mask in periods.astype(float)])
        return Support(np.column_stack([per_period, per_period]), either)

    def _units_in(self, periods: np.ndarray) -> float:
        cells = np.repeat(periods, self.segments)[None, :]
        members = sparse.hstack([sparse.csr_array(cells), sparse.csr_array(cells.shape)])
        return float(self.plain.support(sparse.csr_array(members)).either[0])

    def step_units(self, pair: tuple[int, int], there: np.ndarray) -> Units:
        """Return the units of two periods alone, for overlapping windows of independent rows.

        Parameters
        ----------
        pair : (int, int)
        there : ndarray of bool, shape (S,)
        """
        (way,) = self.plain.ways
        cells, segment = self._cells, np.flatnonzero(there)
        here = np.concatenate([t * self.segments + segment for t in pair])
        here = np.concatenate([here, 2 * cells + here])
        sums = sparse.csr_array(way.sums[:, here])
        in_cell = way.in_cell[0].reshape(len(self.D), -1)[list(pair)][:, segment]
        count = round(float(in_cell.sum()))
        return Units(
            (replace(way, sums=sums, totals=way.totals[here], count=count, in_cell=in_cell),)
        )


def _blended(windows: Units, single: Units, pooled: np.ndarray, segments: int) -> Units:
    """The rows of the single periods, in the cells of every window that pools them."""
    (way,) = single.ways
    (over,) = windows.ways
    move = sparse.csr_array(sparse.kron(sparse.csr_array(pooled.T), sparse.eye_array(segments)))
    none = sparse.csr_array(move.shape)
    blocks = [[move if i == j else none for j in range(4)] for i in range(4)]
    sums = sparse.csr_array(way.sums @ sparse.block_array(blocks, format="csr"))
    return Units((UnitSums(sums, over.totals, way.count, clustered=False, in_cell=over.in_cell),))
