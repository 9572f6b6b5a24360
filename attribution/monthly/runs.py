"""One KPI of a review: compared, judged and set beside its past; its failure stays its own."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from attribution.causes import Causes
from attribution.config import Comparison, Kpi, ReviewConfig, resolved
from attribution.context import Context
from attribution.cube import Cube
from attribution.errors import AttributionError, DataContractError, OptionError
from attribution.formatting import Format
from attribution.metrics import Metric
from attribution.monthly.comparisons import compared, drilled, until
from attribution.monthly.history import History, Restated
from attribution.monthly.scans import REPEATED, metric_of
from attribution.privacy import Privacy, Shown, protect
from attribution.quantiles import period_values
from attribution.result import Attribution

__all__ = [
    "Compared",
    "Failure",
    "KpiReview",
    "Repeated",
    "privacy_of",
    "remembered",
    "review_kpi",
]

_RECORDED = {
    "effects": ["effect", "dimension", "segment", "estimate", "std_error", "conf_low", "conf_high",
                "p_adjusted"],
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
    """

    message: str
    internal: bool = False

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Say what went wrong."""
        if isinstance(error, AttributionError):
            return cls(str(error))
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        return cls(f"Internal error: {type(error).__name__}: {error} ({where}).", internal=True)


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
class Compared:
    """One comparison of a KPI, or why there is none.

    Attributes
    ----------
    comparison : Comparison
    change : Attribution or None
    failure : Failure or None
    context : Context or None
        How usual the change is, where the past is long enough.
    drills : tuple of (str, Attribution)
    causes : Causes or None
        The segments that carry the rate effect, where the KPI has clusters to judge them by.
    shown : Shown or None
        What files may show of the change.
    """

    comparison: Comparison
    change: Attribution | None = None
    failure: Failure | None = None
    context: Context | None = None
    drills: tuple[tuple[str, Attribution], ...] = ()
    causes: Causes | None = None
    shown: Shown | None = None


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
    def failures(self) -> list[Failure]:
        """All that went wrong, of the KPI or of a comparison."""
        own = [] if self.failure is None else [self.failure]
        return own + [c.failure for c in self.compared if c.failure is not None]

    @property
    def status(self) -> str:
        """ "failed", "breach" or "ok"."""
        if self.failure is not None:
            return "failed"
        return "breach" if self.breaches else "ok"

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        change = self.main
        if change is not None:
            return change.format
        return Format.fitting(self.metric.display_unit, self.value)


def privacy_of(config: ReviewConfig) -> Privacy:
    """Return who may be seen in the files of a review.

    Parameters
    ----------
    config : ReviewConfig

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
    return Privacy(asked.people, key, asked.min_n)


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
        return KpiReview(kpi, metric, period, failure=Failure.of(error))


def _values(cube: Cube, metric: Metric) -> dict[str, tuple[float, float]]:
    """The KPI, NaN where it has no volume, and its observations in every period."""
    value, n = period_values(cube, metric), cube.metric_sums(metric, "count").sum(axis=1)
    return {p: (float(value[t]), float(n[t])) for t, p in enumerate(cube.periods)}


def _answer(cube: Cube, metric: Metric, kpi: Kpi, text: str, config: ReviewConfig) -> Compared:
    comparison = Comparison.of(text)
    options = {"conf_level": config.review.conf_level, "rng": config.review.seed}
    try:
        change = compared(cube, metric, kpi, comparison, **options)
        drills = [part for drill in kpi.drill for part in drilled(change, drill)]
        shown = protect(change, privacy_of(config))
        # A cause may fix a level of people, or a group that is too small: files do not show them.
        seen = not shown.hidden and not shown.privacy.min_n
        causes = _causes(change) if kpi.causes and seen else None
    except Exception as error:
        return Compared(comparison, failure=Failure.of(error))
    usual = _context(change, cube, comparison)
    return Compared(comparison, change, None, usual, tuple(drills), causes, shown)


def _causes(change: Attribution) -> Causes | None:
    """The named causes; none of a KPI that is no ratio, nor without clusters to judge them by."""
    if change.cube.clusters is None:
        return None
    try:
        return change.causes()
    except OptionError:
        return None


def _context(change: Attribution, cube: Cube, comparison: Comparison) -> Context | None:
    """How usual the change is; nothing where changes over that distance are not comparable."""
    if comparison.kind != "previous" or len(cube.periods) < 3:
        return None
    try:
        return change.context(cube)
    except AttributionError:  # gaps in the past: the sampling verdict stands alone
        return None


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
    tables: dict[str, list] = {table: [] for table in _RECORDED}
    digest = ""
    for answer in review.compared:
        if answer.change is None or answer.shown is None:
            continue
        change, shown = answer.change, answer.shown
        digest = digest or change.cube.digest()
        of = {
            "kpi": name, "comparison": answer.comparison.kind, "baseline": change.cube.periods[0],
            "period": period,
        }  # fmt: skip
        effects = shown.effects[_RECORDED["effects"]]
        tables["effects"].append(effects.assign(position=range(len(effects)), **of))
        levels = [frame[_RECORDED["levels"]] for frame in shown.levels.values()]
        tables["levels"] += [frame.assign(**of) for frame in levels]
        if answer.causes is not None:
            tables["causes"].append(answer.causes.frame[_RECORDED["causes"]].assign(**of))
    frames = {t: pd.concat(x) if x else pd.DataFrame() for t, x in tables.items()}
    history.record(name, period, review.value, review.n, digest, frames)
    return replace(
        review,
        restated=tuple(history.restated(name, period)),
        repeated=tuple(_repeated(review, history, 1 - config.review.conf_level)),
    )


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
