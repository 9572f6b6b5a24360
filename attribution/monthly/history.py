"""The history of a review: one DuckDB file that every run adds to and dashboards may read.

| table | one row per |
|---|---|
| about | the version of these tables |
| kpis | KPI and period: value, n, digest of the sums |
| changes | KPI, comparison and period: the change, its interval and verdict, the status |
| effects | KPI, comparison, period and bar of the bridge |
| levels | KPI, comparison, period, dimension and level |
| causes | KPI, comparison, period and named cause |
| scorecards | scorecard, period and entity that may be shown, as `Scorecard.frame` |
| scorecard_signals | scorecard, period and signal: how many entities, those not shown included |
| restated | KPI and period whose value changed after it was reported, and when that was seen |

A period's rows are replaced when it is run again. The file is locked while a review runs, so a
second run on the same folder is refused; a run that is killed leaves the tables as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attribution.errors import LockedError, OptionError, SourceError
from attribution.formatting import significant

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["History", "Restated"]

_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (version INTEGER);
CREATE TABLE IF NOT EXISTS kpis (
    kpi VARCHAR, period VARCHAR, value DOUBLE, n DOUBLE, digest VARCHAR,
    PRIMARY KEY (kpi, period));
CREATE TABLE IF NOT EXISTS changes (
    kpi VARCHAR, comparison VARCHAR, baseline VARCHAR, period VARCHAR, value_baseline DOUBLE,
    value DOUBLE, change DOUBLE, std_error DOUBLE, conf_low DOUBLE, conf_high DOUBLE,
    p_value DOUBLE, verdict VARCHAR, unit VARCHAR, better VARCHAR, status VARCHAR);
CREATE TABLE IF NOT EXISTS effects (
    kpi VARCHAR, comparison VARCHAR, baseline VARCHAR, period VARCHAR, position INTEGER,
    factor VARCHAR, effect VARCHAR, dimension VARCHAR, segment VARCHAR, estimate DOUBLE,
    std_error DOUBLE,
    conf_low DOUBLE, conf_high DOUBLE, p_adjusted DOUBLE);
CREATE TABLE IF NOT EXISTS levels (
    kpi VARCHAR, comparison VARCHAR, baseline VARCHAR, period VARCHAR, dimension VARCHAR,
    segment VARCHAR, n_baseline DOUBLE, n_current DOUBLE, rate_baseline DOUBLE,
    rate_current DOUBLE, mix DOUBLE, rate DOUBLE, total DOUBLE, mix_p_adjusted DOUBLE,
    rate_p_adjusted DOUBLE);
CREATE TABLE IF NOT EXISTS causes (
    kpi VARCHAR, comparison VARCHAR, baseline VARCHAR, period VARCHAR, segment VARCHAR,
    contribution DOUBLE, conf_low DOUBLE, conf_high DOUBLE, p_adjusted DOUBLE);
CREATE TABLE IF NOT EXISTS scorecards (
    scorecard VARCHAR, kpi VARCHAR, period VARCHAR, entities VARCHAR, entity VARCHAR, n DOUBLE,
    observed DOUBLE, expected DOUBLE, ratio DOUBLE, adjusted DOUBLE, std_error DOUBLE,
    conf_low DOUBLE, conf_high DOUBLE, limit_low_95 DOUBLE, limit_high_95 DOUBLE,
    limit_low_998 DOUBLE, limit_high_998 DOUBLE, shrunk DOUBLE, rank_low DOUBLE, rank_high DOUBLE,
    target DOUBLE, completion DOUBLE, status VARCHAR, crude DOUBLE, reference DOUBLE,
    compared DOUBLE, z DOUBLE, signal VARCHAR);
CREATE TABLE IF NOT EXISTS scorecard_signals (
    scorecard VARCHAR, kpi VARCHAR, period VARCHAR, signal VARCHAR, entities DOUBLE);
CREATE TABLE IF NOT EXISTS restated (
    kpi VARCHAR, period VARCHAR, seen_in VARCHAR, was DOUBLE, now DOUBLE, n_was DOUBLE,
    n_now DOUBLE, PRIMARY KEY (kpi, period, seen_in));
"""


@dataclass(frozen=True)
class Restated:
    """A period whose KPI is no longer what was reported.

    Attributes
    ----------
    period : str
    was, now : float
    n_was, n_now : float
    """

    period: str
    was: float
    now: float
    n_was: float
    n_now: float


