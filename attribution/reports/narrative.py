"""The narrative: plain words on why a KPI changed, each number traceable to a row.

Accounting words: a change is "located in" a line, nothing here says what caused it. Unless the
total is real, that comes first and lines are named only where they are significant themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attribution.breakdown import Breakdown, Level
from attribution.errors import check_option
from attribution.formatting import Format, largest_remainder, p_text
from attribution.reports.checklist import check_first
from attribution.reports.facts import Facts, Line
from attribution.reports.sentences import (
    Cell,
    Narrative,
    Section,
    Sentence,
    Words,
    joined,
    sentence,
    written,
)
from attribution.summary import headline, smallest_seen, verdict_is_known, verdict_text

if TYPE_CHECKING:
    from attribution.privacy import Shown, ShownCauses

__all__ = ["narrative", "sections"]

LENGTHS = ["headline", "paragraph", "page"]
FORMATS = ["text", "markdown", "html"]
_GROUPS = {
    "Mix": "mix (where the volume was)",
    "Rate": "rates within segments",
    "Interaction": "mix and rates together (interaction)",
    "Sampling": "the sample against the full counts",
    "Stretch": "stretch (from the target to the baseline)",
    "New": "levels that are new or gone",
    "Gone": "levels that are new or gone",
    "Unplanned": "segments that were unplanned or undelivered",
    "Undelivered": "segments that were unplanned or undelivered",
}
_TURNED = {
    "New": "is new and",
    "Gone": "is gone, which",
    "Unplanned": "was not planned and",
    "Undelivered": "was planned and is not there, which",
}
# Lists in sentences end here: the table has the rest.
_MOST_NAMED = 3


def narrative(
    shown: Shown, length: str, format: str, causes: ShownCauses | None = None
) -> Narrative:
    """Return the words on an attribution; see `Attribution.narrative`.

    Parameters
    ----------
    shown : Shown
    length : str
    format : str
    causes : ShownCauses, optional

    Returns
    -------
    Narrative
    """
    check_option("length", length, LENGTHS)
    check_option("format", format, FORMATS)
    made = sections(shown, length, causes)
    return Narrative(written(made, format), made)


def sections(shown: Shown, length: str, causes: ShownCauses | None = None) -> tuple[Section, ...]:
    """Return the sections of a narrative.

    Parameters
    ----------
    shown : Shown
    length : {"headline", "paragraph", "page"}
    causes : ShownCauses, optional
        Searched for on a page if not given.

    Returns
    -------
    tuple of Section
    """
    facts = Facts(shown)
    first = [_headline(facts)]
    if length == "headline":
        return (Section("", tuple(first)),)
    first.append(_verdict(facts))
    if length == "paragraph":
        where = _segments(facts, causes) if causes is not None else []
        told = [*first, *_moved(facts), *_mix(facts)[:2], *_rates(facts)[:2], *where]
        told.append(_not_said(facts)[0])
        return (Section("", tuple(told)),)
    return (
        Section("", tuple(first)),
        Section("What moved", (*_moved(facts), *_mix(facts))),
        Section("Where the rates moved", (*_rates(facts), *_searched(facts, causes))),
        Section("What to check first", tuple(check_first(facts)), listed=True),
        Section("What cannot be said", tuple(_not_said(facts)), listed=True),
        Section(
            "Method",
            tuple(sentence(Cell("provenance", (0,), "", math.nan, x)) for x in facts.bridge.notes),
        ),
    )


def _headline(facts: Facts) -> Sentence:
    total, f = facts.change.total, facts.bridge.format
    ends = (
        facts.total("baseline", f.level(total.baseline)),
        facts.total("current", f.level(total.current)),
    )
    moved = Cell(
        "total", (0,), "change", total.change, facts.moved(sum(x.shown for x in facts.lines))
    )
    return Sentence(headline(facts.change, facts.bridge) + ".", (*ends, moved))


def _verdict(facts: Facts) -> Sentence:
    total, f = facts.change.total, facts.bridge.format
    text = verdict_text(facts.change)
    if not verdict_is_known(facts.change):
        return Sentence(text)
    level = facts.change.options.conf_level
    cells = [
        Cell("provenance", (0,), "conf_level", level, f"{100 * level:g} %"),
        facts.total("conf_low", f.number(total.conf_low, signed=True)),
        facts.total("conf_high", f.number(total.conf_high, signed=True)),
        facts.total("p_value", p_text(total.p_value)),
        facts.total("detectable", f.change(total.detectable)),
    ]
    if facts.change.options.material is not None:
        material = facts.change.options.material
        cells.append(Cell("provenance", (0,), "material", material, f.change(material)))
    return Sentence(text, tuple(cells))


def _moved(facts: Facts) -> list[Sentence]:
    """The bridge in words."""
    if facts.change.verdict != "real":
        return _offsetting(facts)
    grouped: dict[str, list[Line]] = {}
    for line in facts.lines:
        group = line.bar.factor or _GROUPS.get(line.kind, line.bar.label.lower())
        grouped.setdefault(group, []).append(line)
    parts = [(facts.summed(lines), " ", name) for name, lines in grouped.items()]
    what = "difference from the plan" if facts.planned else "change"
    told = [sentence(f"The {what} is made up of ", joined(parts), ".")]
    if facts.lines[0].bar.factor:
        return told + _by_factor(facts, grouped)
    by_dimension = [x for x in facts.lines if x.kind == "Mix" and x.name]
    if len(by_dimension) > 1:
        ordered = sorted(by_dimension, key=lambda x: -abs(x.bar.value))
        shown = [(_mix_name(x), " ", facts.line(x), facts.p(x)) for x in ordered]
        told.append(sentence("Mix by dimension: ", joined(shown), "."))
    return told


def _by_factor(facts: Facts, grouped: Mapping[str, list[Line]]) -> list[Sentence]:
    """Of a KPI made of KPIs: what moved within each factor."""
    told = []
    for factor, lines in grouped.items():
        if len(lines) > 1:
            ordered = sorted(lines, key=lambda x: -abs(x.bar.value))
            shown = [
                (x.bar.label.removeprefix(f"{factor}: "), " ", facts.line(x), facts.p(x))
                for x in ordered
            ]
            told.append(sentence(f"Within {factor}: ", joined(shown), "."))
    return told


def _offsetting(facts: Facts) -> list[Sentence]:
    sure = [x for x in facts.lines if facts.sure(x.bar.p_adjusted)]
    if not sure:
        return [sentence("No line of the bridge stands out from noise.")]
    shown = [(x.bar.label, " ", facts.line(x), facts.p(x)) for x in sure]
    return [
        sentence(
            "Some movements are significant by themselves and offset others: ", joined(shown), "."
        )
    ]


def _mix_name(line: Line) -> str:
    return "how the dimensions pair up" if line.name == "jointly" else line.name


def _mix(facts: Facts) -> list[Sentence]:
    """For every line of mix that stands out, the levels it is located in."""
    told = []
    real = facts.change.verdict == "real"
    for line in facts.lines:
        if not facts.sure(line.bar.p_adjusted):
            continue
        if line.bar.factor:
            continue  # told with its factor
        if line.kind == "Mix" and line.name in facts.breakdowns:
            told += _mix_of(facts, line, facts.breakdowns[line.name])
        elif real and line.kind in _TURNED:
            told.append(
                sentence(
                    f"{line.name} {_TURNED[line.kind]} ",
                    facts.effect(line),
                    facts.p(line),
                    ".",
                )
            )
    return told


def _mix_of(facts: Facts, line: Line, made: Breakdown) -> list[Sentence]:
    levels = _standing_out(facts, made, "mix")
    opening = sentence(
        f"The mix of {line.name} ", facts.effect(line), facts.share(line), facts.p(line), "."
    )
    return [opening, *(_mix_level(facts, made, level) for level in levels)]


def _mix_level(facts: Facts, made: Breakdown, level: Level) -> Sentence:
    before, after = facts.ends(made, level, "share")
    grew = level.share[1] > level.share[0]
    part = level.parts[made.parts.index("mix")]
    above = (part.value > 0) == grew
    moved = (f"{'grew' if grew else 'shrank'} from ", before, " to ", after)
    if facts.planned:
        moved = ("was planned at ", before, " and took ", after)
    return sentence(
        f"Within {made.dimension}, {level.label} ",
        moved,
        f" of the volume, and its rate is {'above' if above else 'below'} that of comparable "
        "segments: ",
        facts.part(made, level, "mix"),
        ".",
    )


def _standing_out(facts: Facts, made: Breakdown, name: str) -> list[Level]:
    """The levels whose part is significant, the largest first."""
    at = made.parts.index(name)
    sure = [x for x in made.levels if facts.sure(x.parts[at].p_adjusted)]
    return sorted(sure, key=lambda x: -abs(x.parts[at].value))[:_MOST_NAMED]


def _rates(facts: Facts) -> list[Sentence]:
    """The rate effect, and the levels it stands out in, dimension by dimension."""
    lines = [x for x in facts.lines if x.kind == "Rate"]
    if not lines:
        return []
    real, told = facts.change.verdict == "real", []
    for line in lines:
        sure = facts.sure(line.bar.p_adjusted)
        if not (real or sure):
            continue
        doubt = "" if sure else ", which is not distinguishable from noise by itself"
        told.append(
            sentence(
                f"At the same mix, {line.bar.factor or 'rates'} within segments ",
                facts.effect(line),
                facts.share(line) if real and sure else "",
                facts.p(line),
                doubt,
                ".",
            )
        )
    named = []
    for made in facts.breakdowns.values():
        for level in _standing_out(facts, made, "rate"):
            before, after = facts.ends(made, level, "rate")
            named.append(
                sentence(
                    f"By {made.dimension}, ",
                    facts.part(made, level, "rate"),
                    f" is located in {level.label}, ",
                    "whose target is " if facts.planned else "whose observed rate went from ",
                    before,
                    " and whose rate is " if facts.planned else " to ",
                    after,
                    ".",
                )
            )
    if not named:
        told.append(sentence("No single level's rate effect stands out from noise."))
        return told
    if not real:
        told.append(
            sentence("Some levels stand out, as movements that others offset within the total.")
        )
    if len(facts.breakdowns) > 1:
        named.append(
            sentence("Dimensions are alternative views of one rate effect and must not be added.")
        )
    return told + named


def _searched(facts: Facts, causes: ShownCauses | None) -> list[Sentence]:
    """The sparse search in words, made here if nobody did before."""
    if causes is not None:
        return _segments(facts, causes)
    if not facts.change._units.clustered:
        return [
            sentence(
                "No segments of several dimensions are searched for: without a cluster column too "
                "many would be named."
            )
        ]
    found = facts.shown.causes  # None for a KPI that is no ratio of two sums
    return [] if found is None else _segments(facts, found)


def _segments(facts: Facts, causes: ShownCauses) -> list[Sentence]:
    """Segments of any order that stand out, adding up to the rate effect with the rest."""
    if causes.none:
        return [sentence(Cell("causes", (), "none", math.nan, causes.none))]
    f, rows = facts.bridge.format, causes.rows[:-2]
    values = [row["contribution"] for row in causes.rows]
    line = next((x.shown for x in facts.lines if x.kind == "Rate"), sum(values) * f.factor)
    shown = largest_remainder([v * f.factor for v in values], line, f.decimals)
    cells = [
        Cell("causes", (i,), "contribution", value, facts.moved(x))
        for i, (value, x) in enumerate(zip(values, shown, strict=True))
    ]
    named = [
        (cells[i], " in ", row["segment"], _before_after(f, i, row)) for i, row in enumerate(rows)
    ]
    return [
        sentence(
            "Of all segments, counted once each, these stand out: ",
            joined(named),
            "; ",
            cells[-2],
            " is everywhere and ",
            cells[-1],
            " spread over the rest.",
        )
    ]


def _before_after(f: Format, i: int, row: Mapping[str, Any]) -> Words:
    """The observed rate of a segment in both periods, in brackets, if it may be shown."""
    if "rate_baseline" not in row:
        return ""
    ends = [
        Cell("causes", (i,), f"rate_{when}", row[f"rate_{when}"], f.level(row[f"rate_{when}"]))
        for when in ("baseline", "current")
    ]
    return (" (", ends[0], " to ", ends[1], ")")


def _not_said(facts: Facts) -> list[Sentence]:
    """What the numbers do not allow, the most important first."""
    change = facts.change
    dimensions = ", ".join(change.cube.dimensions)
    told = [
        sentence(
            "This says where the change is located, not what caused it; rate means not explained "
            f"by the mix of {dimensions}."
            if dimensions
            else "This says where the change is located, not what caused it."
        )
    ]
    if not verdict_is_known(change):
        told.append(sentence("Nothing is known of the noise, so no line can be told from it."))
    elif change.verdict != "real" and (limit := smallest_seen(change)):
        smallest = facts.total("detectable", limit)
        told.append(
            sentence("A change smaller than ", smallest, " could not be seen in these data.")
        )
    if not any(math.isfinite(line.share) for line in facts.lines):
        told.append(
            sentence(
                "No line is given in percent of the change: the change is too small against its "
                "noise, or against the movements behind it."
            )
        )
    told += [
        sentence(x)
        for x in facts.finding(
            "simpson",
            "sign_depends_on_weights",
            "aliased_levels",
            "probable_rename",
            "recoded_level",
            "few_clusters",
            "too_few_units",
            "no_clusters",
        )
    ]
    return told
