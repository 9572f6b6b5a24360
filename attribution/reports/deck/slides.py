"""One slide per question: what happened, which mix, which levels, where, over time, how good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attribution.bridge import Bridge
from attribution.errors import OptionError
from attribution.formatting import p_text
from attribution.plots.theme import Theme
from attribution.privacy import Shown
from attribution.reports.deck.charts import bar_chart, line_chart, waterfall_chart
from attribution.reports.deck.page import Deck
from attribution.reports.deck.table import table
from attribution.reports.narrative import sections
from attribution.reports.sentences import written
from attribution.summary import verdict_text

__all__ = [
    "bridge_slide",
    "causes_slide",
    "findings_slide",
    "mix_slides",
    "quality_slide",
    "trend_slide",
]

_MOST_LEVELS = 9
_MOST_DIMENSIONS = 8
_ADDS = "Displayed steps add up to the displayed change."


def bridge_slide(deck: Deck, shown: Shown, remarks: Sequence[str] = ()) -> None:
    """Why did it change: the waterfall, its verdict, and all numbers in the notes."""
    bridge = shown.bridge
    verdict = verdict_text(shown.change)
    slide = deck.slide(bridge.message, _subtitle(bridge), [verdict, *bridge.notes])
    drawn = waterfall_chart(slide, slide.area, bridge)
    cut = ""
    if drawn.cut:
        starts = bridge.format.level(drawn.floor / bridge.format.factor)
        cut = f"The axis is cut: it starts at {starts}."
    lines = [verdict, *_bars_in_words(bridge), _ADDS, cut, *bridge.notes, *shown.withheld]
    said = [bridge.message + ".", *remarks, *_caveats(shown), *(x for x in lines if x)]
    # Headline and verdict are there already, and so is the method.
    slide.note("\n".join(said) + "\n\n" + written(sections(shown, "page")[1:-1], "text"))


def mix_slides(deck: Deck, shown: Shown) -> None:
    """Which dimension's mix, and within the largest one which level: two slides."""
    bars = [bar for bar in shown.bridge.bars if bar.label.startswith("Mix: ")]
    if not bars:
        # Bars of a KPI made of KPIs are those of its factors; its levels are of the whole.
        if shown.dimensions and any(bar.factor for bar in shown.bridge.bars):
            moved = {d: shown.levels[d]["total"].abs().max() for d in shown.dimensions}
            _levels_slide(deck, shown, max(moved, key=moved.__getitem__))
        return
    bridge, f = shown.bridge, shown.bridge.format
    texts = dict(zip((b.label for b in bridge.bars), bridge.texts(), strict=True))
    ordered = sorted(bars, key=lambda bar: -abs(bar.value))[:_MOST_DIMENSIONS]
    unit = f" {f.change_unit}" if f.change_unit else ""
    shown_values = dict(zip((b.label for b in bridge.bars), bridge.shown(), strict=True))
    total = sum(shown_values[bar.label] for bar in bars) / f.factor
    leading = ordered[0]
    message = f"The mix moved {bridge.metric} by {f.change(total)}"
    if not leading.p_adjusted < 1 - shown.change.options.conf_level:
        message += "; no dimension stands out from noise"
    elif len(bars) > 1:
        message += f", {texts[leading.label]}{unit} of it through {_named(leading.label)}"
    slide = deck.slide(message, f"Mix effects{f' in{unit}' if unit else ''} · {_when(bridge)}",
                       [_MIX_MEANS, *bridge.notes])  # fmt: skip
    left, right = slide.area.columns(0.42)
    names = [_named(bar.label) for bar in ordered]
    values = [bar.value * f.factor for bar in ordered]
    shown_texts = [texts[bar.label] for bar in ordered]
    good = [[bridge.good(v) if v else None for v in values]]
    words = "; ".join(f"{n}: {t}{unit}" for n, t in zip(names, shown_texts, strict=True))
    bar_chart(slide, left, names, {"Mix effect": (values, shown_texts)}, good=good,
              alternative=f"Mix effect of each dimension. {words}")  # fmt: skip
    rows = [
        [
            name,
            text,
            f.interval(bar.conf_low, bar.conf_high),
            p_text(bar.p_adjusted).removeprefix("p = ").removeprefix("p "),
            _top_level(shown, name),
        ]
        for name, text, bar in zip(names, shown_texts, ordered, strict=True)
    ]
    header = ["dimension", f"mix{unit}", "interval", "p, adjusted", "most of it"]
    table(slide, right, header, rows, [2.2, 1.2, 2.4, 1.5, 4.0], right=[1], lines=2,
          alternative=f"Mix effects by dimension. {words}")  # fmt: skip
    slide.note("\n".join([message + ".", _MIX_MEANS, *_bars_in_words(bridge), *_caveats(shown)]))
    dimension = next((n for n in names if n in shown.dimensions), None)
    if dimension is not None:
        _levels_slide(deck, shown, dimension)


