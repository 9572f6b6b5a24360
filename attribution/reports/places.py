"""Where the numbers of a line stand: beside each point, on the side that the line leaves free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

__all__ = ["SIDES", "label_box", "label_sides"]

# In the order in which a reader expects a number.
SIDES = ("above", "below", "right", "left")
_GAP, _AIR = 6.0, 3.0

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def label_box(point: Point, size: tuple[float, float], side: str) -> Box:
    """Return left, top, right and bottom of a label on one side of its point.

    Parameters
    ----------
    point : (float, float)
        Across and downward.
    size : (float, float)
        Width and height of the label.
    side : {"above", "below", "right", "left"}

    Returns
    -------
    tuple of float
    """
    (x, y), (w, h) = point, size
    across = {"right": _GAP, "left": -_GAP - w}.get(side, -w / 2)
    down = {"above": -_GAP - h, "below": _GAP}.get(side, -h / 2)
    return x + across, y + down, x + across + w, y + down + h


def label_sides(
    points: Sequence[Point | None], sizes: Mapping[int, tuple[float, float]], within: Box
) -> dict[int, str]:
    """Return on which side of its point each label stands.

    It covers as little as possible of the line, of the labels before it and of what is outside.

    Parameters
    ----------
    points : sequence of (float, float) or None
        The line, downward; None is a gap.
    sizes : mapping of int to (float, float)
        The place of a point -> width and height of its label.
    within : tuple of float
        Left, top, right and bottom of the drawing.

    Returns
    -------
    dict of int to str
    """
    segments = [(a, b) for a, b in pairwise(points) if a is not None and b is not None]
    taken: list[Box] = []
    found = {}
    for i, size in sizes.items():
        point = points[i]
        if point is None:
            continue
        boxes = {side: label_box(point, size, side) for side in SIDES}

        def covered(side: str, boxes: dict[str, Box] = boxes) -> float:
            box = boxes[side]
            outside = max(
                within[0] - box[0], within[1] - box[1], box[2] - within[2], box[3] - within[3], 0.0
            )
            on_others = sum(_shared(box, other) for other in taken)
            # Letters may be wider than they were thought to be.
            around = (box[0] - _AIR, box[1] - _AIR, box[2] + _AIR, box[3] + _AIR)
            return sum(_length_in(around, *s) for s in segments) + 10 * outside + on_others

        found[i] = min(SIDES, key=covered)
        taken.append(boxes[found[i]])
    return found


def _shared(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(across, 0.0) * max(down, 0.0)


def _length_in(box: Box, a: Point, b: Point) -> float:
    """The length of a segment inside a box: it is cut at each side in turn."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    start, stop = 0.0, 1.0
    for step, room in (
        (-dx, a[0] - box[0]),
        (dx, box[2] - a[0]),
        (-dy, a[1] - box[1]),
        (dy, box[3] - a[1]),
    ):
        if step == 0:
            if room < 0:
                return 0.0
        elif step < 0:
            start = max(start, room / step)
        else:
            stop = min(stop, room / step)
    return max(stop - start, 0.0) * math.hypot(dx, dy)
