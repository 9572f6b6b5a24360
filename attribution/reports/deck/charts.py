"""Native charts that can be edited: waterfall, bars, line; each with its words as alternative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attribution.bridge import Bridge
from attribution.plots.funnel import Funnel
from attribution.plots.theme import Theme
from attribution.reports.columns import Stacked, colors, stacked
from attribution.reports.deck.page import Area, Slide
from attribution.reports.places import label_sides
from attribution.reports.textfit import clean, fitted, text_width

__all__ = ["bar_chart", "describe", "funnel_chart", "line_chart", "waterfall_chart"]

_LONGEST_ALT = 2_000
# Points of a line, of one kind of mark, and how many of those outside are named.
_LINE_POINTS, _MOST_POINTS, _NAMED = 60, 1_500, 8
# The height of the labels below a line.
_AXIS = 28.0
# Room for a label above a column, as a part of the axis.
_LABEL = 0.1


def waterfall_chart(slide: Slide, area: Area, bridge: Bridge, most: int = 9) -> Stacked:
    """Draw a bridge as stacked columns with an invisible base, intervals as text.

    Parameters
    ----------
    slide : Slide
    area : Area
    bridge : Bridge
    most : int
        Steps beyond this number are summed into "other".

    Returns
    -------
    Stacked
        What was drawn.
    """
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION
    from pptx.util import Pt

    drawn, theme = stacked(bridge, most), Theme.in_use()
    width = area.width / len(drawn.categories)
    data = CategoryChartData(number_format="0.00")
    data.categories = [fitted(x, 0.9 * width, 11, lines=2) for x in drawn.categories]
    series = drawn.series()
    for name, values in series.items():
        data.add_series(name, values)
    data.add_series("label", [_LABEL * (drawn.ceiling - drawn.floor)] * len(drawn.categories))
    chart = _add(slide, area, XL_CHART_TYPE.COLUMN_STACKED, data, "Waterfall")
    plot = chart.plots[0]
    plot.gap_width, plot.overlap = 40, 100
    palette = colors(theme)
    for one in plot.series:
        color = palette.get(one.name.removesuffix(" below"))
        if color is None:
            one.format.fill.background()
            one.format.line.fill.background()
        else:
            _fill(one.format, color)
            for i, pale in enumerate(drawn.pale):
                if pale and drawn.kinds[i] == one.name.removesuffix(" below"):
                    _fill(one.points[i].format, theme.tint(color))
    labels = plot.series[len(series)]
    shown = bridge.condensed(most).by_size()
    intervals = ["", *(bridge.format.interval(b.conf_low, b.conf_high) for b in shown.bars), ""]
    for i, (text, interval) in enumerate(zip(drawn.labels, intervals, strict=True)):
        label = labels.points[i].data_label
        label.position = XL_LABEL_POSITION.INSIDE_BASE
        frame = label.text_frame
        frame.text = text
        frame.paragraphs[0].runs[0].font.size, frame.paragraphs[0].runs[0].font.bold = Pt(12), True
        if interval and width > 84:
            added = frame.add_paragraph().add_run()
            added.text, added.font.size = interval, Pt(8)
    axis = chart.value_axis
    axis.minimum_scale, axis.maximum_scale = drawn.floor, drawn.ceiling
    axis.visible, axis.has_major_gridlines = False, False
    _category_axis(chart, theme, 11)
    chart.has_legend = True
    chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.BOTTOM, False
    chart.legend.font.size = Pt(10)
    _hide_legend_entries(chart, [i for i, s in enumerate(plot.series) if s.name not in drawn.kinds])
    steps = "; ".join(f"{c}: {x}" for c, x in zip(drawn.categories, drawn.labels, strict=True))
    describe(slide.page.shapes[-1], f"Waterfall. {bridge.message}. {steps}")
    return drawn


def bar_chart(
    slide: Slide,
    area: Area,
    labels: Sequence[str],
    series: dict[str, tuple[Sequence[float], Sequence[str]]],
    *,
    good: Sequence[Sequence[bool | None]] | None = None,
    palette: Sequence[str] = (),
    alternative: str,
) -> None:
    """Draw horizontal bars from 0, each with its number.

    Parameters
    ----------
    slide : Slide
    area : Area
    labels : sequence of str
        One a bar, the first on top.
    series : dict
        Name -> values and what is written beside them.
    good : sequence of sequences of bool, optional
        For each series whether a bar is good news; None is neither. Colors bars by impact.
    palette : sequence of str
        The colors of the series otherwise.
    alternative : str
        The words for those who do not see it.
    """
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION
    from pptx.util import Pt

    theme = Theme.in_use()
    data = CategoryChartData(number_format="0.00")
    data.categories = [fitted(x, 0.34 * area.width, 11) for x in labels]
    for name, (values, _) in series.items():
        data.add_series(name, values)
    chart = _add(slide, area, XL_CHART_TYPE.BAR_CLUSTERED, data, "Bars")
    plot = chart.plots[0]
    plot.gap_width, plot.overlap = 50, 0
    for k, (one, (_, texts)) in enumerate(zip(plot.series, series.values(), strict=True)):
        one.invert_if_negative = False
        _fill(one.format, palette[k] if palette else theme.neutral)
        for i, text in enumerate(texts):
            if good is not None and good[k][i] is not None:
                _fill(one.points[i].format, theme.good if good[k][i] else theme.bad)
            if not text:
                continue
            label = one.points[i].data_label
            label.position = XL_LABEL_POSITION.OUTSIDE_END
            label.text_frame.text = text
            label.text_frame.paragraphs[0].runs[0].font.size = Pt(11)
    values = [x for found, _ in series.values() for x in found] or [0.0]
    low, high = min(*values, 0.0), max(*values, 0.0)
    room = 0.22 * ((high - low) or 1.0)
    axis = chart.value_axis
    axis.minimum_scale = low - room if low < 0 else 0.0
    axis.maximum_scale = high + room if high > 0 else 0.0 if low < 0 else 1.0
    axis.visible, axis.has_major_gridlines = False, False
    chart.category_axis.reverse_order = True
    _category_axis(chart, theme, 11)
    chart.has_legend = len(series) > 1
    if chart.has_legend:
        chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.BOTTOM, False
        chart.legend.font.size = Pt(10)
    describe(slide.page.shapes[-1], alternative)


def line_chart(
    slide: Slide,
    area: Area,
    labels: Sequence[str],
    values: Sequence[float | None],
    texts: dict[int, str],
    alternative: str,
) -> None:
    """Draw one line over time, with the numbers of some points.

    Parameters
    ----------
    slide : Slide
    area : Area
    labels : sequence of str
    values : sequence of float or None
    texts : dict
        Position -> what is written at the point.
    alternative : str
    """
    from pptx.chart.data import CategoryChartData
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION
    from pptx.util import Pt

    theme = Theme.in_use()
    data = CategoryChartData(number_format="0.00")
    data.categories = [clean(x) for x in labels]
    data.add_series("KPI", values)
    chart = _add(slide, area, XL_CHART_TYPE.LINE_MARKERS, data, "Trend")
    line = chart.plots[0].series[0]
    line.smooth = False
    line.format.line.width = Pt(2.25)
    line.format.line.color.rgb = RGBColor.from_string(theme.current.lstrip("#"))
    _fill(line.marker.format, theme.current)
    known = [x for x in values if x is not None]
    spread = (max(known) - min(known)) or abs(max(known)) or 1.0
    low, high = min(known) - 0.3 * spread, max(known) + 0.3 * spread
    step, down = area.width / len(values), (area.height - _AXIS) / (high - low)
    points = [
        None if x is None else ((i + 0.5) * step, (high - x) * down) for i, x in enumerate(values)
    ]
    sizes = {i: (text_width(text, 11), 1.3 * 11) for i, text in texts.items()}
    sides = label_sides(points, sizes, (0.0, 0.0, area.width, area.height - _AXIS))
    for i, side in sides.items():
        label = line.points[i].data_label
        label.position = XL_LABEL_POSITION[side.upper()]
        label.text_frame.text = texts[i]
        label.text_frame.paragraphs[0].runs[0].font.size = Pt(11)
    axis = chart.value_axis
    axis.minimum_scale, axis.maximum_scale = low, high
    axis.visible, axis.has_major_gridlines = False, False
    _category_axis(chart, theme, 11)
    chart.has_legend = False
    describe(slide.page.shapes[-1], alternative)


def funnel_chart(slide: Slide, area: Area, shown: Funnel, alternative: str) -> None:
    """Draw entities by size with their funnel limits, those outside named.

    Parameters
    ----------
    slide : Slide
    area : Area
    shown : Funnel
    alternative : str
    """
    from pptx.chart.data import XyChartData
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import (
        XL_CHART_TYPE,
        XL_LABEL_POSITION,
        XL_LEGEND_POSITION,
        XL_MARKER_STYLE,
    )
    from pptx.enum.dml import MSO_LINE
    from pptx.util import Pt

    theme, factor = Theme.in_use(), shown.format.factor
    data = XyChartData(number_format="0.00")
    marks = _marks(shown, theme)
    for name, (members, _) in marks.items():
        series = data.add_series(name)
        for i in members:
            series.add_data_point(float(shown.n[i]), float(shown.value[i]) * factor)
    order = np.argsort(shown.n, kind="stable")
    order = order[~np.isnan(shown.impact[order])]
    # A line needs no more points than a screen has room for.
    if len(order) > _LINE_POINTS:
        order = order[np.unique(np.linspace(0, len(order) - 1, _LINE_POINTS).astype(int))]
    lines = (("95 % limits", 0), ("95 % upper", 1), ("99.8 % limits", 2), ("99.8 % upper", 3))
    for name, row in lines if len(order) else ():
        series = data.add_series(name)
        for i in order:
            series.add_data_point(float(shown.n[i]), float(shown.limits[row, i]) * factor)
    ends = (0.0, float(shown.n.max()))
    series = data.add_series("all")
    for n in ends:
        series.add_data_point(n, shown.center * factor)
    chart = _add(slide, area, XL_CHART_TYPE.XY_SCATTER, data, "Funnel plot")
    drawn = {one.name: one for one in chart.plots[0].series}
    for name, (members, color) in marks.items():
        one = drawn[name]
        one.format.line.fill.background()
        one.marker.style, one.marker.size = XL_MARKER_STYLE.CIRCLE, 7
        _fill(one.marker.format, color)
        one.marker.format.line.fill.background()
        if name not in ("better", "worse"):
            continue
        far = np.argsort(-np.abs(shown.value[members] - shown.center), kind="stable")[:_NAMED]
        for k in far:
            label = one.points[int(k)].data_label
            label.position = XL_LABEL_POSITION.RIGHT
            label.text_frame.text = fitted(shown.labels[members[k]], 110, 9)
            label.text_frame.paragraphs[0].runs[0].font.size = Pt(9)
    for name, one in drawn.items():
        if name in marks:
            continue
        one.smooth = False
        one.marker.style = XL_MARKER_STYLE.NONE
        one.format.line.width = Pt(1.25 if name == "all" else 1.0)
        color = theme.ink if name == "all" else theme.quiet
        one.format.line.color.rgb = RGBColor.from_string(color.lstrip("#"))
        if name.startswith("99.8"):
            one.format.line.dash_style = MSO_LINE.DASH
    _funnel_axes(chart, shown, theme)
    chart.has_legend = True
    chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.BOTTOM, False
    chart.legend.font.size = Pt(10)
    names = [one.name for one in chart.plots[0].series]
    _hide_legend_entries(chart, [i for i, x in enumerate(names) if x.endswith("upper")])
    describe(slide.page.shapes[-1], alternative)


def _marks(shown: Funnel, theme: Theme) -> dict[str, tuple[np.ndarray, str]]:
    """Which entities are drawn in which color; of very many those in the middle are thinned."""
    impact = np.nan_to_num(shown.impact)
    few = np.isnan(shown.impact)
    kinds = {
        "as expected": ((impact == 0) & ~few, theme.neutral),
        "too few": (few, theme.tint(theme.baseline)),
        "better": (impact > 0, theme.good),
        "worse": (impact < 0, theme.bad),
    }
    found = {}
    for name, (mask, color) in kinds.items():
        members = np.flatnonzero(mask)
        members = members[:: max(len(members) // _MOST_POINTS, 1)]
        if len(members):
            found[name] = (members, color)
    return found


def _funnel_axes(chart: Any, shown: Funnel, theme: Theme) -> None:
    from pptx.util import Pt

    ticks = shown.ticks()
    value, size = chart.value_axis, chart.category_axis
    value.minimum_scale, value.maximum_scale = ticks[0], ticks[-1]
    value.major_unit = ticks[1] - ticks[0]
    size.minimum_scale = 0
    unit = f" ({shown.format.unit})" if shown.format.unit else ""
    for axis, title in ((value, f"adjusted{unit}"), (size, "n")):
        axis.has_major_gridlines = False
        axis.tick_labels.font.size = Pt(10)
        axis.has_title = True
        axis.axis_title.text_frame.text = title
        axis.axis_title.text_frame.paragraphs[0].runs[0].font.size = Pt(10)
        axis.axis_title.text_frame.paragraphs[0].runs[0].font.bold = False
    value.tick_labels.number_format, value.tick_labels.number_format_is_linked = "0.0", False
    size.tick_labels.number_format, size.tick_labels.number_format_is_linked = "#,##0", False


def describe(shape: Any, text: str) -> None:
    """Set the words that a screen reader says for a shape."""
    shape._element._nvXxPr.cNvPr.set("descr", clean(text)[:_LONGEST_ALT])


def _add(slide: Slide, area: Area, kind: Any, data: Any, name: str) -> Any:
    frame = slide.page.shapes.add_chart(kind, *area.emu, data)
    frame.name = name
    frame.chart.has_title = False
    return frame.chart


def _fill(format: Any, color: str) -> None:
    from pptx.dml.color import RGBColor

    format.fill.solid()
    format.fill.fore_color.rgb = RGBColor.from_string(color.lstrip("#"))


def _category_axis(chart: Any, theme: Theme, size: float) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_TICK_LABEL_POSITION, XL_TICK_MARK
    from pptx.util import Pt

    axis = chart.category_axis
    axis.tick_labels.font.size = Pt(size)
    axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    axis.major_tick_mark, axis.has_major_gridlines = XL_TICK_MARK.NONE, False
    axis.format.line.color.rgb = RGBColor.from_string(theme.ink.lstrip("#"))


def _hide_legend_entries(chart: Any, positions: Sequence[int]) -> None:
    """Take series out of the legend; python-pptx has no call for it."""
    from pptx.oxml import parse_xml
    from pptx.oxml.ns import nsdecls

    legend = chart.legend._element
    place = legend.find("{*}legendPos")
    for i in positions:
        entry = parse_xml(
            f'<c:legendEntry {nsdecls("c")}><c:idx val="{i}"/><c:delete val="1"/></c:legendEntry>'
        )
        place.addnext(entry)
        place = entry