def _levels_slide(deck: Deck, shown: Shown, dimension: str) -> None:
    """The levels of one dimension: mix and rate as bars, shares and rates as a table."""
    bridge, f = shown.bridge, shown.bridge.format
    made = shown.breakdown(dimension).condensed(_MOST_LEVELS)
    levels = sorted(made.levels, key=lambda x: (len(x.rows) > 1, -abs(x.parts[-1].value)))
    if not levels:
        return
    alpha = 1 - shown.change.options.conf_level
    named = [x for x in levels if x.parts[-1].p_adjusted < alpha]
    message = f"No {dimension} stands out from noise by itself"
    if named:
        message = (
            f"{dimension} {named[0].label} moved {bridge.metric} most: "
            f"{f.change(named[0].parts[-1].shown / f.factor)} in mix and rate together"
        )
    unit = f" in {f.change_unit}" if f.change_unit else ""
    note = "Levels of one dimension are one view of the change; views of several do not add up."
    slide = deck.slide(message, f"Mix and rate effect of each {dimension}{unit} · {_when(bridge)}",
                       [note, *bridge.notes])  # fmt: skip
    left, right = slide.area.columns(0.44)
    theme = Theme.in_use()
    series = {}
    for part in ("mix", "rate"):
        cells = [x.parts[made.parts.index(part)] for x in levels]
        values = [0.0 if _null(c.value) else c.value * f.factor for c in cells]
        series[part] = values, [made.text(c) for c in cells]
    labels = [x.label for x in levels]
    said = "; ".join(f"{x.label}: {f.change(x.parts[-1].shown / f.factor)}" for x in levels)
    bar_chart(slide, left, labels, series, palette=[theme.baseline, theme.current],
              alternative=f"Mix and rate effect of each {dimension}. Together: {said}")  # fmt: skip
    grid = [
        [
            x.label,
            _arrow(*map(_percent, x.share)),
            _arrow(*map(bridge.rate_format.number, x.rate)),
            made.text(x.parts[-1]),
            f.interval(x.parts[-1].conf_low, x.parts[-1].conf_high),
        ]
        for x in levels
    ]
    header = [
        dimension,
        "share, %",
        f"{bridge.metric}{f', {f.unit}' if f.unit else ''}",
        "mix + rate",
        "interval",
    ]
    table(slide, right, header, grid, [2.6, 1.7, 2.1, 1.3, 2.1], right=[3],
          alternative=f"Levels of {dimension}. {said}")  # fmt: skip
    slide.note(
        "\n".join(
            [
                message + ".",
                note,
                _MIX_MEANS,
                *(f"{x}." for x in said.split("; ")),
                *_caveats(shown),
            ]
        )
    )


