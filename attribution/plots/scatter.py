"""Mix against rate: where every level of a dimension stands, as bubbles sized by volume."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attribution.breakdown import Breakdown, Level
from attribution.errors import OptionError
from attribution.plots.canvas import body, open_canvas, too_small
from attribution.plots.layout import GAP, LINE
from attribution.plots.page import PAD, Key, Words, place_size
from attribution.plots.scale import Need, fitted
from attribution.plots.scaled import place_labels, scale, widest, x_axis, y_axis
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["scatter"]

# In points: the picture, the largest bubble, labels.
WIDTH, HEIGHT, LEAST = 600.0, 330.0, 90.0
RADIUS, LEAST_RADIUS = 15.0, 2.5
LABEL = 130.0
LEAST_UNITS = 20


def scatter(
    breakdown: Breakdown,
    ax: Axes | None = None,
    *,
    max_levels: int = 30,
    theme: Theme | None = None,
) -> Axes:
    """Draw the rate effect of every level against its mix effect.

    Parameters
    ----------
    breakdown : Breakdown
    ax : Axes, optional
    max_levels : int
        Levels beyond this number are summed, those that moved least first, into "other".
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        Its coordinates are points of paper.

    Raises
    ------
    OptionError
        No level has both parts, or `ax` is too small.

    Notes
    -----
    One scale across and another upward, both from 0 in changes of the KPI; the area of a bubble
    is the mean share of volume. Levels that are new or gone have neither part and are named below.
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    shown = breakdown.condensed(max_levels).by_size()
    if lacking := {"mix", "rate"} - set(shown.parts):
        raise OptionError(f"dimension: its levels have no {' or '.join(sorted(lacking))} effect.")
    at = {name: shown.parts.index(name) for name in ("rate", "mix")}
    there = [x for x in shown.levels if all(math.isfinite(x.parts[i].value) for i in at.values())]
    if not there:
        raise OptionError("dimension: no level exists in both periods, so nothing can be drawn.")
    with theme.context():
        apart = [x.label for x in shown.levels if x.status]
        apart = [pen.wrap(label, LABEL, 1, theme.small_size)[0] for label in apart]
        words = _words(shown, apart, pen)
        size = place_size(ax) if ax is not None else _size(words, pen)
        above, below = body(words, pen, size[0])
        room = _room(size, above, below, theme)
        if min(room[2] - room[0] - 60, room[3] - room[1]) < LEAST:
            raise too_small(size, "the levels", "7 x 5")
        radii = _radii(there)
        f, factor = shown.format, shown.format.factor
        write = lambda v: f.number(v, signed=True)  # noqa: E731
        left, top, right, bottom = room
        least = LEAST_UNITS * 10.0**-f.decimals / factor
        up = fitted(_needs(there, at["mix"], radii), bottom - top, least)
        y = scale(*up, bottom, top, write)
        left += widest(y, pen) + 5
        across = fitted(_needs(there, at["rate"], radii), right - left, least)
        x = scale(*across, left, right, write, most=7)
        canvas = open_canvas(ax, size, words, pen)
        x_axis(canvas, x, bottom, f"rate effect, {f.change_unit}".rstrip(", "))
        y_axis(canvas, y, left)
        unit = f"mix effect, {f.change_unit}".rstrip(", ")
        canvas.text(PAD, top - GAP, unit, role="axis", size=theme.small_size, color=theme.quiet,
                    va="bottom")  # fmt: skip
        canvas.line((x.at(0), x.at(0)), (top, bottom), theme.quiet, 0.7, role="origin")
        canvas.line((left, right), (y.at(0), y.at(0)), theme.quiet, 0.7, role="origin")
        points = []
        for level, radius in zip(there, radii, strict=True):
            total = level.parts[-1]
            good = shown.bridge.good(total.shown)
            color = theme.neutral if total.shown == 0 else theme.good if good else theme.bad
            px, py = x.at(level.parts[at["rate"]].value), y.at(level.parts[at["mix"]].value)
            points.append((px, py))
            canvas.disc(px, py, radius, theme.tint(color, 0.6), role="bubble", edge=color)
        named = [
            pen.wrap(f"{z.label} {shown.text(z.parts[-1])}", LABEL, 1, theme.small_size)[0]
            for z in there
        ]
        origins = [(x.at(0), top, x.at(0), bottom), (left, y.at(0), right, y.at(0))]
        room = (left, top, right, bottom)
        left_out = place_labels(canvas, named, points, radii, room, lines=origins)
        if left_out:
            note = f"{left_out} without a label, for lack of room."
            canvas.text(right, top - GAP, note, role="axis", size=theme.small_size,
                        color=theme.quiet, ha="right", va="bottom")  # fmt: skip
    return canvas.ax


def _size(words: Words, pen: Pen) -> tuple[float, float]:
    above, below = body(words, pen, WIDTH)
    return WIDTH, above + HEIGHT + below


def _room(
    size: tuple[float, float], above: float, below: float, theme: Theme
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the drawing without the words of its axes."""
    line = LINE * theme.small_size
    return PAD, above + 2 * GAP + line, size[0] - PAD - GAP, size[1] - below - GAP - 2 * line - 6


def _radii(levels: list[Level]) -> list[float]:
    """Radii whose areas are mean shares."""
    shares = [sum(s for s in x.share if math.isfinite(s)) / 2 for x in levels]
    most = max(shares) or 1.0
    return [max(RADIUS * math.sqrt(s / most), LEAST_RADIUS) for s in shares]


def _needs(levels: list[Level], part: int, radii: list[float]) -> list[Need]:
    return [
        Need(0.0, 8, 8),
        *(Need(x.parts[part].value, r + 4, r + 4) for x, r in zip(levels, radii, strict=True)),
    ]


def _words(shown: Breakdown, apart: list[str], pen: Pen) -> Words:
    theme, bridge = pen.theme, shown.bridge
    unit = f" in {bridge.format.change_unit}" if bridge.format.change_unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    what = f"{bridge.metric}{lower}, mix effect against rate effect{unit} by {shown.dimension}"
    remarks = [f"{', '.join(apart)}: new or gone, so neither mix nor rate."] if apart else []
    lacking = pen.lacks([shown.message, what, *(x.label for x in shown.levels)])
    return Words(
        title=shown.message,
        subtitle="\n".join(x for x in (bridge.scope, what, bridge.when) if x),
        keys=(
            Key("●", theme.good, "better"),
            Key("●", theme.bad, "worse"),
            Key("●", theme.neutral, "area: share of volume; number: both effects together"),
            Key("+", theme.quiet, "the two scales differ"),
        ),
        notes=bridge.notes,
        remarks=(*remarks, *([MISSING_NOTE] if lacking else [])),
    )
