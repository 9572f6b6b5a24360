"""The funnel plot: each entity's adjusted KPI by its size, with the limits of chance around all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.errors import OptionError
from attribution.formatting import Format
from attribution.plots.page import PAD, Key, Margins, Words, new_axes, place_size, set_margins
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Funnel", "funnel"]

# In points.
WIDTH, DEPTH = 640.0, 300.0
GAP = 7.0
_NAMED = 12


@dataclass(frozen=True, eq=False)
class Funnel:
    """What is drawn; arrays of shape (K,).

    Attributes
    ----------
    labels : tuple of str
    n, value : ndarray
        Size and KPI of each entity.
    limits : ndarray, shape (4, K)
        Low and high at 95 %, low and high at 99.8 %.
    center : float
        The KPI of all.
    impact : ndarray
        1 better, -1 worse than the 95 % limits, doubled beyond the 99.8 % ones; 0 as expected;
        NaN too few to be judged.
    format : Format
    title, subtitle : str
    notes : tuple of str
    """

    labels: tuple[str, ...]
    n: np.ndarray
    value: np.ndarray
    limits: np.ndarray
    center: float
    impact: np.ndarray
    format: Format
    title: str
    subtitle: str
    notes: tuple[str, ...] = ()

    def reach(self) -> tuple[float, float]:
        """Return the values that are judged, with the limits as far as they help to see them."""
        judged = ~np.isnan(self.impact)
        value = self.value[judged] if judged.any() else self.value
        reach = [value.min(), value.max(), self.center]
        if judged.any():
            inner = self.limits[:2, judged]
            spread = 1.5 * (max(reach) - min(reach)) or abs(self.center) or 1.0
            reach += [
                max(inner.min(), self.center - spread),
                min(inner.max(), self.center + spread),
            ]
        low, high = float(min(reach)), float(max(reach))
        room = 0.06 * (high - low) or 1.0
        return low - room, high + room

    def ticks(self) -> list[float]:
        """Return round values, as displayed, that span `reach`: the axis of a native chart."""
        from matplotlib.ticker import MaxNLocator

        factor = self.format.factor
        return [float(x) for x in MaxNLocator(6).tick_values(*(x * factor for x in self.reach()))]


def funnel(shown: Funnel, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw entities by size with funnel limits.

    Parameters
    ----------
    shown : Funnel
    ax : Axes, optional
        Drawn into, with all words inside its present place. None makes a figure that fits.
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        x is the size, y the KPI in its own units.

    Raises
    ------
    OptionError
        There is no entity.

    Notes
    -----
    Each limit is that of an entity of this size and work, joined by lines: limits belong to the
    points, not to the paper. Those outside are named, blue where better and orange where worse.
    """
    if not len(shown.n):
        raise OptionError("entities: none can be compared, so there is nothing to draw.")
    theme = look(ax, theme)
    pen = Pen.of(theme)
    with theme.context():
        width = WIDTH if ax is None else place_size(ax)[0]
        words = _words(shown, pen)
        above, below = words.heights(pen, width)
        scale = _ticks(*shown.reach())
        left = PAD + max(pen.width(shown.format.level(y), theme.size) for y in scale) + GAP
        bottom = PAD + below + 4 * theme.size + GAP
        margins = Margins(left, PAD + GAP, PAD + above + GAP, bottom)
        if ax is None:
            ax = new_axes(width, margins.top + DEPTH + margins.bottom, theme)
        set_margins(ax, margins)
        _draw(ax, shown, scale, pen)
        words.write(ax, pen, margins, width)
    return ax


def _inside(shown: Funnel) -> np.ndarray:
    low, high = shown.reach()
    return (shown.value >= low) & (shown.value <= high)


def _ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    found = [float(x) for x in MaxNLocator(5).tick_values(low, high) if low <= x <= high]
    return found or [low, high]