def causes_slide(deck: Deck, shown: Shown) -> None:
    """Where the rates moved: named causes, or that none stands out."""
    causes = shown.causes
    if causes is None:
        return
    bridge, f = shown.bridge, shown.bridge.format
    notes = [*causes.notes, "Located in, not caused by: effects are accounting."]
    unit = f" in {f.change_unit}" if f.change_unit else ""
    subtitle = f"Named causes of the rate effect{unit} · {_when(bridge)}"
    rows = causes.text_rows(f)
    message = causes.message
    if len(rows) > 2:
        message = (
            f"The rate effect is largest in {rows[0][0]}: {rows[0][1]} {f.change_unit}".rstrip()
        )
    slide = deck.slide(message, subtitle, notes)
    header = [
        "segment",
        f"contribution{unit}",
        "interval",
        "before",
        "after",
        "n before",
        "n after",
    ]
    said = "; ".join(f"{r[0]}: {r[1]}" for r in rows)
    widths = [5.0, 1.7, 2.2, 1.1, 1.1, 1.2, 1.2]
    # Where no segment is named, or counts are protected, there are no rates nor counts.
    kept = [j for j in range(len(header)) if j < 3 or any(r[j] for r in rows)]
    grid = [[r[j] for j in kept] for r in rows]
    right = [place for place, j in enumerate(kept) if j in (1, 3, 4, 5, 6)]
    names, parts = [header[j] for j in kept], [widths[j] for j in kept]
    table(slide, slide.area, names, grid, parts, right=right, size=12, lines=2,
          alternative=f"Contributions to the rate effect. {said}")  # fmt: skip
    slide.note(
        "\n".join([causes.message, *(f"{r[0]}: {r[1]}." for r in rows), *notes, *_caveats(shown)])
    )


def trend_slide(deck: Deck, shown: Shown, trend: Any) -> None:
    """The KPI over time, from a result of `attribution.trend`."""
    frame = getattr(trend, "frame", None)
    if frame is None or not {"period", "value"} <= set(frame.columns):
        raise OptionError(f"trend: {trend!r} is not what at.trend(...) returns.")
    bridge, f = shown.bridge, shown.bridge.format
    labels = [str(x) for x in frame["period"]]
    known = [(i, float(x)) for i, x in enumerate(frame["value"]) if not _null(x)]
    if len(known) < 2:
        raise OptionError("trend: it has fewer than two periods with a value.")
    (first, start), (last, end) = known[0], known[-1]
    message = (
        f"{bridge.metric} went from {f.level(start)} in {labels[first]} to {f.level(end)} in "
        f"{labels[last]} ({f.change(f.step(start, end))})"
    )
    unit = f" in {f.unit}" if f.unit else ""
    slide = deck.slide(message, f"{bridge.metric}{unit} · {labels[first]} to {labels[last]}",
                       ["The axis is cut: it shows changes, not the level from 0."])  # fmt: skip
    values = [None if _null(x) else float(x) * f.factor for x in frame["value"]]
    lowest, highest = min(known, key=lambda p: p[1])[0], max(known, key=lambda p: p[1])[0]
    written = range(len(labels)) if len(labels) <= 12 else {first, last, lowest, highest}
    texts = {i: f.number(x) for i, x in known if i in written}
    said = "; ".join(f"{labels[i]}: {f.level(x)}" for i, x in known)
    line_chart(slide, slide.area, labels, values, texts, f"{bridge.metric} over time. {said}")
    slide.note("\n".join([message + ".", *(x + "." for x in said.split("; "))]))


def findings_slide(deck: Deck, shown: Shown) -> None:
    """How good are the data: warnings first, what does not fit in the notes."""
    notes = [*shown.withheld, *shown.bridge.notes]
    quality_slide(deck, shown.findings, _when(shown.bridge), notes)


