"""One scan per source: all KPIs that share rows share a GROUP BY, and files are scanned once.

KPIs that agree in source, conditions, clusters, weights and volumes are sums over the same rows, so
one cube holds them all; each KPI rolls it up to its own dimensions. A cube of files is kept under
the paths, sizes and times of the files and all that was asked, so that a rerun reads no rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attribution import __version__, hierarchy
from attribution.config import Dimension, Kpi, ReviewConfig, Source, concealed, resolved
from attribution.cube import Cube
from attribution.errors import AttributionError
from attribution.metrics import Metric, renamed
from attribution.source import files_of, open_database, open_warehouse, repeated_rows

__all__ = ["REPEATED", "Scan", "cube_of", "metric_of", "scans"]

REPEATED = "repeated_rows"


@dataclass(frozen=True)
class Scan:
    """One GROUP BY and the KPIs it serves.

    Attributes
    ----------
    name : str
        The source's, with a number where a source needs several scans.
    source : Source
    kpis : tuple of Kpi
    by : tuple of str
        The dimensions of any of them.
    where : str or None
    weight : str or None
    cluster : tuple of str
    volume : str or None
    columns : mapping of str to str
        What the source calls the columns of the KPI dictionary.
    card : str or None
        The scorecard that it serves, if it is one's.
    """

    name: str
    source: Source
    kpis: tuple[Kpi, ...]
    by: tuple[str, ...]
    where: str | None
    weight: str | None
    cluster: tuple[str, ...]
    volume: str | None
    columns: Mapping[str, str]
    card: str | None = None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of its KPIs."""
        return [metric_of(kpi, self.columns) for kpi in self.kpis]

    def asked(self, dimensions: Mapping[str, Dimension]) -> dict[str, Any]:
        """Return the arguments of `Cube.from_data` beside the data and the metrics."""
        above = {name: d.within for name, d in dimensions.items() if d.within is not None}
        mapping = {name: dict(d.mapping) for name, d in dimensions.items() if d.mapping}
        return {
            "by": [hierarchy.Dimension(name, within=above.get(name)) for name in self.by],
            "period": self.source.period,
            "where": self.where,
            "weight": self.weight,
            "cluster": list(self.cluster) or None,
            "volume": None if self.volume is None else resolved(self.volume, "volume"),
            "mapping": {d: m for d, m in mapping.items() if d in self.by} or None,
            "on_invalid": self.source.on_invalid,
            "timeout": self.source.timeout,
        }


def metric_of(kpi: Kpi, columns: Mapping[str, str]) -> Metric:
    """Return the metric of a KPI under its name, orientation and unit.

    Parameters
    ----------
    kpi : Kpi
    columns : mapping of str to str
        What the source calls the columns of the KPI dictionary.

    Returns
    -------
    Metric

    Examples
    --------
    >>> metric_of(Kpi(name="Speed", metric="aht", by=["queue"]), {"handle_seconds": "sec"})
    Mean(value='sec', name='Speed', better='lower', unit='s')
    """
    return renamed(kpi.measured(columns), name=kpi.name, better=kpi.better, unit=kpi.unit)


def scans(config: ReviewConfig, only: Sequence[str] = ()) -> list[Scan]:
    """Return the scans that the KPIs need, each KPI in one of them.

    Parameters
    ----------
    config : ReviewConfig
    only : sequence of str
        Names of KPIs; all by default.

    Returns
    -------
    list of Scan
    """
    groups: dict[tuple, list[Kpi]] = {}
    for kpi in config.kpis:
        if only and kpi.name not in only:
            continue
        name = config.source_of(kpi)
        source = config.sources[name]
        where = _both(source.where, kpi.where)
        weight = source.weight if kpi.weight is None else kpi.weight or None
        cluster = source.cluster if kpi.cluster is None else kpi.cluster
        names = () if cluster is None else (cluster,) if isinstance(cluster, str) else cluster
        key = (name, where, weight, tuple(names), kpi.volume)
        groups.setdefault(key, []).append(kpi)
    per_source = [key[0] for key in groups]
    found = []
    for i, ((name, where, weight, cluster, volume), kpis) in enumerate(groups.items()):
        number = per_source[: i + 1].count(name)
        label = name if per_source.count(name) == 1 else f"{name} {number}"
        by = tuple(dict.fromkeys(d for kpi in kpis for d in kpi.by))
        source = config.sources[name]
        asked = (where, weight, cluster, volume)
        found.append(Scan(label, source, tuple(kpis), by, *asked, config.columns))
    return found


