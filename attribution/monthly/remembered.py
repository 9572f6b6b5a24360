"""A KPI beside its past: recorded, with what earlier reviews know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from attribution.calendars import calendar_of
from attribution.config import ReviewConfig
from attribution.errors import AttributionError
from attribution.formatting import significant
from attribution.monthly.answers import Compared, KpiReview, Repeated
from attribution.monthly.comparisons import up_to
from attribution.monthly.history import History
from attribution.reports.tidy import rounded
from attribution.result import Attribution

__all__ = ["remembered"]

_RECORDED = {
    "effects": ["factor", "effect", "dimension", "segment", "estimate", "std_error", "conf_low",
                "conf_high", "p_adjusted"],
    "causes": ["segment", "contribution", "conf_low", "conf_high", "p_adjusted"],
    "levels": ["dimension", "segment", "n_baseline", "n_current", "rate_baseline", "rate_current",
               "mix", "rate", "total", "mix_p_adjusted", "rate_p_adjusted"],
}  # fmt: skip


def remembered(review: KpiReview, history: History, config: ReviewConfig) -> KpiReview:
    """Record a review in the history and return it with what the history adds.

    Parameters
    ----------
    review : KpiReview
        Without a failure.
    history : History
    config : ReviewConfig

    Returns
    -------
    KpiReview
    """
    import pandas as pd

    name, period = review.kpi.name, review.period
    history.restate(name, period, dict(review.values))
    # What the source no longer holds is known from earlier reviews, if one can tell when it was.
    every = {**history.values(name), **review.values}
    every = every if calendar_of(list(every)) is not None else review.values
    values = {p: every[p] for p in up_to(list(every), period)}
    answers = tuple(_with_context(answer, values) for answer in review.compared)
    review = replace(review, values=values, compared=answers)
    tables: dict[str, list] = {table: [] for table in ("changes", *_RECORDED)}
    digest = ""
    for answer in review.compared:
        if answer.change is None or answer.shown is None:
            continue
        change, shown = answer.change, answer.shown
        digest = digest or shown.provenance["sha256"]
        of = {
            "kpi": name, "comparison": answer.comparison.kind, "baseline": change.cube.periods[0],
            "period": period,
        }  # fmt: skip
        tables["changes"].append(pd.DataFrame([_change(review, change) | of]))
        effects = shown.effects.reindex(columns=_RECORDED["effects"])
        tables["effects"].append(effects.assign(position=range(len(effects)), **of))
        levels = [frame[_RECORDED["levels"]] for frame in shown.levels.values()]
        tables["levels"] += [frame.assign(**of) for frame in levels]
        if answer.causes is not None and answer.causes.named:
            named = pd.DataFrame(answer.causes.named)[_RECORDED["causes"]]
            tables["causes"].append(named.assign(**of))
    frames = {t: rounded(pd.concat(x)) if x else pd.DataFrame() for t, x in tables.items()}
    history.record(name, period, review.value, review.n, digest, frames)
    return replace(
        review,
        restated=tuple(history.restated(name, period)),
        repeated=tuple(_repeated(review, history, 1 - config.review.conf_level)),
    )


def _change(review: KpiReview, change: Attribution) -> dict[str, float | str | None]:
    """A row of the table of changes."""
    total = dict(vars(change.total))
    ends = {"value_baseline": total.pop("baseline"), "value": total.pop("current")}
    metric = review.metric
    kind = {"unit": metric.display_unit, "better": metric.better}
    numbers = {k: significant(v) for k, v in (ends | total).items()}
    return numbers | {"verdict": change.verdict, "status": review.status} | kind


def _repeated(review: KpiReview, history: History, alpha: float) -> list[Repeated]:
    """What stands out now and did in the periods right before, the longest run first."""
    first = next((c for c in review.compared if c.change is not None), None)
    if first is None:
        return []
    seen = history.culprits(review.kpi.name, first.comparison.kind, alpha)
    earlier = list(review.values)[:-1][::-1]
    # Causes, where they were searched for, say once what levels of several dimensions repeat.
    kinds = ("rate", "mix") if first.causes is None else ("cause", "mix")
    found = []
    for culprit in sorted(x for x in seen.get(review.period, set()) if x[0] in kinds):
        run = 1
        for period in earlier:
            if culprit not in seen.get(period, set()):
                break
            run += 1
        if run > 1:
            kind, dimension, segment, sign = culprit
            found.append(Repeated(kind, dimension, segment, run, int(sign)))
    return sorted(found, key=lambda r: -r.periods)


def _with_context(answer: Compared, values: Mapping[str, tuple[float, float]]) -> Compared:
    """Add how usual the change is; nothing where changes over that distance are not comparable."""
    if answer.change is None or answer.comparison.kind != "previous" or len(values) < 3:
        return answer
    try:
        past = {period: value for period, (value, _) in values.items()}
        return replace(answer, context=answer.change.context(past))
    except AttributionError:  # gaps in the past: the sampling verdict stands alone
        return answer
