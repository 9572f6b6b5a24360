"""explain: the one place where cube, decomposition and inference meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from attribution.cube import Cube, several
from attribution.decompose import (
    MIX,
    Decomposed,
    Decomposition,
    compose,
)
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    OptionError,
    PeriodError,
    check_level,
    check_option,
    listing,
)
from attribution.evidence import Evidence, Options
from attribution.hierarchy import Dimension
from attribution.infer import ADJUSTMENTS, Bootstrap, Units, cluster_strata
from attribution.kinds import check_asked, decomposed, joined_by, units_of
from attribution.methods import positions
from attribution.metrics import Metric, Quantile
from attribution.preparation import design_of, prepared
from attribution.products import Composite, ErrorTypes
from attribution.quantiles import exact, has_density, linearized
from attribution.result import Attribution
from attribution.seeds import seed_of
from attribution.total import Total

__all__ = [
    "asked_options",
    "explain",
    "explain_cube",
    "explain_pair",
    "explain_part",
    "factor_changes",
    "verdict",
]

_ROUNDING = 1e-9
_TOTAL_FIELDS = ("std_error", "conf_low", "conf_high", "p_value")


def explain(
    data: object,
    metric: Metric | str,
    by: str | Dimension | Sequence[str | Dimension],
    *,
    period: str,
    baseline: object,
    current: object,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    volume: object = None,
    finite_population: bool = False,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    timeout: float | None = None,
    method: str = "midpoint",
    mix: str = "adjusted",
    order: Sequence[str] | None = None,
    rates: str = "auto",
    pairs: Sequence[tuple[str, str]] | None = None,
    inference: str | Bootstrap = "analytic",
    conf_level: float = 0.95,
    adjust: str | None = "max-t",
    material: float | None = None,
    rng: object = None,
) -> Attribution:
    """Explain why a KPI changed between two periods: how much is mix, how much is rate, and where.

    ``R_1 - R_0 = sum over dimensions of mix + joint + rate + exit + entry``, exactly, in no order
    of the dimensions, each line with its interval.

    Parameters
    ----------
    data : table
        A pandas, Polars (eager or lazy) or Arrow table, an Arrow dataset, a DuckDB relation, a path
        or glob (.parquet .csv .csv.gz), a folder of Parquet files (names such as ``month=2026-08``
        are columns), ``"warehouse.duckdb::table"``, ``"book.xlsx::sheet"``, or one SELECT
        statement. An Ibis table (PostgreSQL and other warehouses) and a PySpark frame are grouped
        by their own engine; only grouped rows are fetched. Everything is opened for reading only.
    metric : Metric or str
        What is explained: ``at.Rate("correct", "reviewed")`` or ``"correct / reviewed"``; a KPI of
        the dictionary by name; ``at.Product({...})`` of several.
    by : str, Dimension, or a sequence of them
        The dimensions, columns of `data`. A null level becomes the level "(missing)".
        ``at.Dimension("market", within="region")`` declares a hierarchy.
    period : str
        The column that tells the periods apart (or the two groups that are compared), or a
        granularity of a date: ``"month of decided_at"`` (2026-03), day (2026-03-09), week (the ISO
        week, 2026-W11), quarter (2026-Q1), year; ``"fiscal month of decided_at from April"``
        (FY2026-M12: the fiscal year is called after the year it ends in), fiscal quarter and year.
        Times with a zone count by the clock of their zone in a frame, by UTC in files, SQL and
        relations; times without one as they are written.
    baseline, current : value or list of values
        Values of `period`, cast to the column's type; a list pools them. With a granularity the
        label of a period, or a date in it.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, such as the moderator; two columns
        for two-way clustering (moderator and day). None: rows are independent.
    weight : str, optional
        A column of row weights, or an expression: ``"1 / inclusion_prob"`` for a sample.
    volume : table or (table, str), optional
        Full decision counts: the period column, the dimensions and one count (name it where there
        are several numbers). The mix is then known exactly and only rates are estimated, weighing
        segments by their counts (post-stratification); the row "sampling" of `effects` leads from
        the KPI of the sample to that of the counts. `where` and `weight` do not apply to it.
    finite_population : bool
        With `volume`: standard errors for the decisions of these periods alone, as if a full
        review would leave no doubt (the residuals of a segment shrink by the root of the part
        not sampled). The default speaks of the process that made the decisions, which goes on.
    where : str, optional
        A condition on rows, ``"design == 'random' and not void"``. Rows where it is null are left
        out, and `check` counts them.
    mapping : dict, optional
        Levels merged before anything else: ``{"policy": {"old name": "new name"}}``.
    on_invalid : {"raise", "drop"}
        Rows that break the data contract: an error that lists all findings, or leave them out
        with a warning that counts them.
    timeout : float, optional
        Seconds after which a statement of the scan is stopped on the engine that runs it
        (`errors.StatementTimeoutError`). Not for a DuckDB relation, whose connection is yours.
    method : {"midpoint", "threefold", "baseline", "current"}
        Which period's shares weigh rate changes, and whose rates value share changes.
    mix : {"adjusted", "shapley", "das_gupta", "ordered"}
        How the mix effect is divided among the dimensions; all but "adjusted" with
        method="midpoint" and inference="analytic" only. "shapley" rakes the shares to the margins
        of every coalition of dimensions and says so where empty cells leave no such table;
        "das_gupta" is the published form for cross-classified shares, which a constant added to
        all rates would change; "ordered" is a chain of conditional shares.
    order : list of str, optional
        For "ordered": all dimensions of `by`, the one decided first in front.
    rates : {"auto", "saturated", "additive", "pairs"}
        Cell rates as observed ("saturated"), or fitted with main effects only ("additive"), or
        with the two-way terms of `pairs` besides; "auto" takes observed ones where cells are well
        filled. `check` says which were used and why.
    pairs : sequence of (str, str), optional
        With ``rates="pairs"``: the pairs of dimensions with two-way terms. None: those whose
        observed lack of fit is significant (see `Attribution.lack_of_fit`).
    inference : {"analytic", "bootstrap"} or Bootstrap
        Linearized standard errors, or a cluster bootstrap; ``at.Bootstrap(...)`` sets replicates,
        weights, kind of interval and strata.
    conf_level : float
        Of all intervals.
    adjust : {"max-t", "holm", "bh", None}
        How the p-values of one view (`effects`, or one table of `levels`) are adjusted for its
        number of lines: "max-t" and "holm" bound the chance of any false claim, "bh" the part of
        false ones among the claims.
    material : float, optional
        The smallest change that matters, in KPI units (0.005 is 0.5 pp); it lets the verdict tell
        "noise" from "inconclusive".
    rng : int, Generator or SeedSequence, optional
        Of everything that is drawn. None is 0: the same data give the same answer.

    Returns
    -------
    Attribution

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError
        The request does not fit the table; the message names the nearest match.
    PeriodError
        A period is absent, empty or on both sides.
    DataContractError
        Rows break the data contract, or a declared hierarchy; all findings are listed.
    IdentificationError
        A dimension has no level in common between the periods, or two dimensions are identical.
    SourceError
        The data cannot be read.

    References
    ----------
    Kitagawa, E. M. (1955). Components of a Difference Between Two Rates. JASA 50:1168-1194.
    Jann, B. (2008). The Blinder-Oaxaca decomposition for linear regression models. Stata J. 8(4).

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> reviews = pd.DataFrame({
    ...     "month": ["2026-08"] * 3 + ["2026-09"] * 3,
    ...     "queue": ["A", "B", "C"] * 2,
    ...     "reviewed": [5000, 3000, 2000, 4000, 3000, 3000],
    ...     "correct": [4750, 2850, 1600, 3800, 2850, 2400],
    ... })
    >>> change = at.explain(reviews, "correct / reviewed", by=["queue"], period="month",
    ...                     baseline="2026-08", current="2026-09")
    >>> change
    <Attribution correct / reviewed: 92.00 % -> 90.50 % (−1.50 pp), real>
    >>> change.effects[["effect", "dimension", "estimate"]].round(4)
      effect dimension  estimate
    0    mix     queue    -0.015
    1   rate      None     0.000
    """
    options = asked_options(
        method=method,
        mix=mix,
        order=order,
        rates=rates,
        pairs=pairs,
        finite_population=finite_population,
        inference=inference,
        conf_level=conf_level,
        adjust=adjust,
        material=material,
        rng=rng,
    )
    if finite_population and volume is None:
        raise OptionError("finite_population: it needs the full counts (volume=...).")
    if period is None:
        raise ColumnTypeError("period: None is not text. It names what tells the periods apart.")
    cube = Cube.from_data(
        data,
        metric,
        by,
        period=period,
        periods=[*several(baseline), *several(current)],
        cluster=cluster,
        weight=weight,
        volume=volume,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
        timeout=timeout,
    )
    return explain_pair(cube.between(baseline, current), cube.metrics[0], options)


def explain_cube(
    cube: Cube,
    metric: Metric | str | None = None,
    *,
    baseline: object,
    current: object,
    **options: Any,
) -> Attribution:
    """Explain the change of a metric between two periods of a cube, without reading data again.

    Parameters
    ----------
    cube : Cube
    metric : Metric or str, optional
        One of the cube's; the first by default.
    baseline, current : value or list of values
        Periods of the cube; a list pools them.
    **options
        The options of `explain` from `method` on, and `finite_population`.

    Returns
    -------
    Attribution
    """
    asked = asked_options(**options)
    return explain_pair(cube.between(baseline, current), cube.metric_named(metric), asked)


def explain_part(whole: Attribution, levels: Mapping[str, object]) -> Attribution:
    """Explain the same change within some levels; see `Attribution.within`."""
    if not levels:
        raise OptionError("within: name at least one level, as in within(market='ID').")
    part = whole.cube.select(**levels)
    # A market lies in one region: within a market, its region says nothing any more.
    fixed = {*levels, *(a for d in levels for a in part.ancestors(d))}
    left = [d for d in part.dimensions if d not in fixed or len(part.levels[_at(part, d)]) > 1]
    return explain_pair(part.rollup(left), whole.metric, _without(whole.options, left))


def _without(options: Options, left: Sequence[str]) -> Options:
    """The same question of the dimensions that are left: what named another is moot."""
    if options.order is not None:
        options = replace(options, order=tuple(d for d in options.order if d in left))
    if options.pairs is not None:
        pairs = tuple(pair for pair in options.pairs if set(pair) <= set(left))
        form = {"pairs": pairs} if pairs else {"rates": "additive", "pairs": None}
        options = replace(options, **form)
    asked = options.bootstrap
    if asked is not None and asked.strata is not None and asked.strata not in left:
        options = replace(options, bootstrap=replace(asked, strata=None))
    return options


def _at(cube: Cube, dimension: str) -> int:
    return cube.dimensions.index(dimension)


def asked_options(**given: Any) -> Options:
    """Check the options of a question, whoever asks it.

    Parameters
    ----------
    **given
        Those of `explain` from `method` on.

    Returns
    -------
    Options
    """
    inner = ("seed", "bootstrap", "target")
    allowed = [*(f.name for f in fields(Options) if f.name not in inner), "rng"]
    for name in given:
        check_option("option", name, allowed)
    rng = given.pop("rng", None)
    asked = Options(**given)
    if isinstance(asked.inference, Bootstrap):
        asked = replace(asked, inference="bootstrap", bootstrap=asked.inference)
    elif asked.inference == "bootstrap":
        asked = replace(asked, bootstrap=Bootstrap())
    check_option("method", asked.method, ["midpoint", "threefold", "baseline", "current"])
    check_option("mix", asked.mix, MIX)
    if asked.mix != "adjusted" and asked.bootstrap is not None:
        raise OptionError(f"mix: {asked.mix!r} needs inference='analytic'.")
    check_option("rates", asked.rates, ["auto", "saturated", "additive", "pairs"])
    check_option("inference", asked.inference, ["analytic", "bootstrap"])
    if asked.bootstrap is not None and asked.finite_population:
        raise OptionError("finite_population: it needs inference='analytic'.")

    check_option("adjust", asked.adjust, ADJUSTMENTS)
    check_level("conf_level", asked.conf_level)
    material = asked.material
    number = isinstance(material, int | float) and not isinstance(material, bool)
    if material is not None and (not number or not material > 0):
        raise OptionError(
            f"material: {material!r} is not a positive number in KPI units (0.005 is 0.5 pp)."
        )
    return replace(asked, pairs=_pairs(asked), order=_order(asked), seed=seed_of(rng))


def _order(asked: Options) -> tuple[str, ...] | None:
    if asked.mix != "ordered":
        if asked.order is not None:
            raise OptionError(f"order: it is used with mix='ordered' only, not {asked.mix!r}.")
        return None
    if asked.order is None or isinstance(asked.order, str):
        raise OptionError(
            f"order: {asked.order!r} is not a list of all dimensions, as mix='ordered' needs: "
            "['queue', 'tenure']."
        )
    return tuple(asked.order)


def _pairs(asked: Options) -> tuple[tuple[str, str], ...] | None:
    if asked.pairs is None:
        return None
    if asked.rates != "pairs":
        raise OptionError(f"pairs: they are used with rates='pairs' only, not {asked.rates!r}.")
    pairs = []
    for pair in several(asked.pairs):
        names = several(pair)
        if len(names) != 2 or names[0] == names[1] or not all(isinstance(d, str) for d in names):
            raise OptionError(
                f"pairs: {pair!r} is not a pair of dimensions, as in [('queue', 'policy')]."
            )
        pairs.append((names[0], names[1]))
    if not pairs:
        raise OptionError("pairs: an empty list; rates='additive' fits no pair.")
    return tuple(pairs)


def explain_pair(
    cube: Cube, metric: Metric, options: Options, units: Units | None = None
) -> Attribution:
    """Decompose and infer over a cube of two periods.

    Parameters
    ----------
    cube : Cube
        Of two periods, baseline first.
    metric : Metric
    options : Options
        Checked by `asked_options`.
    units : Units, optional
        Those of the segments that either period has, where the cube's own would be wrong.

    Returns
    -------
    Attribution
    """
    check_asked(cube, metric, options)
    if isinstance(metric, Composite):
        cube, evidence = _joined(cube, metric, options, units)
    else:
        cube, evidence = _single(cube, metric, options, units)
    total = _total(evidence)
    return Attribution(cube, metric, total, verdict(total, options), evidence)


def _single(
    cube: Cube, metric: Metric, options: Options, units: Units | None
) -> tuple[Cube, Evidence]:
    """One KPI: the cube of its segments, decomposed, with the units behind it."""
    if isinstance(metric, Quantile):
        _check_quantile(options)
        cube = linearized(cube, metric)
    cube = prepared(cube, metric, options)
    evidence = _evidence(cube, metric, units or _units(cube, metric, options), options)
    if options.finite_population:
        n = cube.metric_sums(metric, "count")
        finite = evidence.units.finite(n, _volume(cube, options))
        evidence = replace(evidence, units=finite)
    if isinstance(metric, Quantile) and isinstance(evidence.parts, Decomposition):
        parts, cube = exact(evidence.parts, cube, metric, options.seed)
        evidence = replace(evidence, parts=parts)
        if not has_density(cube, metric):
            evidence = replace(evidence, units=evidence.units.unknown())
    return cube, _stratified(cube, evidence)


def _joined(
    cube: Cube, metric: Composite, options: Options, units: Units | None
) -> tuple[Cube, Evidence]:
    """A KPI made of KPIs: each decomposed by itself, put together over units of all their sums."""
    cube = cube.keep_segments(np.logical_or.reduce(_segments(cube, metric)))
    if isinstance(metric, ErrorTypes):
        _check_apart(cube, metric)
    exact = replace(options, inference="analytic", bootstrap=None)
    parts: Any = [change._parts for change in factor_changes(cube, metric, exact).values()]
    composed = compose(parts, _segments(cube, metric), joined_by(metric), design_of(cube))
    if not np.isfinite(composed.R).all():
        raise PeriodError(f"baseline, current: {metric.label!r} has no value in a period.")
    n = cube.metric_sums(metric, "count")
    units = units or units_of(cube, metric)
    return cube, _stratified(cube, Evidence(composed, units, n, options))


def _segments(cube: Cube, metric: Composite) -> list[np.ndarray]:
    """Which segments each factor has in either period."""
    kpis = metric.kpis.values()
    V = [cube.metric_sums(m, "denominator") if cube.volume is None else cube.volume for m in kpis]
    return [np.asarray((x > 0).any(axis=0)) for x in V]


def factor_changes(cube: Cube, metric: Composite, options: Options) -> dict[str, Attribution]:
    """Explain each factor of a KPI made of KPIs by itself, in its own unit.

    Parameters
    ----------
    cube : Cube
        Of two periods.
    metric : Composite
    options : Options

    Returns
    -------
    dict of str to Attribution
    """
    own = replace(options, material=None)
    return {name: explain_pair(cube, kpi, own) for name, kpi in metric.kpis.items()}


def _check_apart(cube: Cube, metric: ErrorTypes) -> None:
    """Refuse error types of which a trial has several: accuracy is no longer one less their sum."""
    kinds = list(metric.kpis.values())
    errors = sum(cube.metric_sums(kind, "numerator") for kind in kinds)
    trials = cube.metric_sums(kinds[0], "denominator")
    over = np.argwhere(errors > trials * (1 + _ROUNDING))
    if len(over):
        named = [f"{cube.segment_name(c)} in {cube.periods[t]}" for t, c in over]
        raise DataContractError(
            f"types: more errors than trials in {len(over):,} segments: {listing(named, most=4)}. "
            "A trial has one error type at most; count the gravest.",
            [{"segment": name, "problem": "more errors than trials"} for name in named],
        )


def _stratified(cube: Cube, evidence: Evidence) -> Evidence:
    """The evidence with the strata that a bootstrap draws within."""
    asked = evidence.options.bootstrap
    if asked is None or asked.strata is None:
        return evidence
    level = cube.codes[:, cube.dimension_index(asked.strata, "strata")]
    way = evidence.units.ways[0]
    return replace(evidence, strata=cluster_strata(way, level, asked.strata))


def _evidence(cube: Cube, metric: Metric, units: Units, options: Options) -> Evidence:
    """Decompose with the rates that were asked for; "pairs" may first look which pairs matter."""
    n = cube.metric_sums(metric, "count")

    def asked(pairs: Sequence[tuple[int, int]]) -> Decomposed:
        return decomposed(cube, metric, options, positions(cube, options.order), pairs)

    if options.rates != "pairs":
        return Evidence(asked(()), units, n, options)
    if options.pairs is not None:
        at = cube.dimension_index
        named = [(at(a, "pairs"), at(b, "pairs")) for a, b in options.pairs]
        return Evidence(asked(named), units, n, options)
    found = Evidence(asked(()), units, n, options)
    p = found.lack_of_fit()
    chosen = [pair for pair, value in p.items() if value < 1 - options.conf_level]
    reason = "no pair of dimensions lacks fit" if not chosen else "their lack of fit is significant"
    return Evidence(replace(asked(chosen), reason=reason), units, n, options)


def _volume(cube: Cube, options: Options) -> np.ndarray:
    if cube.volume is None:
        raise OptionError("finite_population: it needs the full counts (volume=...).")
    return cube.volume


def _check_quantile(options: Options) -> None:
    """Refuse what has no meaning for a quantile, or no answer yet."""
    if options.method != "midpoint":
        raise OptionError(
            f"method: {options.method!r} is for ratios; a quantile is divided by Shapley values, "
            "which is method='midpoint'."
        )
    if options.inference != "analytic":
        raise OptionError("inference: a quantile needs inference='analytic'.")


def _units(cube: Cube, metric: Metric, options: Options) -> Units:
    """The units of both periods; a plan as the baseline has none and is exact."""
    if options.rates != "planned":
        return units_of(cube, metric)
    noisy = np.array([[0.0], [1.0]])
    actual = replace(cube, sums={name: values * noisy for name, values in cube.sums.items()})
    return replace(units_of(actual, metric), exact=0)


def _total(evidence: Evidence) -> Total:
    found, R = evidence.total.found, evidence.parts.R
    known = {f: float(getattr(found, f)[0]) for f in _TOTAL_FIELDS}
    return Total(float(R[0]), float(R[1]), float(found.estimate[0]), **known)


def verdict(total: Total, options: Options) -> str:
    """Say whether a total is more than noise: "real", "noise" or "inconclusive".

    Parameters
    ----------
    total : Total
    options : Options

    Returns
    -------
    str
    """
    if np.isnan(total.std_error):
        return "inconclusive"
    if total.conf_low > 0 or total.conf_high < 0:
        return "real"
    material = options.material
    if material is None or (-material <= total.conf_low and total.conf_high <= material):
        return "noise"
    return "inconclusive"
