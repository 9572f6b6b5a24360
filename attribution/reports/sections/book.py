"""Sections as a workbook: a sheet per table, ratios and sums as live formulas, a native funnel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attribution.bridge import Bridge
from attribution.formatting import Format
from attribution.plots.funnel import Funnel
from attribution.plots.theme import Theme
from attribution.reports.columns import stacked
from attribution.reports.files import CREATED, WORKBOOK, write_file
from attribution.reports.sections.section import (
    Column,
    Section,
    Table,
    Tile,
    unknown,
    written,
)
from attribution.reports.workbook.about import (
    FINDINGS,
    PROVENANCE,
    write_findings,
    write_provenance,
)
from attribution.reports.workbook.chart import (
    CHART,
    MOST_BARS,
    insert_waterfall,
    write_values,
)
from attribution.reports.workbook.sheets import (
    AS_TEXT,
    Formats,
    cell,
    column_range,
    effect_format,
    level_format,
    prepare,
    put,
    sheet_names,
)

__all__ = ["add_sheets", "write_book"]

_NAME = re.compile(r"\{(\w+)\}")
_HEAD = 5
_MOST_ROWS, _MOST_DRAWN = 20_000, 25


def write_book(sections: Sequence[Section], path: str | Path, title: str | None) -> Path:
    """Write the workbook; see `attribution.reports.sections.write_excel`."""
    named = title or sections[0].message
    return write_file(path, lambda fresh: _write(sections, fresh, named), suffixes=WORKBOOK)


def _write(sections: Sequence[Section], path: Path, title: str) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), AS_TEXT) as file:
        file.set_properties({"title": title[:255], "created": CREATED, "author": "kpi-attribution"})
        formats = Formats(file)
        named = [(s, t) for s in sections for t in s.tables]
        labels = [t.name if len(sections) == 1 else f"{t.name} {s.name}" for s, t in named]
        add_sheets(file, formats, sections, labels, [FINDINGS, PROVENANCE])
        found = [
            f if len(sections) == 1 else {**f, "message": f"{s.name}: {f['message']}"}
            for s in sections
            for f in s.findings
        ]
        write_findings(file.get_worksheet_by_name(FINDINGS), formats, found)
        rows = [
            (key if len(sections) == 1 else f"{s.name}: {key}", value)
            for s in sections
            for key, value in (
                *s.provenance.items(),
                *(("not shown", x) for x in s.withheld),
            )
        ]
        write_provenance(file.get_worksheet_by_name(PROVENANCE), formats, rows)


def add_sheets(
    file: Any,
    formats: Formats,
    sections: Sequence[Section],
    labels: Sequence[str],
    after: Sequence[str] = (),
) -> None:
    """Add a sheet per table of sections to a workbook, and their charts.

    Parameters
    ----------
    file : xlsxwriter.Workbook
    formats : Formats
    sections : sequence of Section
    labels : sequence of str
        What the sheets are called: one per table, section after section.
    after : sequence of str
        Empty sheets that are added behind them.
    """
    named = [(s, t) for s in sections for t in s.tables]
    taken = [sheet.get_name() for sheet in file.worksheets()]
    names = sheet_names("", labels, [*taken, *after, CHART])
    for name in [*names, *after]:
        prepare(file.add_worksheet(name))
    for (section, table), name in zip(named, names, strict=True):
        _table(file.get_worksheet_by_name(name), formats, section, table)
    funnels = [
        (picture.subject, name)
        for (section, table), name in zip(named, names, strict=True)
        for picture in section.pictures
        if isinstance(picture.subject, Funnel) and table is section.tables[0]
    ]
    bridges = [
        (picture.subject, table, name)
        for (section, table), name in zip(named, names, strict=True)
        for picture in section.pictures
        if isinstance(picture.subject, Bridge) and table is section.tables[0]
    ]
    if funnels or bridges:
        prepare(file.add_worksheet(CHART))
    column = 0
    for shown, name in funnels:
        column = _funnel(file, formats, shown, name, column)
    for bridge, table, name in bridges:
        column = _waterfall(file, formats, bridge, table, name, column)
    for (_, table), name in zip(named, names, strict=True):
        if table.bars and table.rows:
            _bars(file, table, name)


def _table(sheet: Any, formats: Formats, section: Section, table: Table) -> None:
    columns, first = table.on("book"), _HEAD + 1
    put(sheet, 0, 0, section.message, formats(bold=True, font_size=14))
    put(sheet, 1, 0, f"{table.title}. {section.subtitle}", formats())
    for i, note in enumerate([*section.notes, *section.withheld][: _HEAD - 3]):
        put(sheet, 2 + i, 0, note, formats.quiet)
    for j, column in enumerate(columns):
        text = column.kind in ("text", "word")
        put(sheet, _HEAD, j, _title(column), formats.head if text else formats.number_head)
        sheet.set_column(j, j, 30 if text else 13)
    sheet.set_row(_HEAD, 42)
    place = {c.key: j for j, c in enumerate(columns)}
    rows = table.rows[:_MOST_ROWS]
    for r, row in enumerate(rows, start=first):
        for j, column in enumerate(columns):
            _cell(sheet, formats, (r, j), column, row, table.format, place)
    last = first + len(rows) - 1
    if rows:
        sheet.autofilter(_HEAD, 0, last, len(columns) - 1)
    sheet.freeze_panes(first, 1)
    r = last + 2
    for check in table.checks:
        ranges = {key: column_range(j, first, last) for key, j in place.items()}
        formula = _NAME.sub(lambda m, ranges=ranges: ranges[m[1]], check.formula)
        put(sheet, r, 0, check.label, formats(bold=True))
        put(
            sheet, r, 1, check.value, formats(num_format=_number(check.kind, table.format)), formula
        )
        r += 1
    if len(table.rows) > len(rows):
        put(sheet, r, 0, f"{len(table.rows) - len(rows):,} more rows are left out.", formats.quiet)


def _title(column: Column) -> str:
    """The header: a percent is written as such, so that its unit is not said twice."""
    return re.sub(r" \((%|pp)\)$", "", column.title)


def _cell(
    sheet: Any,
    formats: Formats,
    at: tuple[int, int],
    column: Column,
    row: dict[str, Any],
    format: Format,
    place: dict[str, int],
) -> None:
    value = row.get(column.key)
    tone = written(column, row, format).tone if column.kind in ("word", "tile") else ""
    look: dict[str, Any] = {}
    if tone:
        theme = Theme.in_use()
        ground = theme.tint(theme.good if tone == "better" else theme.bad, 0.35)
        look = {"bg_color": ground}
    if column.kind not in ("text", "word"):
        look["num_format"] = _number(column.kind, column.format or format)
    if isinstance(value, Tile):
        value = value.text if unknown(value.value) else value.value
    elif column.kind in ("text", "word"):
        value = None if value is None else str(value)
    else:
        value = None if unknown(value) else float(value)  # pyright: ignore[reportArgumentType]
    put(sheet, *at, value, formats(**look), _formula(column, row, at[0], place, value))


def _formula(column: Column, row: dict[str, Any], r: int, place: dict[str, int], value: Any) -> str:
    """What a cell is worked out from; "" where a part of it is not known."""
    if not column.formula or value is None or column.key in row.get("_values", ()):
        return ""
    if any(unknown(row.get(key)) for key in _NAME.findall(column.formula)):
        return ""
    return _NAME.sub(lambda m: cell(r, place[m[1]]), column.formula)


def _number(kind: str, format: Format) -> str:
    if kind in ("level", "tile"):
        return level_format(format)
    if kind == "change":
        return effect_format(format)
    return {"count": "#,##0", "percent": "0.0%", "number": "#,##0.000"}[kind]


def _below(table: Table) -> int:
    """The first row below a table, its checks and its charts."""
    return _HEAD + min(len(table.rows), _MOST_ROWS) + len(table.checks) + 4


def _waterfall(
    file: Any, formats: Formats, bridge: Bridge, table: Table, name: str, column: int
) -> int:
    """Draw a bridge below a table; return the next free column of the chart data."""
    data, drawn = file.get_worksheet_by_name(CHART), stacked(bridge, MOST_BARS)
    put(data, 0, column, f"The chart of the sheet {name} reads these columns.", formats.quiet)
    sheet = file.get_worksheet_by_name(name)
    insert_waterfall(file, sheet, _below(table), bridge, drawn, column)
    return write_values(data, formats, drawn, column)


def _bars(file: Any, table: Table, name: str) -> None:
    """Draw some columns of a table beside each other, below it."""
    columns, theme = table.on("book"), Theme.in_use()
    place = {c.key: j for j, c in enumerate(columns)}
    first = _HEAD + 1
    last = first + min(len(table.rows), _MOST_DRAWN) - 1
    chart = file.add_chart({"type": "bar"})
    palette = [theme.current] if len(table.bars) == 1 else [theme.baseline, theme.current]
    for key, color in zip(table.bars, palette, strict=True):
        chart.add_series(
            {
                "name": [name, _HEAD, place[key]],
                "categories": [name, first, 0, last, 0],
                "values": [name, first, place[key], last, place[key]],
                "fill": {"color": color},
                "border": {"none": True},
                "gap": 60,
                "data_labels": {"value": True, "font": {"size": 9}},
            }
        )
    left = f"; the first {_MOST_DRAWN}" if len(table.rows) > _MOST_DRAWN else ""
    chart.set_title({"name": f"{table.title}{left}"[:250], "name_font": {"size": 11}})
    # The first row of the table on top, and bars that begin at 0.
    values = [row.get(x) for row in table.rows[:_MOST_DRAWN] for x in table.bars]
    known = [float(x) for x in values if x is not None and not unknown(x)]
    start = {"min": 0} if min(known, default=0.0) >= 0 else {}
    chart.set_y_axis({"reverse": True, "label_position": "low", "num_font": {"size": 9}})
    chart.set_x_axis({**start, "visible": False, "major_gridlines": {"visible": False}})
    chart.set_legend({"none": True} if len(table.bars) == 1 else {"position": "bottom"})
    chart.set_size({"width": 760, "height": 120 + 26 * len(table.bars) * (last - first + 1)})
    words = f"Bars: {', '.join(_title(columns[place[x]]) for x in table.bars)}. {table.title}"
    sheet = file.get_worksheet_by_name(name)
    sheet.insert_chart(_below(table), 0, chart, {"description": words[:2_000]})


def _funnel(file: Any, formats: Formats, shown: Funnel, name: str, column: int) -> int:
    """Draw a funnel plot on a sheet from columns of the chart data; return the next free column."""
    sheet, data, theme = (
        file.get_worksheet_by_name(name),
        file.get_worksheet_by_name(CHART),
        Theme.in_use(),
    )
    order = np.argsort(shown.n, kind="stable")[:_MOST_ROWS]
    impact = np.nan_to_num(shown.impact[order])
    few = np.isnan(shown.impact[order])
    value, n = shown.value[order], shown.n[order]
    kinds = {
        "as expected": ((impact == 0) & ~few, theme.neutral),
        "too few": (few, theme.tint(theme.baseline)),
        "better": (impact > 0, theme.good),
        "worse": (impact < 0, theme.bad),
    }
    lines = ("95 % low", "95 % high", "99.8 % low", "99.8 % high", "all")
    put(data, 0, column, f"The chart of the sheet {name} reads these columns.", formats.quiet)
    titles = ["entity", "n", *kinds, *lines]
    for j, title in enumerate(titles):
        put(data, 1, column + j, title, formats.head)
    look = formats(num_format=level_format(shown.format))
    for r, i in enumerate(range(len(order)), start=2):
        put(data, r, column, shown.labels[order[i]], formats())
        put(data, r, column + 1, float(n[i]), formats(num_format="#,##0"))
        for j, (mask, _) in enumerate(kinds.values(), start=2):
            put(data, r, column + j, float(value[i]) if mask[i] else None, look)
        limits = [None if few[i] else float(x) for x in shown.limits[:, order[i]]]
        for j, x in enumerate([*limits, shown.center], start=2 + len(kinds)):
            put(data, r, column + j, x, look)
    last = 1 + len(order)
    chart = file.add_chart({"type": "scatter", "subtype": "straight"})
    chart.show_blanks_as("gap")
    for j, title in enumerate(titles[2:], start=2):
        mask, color = kinds.get(title, (np.ones(1, dtype=bool), theme.quiet))
        if not mask.any():
            continue
        line = title in lines
        chart.add_series(
            {
                "name": title,
                "categories": [CHART, 2, column + 1, last, column + 1],
                "values": [CHART, 2, column + j, last, column + j],
                "line": {
                    "color": theme.ink if title == "all" else color,
                    "width": 1.0,
                    "dash_type": "dash" if title.startswith("99.8") else "solid",
                }
                if line
                else {"none": True},
                "marker": {"type": "none"}
                if line
                else {
                    "type": "circle",
                    "size": 6,
                    "fill": {"color": color},
                    "border": {"none": True},
                },
            }
        )
    ticks, factor = shown.ticks(), shown.format.factor
    percent = factor == 100
    chart.set_x_axis(
        {"name": "n", "min": 0, "num_format": "#,##0", "major_gridlines": {"visible": False}}
    )
    chart.set_y_axis(
        {
            "name": "adjusted",
            "min": ticks[0] / factor,
            "max": ticks[-1] / factor,
            "major_unit": (ticks[1] - ticks[0]) / factor,
            "num_format": "0.0%" if percent else "#,##0.##",
            "major_gridlines": {"visible": False},
        }
    )
    chart.set_title({"name": shown.title[:250], "name_font": {"size": 12}})
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": 900, "height": 460})
    rows = min(len(shown.labels), _MOST_ROWS)
    words = f"Funnel plot. {shown.title}"[:2_000]
    sheet.insert_chart(_HEAD + rows + 4, 0, chart, {"description": words})
    return column + len(titles) + 1
