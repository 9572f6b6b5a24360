"""Rows of floating bars laid out either way: margins, broken labels, limits of the value axis.

The value axis runs across for horizontal bars and upward for columns; "place" is the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from attribution.plots.page import PAD, Margins, Words
from attribution.plots.scale import Need, fitted
from attribution.plots.text import Pen

__all__ = ["GAP", "Axis", "Layout", "Row", "plan", "set_apart", "value_axis"]

# In points: gaps, the stub of a cut total, the page, the drawing's height and a column's width.
GAP, STUB = 7.0, 44.0
WIDTH, LEAST_WIDTH, DEPTH = 640.0, 440.0, 250.0
LEAST_COLUMN, MOST_COLUMN = 54.0, 96.0
LABEL = 158.0
LINE = 1.35
# A value axis shorter than this says nothing.
LEAST_LENGTH = 64.0
# A cut has to save at least this part of the axis, or it is not worth its mark.
WORTH_A_CUT = 0.5


@dataclass(frozen=True)
class Row:
    """One bar: from `start` to `end`, or for a total from the origin of the axis to `end`.

    Attributes
    ----------
    apart : bool
        A total on a scale of its own, away from the steps.
    look : str
        How a total is filled: "solid", "outlined" or "hatched".
    """

    label: str
    text: str
    start: float
    end: float
    color: str
    whisker: tuple[float, float] | None = None
    interval: str = ""
    pale: bool = False
    total: bool = False
    apart: bool = False
    look: str = "solid"

    @property
    def forward(self) -> bool:
        """Whether the number stands beyond the greater end."""
        return self.end >= self.start

    def reach(self) -> tuple[float, float]:
        """Return the least and greatest value that is drawn, a total's origin aside."""
        values = [self.end, *(() if self.total else (self.start,)), *(self.whisker or ())]
        return min(values), max(values)


class Axis(NamedTuple):
    """Limits of the value axis, and where totals start: at 0 unless they are cut."""

    low: float
    high: float
    origin: float

    @property
    def cut(self) -> bool:
        """Whether totals do not start at 0."""
        return self.origin != 0


@dataclass(frozen=True)
class Layout:
    """Where everything goes, in points.

    Attributes
    ----------
    horizontal : bool
    size : tuple of float
        Width and height of the whole picture.
    margins : Margins
    labels, intervals : tuple of str
        As they are written, with line breaks.
    needs : tuple of float
        The room each number takes along the value axis.
    crowded : bool
        Whether bars are so close that their words collide.
    below : float
        Where the intervals of columns are written, below the drawing.
    """

    horizontal: bool
    size: tuple[float, float]
    margins: Margins
    labels: tuple[str, ...]
    intervals: tuple[str, ...]
    needs: tuple[float, ...]
    crowded: bool
    below: float = 0.0

    @property
    def pitch(self) -> float:
        """The distance from bar to bar."""
        left, right, top, bottom = self.margins
        room = self.size[1] - top - bottom if self.horizontal else self.size[0] - left - right
        return room / len(self.labels)

    @property
    def fits(self) -> bool:
        """Whether bars can be told apart and compared in the given place."""
        return not self.crowded and self.length >= LEAST_LENGTH

    @property
    def length(self) -> float:
        """The length of the value axis."""
        left, right, top, bottom = self.margins
        return self.size[0] - left - right if self.horizontal else self.size[1] - top - bottom


def plan(
    rows: Sequence[Row], words: Words, pen: Pen, horizontal: bool, place: tuple[float, float] | None
) -> Layout:
    """Lay out rows and words in a place of (width, height) points, or in one that fits them."""
    return (_plan_bars if horizontal else _plan_columns)(rows, words, pen, place)


