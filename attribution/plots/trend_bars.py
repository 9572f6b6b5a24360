"""What moved the KPI from period to period: stacked contributions and the total change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.plots.page import Key, Words
from attribution.plots.scale import Need, fitted
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look
from attribution.plots.time_axis import GAP, LINE, Columns, begin, over, reach_of, widest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from attribution.trends import Trend

__all__ = ["trend_bars"]

LEAST_UNITS = 20
# The part of its column that a bar fills, and its most points.
THICK, MOST_THICK = 0.62, 56.0
# More kinds of contributions than this cannot be told apart; the smallest become "other".
MOST_KINDS = 6
# Where columns are too narrow for all numbers, so many are written.
MOST_NUMBERS = 6
_ORDER = (
    "rate",
    "interaction",
    "mix: jointly",
    "sampling",
    "phasing",
    "new levels",
    "gone levels",
    "over missing periods",
    "other",
)


def trend_bars(trend: Trend, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw the contributions to every change, stacked, with the total change as a line.

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
    What raises the KPI is stacked upward from 0, what lowers it downward; the point is their sum,
    with its interval. Levels that entered are one kind, those that left another.
    """
    theme = look(ax, theme)
    pen, f = Pen.of(theme), trend.format
    kinds, labels, table, total = _contributions(trend)
    up, down = (np.where(sign * table > 0, table, 0.0).sum(axis=0) for sign in (1, -1))
    low, high = _intervals(trend, labels, total)
    top, bottom = np.maximum(up, high), np.minimum(down, low)
    with theme.context():
        colors = dict(zip(kinds, theme.series, strict=False))
        words = _words(trend, colors, pen, labels)
        ax, columns = begin(ax, labels, words, pen)
        texts = [f.number(x, signed=True) for x in _displayed(trend, labels, total)]
        shown = _numbered(texts, total, columns, pen)
        line = LINE * theme.size + GAP
        rising = total >= 0
        needs = [Need(0.0)]
        for i in range(len(labels)):
            room = line if i in shown else 0.0
            needs.append(Need(top[i], above=room * rising[i]))
            needs.append(Need(bottom[i], below=room * (not rising[i])))
        reach = 0 if len(shown) == len(labels) else reach_of(texts, columns, pen)
        top, bottom = over(top, reach), -over(-bottom, reach)
        ax.set_ylim(*fitted(needs, columns.height, LEAST_UNITS * 10.0**-f.decimals / f.factor))
        thick = min(THICK, MOST_THICK / columns.width)
        _draw(ax, table, list(colors.values()), total, (low, high), thick, theme)
        for i in shown:
            pen.write(
                ax, texts[i], (i, top[i] if rising[i] else bottom[i]),
                (0, GAP / 2 if rising[i] else -GAP / 2), size=theme.size, color=theme.ink,
                bold=True, ha="center", va="bottom" if rising[i] else "top", role="value",
            )  # fmt: skip
        columns.write_labels(ax, pen)
        words.write(ax, pen, columns.margins, columns.page)
    return ax


def _displayed(trend: Trend, labels: list[str], total: np.ndarray) -> list[float]:
    """The changes that fit the displayed levels; of parts of a year there are no levels."""
    if trend.path == "year-to-date":
        return total.tolist()
    ends = {trend._label(s, 1): trend._step_total(s) for s in trend._steps}
    return [trend.format.step(ends[x].baseline, ends[x].current) for x in labels]


