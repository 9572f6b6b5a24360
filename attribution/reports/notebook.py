"""An attribution in a notebook: tiles, verdict and bridge in one small piece of HTML.

Styles stand in the elements and colors are the reader's own wherever they can be: static viewers
drop style sheets and scripts, and the page behind may be light or dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.bridge import SIGNIFICANT, Bridge
from attribution.formatting import p_text
from attribution.isolated import isolated
from attribution.plots.theme import Theme
from attribution.summary import bracketed, verdict_text

if TYPE_CHECKING:
    from attribution.privacy import Shown

__all__ = ["notebook_html"]

_MOST_BARS = 12
_MOST_FINDINGS = 5


def notebook_html(shown: Shown) -> str:
    """Return headline, tiles, bridge and findings; all labels are escaped.

    Parameters
    ----------
    shown : Shown

    Returns
    -------
    str
    """
    bridge, change = shown.bridge.condensed(_MOST_BARS), shown.change
    f, moved = bridge.format, sum(bridge.shown())
    tiles = [
        (bridge.baseline_label, f.level(bridge.baseline)),
        (bridge.current_label, f.level(bridge.current)),
        ("change", f.change(moved / f.factor)),
        ("verdict", change.verdict),
    ]
    return (
        "<div style='max-width:760px'>"
        f"<p><b>{_escaped(bridge.message)}.</b><br>{_escaped(verdict_text(change))}</p>"
        f"<div>{''.join(_tile(*tile) for tile in tiles)}</div>{_table(bridge)}"
        f"<p><small>{'<br>'.join(map(_escaped, [*bridge.notes, *shown.withheld]))}</small></p>"
        f"{_warnings(shown)}</div>"
    )


def _escaped(text: str) -> str:
    return str(isolated(text))


def _tile(name: str, value: str) -> str:
    style = (
        "display:inline-block;margin:0 8px 8px 0;padding:6px 14px;border-radius:4px;"
        "border:1px solid rgba(128,128,128,.4)"
    )
    return (
        f"<div style='{style}'><small>{_escaped(name)}</small><br>"
        f"<b style='font-size:135%'>{_escaped(value)}</b></div>"
    )


def _table(bridge: Bridge) -> str:
    """The bridge as a table whose second column floats the steps from level to level."""
    f, theme = bridge.format, Theme.in_use()
    starts = bridge.starts()
    ends = [start + bar.value for start, bar in zip(starts, bridge.bars, strict=True)]
    places = [bridge.baseline, bridge.current, *starts, *ends]
    low, span = min(places), (max(places) - min(places)) or 1.0
    rows = [_total(bridge.baseline_label, f.level(bridge.baseline))]
    for bar, start, end, value, text in zip(
        bridge.bars, starts, ends, bridge.shown(), bridge.texts(), strict=True
    ):
        pale = bridge.verdict != "real" and not bar.p_adjusted < SIGNIFICANT
        color = theme.neutral if value == 0 else theme.good if bridge.good(value) else theme.bad
        left = 98 * (min(start, end) - low) / span
        wide = max(98 * abs(end - start) / span, 0.8)
        step = (
            f"<div style='margin-left:{left:.1f}%;width:{wide:.1f}%;height:12px;"
            f"background:{color};opacity:{0.35 if pale else 1}'></div>"
        )
        rows.append(
            _row(
                bar.label,
                step,
                f"{text} {f.change_unit}".rstrip(),
                bracketed(bridge, bar),
                p_text(bar.p_adjusted),
            )
        )
    rows.append(_total(bridge.current_label, f.level(bridge.current)))
    return f"<table style='border-collapse:collapse;color:inherit'>{''.join(rows)}</table>"


def _row(label: str, step: str, value: str, interval: str, p: str) -> str:
    cell = "style='text-align:{};padding:2px 10px'"
    left, right = cell.format("left"), cell.format("right")
    return (
        f"<tr><td {left}>{_escaped(label)}</td><td {left}><div style='width:180px'>"
        f"{step}</div></td><td {right}>{_escaped(value)}</td><td {left}>{_escaped(interval)}</td>"
        f"<td {left}>{_escaped(p)}</td></tr>"
    )


def _total(label: str, value: str) -> str:
    cell = "style='text-align:{};padding:2px 10px'"
    return (
        f"<tr><th scope='row' {cell.format('left')}>{_escaped(label)}</th><td></td>"
        f"<th {cell.format('right')}>{_escaped(value)}</th><td></td><td></td></tr>"
    )


def _warnings(shown: Shown) -> str:
    found = [x["message"] for x in shown.findings if x["severity"] == "warning"]
    if not found:
        return ""
    more = len(found) - _MOST_FINDINGS
    items = "".join(f"<li>{_escaped(x)}</li>" for x in found[:_MOST_FINDINGS])
    rest = f"<li>{more} more: see <code>check()</code></li>" if more > 0 else ""
    return f"<p>Findings:</p><ul>{items}{rest}</ul>"
