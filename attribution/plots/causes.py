"""Named causes as bars from 0 with their intervals, everywhere and the remainder below them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attribution.plots.floating import Stage
from attribution.plots.layout import Row, plan, value_axis
from attribution.plots.page import Key, Words, new_axes, place_size, set_margins
from attribution.plots.text import Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.causes import Causes

__all__ = ["causes_plot"]

# Axes never show less than this many units of the last displayed decimal.
_LEAST_UNITS = 20


def causes_plot(causes: Causes, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw what each cause adds to the change.

    Parameters
    ----------
    causes : Causes
    ax : Axes, optional
    theme : Theme, optional

    Returns
    -------
    Axes
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    rows = _rows(causes, theme)
    words = _words(causes, rows, theme)
    place = None if ax is None else place_size(ax)
    with theme.context():
        layout = plan(rows, words, pen, True, place)
        format = causes.format
        least = _LEAST_UNITS * 10.0**-format.decimals / format.factor
        axis = value_axis(rows, layout, False, least)
        if ax is None:
            ax = new_axes(*layout.size, theme)
        set_margins(ax, layout.margins)
        ax.set_axis_off()
        ax.set(xlim=(axis.low, axis.high), ylim=(len(rows) - 0.5, -0.5))
        stage = Stage(ax, layout, pen)
        stage.origin((-0.5, len(rows) - 0.5))
        for i, row in enumerate(rows):
            stage.bar(i, row.start, row)
            if row.whisker:
                stage.whisker(i, row.whisker)
            stage.number(i, row)
            stage.label(i, row)
        if any(row.interval for row in rows):
            stage.interval_column()
        words.write(ax, pen, layout.margins, layout.size[0])
    return ax


def _rows(causes: Causes, theme: Theme) -> list[Row]:
    format, good = causes.format, causes._words["better"] == "higher"

    def row(label: str, value: float, low: float, high: float, neutral: bool) -> Row:
        better = (value > 0) == good
        color = theme.neutral if neutral or value == 0 else theme.good if better else theme.bad
        known = math.isfinite(low + high) and low < high
        return Row(
            label,
            format.number(value, signed=True),
            0.0,
            value,
            color,
            whisker=(low, high) if known else None,
            interval=format.interval(low, high) if known else "",
        )

    common = causes.everywhere
    rows = [
        row(r["segment"], r["contribution"], r["conf_low"], r["conf_high"], False)
        for r in causes.rows()
    ]
    ends = common["conf_low"], common["conf_high"]
    rows.append(row("everywhere", common["contribution"], *ends, True))
    return [*rows, row("spread over the rest", causes.remainder, math.nan, math.nan, True)]


def _words(causes: Causes, rows: list[Row], theme: Theme) -> Words:
    about, unit = causes._words, causes.format.change_unit
    subtitle = (
        f"Contribution to {about['metric']}{f' in {unit}' if unit else ''}"
        f" · {about['current']} against {about['baseline']}"
    )
    colors = {row.color for row in rows}
    meanings = ((theme.good, "better"), (theme.bad, "worse"), (theme.neutral, "not named"))
    keys = tuple(Key("■", color, meaning) for color, meaning in meanings if color in colors)
    title, more = causes.message().rstrip("."), ()
    if causes.none:
        title, _, rest = causes.none.partition(". ")
        more = (rest,) if rest else ()
    return Words(title.rstrip("."), subtitle, keys, (*more, *causes.notes))