def _draw(ax: Axes, shown: Funnel, scale: list[float], pen: Pen) -> None:
    theme = pen.theme
    low, high = shown.reach()
    most = float(shown.n.max()) * 1.04
    ax.set(xlim=(0, most), ylim=(low, high), xticks=[], yticks=[])
    ax.set_facecolor("none")
    for side in ax.spines.values():
        side.set_visible(False)
    order = np.argsort(shown.n, kind="stable")
    judged = order[~np.isnan(shown.impact[order])]
    for row, dash in zip(shown.limits, ("-", "-", (0, (4, 3)), (0, (4, 3))), strict=True):
        ax.plot(
            shown.n[judged], row[judged], color=theme.quiet, linewidth=0.8, linestyle=dash,
            label="_limit", zorder=1,
        )  # fmt: skip
    ax.plot([0, most], [shown.center] * 2, color=theme.ink, linewidth=0.9, label="_center")
    inside = order[_inside(shown)[order]]
    # Those outside last, on top; one artist a kind, since there may be a hundred thousand.
    for impact in (np.nan, 0.0, 1.0, -1.0, 2.0, -2.0):
        same = np.isnan(shown.impact) if np.isnan(impact) else shown.impact == impact
        some = inside[same[inside]]
        if not len(some):
            continue
        color, face = _color(impact, theme)
        ax.plot(
            shown.n[some], shown.value[some], marker="o", markersize=5.0, linestyle="none",
            color=color, markerfacecolor=face, label="_entity", zorder=3, clip_on=False,
        )  # fmt: skip
    _name(ax, shown, pen)
    for y in scale:
        pen.write(
            ax, shown.format.level(y), (0, y), (-GAP, 0), size=theme.size, color=theme.quiet,
            ha="right", va="center", role="tick",
        )  # fmt: skip
    sizes = _ticks(0, most)
    for x in sizes:
        pen.write(
            ax, f"{x:,.0f}", (x, low), (0, -GAP), size=theme.size, color=theme.quiet,
            ha="center", va="top", role="tick",
        )  # fmt: skip
    pen.write(
        ax, "n", (sizes[-1], low), (0, -GAP - 1.6 * theme.size), size=theme.size,
        color=theme.quiet, ha="center", va="top", role="axis",
    )  # fmt: skip


def _color(impact: float, theme: Theme) -> tuple[str, str]:
    if np.isnan(impact):
        return theme.baseline, theme.paper
    if impact == 0:
        return theme.neutral, theme.neutral
    color = theme.good if impact > 0 else theme.bad
    return color, color if abs(impact) > 1 else theme.tint(color)


def _name(ax: Axes, shown: Funnel, pen: Pen) -> None:
    """Name those outside, the furthest first, where names do not cover each other."""
    theme = pen.theme
    box = ax.get_window_extent()
    scale = 72 / ax.figure.dpi
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    out = np.flatnonzero(np.nan_to_num(shown.impact) != 0)
    ranked = out[np.argsort(-np.abs(shown.value[out] - shown.center), kind="stable")]
    taken: list[tuple[float, float, float]] = []
    for i in ranked[: 4 * _NAMED]:
        text = " ".join(pen.wrap(shown.labels[i], 110, 1, theme.size))
        wide = pen.width(text, theme.size)
        x = float((shown.n[i] - x0) / (x1 - x0) * box.width * scale)
        y = float((shown.value[i] - y0) / (y1 - y0) * box.height * scale)
        right = x + GAP + wide <= box.width * scale
        left = x + GAP if right else x - GAP - wide
        clash = any(
            abs(y - b) < 1.3 * theme.size and left < c and a < left + wide for a, b, c in taken
        )
        if clash or len(taken) >= _NAMED:
            continue
        taken.append((left, y, left + wide))
        pen.write(
            ax, text, (float(shown.n[i]), float(shown.value[i])), (GAP if right else -GAP, 0),
            size=theme.size, color=theme.ink, ha="left" if right else "right", va="center",
            role="name", ground=theme.paper,
        )  # fmt: skip


def _words(shown: Funnel, pen: Pen) -> Words:
    theme = pen.theme
    keys = []
    if (shown.impact > 0).any():
        keys.append(Key("●", theme.good, "better than its work explains"))
    if (shown.impact < 0).any():
        keys.append(Key("●", theme.bad, "worse"))
    if (np.abs(np.nan_to_num(shown.impact)) == 1).any():
        keys.append(Key("●", theme.tint(theme.neutral), "pale: outside 95 % only"))
    if np.isnan(shown.impact).any():
        keys.append(Key("○", theme.baseline, "too few"))
    keys += [Key("—", theme.quiet, "95 %"), Key("- -", theme.quiet, "99.8 % limits")]
    keys.append(Key("//", theme.ink, "the axis does not start at 0"))
    lacking = pen.lacks([shown.title, shown.subtitle, *shown.labels])
    beyond = int((~_inside(shown)).sum())
    note = [f"{beyond:,} with too few rows lie beyond the picture."] if beyond else []
    notes = (*note, *shown.notes, *([MISSING_NOTE] if lacking else []))
    return Words(shown.title, shown.subtitle, tuple(keys), notes)
