"""Tables for notebooks and pages: the bridge, or the levels of a dimension, as great-tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.formatting import p_text
from attribution.plots.theme import Theme
from attribution.summary import bracketed, verdict_text

if TYPE_CHECKING:
    from great_tables import GT

    from attribution.breakdown import Breakdown
    from attribution.privacy import Shown

__all__ = ["bridge_table", "breakdown_table"]

_ARROW = " → "


def bridge_table(shown: Shown, most: int) -> GT:
    """Return the bridge as a table: a row a bar, the totals above and below.

    Parameters
    ----------
    shown : Shown
    most : int
        The smallest bars are summed into "other" beyond this number.

    Returns
    -------
    GT
    """
    bridge = shown.bridge.condensed(most)
    f = bridge.format
    rows = [("", bridge.baseline_label, f.level(bridge.baseline), "", "")]
    for bar, text, value in zip(bridge.bars, bridge.texts(), bridge.shown(), strict=True):
        tone = "" if value == 0 else "good" if bridge.good(value) else "bad"
        moved = f"{text} {f.change_unit}".rstrip()
        rows.append((tone, bar.label, moved, bracketed(bridge, bar), p_text(bar.p_adjusted)))
    rows.append(("", bridge.current_label, f.level(bridge.current), "", ""))
    names = ["bar", "effect", "interval", "p, adjusted"]
    made = _table(shown, names, rows, f"{bridge.message}.", verdict_text(shown.change), {2})
    return _totals(made, [0, len(rows) - 1])


def breakdown_table(shown: Shown, made: Breakdown) -> GT:
    """Return the levels of a dimension as a table, those that moved most in front.

    Parameters
    ----------
    shown : Shown
    made : Breakdown

    Returns
    -------
    GT
    """
    f, bridge = made.format, made.bridge
    rows = []
    for level in made.by_size().levels:
        total = level.parts[-1]
        tone = "" if not total.shown else "good" if bridge.good(total.value) else "bad"
        share = _ARROW.join("–" if x != x else f"{100 * x:.1f} %" for x in level.share)
        rate = _ARROW.join("–" if x != x else bridge.rate_format.level(x) for x in level.rate)
        beside = level.note or level.status
        label = f"{level.label} ({beside})" if beside else level.label
        interval = f.interval(total.conf_low, total.conf_high)
        parts = [made.text(part) for part in level.parts]
        rows.append((tone, label, share, rate, *parts, interval))
    rows.append(("", "Sum", "", "", *(made.text(part) for part in made.sums), ""))
    unit = f", {f.change_unit}" if f.change_unit else ""
    names = [made.dimension, "share of volume", bridge.metric]
    names += [f"{part}{unit}" for part in made.parts] + [f"interval of total{unit}"]
    subtitle = f"{bridge.current_label} against {bridge.baseline_label}"
    numbers = set(range(4, 4 + len(made.parts)))
    table = _table(shown, names, rows, f"{made.message}.", subtitle, numbers)
    return _totals(table, [len(rows) - 1])


def _table(
    shown: Shown,
    names: list[str],
    rows: list[tuple[str, ...]],
    title: str,
    subtitle: str,
    numbers: set[int],
) -> GT:
    """Rows of (tone, text ...) as a table, texts as they are; `numbers` counts columns from 1."""
    import pandas as pd
    from great_tables import GT, loc, style

    theme = Theme.in_use()
    # Names of columns may repeat one another; their labels are what is read.
    columns = [f"c{j}" for j in range(1, len(names) + 1)]
    frame = pd.DataFrame([row[1:] for row in rows], columns=columns)
    made = GT(frame, id="kpi-attribution").tab_header(title, subtitle)
    made = made.cols_label(dict(zip(columns, names, strict=True)))
    made = made.cols_align("left").cols_align("right", [f"c{j}" for j in sorted(numbers)])
    for tone in ("good", "bad"):
        here = [i for i, row in enumerate(rows) if row[0] == tone]
        side = style.borders(sides="left", color=getattr(theme, tone), weight="4px")
        made = made.tab_style(side, loc.body(columns="c1", rows=here)) if here else made
    for note in [*shown.bridge.notes, *shown.withheld]:
        made = made.tab_source_note(note)
    return made


def _totals(made: GT, rows: list[int]) -> GT:
    from great_tables import loc, style

    return made.tab_style(style.text(weight="bold"), loc.body(rows=rows))
