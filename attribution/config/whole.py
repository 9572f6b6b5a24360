"""The whole file: its tables, and what must hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from attribution.config.drills import check_drills
from attribution.config.keys import Section, Text
from attribution.config.kpi import Kpi
from attribution.config.located import LocatedError, about_a_key
from attribution.config.scorecard import Scorecard
from attribution.config.sections import Dimension, Output, Privacy, Quality, Review, Source, Theme
from attribution.errors import AttributionError, listing, nearest
from attribution.kpis import check_columns

__all__ = ["ReviewConfig"]


class ReviewConfig(Section):
    """A whole review; see ``attribution review --init`` for a commented one."""

    review: Review = Review()
    sources: dict[str, Source] = Field(min_length=1)
    columns: dict[str, Text] = Field(
        default={},
        description="For KPIs of the dictionary: its column -> the column or expression here.",
    )
    dimensions: dict[str, Dimension] = Field(default={})
    kpis: list[Kpi] = Field(min_length=1)
    scorecards: dict[str, Scorecard] = Field(default={})
    output: Output = Output()
    theme: Theme = Theme()
    privacy: Privacy = Privacy()
    quality: Quality = Quality()
    actions: Text | None = Field(
        default=None, description="A CSV of cause, owner, priority, due, status."
    )

    _file: str = PrivateAttr("")
    _lines: Mapping[tuple[Any, ...], int] = PrivateAttr(default_factory=dict)

    def read_from(self, file: str, lines: Mapping[tuple[Any, ...], int]) -> ReviewConfig:
        """Return the configuration with the places of its keys, for what is found wrong later.

        Parameters
        ----------
        file : str
            Its name.
        lines : mapping
            See `attribution.config.positions.lines_of`.

        Returns
        -------
        ReviewConfig
        """
        self._file, self._lines = file, lines
        return self

    def __eq__(self, other: object) -> bool:
        # From which file it was read is no part of what it says.
        return isinstance(other, ReviewConfig) and self.model_dump() == other.model_dump()

    def located(self, message: str, kpi: Kpi | None = None, card: str | None = None) -> str:
        """Return the message of an error with file, line and key; see `about_a_key`.

        Parameters
        ----------
        message : str
        kpi : Kpi, optional
            Whose keys, and those of its source, it may be about.
        card : str, optional
            The name of the scorecard whose keys it may be about.

        Returns
        -------
        str
        """
        tables: list[tuple[Any, ...]] = []
        if card is not None:
            message = self.scorecards[card].asked_for(message)
            tables.append(("scorecards", card))
        if kpi is not None:
            tables += [("kpis", self.kpis.index(kpi)), ("sources", self.source_of(kpi))]
        if not tables:  # nothing has been read yet
            tables = [("privacy",), ("output",)]
        return about_a_key(message, self._file, self._lines, *tables)

    @model_validator(mode="after")
    def _consistent(self) -> ReviewConfig:
        names = [kpi.name for kpi in self.kpis]
        for i, kpi in enumerate(self.kpis):
            if kpi.name in names[:i]:
                raise LocatedError(
                    ("kpis", i, "name"), f"{kpi.name!r} is the name of an earlier KPI."
                )
            if kpi.source is None and len(self.sources) > 1:
                known = listing(self.sources)
                raise LocatedError(("kpis", i), f"source: there are several; name one of {known}.")
            if kpi.source is not None and kpi.source not in self.sources:
                hint = nearest(kpi.source, self.sources)
                known = listing(self.sources)
                raise LocatedError(
                    ("kpis", i, "source"), f"no source {kpi.source!r}.{hint} There: {known}."
                )
        for name, card in self.scorecards.items():
            if card.kpi not in names:
                hint = nearest(card.kpi, names)
                raise LocatedError(
                    ("scorecards", name, "kpi"),
                    f"no KPI {card.kpi!r}.{hint} There: {listing(names)}.",
                )
        for column, own in self.columns.items():
            try:
                check_columns({column: own})
            except AttributionError as error:
                said = str(error).removeprefix("columns: ")
                raise LocatedError(("columns", column), said) from None
        used = dict.fromkeys(name for kpi in self.kpis for name in kpi.by)
        used |= dict.fromkeys(c for card in self.scorecards.values() for c in card.columns)
        self._check_dimensions(list(used))
        above = {n: d.within for n, d in self.dimensions.items() if d.within is not None}
        for i, kpi in enumerate(self.kpis):
            try:
                check_drills(kpi.drill, kpi.by, self.labels, above)
            except LocatedError as error:
                raise LocatedError(("kpis", i, *error.where), str(error)) from None
        return self

    def _check_dimensions(self, used: list[str]) -> None:
        for column in self.privacy.columns or ():
            if column not in used:
                said = f"no KPI has {column!r} in by.{nearest(column, used)}"
                raise LocatedError(("privacy", "columns"), said)
        for name, dimension in self.dimensions.items():
            if name not in used:
                raise LocatedError(
                    ("dimensions", name), f"no KPI has it in by.{nearest(name, used)}"
                )
            if dimension.within is not None and dimension.within not in used:
                hint = nearest(dimension.within, used)
                raise LocatedError(
                    ("dimensions", name, "within"), f"no KPI has {dimension.within!r} in by.{hint}"
                )
            shown = [self.labels.get(other, other) for other in used if other != name]
            if dimension.label in shown:
                raise LocatedError(
                    ("dimensions", name, "label"), f"{dimension.label!r} is another dimension."
                )

    @property
    def labels(self) -> dict[str, str]:
        """What dimensions are called, by their columns."""
        return {name: d.label for name, d in self.dimensions.items() if d.label is not None}

    def kpi_of(self, card: Scorecard) -> Kpi:
        """Return the KPI of a scorecard."""
        return next(kpi for kpi in self.kpis if kpi.name == card.kpi)

    def source_of(self, kpi: Kpi) -> str:
        """Return the name of the source that a KPI reads."""
        return kpi.source or next(iter(self.sources))
