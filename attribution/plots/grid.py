"""A grid of numbers on colored cells, with labels on the left and above: planned and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.plots.canvas import Canvas, body, open_canvas
from attribution.plots.layout import GAP, LINE
from attribution.plots.page import PAD, Key, Words
from attribution.plots.text import Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EMPTY", "Cell", "Grid", "draw_grid"]

# In points.
LABEL, HEAD = 150.0, 96.0
CELL, WIDEST_CELL = 46.0, 84.0
ROW, LEAST_ROW = 24.0, 13.0
LEAST_WIDTH = 420.0
EMPTY = "▨"


@dataclass(frozen=True)
class Cell:
    """One number: its text, a value in -1 .. 1 from the worst to the best, and how sure it is."""

    text: str
    impact: float
    pale: bool = False
    sure: bool = False


@dataclass(frozen=True)
class Grid:
    """What is drawn.

    Attributes
    ----------
    rows, columns : tuple of str
    cells : sequence of sequence of Cell or None
        None is an empty cell, which is hatched.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Sequence[Sequence[Cell | None]]


@dataclass(frozen=True)
class Plan:
    """Where everything goes, in points from the top left; `most` columns and rows have room."""

    size: tuple[float, float]
    words: Words
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    turned: bool
    left: float
    top: float
    cell: tuple[float, float]
    most: tuple[int, int]

    @property
    def lacks(self) -> tuple[bool, bool]:
        """Whether there is no room for all columns, and for all rows."""
        return self.most[0] < len(self.columns), self.most[1] < len(self.rows)

    @property
    def fits(self) -> bool:
        """Whether every number can be read."""
        return not any(self.lacks)


def plan_grid(grid: Grid, words: Words, pen: Pen, place: tuple[float, float] | None) -> Plan:
    """Lay out a grid in a place of (width, height) points, or in one that fits it.

    Parameters
    ----------
    grid : Grid
    words : Words
    pen : Pen
    place : tuple of float, optional

    Returns
    -------
    Plan
    """
    size = pen.theme.size
    if any(cell is None for row in grid.cells for cell in row):
        words = words.plus(Key(EMPTY, pen.theme.quiet, "no volume in either period"))
    needed = GAP + max(
        (pen.width(cell.text, size, True) for row in grid.cells for cell in row if cell),
        default=0.0,
    )
    limit = LABEL if place is None else min(LABEL, 0.3 * place[0])
    across, down = len(grid.columns), len(grid.rows)
    longest = max(pen.longest_word(c, size) for c in grid.columns) + GAP
    plain = max(pen.width(x, size) for row in grid.rows for x in pen.wrap(row, limit, 1, size))
    left = PAD + min(plain, limit) + GAP
    if place is None:
        wide = max(needed, CELL, min(longest, WIDEST_CELL) if across <= 8 else 0.0)
        width = max(left + across * wide + PAD, LEAST_WIDTH)
    else:
        width = place[0]
        wide = (width - left - PAD) / across
    heads = [pen.wrap(c, wide - GAP / 2, 3, size) for c in grid.columns]
    turned = longest - GAP / 2 > wide or any("…" in x for head in heads for x in head)
    if turned:
        heads = [pen.wrap(c, HEAD, 1, size) for c in grid.columns]
        head = max(pen.width(h[0], size) for h in heads) + GAP
    else:
        head = max(map(len, heads)) * LINE * size + GAP
    above, below = body(words, pen, width)
    top = above + GAP + head
    high = ROW if place is None else (place[1] - top - below - GAP) / down
    labels = [pen.wrap(r, limit, 2 if high >= 2 * LINE * size else 1, size) for r in grid.rows]
    return Plan(
        (width, place[1] if place else top + down * high + GAP + below),
        words,
        tuple("\n".join(x) for x in labels),
        tuple("\n".join(x) for x in heads),
        turned,
        left,
        top,
        (wide, high),
        (
            int(across * wide / max(needed, LINE * size * turned) + 1e-6),
            int(down * high / LEAST_ROW + 1e-6),
        ),
    )


def draw_grid(grid: Grid, plan: Plan, ax: Axes | None, pen: Pen) -> Axes:
    """Draw a grid as planned.

    Parameters
    ----------
    grid : Grid
    plan : Plan
    ax : Axes, optional
    pen : Pen

    Returns
    -------
    Axes
    """
    canvas = open_canvas(ax, plan.size, plan.words, pen)
    wide, high = plan.cell
    for j, label in enumerate(plan.columns):
        _draw_head(canvas, label, plan.left + (j + 0.5) * wide, plan)
    for i, label in enumerate(plan.rows):
        y = plan.top + (i + 0.5) * high
        canvas.text(plan.left - GAP, y, label, ha="right", role="label")
        for j, cell in enumerate(grid.cells[i]):
            _draw_cell(canvas, cell, plan.left + j * wide, y - high / 2, plan.cell)
    return canvas.ax


def _draw_head(canvas: Canvas, label: str, x: float, plan: Plan) -> None:
    # Lines of equal height stand on one baseline; several lines end above it.
    va = "bottom" if plan.turned or "\n" in label else "baseline"
    y = plan.top - (GAP / 2 if va == "bottom" else GAP)
    rotation = "vertical" if plan.turned else "horizontal"
    canvas.text(x, y, label, ha="center", va=va, role="head", rotation=rotation)


def _draw_cell(
    canvas: Canvas, cell: Cell | None, x: float, y: float, size: tuple[float, float]
) -> None:
    theme, (width, height) = canvas.pen.theme, size
    if cell is None:
        stroke = theme.tint(theme.quiet, 0.4)
        canvas.box(x, y, width, height, theme.paper, role="empty", edge=stroke, hatch="////")
        return
    strength = abs(cell.impact) * (0.35 if cell.pale else 1.0)
    face = theme.tint(theme.good if cell.impact > 0 else theme.bad, 0.06 + 0.94 * strength)
    face = theme.tint(theme.neutral, 0.1) if cell.impact == 0 else face
    canvas.box(x, y, width, height, face, role="cell", edge=theme.paper, line=1.2)
    canvas.text(
        x + width / 2,
        y + height / 2,
        cell.text,
        ha="center",
        role="value",
        color=theme.on(face),
        bold=cell.sure,
    )
