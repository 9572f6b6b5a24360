"""The levels of a dimension: volume, rate, and diverging bars of mix and rate with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.breakdown import Breakdown, Level, Part
from attribution.bridge import SIGNIFICANT
from attribution.errors import OptionError, check_option
from attribution.plots.canvas import Canvas, body, open_canvas, too_small
from attribution.plots.layout import GAP, LINE
from attribution.plots.page import PAD, Key, Words, place_size
from attribution.plots.scale import Need, fitted
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["levels"]

# In points: the picture, the columns, the least a bar's column may have.
WIDTH, LABEL, SHARES = 760.0, 170.0, 84.0
LEAST_BAR = 24.0
PITCH, LEAST_PITCH = 23.0, 13.0
LEAST_UNITS = 20
HEADS = {
    "mix": "mix effect",
    "rate": "rate effect",
    "interaction": "interaction",
    "total": "together",
}


def levels(
    breakdown: Breakdown,
    ax: Axes | None = None,
    *,
    max_levels: int = 12,
    sort: str = "size",
    theme: Theme | None = None,
) -> Axes:
    """Draw what each level of a dimension contributed.

    A row per level: its share of the volume in both periods, its rate in both, and bars for mix,
    rate and both with their intervals, on one scale from 0.

    Parameters
    ----------
    breakdown : Breakdown
    ax : Axes, optional
        Drawn into, with all words inside its present place; levels that do not fit go into
        "other", and the columns of rates and volume are left out where there is no room.
    max_levels : int
        Levels beyond this number are summed, those that moved least first, into "other".
    sort : {"size", "given"}
        The level that moved most first, or the order of the table.
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes
        Its coordinates are points of paper.

    Raises
    ------
    OptionError
        An option is not one of the above, there is no level, or `ax` is too small.

    Notes
    -----
    Blue is good news and orange bad, whatever the sign. Displayed numbers add up: mix and rate of
    a level to its total, and every column to its line of the bridge.
    """
    check_option("sort", sort, ["size", "given"])
    if not breakdown.levels:
        raise OptionError("dimension: it has no level with volume, so there is nothing to draw.")
    theme = look(ax, theme)
    pen = Pen.of(theme)
    place = None if ax is None else place_size(ax)
    with theme.context():
        shown = breakdown.condensed(max_levels)
        while True:
            ordered = shown.by_size() if sort == "size" else shown
            plan = _plan(ordered, _words(ordered, pen), pen, place)
            if plan.fits:
                break
            if len(shown.levels) <= 2:
                raise too_small(plan.size, "the levels", "8 x 4")
            shown = breakdown.condensed(max(min(len(shown.levels) - 1, plan.most), 2))
        canvas = open_canvas(ax, plan.size, plan.words, pen)
        _draw(canvas, ordered, plan)
    return canvas.ax


@dataclass(frozen=True)
class _Plan:
    """Where everything goes, in points from the top left.

    Attributes
    ----------
    columns : dict of str to (float, float)
        Left edge and width of "shares", "rates" and each part; what is missing is not drawn.
    limits : tuple of float
        Of every column of bars, KPI units.
    least : float
        The width that a column of bars needs.
    """

    size: tuple[float, float]
    words: Words
    labels: tuple[str, ...]
    columns: dict[str, tuple[float, float]]
    limits: tuple[float, float]
    top: float
    pitch: float
    least: float

    @property
    def most(self) -> int:
        """How many levels there is room for, beside the sum."""
        return int(self.pitch * (len(self.labels) + 1) / LEAST_PITCH) - 1

    @property
    def fits(self) -> bool:
        return self.pitch >= LEAST_PITCH and self.columns["total"][1] >= self.least


def _plan(shown: Breakdown, words: Words, pen: Pen, place: tuple[float, float] | None) -> _Plan:
    theme = pen.theme
    width = place[0] if place else WIDTH
    above, below = body(words, pen, width)
    head = GAP + 2 * LINE * theme.small_size
    count = len(shown.levels) + 1
    top = above + head
    pitch = (place[1] - top - below - GAP) / count if place else max(PITCH, 2 * LINE * theme.size)
    most = 2 if pitch >= 2 * LINE * theme.size else 1
    limit = min(LABEL, 0.24 * width)
    rows = [pen.wrap(level.label, limit, most, theme.size) for level in shown.levels]
    if not place and max(map(len, rows)) == 1:
        pitch = PITCH
    labeled = max(pen.width(x, theme.size, True) for row in [*rows, ["sum"]] for x in row)
    left, right = PAD + labeled + GAP, width - PAD
    rates = max((pen.width(_rates(shown, x), theme.small_size) for x in shown.levels), default=0.0)
    asked = {"shares": SHARES + _share_width(shown, pen), "rates": rates}
    names, needs = list(shown.parts), _needs(shown, pen)
    least = LEAST_BAR + max(n.below for n in needs) + max(n.above for n in needs)
    if not place:
        every = left + sum(x + 2 * GAP for x in asked.values()) + len(names) * (least + GAP) + PAD
        width = max(width, every + 1)  # beyond the last digit of a sum
        right = width - PAD
    for optional in (["shares", "rates"], ["shares"], []):
        fixed = sum(asked[x] + 2 * GAP for x in optional)
        each = (right - left - fixed) / len(names) - GAP
        if each >= least:
            break
    columns, x = {}, left
    for name in optional:
        columns[name] = (x, asked[name])
        x += asked[name] + 2 * GAP
    for name in names:
        columns[name] = (x + GAP, each)
        x += each + GAP
    height = place[1] if place else top + count * pitch + GAP + below
    return _Plan(
        (width, height),
        words,
        tuple("\n".join(row) for row in rows),
        columns,
        fitted(needs, each, LEAST_UNITS * 10.0**-shown.format.decimals / shown.format.factor),
        top,
        pitch,
        least,
    )


def _needs(shown: Breakdown, pen: Pen) -> list[Need]:
    """What the scale that all columns of bars share must hold."""
    needs, size = [Need(0.0)], pen.theme.size
    for part in [p for level in shown.levels for p in level.parts] + list(shown.sums):
        if not math.isfinite(part.value):
            continue
        low, high = _reach(part)
        room = pen.width(shown.text(part), size, True) + GAP
        needs += [
            Need(low, below=0.0 if part.value >= 0 else room),
            Need(high, above=room if part.value >= 0 else 0.0),
        ]
    return needs


def _reach(part: Part) -> tuple[float, float]:
    known = [x for x in (part.conf_low, part.conf_high, part.value, 0.0) if math.isfinite(x)]
    return min(known), max(known)


def _draw(canvas: Canvas, shown: Breakdown, plan: _Plan) -> None:
    theme, pen, pitch = canvas.pen.theme, canvas.pen, plan.pitch
    bottom = plan.top + (len(shown.levels) + 1) * pitch
    observed = f"observed, {shown.format.unit}".rstrip(", ")
    heads = {"shares": "share of volume", "rates": observed}
    unit = f", {shown.format.change_unit}" if shown.format.change_unit else ""
    heads |= {part: HEADS.get(part, part) + unit for part in shown.parts}
    small = {"size": theme.small_size, "color": theme.quiet, "va": "bottom", "role": "head"}
    for name, (x, width) in plan.columns.items():
        at, ha = (x + width, "right") if name == "rates" else (x, "left")
        if name in shown.parts:
            at, ha = _at(0.0, plan, name), "center"
            canvas.line((at, at), (plan.top, bottom), theme.ink, 0.8, role="origin", zorder=3)
            # A head as wide as its column stays in it where 0 is at the edge.
            half = pen.width(heads[name], theme.small_size) / 2
            at = min(max(at, x + half), max(x + width - half, x + half))
        head = "\n".join(pen.wrap(heads[name], width, 2, theme.small_size))
        canvas.text(at, plan.top - 2, head, ha=ha, **small)
    for i, level in enumerate(shown.levels):
        y = plan.top + (i + 0.5) * pitch
        canvas.text(min(x for x, _ in plan.columns.values()) - GAP, y, plan.labels[i],
                    ha="right", role="label")  # fmt: skip
        if "shares" in plan.columns:
            _draw_shares(canvas, shown, level, plan, y)
        if "rates" in plan.columns:
            x, width = plan.columns["rates"]
            canvas.text(x + width, y, _rates(shown, level), size=theme.small_size,
                        color=theme.quiet, ha="right", role="rate")  # fmt: skip
        for name, part in zip(shown.parts, level.parts, strict=True):
            _draw_part(canvas, shown, plan, name, part, y)
    rule = plan.top + len(shown.levels) * pitch
    canvas.line((PAD, canvas.width - PAD), (rule, rule), theme.quiet, 0.7, role="rule")
    y = rule + 0.5 * pitch
    canvas.text(min(x for x, _ in plan.columns.values()) - GAP, y, "sum",
                ha="right", bold=True, role="label")  # fmt: skip
    for name, part in zip(shown.parts, shown.sums, strict=True):
        _draw_part(canvas, shown, plan, name, part, y, color=theme.current)


def _at(value: float, plan: _Plan, name: str) -> float:
    (low, high), (x, width) = plan.limits, plan.columns[name]
    return x + (value - low) / (high - low) * width


def _draw_part(
    canvas: Canvas,
    shown: Breakdown,
    plan: _Plan,
    name: str,
    part: Part,
    y: float,
    color: str | None = None,
) -> None:
    if not math.isfinite(part.value):
        return
    theme, bridge = canvas.pen.theme, shown.bridge
    total = color is not None
    pale = not total and bridge.verdict != "real" and not part.p_adjusted < SIGNIFICANT
    if color is None:
        good = bridge.good(part.shown)
        color = theme.neutral if part.shown == 0 else theme.good if good else theme.bad
        color = theme.tint(color) if pale else color
    zero, end = _at(0.0, plan, name), _at(part.value, plan, name)
    thick = 0.5 * plan.pitch
    canvas.box(min(zero, end), y - thick / 2, abs(end - zero), thick, color,
               role="bar", edge=color, line=0.8)  # fmt: skip
    low, high = _reach(part)
    if math.isfinite(part.conf_low) and part.conf_low < part.conf_high:
        ends = _at(part.conf_low, plan, name), _at(part.conf_high, plan, name)
        canvas.whisker(*ends, y)
    forward = part.value >= 0
    canvas.text(
        _at(high if forward else low, plan, name) + (GAP / 2 if forward else -GAP / 2),
        y,
        shown.text(part),
        role="value",
        bold=total,
        color=theme.quiet if pale else theme.ink,
        ha="left" if forward else "right",
        ground=theme.paper,
    )


def _draw_shares(canvas: Canvas, shown: Breakdown, level: Level, plan: _Plan, y: float) -> None:
    """Draw the share of the volume: the earlier period lighter, above the current one."""
    theme, (x, width) = canvas.pen.theme, plan.columns["shares"]
    room = width - _share_width(shown, canvas.pen)
    most = max(_known(s) for each in shown.levels for s in each.share)
    thin = 0.27 * plan.pitch
    colors = (theme.baseline, theme.current)
    for k, (share, color) in enumerate(zip(level.share, colors, strict=True)):
        canvas.box(x, y - thin + k * thin, room * _known(share) / most, thin, color, role="share")
    canvas.text(x + room + GAP / 2, y, _shares(level), size=theme.small_size,
                color=theme.quiet, role="share")  # fmt: skip


def _known(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _shares(level: Level) -> str:
    written = [f"{100 * x:.1f}" if math.isfinite(x) else "–" for x in level.share]
    return " → ".join(written) + " %"


def _share_width(shown: Breakdown, pen: Pen) -> float:
    size = pen.theme.small_size
    return GAP / 2 + max(pen.width(_shares(level), size) for level in shown.levels)


def _rates(shown: Breakdown, level: Level) -> str:
    form = shown.bridge.rate_format
    written = [form.number(x) if math.isfinite(x) else "–" for x in level.rate]
    return " → ".join(written)


def _words(shown: Breakdown, pen: Pen) -> Words:
    theme, bridge = pen.theme, shown.bridge
    unit = f" in {bridge.format.unit}" if bridge.format.unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    what = f"{bridge.metric}{unit}{lower} by {shown.dimension}"
    keys = [
        Key("■", theme.good, "better"),
        Key("■", theme.bad, "worse"),
        Key("■", theme.baseline, bridge.baseline_label),
        Key("■", theme.current, bridge.current_label),
    ]
    if bridge.verdict != "real":
        meaning = f"pale: not significant (p ≥ {SIGNIFICANT:g})"
        keys.append(Key("■", theme.tint(theme.neutral), meaning))
    short = {x.label: pen.wrap(x.label, LABEL, 1, theme.small_size)[0] for x in shown.levels}
    noted = {
        note: ", ".join(short[x.label] for x in shown.levels if x.note == note)
        for note in dict.fromkeys(x.note for x in shown.levels if x.note)
    }
    remarks = [
        f"{of}: {note}; the interval is widened, or there is none." for note, of in noted.items()
    ]
    apart = [short[x.label] for x in shown.levels if x.status]
    if apart:
        remarks.append(
            f"{', '.join(apart)}: new or gone, so neither mix nor rate; what came or went with it "
            "stands under both."
        )
    lacking = pen.lacks([shown.message, what, *(x.label for x in shown.levels)])
    return Words(
        title=shown.message,
        subtitle="\n".join(x for x in (bridge.scope, what, bridge.when) if x),
        keys=tuple(keys),
        notes=(
            "Mix compares a level with comparable segments, shares and rates are observed; "
            "with several dimensions the sum of one need not be the change.",
            *bridge.notes,
        ),
        remarks=(*remarks, *([MISSING_NOTE] if lacking else [])),
    )
