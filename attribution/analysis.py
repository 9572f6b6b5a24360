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
    Design,
    identical,
    staying,
)
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    IdentificationError,
    OptionError,
    PeriodError,
    check_level,
    check_option,
    listing,
)
from attribution.evidence import Evidence, Options
from attribution.hierarchy import Dimension
from attribution.infer import ADJUSTMENTS, Bootstrap, Units, cluster_strata
from attribution.kinds import check_asked, decomposed, units_of
from attribution.methods import positions
from attribution.metrics import Metric, Quantile, Ratio, is_ratio
from attribution.quantiles import exact, has_density, linearized
from attribution.result import Attribution
from attribution.seeds import seed_of
from attribution.total import Total

__all__ = ["asked_options", "explain", "explain_cube", "explain_pair", "explain_part", "verdict"]

_MOST_OF_ONE, _MOST_OF_OTHERS = 20_000, 3_400
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
        What is explained: ``at.Rate("correct", "reviewed")`` or ``"correct / reviewed"``.
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
    options = whole.options
    if options.order is not None:
        options = replace(options, order=tuple(d for d in options.order if d in left))
    return explain_pair(part.rollup(left), whole.metric, options)


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
    if isinstance(metric, Quantile):
        _check_quantile(options)
        cube = linearized(cube, metric)
    cube = _observed(cube, metric)
    _check_size(cube)
    D = cube.metric_sums(metric, "denominator")
    sizes = tuple(len(levels) for levels in cube.levels)
    design = Design(cube.codes, sizes, cube.nested)
    _check_identified(cube, D if cube.volume is None else cube.volume, design)
    _check_sampled(cube, D, design, options)
    units = units or _units(cube, metric, options)
    evidence = _evidence(cube, metric, units, options)
    if options.bootstrap is not None and (name := options.bootstrap.strata) is not None:
        level = cube.codes[:, cube.dimension_index(name, "strata")]
        evidence = replace(evidence, strata=cluster_strata(units.ways[0], level, name))
    if options.finite_population:
        n = cube.metric_sums(metric, "count")
        evidence = replace(evidence, units=units.finite(n, _volume(cube, options)))
    if isinstance(metric, Quantile) and isinstance(evidence.parts, Decomposition):
        parts, cube = exact(evidence.parts, cube, metric, options.seed)
        evidence = replace(evidence, parts=parts)
        if not has_density(cube, metric):
            evidence = replace(evidence, units=units.unknown())
    total = _total(evidence)
    return Attribution(cube, metric, total, verdict(total, options), evidence)


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


def _check_sampled(cube: Cube, D: np.ndarray, design: Design, options: Options) -> None:
    """Refuse levels that are counted and were never sampled: they have no rate."""
    if cube.volume is None:
        return
    sampled = design.matrix.T @ D.sum(axis=0)
    counted = (design.matrix.T @ cube.volume.T) / cube.volume.sum(axis=1)
    without = np.flatnonzero((sampled <= 0) & (counted.max(axis=1) > 0))
    if len(without):
        named = [
            f"{cube.dimensions[d]} {cube.levels[d][i - design.offsets[d]]} "
            f"({100 * counted[i].max():.2g} %)"
            for i, d in zip(without, design.of_dimension[without], strict=True)
        ]
        raise DataContractError(
            f"volume: {len(named):,} levels are counted and were never sampled, so they have no "
            f"rate: {listing(named, most=6)}. Merge them with others (mapping=...) or leave them "
            "out of the counts.",
            [{"level": name, "problem": "never sampled"} for name in named],
        )
    never = int((D <= 0).all(axis=0).sum())
    if options.rates == "saturated" and never:
        raise OptionError(
            f"rates: {never:,} counted segments were never sampled and have no observed rate. "
            "Use rates='additive' (or 'auto')."
        )


def _check_quantile(options: Options) -> None:
    """Refuse what has no meaning for a quantile, or no answer yet."""
    if options.method != "midpoint":
        raise OptionError(
            f"method: {options.method!r} is for ratios; a quantile is divided by Shapley values, "
            "which is method='midpoint'."
        )
    if options.inference != "analytic":
        raise OptionError("inference: a quantile needs inference='analytic'.")


