"""One KPI of a review: compared, judged and set beside its past; its failure stays its own."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from attribution.calendars import calendar_of
from attribution.config import Comparison, Kpi, ReviewConfig, concealed, resolved
from attribution.context import Context
from attribution.cube import Cube
from attribution.errors import AttributionError, DataContractError
from attribution.formatting import Format, significant
from attribution.kinds import period_values
from attribution.metrics import Metric
from attribution.monthly.comparisons import (
    TooEarlyError,
    compared,
    drill_names,
    drilled,
    until,
    up_to,
)
from attribution.monthly.history import History, Restated
from attribution.monthly.scans import REPEATED, metric_of
from attribution.privacy import Privacy, Shown, ShownCauses, protect
from attribution.reports.labeled import labeled
from attribution.reports.past import Past
from attribution.reports.tidy import rounded
from attribution.result import Attribution

__all__ = [
    "Compared",
    "Drill",
    "Failure",
    "KpiReview",
    "Repeated",
    "privacy_of",
    "remembered",
    "review_kpi",
]

_RECORDED = {
    "effects": ["factor", "effect", "dimension", "segment", "estimate", "std_error", "conf_low",
                "conf_high", "p_adjusted"],
    "causes": ["segment", "contribution", "conf_low", "conf_high", "p_adjusted"],
    "levels": ["dimension", "segment", "n_baseline", "n_current", "rate_baseline", "rate_current",
               "mix", "rate", "total", "mix_p_adjusted", "rate_p_adjusted"],
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """Why there is no answer: shown in the place of the answer.

    Attributes
    ----------
    message : str
    internal : bool
        A fault of the package and not of data or configuration.
    early : bool
        There is nothing to compare with yet: nothing went wrong.
    """

    message: str
    internal: bool = False
    early: bool = False

    @classmethod
    def of(
        cls,
        error: Exception,
        config: ReviewConfig,
        kpi: Kpi | None = None,
        card: str | None = None,
    ) -> Failure:
        """Say what went wrong, without what the environment holds.

        Parameters
        ----------
        error : Exception
        config : ReviewConfig
        kpi : Kpi, optional
            Whose keys the error may be about.
        card : str, optional
            The scorecard whose keys it may be about.

        Returns
        -------
        Failure
        """
        if isinstance(error, AttributionError):
            # Where it is too early there is no line of the file to look at.
            if isinstance(error, TooEarlyError):
                return cls(concealed(str(error), config), early=True)
            return cls(concealed(config.located(str(error), kpi, card), config))
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        said = concealed(f"{type(error).__name__}: {error}", config)
        return cls(f"Internal error: {said} ({where}).", internal=True)


@dataclass(frozen=True)
class Repeated:
    """A level or cause that has stood out for several periods in a row.

    Attributes
    ----------
    kind : str
        "cause", or the "mix" or "rate" of a level.
    dimension, segment : str
        The dimension is empty for a cause, which names its own.
    periods : int
        How many in a row, the current one included.
    direction : int
        1 where it raises the KPI, -1 where it lowers it.
    """

    kind: str
    dimension: str
    segment: str
    periods: int
    direction: int

    @property
    def words(self) -> str:
        """``"mix of market BR: third period running"``."""
        ordinal = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}
        count = ordinal.get(self.periods, f"{self.periods}th")
        named = f"{self.dimension} {self.segment}".strip()
        named = f"mix of {named}" if self.kind == "mix" else named
        return f"{named}: {count} period running"


@dataclass(frozen=True)
class Drill:
    """A part of a KPI that the configuration asks for, or why there is none.

    Attributes
    ----------
    title : str
        ``"market: BR, by policy"``
    name : str
        Of its page.
    shown : Shown or None
        What files may show of it.
    failure : Failure or None
    """

    title: str
    name: str
    shown: Shown | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Compared:
    """One comparison of a KPI, or why there is none.

    Attributes
    ----------
    comparison : Comparison
    change : Attribution or None
    failure : Failure or None
    context : Context or None
        How usual the change is, where the past is long enough.
    shown : Shown or None
        What files may show of the change, with its dimensions by their labels.
    drills : tuple of Drill
        The parts that were asked for.
    """

    comparison: Comparison
    change: Attribution | None = None
    failure: Failure | None = None
    context: Context | None = None
    shown: Shown | None = None
    drills: tuple[Drill, ...] = ()

    @property
    def causes(self) -> ShownCauses | None:
        """The segments that carry the rate effect, where the KPI has clusters to judge them by."""
        return None if self.shown is None else self.shown.causes


@dataclass(frozen=True)
class KpiReview:
    """What a review says of one KPI.

    Attributes
    ----------
    kpi : Kpi
    metric : Metric
    period : str
    value, n : float
        The KPI and its observations; NaN where it failed.
    compared : tuple of Compared
    breaches : tuple of str
        Which thresholds are broken, in words.
    findings : tuple of dict
        `code, severity, message, facts` of the month's data.
    restated : tuple of Restated
        Earlier periods whose value is no longer what was reported.
    repeated : tuple of Repeated
        What stands out again.
    failure : Failure or None
        Why there is no answer at all.
    """

    kpi: Kpi
    metric: Metric
    period: str
    value: float = float("nan")
    n: float = 0.0
    compared: tuple[Compared, ...] = ()
    breaches: tuple[str, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    restated: tuple[Restated, ...] = ()
    repeated: tuple[Repeated, ...] = ()
    failure: Failure | None = None
    values: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @property
    def main(self) -> Attribution | None:
        """The first comparison that has an answer."""
        return next((c.change for c in self.compared if c.change is not None), None)

    @property
    def shown(self) -> Shown | None:
        """What files may show of `main`."""
        return next((c.shown for c in self.compared if c.shown is not None), None)

    @property
    def failures(self) -> list[Failure]:
        """Why answers are missing, of the KPI, a comparison or a drill-down."""
        own = [] if self.failure is None else [self.failure]
        own += [c.failure for c in self.compared if c.failure is not None]
        return own + [d.failure for c in self.compared for d in c.drills if d.failure is not None]

    @property
    def early(self) -> bool:
        """Whether it has no answer because there is nothing to compare with yet."""
        return self.main is None and all(f.early for f in self.failures)

    @property
    def status(self) -> str:
        """ "failed" (no comparison has an answer), "breach" or "ok".

        A level that breaks its threshold is a breach with or without a comparison.
        """
        if self.breaches:
            return "breach"
        return "failed" if self.main is None else "ok"

    @property
    def past(self) -> Past:
        """The KPI over the periods that are known, this one last."""
        import pandas as pd

        rows = [(period, value, n) for period, (value, n) in self.values.items()]
        contexts = [c.context for c in self.compared if c.context is not None]
        last = contexts[0].frame.iloc[-1] if contexts else None
        limits = None if last is None else (float(last["limit_low"]), float(last["limit_high"]))
        known = limits is not None and all(map(math.isfinite, limits))
        frame = pd.DataFrame(rows, columns=["period", "value", "n"])
        was = {r.period: r.was for r in self.restated}
        return Past(frame, self.format, limits if known else None, was)

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        change = self.main
        if change is not None:
            return change.format
        return Format.fitting(self.metric.display_unit, self.value)


def privacy_of(config: ReviewConfig, by: Sequence[str] | None = None) -> Privacy:
    """Return who may be seen in the files of a review.

    Parameters
    ----------
    config : ReviewConfig
    by : sequence of str, optional
        The dimensions that there are.

    Returns
    -------
    Privacy

    Raises
    ------
    OptionError
        Pseudonyms without a key, or a key that is too short.
    """
    asked = config.privacy
    key = None if asked.key is None else resolved(asked.key, "privacy.key")
    people = asked.columns
    if people is not None and by is not None:
        people = [column for column in people if column in by]
    return Privacy(asked.people, key, asked.min_n, people)


def review_kpi(cube: Cube, kpi: Kpi, config: ReviewConfig, period: str) -> KpiReview:
    """Compare one KPI in one period and judge its data; errors become failures.

    Parameters
    ----------
    cube : Cube
        Of the KPI's scan, any periods.
    kpi : Kpi
    config : ReviewConfig
    period : str

    Returns
    -------
    KpiReview
    """
    metric = metric_of(kpi, config.columns)
    try:
        known = until(cube, period).rollup(kpi.by)
        findings = _quality(known, metric, config)
        values = _values(known, metric)
        value, n = values[period]
        answers = tuple(_answer(known, metric, kpi, text, config) for text in kpi.compare)
        review = KpiReview(kpi, metric, period, value, n, answers, findings=findings, values=values)
        return replace(review, breaches=_breaches(review))
    except Exception as error:
        return KpiReview(kpi, metric, period, failure=Failure.of(error, config, kpi))


def _values(cube: Cube, metric: Metric) -> dict[str, tuple[float, float]]:
    """The KPI, NaN where it has no volume, and its observations in every period."""
    value, n = period_values(cube, metric), cube.metric_sums(metric, "count").sum(axis=1)
    return {p: (float(value[t]), float(n[t])) for t, p in enumerate(cube.periods)}


def _answer(cube: Cube, metric: Metric, kpi: Kpi, text: str, config: ReviewConfig) -> Compared:
    comparison = Comparison.of(text)
    options = {"conf_level": config.review.conf_level, "rng": config.review.seed}
    try:
        change = compared(cube, metric, kpi, comparison, **options)
        # A plan's path, too, may come from the environment.
        named = concealed(change.cube.provenance, config)
        change = replace(change, cube=replace(change.cube, provenance=named))
        shown = _shown(change, kpi, config)
        drills = [d for i in range(len(kpi.drill)) for d in _drilled(shown, kpi, i, config)]
        # Worked out here, where KPIs run side by side, and kept for every file.
        _ = shown.effects, shown.levels, shown.causes, shown.findings
    except Exception as error:
        return Compared(comparison, failure=Failure.of(error, config, kpi))
    return Compared(comparison, change, None, None, shown, tuple(drills))


def _drilled(shown: Shown, kpi: Kpi, place: int, config: ReviewConfig) -> list[Drill]:
    """The parts that a drill-down asks for; one that is not there this month stops nothing else."""
    drill = kpi.drill[place]
    names = drill_names(place, drill)
    try:
        parts = drilled(shown, drill, config.labels)
    except Exception as error:
        return [Drill(drill, names[0], failure=Failure.of(error, config, kpi))]
    return [Drill(title, name, part) for (title, part), name in zip(parts, names, strict=False)]


def _shown(change: Attribution, kpi: Kpi, config: ReviewConfig) -> Shown:
    """What files may show of a comparison."""
    shown = labeled(protect(change, privacy_of(config, kpi.by)), config.labels)
    return replace(shown, searched=kpi.causes)


def _with_context(answer: Compared, values: Mapping[str, tuple[float, float]]) -> Compared:
    """Add how usual the change is; nothing where changes over that distance are not comparable."""
    if answer.change is None or answer.comparison.kind != "previous" or len(values) < 3:
        return answer
    try:
        past = {period: value for period, (value, _) in values.items()}
        return replace(answer, context=answer.change.context(past))
    except AttributionError:  # gaps in the past: the sampling verdict stands alone
        return answer


def _quality(cube: Cube, metric: Metric, config: ReviewConfig) -> tuple[dict, ...]:
    """Findings of the month's data, or the error that the configuration makes of them.

    Raises
    ------
    DataContractError
        The month is half-loaded or has repeated rows, and the configuration calls that an error.
    """
    rules, found = config.quality, list(cube.findings)
    n = cube.metric_sums(metric, "count").sum(axis=1)
    usual = float(np.median(n[:-1])) if len(n) > 1 else float("nan")
    if n[-1] < rules.few_rows * usual:
        found.append(
            {
                "code": "half_loaded",
                "severity": "warning",
                "message": f"{cube.periods[-1]} has {n[-1]:,.0f} observations, "
                f"{100 * n[-1] / usual:.0f} % of the usual {usual:,.0f}: is it complete?",
                "facts": {"n": float(n[-1]), "usual": usual},
            }
        )
    wrong = {"half_loaded": rules.half_loaded, REPEATED: rules.duplicates}
    if errors := [f for f in found if wrong.get(f["code"]) == "error"]:
        raise DataContractError("data: " + " ".join(f["message"] for f in errors), errors)
    return tuple(found)


def _breaches(review: KpiReview) -> tuple[str, ...]:
    """The thresholds that are broken, in words."""
    rule, f, broken = review.kpi.breach, review.format, []
    if rule.below is not None and review.value < rule.below:
        broken.append(f"{f.level(review.value)} is below {f.level(rule.below)}")
    if rule.above is not None and review.value > rule.above:
        broken.append(f"{f.level(review.value)} is above {f.level(rule.above)}")
    change = review.main
    if rule.worse_by is not None and change is not None:
        moved = change.total.change
        worse = -moved if review.metric.better == "higher" else moved
        if worse > rule.worse_by and (change.verdict == "real" or not rule.only_real):
            limit = f.change(rule.worse_by).lstrip("+")
            broken.append(f"{f.change(moved)} is worse by more than {limit}")
    return tuple(broken)


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
