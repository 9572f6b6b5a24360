"""Cube: named sums by period and segment (and cluster); what a scan leaves behind.

A cube answers every later question - other methods, parts, roll-ups, merged levels - without
reading the data again. It holds sums over observed segments only, several metrics and any number
of periods, and it holds no cluster labels: a saved cube cannot leak who did the work.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import (
    AttributionError,
    ColumnNotFoundError,
    IdentificationError,
    OptionError,
    PeriodError,
    SourceError,
    listing,
    nearest,
)
from attribution.labels import label_of, natural_key
from attribution.metrics import Metric, Rate, Ratio, as_metric
from attribution.source import Grouped, Request, group

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["ClusterSums", "Cube"]

_FORMAT = 1


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
    sketches : dict
        Distribution sketches per cell, for quantiles.
    provenance : dict
        Where the rows came from and how many there were.
    findings : tuple of dict
        What the scan noticed: `code, severity, message, facts`.

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
    sketches: dict[str, np.ndarray] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    findings: tuple[dict, ...] = ()

    @classmethod
    def from_data(
        cls,
        data: object,
        metric: Metric | str | Sequence[Metric | str],
        by: str | Sequence[str],
        *,
        period: str,
        periods: Sequence[object] | None = None,
        cluster: str | Sequence[str] | None = None,
        weight: str | None = None,
        where: str | None = None,
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
        by : str or sequence of str
            The dimensions.
        period : str
            The period column.
        periods : sequence, optional
            Its values to keep; all by default.
        cluster : str or sequence of str, optional
            The columns of units that are independent of each other.
        weight : str, optional
            A column of row weights.
        where : str, optional
            A condition on rows.
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
        given = [metric] if isinstance(metric, str | Rate | Ratio) else list(metric)
        if not given:
            raise OptionError("metric: an empty list. Name at least one metric.")
        if on_invalid not in ("raise", "drop"):
            raise OptionError(f"on_invalid: {on_invalid!r} is not one of 'raise', 'drop'.")
        request = Request(
            metrics=tuple(as_metric(m) for m in given),
            dimensions=_names(by),
            period=period,
            period_values=None if periods is None else tuple(periods),
            clusters=_names(cluster),
            weight=weight,
            where=where,
            on_invalid=on_invalid,
        )
        cube = _from_grouped(group(data, request), request)
        for dimension, merges in (mapping or {}).items():
            cube = cube.merge_levels(dimension, merges)
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

    def metric_sums(self, metric: Metric, role: str) -> np.ndarray:
        """Return one sum of a metric, shape (P, S), by its role (`Ratio.moments`)."""
        return self.sums[metric.moments(self.weighted)[role].key]

    def metric_named(self, metric: Metric | str | None) -> Metric:
        """Return the metric of this cube that is meant; None is the first."""
        if metric is None:
            return self.metrics[0]
        for held in self.metrics:
            if metric in (held, held.label):
                return held
        wanted = as_metric(metric)
        if all(moment.key in self.sums for moment in self._needed(wanted)):
            return wanted
        raise OptionError(
            f"metric: the cube holds no sums for {wanted.label!r}. "
            f"Metrics: {listing([m.label for m in self.metrics])}."
        )

    def _needed(self, metric: Metric) -> list:
        moments = metric.moments(self.weighted)
        return [m for role, m in moments.items() if self.clusters is None or "_" not in role]

    def digest(self) -> str:
        """Return the SHA-256 of the cube's sums (to 12 significant digits) and labels."""
        sha = hashlib.sha256()
        labels = [self.dimensions, self.levels, self.periods, sorted(self.sums)]
        sha.update(json.dumps(labels, ensure_ascii=False).encode())
        sha.update(np.ascontiguousarray(self.codes, dtype="<i4").tobytes())
        for name in sorted(self.sums):
            texts = [f"{x:.12g}" for x in self.sums[name].ravel()]
            sha.update(" ".join(texts).encode())
        return sha.hexdigest()

    def dimension_index(self, dimension: str, parameter: str = "dimension") -> int:
        """Return the position of a dimension, or say which one was meant."""
        if dimension not in self.dimensions:
            raise ColumnNotFoundError(
                f"{parameter}: no dimension {dimension!r}.{nearest(dimension, self.dimensions)} "
                f"Dimensions: {listing(self.dimensions)}."
            )
        return self.dimensions.index(dimension)

    def level_index(self, dimension: str, level: object) -> int:
        """Return the position of a level, or say which one was meant."""
        levels = self.levels[self.dimension_index(dimension)]
        if label_of(level) not in levels:
            raise OptionError(
                f"{dimension}: no level {label_of(level)!r}.{nearest(label_of(level), levels)} "
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
        """Return the cube with the segments that `keep` (a mask of shape (S,)) selects."""
        if keep.all():
            return self
        clusters = self.clusters
        if clusters is not None:
            renumbered = np.cumsum(keep, dtype=np.int32) - 1
            clusters = clusters.take(keep[clusters.segment])
            clusters = replace(clusters, segment=renumbered[clusters.segment])
        return replace(
            self,
            codes=self.codes[keep],
            sums={k: v[:, keep] for k, v in self.sums.items()},
            clusters=clusters,
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
        self._check_conserved(rolled)
        return rolled

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
        renamed = {self.levels[d][self.level_index(dimension, old)]: label_of(new)
                   for old, new in mapping.items()}
        new_of = [renamed.get(level, level) for level in self.levels[d]]
        labels = sorted(set(new_of), key=natural_key)
        rank = np.array([labels.index(x) for x in new_of], dtype=np.int32)
        codes = self.codes.copy()
        codes[:, d] = rank[codes[:, d]]
        levels = (*self.levels[:d], tuple(labels), *self.levels[d + 1 :])
        merged = self._regrouped(self.dimensions, levels, codes)
        self._check_conserved(merged)
        used = {**self.provenance.get("mapping", {})}
        used[dimension] = {**used.get(dimension, {}), **renamed}
        return replace(merged, provenance={**merged.provenance, "mapping": used})

    def pool(self, groups: Mapping[str, Sequence[str]]) -> Cube:
        """Return the cube with its periods summed into groups: new label -> period labels."""
        index = {label: i for i, label in enumerate(self.periods)}
        target = np.full(len(self.periods), -1)
        for g, members in enumerate(groups.values()):
            for member in members:
                target[index[member]] = g
        sums = {
            k: np.stack([v[target == g].sum(axis=0) for g in range(len(groups))])
            for k, v in self.sums.items()
        }
        clusters = self.clusters
        if clusters is not None:
            clusters = clusters.take(target[clusters.period] >= 0)
            clusters = replace(clusters, period=target[clusters.period].astype(np.int32))
            clusters = _summed(clusters)
        return replace(self, periods=tuple(groups), sums=sums, clusters=clusters)

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
            summed = np.zeros((len(self.periods), len(unique)))
            np.add.at(summed, (slice(None), target), values)
            sums[name] = summed
        clusters = self.clusters
        if clusters is not None:
            clusters = replace(clusters, segment=target[clusters.segment].astype(np.int32))
            clusters = _summed(clusters)
        return replace(self, dimensions=dimensions, levels=levels, codes=unique, sums=sums,
                       clusters=clusters)

    def _check_conserved(self, other: Cube) -> None:
        for name, values in self.sums.items():
            before, after = values.sum(axis=1), other.sums[name].sum(axis=1)
            if not np.allclose(before, after, rtol=1e-9, atol=1e-9 * np.abs(values).sum()):
                raise AttributionError(f"cube: the sum {name!r} changed from {before} to {after}.")

    # -- keeping -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the cube to one file (a zip of arrays and a JSON header; no cluster labels).

        Parameters
        ----------
        path : str or Path
        """
        arrays = {"codes": self.codes}
        arrays |= {f"sums/{i}": v for i, v in enumerate(self.sums.values())}
        header = {
            "format": _FORMAT,
            "metrics": [{"kind": type(m).__name__, **asdict(m)} for m in self.metrics],
            "dimensions": self.dimensions,
            "levels": self.levels,
            "periods": self.periods,
            "sums": list(self.sums),
            "weighted": self.weighted,
            "provenance": self.provenance,
            "findings": self.findings,
            "clusters": None,
        }
        if self.clusters is not None:
            c = self.clusters
            header["clusters"] = {"names": c.names, "sums": list(c.sums)}
            arrays |= {"clusters/codes": c.codes, "clusters/period": c.period,
                       "clusters/segment": c.segment}
            arrays |= {f"clusters/sums/{i}": v for i, v in enumerate(c.sums.values())}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cube.json", json.dumps(header, ensure_ascii=False))
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())

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
        try:
            with zipfile.ZipFile(path) as archive:
                header = json.loads(archive.read("cube.json"))
                if header["format"] > _FORMAT:
                    raise SourceError(
                        f"cube: {str(path)!r} has format {header['format']}; this version reads "
                        f"up to {_FORMAT}. Update kpi-attribution."
                    )
                arrays = {
                    n[:-4]: np.load(io.BytesIO(archive.read(n)), allow_pickle=False)
                    for n in archive.namelist()
                    if n.endswith(".npy")
                }
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            if isinstance(error, AttributionError):
                raise
            raise SourceError(f"cube: {str(path)!r} is not a saved cube ({error}).") from error
        kinds = {"Rate": Rate, "Ratio": Ratio}
        clusters = None
        if held := header["clusters"]:
            clusters = ClusterSums(
                names=tuple(held["names"]),
                codes=arrays["clusters/codes"],
                period=arrays["clusters/period"],
                segment=arrays["clusters/segment"],
                sums={k: arrays[f"clusters/sums/{i}"] for i, k in enumerate(held["sums"])},
            )
        return cls(
            metrics=tuple(kinds[m.pop("kind")](**m) for m in header["metrics"]),
            dimensions=tuple(header["dimensions"]),
            levels=tuple(tuple(x) for x in header["levels"]),
            periods=tuple(header["periods"]),
            codes=arrays["codes"],
            sums={k: arrays[f"sums/{i}"] for i, k in enumerate(header["sums"])},
            clusters=clusters,
            weighted=header["weighted"],
            provenance=header["provenance"],
            findings=tuple(header["findings"]),
        )

    # -- asking ------------------------------------------------------------------------------

    def explain(self, metric: Metric | str | None = None, **options: Any) -> Attribution:
        """Explain the change of a metric between two periods of the cube; see `attribution.explain`."""
        from attribution.analysis import explain_cube

        return explain_cube(self, metric, **options)

    def between(self, baseline: object, current: object) -> Cube:
        """Return the cube of two periods, baseline first; a list of values pools them.

        Raises
        ------
        PeriodError
            A period is absent, or the two overlap.
        """
        sides = []
        for parameter, given in (("baseline", baseline), ("current", current)):
            several = given if isinstance(given, list | tuple) else [given]
            cast = self.provenance.get("values", {})
            labels = [cast.get(label_of(v), label_of(v)) for v in several]
            if not labels:
                raise PeriodError(f"{parameter}: an empty list of periods.")
            for label in labels:
                if label not in self.periods:
                    raise PeriodError(
                        f"{parameter}: no period {label!r}.{nearest(label, self.periods)} "
                        f"There: {listing(self.periods, most=30)}."
                    )
            sides.append(labels)
        if shared := [x for x in sides[0] if x in sides[1]]:
            raise PeriodError(
                f"baseline and current overlap: {listing(shared)}. A period belongs to one side."
            )
        names = [" + ".join(labels) for labels in sides]
        return self.pool(dict(zip(names, sides, strict=True)))


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def _from_grouped(grouped: Grouped, request: Request) -> Cube:
    P, S = len(grouped.periods), len(grouped.codes)
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
        "values": {label_of(k): v for k, v in grouped.resolved.items()},
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
        provenance=provenance,
        findings=tuple(grouped.findings),
    )


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