def _both(first: str | None, second: str | None) -> str | None:
    given = [text for text in (first, second) if text]
    return f"({given[0]}) and ({given[1]})" if len(given) == 2 else given[0] if given else None


def cube_of(scan: Scan, config: ReviewConfig, cache: Path | None) -> tuple[Cube, bool]:
    """Return the cube of a scan and whether it came from the cache.

    Parameters
    ----------
    scan : Scan
    config : ReviewConfig
        For the mappings of its dimensions.
    cache : Path or None
        A folder; None keeps nothing.

    Returns
    -------
    cube : Cube
    cached : bool

    Raises
    ------
    AttributionError
        The source cannot be opened or breaks the contract.
    """
    asked = scan.asked(config.dimensions)
    key = _key(scan, asked)
    kept = cache / f"{scan.name}-{key}.cube" if key and cache is not None else None
    if kept is not None and kept.exists():
        try:
            return Cube.load(kept), True
        except AttributionError:
            kept.unlink()  # of another version, or cut short: scan again
    with _opened(scan.source) as data:
        cube = Cube.from_data(data, scan.metrics, **asked)
        cube = replace(cube, provenance=concealed(cube.provenance, config))
        if scan.source.key is not None:
            names = [scan.source.key] if isinstance(scan.source.key, str) else scan.source.key
            cube = _with_repeated(cube, names, repeated_rows(data, names, scan.source.timeout))
    if kept is not None:
        with suppress(OSError):  # a disk without room for it: the next run scans again
            kept.parent.mkdir(parents=True, exist_ok=True)
            for stale in kept.parent.glob(f"{scan.name}-*.cube"):
                stale.unlink()
            cube.save(kept)
    return cube, False


@contextmanager
def _opened(source: Source) -> Iterator[object]:
    query = None if source.query is None else resolved(source.query, "query")
    if source.data is not None:
        yield resolved(source.data, "data")
    elif source.database is not None and query is not None:
        with open_database(resolved(source.database, "database"), query) as relation:
            yield relation
    elif source.warehouse is not None:
        address = resolved(source.warehouse, "warehouse")
        with open_warehouse(address, source.table, query) as table:
            yield table


def _with_repeated(cube: Cube, key: Sequence[str], rows: int) -> Cube:
    if not rows:
        return cube
    finding = {
        "code": REPEATED,
        "severity": "warning",
        "message": f"{rows:,} rows repeat the {' and '.join(key)} of another row; they count "
        "twice.",
        "facts": {"key": list(key), "rows": rows},
    }
    return replace(cube, findings=(*cube.findings, finding))


def _key(scan: Scan, asked: Mapping[str, Any]) -> str | None:
    """What a kept cube depends on: files by path, size and time, and all that was asked.

    Where no time stamp tells that a source has changed (SQL, a warehouse), it depends on the day.
    """
    source = scan.source
    place, called = source.data, "data"
    if place is None:
        place, called = source.database, "database"
    files = files_of(resolved(place, called)) if place is not None else None
    stamped = files is not None
    wanted = source.cache if source.cache is not None else stamped and source.database is None
    if not wanted or files == []:
        return None
    read: list[Any] = [files if stamped else datetime.now(UTC).date().isoformat()]
    read.append(files_of(resolved(scan.volume, "volume")) if scan.volume else None)
    # As written: an address in a file's name could be guessed from its digest.
    told = {k: v for k, v in asked.items() if k != "timeout"}
    question = [told, place, source.warehouse, source.table, source.query, source.key]
    question.append(scan.metrics)
    text = json.dumps([__version__, read, question], default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
