"""The pathway matrix: whose mix was pushed (rows) and through whose rates it acted (columns)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.bridge import Bridge
from attribution.formatting import largest_remainder
from attribution.methods import Pathways
from attribution.plots.canvas import too_small
from attribution.plots.grid import Cell, Grid, draw_grid, plan_grid
from attribution.plots.page import Key, Words, place_size
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pathway_grid"]


def pathway_grid(
    pathways: Pathways, bridge: Bridge, ax: Axes | None = None, *, theme: Theme | None = None
) -> Axes:
    """Draw the pathway matrix with its sums.

    Parameters
    ----------
    pathways : Pathways
    bridge : Bridge
        Of the same attribution: metric, format, periods, notes.
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
    Displayed cells add up to the displayed sums, those of the columns to the lines of the bridge
    (where it divides the mix by "adjusted"), all to the mix effect.
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    with theme.context():
        place = None if ax is None else place_size(ax)
        grid = _grid(pathways, bridge)
        plan = plan_grid(grid, _words(pathways, bridge, pen), pen, place)
        if not plan.fits:
            raise too_small(plan.size, "the cells", "7 x 4")
        return draw_grid(grid, plan, ax, pen)


def _grid(pathways: Pathways, bridge: Bridge) -> Grid:
    frame, f = pathways.frame, bridge.format
    lines = dict(zip((bar.label for bar in bridge.bars), bridge.shown(), strict=True))
    columns = []
    for name in frame.columns:
        values = [float(v) * f.factor for v in frame[name]]
        label = "Mix: jointly" if name == "joint" else f"Mix: {name}"
        target = lines.get(label, sum(values))
        near = abs(target - sum(values)) <= 1.5 * 10.0**-f.decimals
        columns.append(largest_remainder(values, target if near else sum(values), f.decimals))
    table = [list(row) for row in zip(*columns, strict=True)]
    table = [[*row, round(sum(row), f.decimals)] for row in table]
    table.append([round(sum(column), f.decimals) for column in zip(*table, strict=True)])
    most = max((abs(x) for row in table[:-1] for x in row[:-1]), default=0.0) or 1.0
    sign = 1.0 if bridge.better == "higher" else -1.0
    across, down = len(frame.columns), len(frame)
    cells = [
        [
            Cell(
                f.number(x / f.factor, signed=True),
                sign * x / most if i < down and j < across else 0.0,
                sure=i == down or j == across,
            )
            for j, x in enumerate(row)
        ]
        for i, row in enumerate(table)
    ]
    rows = tuple(x if x.endswith("association") else f"{x} pushed" for x in frame.index)
    heads = tuple(f"through {x}" if x != "joint" else "jointly" for x in frame.columns)
    return Grid((*rows, "sum"), (*heads, "sum"), cells)


def _words(pathways: Pathways, bridge: Bridge, pen: Pen) -> Words:
    theme, frame = pen.theme, pathways.frame
    unit = f" in {bridge.format.change_unit}" if bridge.format.change_unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    what = f"{bridge.metric}{lower}, mix effect{unit} by the mix that moved and the rates it met"
    lines = [x for b, x in zip(bridge.bars, bridge.shown(), strict=True)
             if b.label.startswith("Mix: ")]  # fmt: skip
    # Of several factors the lines of each have its name in front.
    total = sum(lines) / bridge.format.factor if lines else float(frame.to_numpy().sum())
    shown = bridge.format.change(total)
    title = f"{bridge.metric}: which mix moved (rows), through whose rates it acted (columns)"
    lacking = pen.lacks([what, *map(str, frame.index), *map(str, frame.columns)])
    return Words(
        title=f"{title}: {shown} in all",
        subtitle="\n".join(x for x in (bridge.scope, what, bridge.when) if x),
        keys=(Key("■", theme.good, "better"), Key("■", theme.bad, "worse")),
        notes=(pathways.note, *bridge.notes),
        remarks=(MISSING_NOTE,) if lacking else (),
    )
