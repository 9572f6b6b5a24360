"""The individuals chart: a KPI over time in its natural limits, and its changes in theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.context import Context
from attribution.plots.canvas import Canvas, body, open_canvas, too_small
from attribution.plots.layout import GAP, LINE
from attribution.plots.page import PAD, Key, Words, place_size
from attribution.plots.scaled import Scale, scale, spread, widest, y_axis
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["individuals"]

# In points: the width, both drawings, one period.
WIDTH, LEVELS, CHANGES = 640.0, 190.0, 90.0
LEAST, LEAST_STEP = 60.0, 3.0
MARK = 2.6


def individuals(context: Context, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
    """Draw the level of a KPI in its natural limits, and below it the changes in theirs.

    Parameters
    ----------
    context : Context
        As ``change.context(history)`` returns it.
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
    Limits come from the periods before the current one. The level is drawn on a scale that does
    not begin at 0 (a line has no length to read); changes are columns from 0.

    References
    ----------
    Wheeler, D. J. (2000). Understanding Variation, 2nd ed. SPC Press.
    """
    theme = look(ax, theme)
    pen = Pen.of(theme)
    with theme.context():
        words = _words(context, pen)
        more = LEVELS + CHANGES + 4 * GAP
        size = place_size(ax) if ax is not None else (WIDTH, more + sum(body(words, pen, WIDTH)))
        plan = _plan(context, words, pen, size)
        if plan.step < LEAST_STEP or plan.middle - plan.top < LEAST:
            raise too_small(size, "the periods", "8 x 5")
        canvas = open_canvas(ax, size, words, pen)
        _draw_levels(canvas, context, plan)
        _draw_changes(canvas, context, plan)
        _draw_periods(canvas, context, plan)
    return canvas.ax


@dataclass(frozen=True)
class _Plan:
    """Where everything goes, in points."""

    left: float
    right: float
    top: float
    middle: float
    bottom: float
    levels: Scale
    changes: Scale
    step: float

    def at(self, i: int) -> float:
        return self.left + (i + 0.5) * self.step


def _plan(context: Context, words: Words, pen: Pen, size: tuple[float, float]) -> _Plan:
    frame, f = context.frame, context._format
    above, below = body(words, pen, size[0])
    line = LINE * pen.theme.small_size
    top, bottom = above + 2 * GAP + line, size[1] - below - GAP - line
    middle = top + (bottom - top) * LEVELS / (LEVELS + CHANGES) - line
    drawn = _known([*frame["value"], *frame["limit_low"], *frame["limit_high"]])
    low, high = min(drawn), max(drawn)
    more = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    levels = scale(low - more, high + more, middle, top, f.level)
    moved = _known([*frame["change"], *frame["change_limit"], *(-frame["change_limit"])])
    reach = 1.2 * max(map(abs, moved), default=0.0) or 1.0
    start = middle + 2 * GAP + line
    changes = scale(-reach, reach, bottom, start, lambda v: f.number(v, signed=True), most=3)
    left = PAD + max(widest(levels, pen), widest(changes, pen)) + 5
    ends = [*_level_ends(context), *_change_ends(context)]
    right = size[0] - PAD - max(pen.width(x, pen.theme.small_size) for _, x in ends) - GAP
    return _Plan(left, right, top, middle, bottom, levels, changes, (right - left) / len(frame))


def _known(values: list[float]) -> list[float]:
    return [float(x) for x in values if math.isfinite(x)]


def _level_ends(context: Context) -> list[tuple[float, str]]:
    """The words right of the levels, each at its height."""
    last, f = context.frame.iloc[-1], context._format
    ends = [(float(last["value"]), f.level(last["value"]))]
    for column, word in (("limit_high", "limit"), ("center", "mean"), ("limit_low", "limit")):
        if math.isfinite(last[column]):
            ends.append((float(last[column]), f"{word} {f.level(last[column])}"))
    return ends


def _change_ends(context: Context) -> list[tuple[float, str]]:
    last, f = context.frame.iloc[-1], context._format
    ends = [(float(last["change"]), f.change(last["change"]))]
    limit = last["change_limit"]
    if math.isfinite(limit):
        ends += [(limit, f"limit {f.change(limit)}"), (-limit, f"limit {f.change(-limit)}")]
    return ends


def _write_ends(canvas: Canvas, plan: _Plan, scale: Scale, ends: list[tuple[float, str]]) -> None:
    theme, size = canvas.pen.theme, canvas.pen.theme.small_size
    wanted = [scale.at(value) for value, _ in ends]
    for i, y in enumerate(spread(wanted, LINE * size, scale.stop, scale.start)):
        color = theme.quiet if i else theme.ink
        canvas.text(plan.right + GAP, y, ends[i][1], role="end", size=size, color=color, bold=not i)


def _draw_levels(canvas: Canvas, context: Context, plan: _Plan) -> None:
    theme, frame = canvas.pen.theme, context.frame
    unit = f"level, {context._format.unit}".rstrip(", ")
    style = {"size": theme.small_size, "color": theme.quiet, "va": "bottom"}
    canvas.text(PAD, plan.top - GAP, unit, role="axis", **style)
    y_axis(canvas, plan.levels, plan.left)
    last = frame.iloc[-1]
    for column, dash in (("limit_high", "--"), ("center", "-"), ("limit_low", "--")):
        if math.isfinite(last[column]):
            y = plan.levels.at(float(last[column]))
            ends = (plan.left, plan.right)
            canvas.line(ends, (y, y), theme.quiet, 0.8, role=column, dash=dash)
    values = [float(x) for x in frame["value"]]
    points = [(plan.at(i), plan.levels.at(v)) for i, v in enumerate(values)]
    xs, ys = zip(*points, strict=True)
    canvas.line(xs, ys, theme.current, 1.2, role="level", zorder=2)
    for i, (value, (x, y)) in enumerate(zip(values, points, strict=True)):
        if not math.isfinite(value):
            continue
        outside = not (_inside(value, last["limit_low"], last["limit_high"]))
        ends = frame["role"].iloc[i] != "history"
        good = (value > last["center"]) == (context.better == "higher")
        color = (theme.good if good else theme.bad) if outside else theme.current
        canvas.disc(x, y, MARK * (1.5 if ends else 1.0), color, role="point", edge=theme.paper)


def _inside(value: float, low: float, high: float) -> bool:
    """Whether a value lies within limits; without limits nothing lies outside."""
    return not (value < low or value > high)


def _draw_changes(canvas: Canvas, context: Context, plan: _Plan) -> None:
    theme, frame = canvas.pen.theme, context.frame
    over = f" over {context.lag} periods" if context.lag > 1 else ""
    unit = f"change{over}, {context._format.change_unit}".rstrip(", ")
    style = {"size": theme.small_size, "color": theme.quiet, "va": "bottom"}
    canvas.text(PAD, plan.changes.stop - GAP / 2, unit, role="axis", **style)
    y_axis(canvas, plan.changes, plan.left)
    zero = plan.changes.at(0.0)
    canvas.line((plan.left, plan.right), (zero, zero), theme.ink, 0.8, role="origin", zorder=3)
    limit = float(frame["change_limit"].iloc[-1])
    if math.isfinite(limit):
        for end in (limit, -limit):
            y, ends = plan.changes.at(end), (plan.left, plan.right)
            canvas.line(ends, (y, y), theme.quiet, 0.8, role="change_limit", dash="--")
    wide = min(0.62 * plan.step, 26.0)
    for i, value in enumerate(float(x) for x in frame["change"]):
        if not math.isfinite(value):
            continue
        end = plan.changes.at(value)
        good = (value > 0) == (context.better == "higher")
        color = theme.neutral if not value else theme.good if good else theme.bad
        inside = not math.isfinite(limit) or abs(value) <= limit
        face = theme.tint(color) if inside else color
        top, height = min(zero, end), abs(end - zero)
        canvas.box(plan.at(i) - wide / 2, top, wide, height, face, role="bar", edge=face, line=0.6)
    _write_ends(canvas, plan, plan.levels, _level_ends(context))
    _write_ends(canvas, plan, plan.changes, _change_ends(context))


def _draw_periods(canvas: Canvas, context: Context, plan: _Plan) -> None:
    """Write as many periods as have room, counted from the last one."""
    theme, pen = canvas.pen.theme, canvas.pen
    size, names = theme.small_size, list(context.frame["period"])
    shown = [pen.wrap(name, 90.0, 1, size)[0] for name in names]
    widths = [pen.width(x, size) for x in shown]
    every = max(1, math.ceil((max(widths) + GAP) / plan.step))
    for i in range(len(names) - 1, -1, -every):
        half = widths[i] / 2
        x = min(max(plan.at(i), PAD + half), canvas.width - PAD - half)
        style = {"size": size, "color": theme.quiet, "ha": "center", "va": "top"}
        canvas.text(x, plan.bottom + GAP / 2, shown[i], role="period", **style)


def _words(context: Context, pen: Pen) -> Words:
    theme, f, frame = pen.theme, context._format, context.frame
    title, *more = str(context).split(". ", 1)
    unit = f" in {f.unit}" if f.unit else ""
    lower = " (lower is better)" if context.better == "lower" else ""
    what = f"{context.metric}{unit}{lower}, against its own past"
    when = f"{frame['period'].iloc[0]} to {frame['period'].iloc[-1]}"
    lacking = pen.lacks([title, what, *frame["period"]])
    return Words(
        title=title.rstrip("."),
        subtitle=f"{what}\n{when}",
        keys=(
            Key("●", theme.current, "within limits"),
            Key("●", theme.good, "beyond, better"),
            Key("●", theme.bad, "beyond, worse"),
            Key("- -", theme.quiet, "natural limits of the past"),
        ),
        notes=(*more, "Method: individuals chart, limits from the mean moving range."),
        remarks=(MISSING_NOTE,) if lacking else (),
    )
