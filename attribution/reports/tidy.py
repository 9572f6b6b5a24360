"""A small star schema for Tableau and Power BI: facts, dimensions, dates, as Parquet and CSV."""

from __future__ import annotations

import calendar
import datetime as dt
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.datasets.export import write_tables
from attribution.formatting import significant
from attribution.privacy import Privacy, Shown, protect
from attribution.reports.files import as_csv_text
from attribution.reports.folder import replace_folder

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = ["rounded", "tidy_files", "tidy_tables", "write_tidy"]

_DATE_COLUMNS = ("start_date", "end_date", "days", "year", "quarter", "month")
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def write_tidy(change: Attribution, folder: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write the tables of `tidy_tables` into a folder, each as Parquet and as CSV.

    Parameters
    ----------
    change : Attribution
    folder : str or Path
        Made, or replaced as a whole if it is an earlier output.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The folder cannot be written, or holds files that are no earlier output.

    Notes
    -----
    In CSV, text that a spreadsheet would take for a formula (it begins with = + - @) has an
    apostrophe in front; Parquet holds it as it is.
    """
    shown = protect(change, privacy)
    return replace_folder(folder, lambda fresh: tidy_files(shown, fresh), "folder")


def tidy_files(shown: Shown, folder: Path) -> None:
    """Write the tables of what may be shown into an existing folder; see `write_tidy`."""
    tables = _tables(shown)
    write_tables(tables, folder, "parquet")
    write_tables({name: as_csv_text(table) for name, table in tables.items()}, folder, "csv")


def tidy_tables(change: Attribution, *, privacy: Privacy | None = None) -> dict[str, pd.DataFrame]:
    """Return an attribution as a star schema: keys are whole numbers from 1.

    Parameters
    ----------
    change : Attribution
    privacy : Privacy, optional

    Returns
    -------
    dict of str to DataFrame
        fact_change
            One row: the KPI in both periods, the change, its interval, the verdict.
        fact_effect
            One row a bar; `estimate` adds up to the change, `shown` to the displayed change.
        fact_level
            One row a level of a dimension: counts, shares, rates, mix, rate, total, intervals.
        fact_cell
            One row a period and segment: n, numerator, denominator (and full_count). Absent where
            privacy hides people or small groups.
        dim_metric, dim_period, dim_level, dim_segment
            What the keys mean. dim_period is the table of dates: start, end, days, year, quarter,
            month where the label is a month or a day.
        finding, provenance
            What a reader must know, and where the numbers come from.
    """
    return _tables(protect(change, privacy))


def _tables(shown: Shown) -> dict[str, pd.DataFrame]:
    tables = {
        "fact_change": _change(shown),
        "fact_effect": _effects(shown),
        "fact_level": _levels(shown),
        "dim_metric": _metric(shown),
        "dim_period": _periods(shown),
        "dim_level": _level_names(shown),
        "finding": _findings(shown),
        "provenance": _provenance(shown),
    }
    if shown.whole:
        tables |= {"fact_cell": _cells(shown), "dim_segment": _segments(shown)}
    return {name: rounded(table) for name, table in tables.items()}


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return it with 12 significant digits: the last ones depend on the order of threads.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    DataFrame
    """
    found = frame.copy()
    for column in found.select_dtypes(include=["float"]):
        found[column] = [significant(float(x)) for x in found[column]]
        found[column] = found[column].astype("float64")
    return found


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


def _change(shown: Shown) -> pd.DataFrame:
    total = vars(shown.change.total)
    row = {"metric_key": 1, "baseline_period_key": 1, "current_period_key": 2, **total}
    row |= {"verdict": shown.change.verdict, "message": shown.bridge.message}
    return _frame([row], list(row))


def _effects(shown: Shown) -> pd.DataFrame:
    bridge, rows = shown.bridge, shown.change.effects
    found = []
    for i, (bar, value) in enumerate(zip(bridge.bars, bridge.shown(), strict=True), start=1):
        one = rows.iloc[bar.rows[0]] if len(bar.rows) == 1 else None
        named = {c: None if one is None else one[c] for c in ("effect", "dimension", "segment")}
        found.append(
            {
                "effect_key": i,
                "metric_key": 1,
                "bar": bar.label,
                **named,
                "estimate": bar.value,
                "conf_low": bar.conf_low,
                "conf_high": bar.conf_high,
                "p_adjusted": bar.p_adjusted,
                "share_of_change": np.nan if one is None else one["share_of_change"],
                "shown": value,
                "shown_unit": bridge.format.change_unit,
                "note": bar.note,
            }
        )
    columns = ["effect_key", "metric_key", "bar", "effect", "dimension", "segment", "estimate"]
    columns += [
        "conf_low",
        "conf_high",
        "p_adjusted",
        "share_of_change",
        "shown",
        "shown_unit",
        "note",
    ]
    return _text(_frame(found, columns), "effect", "dimension", "segment")


def _level_keys(shown: Shown) -> list[tuple[int, str, Any]]:
    """Key, dimension and row of every level that is shown, sums of suppressed ones included."""
    rows = [(d, row) for d in shown.dimensions for _, row in shown.levels[d].iterrows()]
    return [(key, d, row) for key, (d, row) in enumerate(rows, start=1)]


def _levels(shown: Shown) -> pd.DataFrame:
    import pandas as pd

    if not shown.dimensions:
        return pd.DataFrame({"level_key": pd.Series(dtype="int64")})
    frame = pd.concat([shown.levels[d] for d in shown.dimensions], ignore_index=True)
    frame = frame.drop(columns=["dimension", "segment"])
    frame.insert(0, "level_key", range(1, len(frame) + 1))
    frame.insert(1, "metric_key", 1)
    return frame


def _level_names(shown: Shown) -> pd.DataFrame:
    found, order = [], {}
    for key, d, row in _level_keys(shown):
        order[d] = order.get(d, 0) + 1
        found.append(
            {"level_key": key, "dimension": d, "level": row["segment"], "position": order[d]}
        )
    return _text(
        _frame(found, ["level_key", "dimension", "level", "position"]), "dimension", "level"
    )


def _metric(shown: Shown) -> pd.DataFrame:
    metric = shown.change.metric
    row = {
        "metric_key": 1,
        "metric": metric.label,
        "numerator": metric.numerator,
        "denominator": metric.denominator or "rows",
        "unit": metric.display_unit,
        "better": metric.better,
    }
    return _frame([row], list(row))


def _periods(shown: Shown) -> pd.DataFrame:
    import pandas as pd

    rows = []
    roles = zip(("baseline", "current"), shown.change.cube.periods, strict=True)
    for key, (role, label) in enumerate(roles, start=1):
        row: dict[str, Any] = {"period_key": key, "period": label, "role": role}
        row |= dict.fromkeys(_DATE_COLUMNS)
        if dates := _dates(label):
            start, end = dates
            row |= {"start_date": start, "end_date": end, "days": (end - start).days + 1}
            row |= {"year": start.year, "quarter": (start.month + 2) // 3, "month": start.month}
        rows.append(row)
    frame = pd.DataFrame(rows)
    for column in ("start_date", "end_date"):
        frame[column] = pd.to_datetime(frame[column]).astype("datetime64[s]")
    whole = ["days", "year", "quarter", "month"]
    frame[whole] = frame[whole].astype("Int64")
    return frame


def _dates(label: str) -> tuple[dt.date, dt.date] | None:
    """The first and last day of a month or a day written as in ISO 8601."""
    if match := _MONTH.fullmatch(label.removesuffix("-01")):
        year, month = int(match[1]), int(match[2])
        return dt.date(year, month, 1), dt.date(year, month, calendar.monthrange(year, month)[1])
    try:
        day = dt.date.fromisoformat(label)
    except ValueError:
        return None
    return day, day


def _segments(shown: Shown) -> pd.DataFrame:
    import pandas as pd

    cube = shown.change.cube
    columns: dict[str, Any] = {"segment_key": np.arange(1, len(cube.codes) + 1)}
    for d, (name, levels) in enumerate(zip(cube.dimensions, cube.levels, strict=True)):
        column = name if name not in columns else f"{name} (dimension)"
        columns[column] = np.array(levels, dtype=object)[cube.codes[:, d]]
    return pd.DataFrame(columns)


def _cells(shown: Shown) -> pd.DataFrame:
    import pandas as pd

    cube, metric = shown.change.cube, shown.change.metric
    S = len(cube.codes)
    columns = {"period_key": np.repeat([1, 2], S), "segment_key": np.tile(np.arange(1, S + 1), 2)}
    columns["metric_key"] = np.ones(2 * S, dtype=int)
    roles = {"n": "count", "numerator": "numerator", "denominator": "denominator"}
    for name, role in roles.items() if shown.ratio else [("n", "count")]:
        columns[name] = cube.metric_sums(metric, role).ravel()
    if cube.volume is not None:
        columns["full_count"] = cube.volume.ravel()
    frame = pd.DataFrame(columns)
    counts = [c for c in ("n", "denominator", "full_count") if c in frame]
    return frame[(frame[counts] != 0).any(axis=1)].reset_index(drop=True)


def _findings(shown: Shown) -> pd.DataFrame:
    rows = [
        {"finding_key": i, **{k: f[k] for k in ("severity", "code", "message")}}
        for i, f in enumerate(shown.findings, start=1)
    ]
    return _frame(rows, ["finding_key", "severity", "code", "message"])


def _provenance(shown: Shown) -> pd.DataFrame:
    rows = [
        {
            "what": k,
            "value": v if isinstance(v, str) else json.dumps(v, ensure_ascii=False, default=str),
        }
        for k, v in shown.provenance.items()
    ]
    rows += [{"what": "not shown", "value": x} for x in shown.withheld]
    return _frame(rows, ["what", "value"])


def _text(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Columns that are text even where every value is null."""
    return frame.astype(dict.fromkeys(columns, "string"))
