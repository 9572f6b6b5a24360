"""explain: the one place where cube, decomposition and inference meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from attribution.cube import Cube, several
from attribution.decompose import Decomposition, Design, decompose, identical, staying, total_change
from attribution.errors import (
    DataContractError,
    IdentificationError,
    OptionError,
    PeriodError,
    check_option,
    listing,
)
from attribution.infer import (
    ADJUSTMENTS,
    UnitSums,
    cluster_units,
    infer,
    row_units,
)
from attribution.metrics import Metric
from attribution.result import Attribution, Options, Total

__all__ = ["explain", "explain_cube", "explain_part"]

_MOST_LEVELS = 5_000


def explain(
    data: object,
    metric: Metric | str,
    by: str | Sequence[str],
    *,
    period: str,
    baseline: object,
    current: object,
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    method: str = "midpoint",
    mix: str = "adjusted",
    rates: str = "auto",
    inference: str = "analytic",
    conf_level: float = 0.95,
    adjust: str | None = "holm",
    material: float | None = None,
) -> Attribution:
    """Explain why a KPI changed between two periods: how much is mix, how much is rate, and where.

    ``R_1 - R_0 = sum over dimensions of mix + joint + rate + exit + entry``, exactly, in no order
    of the dimensions, each line with its interval.

    Parameters
    ----------
    data : table
        A pandas, Polars (eager or lazy) or Arrow table, a DuckDB relation, a path or glob
        (.parquet .csv .csv.gz), or one SELECT statement.
    metric : Metric or str
        What is explained: ``at.Rate("correct", "reviewed")`` or ``"correct / reviewed"``.
    by : str or sequence of str
        The dimensions, columns of `data`. A null level becomes the level "(missing)".
    period : str
        The column that tells the periods apart (or the two groups that are compared).
    baseline, current : value or list of values
        Values of `period`, cast to the column's type; a list pools them.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, such as the moderator. None:
        rows are independent.
    weight : str, optional
        A column of row weights, 1 / inclusion probability for a sample.
    where : str, optional
        A condition on rows, ``"design == 'random'"``. Rows where it is null are left out, and
        `check` counts them.
    mapping : dict, optional
        Levels merged before anything else: ``{"policy": {"old name": "new name"}}``.
    on_invalid : {"raise", "drop"}
        Rows that break the data contract: an error that lists all findings, or leave them out
        with a warning that counts them.
    method : {"midpoint", "threefold", "baseline", "current"}
        Which period's shares weigh rate changes, and whose rates value share changes.
    mix : {"adjusted"}
        How the mix effect is divided among the dimensions.
    rates : {"auto", "saturated", "additive"}
        Cell rates as observed, or fitted with main effects only; "auto" takes observed ones where
        cells are well filled.
    inference : {"analytic"}
        Linearized standard errors.
    conf_level : float
        Of all intervals.
    adjust : {"holm", None}
        How the p-values of one view are adjusted for its number of lines.
    material : float, optional
        The smallest change that matters, in KPI units (0.005 is 0.5 pp); it lets the verdict tell
        "noise" from "inconclusive".

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
        Rows break the data contract; all findings are listed.
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
    options = _options(
        method=method,
        mix=mix,
        rates=rates,
        inference=inference,
        conf_level=conf_level,
        adjust=adjust,
        material=material,
    )
    cube = Cube.from_data(
        data,
        metric,
        by,
        period=period,
        periods=[*several(baseline), *several(current)],
        cluster=cluster,
        weight=weight,
        where=where,
        mapping=mapping,
        on_invalid=on_invalid,
    )
    return _explain(cube.between(baseline, current), cube.metrics[0], options)


def explain_cube(
    cube: Cube,
    metric: Metric | str | None = None,
    *,
    baseline: object,
    current: object,
    method: str = "midpoint",
    mix: str = "adjusted",
    rates: str = "auto",
    inference: str = "analytic",
    conf_level: float = 0.95,
    adjust: str | None = "holm",
    material: float | None = None,
) -> Attribution:
    """Explain the change of a metric between two periods of a cube, without reading data again.

    Parameters
    ----------
    cube : Cube
    metric : Metric or str, optional
        One of the cube's; the first by default.
    baseline, current, method, mix, rates, inference, conf_level, adjust, material
        See `explain`.

    Returns
    -------
    Attribution
    """
    options = _options(
        method=method,
        mix=mix,
        rates=rates,
        inference=inference,
        conf_level=conf_level,
        adjust=adjust,
        material=material,
    )
    return _explain(cube.between(baseline, current), cube.metric_named(metric), options)


def explain_part(whole: Attribution, levels: Mapping[str, object]) -> Attribution:
    """Explain the same change within some levels; see `Attribution.within`."""
    if not levels:
        raise OptionError("within: name at least one level, as in within(market='ID').")
    part = whole.cube.select(**levels)
    left = [d for d in part.dimensions if d not in levels or len(part.levels[_at(part, d)]) > 1]
    return _explain(part.rollup(left), whole.metric, whole.options)


def _at(cube: Cube, dimension: str) -> int:
    return cube.dimensions.index(dimension)


