"""Scorecard: the result of `scorecard`, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cards.findings import findings
from attribution.cards.parts import as_periods
from attribution.cards.scoring import Scores
from attribution.cards.shown import ShownCard
from attribution.cards.table import CHANGE_COLUMNS, card_table, change_row, without_denominator
from attribution.cards.words import display_rows, message, notes, summary, summary_html
from attribution.cube import Cube
from attribution.errors import OptionError, listing, nearest
from attribution.filed import Filed
from attribution.formatting import Format
from attribution.goals import Labels
from attribution.labels import label_of, plural
from attribution.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from attribution.plots.cards import CardPlots
    from attribution.privacy import Privacy
    from attribution.result import Attribution

__all__ = ["Scorecard"]

_MOST_CHANGES = 500


@dataclass(frozen=True, eq=False)
class Scorecard(Filed):
    """Entities compared at the work each of them had; made by `attribution.scorecard`.

    Attributes
    ----------
    cube : Cube
        The sums of all periods.
    metric : Metric
    entity : tuple of str
        The columns that tell the entities.
    current, baseline : tuple of str
        The periods scored and compared with; baseline is empty where there is none.
    conf_level : float
    min_n : int
    overdispersion : str or None
    goals : float, dict or None
        The targets: one for all, or levels of an entity -> target.
    scores : Scores
        The numbers, as arrays.
    past : Cube or None
        Earlier periods from another table.
    """

    cube: Cube
    metric: Metric
    entity: tuple[str, ...]
    current: tuple[str, ...]
    baseline: tuple[str, ...]
    conf_level: float
    min_n: int
    overdispersion: str | None
    goals: float | dict[Labels, float] | None
    scores: Scores
    past: Cube | None = None

    @property
    def adjust_for(self) -> tuple[str, ...]:
        """The columns whose crossing makes the cells."""
        return self.cube.dimensions[len(self.entity) :]

    @property
    def overall(self) -> float:
        """The KPI of all entities together."""
        return self.scores.overall

    @property
    def phi(self) -> float:
        """By how much entities vary more than their noise; at least 1."""
        return self.scores.phi

    @property
    def tau(self) -> float:
        """The standard deviation of the entities' true differences, KPI units."""
        return float(np.sqrt(self.scores.tau2))

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.metric.better == "higher"

    @cached_property
    def empty(self) -> list[Labels]:
        """Entities of the data without a KPI in the period scored: their denominator is 0.

        Those with one in another period only count where that is the baseline: who left long ago
        is not missed.
        """
        return without_denominator(self)

    @property
    def absent(self) -> list[Labels]:
        """All entities with "no data": `empty`, then those that have a target and no row."""
        there = {*self.scores.labels, *self.empty}
        wanted = self.goals if isinstance(self.goals, dict) else {}
        return [*self.empty, *(x for x in wanted if x not in there)]

    @cached_property
    def table(self) -> pd.DataFrame:
        """`frame`, made once; not to be changed."""
        return card_table(self)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per entity.

        Columns: entity, n (rows or trials), observed and expected (sums of the numerator, over
        the cells in which others work too), ratio (O / E), adjusted, std_error, conf_low,
        conf_high, limit_low_95, limit_high_95, limit_low_998, limit_high_998 (funnel limits around
        R_ref for an entity of this size; bounds of a rate lie in [0, 1], or beyond only as far as
        an adjusted rate itself does), shrunk (drawn in by its own noise), rank_low, rank_high
        (1 is best; all rank intervals hold together), target, completion (A / T; T / A where lower
        is better), status, crude (the KPI as it is), reference (R_ref), compared (the part of the
        volume in cells with others), z (before widening), signal (which limits are crossed, and to
        which side).

        Statuses: met, missed, not distinguishable, too few (whose ranks are null); "no target",
        "no data" (a denominator of 0, or a target whose entity has no row) and "no reference" (no
        other in any of its cells), whose numbers are null.
        """
        return self.table.copy()

    # -- one entity, two entities, all over time --------------------------------------------------

    def change(self, entity: object, **options: Any) -> Attribution:
        """Explain an entity's change since the baseline period: its mix and its own performance.

        Parameters
        ----------
        entity : object
            Its label, or a tuple of levels where several columns tell the entities.
        **options
            Those of `Cube.explain`.

        Returns
        -------
        Attribution
            Over the columns of `adjust_for`; "rate" is its own performance.

        Raises
        ------
        OptionError
            No such entity, or no earlier period.
        """
        if not self.baseline:
            raise OptionError(
                "baseline: there is no period before the one that is scored. Give period= and data "
                "of two periods."
            )
        part = self._part(self.labels_of(entity))
        periods = {"baseline": list(self.baseline), "current": list(self.current)}
        return part.explain(self.metric, **periods, **options)

    def changes(self, entities: Sequence[object] | None = None) -> pd.DataFrame:
        """Return every entity's change since the baseline, split into mix and own performance.

        Parameters
        ----------
        entities : sequence, optional
            All by default, if they are at most 500.

        Returns
        -------
        DataFrame
            `entity, baseline, current, change` and `mix, performance, turnover` (cells that it
            left or took up), which add up to the change, each with `_std_error, _conf_low,
            _conf_high`; `verdict`, and `note` where an entity has no change to explain.
        """
        import pandas as pd

        chosen = (
            list(self.scores.labels) if entities is None else [self.labels_of(e) for e in entities]
        )
        if len(chosen) > _MOST_CHANGES:
            raise OptionError(
                f"entities: {len(chosen):,} are too many for one table; name at most "
                f"{_MOST_CHANGES} of them."
            )
        rows = [change_row(self, labels) for labels in chosen]
        return pd.DataFrame(rows, columns=CHANGE_COLUMNS)

    def compare(self, first: object, second: object, **options: Any) -> Attribution:
        """Compare two entities with each other at equal mix, as if first became second.

        Parameters
        ----------
        first, second : object
            Two entities of a card whose entities one column tells.
        **options
            Those of `Cube.explain`.

        Returns
        -------
        Attribution
            Its baseline is the first entity; "rate" is how much better the second is at equal
            mix, and "mix" what its other work explains.
        """
        pair = [self.labels_of(first), self.labels_of(second)]
        if pair[0] == pair[1]:
            raise OptionError(f"second: {second!r} is the first entity too.")
        scored = self.cube.pool({"scored": list(self.current)})
        both = as_periods(scored, len(self.entity), pair)
        baseline, current = both.periods
        return both.explain(self.metric, baseline=baseline, current=current, **options)

    def over_time(self) -> pd.DataFrame:
        """Return the card of every period, one below the other, with `period` in front.

        Each period is scored by itself: its own reference, limits and status.
        """
        from attribution.cards.asking import over_time

        return over_time(self)

    def labels_of(self, entity: object) -> Labels:
        """Return the levels that tell an entity, or say which one was meant.

        Parameters
        ----------
        entity : object
            Its label, joined or as a tuple.

        Returns
        -------
        tuple of str
        """
        wanted = tuple(map(label_of, entity)) if isinstance(entity, tuple) else (label_of(entity),)
        every = self.scores.labels
        if wanted in every:
            return wanted
        joined = {" × ".join(x): x for x in every}
        text = " × ".join(wanted)
        if text in joined:
            return joined[text]
        raise OptionError(
            f"entity: no {text!r} in the period scored.{nearest(text, joined)} There: "
            f"{listing(joined, most=20)}."
        )

    def _part(self, labels: Labels) -> Cube:
        chosen = dict(zip(self.entity, labels, strict=True))
        return self.cube.select(**chosen).rollup(self.adjust_for)

    # -- checks and words -------------------------------------------------------------------------

    def check(self) -> pd.DataFrame:
        """Return the residual and every data-quality finding: `code, severity, message, facts`."""
        import pandas as pd

        return pd.DataFrame(list(findings(self)), columns=["code", "severity", "message", "facts"])

    @property
    def noun(self) -> str:
        """What one entity is called: "site", "moderator" for moderator_id."""
        return " × ".join(plural(x).removesuffix("s") for x in self.entity)

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        return Format.fitting(self.metric.display_unit, float(np.ptp(self.scores.found.difference)))

    @property
    def message(self) -> str:
        """The headline: who stands out, or that nobody does; people are counted, not named."""
        return message(ShownCard(self))

    def summary(self, most: int = 20, *, privacy: Privacy | None = None) -> str:
        """Return headline, table and findings as text.

        Parameters
        ----------
        most : int
            Entities shown, those first who are furthest from their expectation in their noise.
        privacy : Privacy, optional
            Who may be seen; entities that are people are counted only by default.

        Returns
        -------
        str
        """
        return summary(ShownCard(self, privacy), most)

    def display_rows(
        self, most: int = 20, *, privacy: Privacy | None = None
    ) -> list[tuple[str, ...]]:
        """Return the table as it is shown, a header first; what is unknown is "n/a".

        Parameters
        ----------
        most : int
        privacy : Privacy, optional
            Who may be seen; entities that are people are counted only by default.

        Returns
        -------
        list of tuple of str
        """
        return display_rows(ShownCard(self, privacy), most)

    def notes(self) -> list[str]:
        """Return the small print: what is compared with what, n, noise, period."""
        return notes(self)

    @property
    def plot(self) -> CardPlots:
        """The pictures: ``card.plot.funnel()``, ``.caterpillar()``, ``.status()``.

        Entities that are people are hidden; ``card.plot(privacy=...)`` says who may be seen.
        """
        from attribution.plots.cards import CardPlots

        return CardPlots(self)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: version, options, source, rows, SHA-256 of the sums."""
        from attribution import __version__

        return {
            "version": __version__,
            "metric": self.metric.label,
            "numerator": self.metric.numerator,
            "denominator": self.metric.denominator or "rows",
            "entity": list(self.entity),
            "adjust_for": list(self.adjust_for),
            "current": list(self.current),
            "baseline": list(self.baseline),
            "overdispersion": self.overdispersion,
            "phi": self.phi,
            "tau": self.tau,
            "min_n": self.min_n,
            "conf_level": self.conf_level,
            **self.cube.origin,
            "sha256": self.cube.digest(),
        }

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Scorecard {self.message}>"

    def _repr_html_(self) -> str:
        return summary_html(ShownCard(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scorecard):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key()[:-1])

    def _key(self) -> tuple[Any, ...]:
        return (
            self.metric,
            self.entity,
            self.current,
            self.baseline,
            self.conf_level,
            self.min_n,
            self.overdispersion,
            self.cube.digest(),
            self.goals,
        )
