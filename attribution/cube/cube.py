"""Cube: named sums by period and segment (and cluster); what a scan leaves behind.

A cube answers every later question - other methods, parts, roll-ups, merged levels - without
reading the data again. It holds sums over observed segments only, several metrics and any number
of periods, and it holds no cluster labels: a saved cube cannot leak who did the work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cube import reshape
from attribution.cube.clusters import ClusterSums
from attribution.errors import (
    ColumnNotFoundError,
    OptionError,
    PeriodError,
    listing,
    nearest,
)
from attribution.kpis import as_metric
from attribution.labels import label_of
from attribution.metrics import Metric, quantiles_of
from attribution.moments import Contract
from attribution.sketch import Sketch

if TYPE_CHECKING:
    from attribution.hierarchy import Dimension
    from attribution.result import Attribution
    from attribution.trends import Trend

__all__ = ["VOLUME", "Cube"]

# The sum that holds full counts; "#" is in no expression.
VOLUME = "#volume"


@dataclass(frozen=True, eq=False)
class Cube:
    """Named sums x periods x segments (x clusters).

    Attributes
    ----------
    metrics : tuple of Metric
        The KPIs whose sums it holds; the first is the default.
    dimensions : tuple of str
        The D dimensions.
    levels : tuple of tuple of str
        The labels of each dimension.
    periods : tuple of str
        The labels of the P periods.
    codes : ndarray of int32, shape (S, D)
        The level of each segment in each dimension.
    sums : dict of str to ndarray, shape (P, S)
        The named sums, 0 where nothing was observed.
    clusters : ClusterSums or None
        The same sums by cluster; None where rows are independent.
    weighted : bool
        Whether numerators and denominators are weighted sums.
    sketches : dict of str to Sketch
        The distribution per cell of each value whose quantiles are asked for.
    provenance : dict
        Where the rows came from and how many there were.
    findings : tuple of dict
        What the scan noticed: `code, severity, message, facts`.
    hierarchy : dict of str to str
        Dimension -> the dimension that each of its levels lies within, as declared; see
        `attribution.Dimension`.

    Examples
    --------
    >>> import pandas as pd
    >>> reviews = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["a", "b", "a", "b"],
    ...                         "correct": [9, 7, 8, 7], "reviewed": [10, 10, 10, 10]})
    >>> cube = Cube.from_data(reviews, "correct / reviewed", by=["queue"], period="month")
    >>> cube
    <Cube 2 periods x 2 segments of queue, 4 rows, metrics: correct / reviewed>
    >>> cube.sums["correct"]
    array([[9., 7.],
           [8., 7.]])
    """

    metrics: tuple[Metric, ...]
    dimensions: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    periods: tuple[str, ...]
    codes: np.ndarray
    sums: dict[str, np.ndarray]
    clusters: ClusterSums | None = None
    weighted: bool = False
    sketches: dict[str, Sketch] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    findings: tuple[dict[str, Any], ...] = ()
    hierarchy: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_data(
        cls,
        data: object,
        metric: Metric | str | Sequence[Metric | str],
        by: str | Dimension | Sequence[str | Dimension],
        *,
        period: str | None,
        periods: Sequence[object] | None = None,
        cluster: str | Sequence[str] | None = None,
        weight: str | None = None,
        where: str | None = None,
        volume: object = None,
        mapping: Mapping[str, Mapping[object, object]] | None = None,
        on_invalid: str = "raise",
        timeout: float | None = None,
    ) -> Cube:
        """Scan a table once into a cube.

        Parameters
        ----------
        data : table
            See `attribution.explain`.
        metric : Metric, str, or a sequence of them
            The KPIs to keep the sums of.
        by : str, Dimension, or a sequence of them
            The dimensions.
        period : str or None
            The period column, or a granularity of a date: see `attribution.explain`. None: all
            rows are one period, "all rows".
        periods : sequence, optional
            Its values to keep; all by default.
        cluster : str or sequence of str, optional
            The columns of units that are independent of each other.
        weight : str, optional
            A column or expression of row weights.
        where : str, optional
            A condition on rows.
        volume : table or (table, str), optional
            Full counts by period and dimensions; see `attribution.explain`.
        mapping : dict, optional
            ``{dimension: {old level: new level}}``.
        on_invalid : {"raise", "drop"}
            What to do with rows that break the data contract.
        timeout : float, optional
            Seconds after which a statement of the scan is stopped on the engine that runs it
            (`errors.StatementTimeoutError`). Not for a DuckDB relation, whose connection is yours.

        Returns
        -------
        Cube

        Raises
        ------
        AttributionError
            One of its kinds, as `attribution.explain` lists them.
        """
        from attribution.cube.scan import scan_table

        return scan_table(
            data,
            metric,
            by,
            period=period,
            periods=periods,
            cluster=cluster,
            weight=weight,
            where=where,
            volume=volume,
            mapping=mapping,
            on_invalid=on_invalid,
            timeout=timeout,
        )

    # -- reading -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        by = " x ".join(self.dimensions) or "nothing"
        clusters = ""
        if self.clusters is not None:
            counted = [
                f"{len(np.unique(codes)):,} {name}"
                for name, codes in zip(self.clusters.names, self.clusters.codes, strict=True)
            ]
            clusters = f" x {' x '.join(counted)}"
        return (
            f"<Cube {len(self.periods)} periods x {len(self.codes):,} segments of {by}{clusters}, "
            f"{self.provenance.get('rows', 0):,} rows, "
            f"metrics: {', '.join(m.label for m in self.metrics)}>"
        )

    @property
    def volume(self) -> np.ndarray | None:
        """Full counts of the segments, shape (P, S), where they are known apart from the rows."""
        return self.sums.get(VOLUME)

    @property
    def origin(self) -> dict[str, Any]:
        """The provenance that results carry on: all but the wording of the scan."""
        left_out = ("values", "period", "sql")
        return {k: v for k, v in self.provenance.items() if k not in left_out}

    def segment_name(self, c: int) -> str:
        """Return the labels of a segment, joined by a cross.

        Parameters
        ----------
        c : int

        Returns
        -------
        str
        """
        names = [levels[self.codes[c, d]] for d, levels in enumerate(self.levels)]
        return " × ".join(names) or "all rows"

    def metric_sums(self, metric: Metric, role: str) -> np.ndarray:
        """Return one sum of a metric, shape (P, S).

        Parameters
        ----------
        metric : Metric
        role : str
            As in `Ratio.moments`: "numerator", "denominator", "count" ...

        Returns
        -------
        ndarray

        Raises
        ------
        OptionError
            A quantile, outside of an attribution.
        """
        moment = metric.moments(self.weighted)[role]
        if moment.derived and moment.key not in self.sums:
            raise OptionError(
                f"metric: {metric.label!r} is a quantile and no ratio of sums. It can be explained "
                "between two periods (explain, Cube.explain)."
            )
        return self.sums[moment.key]

    def metric_named(self, metric: Metric | str | None) -> Metric:
        """Return the metric of this cube that is meant.

        Parameters
        ----------
        metric : Metric, str or None
            A metric, its name or text; None is the first.

        Returns
        -------
        Metric
        """
        if metric is None:
            return self.metrics[0]
        for held in self.metrics:
            if metric in (held, held.label):
                return held
        wanted = as_metric(metric)
        known = all(value in self.sketches for value in quantiles_of([wanted]))
        if (
            known
            and self._checked(wanted)
            and all(m.key in self.sums for m in self._needed(wanted))
        ):
            return wanted
        raise OptionError(
            f"metric: the cube holds no sums for {wanted.label!r}. "
            f"Metrics: {listing([m.label for m in self.metrics])}."
        )

    def _checked(self, metric: Metric) -> bool:
        """Whether the scan checked the rows against the contract of a metric (signs, trials)."""
        held = [m.checked for m in self.metrics]
        checked = Contract(
            tuple(x for one in held for x in one.not_negative),
            tuple(x for one in held for x in one.trials),
        )
        return checked.covers(metric.checked)

    def _needed(self, metric: Metric) -> list[Any]:
        moments = metric.moments(self.weighted)
        return [
            m
            for role, m in moments.items()
            if (self.clusters is None or "_" not in role) and not m.derived
        ]

    def digest(self) -> str:
        """Return the SHA-256 of the cube's sums and labels.

        Whole numbers count in full, others to 8 significant digits: the last ones depend on the
        order in which threads add, and a digest must not.
        """
        sha = hashlib.sha256()
        labels = [self.dimensions, self.levels, self.periods, sorted(self.sums)]
        sha.update(json.dumps(labels, ensure_ascii=False).encode())
        sha.update(np.ascontiguousarray(self.codes, dtype="<i4").tobytes())
        for name in sorted(self.sums):
            values = self.sums[name].ravel()
            digits = 17 if (values == np.rint(values)).all() else 8
            sha.update(" ".join(f"{x:.{digits}g}" for x in values + 0.0).encode())
        for value in sorted(self.sketches):
            sha.update(value.encode())
            sha.update(self.sketches[value].digest())
        return sha.hexdigest()

    def dimension_index(self, dimension: str, parameter: str = "dimension") -> int:
        """Return the position of a dimension, or say which one was meant.

        Parameters
        ----------
        dimension : str
        parameter : str
            Named in the error.

        Returns
        -------
        int
        """
        if dimension not in self.dimensions:
            raise ColumnNotFoundError(
                f"{parameter}: no dimension {dimension!r}.{nearest(dimension, self.dimensions)} "
                f"Dimensions: {listing(self.dimensions)}."
            )
        return self.dimensions.index(dimension)

    def ancestors(self, dimension: str) -> tuple[str, ...]:
        """Return the dimensions that one is declared to lie within, the nearest first.

        Parameters
        ----------
        dimension : str

        Returns
        -------
        tuple of str
        """
        above, d = [], self.dimensions[self.dimension_index(dimension)]
        while d in self.hierarchy:
            d = self.hierarchy[d]
            above.append(d)
        return tuple(above)

    def parent_levels(self, dimension: str) -> list[str | None]:
        """Return the level above each level, as declared; nothing for a dimension on top.

        Parameters
        ----------
        dimension : str

        Returns
        -------
        list of str or None
            None for a level that no segment has.
        """
        d = self.dimension_index(dimension)
        if dimension not in self.hierarchy:
            return []
        p, above = self.dimension_index(self.hierarchy[dimension]), np.full(len(self.levels[d]), -1)
        above[self.codes[:, d]] = self.codes[:, p]
        return [self.levels[p][code] if code >= 0 else None for code in above]

    @property
    def nested(self) -> tuple[tuple[int, int], ...]:
        """The declared hierarchy by position: (dimension, one that it lies within), all levels."""
        at = self.dimensions.index
        return tuple((at(d), at(a)) for d in self.dimensions for a in self.ancestors(d))

    def level_index(self, dimension: str, level: object, parameter: str = "") -> int:
        """Return the position of a level, or say which one was meant.

        Parameters
        ----------
        dimension : str
        level : object
        parameter : str
            Named in the error; the dimension by default.

        Returns
        -------
        int
        """
        levels = self.levels[self.dimension_index(dimension)]
        if label_of(level) not in levels:
            raise OptionError(
                f"{parameter or dimension}: no level {label_of(level)!r} of {dimension!r}."
                f"{nearest(label_of(level), levels)} "
                f"Levels: {listing(levels, most=30)}."
            )
        return levels.index(label_of(level))

    # -- reshaping ---------------------------------------------------------------------------

    def select(self, **levels: object) -> Cube:
        """Return the part of the cube at given levels.

        Parameters
        ----------
        **levels
            ``dimension=level`` or ``dimension=[levels]``. A dimension left with one level
            stays; `rollup` removes it.

        Returns
        -------
        Cube

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension or level.
        """
        return reshape.select(self, **levels)

    def keep_segments(self, keep: np.ndarray) -> Cube:
        """Return the cube with some of its segments.

        Parameters
        ----------
        keep : ndarray of bool, shape (S,)

        Returns
        -------
        Cube
        """
        return reshape.keep_segments(self, keep)

    def rollup(self, dimensions: Sequence[str]) -> Cube:
        """Return the cube summed to fewer dimensions.

        Parameters
        ----------
        dimensions : sequence of str
            The dimensions to keep, in this order.

        Returns
        -------
        Cube
        """
        return reshape.rollup(self, dimensions)

    def merge_levels(self, dimension: str, mapping: Mapping[object, object]) -> Cube:
        """Return the cube with levels of one dimension renamed or merged.

        Parameters
        ----------
        dimension : str
        mapping : dict
            Old level -> new level; several old levels with one new level are merged.

        Returns
        -------
        Cube

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension or old level.
        """
        return reshape.merge_levels(self, dimension, mapping)

    def pool(self, groups: Mapping[str, Sequence[str]]) -> Cube:
        """Return the cube with its periods summed into groups.

        Parameters
        ----------
        groups : dict
            New label -> labels of periods. A period of no group is left out.

        Returns
        -------
        Cube

        Raises
        ------
        PeriodError
            No such period, or one in two groups.
        """
        return reshape.pool(self, groups)

    def period_index(self, period: object, parameter: str = "period") -> int:
        """Return the position of a period, or say which one was meant.

        Parameters
        ----------
        period : object
            A label, or a value as it was asked for.
        parameter : str
            Named in the error.

        Returns
        -------
        int
        """
        cast = self.provenance.get("values", {})
        label = cast.get(label_of(period), label_of(period))
        if label not in self.periods:
            raise PeriodError(
                f"{parameter}: no period {label!r}.{nearest(label, self.periods)} "
                f"There: {listing(self.periods, most=30)}."
            )
        return self.periods.index(label)

    # -- keeping -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the cube to one file; see `attribution.storage`.

        Parameters
        ----------
        path : str or Path
        """
        from attribution.storage import save_cube

        save_cube(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Cube:
        """Read a cube that `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Cube

        Raises
        ------
        SourceError
            No such file, not a cube, or a cube of a later format.
        """
        from attribution.storage import load_cube

        return load_cube(path)

    # -- asking ------------------------------------------------------------------------------

    def explain(self, metric: Metric | str | None = None, **options: Any) -> Attribution:
        """Explain the change between two periods of the cube; see `attribution.explain`.

        Parameters
        ----------
        metric : Metric or str, optional
            One of the cube's; the first by default.
        **options
            `baseline`, `current` and the options of `attribution.explain` from `method` on.

        Returns
        -------
        Attribution
        """
        from attribution.analysis import explain_cube

        return explain_cube(self, metric, **options)

    def trend(self, metric: Metric | str | None = None, **options: Any) -> Trend:
        """Explain the KPI over all periods of the cube; see `attribution.trend`.

        Parameters
        ----------
        metric : Metric or str, optional
            One of the cube's; the first by default.
        **options
            `periods, path, lag, against, window, gaps` of `attribution.trend` and the options of
            `attribution.explain` from `method` on.

        Returns
        -------
        Trend
        """
        from attribution.periods import trend_cube

        return trend_cube(self, metric, **options)

    def compare_to_plan(
        self, plan: object, metric: Metric | str | None = None, **options: Any
    ) -> Attribution:
        """Compare a period of the cube with a plan; see `attribution.compare_to_plan`.

        Parameters
        ----------
        plan : table or float
        metric : Metric or str, optional
            One of the cube's; the first by default.
        **options
            `current, baseline, volume, share, target, undelivered, conf_level, adjust, material,
            rng` of `attribution.compare_to_plan`.

        Returns
        -------
        Attribution
        """
        from attribution.plans import compare_cube

        return compare_cube(self, plan, metric, **options)

    def between(self, baseline: object, current: object) -> Cube:
        """Return the cube of two periods, baseline first.

        Parameters
        ----------
        baseline, current : value or list of values
            Periods; a list pools them.

        Returns
        -------
        Cube

        Raises
        ------
        PeriodError
            A period is absent, or the two overlap.
        """
        return reshape.between(self, baseline, current)