def _options(**given: Any) -> Options:
    check_option("method", given["method"], ["midpoint", "threefold", "baseline", "current"])
    check_option("mix", given["mix"], ["adjusted"])
    check_option("rates", given["rates"], ["auto", "saturated", "additive"])
    check_option("inference", given["inference"], ["analytic"])
    check_option("adjust", given["adjust"], ADJUSTMENTS)
    level, material = given["conf_level"], given["material"]
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise OptionError(f"conf_level: {level!r} is not between 0 and 1, as in 0.95.")
    if material is not None and (not isinstance(material, int | float) or not material > 0):
        raise OptionError(
            f"material: {material!r} is not a positive number in KPI units (0.005 is 0.5 pp)."
        )
    return Options(**given)


def _explain(cube: Cube, metric: Metric, options: Options) -> Attribution:
    """Decompose and infer over a cube of two periods."""
    cube = _observed(cube, metric)
    _check_size(cube)
    D, N = cube.metric_sums(metric, "denominator"), cube.metric_sums(metric, "numerator")
    sizes = tuple(len(levels) for levels in cube.levels)
    _check_identified(cube, D, Design(cube.codes, sizes))
    parts = decompose(
        D,
        N,
        cube.metric_sums(metric, "count"),
        cube.codes,
        sizes,
        method=options.method,
        rates=options.rates,
    )
    units = _units(cube, metric, D, N)
    total = _total(parts, units, D, N, options)
    return Attribution(cube, metric, options, total, _verdict(total, options), parts, units)


def _observed(cube: Cube, metric: Metric) -> Cube:
    """Check the denominators and drop segments without any."""
    D, N = cube.metric_sums(metric, "denominator"), cube.metric_sums(metric, "numerator")
    for t, parameter in enumerate(("baseline", "current")):
        if not D[t].sum() > 0:
            raise PeriodError(
                f"{parameter}: the denominator {metric.denominator or 'rows'!r} of "
                f"{metric.label!r} is 0 in {cube.periods[t]!r}."
            )
    stray = (D == 0) & (N != 0)
    if stray.any():
        found = [
            {"period": cube.periods[t], "segment": _segment_name(cube, c), "numerator": N[t, c]}
            for t, c in np.argwhere(stray)
        ]
        named = [f"{f['segment']} in {f['period']}" for f in found]
        raise DataContractError(
            f"data: {len(found):,} segment{'s' * (len(found) > 1)} with a numerator and no "
            f"denominator: {listing(named, most=8)}. A rate needs both.",
            found,
        )
    return cube.keep_segments(np.asarray((D > 0).any(axis=0)))


def _segment_name(cube: Cube, c: int) -> str:
    names = [levels[cube.codes[c, d]] for d, levels in enumerate(cube.levels)]
    return " × ".join(names) or "all rows"


def _check_size(cube: Cube) -> None:
    """Refuse what would fill the memory, which grows with the square of the levels."""
    counts = {d: len(levels) for d, levels in zip(cube.dimensions, cube.levels, strict=True)}
    if sum(counts.values()) > _MOST_LEVELS:
        most = max(counts, key=counts.__getitem__)
        raise OptionError(
            f"by: {most!r} has {counts[most]:,} levels; all dimensions together may have "
            f"{_MOST_LEVELS:,}. Leave it out, merge its levels (mapping=...), or pass it as "
            "cluster if it says who did the work."
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
    if pair := identical(Design(design.codes[stayed], design.sizes)):
        a, b = (cube.dimensions[d] for d in pair)
        raise IdentificationError(
            f"by: {a!r} and {b!r} are identical, level for level, so their effects cannot be told "
            f"apart. Drop one of them."
        )


def _units(cube: Cube, metric: Metric, D: np.ndarray, N: np.ndarray) -> UnitSums:
    moments = metric.moments(cube.weighted)
    clusters = cube.clusters
    if clusters is None:
        DD, DN, NN = (cube.metric_sums(metric, role) for role in ("den_den", "num_den", "num_num"))
        count = cube.metric_sums(metric, "count").sum()
        return row_units(D, N, DD, DN, NN, count)
    if len(clusters.names) > 1:
        raise OptionError(
            f"cluster: {len(clusters.names)} columns; one cluster column is supported."
        )
    return cluster_units(
        clusters.codes[0],
        clusters.period,
        clusters.segment,
        clusters.sums[moments["denominator"].key],
        clusters.sums[moments["numerator"].key],
        len(cube.codes),
    )


def _total(
    parts: Decomposition, units: UnitSums, D: np.ndarray, N: np.ndarray, options: Options
) -> Total:
    change, gradient = total_change(D, N)
    size = float(np.abs(parts.R).max())
    found = infer(np.array([change]), gradient, units, options.conf_level, size)
    return Total(
        baseline=float(parts.R[0]),
        current=float(parts.R[1]),
        change=change,
        **{k: float(v[0]) for k, v in asdict(found).items() if k != "estimate"},
    )


def _verdict(total: Total, options: Options) -> str:
    """Say whether the total is more than noise."""
    if np.isnan(total.std_error):
        return "inconclusive"
    if total.conf_low > 0 or total.conf_high < 0:
        return "real"
    material = options.material
    if material is None or (-material <= total.conf_low and total.conf_high <= material):
        return "noise"
    return "inconclusive"
