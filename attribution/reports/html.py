"""The HTML report: one file, no network; tables to sort, filter and drill, and complete without."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.breakdown import Part
from attribution.bridge import Bridge
from attribution.crossing import Crossing
from attribution.formatting import Format, largest_remainder, p_text
from attribution.isolated import isolated
from attribution.plots.theme import Theme
from attribution.privacy import Privacy, Shown, protect
from attribution.reports.columns import stacked
from attribution.reports.files import PAGE, write_file
from attribution.reports.narrative import sections
from attribution.reports.past import Past
from attribution.reports.svg import waterfall_svg
from attribution.summary import verdict_text

if TYPE_CHECKING:
    from jinja2 import Template

    from attribution.result import Attribution

__all__ = [
    "Beside",
    "colors_of",
    "html_file",
    "shortened_label",
    "write_html",
    "written_value",
]

_MOST_BYTES = 1_000_000
# Rows of all level tables together, levels that can be drilled into: less until the page is small.
_BUDGETS = ((400, 30), (160, 12), (60, 0))
_MOST_CROSSED, _MOST_PAIRS = 12, 6
_MOST_BARS = 60
_LONGEST = 160


@dataclass(frozen=True)
class Beside:
    """What a page of a larger report shows beside its attribution.

    Attributes
    ----------
    links : tuple of (str, str, bool)
        Text, address and whether it is this very page: the other pages.
    remarks : tuple of str
        Sentences below the verdict.
    past : Past or None
        The KPI over its periods.
    most_drills, most_pairs : int
        Levels that can be opened within the page, and two-way tables.
    """

    links: tuple[tuple[str, str, bool], ...] = ()
    remarks: tuple[str, ...] = ()
    past: Past | None = None
    most_drills: int = _BUDGETS[0][1]
    most_pairs: int = _MOST_PAIRS


def write_html(change: Attribution, path: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write a self-contained HTML report of less than 1 MB.

    Parameters
    ----------
    change : Attribution
    path : str or Path
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.

    Notes
    -----
    Headline, waterfall, a table of levels per dimension (sortable, filterable, each of the largest
    levels with its own bridge), two-way tables, causes, findings, method and provenance. It works
    without JavaScript, prints, and follows the reader's dark mode.
    """
    return html_file(protect(change, privacy), path)


def html_file(shown: Shown, path: str | Path, beside: Beside | None = None) -> Path:
    """Write the report of what may be shown; see `write_html`."""
    text = _page(shown, beside or Beside())

    def write(fresh: Path) -> None:
        fresh.write_text(text, encoding="utf-8", newline="\n")

    return write_file(path, write, suffixes=PAGE)


def _page(shown: Shown, beside: Beside) -> str:
    template, text = _template(), ""
    drills = _drills(shown, min(_BUDGETS[0][1], beside.most_drills))
    heatmaps = _heatmaps(shown, beside.most_pairs)
    for rows, most in _BUDGETS:
        content = _content(shown, rows, drills[:most], heatmaps)
        text = template.render(content | _around(beside))
        if len(text.encode()) < _MOST_BYTES:
            break
    return text


