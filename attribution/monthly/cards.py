"""The scorecards of a review: sites or moderators at the work each had, as pages, slides, sheets.

Each is one scan of its KPI's source over the entities and what they are adjusted for; its failure,
too, stays its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.cards.asking import card_of
from attribution.cards.card import Scorecard as Card
from attribution.cards.shown import ShownCard
from attribution.config import Kpi, ReviewConfig, Scorecard, resolved
from attribution.errors import DataQualityWarning
from attribution.goals import require_ratio
from attribution.monthly.answers import Failure
from attribution.monthly.comparisons import until
from attribution.monthly.runs import privacy_of
from attribution.monthly.scans import Scan, cube_of, metric_of
from attribution.reports.sections import sections_of
from attribution.reports.sections.section import Section
from attribution.reports.tidy import rounded

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CARD_TABLES", "CardReview", "card_scans", "review_cards"]

# Tables of the history.
CARD_TABLES = ("scorecards", "scorecard_signals")


@dataclass(frozen=True)
class CardReview:
    """One scorecard of a review, or why there is none.

    Attributes
    ----------
    name : str
    kpi : str
    section : Section or None
        What files may show of it.
    tables : dict of str to DataFrame
        What dashboards may read of it: "scorecards" and "scorecard_signals" of the history.
    failure : Failure or None
    """

    name: str
    kpi: str
    section: Section | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def message(self) -> str:
        """What it says, in one sentence."""
        if self.section is not None:
            return f"{self.section.message.rstrip('.')}."
        return f"no answer. {self.failure.message}" if self.failure is not None else "no answer."

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: the rows that may be shown."""
        rows = [] if self.section is None else [t for t in self.section.tables if t.rows][:1]
        return {
            "name": self.name,
            "kpi": self.kpi,
            "message": self.message,
            "failure": self.failure and self.failure.message,
            "tiles": [] if self.section is None else [list(x) for x in self.section.tiles],
            "rows": [_plain(row) for table in rows for row in table.rows],
        }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    from attribution.plain import plain

    return {key: plain(value) for key, value in row.items() if not key.startswith("_")}


def card_scans(config: ReviewConfig, only: tuple[str, ...] = ()) -> dict[str, Scan]:
    """Return the scan of each scorecard.

    Parameters
    ----------
    config : ReviewConfig
    only : tuple of str
        Names of KPIs; the scorecards of others are left out.

    Returns
    -------
    dict of str to Scan
    """
    found = {}
    for name, card in config.scorecards.items():
        kpi = config.kpi_of(card)
        if only and kpi.name not in only:
            continue
        source = config.sources[config.source_of(kpi)]
        conditions = [f"({text})" for text in (source.where, kpi.where) if text]
        cluster = source.cluster if kpi.cluster is None else kpi.cluster
        names = () if cluster is None else (cluster,) if isinstance(cluster, str) else cluster
        # Rows of one moderator are one cluster: alone in it, they say nothing of their noise.
        names = tuple(c for c in names if [c] != card.entities)
        found[name] = Scan(
            f"scorecard {name}",
            source,
            (kpi,),
            (*card.entities, *card.adjust_for),
            " and ".join(conditions) or None,
            source.weight if kpi.weight is None else kpi.weight or None,
            names,
            None,
            config.columns,
            name,
        )
    return found


def review_cards(
    config: ReviewConfig,
    period: str,
    cache: Path,
    only: tuple[str, ...],
    note: Callable[[str], None],
) -> tuple[CardReview, ...]:
    """Score the entities of every scorecard in one period; errors become failures.

    Parameters
    ----------
    config : ReviewConfig
    period : str
    cache : Path
        Where cubes are kept.
    only : tuple of str
        Names of KPIs, as in `card_scans`.
    note : callable
        Gets a line of text per scorecard.

    Returns
    -------
    tuple of CardReview
    """
    found = []
    for name, scan in card_scans(config, only).items():
        card, kpi = config.scorecards[name], scan.kpis[0]
        try:
            scored = _scored(card, kpi, scan, config, period, cache)
            privacy = privacy_of(config, by=scan.by)
            section = sections_of([scored], privacy)[0]
            tables = _tables(ShownCard(scored, privacy), name, kpi.name, period)
            found.append(CardReview(name, kpi.name, section, tables))
        except Exception as error:
            failure = Failure.of(error, config, kpi, name)
            found.append(CardReview(name, kpi.name, failure=failure))
        note(f"scorecard {name}, {period}: {found[-1].message}")
    return tuple(found)


def _scored(
    asked: Scorecard,
    kpi: Kpi,
    scan: Scan,
    config: ReviewConfig,
    period: str,
    cache: Path,
) -> Card:
    metric, target = require_ratio(metric_of(kpi, config.columns)), asked.target
    with warnings.catch_warnings():
        # Here a dimension of identifiers is what was asked for.
        warnings.filterwarnings("ignore", r"by: .* has .* levels", category=DataQualityWarning)
        cube, _ = cube_of(scan, config, cache)
    return card_of(
        until(cube, period),
        metric,
        tuple(asked.entities),
        current=None,
        baseline=None,
        past=None,
        target=resolved(target, "target") if isinstance(target, str) else target,
        overdispersion=None if asked.overdispersion == "none" else asked.overdispersion,
        min_n=asked.min_n,
        conf_level=config.review.conf_level,
    )


def _tables(shown: ShownCard, name: str, kpi: str, period: str) -> dict[str, pd.DataFrame]:
    """The rows that may be shown, and how many entities have each signal."""
    import pandas as pd

    of = {"scorecard": name, "kpi": kpi, "period": period}
    entities = " × ".join(shown.card.entity)
    rows = pd.DataFrame({**of, "entities": entities}, index=shown.frame.index)
    rows = pd.concat([rows, shown.frame], axis=1)
    # Who is suppressed must not be the difference of a count of all and the rows that are shown.
    counted = shown.counted["signal"].value_counts().sort_index()
    signals = pd.DataFrame({**of, "signal": counted.index, "entities": counted.to_numpy()})
    return dict(zip(CARD_TABLES, (rounded(rows), signals), strict=True))
