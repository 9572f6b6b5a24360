"""What to check first when a KPI moved, in the order of the trade, filled with the case's facts.

Sampling or definition, parts reconcile, noise, new hires, routing, policy refresh, entries, volume,
site: a later item is worth reading once the earlier ones are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attribution.reports.facts import Facts, Line
from attribution.reports.sentences import Cell, Sentence, Words, joined, sentence

__all__ = ["check_first"]

# Parts of the names under which operations keep these dimensions.
TENURE = ("tenure", "cohort", "hire", "seniority")
ROUTING = ("queue", "route", "channel", "workflow")
POLICY = ("policy", "rule", "category", "guideline")
SITE = ("site", "vendor", "hub", "team")
# Volumes that moved by less than this are no spike.
_SPIKE = 0.1


def check_first(facts: Facts) -> list[Sentence]:
    """Return the checks, each with what this case says about it.

    Parameters
    ----------
    facts : Facts

    Returns
    -------
    list of Sentence
    """
    checks: list[Callable[[Facts], Words]] = [
        _definition, _reconciles, _noise, _tenure, _routing, _policy, _entries, _volume, _site,
    ]  # fmt: skip
    return [sentence(check(facts)) for check in checks]


def _definition(facts: Facts) -> Words:
    seen = facts.finding("recoded_level", "probable_rename", "missing_level")
    sampling = [x for x in facts.lines if x.kind == "Sampling"]
    told: list[Words] = ["Sampling or definition: "]
    told += [(x, " ") for x in seen]
    if sampling:
        told.append(
            ("sample against full counts ", facts.line(sampling[0]), facts.p(sampling[0]), ". ")
        )
    if not seen and not sampling:
        told.append("no level vanished, came from nothing or looks renamed. ")
    where = facts.change.cube.provenance.get("where")
    told.append(
        f"Only rows where {where} count." if where else
        "Ask whether sample design, guidelines or void rules changed between the periods."
    )  # fmt: skip
    return told


def _reconciles(facts: Facts) -> Words:
    return ("Parts reconcile to the total: the bars add up to the change, ",
            Cell("total", (0,), "change", facts.change.total.change,
                 facts.moved(sum(x.shown for x in facts.lines))), ".")  # fmt: skip


def _noise(facts: Facts) -> Words:
    words = {
        "real": "the change is more than sampling noise.",
        "noise": "the change is not distinguishable from noise; settle this before the rest.",
        "inconclusive": "the data cannot tell; get more of them before the rest.",
    }
    return f"Noise: {words[facts.change.verdict]}"


def _tenure(facts: Facts) -> Words:
    return _mix_check(facts, "New-hire wave (tenure mix)", TENURE)


def _routing(facts: Facts) -> Words:
    """Queue mix, and the rate in the queues that grew."""
    told = [_mix_check(facts, "Routing (queue mix)", ROUTING)]
    for d in _named(facts, ROUTING):
        made = facts.breakdowns[d]
        at = made.parts.index("rate")
        unfamiliar = [
            x
            for x in made.levels
            if facts.sure(x.parts[at].p_adjusted)
            and not facts.bridge.good(x.parts[at].value)
            and x.share[1] > x.share[0]
        ]
        for level in unfamiliar[:2]:
            worse = facts.part(made, level, "rate")
            told.append(
                (
                    f" {level.label} is above its planned share and its rate below target: "
                    if facts.planned and facts.bridge.better == "higher"
                    else f" {level.label} is above its planned share and its rate above target: "
                    if facts.planned
                    else f" {level.label} grew and its rate worsened: ",
                    worse,
                    "; see if it halves monthly.",
                )
            )
    return told


def _policy(facts: Facts) -> Words:
    return _rate_check(facts, "Policy refresh (rate in one policy)", POLICY,
                       " Look at the error side: over- or under-enforcement.")  # fmt: skip


def _site(facts: Facts) -> Words:
    return _rate_check(facts, "Site", SITE, "")


def _entries(facts: Facts) -> Words:
    lines = [x for x in facts.lines if x.kind in ("New", "Gone", "Unplanned", "Undelivered")]
    if not lines:
        return "New or retired levels: none."
    lines = sorted(lines, key=lambda x: -abs(x.bar.value))
    shown = [(x.bar.label, " ", facts.line(x), facts.p(x)) for x in lines[:3]]
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return ("New or retired levels: ", joined(shown, ", "), more, ".")


def _volume(facts: Facts) -> Words:
    cube = facts.change.cube
    known, weighted = cube.volume, cube.provenance.get("weight")
    volume = cube.metric_sums(facts.change.metric, "denominator") if known is None else known
    before, after = volume.sum(axis=1)
    cells = [
        Cell("provenance", (0,), f"volume_{name}", float(x), f"{x:,.0f}")
        for name, x in (("baseline", before), ("current", after))
    ]
    what = "in full counts" if known is not None else "weighted" if weighted else "in these data"
    if facts.planned:
        # A plan in shares holds for any volume: it is written at the volume that was done.
        if abs(after - before) <= 1e-9 * after:
            return ("Volume: ", cells[1], f" {what}; the plan has shares or the same volume.")
        return ("Volume: ", cells[0], " planned, ", cells[1], " done.")
    verdict = "no spike"
    if after > (1 + _SPIKE) * before:
        verdict = "look at handle time and backlog" + (
            "" if known is not None or weighted else ", if these data are all of the work"
        )
    return ("Volume: ", cells[0], " to ", cells[1], f" {what}; {verdict}.")


def _named(facts: Facts, words: tuple[str, ...]) -> Iterator[str]:
    return (d for d in facts.breakdowns if any(w in d.casefold() for w in words))


def _mix_check(facts: Facts, title: str, words: tuple[str, ...]) -> Words:
    dimensions = list(_named(facts, words))
    if not dimensions:
        return f"{title}: not asked; add such a column to `by` to see it."
    told: list[Words] = []
    for d in dimensions:
        lines = [x for x in facts.lines if x.kind == "Mix" and x.name == d]
        told += [(f"mix of {d}{line.of} ", _judged(facts, line)) for line in lines]
        if not lines:
            told.append(f"mix of {d} moves none of the factors")
    return (f"{title}: ", joined(told, "; "), ".")


def _judged(facts: Facts, line: Line) -> Words:
    if facts.sure(line.bar.p_adjusted):
        return (facts.line(line), facts.p(line))
    return "does not stand out from noise"


def _rate_check(facts: Facts, title: str, words: tuple[str, ...], hint: str) -> Words:
    dimensions = list(_named(facts, words))
    if not dimensions:
        return f"{title}: not asked; add such a column to `by` to see it."
    told, sure = [], False
    for d in dimensions:
        made = facts.breakdowns[d]
        at = made.parts.index("rate")
        out = [x for x in made.levels if facts.sure(x.parts[at].p_adjusted)]
        out.sort(key=lambda x: -abs(x.parts[at].value))
        sure = sure or bool(out)
        shown = [(f"{x.label} ", facts.part(made, x, "rate")) for x in out[:3]]
        told.append((f"by {d}, ", joined(shown)) if shown else f"no {d} stands out")
    return (f"{title}: ", joined(told, "; "), ".", hint if sure else "")
