"""The heatmap: what each pair of levels of two dimensions contributed, a number in every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.bridge import SIGNIFICANT
from attribution.crossing import Crossing
from attribution.errors import OptionError
from attribution.plots.canvas import too_small
from attribution.plots.grid import Cell, Grid, draw_grid, plan_grid
from attribution.plots.page import Key, Words, place_size
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heatmap"]

PARTS = {
    "total": "change",
    "mix": "mix effect",
    "rate": "rate effect",
    "interaction": "interaction",
}
SUPPRESSED = "×"


def heatmap(
    crossing: Crossing,
    ax: Axes | None = None,
    *,
    max_levels: int = 12,
    theme: Theme | None = None,
) -> Axes:
    """Draw what each pair of levels contributed.

    Parameters
    ----------
    crossing : Crossing
    ax : Axes, optional
        Drawn into, with all words inside its present place; levels that do not fit go into
        "other".
    max_levels : int
        Rows and columns beyond this number are summed, those that moved least first, into "other".
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        Its coordinates are points of paper.

    Raises
    ------
    OptionError
        There is no pair, or `ax` is too small.

    Notes
    -----
    Blue is good news and orange bad. The displayed cells add up to their displayed sum. Pairs
    without volume in either period are hatched.
    """
    if not crossing.rows:
        raise OptionError("dimensions: no pair of levels has volume, so there is nothing to draw.")
    if max_levels < 2:
        raise OptionError(
            f"max_levels: {max_levels} is below 2, the least that leaves a comparison."
        )
    theme = look(ax, theme)
    pen = Pen.of(theme)
    place = None if ax is None else place_size(ax)
    down, across = (min(max_levels, len(x)) for x in (crossing.rows, crossing.columns))
    with theme.context():
        while True:
            shown = crossing.condensed(max(down, 2), max(across, 2))
            plan = plan_grid(_grid(shown), _words(shown, pen), pen, place)
            if plan.fits:
                return draw_grid(_grid(shown), plan, ax, pen)
            narrow, low = plan.lacks
            if (across <= 2 or not narrow) and (down <= 2 or not low):
                raise too_small(plan.size, "the cells", "7 x 4")
            across = max(min(across, plan.most[0]), 2)
            down = max(min(down, plan.most[1]), 2)


def _grid(shown: Crossing) -> Grid:
    known = [c for row in shown.cells for c in row if c and c.value == c.value]
    most = max((abs(c.shown) for c in known), default=0.0) or 1.0
    sign = 1.0 if shown.bridge.better == "higher" else -1.0
    unsure = shown.bridge.verdict != "real"
    cells = [
        [
            c
            and (
                Cell(
                    shown.text(c),
                    sign * c.shown / most,
                    pale=unsure and not c.p_adjusted < SIGNIFICANT,
                    sure=c.p_adjusted < SIGNIFICANT,
                )
                if c.value == c.value  # NaN differs from itself
                else Cell(SUPPRESSED, 0.0)
            )
            for c in row
        ]
        for row in shown.cells
    ]
    return Grid(shown.rows, shown.columns, cells)


def _words(shown: Crossing, pen: Pen) -> Words:
    theme, bridge = pen.theme, shown.bridge
    unit = f" in {bridge.format.change_unit}" if bridge.format.change_unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    part, by = PARTS.get(shown.part, shown.part), " and ".join(shown.dimensions)
    what = f"{bridge.metric}{lower}, {part}{unit} by {by}"
    keys = [Key("■", theme.good, "better"), Key("■", theme.bad, "worse")]
    if bridge.verdict != "real":
        meaning = f"pale: not significant (p ≥ {SIGNIFICANT:g})"
        keys.append(Key("■", theme.tint(theme.neutral), meaning))
    elif any(c.p_adjusted < SIGNIFICANT for row in shown.cells for c in row if c):
        keys.append(Key("bold", theme.ink, f"significant (p < {SIGNIFICANT:g})"))
    cells = [c for row in shown.cells for c in row if c]
    total = sum(c.shown for c in cells if c.value == c.value)
    if any(c.value != c.value for c in cells):
        keys.append(Key(SUPPRESSED, theme.ink, "suppressed"))
    summed = bridge.format.change(total / bridge.format.factor)
    lacking = pen.lacks([shown.message, what, *shown.rows, *shown.columns])
    return Words(
        title=shown.message,
        subtitle="\n".join(x for x in (bridge.scope, what, bridge.when) if x),
        keys=tuple(keys),
        notes=(f"The cells add up to {summed}.", *bridge.notes),
        remarks=(MISSING_NOTE,) if lacking else (),
    )