def _observed(cube: Cube, metric: Metric) -> Cube:
    """Check the denominators and drop segments without any."""
    moments = metric.moments(cube.weighted)
    D = cube.metric_sums(metric, "denominator")
    for t, parameter in enumerate(("baseline", "current")):
        for role, what in _needed(metric):
            if not cube.metric_sums(metric, role)[t].sum() > 0:
                text = " * ".join(moments[role].factors) or "rows"
                raise PeriodError(
                    f"{parameter}: the {what} {text!r} of {metric.label!r} is 0 in "
                    f"{cube.periods[t]!r}."
                )
    above = [r for r in moments if r == "numerator" or (r.startswith("sum") and "_" not in r)]
    held = np.stack([cube.metric_sums(metric, role) for role in above])
    stray = (D == 0) & (held != 0).any(axis=0)
    if stray.any():
        found = [
            {
                "period": cube.periods[t],
                "segment": cube.segment_name(c),
                "numerator": held[:, t, c][held[:, t, c] != 0][0],
            }
            for t, c in np.argwhere(stray)
        ]
        named = [f"{f['segment']} in {f['period']}" for f in found]
        raise DataContractError(
            f"data: {len(found):,} segment{'s' * (len(found) > 1)} with a numerator and no "
            f"denominator: {listing(named, most=8)}. A rate needs both.",
            found,
        )
    there = D if cube.volume is None else cube.volume
    return cube.keep_segments(np.asarray((there > 0).any(axis=0)))


def _needed(metric: Metric) -> list[tuple[str, str]]:
    """The sums that may not be 0 in a period, and what they are called."""
    if is_ratio(metric):
        return [("denominator", "denominator")]
    of_ratio = [("sum2", "denominator")] if isinstance(metric, Ratio) else []
    return [("denominator", "volume"), *of_ratio]


def _check_size(cube: Cube) -> None:
    """Refuse what would fill the memory: the square of all levels but the largest dimension's."""
    counts = {d: len(levels) for d, levels in zip(cube.dimensions, cube.levels, strict=True)}
    most = max(counts.values(), default=0)
    if most > _MOST_OF_ONE or sum(counts.values()) - most > _MOST_OF_OTHERS:
        named = max(counts, key=counts.__getitem__)
        raise OptionError(
            f"by: {named!r} has {counts[named]:,} levels, all dimensions {sum(counts.values()):,}; "
            f"one may have {_MOST_OF_ONE:,} and the others {_MOST_OF_OTHERS:,} together. Leave it "
            "out, merge its levels (mapping=...), or pass it as cluster if it says who did the "
            "work."
        )


def _check_identified(cube: Cube, D: np.ndarray, design: Design) -> None:
    """Refuse total renames and identical dimensions, by name."""
    exists, stayed = staying(D, design)
    empty = [t for t in (0, 1) if not D[t][stayed].sum() > 0]
    if empty:
        moved = []
        for d, name in enumerate(cube.dimensions):
            both = np.asarray(exists[:, design.block(d)].all(axis=0))
            held = both[cube.codes[:, d]]
            moved.append((min(D[t][held].sum() / D[t].sum() for t in (0, 1)), d, name))
        _, d, name = min(moved)
        sides = [
            [cube.levels[d][i] for i in np.flatnonzero(exists[t, design.block(d)])] for t in (0, 1)
        ]
        old, new = ([x for x in side if x not in other] for side, other in (sides, sides[::-1]))
        raise IdentificationError(
            f"by: no segment exists in both periods; the levels of {name!r} changed: "
            f"{listing(old, most=6)} in {cube.periods[0]}, {listing(new, most=6)} in "
            f"{cube.periods[1]}. If they were renamed, say so: mapping={{{name!r}: "
            f"{{{old[0]!r}: {new[0]!r}, ...}}}}; else leave {name!r} out of by."
        )
    if pair := identical(design.at(stayed)):
        a, b = (cube.dimensions[d] for d in pair)
        raise IdentificationError(
            f"by: {a!r} and {b!r} are identical, level for level, so their effects cannot be told "
            f"apart. Drop one of them."
        )


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