def _plan_bars(
    rows: Sequence[Row], words: Words, pen: Pen, place: tuple[float, float] | None
) -> Layout:
    theme, count = pen.theme, len(rows)
    width = place[0] if place else WIDTH
    above, below = words.heights(pen, width)
    column = max(pen.width(row.interval, theme.small_size) for row in rows)
    head = LINE * theme.small_size if column else 0.0
    top, bottom = PAD + above + GAP + head, GAP + below + PAD
    line = LINE * theme.size
    row_room = (place[1] - top - bottom) / count if place else 2 * line
    labels = [
        pen.wrap(
            row.label,
            min(LABEL, 0.3 * width),
            2 if row_room >= 2 * line else 1,
            theme.size,
            row.total,
        )
        for row in rows
    ]
    height = place[1] if place else (top + bottom + count * (max(map(len, labels)) * line + GAP))
    labeled = max(
        pen.width(x, theme.size, row.total)
        for row, lines in zip(rows, labels, strict=True)
        for x in lines
    )
    right = PAD + (max(column, pen.width("interval", theme.small_size)) + 2 * GAP if column else 0)
    return Layout(
        True,
        (width, height),
        Margins(PAD + labeled + GAP, right, top, bottom),
        tuple("\n".join(x) for x in labels),
        tuple(row.interval for row in rows),
        tuple(pen.width(row.text, theme.size, True) + GAP for row in rows),
        row_room < line,
    )


def _plan_columns(
    rows: Sequence[Row], words: Words, pen: Pen, place: tuple[float, float] | None
) -> Layout:
    theme, count = pen.theme, len(rows)
    intervals = [row.interval.replace(" to ", " to\n") for row in rows]
    parts = [x for interval in intervals for x in interval.split("\n")]
    head = pen.width("interval", theme.small_size) + GAP if any(parts) else 0.0
    needed = GAP + max(
        *(pen.width(row.text, theme.size, True) for row in rows),
        *(pen.width(x, theme.small_size) for x in parts),
    )
    inner = (place[0] if place else WIDTH) - 2 * PAD - head
    column = inner / count
    if place is None:
        words_fit = GAP + max(pen.longest_word(row.label, theme.size, row.total) for row in rows)
        column = max(needed, min(max(column, words_fit, LEAST_COLUMN), MOST_COLUMN))
    width = place[0] if place else max(2 * PAD + head + column * count, LEAST_WIDTH)
    column = (width - 2 * PAD - head) / count
    labels = [pen.wrap(row.label, column - GAP, 4, theme.size, row.total) for row in rows]
    above, below = words.heights(pen, width)
    top = PAD + above + 2 * GAP
    labeled = GAP + max(map(len, labels)) * LINE * theme.size + GAP
    bottom = labeled + (2 * LINE * theme.small_size + GAP if head else 0.0) + below + PAD
    height = place[1] if place else top + DEPTH + bottom
    return Layout(
        False,
        (width, height),
        Margins(PAD + head, PAD, top, bottom),
        tuple("\n".join(x) for x in labels),
        tuple(intervals),
        (LINE * theme.size + GAP / 2,) * count,
        column < needed,
        labeled,
    )


def value_axis(rows: Sequence[Row], layout: Layout, zoom: bool, least: float) -> Axis:
    """Return the value axis; with `zoom` the totals are cut where that shows the steps larger."""
    full, near = [Need(0.0)], []
    for row, need in zip(rows, layout.needs, strict=True):
        if row.apart:
            continue
        low, high = row.reach()
        sides = (0.0, need) if row.forward else (need, 0.0)
        full += [Need(low, below=sides[0]), Need(high, above=sides[1])]
        stub = STUB if row.total else 0.0
        near += [
            Need(low, below=max(sides[0], stub * row.forward)),
            Need(high, above=max(sides[1], stub * (not row.forward))),
        ]
    whole = fitted(full, layout.length, least)
    close = fitted(near, layout.length, least)
    if not zoom or close[1] - close[0] > WORTH_A_CUT * (whole[1] - whole[0]):
        return Axis(*whole, 0.0)
    return Axis(*close, close[0] if close[0] > 0 else close[1])


def set_apart(rows: Sequence[Row], layout: Layout, axis: Axis) -> list[Row]:
    """Give the totals that stand apart a scale of their own, from 0, on the axis of the steps."""
    ends = [0.0, *(row.end for row in rows if row.apart)]
    length = axis.high - axis.low
    room = length * (1 - 1.2 * max(layout.needs) / layout.length)
    scale = room / ((max(ends) - min(ends)) or 1.0)
    shift = axis.low - min(ends) * scale + (length - room) * (min(ends) < 0)
    return [
        replace(row, start=shift, end=shift + row.end * scale) if row.apart else row for row in rows
    ]
