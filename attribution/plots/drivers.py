"""The driver tree: every node with its change and what it did to the root, parents on the left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.plots.canvas import Canvas, body, open_canvas, too_small
from attribution.plots.layout import GAP, LINE
from attribution.plots.page import PAD, Key, Words, place_size
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.tree_change import TreeChange, TreeNode

__all__ = ["driver_tree"]

# In points.
BOX, LEAST_BOX, BETWEEN = 148.0, 92.0, 26.0
APART = 8.0


def driver_tree(change: TreeChange, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw a KPI tree: every node from baseline to current, and its effect on the root.

    Parameters
    ----------
    change : TreeChange
    ax : Axes, optional
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        Its coordinates are points of paper.

    Raises
    ------
    OptionError
        `ax` is too small.

    Notes
    -----
    The strip of a box is blue if the node was good news for the root and orange if bad. Displayed
    effects of children add up to that of their parent.
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    with theme.context():
        words = _words(change, pen)
        nodes = list(_placed(change))
        deep, rows = 1 + max(n.depth for n in nodes), 1 + max(n.row for n in nodes)
        high = 3 * LINE * theme.size + GAP
        width = deep * BOX + (deep - 1) * BETWEEN + 2 * PAD
        if ax is None:
            width = max(width, 420.0)
            size = (width, rows * (high + APART) + GAP + sum(body(words, pen, width)))
        else:
            size = place_size(ax)
        above, below = body(words, pen, size[0])
        wide = (size[0] - 2 * PAD - (deep - 1) * BETWEEN) / deep
        pitch = (size[1] - above - below - GAP) / rows
        if wide < LEAST_BOX or pitch < high + 2:
            raise too_small(size, "the nodes", f"{deep * 2.2:.0f} x {rows * 0.7 + 2:.0f}")
        canvas = open_canvas(ax, size, words, pen)
        wide = min(wide, BOX)
        corners = {
            n.node.place: (PAD + n.depth * (wide + BETWEEN), above + GAP + (n.row + 0.5) * pitch)
            for n in nodes
        }
        for node in nodes:
            _draw(canvas, change, node, corners, wide, high)
    return canvas.ax


@dataclass(frozen=True)
class _Node:
    """A node at its place in the drawing: columns from the left, rows of leaves from the top."""

    node: TreeNode
    depth: int
    row: float
    shown: float


def _placed(change: TreeChange) -> Iterator[_Node]:
    rows: dict[tuple[str, ...], float] = {}
    leaves = 0
    places = [n.place for n in change.nodes]
    for place in reversed(places):
        below = [rows[p] for p in places if p[:-1] == place]
        if below:
            rows[place] = (min(below) + max(below)) / 2
        else:
            rows[place] = leaves
            leaves += 1
    shown = change.shown()
    for node, value in zip(change.nodes, shown, strict=True):
        yield _Node(node, len(node.place) - 1, leaves - 1 - rows[node.place], value)


def _draw(
    canvas: Canvas,
    change: TreeChange,
    placed: _Node,
    corners: dict[tuple[str, ...], tuple[float, float]],
    wide: float,
    high: float,
) -> None:
    theme, pen, bridge, node = canvas.pen.theme, canvas.pen, change.bridge(), placed.node
    x, y = corners[node.place]
    if placed.depth:
        from_x, from_y = corners[node.place[:-1]]
        elbow = from_x + wide + (x - from_x - wide) / 2
        canvas.line((from_x + wide, elbow, elbow, x), (from_y, from_y, y, y), theme.quiet, 0.8,
                    role="branch")  # fmt: skip
    shown = placed.shown
    color = theme.neutral if not shown else theme.good if bridge.good(shown) else theme.bad
    color = theme.current if not placed.depth else color
    canvas.box(x, y - high / 2, wide, high, theme.paper, role="node",
               edge=theme.tint(theme.quiet, 0.6), line=0.8)  # fmt: skip
    canvas.box(x, y - high / 2, 4.0, high, color, role="impact")
    root = bridge.format
    unit = f" {root.change_unit}".rstrip()
    effect = f"{root.number(shown / root.factor, signed=True)}{unit} on {bridge.metric}"
    lines = [
        (pen.wrap(node.node, wide - 18, 1, theme.size, True)[0], theme.size, theme.ink, True),
        (_ends(pen, node, wide - 18), theme.small_size, theme.quiet, False),
        (pen.wrap(effect, wide - 18, 1, theme.small_size)[0], theme.small_size, theme.ink, False),
    ]
    for i, (text, size, ink, bold) in enumerate(lines):
        at = y + (i - 1) * LINE * theme.size
        canvas.text(x + 11, at, text, role="node", size=size, color=ink, bold=bold)


def _ends(pen: Pen, node: TreeNode, room: float) -> str:
    """Baseline and current, with the change in brackets where there is room for it."""
    if node.total is None:
        return "an array"
    first, last, moved = node.texts
    ends = f"{first} → {last} {node.unit}".rstrip()
    full = f"{ends} ({moved})"
    fits = pen.width(full, pen.theme.small_size) <= room
    return pen.wrap(full if fits else ends, room, 1, pen.theme.small_size)[0]


def _words(change: TreeChange, pen: Pen) -> Words:
    theme, bridge = pen.theme, change.bridge()
    unit = f" in {bridge.unit}" if bridge.unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    lacking = pen.lacks([bridge.message, *(n.node for n in change.nodes)])
    return Words(
        title=bridge.message,
        subtitle=f"{bridge.metric}{unit}{lower} and what it is made of\n{bridge.when}",
        keys=(Key("■", theme.good, "better"), Key("■", theme.bad, "worse")),
        notes=bridge.notes,
        remarks=(MISSING_NOTE,) if lacking else (),
    )
