"""Scales on a canvas: round ticks with their words, and labels that avoid what is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attribution.plots.canvas import Canvas
from attribution.plots.layout import GAP, LINE
from attribution.plots.text import Pen

__all__ = ["Scale", "place_labels", "scale", "spread", "x_axis", "y_axis"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scale:
    """A value axis in points of paper: `low` stands at `start`, `high` at `stop`.

    Attributes
    ----------
    ticks : tuple of (float, str)
        Values with their words.
    """

    low: float
    high: float
    start: float
    stop: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Return where a value stands."""
        part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.stop - self.start)


def scale(
    low: float,
    high: float,
    start: float,
    stop: float,
    write: Callable[[float], str],
    most: int = 5,
) -> Scale:
    """Return a scale with round ticks within its limits.

    Parameters
    ----------
    low, high : float
    start, stop : float
        In points.
    write : callable
        The words of a tick.
    most : int
        Ticks are about this many.

    Returns
    -------
    Scale

    Examples
    --------
    >>> [text for _, text in scale(0.0, 9.0, 0, 100, "{:.0f}".format).ticks]
    ['0', '2', '4', '6', '8']
    """
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    inside = [float(v) for v in found if low <= v <= high]
    return Scale(low, high, start, stop, tuple((v, write(v)) for v in inside))


def widest(made: Scale, pen: Pen) -> float:
    """Return the points that the words of a scale take across."""
    return max((pen.width(text, pen.theme.small_size) for _, text in made.ticks), default=0.0)


def x_axis(canvas: Canvas, x: Scale, y: float, title: str = "") -> None:
    """Draw a scale below a drawing that ends at y; ticks whose words would touch are left out."""
    theme, size = canvas.pen.theme, canvas.pen.theme.small_size
    canvas.line((x.start, x.stop), (y, y), theme.quiet, 0.7, role="axis")
    last = float("-inf")
    for value, text in x.ticks:
        at, half = x.at(value), canvas.pen.width(text, size) / 2
        if at - half < last + GAP / 2 or at + half > canvas.width:
            continue
        last = at + half
        canvas.line((at, at), (y, y + 3), theme.quiet, 0.7, role="tick")
        style = {"size": size, "color": theme.quiet, "ha": "center", "va": "top"}
        canvas.text(at, y + 4, text, role="tick", **style)
    if title:
        style = {"size": size, "color": theme.quiet, "ha": "right", "va": "top"}
        canvas.text(x.stop, y + 6 + LINE * size, title, role="axis", **style)


def y_axis(canvas: Canvas, y: Scale, x: float) -> None:
    """Draw a scale left of a drawing that begins at x."""
    theme, size = canvas.pen.theme, canvas.pen.theme.small_size
    canvas.line((x, x), (y.start, y.stop), theme.quiet, 0.7, role="axis")
    for value, text in y.ticks:
        at = y.at(value)
        canvas.line((x - 3, x), (at, at), theme.quiet, 0.7, role="tick")
        canvas.text(x - 5, at, text, role="tick", size=size, color=theme.quiet, ha="right")


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that they are `apart` and inside [low, high].

    Examples
    --------
    >>> spread([10.0, 11.0, 30.0], 5.0, 0.0, 100.0)
    [10.0, 15.0, 30.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    found, before = [0.0] * len(wanted), low - apart
    for i in order:
        found[i] = before = max(wanted[i], before + apart)
    after = high + apart
    for i in reversed(order):
        found[i] = after = min(found[i], after - apart)
    return found


def place_labels(
    canvas: Canvas,
    labels: Sequence[str],
    points: Sequence[tuple[float, float]],
    radii: Sequence[float],
    room: Box,
    taken: Sequence[Box] = (),
    lines: Sequence[Box] = (),
) -> int:
    """Write labels beside their points, the first ones first, where there is room for them.

    Parameters
    ----------
    canvas : Canvas
    labels : sequence of str
        Each on one line already.
    points : sequence of (float, float)
    radii : sequence of float
        Of what is drawn at the points.
    room : (left, top, right, bottom)
    taken : sequence of boxes
        Where no label may lie.
    lines : sequence of boxes
        Where a label lies only if there is no other room: a line through a text strikes it out.

    Returns
    -------
    int
        How many labels found no room.
    """
    size = canvas.pen.theme.small_size
    high, used, left_out = 1.3 * size, list(taken), 0
    discs = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(points, radii, strict=True)]
    for i, label in enumerate(labels):
        wide = canvas.pen.width(label, size)
        (x, y), r = points[i], radii[i] + 2
        corners = [
            (x + r, y - high / 2),
            (x - r - wide, y - high / 2),
            (x - wide / 2, y - r - high),
            (x - wide / 2, y + r),
            (x + 0.7 * r, y - 0.7 * r - high),
            (x + 0.7 * r, y + 0.7 * r),
            (x - 0.7 * r - wide, y - 0.7 * r - high),
            (x - 0.7 * r - wide, y + 0.7 * r),
        ]
        others = [*used, *discs[:i], *discs[i + 1 :]]
        boxes = [(a, b, a + wide, b + high) for a, b in corners]
        free = [
            box
            for box in boxes
            if _inside(box, room) and not any(_overlap(box, other) for other in others)
        ]
        free.sort(key=lambda box: any(_overlap(box, line) for line in lines))
        if free:
            box = free[0]
            used.append(box)
            canvas.text(box[0], box[1] + high / 2, label, role="label", size=size)
        else:
            left_out += 1
    return left_out


def _inside(box: Box, room: Box) -> bool:
    return box[0] >= room[0] and box[1] >= room[1] and box[2] <= room[2] and box[3] <= room[3]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