class History:
    """The history file of one review folder, held for the length of a run.

    Parameters
    ----------
    path : Path
        Made if it is not there.

    Raises
    ------
    LockedError
        Another process holds it.
    OptionError
        It cannot be written: no such folder, a full disk.
    SourceError
        It is no history, or one of a later version.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = duckdb.connect(str(path), config={"threads": 1})
        except OSError as error:
            raise OptionError(
                f"out: {str(path.parent)!r} cannot be written ({error.strerror})."
            ) from error
        except duckdb.Error as error:
            if "lock" in str(error) or "used by another process" in str(error):
                raise LockedError(
                    f"out: another review is writing to {str(path.parent)!r}; wait until it has "
                    "finished, or name another folder."
                ) from error
            problem = str(error).strip().splitlines()[0]
            raise SourceError(f"history: {str(path)!r} cannot be opened. {problem}") from error
        with self._written():
            self._connection.execute(_SCHEMA)
            rows = self._query("SELECT version FROM about", [])
            if not rows:
                self._connection.execute("INSERT INTO about VALUES (?)", [_VERSION])
                rows = [(_VERSION,)]
        if rows[0][0] == _VERSION:
            return
        self.close()
        raise SourceError(
            f"history: {str(path)!r} has version {rows[0][0]}, this package writes {_VERSION}. "
            "Move it away and run the past periods again to fill a new one."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def values(self, kpi: str) -> dict[str, tuple[float, float]]:
        """Return value and n of a KPI by period, as last reported."""
        rows = self._query("SELECT period, value, n FROM kpis WHERE kpi = ?", [kpi])
        return {period: (value, n) for period, value, n in rows}

    def restate(self, kpi: str, seen_in: str, values: dict[str, tuple[float, float]]) -> None:
        """Note which reported periods before `seen_in` now have another value or n."""
        for period, (was, n_was) in self.values(kpi).items():
            if period == seen_in or period not in values:
                continue
            now, n_now = values[period]
            if abs(now - was) > 1e-9 * max(abs(was), abs(now)) or n_now != n_was:
                with self._written():
                    self._query(
                        "INSERT OR REPLACE INTO restated VALUES (?, ?, ?, ?, ?, ?, ?)",
                        [kpi, period, seen_in, was, now, n_was, n_now],
                    )
                    self._query(
                        "UPDATE kpis SET value = ?, n = ? WHERE kpi = ? AND period = ?",
                        [now, n_now, kpi, period],
                    )

    def restated(self, kpi: str, seen_in: str) -> list[Restated]:
        """Return what a run of a period saw restated, also when it is run again."""
        rows = self._query(
            "SELECT period, was, now, n_was, n_now FROM restated WHERE kpi = ? AND seen_in = ? "
            "ORDER BY period",
            [kpi, seen_in],
        )
        return [Restated(*row) for row in rows]

    def record(
        self, kpi: str, period: str, value: float, n: float, digest: str, tables: dict[str, Any]
    ) -> None:
        """Replace what is kept of one KPI and period, all or nothing.

        Parameters
        ----------
        kpi, period : str
        value, n : float
        digest : str
            Of the sums.
        tables : dict of str to DataFrame
            "changes", "effects", "levels", "causes", with the columns of these tables.
        """
        with self._written():
            self._query(
                "INSERT OR REPLACE INTO kpis VALUES (?, ?, ?, ?, ?)",
                [kpi, period, significant(value), n, digest],
            )
            for name, frame in tables.items():
                self._replace(name, "kpi", kpi, period, frame)

    def record_card(self, scorecard: str, period: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Replace what is kept of one scorecard and period, all or nothing.

        Parameters
        ----------
        scorecard, period : str
        tables : mapping of str to DataFrame
            "scorecards" and "scorecard_signals", with the columns of these tables.
        """
        with self._written():
            for name, frame in tables.items():
                self._replace(name, "scorecard", scorecard, period, frame)

    def _replace(self, table: str, key: str, value: str, period: str, frame: pd.DataFrame) -> None:
        self._query(f"DELETE FROM {table} WHERE {key} = ? AND period = ?", [value, period])
        if len(frame):
            self._connection.register("fresh", frame)
            columns = ", ".join(frame.columns)
            self._connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM fresh")
            self._connection.unregister("fresh")

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Write all of it or nothing; a disk that is full is the user's to know."""
        import duckdb

        self._connection.begin()
        try:
            yield
            self._connection.commit()
        except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
            problem = str(error).strip().splitlines()[0]
            raise OptionError(
                f"out: the history {str(self._path)!r} cannot be written. {problem}"
            ) from error
        except BaseException:
            self._connection.rollback()
            raise

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables, sorted: what dashboards read that do not speak DuckDB."""
        names = self._query("SELECT table_name FROM duckdb_tables() ORDER BY 1", [])
        return {
            name: self._connection.execute(f"FROM {name} ORDER BY ALL").df() for (name,) in names
        }

    def culprits(self, kpi: str, comparison: str, alpha: float) -> dict[str, set[tuple[Any, ...]]]:
        """Return, by period, (kind, dimension, segment, sign) of what was significant.

        The kind is "mix" or "rate" of a level, or "cause" of a named one, which has no dimension.
        """
        rows = self._query(
            "SELECT period, 'rate', dimension, segment, sign(rate) FROM levels WHERE kpi = $kpi "
            "AND comparison = $comparison AND rate_p_adjusted < $alpha UNION ALL "
            "SELECT period, 'mix', dimension, segment, sign(mix) FROM levels WHERE kpi = $kpi "
            "AND comparison = $comparison AND mix_p_adjusted < $alpha UNION ALL "
            "SELECT period, 'cause', '', segment, sign(contribution) FROM causes WHERE kpi = $kpi "
            "AND comparison = $comparison AND p_adjusted < $alpha",
            {"kpi": kpi, "comparison": comparison, "alpha": alpha},
        )
        found: dict[str, set[tuple[Any, ...]]] = {}
        for period, *culprit in rows:
            found.setdefault(period, set()).add(tuple(culprit))
        return found

    def _query(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> list:
        given = parameters if isinstance(parameters, dict) else list(parameters)
        return self._connection.execute(sql, given).fetchall()
