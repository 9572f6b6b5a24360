"""The summary of a review: text for a terminal, Markdown for a chat, values for a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attribution.config import Breach, Comparison
from attribution.formatting import Format, significant
from attribution.monthly.actions import Action
from attribution.monthly.answers import Compared, KpiReview

if TYPE_CHECKING:
    from attribution.monthly.job import Reviewed

__all__ = [
    "as_dict",
    "as_markdown",
    "as_text",
    "beside",
    "counts",
    "followed",
    "quality",
    "remarks",
    "tone",
]

SCHEMA = "kpi-attribution-review/1"
_MARKS = {"failed": "\N{WARNING SIGN} ", "breach": "\N{LARGE RED CIRCLE} "}


def counts(done: Reviewed) -> str:
    """Return ``"6 KPIs: 1 breached, 1 without an answer, 2 comparisons without an answer."``."""
    breached = sum(bool(k.breaches) for k in done.kpis)
    early = sum(k.early for k in done.kpis)
    failed = sum(k.main is None for k in done.kpis) - early
    answered = [k for k in done.kpis if k.main is not None]
    # The parts of what is there that are not.
    lacking = {
        "comparison": sum(
            c.failure is not None and not c.failure.early for k in answered for c in k.compared
        ),
        "drill-down": sum(
            d.failure is not None for k in answered for c in k.compared for d in c.drills
        ),
        "scorecard": sum(card.failure is not None for card in done.cards),
    }
    parts = [f"{breached} breached"] if breached else []
    parts += [f"{failed} without an answer"] if failed else []
    parts += [f"{early} with nothing to compare with yet"] if early else []
    parts = parts or ["no threshold breached"]
    beside = [f"{n} {what}{'s' * (n != 1)} without an answer" for what, n in lacking.items() if n]
    number = f"{len(done.kpis)} KPI{'s' * (len(done.kpis) != 1)}"
    said = ", ".join([*parts, *beside])
    return f"{number}: {said}." if breached or failed or early or beside else f"{number}, {said}."


def quality(done: Reviewed) -> list[dict[str, Any]]:
    """Return what to know of the data of the month and the warnings of the answers, each once.

    Parameters
    ----------
    done : Reviewed

    Returns
    -------
    list of dict
        `kpis` (the names of those it holds for), `severity`, `message`.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for k in done.kpis:
        warnings = [] if k.shown is None else k.shown.findings
        for f in [*k.findings, *(f for f in warnings if f["severity"] == "warning")]:
            found.setdefault((f["severity"], f["message"]), {})[k.kpi.name] = None
    return [
        {"kpis": list(kpis), "severity": severity, "message": message}
        for (severity, message), kpis in found.items()
    ]


def tone(answer: Compared) -> str:
    """Return "good" or "bad" for a real change, "" for one that is not."""
    if answer.shown is None or answer.shown.change.verdict != "real":
        return ""
    moved = answer.shown.change.total.change
    return "good" if answer.shown.bridge.good(moved) else "bad"


def status_words(review: KpiReview) -> str:
    """Return "breach", "no answer", or "no breach" where there is a threshold, else ""."""
    named = {"breach": "breach", "failed": "no answer"}
    bounded = review.kpi.breach != Breach()
    return named.get(review.status, "no breach" if bounded else "")


def moved_words(answer: Compared) -> str:
    """Return ``"−1.44 pp"``, the change as its bridge shows it; "" without an answer."""
    if answer.shown is None:
        return ""
    bridge = answer.shown.bridge
    return bridge.format.change(sum(bridge.shown()) / bridge.format.factor)


def verdict_words(answer: Compared) -> str:
    """Return ``"−1.44 pp (real)"``, or "no answer"."""
    if answer.change is None:
        return "no answer"
    return f"{moved_words(answer)} ({answer.change.verdict})"


def followed(review: KpiReview, actions: Sequence[Action]) -> list[str]:
    """Return what is done about a KPI: its actions that somebody has taken on."""
    mine = [a for a in actions if a.kpi in ("", review.kpi.name) and a.status != "proposed"]
    found = []
    for a in mine:
        due = f"due {a.due}" * bool(a.due)
        taken = ", ".join(x for x in (a.owner or "no owner yet", a.priority, due, a.status) if x)
        found.append(f"Action on {a.cause}: {taken}.")
    return found


def beside(review: KpiReview, comparison: Comparison, actions: Sequence[Action]) -> list[str]:
    """Return what belongs on the page of one comparison, beside its bridge."""
    answers = [c for c in review.compared if c.change is not None]
    found = [str(c.context) for c in answers if c.comparison == comparison and c.context]
    if comparison == answers[0].comparison:
        found = [*(f"Breach: {text}." for text in review.breaches), *found]
        found += [f"Again: {'; '.join(r.words for r in review.repeated)}."] * bool(review.repeated)
        found += followed(review, actions)
    return found


