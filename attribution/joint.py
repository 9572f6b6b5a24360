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
from attribution.evidence import THIN_ROWS
from attribution.gradient import Gradient
from attribution.infer import Support, Units, infer, std_errors
from attribution.infer.unit_sums import UnitSums
from attribution.kinds import denominators_of, levels_of, units_of
from attribution.metrics import Metric, Quantile
from attribution.products import sum_roles
from attribution.quantile_windows import window_rows
from attribution.quantiles import has_density, linearized
from attribution.total import Total

__all__ = ["Joint", "units_over"]

# What each unit adds to some lines, an array (rows, K) for each kind of unit.
Rows = list[np.ndarray]


def units_over(cube: Cube, metric: Metric) -> Units:
    """Return the clusters, or rows, over the cells of all periods.

    Inference arranges each sum by two periods; the cells of all periods stand in the first of them,
    period after period.

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
    clusters, P, S = cube.clusters, len(cube.periods), len(cube.codes)
    if clusters is not None:
        cell = clusters.period.astype(np.int64) * S + clusters.segment
        clusters = replace(clusters, period=np.zeros_like(clusters.period), segment=cell)
    sums = {name: np.stack([x.ravel(), np.zeros(x.size)]) for name, x in cube.sums.items()}
    codes = np.tile(cube.codes, (P, 1))
    return units_of(replace(cube, codes=codes, sums=sums, clusters=clusters), metric)


@dataclass(frozen=True, eq=False)
class Joint:
    """The units over all P periods, as they are and leaving one out at a time.

    Attributes
    ----------
    plain, adjusted : Units
    R : ndarray, shape (P,)
        The KPI.
    slopes : ndarray, shape (M, P)
        Its slope in each of its sums.
    sums : ndarray, shape (M, P)
        Them: of a ratio the denominator, then the numerator.
    segments : int
    """

    plain: Units
    adjusted: Units
    R: np.ndarray
    slopes: np.ndarray
    sums: np.ndarray
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

        Notes
        -----
        Of a quantile the units are those of its linear form; the noise of the place and of the
        density, which cancels in its level and its change, is left out.
        """
        sure, windows = True, cube
        if isinstance(metric, Quantile):
            cube = linearized(cube, metric)
            sure = has_density(cube, metric)
            told = {k: v for k, v in cube.provenance.items() if k != "distribution"}
            cube = replace(cube, provenance=told)
        units = units_over(cube, metric)
        if single is not None and pooled is not None and not units.clustered:
            if isinstance(metric, Quantile):
                rows = window_rows(windows, single, metric, pooled)
                units = Units((replace(rows, in_cell=units.ways[0].in_cell),))
            else:
                units = _blended(units, units_over(single, metric), pooled, len(cube.codes))
        units = units if sure else units.unknown()
        n = cube.metric_sums(metric, "count").ravel()
        thin = np.stack([n < THIN_ROWS, np.zeros(len(n), dtype=bool)])
        sums = np.stack([cube.metric_sums(metric, r).sum(axis=1) for r in sum_roles(metric)])
        of = denominators_of(metric)
        adjusted = units.delete_one(np.ones(len(n), dtype=bool), thin, of)
        return cls(units, adjusted, *levels_of(cube, metric), sums, len(cube.codes))

    @property
    def _cells(self) -> int:
        return len(self.R) * self.segments

    def totals(self) -> list[Rows]:
        """Return what each unit adds to each sum of each period, an array (rows, P) of each."""
        P, cells = len(self.R), self._cells
        summed = sparse.csr_array(np.kron(np.eye(P), np.ones((self.segments, 1))))
        found = []
        for m in range(len(self.sums)):
            here = slice(2 * m * cells, (2 * m + 1) * cells)
            found.append(
                [np.asarray((kind.sums[:, here] @ summed).toarray()) for kind in self.plain.kinds]
            )
        return found

    def levels(self) -> Rows:
        """Return what each unit adds to the KPI of each period: sum over sums of slope x part."""
        found = []
        for kind, of_kind in zip(self.plain.kinds, zip(*self.totals(), strict=True), strict=True):
            rows = np.einsum("mp,mgp->gp", self.slopes, np.stack(of_kind))
            found.append(_centred(kind, rows, (self.slopes * self.sums).sum(axis=0)))
        return found

    def change(self, pair: tuple[int, int], conf_level: float) -> Total:
        """Return the change of the KPI between two periods."""
        i, j = pair
        R = self.R
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
        parts : Decomposed
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
            blocks, totals = [], []
            for m, base in enumerate(parts.denominators):
                own = plain.sums[:, 2 * m * cells + here]
                # Leaving one out changes residuals only, and so no denominator.
                if saturated and m != base:
                    other = adjusted.sums[:, 2 * m * cells + here]
                    own = own @ sparse.diags_array(1 - stayed)
                    own = own + other @ sparse.diags_array(stayed)
                blocks.append(own)
                totals.append(plain.totals[2 * m * cells + here])
            rows = parts.scores.dot(sparse.csr_array(sparse.hstack(blocks, format="csr")))
            found.append(_centred(plain, rows, parts.scores.times(np.concatenate(totals))))
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
        each = np.stack([self._units_in(np.eye(len(self.R))[t]) for t in range(len(self.R))])
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
        blocks = range(len(self.sums))
        here = np.concatenate([2 * m * cells + here for m in blocks])
        sums = sparse.csr_array(way.sums[:, here])
        in_cell = way.in_cell[0].reshape(len(self.R), -1)[list(pair)][:, segment]
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
    parts = over.sums.shape[1] // move.shape[1]
    blocks = [[move if i == j else none for j in range(parts)] for i in range(parts)]
    sums = sparse.csr_array(way.sums @ sparse.block_array(blocks, format="csr"))
    return Units((UnitSums(sums, over.totals, way.count, clustered=False, in_cell=over.in_cell),))


def _centred(kind: UnitSums, rows: np.ndarray, total: np.ndarray) -> np.ndarray:
    """What units add, less its mean, which is 0 for what does not change when all sums double."""
    if kind.clustered:
        return rows - rows.mean(axis=0)
    return rows if kind.ones is None else rows - np.outer(kind.ones, total / kind.count)
