"""One KPI of a review: compared and judged; its failure stays its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attribution.config import Comparison, Kpi, ReviewConfig, concealed, resolved
from attribution.cube import Cube
from attribution.errors import DataContractError
from attribution.kinds import period_values
from attribution.metrics import Metric
from attribution.monthly.answers import Compared, Drill, Failure, KpiReview
from attribution.monthly.comparisons import compared, drill_names, drilled, until
from attribution.monthly.scans import REPEATED, metric_of
from attribution.privacy import Privacy, Shown, protect
from attribution.reports.labeled import labeled
from attribution.result import Attribution

__all__ = ["privacy_of", "review_kpi"]


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