def remarks(review: KpiReview) -> list[str]:
    """Return what belongs beside the number: how usual the change is, and what stands out again."""
    contexts = [c.context for c in review.compared if c.context is not None]
    found = [str(context) for context in contexts if context.unusual is not None]
    for answer in review.compared:
        if answer.causes is not None and answer.causes.named:
            f = Format.fitting(review.metric.display_unit, answer.causes.effect)
            rows = answer.causes.named[:3]
            named = [f"{row['segment']} ({f.change(row['contribution'])})" for row in rows]
            against = f" against the {answer.comparison.words}" * (len(review.compared) > 1)
            found.append(f"Rates{against}: located in {'; '.join(named)}.")
    if review.repeated:
        found.append(f"Again: {'; '.join(r.words for r in review.repeated[:3])}.")
    for answer in review.compared:
        against = f" against the {answer.comparison.words}" * (len(review.compared) > 1)
        for drill in answer.drills:
            if drill.failure is not None:
                said = f"Drill-down {drill.title}{against}: no answer."
                found.append(f"{said} {drill.failure.message}")
    return found


def _lines(review: KpiReview) -> list[str]:
    """What a reader needs of one KPI."""
    if review.failure is not None:
        return [f"{review.kpi.name}: no answer. {review.failure.message}"]
    lines = []
    for answer in review.compared:
        if answer.shown is not None:
            lines.append(f"{answer.shown.bridge.message}.")
        elif answer.failure is not None:
            against = f"{review.kpi.name} against the {answer.comparison.words}"
            lines.append(f"{against}: no answer. {answer.failure.message}")
    lines += [f"Breach: {text}." for text in review.breaches]
    return [*lines, *remarks(review)]


def as_text(done: Reviewed) -> str:
    """Return the summary as text.

    Parameters
    ----------
    done : Reviewed

    Returns
    -------
    str
    """
    parts = [f"{done.config.review.title}, {done.period}. {counts(done)}"]
    parts += ["\n".join([lines[0], *(f"  {x}" for x in lines[1:])]) for lines in _all(done)]
    parts += [f"{card.name}: {card.message}" for card in done.cards]
    return "\n\n".join(parts)


def as_markdown(done: Reviewed) -> str:
    """Return the summary as Markdown.

    Parameters
    ----------
    done : Reviewed

    Returns
    -------
    str
    """
    parts = [f"**{_safe(done.config.review.title)}, {_safe(done.period)}.** {counts(done)}", ""]
    for review, lines in zip(done.kpis, _all(done), strict=True):
        parts.append(f"- {_MARKS.get(review.status, '')}{_safe(lines[0])}")
        parts += [f"  - {_safe(line)}" for line in lines[1:]]
    parts += [f"- {_safe(card.name)}: {_safe(card.message)}" for card in done.cards]
    wanted = [a for a in done.actions if not a.status.startswith("closed")]
    if wanted:
        parts += ["", "**Actions**", ""]
        for a in wanted:
            what = ": ".join(x for x in (a.kpi, a.cause) if x)
            parts.append(f"- {_safe(what)} ({_safe(a.owner or 'no owner yet')}, {_safe(a.status)})")
    return "\n".join(parts)


def _all(done: Reviewed) -> list[list[str]]:
    return [_lines(review) for review in done.kpis]


def _safe(text: str) -> str:
    """Text whose labels cannot become markup or mention anybody."""
    for mark in "\\`*_[]<>#|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("@", "@\N{ZERO WIDTH SPACE}")


def as_dict(done: Reviewed) -> dict[str, Any]:
    """Return a review as plain values, with every attribution whole.

    Parameters
    ----------
    done : Reviewed

    Returns
    -------
    dict
    """
    return {
        "schema": SCHEMA,
        "title": done.config.review.title,
        "period": done.period,
        "kpis": [_kpi(review) for review in done.kpis],
        "scorecards": [card.to_dict() for card in done.cards],
        "actions": [vars(action) for action in done.actions],
        "inputs": list(done.inputs),
    }


def _kpi(review: KpiReview) -> dict[str, Any]:
    return {
        "name": review.kpi.name,
        "status": review.status,
        "value": _number(review.value),
        "n": _number(review.n),
        "breaches": list(review.breaches),
        "failure": None if review.failure is None else review.failure.message,
        "findings": [{k: f[k] for k in ("code", "severity", "message")} for f in review.findings],
        "restated": [vars(r) for r in review.restated],
        "repeated": [vars(r) for r in review.repeated],
        "comparisons": [
            {
                "comparison": answer.comparison.words,
                "failure": None if answer.failure is None else answer.failure.message,
                "attribution": None if answer.shown is None else answer.shown.to_dict(),
                "causes": None if answer.causes is None else answer.causes.to_dict(),
                "drills": {
                    d.title: {"failure": d.failure and d.failure.message}
                    if d.shown is None
                    else d.shown.to_dict()
                    for d in answer.drills
                },
            }
            for answer in review.compared
        ],
    }


def _number(value: float) -> float | None:
    return None if value != value else significant(value)
