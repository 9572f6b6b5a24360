"""The native chart of the workbook: a waterfall over columns that follow the bridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attribution.bridge import Bridge
from attribution.plots.theme import Theme
from attribution.reports.columns import KINDS, Stacked, colors, stacked
from attribution.reports.workbook.sheets import Book, Formats, cell, put

__all__ = ["CHART", "MOST_BARS", "insert_waterfall", "write_chart", "write_values"]

CHART = "Chart data"
MOST_BARS = 12
_LONGEST_TITLE, _LONGEST_ALT = 250, 2_000


def write_chart(book: Book, sheet: Any, row: int, bridge: Bridge, effects: Sequence[str]) -> None:
    """Draw the bridge on a sheet, and write what it is drawn from on another one.

    Parameters
    ----------
    book : Book
    sheet : xlsxwriter worksheet
    row : int
        Where the chart begins.
    bridge : Bridge
    effects : sequence of str
        The addresses of baseline, every bar of `bridge`, and current, in KPI units.
    """
    drawn = stacked(bridge, MOST_BARS)
    _write_data(book, bridge, drawn, effects)
    insert_waterfall(book.file, sheet, row, book.shown.bridge, drawn)


def _write_data(book: Book, bridge: Bridge, drawn: Stacked, effects: Sequence[str]) -> None:
    data, series, factor = book.sheet(CHART), drawn.series(), bridge.format.factor
    number = book.formats(num_format="0.0000")
    put(data, 0, 0, "The chart of the sheet Bridge reads these columns.", book.quiet)
    for j, name in enumerate(["bar", "from", "to", *series, "height of label"]):
        put(data, 1, j, name, book.head)
    sources = _sources(bridge, effects)
    for c, (label, kind) in enumerate(zip(drawn.categories, drawn.kinds, strict=True)):
        r, total = 2 + c, kind in ("baseline", "current")
        step = f"({sources[c]})*{factor:g}"
        start, end = cell(r, 1), cell(r, 2)
        put(data, r, 0, label, book.formats())
        put(data, r, 1, float(drawn.ends[c, 0]), number, "" if total else f"={cell(r - 1, 2)}")
        put(
            data, r, 2, float(drawn.ends[c, 1]), number, f"={step}" if total else f"={start}+{step}"
        )
        for j, (name, values) in enumerate(series.items(), start=3):
            of = name.removesuffix(" below")
            drawn_here = of in ("base", kind)
            formula = _part(start, end, of == "base", name != of) if drawn_here else ""
            put(data, r, j, values[c], number, formula)
        height = float(drawn.ends[c].max())
        put(data, r, 3 + len(series), height, number, f"=MAX({start},{end})")
    data.set_column(0, 0, 28)


def _sources(bridge: Bridge, effects: Sequence[str]) -> list[str]:
    """The effects behind each drawn column: several for "other"."""
    drawn = bridge.condensed(MOST_BARS).by_size()
    found = [effects[0]]
    for bar in drawn.bars:
        inside = [i for i, b in enumerate(bridge.bars) if set(b.rows) <= set(bar.rows)]
        found.append("+".join(effects[1 + i] for i in inside))
    return [*found, effects[-1]]


def _part(start: str, end: str, base: bool, below: bool) -> str:
    """A stacked part: the base up to the column, or the column, on one side of 0."""
    low, high = f"MIN({start},{end})", f"MAX({start},{end})"
    near = f"MIN({high},0)" if below else f"MAX({low},0)"
    far = f"MIN({low},0)" if below else f"MAX({high},0)"
    return f"={near}" if base else f"={far}-{near}"


def _pale(drawn: Stacked, name: str, color: str | None) -> list[dict[str, Any] | None] | None:
    """The steps of a series that cannot be told from noise, in a paler color."""
    if color is None or not any(drawn.pale):
        return None
    tint = {"fill": {"color": Theme.in_use().tint(color)}, "border": {"none": True}}
    of = name.removesuffix(" below")
    pairs = zip(drawn.kinds, drawn.pale, strict=True)
    return [tint if pale and kind == of else None for kind, pale in pairs]


def write_values(data: Any, formats: Formats, drawn: Stacked, column: int) -> int:
    """Write what a waterfall is drawn from as values; return the next free column.

    Parameters
    ----------
    data : xlsxwriter worksheet
        The sheet of chart data.
    formats : Formats
    drawn : Stacked
    column : int
        The first column.
    """
    number, series = formats(num_format="0.0000"), drawn.series()
    names = ["bar", "from", "to", *series, "height of label"]
    for j, name in enumerate(names):
        put(data, 1, column + j, name, formats.head)
    for c, label in enumerate(drawn.categories):
        start, end = map(float, drawn.ends[c])
        values = [start, end, *(x[c] for x in series.values()), max(start, end)]
        put(data, 2 + c, column, label, formats())
        for j, value in enumerate(values, start=1):
            put(data, 2 + c, column + j, value, number)
    return column + len(names) + 1


def insert_waterfall(
    file: Any, sheet: Any, row: int, bridge: Bridge, drawn: Stacked, column: int = 0
) -> None:
    """Put the native chart of a bridge on a sheet.

    Parameters
    ----------
    file : xlsxwriter.Workbook
    sheet : xlsxwriter worksheet
    row : int
        Where the chart begins.
    bridge : Bridge
    drawn : Stacked
    column : int
        Where its data begin on the sheet of chart data.
    """
    series, last = list(drawn.series()), 1 + len(drawn.categories)
    chart = file.add_chart({"type": "column", "subtype": "stacked"})
    palette = colors(Theme.in_use())
    for j, name in enumerate(series, start=column + 3):
        color = palette.get(name.removesuffix(" below"))
        chart.add_series(
            {
                "name": [CHART, 1, j],
                "categories": [CHART, 2, column, last, column],
                "values": [CHART, 2, j, last, j],
                "fill": {"color": color} if color else {"none": True},
                "border": {"none": True},
                "gap": 40,
                "points": _pale(drawn, name, color),
            }
        )
    # A line that is not drawn, through the top of every column, carries the labels.
    line, j = file.add_chart({"type": "line"}), column + 3 + len(series)
    line.add_series(
        {
            "name": [CHART, 1, j],
            "categories": [CHART, 2, column, last, column],
            "values": [CHART, 2, j, last, j],
            "line": {"none": True},
            "marker": {"type": "none"},
            "data_labels": {
                "value": True,
                "custom": [{"value": label} for label in drawn.labels],
                "position": "above",
                "font": {"bold": True, "size": 9},
            },
        }
    )
    chart.combine(line)
    format = bridge.format
    unit = f" in {format.unit}" if format.unit else ""
    starts = f"; axis cut: it starts at {format.level(drawn.floor / format.factor)}"
    title = f"{bridge.metric}{unit}, {bridge.baseline_label} to {bridge.current_label}"
    title += starts if drawn.cut else ""
    chart.set_title({"name": title[:_LONGEST_TITLE], "name_font": {"size": 11}})
    limits = {"min": drawn.floor, "max": drawn.ceiling}
    chart.set_y_axis({**limits, "major_gridlines": {"visible": False}, "visible": False})
    chart.set_x_axis({"num_font": {"size": 9}, "label_position": "low"})
    unnamed = [i for i, name in enumerate(series) if name == "base" or name.endswith("below")]
    unused = [i for i, name in enumerate(series) if name in KINDS and name not in drawn.kinds]
    chart.set_legend({"position": "bottom", "delete_series": [*unnamed, *unused, len(series)]})
    chart.set_size({"width": max(760, 90 * len(drawn.categories)), "height": 420})
    steps = "; ".join(f"{a}: {b}" for a, b in zip(drawn.categories, drawn.labels, strict=True))
    described = f"Waterfall. {bridge.message}. {steps}"[:_LONGEST_ALT]
    sheet.insert_chart(row, 0, chart, {"description": described, "object_position": 2})
