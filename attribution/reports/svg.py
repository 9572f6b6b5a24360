"""The waterfall as inline SVG: small, in the colors of the page (dark ones too), with its words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from attribution.bridge import Bridge
from attribution.reports.columns import stacked
from attribution.reports.textfit import fitted

__all__ = ["waterfall_svg"]

# Room for a number beside a bar.
_NUMBER = 70.0
_SIZE = 13


@dataclass(frozen=True)
class _Layout:
    """Where things are: beside each other, or on a telephone the words above their bar."""

    kind: str
    width: float
    row: float
    bar: float
    # How much of the width names and intervals have, and whether bars begin and end beside them.
    names: float
    intervals: float
    beside: bool
    # Below the top of a row: the line that words stand on, the middle of the bar.
    words: float
    middle: float

    @property
    def bars(self) -> tuple[float, float]:
        """From where to where bars are drawn."""
        left, right = (self.names, self.intervals) if self.beside else (0.0, 0.0)
        return left + _NUMBER, self.width - right - _NUMBER


_LAYOUTS = (
    _Layout("broad", 860.0, 30.0, 18.0, 220.0, 150.0, True, words=23.0, middle=19.0),
    _Layout("narrow", 360.0, 48.0, 16.0, 240.0, 120.0, False, words=20.0, middle=35.0),
)


def waterfall_svg(bridge: Bridge, name: str, most: int = 12) -> str:
    """Return the waterfall of a bridge as SVG, for a broad and for a narrow page.

    The style sheet shows one of the two. All text is escaped.

    Parameters
    ----------
    bridge : Bridge
    name : str
        A name for the ids of its parts, different for every picture of a page.
    most : int
        Steps beyond this number are summed into "other".

    Returns
    -------
    str
    """
    return "".join(_drawn(bridge, f"{name}-{one.kind}", most, one) for one in _LAYOUTS)


def _drawn(bridge: Bridge, name: str, most: int, layout: _Layout) -> str:
    from markupsafe import escape

    drawn, shown = stacked(bridge, most), bridge.condensed(most).by_size()
    factor, format = bridge.format.factor, bridge.format
    intervals = [None, *((b.conf_low, b.conf_high) for b in shown.bars), None]
    whiskers = []
    for (start, _), interval in zip(drawn.ends, intervals, strict=True):
        known = interval is not None and all(map(math.isfinite, interval))
        whiskers.append([start + x * factor for x in interval] if known and interval else [])
    low = min([drawn.floor, *(x for w in whiskers for x in w)])
    high = max([drawn.ceiling, *(x for w in whiskers for x in w)])
    left, right = layout.bars
    scale = (right - left) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) * scale

    height = layout.row * len(drawn.categories) + 8
    steps = "; ".join(f"{c}: {t}" for c, t in zip(drawn.categories, drawn.labels, strict=True))
    parts = [
        f'<svg class="waterfall {layout.kind}" viewBox="0 0 {layout.width:.0f} {height:.0f}" '
        'role="img" '
        f'aria-labelledby="{name}-t {name}-d" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{name}-t">{escape(bridge.message)}</title>',
        f'<desc id="{name}-d">Waterfall. {escape(steps)}</desc>',
    ]
    if low <= 0 <= high and not drawn.cut:
        parts.append(
            f'<line class="origin" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{height:.0f}"/>'
        )
    for i, ((start, end), kind) in enumerate(zip(drawn.ends, drawn.kinds, strict=True)):
        total = kind in ("baseline", "current")
        middle, words = layout.row * i + layout.middle, layout.row * i + layout.words
        a, b = sorted((x(start if not total or not drawn.cut else low), x(end)))
        weight = ' class="total"' if total else ""
        label = fitted(drawn.categories[i], layout.names - 8, _SIZE, total)
        parts.append(f'<text x="0" y="{words:.1f}"{weight}>{escape(label)}</text>')
        kind_class = kind.replace(" ", "-") + (" pale" if drawn.pale[i] else "")
        top = middle - layout.bar / 2
        parts.append(
            f'<rect class="{kind_class}" x="{a:.1f}" y="{top:.1f}" '
            f'width="{max(b - a, 1.5):.1f}" height="{layout.bar:.0f}"/>'
        )
        reach = [a, b]
        if whiskers[i]:
            c, d = (x(w) for w in whiskers[i])
            parts.append(
                f'<path class="whisker" d="M{c:.1f} {middle - 4:.1f}v8M{c:.1f} {middle:.1f}'
                f'H{d:.1f}M{d:.1f} {middle - 4:.1f}v8"/>'
            )
            reach += [c, d]
        forward = end >= start
        place = max(reach) + 6 if forward else min(reach) - 6
        anchor = "" if forward else ' text-anchor="end"'
        text = escape(drawn.labels[i])
        at = f'x="{place:.1f}" y="{middle + 4:.1f}"'
        parts.append(f"<text {at}{anchor}{weight}>{text}</text>")
        interval = intervals[i]
        if interval is not None:
            text = format.interval(*interval)
            parts.append(
                f'<text class="small" x="{layout.width:.0f}" y="{words:.1f}" '
                f'text-anchor="end">{escape(text)}</text>'
            )
        if i + 1 < len(drawn.ends):
            half = layout.bar / 2
            parts.append(
                f'<line class="connector" x1="{x(end):.1f}" x2="{x(end):.1f}" '
                f'y1="{middle + half:.1f}" y2="{middle + layout.row - half:.1f}"/>'
            )
    if drawn.cut:
        starts = format.level(low / factor)
        parts.append(f"<desc>The totals are cut: they start at {escape(starts)}, not 0.</desc>")
    return "".join([*parts, "</svg>"])
