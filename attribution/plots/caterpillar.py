"""The caterpillar plot: entities from best to worst, each with its interval and rank interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.errors import OptionError
from attribution.formatting import Format
from attribution.plots.page import (
    PAD,
    POINTS_PER_INCH,
    Key,
    Margins,
    Words,
    new_axes,
    place_size,
    set_margins,
)
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Caterpillar", "caterpillar"]

# In points.
WIDTH, ROW, LEAST_ROW, LABEL = 640.0, 17.0, 11.0, 150.0
GAP = 7.0


@dataclass(frozen=True, eq=False)
class Caterpillar:
    """What is drawn, from the top down; arrays of shape (K,).

    Attributes
    ----------
    labels : tuple of str
    value, low, high : ndarray
        KPI and interval.
    ranks : tuple of str
        "2–7".
    target : ndarray
        NaN where there is none.
    center : float
        The KPI of all.
    impact : ndarray
        1 where the whole interval is better than the center, -1 where worse, else 0.
    format : Format
    title, subtitle : str
    notes : tuple of str
    """

    labels: tuple[str, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ranks: tuple[str, ...]
    target: np.ndarray
    center: float
    impact: np.ndarray
    format: Format
    title: str
    subtitle: str
    notes: tuple[str, ...] = ()


def caterpillar(shown: Caterpillar, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw intervals side by side.

    Parameters
    ----------
    shown : Caterpillar
    ax : Axes, optional
        Drawn into, with all words inside its present place. None makes a figure that fits.
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        x is the KPI in its own units, y counts rows from 0 at the top.

    Raises
    ------
    OptionError
        There is no entity, or `ax` is too small for the rows.
    """
    K = len(shown.labels)
    if not K:
        raise OptionError("entities: none can be compared, so there is nothing to draw.")
    theme = look(ax, theme)
    pen = Pen.of(theme)
    with theme.context():
        width, height = (WIDTH, 0.0) if ax is None else place_size(ax)
        words = _words(shown, pen)
        above, below = words.heights(pen, width)
        limit = min(LABEL, 0.3 * width)
        names = [" ".join(pen.wrap(x, limit, 1, theme.size)) for x in shown.labels]
        left = PAD + max(pen.width(x, theme.size) for x in names) + GAP
        numbers = [shown.format.level(float(x)) for x in shown.value]
        column = max(pen.width(x, theme.size) for x in numbers) + GAP
        second = max(pen.width(x, theme.size) for x in (*shown.ranks, "rank")) + 2 * GAP
        top, bottom = PAD + above + GAP + 1.6 * theme.size, PAD + below + 2 * theme.size + GAP
        margins = Margins(left, PAD + column + second, top, bottom)
        if ax is None:
            ax = new_axes(width, top + K * ROW + bottom, theme)
        elif (height - top - bottom) / K < LEAST_ROW:
            inches = (top + bottom + K * LEAST_ROW) / POINTS_PER_INCH
            raise OptionError(
                f"ax: {height / POINTS_PER_INCH:.1f} inches are too low for {K} rows. Give it "
                f"{inches:.1f}, show fewer (most=), or leave it out."
            )
        set_margins(ax, margins)
        _draw(ax, shown, pen)
        for i, (name, number, rank) in enumerate(zip(names, numbers, shown.ranks, strict=True)):
            _beside(ax, pen, name, 0, i, -GAP, theme.ink)
            _beside(ax, pen, number, 1, i, column, theme.ink)
            _beside(ax, pen, rank, 1, i, column + second, theme.quiet)
        _beside(ax, pen, "rank", 1, -0.5, column + second, theme.quiet, "bottom")
        words.write(ax, pen, margins, width)
    return ax


def _beside(
    ax: Axes, pen: Pen, text: str, x: float, row: float, offset: float, color: str,
    va: str = "center",
) -> None:  # fmt: skip
    """Write into a column beside the drawing, flush right."""
    pen.write(
        ax, text, (x, row), (offset, 0), size=pen.theme.size, color=color, ha="right", va=va,
        role="cell", coordinates=("axes fraction", "data"),
    )  # fmt: skip


def _draw(ax: Axes, shown: Caterpillar, pen: Pen) -> None:
    theme, K = pen.theme, len(shown.labels)
    reach = np.concatenate([shown.low, shown.high, shown.target[~np.isnan(shown.target)]])
    low, high = min(reach.min(), shown.center), max(reach.max(), shown.center)
    room = 0.03 * (high - low) or 1.0
    ax.set(xlim=(low - room, high + room), ylim=(K - 0.5, -0.5), xticks=[], yticks=[])
    ax.set_facecolor("none")
    for side in ax.spines.values():
        side.set_visible(False)
    ax.plot([shown.center] * 2, [-0.5, K - 0.5], color=theme.ink, linewidth=0.9, label="_center")
    for i in range(K):
        impact = shown.impact[i]
        color = theme.neutral if impact == 0 else theme.good if impact > 0 else theme.bad
        ax.plot(
            [shown.low[i], shown.high[i]], [i, i], color=color, linewidth=1.6, label="_interval",
            solid_capstyle="butt",
        )  # fmt: skip
        ax.plot([shown.value[i]], [i], marker="o", markersize=4.5, color=color, label="_entity")
        if not np.isnan(shown.target[i]):
            ax.plot(
                [shown.target[i]], [i], marker="|", markersize=10, markeredgewidth=1.6,
                color=theme.ink, label="_target",
            )  # fmt: skip
    text = f"all {shown.format.level(shown.center)}"
    pen.write(
        ax, text, (shown.center, K - 0.5), (0, -GAP / 2), size=theme.size, color=theme.ink,
        ha="center", va="top", role="center",
    )  # fmt: skip


def _words(shown: Caterpillar, pen: Pen) -> Words:
    theme = pen.theme
    keys = []
    if (shown.impact > 0).any():
        keys.append(Key("●", theme.good, "better than all"))
    if (shown.impact < 0).any():
        keys.append(Key("●", theme.bad, "worse than all"))
    keys.append(Key("●", theme.neutral, "not distinguishable"))
    if not np.isnan(shown.target).all():
        keys.append(Key("|", theme.ink, "target"))
    keys.append(Key("//", theme.ink, "the axis does not start at 0"))
    lacking = pen.lacks([shown.title, shown.subtitle, *shown.labels])
    notes = (*shown.notes, *([MISSING_NOTE] if lacking else []))
    return Words(shown.title, shown.subtitle, tuple(keys), notes)