def quality_slide(
    deck: Deck, findings: Sequence[dict[str, Any]], when: str, notes: Sequence[str]
) -> None:
    """Findings on a slide: warnings first, what does not fit in the speaker notes.

    Parameters
    ----------
    deck : Deck
    findings : sequence of dict
    when : str
        What was compared with what.
    notes : sequence of str
        The lines at the foot.
    """
    order = {"error": 0, "warning": 1, "info": 2}
    found = sorted(
        (f for f in findings if f["severity"] != "ok"),
        key=lambda f: order.get(f["severity"], 3),
    )
    warnings = sum(f["severity"] == "warning" for f in found)
    message = "The data hold nothing that a reader must know"
    if warnings:
        message = f"{warnings} finding{'s' * (warnings > 1)} to know before acting on it"
    elif found:
        message = "No warning; notes on how the numbers were made"
    residual = next((f["message"] for f in findings if f["code"] == "residual"), "")
    slide = deck.slide(message, f"Quality of the data · {when}", [residual, *notes])
    rows = [[f["severity"], f["message"]] for f in found] or [["ok", residual]]
    count = table(slide, slide.area, ["severity", "finding"], rows, [1.2, 10.0], size=12, lines=3,
                  alternative="; ".join(f"{a}: {b}" for a, b in rows))  # fmt: skip
    more = [f"{len(rows) - count} more:"] if count < len(rows) else []
    slide.note("\n".join([message + ".", *more, *(f"[{a}] {b}" for a, b in rows)]))


# -- words ----------------------------------------------------------------------------------------

_MIX_MEANS = (
    "Mix: the share of levels moved, each compared with comparable segments, adjusted for the "
    "other dimensions."
)


def _when(bridge: Bridge) -> str:
    return f"{bridge.current_label} against {bridge.baseline_label}"


def _subtitle(bridge: Bridge) -> str:
    f = bridge.format
    unit = f" in {f.unit}" if f.unit else ""
    steps = f", steps in {f.change_unit}" if f.change_unit and f.change_unit != f.unit else ""
    lower = " (lower is better)" if bridge.better == "lower" else ""
    return f"{bridge.metric}{unit}{lower}{steps} · {_when(bridge)}"


def _bars_in_words(bridge: Bridge) -> list[str]:
    f, found = bridge.format, []
    for bar, text in zip(bridge.bars, bridge.texts(), strict=True):
        interval = f.interval(bar.conf_low, bar.conf_high)
        within = f" [{interval}]" if interval else ""
        beside = ", ".join(x for x in (p_text(bar.p_adjusted), bar.note) if x)
        found.append(f"{bar.label}: {text} {f.change_unit}{within}{', ' * bool(beside)}{beside}")
    ends = [
        f"{bridge.baseline_label}: {f.level(bridge.baseline)}",
        f"{bridge.current_label}: {f.level(bridge.current)}",
    ]
    return [*ends, *found[:60], *([f"and {len(found) - 60} more"] if len(found) > 60 else [])]


def _caveats(shown: Shown) -> list[str]:
    warnings = [f["message"] for f in shown.findings if f["severity"] == "warning"]
    caution = "Results are accounting: an effect is located in a segment, not caused by it."
    return [caution, *warnings, *shown.withheld]


def _named(label: str) -> str:
    return label.removeprefix("Mix: ")


def _top_level(shown: Shown, dimension: str) -> str:
    """The level that holds most of a dimension's mix effect, with its shares."""
    frame = shown.levels.get(dimension)
    if frame is None or frame["mix"].isna().all():
        return ""
    row = frame.iloc[int(np.nanargmax(frame["mix"].abs().astype(float)))]
    f = shown.bridge.format
    shares = _arrow(_percent(row["share_baseline"]), _percent(row["share_current"]))
    return f"{row['segment']} {f.number(row['mix'], signed=True)} (share {shares} %)"


def _arrow(before: str, after: str) -> str:
    return f"{before} → {after}" if before or after else ""


def _percent(share: Any) -> str:
    return "–" if _null(share) else f"{100 * share:.1f}"


def _null(x: Any) -> bool:
    return x is None or not isinstance(x, int | float) or math.isnan(x)


def _number(x: Any) -> float:
    return float("nan") if _null(x) else float(x)
