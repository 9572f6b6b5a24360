"""The scorecards of a review: sites or moderators at the work each had, as pages, slides, sheets.

Each is one scan of its KPI's source over the entities and what they are adjusted for; its failure,
too, stays its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution.cards.asking import card_of
from attribution.config import Kpi, ReviewConfig, Scorecard, resolved
from attribution.errors import DataQualityWarning
from attribution.goals import require_ratio
from attribution.monthly.comparisons import until
from attribution.monthly.runs import Failure, privacy_of
from attribution.monthly.scans import Scan, cube_of, metric_of
from attribution.reports.sections import sections_of
from attribution.reports.sections.section import Section

__all__ = ["CardReview", "card_scans", "review_cards"]


@dataclass(frozen=True)
class CardReview:
    """One scorecard of a review, or why there is none.

    Attributes
    ----------
    name : str
    kpi : str
    section : Section or None
        What files may show of it.
    failure : Failure or None
    """

    name: str
    kpi: str
    section: Section | None = None
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
            section = _section(card, kpi, scan, config, period, cache)
            found.append(CardReview(name, kpi.name, section))
        except Exception as error:
            found.append(CardReview(name, kpi.name, failure=Failure.of(error, config)))
        note(f"scorecard {name}, {period}: {found[-1].message}")
    return tuple(found)


def _section(
    asked: Scorecard,
    kpi: Kpi,
    scan: Scan,
    config: ReviewConfig,
    period: str,
    cache: Path,
) -> Section:
    metric, target = require_ratio(metric_of(kpi, config.columns)), asked.target
    with warnings.catch_warnings():
        # Here a dimension of identifiers is what was asked for.
        warnings.filterwarnings("ignore", r"by: .* has .* levels", category=DataQualityWarning)
        cube, _ = cube_of(scan, config, cache)
    card = card_of(
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
    return sections_of([card], privacy_of(config, by=scan.by))[0]
