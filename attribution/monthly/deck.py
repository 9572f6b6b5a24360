"""One deck of a review: all KPIs on one slide, then each KPI, then the state of the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attribution.monthly.answers import KpiReview
from attribution.monthly.messages import counts, quality, remarks, status_words, verdict_words
from attribution.reports.deck.page import Deck
from attribution.reports.deck.slides import bridge_slide, causes_slide, mix_slides, trend_slide
from attribution.reports.deck.table import table
from attribution.reports.pptx import new_deck, save_deck
from attribution.reports.sections.slides import add_slides

if TYPE_CHECKING:
    from attribution.monthly.job import Reviewed

__all__ = ["write_deck"]

_ROWS = 12


def write_deck(done: Reviewed, path: Path) -> None:
    """Write the deck.

    Parameters
    ----------
    done : Reviewed
    path : Path
    """
    title = f"{done.config.review.title}, {done.period}"
    deck = new_deck(title, done.config.output.template)
    _overview(deck, done, title)
    for k in done.kpis:
        _slides(deck, k)
    add_slides(deck, [card.section for card in done.cards if card.section is not None])
    _actions(deck, done)
    _findings(deck, done)
    save_deck(deck, path)


def _overview(deck: Deck, done: Reviewed, title: str) -> None:
    """Every KPI with its status; one without an answer says why in its row."""
    rows, reasons = [], []
    for k in done.kpis:
        if k.failure is not None:
            rows.append([k.kpi.name, "", "no answer", k.failure.message])
            continue
        said = [*k.breaches]
        for answer in k.compared:
            said.append(f"{verdict_words(answer)} against the {answer.comparison.words}")
            # The reason, which takes lines, stands in the notes and on the index.
            if answer.failure is not None:
                reasons.append(f"{k.kpi.name}: {said[-1]}. {answer.failure.message}")
        rows.append([k.kpi.name, k.format.level(k.value), status_words(k), "; ".join(said)])
    rows += [[card.name, "", "no answer", card.message] for card in done.cards if card.failure]
    header = ["KPI", done.period, "status", "changes"]
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        slide = deck.slide(f"{title}: {counts(done).rstrip('.')}", "All KPIs", [])
        said = "; ".join(f"{row[0]}: {row[1]} {row[2]}" for row in part)
        table(slide, slide.area, header, part, [2.4, 1.4, 1.4, 7.0], right=[1], size=12, lines=3,
              alternative=said)  # fmt: skip
        named = [". ".join(x for x in row if x) for row in part]
        slide.note("\n".join([*named, *(reasons if start == 0 else [])]))


def _slides(deck: Deck, k: KpiReview) -> None:
    """What happened, against what else, over time, which mix, which segments."""
    answers = [c.shown for c in k.compared if c.shown is not None]
    if not answers:
        return
    main = answers[0]
    bridge_slide(deck, main, remarks(k))
    if len(k.past.known) > 2:
        trend_slide(deck, main, k.past)
    alpha = 1 - main.change.options.conf_level
    mixes = [bar for bar in main.bridge.bars if bar.label.startswith("Mix: ")]
    if main.change.verdict == "real" or any(bar.p_adjusted < alpha for bar in mixes):
        mix_slides(deck, main)
    if main.causes is not None and main.causes.named:
        causes_slide(deck, main)
    for other in answers[1:]:
        bridge_slide(deck, other)


def _actions(deck: Deck, done: Reviewed) -> None:
    if not done.actions:
        return
    rows = [
        [a.kpi, a.cause, a.owner or "no owner yet", a.priority, a.due, a.status]
        for a in done.actions
    ]
    waiting = sum(a.status == "proposed" for a in done.actions)
    message = f"{len(rows)} action{'s' * (len(rows) > 1)}, {waiting} of them without an owner"
    slide = deck.slide(message, "Actions on what stands out", [])
    header = ["KPI", "cause", "owner", "priority", "due", "status"]
    said = "; ".join(" ".join(x for x in row if x) for row in rows)
    table(slide, slide.area, header, rows, [2.0, 4.0, 2.0, 1.0, 1.4, 2.6], size=12, lines=2,
          alternative=said)  # fmt: skip
    slide.note("\n".join(" · ".join(x for x in row if x) for row in rows))


def _findings(deck: Deck, done: Reviewed) -> None:
    """The warnings of all KPIs; notes on how the numbers were made are on each KPI's page."""
    rows = [[", ".join(found["kpis"]), found["message"]] for found in quality(done)]
    for k in done.kpis:
        was = [f"{r.period} was reported as {k.format.level(r.was)} and is now "
               f"{k.format.level(r.now)}: its data came late or were corrected."
               for r in k.restated]  # fmt: skip
        rows += [[k.kpi.name, text] for text in was]
    message = "The data hold nothing that a reader must know"
    if rows:
        message = f"{len(rows)} thing{'s' * (len(rows) > 1)} to know before acting on it"
    slide = deck.slide(message, f"Quality of the data · {done.period}", [])
    shown = rows or [["all KPIs", "no warning"]]
    said = "; ".join(f"{a}: {b}" for a, b in shown)
    table(slide, slide.area, ["KPI", "finding"], shown, [2.0, 10.0], size=12, lines=3,
          alternative=said)  # fmt: skip
    slide.note("\n".join([message + ".", *(f"{a}: {b}" for a, b in rows)]))