def _contributions(trend: Trend) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Kinds, periods, the contributions of each kind to each (kinds, periods), and their sums."""
    frame = trend.effects
    kind, labels = _kinds(frame), list(frame["period"].drop_duplicates())
    # The rate first and sums last, so that a kind has one color in most pictures.
    names = sorted(kind.drop_duplicates(), key=lambda x: _ORDER.index(x) if x in _ORDER else 1.5)
    table = frame["estimate"].groupby([kind, frame["period"]]).sum().unstack()
    values = table.reindex(index=names, columns=labels).fillna(0.0).to_numpy(float)
    return names, labels, values, values.sum(axis=0)


def _kinds(frame: pd.DataFrame) -> pd.Series:
    """What each row of the effects is called in the key; the smallest kinds are "other"."""
    names = {
        "joint": "mix: jointly",
        "entry": "new levels",
        "exit": "gone levels",
        "gap": "over missing periods",
    }
    kind = frame["effect"].replace(names)
    mix = frame["effect"] == "mix"
    kind = kind.mask(mix, "mix: " + frame["dimension"].astype(object).fillna(""))
    size = frame["estimate"].abs().groupby(kind).sum().sort_values(ascending=False)
    # Additive rates leave nothing to "jointly": no color for dust.
    gone = size.index[size <= 1e-12 * max(size.sum(), 1e-300)]
    kept = [x for x in size.index if x not in gone]
    if len(kept) > MOST_KINDS:
        kept = kept[: MOST_KINDS - 1]
    if not kept:
        return kind
    rest = "other" if len(size) - len(gone) > MOST_KINDS else kept[0]
    return kind.where(kind.isin(kept), rest)


def _intervals(trend: Trend, labels: list[str], total: np.ndarray):
    """The interval of each change; along the year-to-date path a period has none of its own."""
    if trend.path == "year-to-date":
        return total, total
    frame = trend.frame.set_index("period").loc[labels]
    low, high = (frame[x].to_numpy(float) for x in ("change_conf_low", "change_conf_high"))
    known = np.isfinite(low + high)
    return np.where(known, low, total), np.where(known, high, total)


def _words(trend: Trend, colors: dict[str, str], pen: Pen, labels: list[str]) -> Words:
    theme, f = pen.theme, trend.format
    unit = f" in {f.change_unit}" if f.change_unit else ""
    against = {
        "chained": "against the period before",
        "end-to-end": "last period against the first",
        "year-over-year": "against the year before",
        "year-to-date": "against the year before, weighted to the year",
    }.get(trend.path, f"against an earlier period ({trend.path})")
    subtitle = f"Change of {trend.metric.label}{unit} · {against}"
    keys = [Key("■", color, kind) for kind, color in colors.items()]
    keys.append(Key("◆", theme.ink, "change"))
    missing = [x for step in trend._steps for x in step.missing]
    gap = [f"No data for {', '.join(missing)}."] if missing else []
    notes = (*gap, *trend.notes())
    lacking = pen.lacks([trend.headline(), subtitle, *notes, *labels, *colors])
    return Words(
        trend.headline(), subtitle, tuple(keys), (*notes, *([MISSING_NOTE] if lacking else []))
    )


def _draw(
    ax: Axes, table: np.ndarray, colors: list[str], total, interval, thick: float, theme: Theme
) -> None:
    from matplotlib.patches import Rectangle

    low, high = interval
    above, below = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    for values, color in zip(table, colors, strict=True):
        for i, x in enumerate(values):
            start = above[i] if x > 0 else below[i]
            style: dict[str, Any] = {"facecolor": color, "edgecolor": theme.paper, "linewidth": 0.6}
            ax.add_patch(
                Rectangle((i - thick / 2, start), thick, x, label="_bar", zorder=2, **style)
            )
        above += np.maximum(values, 0.0)
        below += np.minimum(values, 0.0)
    places = np.arange(len(total))
    for color, width in ((theme.paper, 3.0), (theme.ink, 1.2)):
        ax.plot(places, total, color=color, linewidth=width, label="_total", zorder=4)
        for i in places:
            ax.plot(
                [i, i], [low[i], high[i]], color=color, linewidth=width, marker="_",
                markersize=5.0, markeredgewidth=width, label="_whisker", zorder=4,
            )  # fmt: skip
    ax.plot(
        places, total, linestyle="none", marker="D", markersize=5.0, color=theme.ink,
        markeredgecolor=theme.paper, label="_point", zorder=5,
    )  # fmt: skip
    ax.axhline(0.0, color=theme.ink, linewidth=0.8, label="_origin", zorder=3)


def _numbered(texts: list[str], total, columns: Columns, pen: Pen) -> list[int]:
    """The changes whose number is written: all, or the largest that do not collide."""
    wide = widest(texts, pen)
    if wide <= columns.width:
        return list(range(len(texts)))
    kept: list[int] = []
    for i in np.argsort(-np.abs(total), kind="stable"):
        if all(abs(int(i) - j) * columns.width >= wide for j in kept):
            kept.append(int(i))
    return kept[:MOST_NUMBERS]
