"""What a trend says in words: its headline, its small print, and the table of its periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.analysis import verdict
from attribution.formatting import Format, aligned, largest_remainder, p_text
from attribution.labels import plural
from attribution.privacy import Privacy, Shown, protect_trend
from attribution.steps import Step

if TYPE_CHECKING:
    from attribution.trends import Trend

__all__ = ["headline", "notes", "summary"]


def headline(self: Trend) -> str:
    """Return the message: from where to where, along which path."""
    f, name = self.format, self.metric.label
    if self.total is None:
        real = sum(c.verdict == "real" for c in self.steps.values())
        return f"{name}: {real} of {len(self._steps)} changes ({self.path}) are more than noise"
    total, (first, last) = self.total, self._ends
    levels = f"from {f.number(total.baseline)} to {f.level(total.current)}"
    moved = f"{levels} ({f.change(f.step(total.baseline, total.current))})"
    word = {"real": "rose" if total.change > 0 else "fell"}.get(verdict(total, self.options))
    stated = f"{name} {word} {moved}" if word else f"{name} {moved}: not more than noise"
    if self.path == "year-to-date":
        return f"{stated}, {last}"
    windows = "window" in self.cube.provenance
    return f"{stated}, {last} against {first}" if windows else f"{stated}, {first} to {last}"


def notes(self: Trend) -> list[str]:
    """Return the lines of small print: path, n, method."""
    options, cube = self.options, self.cube
    n = cube.metric_sums(self.metric, "count").sum(axis=1)
    said = {
        "chained": f"Chained: the sum of {len(self._steps)} changes from period to period. "
        "End to end the same change divides otherwise.",
        "end-to-end": "End to end: the last period against the first, in one step.",
        "year-to-date": "Year to date: changes against the year before, weighted by each "
        "period's part of its year; phasing is volume that moved between periods.",
    }.get(self.path, f"Each period against an earlier one ({self.path}); the changes overlap.")
    units = self._joint.plain
    clusters = cube.clusters.names if cube.clusters is not None else ()
    counted = " and ".join(
        f"{way.count:,} {plural(name)}" for way, name in zip(units.ways, clusters, strict=False)
    )
    return [
        said,
        f"n = {n.min():,.0f} to {n.max():,.0f} a period; {counted or 'rows independent'}. "
        f"Method: {options.method}, {options.mix} mix by "
        f"{', '.join(cube.dimensions) or 'none'}; {100 * options.conf_level:g} % intervals"
        + ("." if options.inference == "analytic" else f" ({options.inference})."),
    ]


def summary(self: Trend, *, privacy: Privacy | None = None) -> str:
    """Return headline, the KPI by period, what the path adds up to, and findings, as text.

    Parameters
    ----------
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    str
    """
    f, protected = self.format, protect_trend(self, privacy)
    rows = [("period", "KPI", "change", "interval", "largest part")]
    ends = {s.pair[1]: (s, x) for s, x in zip(self._steps, protected.steps, strict=True)}
    for t, (label, value) in enumerate(zip(self.cube.periods, self._levels.estimate, strict=True)):
        row = (label, f.number(value), "", "", "")
        if t in ends:
            total = self._step_total(ends[t][0])
            interval = f.interval(total.conf_low, total.conf_high)
            row = (
                *row[:2],
                f.number(f.step(total.baseline, total.current), signed=True),
                f"[{interval}]" if interval else "",
                _largest(*ends[t], f, f.step(total.baseline, total.current)),
            )
        rows.append(row)
    lines = [self.headline() + ".", "", *aligned(rows, right=[1, 2])]
    if self.total is not None and len(self._steps) > 1:
        bridge = protected.bridge()
        texts = zip(bridge.bars, bridge.texts(), strict=True)
        rows = [(bridge.baseline_label, bridge.format.number(bridge.baseline), "", "")]
        for bar, text in texts:
            interval = bridge.format.interval(bar.conf_low, bar.conf_high)
            shown = f"[{interval}]" if interval and bar.conf_low != bar.conf_high else ""
            rows.append((f"  {bar.label}", text, shown, p_text(bar.p_adjusted)))
        rows.append((bridge.current_label, bridge.format.number(bridge.current), "", ""))
        lines += ["", f"Added up ({self.path}):", *aligned(rows, right=[1])]
    unit = f"(levels in {f.unit}, steps in {f.change_unit})" if f.unit else ""
    lines += [*([unit] if unit else []), "", *self.notes(), *protected.withheld]
    worth = [x for x in protected.findings if x["severity"] == "warning"]
    if worth:
        lines += ["", "Findings:", *(f"  [{x['severity']}] {x['message']}" for x in worth)]
    return "\n".join(lines)


def _largest(step: Step, shown: Shown | None, f: Format, moved: float) -> str:
    if step.change is None or shown is None:
        return f"not divided: {', '.join(step.missing)} missing"
    bars = shown.bridge.bars
    if step.change.verdict != "real":
        return "noise" if step.change.verdict == "noise" else "inconclusive"
    most = max(range(len(bars)), key=lambda i: abs(bars[i].value))
    parts = largest_remainder([x.value * f.factor for x in bars], moved * f.factor, f.decimals)
    return f"{bars[most].label} {f.number(parts[most] / f.factor, signed=True)}"
