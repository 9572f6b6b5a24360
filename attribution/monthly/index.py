"""The index of a review: a tile per KPI with its status, the past, actions, data quality."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from attribution.isolated import isolated
from attribution.monthly.actions import standing_out
from attribution.monthly.answers import KpiReview
from attribution.monthly.cards import CardReview
from attribution.monthly.messages import (
    counts,
    followed,
    moved_words,
    quality,
    remarks,
    status_words,
    tone,
)
from attribution.monthly.pages import pages
from attribution.plots.theme import Theme

if TYPE_CHECKING:
    from jinja2 import Template

    from attribution.monthly.job import Reviewed

__all__ = ["index_page"]

# A year and the month before it.
_MOST_PERIODS = 13
_COLORS = ("good", "bad", "ink", "quiet", "paper")


def index_page(
    done: Reviewed, names: dict[str, str], places: dict[str, str], files: Sequence[str]
) -> str:
    """Return the page that everything is reached from.

    Parameters
    ----------
    done : Reviewed
    names : dict of str to str
        The file name of each KPI.
    places : dict of str to str
        The page of each scorecard.
    files : sequence of str
        Beside the page.

    Returns
    -------
    str
    """
    from attribution import __version__

    theme = Theme.in_use()
    return _template().render(
        title=done.config.review.title,
        period=done.period,
        counts=counts(done),
        files=files,
        tiles=[_tile(k, names, done) for k in done.kpis],
        cards=[_card(card, places) for card in done.cards],
        trend=_trend(done),
        restated=_restated(done),
        actions=[{"effect": _effect(done, a.kpi, a.cause), **vars(a)} for a in done.actions],
        findings=quality(done),
        version=__version__,
        colors={name: getattr(theme, name) for name in _COLORS},
        dark={name: getattr(theme.dark(), name) for name in _COLORS},
    )


@cache
def _template() -> Template:
    """The template, compiled once for all periods of a run."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution.monthly", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["isolated"] = isolated
    return environment.get_template("index.html.jinja")


def _tile(k: KpiReview, names: dict[str, str], done: Reviewed) -> dict[str, Any]:
    import markupsafe

    found = pages(k, names[k.kpi.name]) if done.config.output.html else []
    where = {page.comparison: page.path for page in found if not page.drill}
    answers = []
    for c in k.compared:
        answer = {"words": c.comparison.words, "failure": c.failure and c.failure.message}
        if c.change is not None:
            plan = c.comparison.kind == "plan"
            answer |= {
                "change": moved_words(c),
                "verdict": c.change.verdict,
                "tone": tone(c),
                "link": where.get(c.comparison),
                "base": f"plan {k.format.level(c.change.total.baseline)}" if plan else "",
            }
        answers.append(answer)
    return {
        "name": k.kpi.name,
        "status": k.status,
        "status_words": status_words(k),
        "failure": k.failure and k.failure.message,
        "value": k.format.level(k.value),
        "link": found[0].path if found else None,
        "answers": answers,
        # Those of the other comparisons are linked from their pages.
        "drills": [p for p in found if p.drill and p.comparison == found[0].comparison],
        "breaches": k.breaches,
        "remarks": [*remarks(k), *followed(k, done.actions)],
        "sparkline": markupsafe.Markup(k.past.sparkline()),
        "span": _span(k),
    }


def _card(card: CardReview, places: dict[str, str]) -> dict[str, Any]:
    return {
        "name": card.name,
        "link": places.get(card.name),
        "message": card.message,
        "failed": card.failure is not None,
        "numbers": [] if card.section is None else card.section.tiles,
    }


def _span(k: KpiReview) -> str:
    """What the small line shows: from when to when, between which values."""
    known = k.past.known
    if len(known) < 2:
        return ""
    f, values = k.format, [x for _, _, x in known]
    return f"{known[0][1]} to {known[-1][1]}, {f.number(min(values))} to {f.level(max(values))}"


def _trend(done: Reviewed) -> dict[str, Any]:
    """The last periods of all KPIs, one row each."""
    every = dict.fromkeys(p for k in done.kpis for p in k.values)
    periods = list(every)[-_MOST_PERIODS:]
    rows = []
    for k in done.kpis:
        if k.failure is not None:
            continue
        restated = {r.period for r in k.restated}
        cells = []
        for period in periods:
            value = k.values.get(period, (float("nan"), 0.0))[0]
            mark = "*" * (period in restated)
            cells.append("–" if value != value else f"{k.format.number(value)}{mark}")
        rows.append({"name": k.kpi.name, "unit": k.format.unit, "cells": cells})
    return {"periods": periods, "rows": rows} if len(periods) > 1 and rows else {}


def _restated(done: Reviewed) -> list[dict[str, str]]:
    rows = []
    for k in done.kpis:
        f = k.format
        rows += [
            {
                "kpi": k.kpi.name,
                "period": r.period,
                "was": f.level(r.was),
                "now": f.level(r.now),
                "change": f.change(r.now - r.was),
                "n_was": f"{r.n_was:,.0f}",
                "n_now": f"{r.n_now:,.0f}",
            }
            for r in k.restated
        ]
    return rows


def _effect(done: Reviewed, kpi: str, cause: str) -> str:
    """What the cause of an action moves this period, where it is among what stands out."""
    for k in done.kpis:
        if k.kpi.name == kpi:
            moved = standing_out(k).get(cause)
            return "" if moved is None else k.format.change(moved)
    return ""
