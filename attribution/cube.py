"""Cube: named sums by period and segment (and cluster); what a scan leaves behind.

A cube answers every later question - other methods, parts, roll-ups, merged levels - without
reading the data again. It holds sums over observed segments only, several metrics and any number
of periods, and it holds no cluster labels: a saved cube cannot leak who did the work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import (
    AttributionError,
    ColumnNotFoundError,
    ColumnTypeError,
    OptionError,
    PeriodError,
    check_option,
    listing,
    nearest,
)
from attribution.kpis import as_metric
from attribution.labels import label_of, natural_key
from attribution.metrics import Metric, quantiles_of
from attribution.moments import Contract
from attribution.sketch import Sketch
from attribution.source import Grouped, Request, group

if TYPE_CHECKING:
    from attribution.hierarchy import Dimension
    from attribution.result import Attribution
    from attribution.trends import Trend

__all__ = ["VOLUME", "ClusterSums", "Cube", "several"]

# The sum that holds full counts; "#" is in no expression.
VOLUME = "#volume"


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """The sums of a cube split by cluster: one entry per period, segment and cluster observed.

    Attributes
    ----------
    names : tuple of str
        The cluster columns.
    codes : ndarray of int32, shape (k, m)
        The code of each cluster column, per entry.
    period, segment : ndarray of int32, shape (m,)
        Where the entry belongs.
    sums : dict of str to ndarray, shape (m,)
        The named sums.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    period: np.ndarray
    segment: np.ndarray
    sums: dict[str, np.ndarray]

    def take(self, keep: np.ndarray) -> ClusterSums:
        """Return the entries that `keep` (a mask) selects."""
        return replace(
            self,
            codes=self.codes[:, keep],
            period=self.period[keep],
            segment=self.segment[keep],
            sums={k: v[keep] for k, v in self.sums.items()},
        )


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

        Returns
        -------
        Cube

        Raises
        ------
        AttributionError
            One of its kinds, as `attribution.explain` lists them.
        """
        metrics = tuple(as_metric(m) for m in several(metric))
        if not metrics:
            raise OptionError("metric: an empty list. Name at least one metric.")
        check_option("on_invalid", on_invalid, ["raise", "drop"])
        if where is not None and not isinstance(where, str):
            raise ColumnTypeError(
                f"where: {where!r} is not text. Write a condition, as in \"design == 'random'\"."
            )
        from attribution.hierarchy import declared, with_hierarchy
        from attribution.volumes import check_volume, with_volume

        _check_mapping(mapping)
        asked = declared(_ordered("by", by))
        if volume is not None and quantiles_of(metrics):
            raise OptionError(
                "volume: full counts cannot be combined with a quantile yet; weigh the rows "
                "(weight=...) by count over sample instead."
            )
        request = Request(
            metrics=metrics,
            dimensions=asked.columns,
            period=period,
            period_values=None if periods is None else tuple(several(periods)),
            clusters=_names("cluster", cluster),
            weight=weight,
            where=where,
            on_invalid=on_invalid,
        )
        cube = _from_grouped(group(data, request), request)
        if volume is not None:
            cube = with_volume(cube, volume, request.period_values)
        # What is looked up from a dimension is looked up from its merged levels.
        late = {d: merges for d, merges in (mapping or {}).items() if d in asked.lookups}
        for dimension, merges in (mapping or {}).items():
            if dimension not in late:
                cube = cube.merge_levels(dimension, merges)
        cube = with_hierarchy(cube, asked)
        for dimension, merges in late.items():
            cube = cube.merge_levels(dimension, merges)
        if volume is not None:
            check_volume(cube)
        return cube

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

    def _needed(self, metric: Metric) -> list:
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
        keep = np.ones(len(self.codes), dtype=bool)
        for dimension, chosen in levels.items():
            d = self.dimension_index(dimension)
            several = chosen if isinstance(chosen, list | tuple | set) else [chosen]
            wanted = [self.level_index(dimension, level) for level in several]
            keep &= np.isin(self.codes[:, d], wanted)
        if not keep.any():
            chosen_text = ", ".join(f"{d}={v!r}" for d, v in levels.items())
            raise OptionError(f"select: no segment has {chosen_text} together.")
        chosen_levels = {
            d: [label_of(x) for x in v] if isinstance(v, list | tuple | set) else label_of(v)
            for d, v in levels.items()
        }
        part = {**self.provenance.get("part", {}), **chosen_levels}
        kept = self.keep_segments(keep)._without_empty_levels()
        return replace(kept, provenance={**self.provenance, "part": part})

    def keep_segments(self, keep: np.ndarray) -> Cube:
        """Return the cube with some of its segments.

        Parameters
        ----------
        keep : ndarray of bool, shape (S,)

        Returns
        -------
        Cube
        """
        if keep.all():
            return self
        clusters, cells = self.clusters, np.tile(keep, len(self.periods))
        if clusters is not None:
            renumbered = np.cumsum(keep, dtype=np.int32) - 1
            clusters = clusters.take(keep[clusters.segment])
            clusters = replace(clusters, segment=renumbered[clusters.segment])
        return replace(
            self,
            codes=self.codes[keep],
            sums={k: v[:, keep] for k, v in self.sums.items()},
            clusters=clusters,
            sketches={k: x.take(cells) for k, x in self.sketches.items()},
        )

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
        kept = [self.dimension_index(d) for d in dimensions]
        rolled = self._regrouped(
            tuple(dimensions), tuple(self.levels[d] for d in kept), self.codes[:, kept]
        )
        above = {d: [a for a in self.ancestors(d) if a in dimensions] for d in dimensions}
        return replace(rolled, hierarchy={d: found[0] for d, found in above.items() if found})

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
        d = self.dimension_index(dimension, "mapping")
        renamed = {
            self.levels[d][self.level_index(dimension, old, "mapping")]: label_of(new)
            for old, new in mapping.items()
        }
        new_of = [renamed.get(level, level) for level in self.levels[d]]
        labels = sorted(set(new_of), key=natural_key)
        position = {label: i for i, label in enumerate(labels)}
        rank = np.array([position[x] for x in new_of], dtype=np.int32)
        codes = self.codes.copy()
        codes[:, d] = rank[codes[:, d]]
        levels = (*self.levels[:d], tuple(labels), *self.levels[d + 1 :])
        merged = self._regrouped(self.dimensions, levels, codes)
        from attribution.hierarchy import check_hierarchy

        check_hierarchy(merged)
        used = {**self.provenance.get("mapping", {})}
        used[dimension] = {**used.get(dimension, {}), **renamed}
        return replace(merged, provenance={**merged.provenance, "mapping": used})

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
        target = np.full(len(self.periods), -1)
        for g, members in enumerate(groups.values()):
            for member in members:
                t = self.period_index(member)
                if target[t] >= 0:
                    raise PeriodError(f"periods: {member!r} is in two groups.")
                target[t] = g
        sums = {
            k: np.stack([v[target == g].sum(axis=0) for g in range(len(groups))])
            for k, v in self.sums.items()
        }
        clusters = self.clusters
        if clusters is not None:
            keep = target[clusters.period] >= 0
            clusters = clusters if keep.all() else clusters.take(keep)
            clusters = replace(clusters, period=target[clusters.period].astype(np.int32))
            if any(len(members) > 1 for members in groups.values()):
                clusters = _summed(clusters)
        S = len(self.codes)
        cell = np.where(target[:, None] >= 0, target[:, None] * S + np.arange(S), -1).ravel()
        sketches = {k: x.added(cell, len(groups) * S) for k, x in self.sketches.items()}
        pooled = replace(
            self, periods=tuple(groups), sums=sums, clusters=clusters, sketches=sketches
        )
        _check_conserved(self, pooled, target)
        return pooled

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

    def _without_empty_levels(self) -> Cube:
        codes, levels = self.codes.copy(), []
        for d, labels in enumerate(self.levels):
            used, codes[:, d] = np.unique(self.codes[:, d], return_inverse=True)
            levels.append(tuple(labels[u] for u in used))
        return replace(self, codes=codes, levels=tuple(levels))

    def _regrouped(
        self, dimensions: tuple[str, ...], levels: tuple[tuple[str, ...], ...], codes: np.ndarray
    ) -> Cube:
        """Sum segments that have become the same."""
        unique, target = np.unique(codes, axis=0, return_inverse=True)
        target = target.reshape(-1)
        sums = {}
        for name, values in self.sums.items():
            sums[name] = np.stack([np.bincount(target, row, len(unique)) for row in values])
        clusters = self.clusters
        if clusters is not None:
            clusters = replace(clusters, segment=target[clusters.segment].astype(np.int32))
            clusters = _summed(clusters)
        P = len(self.periods)
        cell = (np.arange(P)[:, None] * len(unique) + target).ravel()
        regrouped = replace(
            self,
            dimensions=dimensions,
            levels=levels,
            codes=unique,
            sums=sums,
            clusters=clusters,
            sketches={k: x.added(cell, P * len(unique)) for k, x in self.sketches.items()},
        )
        _check_conserved(self, regrouped, np.arange(len(self.periods)))
        return regrouped

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
        sides = []
        for parameter, given in (("baseline", baseline), ("current", current)):
            found = [self.period_index(v, parameter) for v in several(given)]
            if not found:
                raise PeriodError(f"{parameter}: an empty list of periods.")
            sides.append([self.periods[t] for t in dict.fromkeys(found)])
        if shared := [x for x in sides[0] if x in sides[1]]:
            raise PeriodError(
                f"baseline and current overlap: {listing(shared)}. A period belongs to one side."
            )
        names = [" + ".join(labels) for labels in sides]
        return self.pool(dict(zip(names, sides, strict=True)))


def several(given: object) -> list[Any]:
    """Return one value, or any collection of values, as a list."""
    single = isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable)
    return [given] if single else list(given)  # pyright: ignore[reportArgumentType]


def _ordered(parameter: str, given: object) -> list:
    if isinstance(given, set | frozenset):
        raise ColumnTypeError(f"{parameter}: a set has no order; pass a list of column names.")
    return [] if given is None else several(given)


def _names(parameter: str, given: object) -> tuple[str, ...]:
    names = _ordered(parameter, given)
    for name in names:
        if not isinstance(name, str):
            raise ColumnTypeError(f"{parameter}: {name!r} is not text. Columns are named by text.")
    return tuple(names)


def _check_mapping(mapping: object) -> None:
    merges = list(mapping.values()) if isinstance(mapping, Mapping) else [mapping]
    if mapping is not None and not all(isinstance(m, Mapping) for m in merges):
        raise ColumnTypeError(
            f"mapping: {mapping!r} is not of the form {{'queue': {{'old level': 'new level'}}}}."
        )


def _from_grouped(grouped: Grouped, request: Request) -> Cube:
    P, S = len(grouped.periods), len(grouped.codes)
    sketches = {
        value: Sketch.of(
            (x.grid.low, x.grid.high, x.grid.rungs),
            x.period.astype(np.int64) * S + x.segment,
            x.bucket,
            x.weight,
            P * S,
        )
        for value, x in grouped.distributions.items()
    }
    cell = grouped.period.astype(np.int64) * S + grouped.segment
    sums = {
        key: np.bincount(cell, weights=values, minlength=P * S).reshape(P, S)
        for key, values in grouped.moments.items()
    }
    clusters = None
    if request.clusters:
        clusters = ClusterSums(
            names=request.clusters,
            codes=grouped.clusters,
            period=grouped.period.astype(np.int32),
            segment=grouped.segment.astype(np.int32),
            sums=grouped.moments,
        )
    provenance = {
        "source": grouped.kind,
        "name": grouped.name,
        "rows": grouped.rows,
        "period": request.period,
        "cluster": list(request.clusters),
        "weight": request.weight,
        "where": request.where,
        "values": grouped.resolved,
        "sql": grouped.sql,
    }
    return Cube(
        metrics=request.metrics,
        dimensions=request.dimensions,
        levels=tuple(tuple(x) for x in grouped.levels),
        periods=tuple(grouped.periods),
        codes=grouped.codes,
        sums=sums,
        clusters=clusters,
        weighted=request.weight is not None,
        sketches=sketches,
        provenance=provenance,
        findings=tuple(grouped.findings),
    )


def _check_conserved(before: Cube, after: Cube, target: np.ndarray) -> None:
    """Raise unless every sum is the same: of all segments, and of all clusters, in every period.

    `target` is the period of `after` that each period of `before` went into, -1 for none.
    """
    for name, values in before.sums.items():
        kinds = [("segments", values.sum(axis=1), after.sums[name].sum(axis=1))]
        if before.clusters is not None and name in before.clusters.sums:
            kinds.append(("clusters", _of_clusters(before, name), _of_clusters(after, name)))
        for kind, held, found in kinds:
            wanted = np.bincount(target[target >= 0], held[target >= 0], len(after.periods))
            if not np.allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(values).sum()):
                raise AttributionError(
                    f"cube: the sum {name!r} over {kind} is {found} and should be {wanted}."
                )
    for name, sketch in before.sketches.items():
        kept = np.repeat(target >= 0, len(before.codes))
        wanted = sketch.weight[kept].sum(axis=0)
        if not np.allclose(after.sketches[name].weight.sum(axis=0), wanted, rtol=1e-9):
            raise AttributionError(f"cube: the distribution of {name!r} is not conserved.")


def _of_clusters(cube: Cube, name: str) -> np.ndarray:
    """A sum over clusters in each period; that of a planned period is 0."""
    split = cube.clusters
    if split is None:
        return np.zeros(len(cube.periods))
    return np.bincount(split.period, split.sums[name], len(cube.periods))


def _summed(clusters: ClusterSums) -> ClusterSums:
    """Sum entries of the same period, segment and clusters."""
    keys = np.vstack([clusters.codes, clusters.period, clusters.segment])
    order = np.lexsort((*keys[:-2][::-1], keys[-1], keys[-2]))
    keys = keys[:, order]
    new = np.ones(keys.shape[1], dtype=bool)
    new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    start = np.flatnonzero(new)
    return ClusterSums(
        names=clusters.names,
        codes=keys[:-2, new],
        period=keys[-2, new],
        segment=keys[-1, new],
        sums={
            k: np.add.reduceat(v[order], start) if len(start) else v
            for k, v in clusters.sums.items()
        },
    )
