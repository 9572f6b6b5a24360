"""The KPI over time with the interval of each period; gaps stay gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attribution.plots.page import Key, Words
from attribution.plots.scale import Need, fitted
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look
from attribution.plots.time_axis import GAP, LINE, Columns, begin, over, reach_of, widest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.trends import Trend

__all__ = ["trend_line"]

# The axis never shows less than this many units of the last displayed decimal.
LEAST_UNITS = 20


def trend_line(trend: Trend, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw the KPI of every period with its interval.

    Parameters
    ----------
    trend : Trend
    ax : Axes, optional
        Drawn into, with all words inside its present place. None makes a figure that fits.
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        `ax` is too small.

    Notes
    -----
    A filled point is a period whose change is more than noise. The line does not cross periods
    that are missing. The axis does not start at 0, and says so: what is shown are points, not bars.
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    frame, f = trend.frame, trend.format
    value = frame["value"].to_numpy(float)
    known = np.isfinite(frame["conf_low"]) & np.isfinite(frame["conf_high"])
    low = np.where(known, frame["conf_low"], value)
    high = np.where(known, frame["conf_high"], value)
    labels = list(frame["period"])
    with theme.context():
        words = _words(trend, labels, pen)
        ax, columns = begin(ax, labels, words, pen)
        shown = _numbered(value, [f.number(x) for x in value], columns, pen)
        line = LINE * theme.size
        texts = list(shown.values())
        tops = over(high, 0 if len(shown) == len(high) else reach_of(texts, columns, pen))
        # The end of a whisker that lies on the axis looks cut off.
        needs = [Need(x, below=GAP) for x in [*low, *high]]
        needs += [Need(tops[i], above=line + GAP) for i in shown]
        least = LEAST_UNITS * 10.0**-f.decimals / f.factor
        ax.set_ylim(*fitted(needs, columns.height, least))
        _draw(ax, trend, value, low, high, theme)
        for i, text in shown.items():
            pen.write(
                ax, text, (i, tops[i]), (0, GAP / 2), size=theme.size, color=theme.ink,
                bold=i == len(value) - 1, ha="center", va="bottom", role="value",
                ground=theme.paper,
            )  # fmt: skip
        columns.write_labels(ax, pen)
        words.write(ax, pen, columns.margins, columns.page)
    return ax


def _words(trend: Trend, labels: list[str], pen: Pen) -> Words:
    theme, f = pen.theme, trend.format
    unit = f" in {f.unit}" if f.unit else ""
    worse = " (lower is better)" if trend.metric.better == "lower" else ""
    subtitle = f"{trend.metric.label}{unit}{worse} · {labels[0]} → {labels[-1]}"
    real = any(change.verdict == "real" for change in trend.steps.values())
    keys = [Key("●", theme.current, "the change is more than noise")] if real else []
    keys.append(Key("│", theme.quiet, f"{100 * trend.options.conf_level:g} % interval"))
    keys.append(Key("//", theme.ink, "the axis does not start at 0"))
    notes = (*_gaps(trend), *trend.notes())
    lacking = pen.lacks([trend.headline(), subtitle, *notes, *labels])
    return Words(
        trend.headline(), subtitle, tuple(keys), (*notes, *([MISSING_NOTE] if lacking else []))
    )


def _gaps(trend: Trend) -> list[str]:
    missing = [x for step in trend._steps for x in step.missing]
    return [f"No data for {', '.join(missing)}."] if missing else []


def _draw(ax: Axes, trend: Trend, value, low, high, theme: Theme) -> None:
    broken = {step.pair[1] for step in trend._steps if step.missing}
    at, levels = [], []
    for i, x in enumerate(value):
        if i in broken:
            at.append(i - 0.5)
            levels.append(np.nan)
        at.append(i)
        levels.append(x)
    ax.plot(at, levels, color=theme.current, linewidth=1.4, label="_line", zorder=3)
    for i in range(len(value)):
        ax.plot(
            [i, i], [low[i], high[i]], color=theme.quiet, linewidth=0.9, marker="_",
            markersize=5.0, label="_whisker", zorder=2,
        )  # fmt: skip
    real = [trend.cube.periods[i] in _real(trend) for i in range(len(value))]
    for i, filled in enumerate(real):
        ax.plot(
            [i], [value[i]], marker="o", markersize=5.0, label="_point", zorder=4,
            color=theme.current, markerfacecolor=theme.current if filled else theme.paper,
        )  # fmt: skip
    ax.plot(
        [0, 1], [0, 0], color=theme.quiet, linewidth=0.7, label="_axis", clip_on=False,
        transform=ax.transAxes,
    )  # fmt: skip


def _real(trend: Trend) -> set[str]:
    return {label for label, change in trend.steps.items() if change.verdict == "real"}


def _numbered(value, texts: list[str], columns: Columns, pen: Pen) -> dict[int, str]:
    """The points whose number is written: all, or the ends and extremes that do not collide."""
    wide = widest(texts, pen)
    if wide <= columns.width:
        return dict(enumerate(texts))
    wanted = [len(value) - 1, 0, int(np.argmax(value)), int(np.argmin(value))]
    kept: list[int] = []
    for i in wanted:
        if all(abs(i - j) * columns.width >= wide for j in kept):
            kept.append(i)
    return {i: texts[i] for i in sorted(kept)}