@cache
def _template() -> Template:
    """The template, compiled once: a review renders dozens of pages."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("attribution.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["isolated"] = isolated
    return environment.get_template("report.html.j2")


def _around(beside: Beside) -> dict[str, Any]:
    from markupsafe import Markup

    past = beside.past
    line = "" if past is None else past.svg("past")
    return {
        "links": beside.links,
        "remarks": beside.remarks,
        "past": past if line else None,
        "line": Markup(line),
    }


def _content(
    shown: Shown, rows: int, drills: list[Drill], heatmaps: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything the template writes."""
    from markupsafe import Markup

    bridge, theme = shown.bridge, Theme.in_use()
    targets = {(drill.dimension, drill.level): drill.id for drill in drills}
    each = max(rows // max(len(shown.dimensions), 1), 20)
    return {
        "bridge": bridge,
        "verdict": verdict_text(shown.change),
        "tiles": _tiles(shown),
        # Headline and verdict stand above them, the method has a part of its own.
        "words": sections(shown, "page")[1:-1],
        "picture": Markup(waterfall_svg(bridge, "main")),
        "cut": _cut(bridge),
        "bars": _bars(bridge, bridge.condensed(_MOST_BARS)),
        "levels": [_levels(shown, d, each, targets) for d in shown.dimensions],
        "drills": drills,
        "heatmaps": heatmaps,
        "causes": shown.causes,
        "findings": shown.findings,
        "withheld": shown.withheld,
        "provenance": [(k, written_value(v)) for k, v in shown.provenance.items()],
        "colors": colors_of(theme),
        "dark": colors_of(theme.dark()),
        "shorten": shortened_label,
    }


def colors_of(theme: Theme) -> dict[str, str]:
    """Return the colors that the style of a page names."""
    names = ("good", "bad", "neutral", "current", "baseline", "ink", "quiet", "paper")
    return {name: getattr(theme, name) for name in names}


def _tiles(shown: Shown) -> list[tuple[str, str, str]]:
    bridge, f, total = shown.bridge, shown.bridge.format, shown.change.total
    n = shown.change.cube.metric_sums(shown.change.metric, "count").sum(axis=1)
    interval = f.interval(total.conf_low, total.conf_high)
    change = sum(bridge.shown()) / f.factor
    return [
        (bridge.baseline_label, f.level(bridge.baseline), f"n = {n[0]:,.0f}"),
        (bridge.current_label, f.level(bridge.current), f"n = {n[1]:,.0f}"),
        (
            "Change",
            f.change(change),
            f"interval {interval} {f.change_unit}".rstrip() if interval else "",
        ),
        ("Verdict", shown.change.verdict, p_text(total.p_value)),
    ]


def _cut(bridge: Bridge) -> str:
    drawn = stacked(bridge)
    return "The totals are cut: they do not start at 0." if drawn.cut else ""


def _bars(whole: Bridge, bridge: Bridge) -> list[dict[str, str]]:
    """The rows of the bridge as text, the totals first and last."""
    f = whole.format
    rows = [_total_row(bridge.baseline_label, f.level(bridge.baseline))]
    for bar, text, value in zip(bridge.bars, bridge.texts(), bridge.shown(), strict=True):
        rows.append(
            {
                "label": bar.label,
                "value": f"{text} {f.change_unit}".rstrip(),
                "interval": f.interval(bar.conf_low, bar.conf_high),
                "p": p_text(bar.p_adjusted),
                "note": bar.note,
                "kind": "" if value == 0 else "better" if whole.good(value) else "worse",
            }
        )
    return [*rows, _total_row(bridge.current_label, f.level(bridge.current))]


def _total_row(label: str, value: str) -> dict[str, str]:
    return {"label": label, "value": value, "interval": "", "p": "", "note": "", "kind": "total"}


# -- levels ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drill:
    """The bridge of one level alone."""

    id: str
    dimension: str
    level: str
    bridge: Bridge
    picture: Any
    bars: list[dict[str, str]]


def _drills(shown: Shown, most: int) -> list[Drill]:
    """The bridges within the levels that moved most, in the order of the tables."""
    from markupsafe import Markup

    # Within a level of the only dimension there is nothing left to divide.
    if len(shown.change.cube.dimensions) < 2:
        return []
    sizes = [
        (-abs(row["total"]), d, i)
        for d, dimension in enumerate(shown.dimensions)
        for i, row in enumerate(shown.levels[dimension].to_dict(orient="records"))
        if row["total"] == row["total"] and row["n_baseline"] > 0 and row["n_current"] > 0
    ]
    found = []
    for _, d, i in sorted(sorted(sizes)[:most], key=lambda key: key[1:]):
        dimension = shown.dimensions[d]
        level = str(shown.levels[dimension]["segment"].iloc[i])
        if level not in shown.change.cube.levels[shown.change.cube.dimension_index(dimension)]:
            continue
        bridge = shown.within(dimension, level)
        if bridge is None:
            continue
        name = f"drill-{d}-{i}"
        picture = Markup(waterfall_svg(bridge, name, 8))
        bars = _bars(bridge, bridge.condensed(12))
        found.append(Drill(name, dimension, level, bridge, picture, bars))
    return found


def _levels(
    shown: Shown, dimension: str, most: int, targets: dict[tuple[str, str], str]
) -> dict[str, Any]:
    """One table of levels: header, rows of (text, sort key), the row of sums."""
    f, f_rate = shown.bridge.format, shown.bridge.rate_format
    frame = shown.largest(dimension, most)
    parts = [p for p in ("volume", "mix", "rate", "interaction") if p in frame]
    unit = f" ({f.change_unit})" if f.change_unit else ""
    level_unit = f" ({f_rate.unit})" if f_rate.unit else ""
    kpi = "KPI" if shown.bridge.mean is None else "mean"
    header = [dimension, "n before", "n after", "share before (%)", "share after (%)"]
    header += [f"{kpi} before{level_unit}", f"{kpi} after{level_unit}"]
    header += [f"{part}{unit}" for part in parts] + [
        f"total{unit}",
        "interval of total",
        "p, adjusted",
    ]
    rounded = {part: _adding_up(shown, dimension, frame[part], part) for part in parts}
    columns = {part: [_moved(f, x) for x in values] for part, values in rounded.items()}
    # A row's total is the sum of what is displayed beside it; of a new level there is nothing else.
    totals = []
    for of_parts, total in zip(zip(*rounded.values(), strict=True), frame["total"], strict=True):
        known = [x for x in of_parts if not _null(x)]
        apart = math.nan if _null(total) else float(total) * f.factor
        totals.append(_moved(f, sum(known) if known else apart))
    rows = []
    for i, row in enumerate(frame.to_dict(orient="records")):
        share = [row[f"share_{when}"] for when in ("baseline", "current")]
        rate = [row[f"rate_{when}"] for when in ("baseline", "current")]
        cells = [
            _cell("–" if _null(x) else f"{x:,.0f}", x)
            for x in (row["n_baseline"], row["n_current"])
        ]
        cells += [_cell("–" if _null(x) else f"{100 * x:.2f}", x) for x in share]
        cells += [_cell("–" if _null(x) else f_rate.number(x), x) for x in rate]
        for part in parts:
            text = columns[part][i]
            cells.append(_cell(text, row[part], shown.bridge))
        cells.append(_cell(totals[i], row["total"], shown.bridge))
        low, high = (_number(row.get(f"total_conf_{end}")) for end in ("low", "high"))
        cells.append(_cell(f.interval(low, high), high - low))
        p = _number(row.get("total_p_adjusted"))
        cells.append(_cell(p_text(p).removeprefix("p = ").removeprefix("p "), p))
        note = row["note"] if isinstance(row["note"], str) else ""
        rows.append(
            {
                "label": row["segment"],
                "target": targets.get((dimension, row["segment"]), ""),
                "note": note,
                "cells": cells,
            }
        )
    sums = {part: _shown_sum(shown, dimension, frame[part], part) for part in parts}
    foot = [f.number(sums[part] / f.factor, signed=True) for part in parts]
    return {
        "dimension": dimension,
        "header": header,
        "rows": rows,
        "foot": foot,
        "count": len(parts),
    }


def _shown_sum(shown: Shown, dimension: str, values: Any, part: str) -> float:
    """The displayed sum of a column: that of the bridge where the bridge has it."""
    f, label = shown.bridge.format, f"Mix: {dimension}" if part == "mix" else part.capitalize()
    for bar, value in zip(shown.bridge.bars, shown.bridge.shown(), strict=True):
        if bar.label == label:
            return value
    return round(float(np.nansum(values)) * f.factor, f.decimals)


def _moved(f: Format, shown: float) -> str:
    return "–" if _null(shown) else f.number(shown / f.factor, signed=True)


def _adding_up(shown: Shown, dimension: str, values: Any, part: str) -> list[float]:
    """A column rounded so that its displayed numbers add up to the displayed sum; NaN is none."""
    f = shown.bridge.format
    known = [i for i, x in enumerate(values) if not _null(x)]
    total = _shown_sum(shown, dimension, values, part)
    rounded = largest_remainder(
        [float(values.iloc[i]) * f.factor for i in known], total, f.decimals
    )
    found = [math.nan] * len(values)
    for i, x in zip(known, rounded, strict=True):
        found[i] = x
    return found


def _cell(text: str, key: Any, bridge: Bridge | None = None) -> dict[str, str]:
    kind = ""
    if bridge is not None and not _null(key) and text.strip("+−0.,"):
        kind = "better" if bridge.good(key) else "worse"
    return {"text": text, "key": "" if _null(key) else f"{float(key):.6g}", "kind": kind}


# -- two-way tables -------------------------------------------------------------------------------


def _heatmaps(shown: Shown, most: int) -> list[dict[str, Any]]:
    """What each crossing of two dimensions moved: mix, rate, entry and exit of its segments."""
    if not shown.ratio:
        return []
    return [_heatmap(shown.crossing_estimates(a, b)) for a, b in shown.pairs()[:most]]


def _heatmap(crossing: Crossing) -> dict[str, Any]:
    crossing = crossing.condensed(_MOST_CROSSED, _MOST_CROSSED)
    moved = [abs(c.shown) for row in crossing.cells for c in row if c and not _null(c.value)]
    largest = max(moved, default=0.0) or 1.0
    rows = [
        {"label": label, "cells": [_crossed(crossing, c, largest) for c in cells]}
        for label, cells in zip(crossing.rows, crossing.cells, strict=True)
    ]
    return {"names": crossing.dimensions, "columns": crossing.columns, "rows": rows}


def _crossed(crossing: Crossing, part: Part | None, largest: float) -> dict[str, str]:
    if part is None or _null(part.value):
        return {"text": "" if part is None else "×", "kind": "", "weight": "0"}
    kind = ""
    if part.shown:
        kind = "better" if crossing.bridge.good(part.shown) else "worse"
    weight = math.ceil(10 * abs(part.shown) / largest) / 10
    return {"text": crossing.text(part), "kind": kind, "weight": f"{weight:g}"}


# -- words ----------------------------------------------------------------------------------------


def shortened_label(text: str) -> str:
    """A label that is shown in a table: the middle of a very long one is left out."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: 2 * _LONGEST // 3]}…{text[-_LONGEST // 3 :]}"


def _null(x: Any) -> bool:
    return x is None or not isinstance(x, int | float) or math.isnan(x)


def _number(x: Any) -> float:
    return float("nan") if _null(x) else float(x)


def written_value(value: Any) -> str:
    """Return a value of the provenance as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
