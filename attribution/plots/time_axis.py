"""Columns in time order: how wide they are, which of their labels are written, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.errors import OptionError
from attribution.plots.page import PAD, Margins, Words, new_axes, place_size, set_margins
from attribution.plots.text import Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GAP", "LINE", "Columns", "begin", "over", "reach_of", "widest"]

# In points: a column as wide as it likes to be, the drawing's height, gaps.
COLUMN, WIDTH, MOST_WIDTH, HEIGHT = 46.0, 560.0, 980.0, 230.0
GAP = 7.0
LINE = 1.35
LEAST_HEIGHT, LEAST_COLUMN = 70.0, 5.0


@dataclass(frozen=True)
class Columns:
    """Columns of equal width side by side.

    Attributes
    ----------
    width, height : float
        Of one column and of the drawing, in points.
    every : int
        Every how many columns a label is written.
    labels : dict of int to str
        The labels that are written, with their line breaks.
    margins : Margins
    page : float
        The width of the whole picture.
    """

    width: float
    height: float
    every: int
    labels: dict[int, str]
    margins: Margins
    page: float

    def write_labels(self, ax: Axes, pen: Pen) -> None:
        """Write the labels below the drawing."""
        theme = pen.theme
        for i, text in self.labels.items():
            pen.write(
                ax,
                text,
                (i, 0),
                (0, -GAP),
                coordinates=ax.get_xaxis_transform(),
                size=theme.size,
                color=theme.ink,
                ha="center",
                va="top",
                role="label",
            )


def begin(ax: Axes | None, labels: Sequence[str], words: Words, pen: Pen) -> tuple[Axes, Columns]:
    """Return axes with room for words and labels around them, and where the columns are.

    Parameters
    ----------
    ax : Axes or None
        Drawn into, with all words inside its present place.
    labels : sequence of str
        One per column.
    words : Words
    pen : Pen

    Raises
    ------
    OptionError
        `ax` is too small.
    """
    theme, count = pen.theme, len(labels)
    place = None if ax is None else place_size(ax)
    page = place[0] if place else min(max(WIDTH, 2 * PAD + COLUMN * count), MOST_WIDTH)
    # A label or number at either end may reach beyond its column.
    column = (page - 2 * PAD) / count
    above, below = words.heights(pen, page)
    every, lines = _fitted(labels, column, pen)
    deep = max(len(x) for x in lines.values()) * LINE * theme.size
    top, bottom = PAD + above + 2 * GAP, GAP + deep + GAP + below + PAD
    height = place[1] - top - bottom if place else HEIGHT
    if height < LEAST_HEIGHT or column < LEAST_COLUMN:
        raise OptionError(
            f"ax: {page / 72:.1f} x {(height + top + bottom) / 72:.1f} inches is too small for "
            f"{count} periods and their words. Give it about 8 x 4.5, or leave it out."
        )
    if ax is None:
        ax = new_axes(page, height + top + bottom, theme)
    margins = Margins(PAD, PAD, top, bottom)
    set_margins(ax, margins)
    ax.set_axis_off()
    ax.set_xlim(-0.5, count - 0.5)
    written = {i: "\n".join(x) for i, x in lines.items()}
    return ax, Columns(column, height, every, written, margins, page)


def widest(texts: Sequence[str], pen: Pen) -> float:
    """Return the room that the widest number takes, with a gap."""
    return max(pen.width(x, pen.theme.size, bold=True) for x in texts) + GAP


def reach_of(texts: Sequence[str], columns: Columns, pen: Pen) -> int:
    """Return how many columns a number reaches beyond its own on either side."""
    return math.ceil(max(widest(texts, pen) - columns.width, 0.0) / 2 / columns.width)


def over(values: np.ndarray, reach: int) -> np.ndarray:
    """Return the largest value within so many columns of each: above it a number is free."""
    count = range(len(values))
    return np.array([values[max(0, i - reach) : i + reach + 1].max() for i in count])


def _fitted(labels: Sequence[str], column: float, pen: Pen) -> tuple[int, dict[int, list[str]]]:
    """The smallest stride at which labels do not touch, and the lines of those that are written."""
    size, count = pen.theme.size, len(labels)
    wide = max(pen.longest_word(label, size) for label in labels)
    every = min(max(math.ceil((wide + GAP) / column), 1), count)
    room = max(every * column - GAP, wide)
    lines = {i: pen.wrap(labels[i], room, 3, size) for i in range(count - 1, -1, -every)}

    def inside(i: int) -> bool:
        middle, own = (i + 0.5) * column, max(pen.width(x, size) for x in lines[i])
        return min(middle, count * column - middle) + PAD - 2 >= own / 2

    return every, {i: x for i, x in lines.items() if inside(i)} or lines
