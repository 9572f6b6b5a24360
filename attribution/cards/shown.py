"""What may be shown of a scorecard: the rows that its text, pictures and files quote.

People are counted unless they are asked for, by name or by pseudonym; small entities are suppressed
so that the total does not give them away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cards.findings import findings
from attribution.errors import OptionError
from attribution.labels import plural
from attribution.privacy.entities import Protected, protected
from attribution.privacy.rules import Privacy, without_names, without_people

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cards.card import Scorecard
    from attribution.cards.composite import CompositeScorecard

__all__ = ["ShownCard", "ShownComposite"]


@dataclass(frozen=True)
class ShownCard:
    """A card and what may be shown of it.

    Attributes
    ----------
    card : Scorecard
    privacy : Privacy or None
        None hides people and suppresses nothing.
    """

    card: Scorecard
    privacy: Privacy | None = None

    @cached_property
    def kept(self) -> Protected:
        """Entities of the period scored, then those without data."""
        card = self.card
        labels = [*card.scores.labels, *card.absent]
        now = np.concatenate([card.scores.n, np.zeros(len(card.absent))])
        counts = [now]
        if card.baseline:
            before = self._rows_of(card.baseline)
            counts.append(np.array([before.get(x, 0.0) for x in labels]))
        return protected(self.privacy, card.entity, labels, np.stack(counts))

    def _rows_of(self, periods: tuple[str, ...]) -> dict[tuple[str, ...], float]:
        """Rows of each entity in some periods."""
        cube, card = self.card.cube, self.card
        at = [cube.periods.index(p) for p in periods]
        n = cube.metric_sums(card.metric, "count")[at].sum(axis=0)
        depth = len(card.entity)
        codes, which = np.unique(cube.codes[:, :depth], axis=0, return_inverse=True)
        sums = np.bincount(which.ravel(), n, len(codes))
        labels = [
            tuple(levels[c] for levels, c in zip(cube.levels, row, strict=False)) for row in codes
        ]
        return dict(zip(labels, sums.tolist(), strict=True))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows that may be shown, under the names that may be shown."""
        frame = self.card.table.assign(entity=list(self.kept.names))
        if len(self.card.entity) > 1:
            frame = frame.drop(columns=list(self.card.entity))
        return frame[~self.kept.mask]

    @cached_property
    def counted(self) -> pd.DataFrame:
        """The rows that are counted: all where nobody is named, else those that are shown."""
        return self.card.table if self.kept.hidden else self.frame

    def over_time(self) -> pd.DataFrame:
        """Return `Scorecard.over_time` of entities that may be shown, and `suppressed`.

        Each period is protected by itself; rows that are suppressed in theirs have no numbers.
        """
        import pandas as pd

        card, frames = self.card, []
        every = zip([*card.scores.labels, *card.absent], self.kept.mask, strict=True)
        gone = {labels for labels, mask in every if mask}
        keys = list(card.entity) if len(card.entity) > 1 else ["entity"]
        for _, part in card.over_time().groupby("period", sort=False):
            labels = [tuple(x) for x in part[keys].to_numpy()]
            own = protected(self.privacy, card.entity, labels, part["n"].to_numpy(float))
            part = part.assign(entity=list(own.names), suppressed=own.mask)
            numbers = [c for c in part.columns if part[c].dtype.kind == "f"]
            part.loc[own.mask, numbers] = np.nan
            part.loc[own.mask, ["signal", "status"]] = "n/a"
            frames.append(part[[x not in gone for x in labels]])
        return pd.concat(frames, ignore_index=True)

    @property
    def nouns(self) -> str:
        """What the entities are called together."""
        return plural(self.card.noun)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The findings; those that name what is not shown say so instead."""
        return without_names(findings(self.card), self.kept.secret)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from, and how they were protected."""
        privacy = self.privacy or Privacy()
        known = without_people(self.card.provenance, privacy)
        if privacy.min_n:
            known["min_n of privacy"] = privacy.min_n
        if self.kept.hidden:
            known["not shown"] = list(self.card.entity)
        if self.kept.hidden or self.kept.renamed or self.kept.mask.any():
            # What was renamed or merged is the very secret; and by a digest of the sums a few
            # thousand guesses at two unknown groups of known sum can be told right from wrong.
            secret = ("mapping", "part", "sha256")
            known = {k: v for k, v in known.items() if k not in secret}
        return known

    @property
    def said(self) -> list[str]:
        """Sentences for a reader who can ask again: what is not shown, and how to see it."""
        return self.kept.said

    def check_named(self) -> None:
        """Raise where entities are people whom nobody asked for.

        Raises
        ------
        OptionError
        """
        if self.kept.hidden:
            raise OptionError(f"privacy: {self.kept.said[0]}")


@dataclass(frozen=True)
class ShownComposite:
    """A composite scorecard and what may be shown of it."""

    card: CompositeScorecard
    privacy: Privacy | None = None

    @cached_property
    def whole(self) -> pd.DataFrame:
        """All rows, failed gates first."""
        return self.card.by_gate()

    @cached_property
    def kept(self) -> Protected:
        """Who of `whole` may be shown."""
        card, kpis = self.card, self.card.kpis
        labels: dict[str, tuple[str, ...]] = {}
        for one in card.cards.values():
            labels |= {" × ".join(x): x for x in (*one.scores.labels, *one.absent)}
        entities = self.whole["entity"]
        counts = [
            kpis[kpis["kpi"] == name].set_index("entity")["n"].reindex(entities).to_numpy()
            for name in card.cards
        ]
        return protected(self.privacy, card.entity, [labels[x] for x in entities], np.stack(counts))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows that may be shown: `entity` as it may be called, `true` as it is."""
        frame = self.whole.assign(true=self.whole["entity"], entity=list(self.kept.names))
        return frame[~self.kept.mask]

    @property
    def counted(self) -> pd.DataFrame:
        """The rows that are counted: all where nobody is named, else those that are shown."""
        return self.whole if self.kept.hidden else self.frame

    @property
    def message(self) -> str:
        """The headline, from rows that may be spoken of."""
        return self.card.message_of(self.counted, named=not self.kept.hidden)

    @property
    def said(self) -> list[str]:
        """Sentences for a reader who can ask again: what is not shown, and how to see it."""
        return self.kept.said

    @property
    def provenance(self) -> dict[str, Any]:
        """That of each KPI's card; none of them where somebody is not shown as they are."""
        kept, cards = self.kept, self.card.cards
        if kept.hidden or kept.renamed or kept.mask.any():
            return {"kpis": list(cards), "entity": list(self.card.entity)}
        privacy = self.privacy or Privacy()
        return {name: without_people(one.provenance, privacy) for name, one in cards.items()}
