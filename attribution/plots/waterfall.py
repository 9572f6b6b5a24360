"""The waterfall: a bridge from baseline to current as floating bars with intervals (IBCS)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attribution.bridge import SIGNIFICANT, Bridge
from attribution.errors import OptionError, check_option
from attribution.plots.floating import draw
from attribution.plots.layout import Layout, Row, plan, set_apart, value_axis
from attribution.plots.page import POINTS_PER_INCH, Key, Words, new_axes, place_size, set_margins
from attribution.plots.text import MISSING_NOTE, Pen
from attribution.plots.theme import Theme, look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["waterfall"]

LOOKS = {"actual": "solid", "previous": "solid", "plan": "outlined", "forecast": "hatched"}
# Axes never show less than this many units of the last displayed decimal, or dust would look big.
LEAST_UNITS = 20


def waterfall(
    bridge: Bridge,
    ax: Axes | None = None,
    *,
    orientation: str = "horizontal",
    totals: str = "zoom",
    max_bars: int = 12,
    sort: str = "size",
    theme: Theme | None = None,
) -> Axes:
    """Draw a bridge as a waterfall.

    Parameters
    ----------
    bridge : Bridge
    ax : Axes, optional
        Drawn into, with all words inside its present place; steps that do not fit go into
        "other". None makes a figure of a size that fits, for ``ax.figure.savefig`` or
        `attribution.plots.save`.
    orientation : {"horizontal", "vertical"}
        Bars or columns.
    totals : {"zoom", "zero", "tier", "none"}
        "zoom": baseline and current start at 0 unless the steps would then be too small to read;
        then the axis is cut, with a mark and words that say where. "zero": always from 0.
        "tier": baseline and current from 0, and apart from them, on a larger scale from 0, the
        changes. "none": the changes alone, from 0 to the change.
    max_bars : int
        Steps beyond this number are summed, the smallest first, into "other".
    sort : {"size", "given"}
        The largest step first, or the order of the bridge.
    theme : Theme, optional
        By default the one in use.

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        An option is not one of the above, the bridge has nothing that can be drawn, or `ax` is
        too small for it.

    Notes
    -----
    The look of totals follows IBCS: actual solid dark, previous solid lighter, plan outlined,
    forecast hatched. Blue steps are good news and orange ones bad, whatever their sign; steps that
    show as 0 are gray. Where the total is not beyond noise, steps that are not significant
    themselves (adjusted p of 0.05 or more) are pale. Displayed steps add up to the displayed
    change.

    Examples
    --------
    >>> from attribution.bridge import Bar, Bridge
    >>> bars = (Bar("Mix: queue", 0.012), Bar("Rate", -0.004))
    >>> ax = waterfall(Bridge("Accuracy", "%", "higher", "2026-08", "2026-09", 0.91, 0.918, bars))
    >>> [round(bar.get_width(), 3) for bar in ax.patches[1:-1]]
    [0.012, -0.004]
    """
    check_option("orientation", orientation, ["horizontal", "vertical"])
    check_option("totals", totals, ["zoom", "zero", "tier", "none"])
    check_option("sort", sort, ["size", "given"])
    _check_drawable(bridge)
    theme = look(ax, theme)
    pen, horizontal = Pen.of(theme), orientation == "horizontal"
    place = None if ax is None else place_size(ax)
    with theme.context():
        shown = bridge.condensed(max_bars)
        while True:
            ordered = shown.by_size() if sort == "size" else shown
            rows = _rows(ordered, theme, totals)
            words = _words(ordered, rows, pen, totals)
            layout = plan(rows, words, pen, horizontal, place)
            if layout.fits:
                break
            if len(shown.bars) <= 2:
                raise OptionError(_too_small(layout))
            shown = bridge.condensed(len(shown.bars) - 1)
        axis = value_axis(rows, layout, totals == "zoom" and any(ordered.shown()), _least(bridge))
        if axis.cut:
            words = words.plus(_cut_key(bridge, axis.origin, theme))
            layout = plan(rows, words, pen, horizontal, place)
        if totals == "tier":
            rows = set_apart(rows, layout, axis)
        if ax is None:
            ax = new_axes(*layout.size, theme)
        set_margins(ax, layout.margins)
        draw(ax, rows, axis, layout, pen)
        words.write(ax, pen, layout.margins, layout.size[0])
    return ax


def _check_drawable(bridge: Bridge) -> None:
    if not bridge.bars:
        raise OptionError("bridge: it has no bars, so there is nothing to draw.")
    named = [(bar.label, bar.value) for bar in bridge.bars]
    named += [(bridge.baseline_label, bridge.baseline), (bridge.current_label, bridge.current)]
    for label, value in named:
        if not math.isfinite(value):
            raise OptionError(f"bridge: {label!r} is {value}, which cannot be drawn.")


def _too_small(layout: Layout) -> str:
    width, height = (side / POINTS_PER_INCH for side in layout.size)
    return (
        f"ax: {width:.1f} x {height:.1f} inches is too small for the bars and their words. "
        "Give it about 7 x 4, or leave it out."
    )


def _rows(bridge: Bridge, theme: Theme, totals: str) -> list[Row]:
    """Return what is drawn, from the first total to the last."""
    format, shown = bridge.format, bridge.shown()
    chained = totals in ("zoom", "zero")
    origin = 0.0 if chained else bridge.baseline
    ends = [
        Row(
            label,
            format.level(value),
            0.0,
            value,
            getattr(theme, "baseline" if scenario == "previous" else "current"),
            total=True,
            apart=totals == "tier",
            look=LOOKS[scenario],
        )
        for label, value, scenario in zip(
            (bridge.baseline_label, bridge.current_label),
            (bridge.baseline, bridge.current),
            bridge.scenarios,
            strict=True,
        )
    ]
    rows = []
    for bar, start, value, text in zip(
        bridge.bars, bridge.starts(), shown, bridge.texts(), strict=True
    ):
        start -= origin
        known = math.isfinite(bar.conf_low + bar.conf_high) and bar.conf_low < bar.conf_high
        pale = bridge.verdict != "real" and not bar.p_adjusted < SIGNIFICANT
        color = theme.neutral if value == 0 else theme.good if bridge.good(value) else theme.bad
        rows.append(
            Row(
                bar.label,
                text,
                start,
                start + bar.value,
                theme.tint(color) if pale else color,
                whisker=(start + bar.conf_low, start + bar.conf_high) if known else None,
                interval=(format.interval(bar.conf_low, bar.conf_high) if known else "")
                + (" *" if bar.note else ""),
                pale=pale,
            )
        )
    if chained:
        return [ends[0], *rows, ends[1]]
    text = format.change(sum(shown) / format.factor)
    change = Row("Change", text, 0.0, bridge.change, theme.current, total=True)
    return [*(ends if totals == "tier" else []), *rows, change]


def _words(bridge: Bridge, rows: list[Row], pen: Pen, totals: str) -> Words:
    theme, format = pen.theme, bridge.format
    unit, step = (f" in {u}" if u else "" for u in (format.unit, format.change_unit))
    what = f"Change of {bridge.metric}{step}" if totals == "none" else f"{bridge.metric}{unit}"
    what += " (lower is better)" if bridge.better == "lower" else ""
    what += f", steps{step}" if totals != "none" and step != unit else ""
    subtitle = "\n".join(x for x in (bridge.scope, what, bridge.when) if x)
    colors = {row.color for row in rows}
    keys = [
        Key("■", color, meaning)
        for color, meaning in ((theme.good, "better"), (theme.bad, "worse"))
        if colors & {color, theme.tint(color)}
    ]
    if any(row.pale for row in rows):
        meaning = f"pale: not significant (p ≥ {SIGNIFICANT:g})"
        keys.append(Key("■", theme.tint(theme.neutral), meaning))
    if totals == "tier":
        keys.append(Key("■", theme.current, "totals on a scale of their own, from 0"))
    remarks = [f"* {x}: the interval is widened, or there is none." for x in bridge.remarks()]
    lacking = pen.lacks([bridge.message, subtitle, *bridge.notes, *(row.label for row in rows)])
    return Words(
        title=bridge.message,
        subtitle=subtitle,
        keys=tuple(keys),
        notes=bridge.notes,
        remarks=(*remarks, *([MISSING_NOTE] if lacking else [])),
    )


def _cut_key(bridge: Bridge, origin: float, theme: Theme) -> Key:
    return Key("//", theme.ink, f"totals cut: they start at {bridge.format.level(origin)}, not 0")


def _least(bridge: Bridge) -> float:
    return LEAST_UNITS * 10.0**-bridge.format.decimals / bridge.format.factor
