"""scorecard: the question, checked, scanned once and scored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attribution.cards.card import Scorecard
from attribution.cards.scoring import score
from attribution.cube import Cube, several
from attribution.errors import (
    AttributionError,
    ColumnTypeError,
    DataQualityWarning,
    IdentificationError,
    OptionError,
    check_level,
    check_option,
    listing,
    naming,
)
from attribution.goals import read_goals, require_ratio
from attribution.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OVERDISPERSION", "card_of", "columns_of", "over_time", "scan", "scorecard"]

OVERDISPERSION: list[str | None] = ["multiplicative", "additive", None]


def scorecard(
    data: object,
    metric: Metric | str,
    entity: str | Sequence[str],
    *,
    adjust_for: str | Sequence[str] = (),
    cluster: str | Sequence[str] | None = None,
    target: object = None,
    period: str | None = None,
    current: object = None,
    baseline: object = None,
    history: object = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    overdispersion: str | None = "multiplicative",
    min_n: int = 30,
    conf_level: float = 0.95,
) -> Scorecard:
    """Compare entities (sites, vendors, moderators) fairly: at the work each of them had.

    ``E = sum_c n_c p_{c,-e}`` is what the OTHERS would have got from an entity's own mix of cells
    (leave-one-out rates p by the cells of `adjust_for`), O what it got, and
    ``adjusted = R_ref + (O - E) / n`` its rate beside the KPI of all, R_ref (the KPI of the others
    where there are no cells, so that `adjusted` is then the KPI as it is).

    Parameters
    ----------
    data : table
        See `attribution.explain`.
    metric : Metric or str
        A rate, ratio or mean.
    entity : str or sequence of str
        The columns that tell the entities: "site", "moderator_id", ["market", "queue"].
    adjust_for : str or sequence of str
        The columns whose crossing makes the cells in which rates are compared. Tenure belongs to
        a moderator's card; a site's is worth seeing with it and without.
    cluster : str or sequence of str, optional
        The column of units that are independent of each other, such as the moderator within a
        site. None: rows are.
    target : number, mapping or table, optional
        For all, per entity (``{"Manila": 0.94}``) or a table with the entity columns and "target",
        such as a plan of `attribution.targets`. In KPI units; met or missed by the adjusted rate.
    period : str, optional
        The period column; without it all rows are one period.
    current, baseline : value or list of values, optional
        The period scored, the last by default, and the one that `change` and `changes` compare
        it with, the one before by default.
    history : table, optional
        Earlier periods in another table with the same columns, for `over_time`.
    weight, where, mapping, on_invalid
        See `attribution.explain`.
    overdispersion : {"multiplicative", "additive", None}
        How funnel limits are widened where entities vary more than chance: by sqrt(phi)
        (winsorized), by a between-entity variance tau^2, or not at all.
    min_n : int
        Entities with fewer rows (trials) are "too few": they are neither judged nor ranked.
    conf_level : float
        Of the intervals of rates and ranks.

    Returns
    -------
    Scorecard

    Raises
    ------
    ColumnNotFoundError, ColumnTypeError, ExpressionError, OptionError, PeriodError
        The request does not fit the table; a target is out of range.
    DataContractError
        Rows break the data contract; an entity has two targets.
    IdentificationError
        No entity has another in its cells, so there is nothing to compare with.
    SourceError
        The data cannot be read.

    References
    ----------
    Breslow, N. E. and Day, N. E. (1987). Statistical Methods in Cancer Research II, ch. 2. IARC.
    Spiegelhalter, D. J. (2005). Funnel plots for comparing institutional performance. Statistics
    in Medicine 24:1185-1202; Handling over-dispersion of performance indicators. QSHC 14:347-351.

    Notes
    -----
    Each entity is compared with the others at ITS OWN mix. Two entities are compared with each
    other by `Scorecard.compare`, or many at one mix by `attribution.standardize`.

    Examples
    --------
    Manila has the hard work, and does it well:

    >>> import pandas as pd
    >>> reviews = pd.DataFrame({
    ...     "site": ["Austin"] * 2 + ["Dublin"] * 2 + ["Manila"] * 2,
    ...     "queue": ["easy", "hard"] * 3,
    ...     "reviewed": [800, 200, 500, 500, 200, 800],
    ...     "correct": [760, 150, 475, 385, 194, 648],
    ... })
    >>> card = scorecard(reviews, "correct / reviewed", entity="site", adjust_for="queue",
    ...                  target=0.87)
    >>> card.frame[["entity", "crude", "adjusted", "status"]].round(3)
       entity  crude  adjusted               status
    0  Austin  0.910     0.857  not distinguishable
    1  Dublin  0.860     0.855  not distinguishable
    2  Manila  0.842     0.911                  met
    """
    check_option("overdispersion", overdispersion, OVERDISPERSION)
    conf_level, metric = check_level("conf_level", conf_level), require_ratio(metric)
    if isinstance(min_n, bool) or not isinstance(min_n, int) or min_n < 1:
        raise OptionError(f"min_n: {min_n!r} is not a whole number of at least 1.")
    entities, cells = columns_of("entity", entity), columns_of("adjust_for", adjust_for)
    if not entities:
        raise OptionError("entity: an empty list. Name at least one column.")
    if both := [c for c in cells if c in entities]:
        raise OptionError(
            f"adjust_for: {both[0]!r} tells the entities; adjusting for it leaves no difference."
        )
    if period is None and not (current is None and baseline is None and history is None):
        given = {"current": current, "baseline": baseline, "history": history}
        name = next(k for k, v in given.items() if v is not None)
        raise OptionError(f"{name}: needs period=, the column that tells the periods apart.")
    clusters = [] if cluster is None else several(cluster)
    request: dict[str, Any] = {
        "period": period,
        # Rows of one moderator are one cluster: alone in it, they say nothing of their noise.
        "cluster": [c for c in clusters if [c] != list(entities)] or None,
        "weight": weight,
        "where": where,
        "mapping": mapping,
        "on_invalid": on_invalid,
    }
    cube = scan(data, metric, entities, cells, request)
    with naming("history"):
        past = None if history is None else scan(history, metric, entities, cells, request)
    if past is not None and (shared := [p for p in past.periods if p in cube.periods]):
        raise OptionError(
            f"history: {listing(shared)} {'is' if len(shared) == 1 else 'are'} in the data as well."
        )
    return card_of(
        cube,
        metric,
        entities,
        current=current,
        baseline=baseline,
        past=past,
        target=target,
        overdispersion=overdispersion,
        min_n=min_n,
        conf_level=conf_level,
    )


def scan(
    data: object,
    metric: Metric | str | Sequence[Metric | str],
    entities: tuple[str, ...],
    cells: tuple[str, ...],
    request: dict[str, Any],
) -> Cube:
    """Read what a card needs in one scan."""
    with warnings.catch_warnings():
        # Here a dimension of identifiers is what was asked for.
        for name in entities:
            warnings.filterwarnings(
                "ignore", f"by: {name!r} has .* levels", category=DataQualityWarning
            )
        try:
            return Cube.from_data(data, metric, [*entities, *cells], **request)
        except AttributionError as error:
            # The user named entities and cells, not `by`.
            if str(error).startswith("by: ") and error.args:
                first = str(error).split("'", 2)[1:2]
                parameter = "entity" if first and first[0] in entities else "adjust_for"
                error.args = (str(error).replace("by:", f"{parameter}:", 1), *error.args[1:])
            raise


def card_of(
    cube: Cube,
    metric: Metric,
    entities: tuple[str, ...],
    *,
    current: object,
    baseline: object,
    past: Cube | None,
    target: object,
    overdispersion: str | None,
    min_n: int,
    conf_level: float,
    parameter: str = "target",
) -> Scorecard:
    """Score one metric of a cube whose first dimensions tell the entities; see `scorecard`.

    Errors about the target call it by the name of `parameter`.
    """
    now = _chosen(cube, current, "current", cube.periods[-1:])
    first = min(cube.periods.index(p) for p in now)
    before = _chosen(cube, baseline, "baseline", cube.periods[max(first - 1, 0) : first])
    if shared := [p for p in before if p in now]:
        raise OptionError(f"baseline: {listing(shared)} is scored as current.")
    scored = cube.pool({" + ".join(now): now})
    D = scored.metric_sums(metric, "denominator")[0]
    if not (D > 0).any():
        raise OptionError(
            f"data: the denominator {metric.denominator or 'rows'!r} of {metric.label!r} is 0 in "
            f"{listing(now)}."
        )
    scores = score(
        scored,
        metric,
        len(entities),
        conf_level=conf_level,
        min_n=min_n,
        overdispersion=overdispersion,
    )
    if not (scores.found.volume > 0).any():
        names, cells = listing(scores.names, most=6), cube.dimensions[len(entities) :]
        same = f"none has another in the same cell of {listing(cells)}"
        alone = same if cells else "there is no other"
        raise IdentificationError(
            f"entity: {names}: {alone}, so there is nothing to compare with. Adjust for fewer "
            "columns, merge levels (mapping=...), or judge the KPI itself with "
            "at.targets.completion."
        )
    goals = None if target is None else read_goals(target, entities, metric, parameter)
    return Scorecard(
        cube=cube,
        metric=metric,
        entity=entities,
        current=tuple(now),
        baseline=tuple(before),
        conf_level=conf_level,
        min_n=min_n,
        overdispersion=overdispersion,
        goals=goals,
        scores=scores,
        past=past,
    )


def _chosen(cube: Cube, given: object, parameter: str, default: Sequence[str]) -> list[str]:
    if given is None:
        return list(default)
    found = [cube.periods[cube.period_index(v, parameter)] for v in several(given)]
    if not found:
        raise OptionError(f"{parameter}: an empty list of periods.")
    return list(dict.fromkeys(found))


def columns_of(parameter: str, given: object) -> tuple[str, ...]:
    """Return one column name, or several, as a tuple."""
    names = [] if given is None else several(given)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise ColumnTypeError(f"{parameter}: {name!r} is not text. Columns are named by text.")
        if name in names[:i]:
            raise OptionError(f"{parameter}: {name!r} is named twice.")
    return tuple(names)


def over_time(card: Scorecard) -> pd.DataFrame:
    """Return the card of every period, one below the other, with `period` in front.

    Each period is scored by itself: its own reference, limits and status.
    """
    import pandas as pd

    frames = []
    for cube in (card.past, card.cube):
        if cube is None:
            continue
        for period in cube.periods:
            try:
                scored = card_of(
                    cube,
                    card.metric,
                    card.entity,
                    current=period,
                    baseline=None,
                    past=None,
                    target=None,
                    overdispersion=card.overdispersion,
                    min_n=card.min_n,
                    conf_level=card.conf_level,
                )
            except (IdentificationError, OptionError) as error:
                message = f"over_time: {period} is left out. {error}"
                warnings.warn(message, DataQualityWarning, stacklevel=2)
                continue
            frames.append((period, replace(scored, goals=card.goals).frame))
    for period, frame in frames:
        frame.insert(0, "period", period)
    return pd.concat([frame for _, frame in frames], ignore_index=True)
