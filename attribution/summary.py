"""The words around a bridge: headline, verdict and summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attribution.formatting import aligned, p_text
from attribution.quantiles import has_density

if TYPE_CHECKING:
    from attribution.bridge import Bar, Bridge
    from attribution.result import Attribution

__all__ = ["bracketed", "headline", "notes", "smallest_seen", "summary"]


def headline(change: Attribution, bridge: Bridge) -> str:
    """Return the message: what moved, by how much, whether it is more than noise, and where.

    Where the change is real, the largest bar is named if it is significant by itself.
    """
    f, total = change.format, change.total
    levels = f"{f.level(total.baseline)} to {f.level(total.current)}"
    sized = f"{_shown_change(change)}"
    name = change.metric.label
    if change.cube.provenance.get("plan") is not None:
        return _against_plan(change, bridge, sized)
    if change.verdict == "real":
        moved = f"{name} {'rose' if total.change > 0 else 'fell'} from {levels} ({sized})"
        return moved + _largest(change, bridge)
    if change.verdict == "noise":
        return f"{name}: {levels} ({sized}) is not distinguishable from noise"
    return f"{name}: {levels} ({sized}) is inconclusive"


def _against_plan(change: Attribution, bridge: Bridge, sized: str) -> str:
    """The message of a comparison with a plan: above or below it, by how much, where."""
    f, total = change.format, change.total
    name, size = change.metric.label, sized.lstrip("+\N{MINUS SIGN}")
    level = f"{f.level(total.current)} against {f.level(total.baseline)}"
    if change.verdict == "real":
        side = "above" if total.change > 0 else "below"
        return f"{name} is {size} {side} plan ({level}){_largest(change, bridge)}"
    word = {"noise": "not distinguishable from the plan"}.get(change.verdict, "inconclusive")
    return f"{name} is {level} planned ({sized}): {word}"


def _largest(change: Attribution, bridge: Bridge) -> str:
    """Name the largest bar that moved with the total, if it is significant by itself."""
    along = [i for i, bar in enumerate(bridge.bars) if bar.value * change.total.change > 0]
    if not along:
        return ""
    i = max(along, key=lambda i: abs(bridge.bars[i].value))
    if not bridge.bars[i].p_adjusted < 1 - change.options.conf_level:
        return ""
    label = bridge.bars[i].label
    words = {"Mix": "the mix of ", "New": "the new ", "Gone": "the end of "}
    words |= {"Rate": "the rate effect "}
    words |= {"Unplanned": "the unplanned ", "Undelivered": "the undelivered "}
    kind, _, what = label.partition(": ")
    named = words[kind] + what if what and kind in words else f"the {label.lower()} effect"
    named = "how the dimensions pair up" if label == "Mix: jointly" else named
    named = "the stretch between target and baseline" if label == "Stretch" else named
    named = label if bridge.bars[i].factor else named
    # A named cause stands for no row of `effects`: its label says where it is.
    named = label if not bridge.bars[i].rows and kind != "Rate" else named
    return f", most of it in {named}" if _most(bridge, i) else f", largest in {named}"


def _most(bridge: Bridge, i: int) -> bool:
    """Whether one bar is more than half of all movement in its direction."""
    moved = [b.value for b in bridge.bars if b.value * bridge.bars[i].value > 0]
    return abs(bridge.bars[i].value) > 0.5 * abs(sum(moved))


def verdict_is_known(change: Attribution) -> bool:
    """Whether there is a standard error to judge by."""
    return change.total.std_error == change.total.std_error  # NaN differs from itself


def verdict_text(change: Attribution) -> str:
    """Return the verdict as a sentence with the interval and what the data could show."""
    f, total, options = change.format, change.total, change.options
    interval = f.interval(total.conf_low, total.conf_high)
    if not interval and not has_density(change.cube, change.metric):
        return "No standard error can be computed: the quantile has no density (see the findings)."
    if not interval:
        return (
            "No standard error can be computed: fewer than two independent units stand behind a "
            "period."
        )
    stated = f"{100 * options.conf_level:g} % interval {interval} {f.change_unit}".rstrip()
    stated += f", {p_text(total.p_value)}" if p_text(total.p_value) else ""
    if change.verdict == "real":
        return f"Real: {stated}."
    limit = smallest_seen(change)
    unseen = f"; a change smaller than {limit} could not be seen" if limit else ""
    if change.verdict == "noise":
        return f"Noise: {stated}. Not distinguishable from noise{unseen}."
    material = f.change(options.material or 0).lstrip("+")
    return (
        f"Inconclusive: {stated}. It may be 0 and it may be more than the {material} that "
        f"matters{unseen}."
    )


def smallest_seen(change: Attribution) -> str:
    """Return the smallest change that the data could show; "" where it is 0 as displayed.

    A KPI that is the same in every row has no noise: nothing is too small to be seen.
    """
    f, detectable = change.format, change.total.detectable
    return f.change(detectable).lstrip("+") if f.number(detectable).strip("0.") else ""


def scope(change: Attribution) -> str:
    """Return the part of the operation that it is about: "market: ID"; "" for all."""
    part = change.cube.provenance.get("part", {})
    named = [f"{d}: {', '.join(v) if isinstance(v, list) else v}" for d, v in part.items()]
    return "; ".join(named)


def notes(change: Attribution) -> list[str]:
    """Return the lines of small print: periods, n, method."""
    cube, options, units = change.cube, change.options, change._units
    if units.clustered and cube.clusters is not None:
        pairs = zip(units.ways, cube.clusters.names, strict=True)
        counted = " and ".join(
            f"{way.count:,} cluster{'s' * (way.count != 1)} ({name})" for way, name in pairs
        )
    else:
        counted = "rows independent"
    first = "; ".join(x for x in (f"{cube.periods[0]} to {cube.periods[1]}", scope(change)) if x)
    n = cube.metric_sums(change.metric, "count").sum(axis=1)
    return [
        f"{first}. n = {n[0]:,.0f} and {n[1]:,.0f}; {counted}.",
        f"Method: {options.method}, {options.mix} mix by {', '.join(cube.dimensions) or 'none'}, "
        f"{change._parts.form} rates; {100 * options.conf_level:g} % intervals"
        + ("" if options.inference == "analytic" else f" ({options.inference})")
        + ("; mix from full counts" if cube.volume is not None else "")
        + ("; for these decisions alone" if options.finite_population else "")
        + ".",
        *([f"Rows where {cube.provenance['where']}."] if cube.provenance.get("where") else []),
    ]


def summary(
    change: Attribution,
    bridge: Bridge,
    found: Sequence[Mapping[str, Any]],
    withheld: Sequence[str],
) -> str:
    """Return headline, verdict, bridge, and findings that matter, as text.

    Parameters
    ----------
    change : Attribution
    bridge : Bridge
    found : sequence of dict
        The findings.
    withheld : sequence of str
        What a reader does not see.

    Returns
    -------
    str
    """
    format = bridge.format
    rows = [(bridge.baseline_label, format.number(bridge.baseline), "", "")]
    for bar, text in zip(bridge.bars, bridge.texts(), strict=True):
        rows.append((f"  {bar.label}", text, bracketed(bridge, bar), p_text(bar.p_adjusted)))
    rows.append((bridge.current_label, format.number(bridge.current), "", ""))
    table = aligned(rows, right=[1])
    unit = f"in {format.unit}" if format.unit else ""
    if format.change_unit != format.unit:
        unit = f"levels in {format.unit}, steps in {format.change_unit}"
    adjusted = f"p-values adjusted ({change.options.adjust})" if change.options.adjust else ""
    lines = [bridge.message + ".", verdict_text(change)]
    if change.verdict != "real" and verdict_is_known(change):
        lines.append(_offsetting(change, bridge))
    lines += ["", *table]
    if small_print := "; ".join(x for x in (unit, adjusted) if x):
        lines.append(f"({small_print})")
    lines += ["", *notes(change)]
    worth = [f for f in found if f["severity"] != "ok"]
    if worth:
        lines += ["", "Findings:"]
        lines += [f"  [{f['severity']}] {f['message']}" for f in worth]
    lines += ["", *withheld] if withheld else []
    return "\n".join(lines)


def bracketed(bridge: Bridge, bar: Bar) -> str:
    """Return the interval of a bar in brackets, and its note."""
    text = bridge.format.interval(bar.conf_low, bar.conf_high)
    interval = f"[{text}]" if text and bar.conf_low != bar.conf_high else ""
    return " ".join(x for x in (interval, bar.note) if x)


def _offsetting(change: Attribution, bridge: Bridge) -> str:
    """Name lines only where they are significant on their own, as movements that offset."""
    alpha = 1 - change.options.conf_level
    named = [
        f"{bar.label} {text} {bridge.format.change_unit}".rstrip()
        for bar, text in zip(bridge.bars, bridge.texts(), strict=True)
        if bar.p_adjusted < alpha
    ]
    if not named:
        return "No line of the bridge stands out from noise either."
    return f"Offsetting movements that are significant on their own: {'; '.join(named)}."


def _shown_change(change: Attribution) -> str:
    """The change as the displayed levels give it, so that text and totals agree."""
    f, total = change.format, change.total
    return f.change(f.step(total.baseline, total.current))
