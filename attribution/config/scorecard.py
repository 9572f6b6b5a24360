"""The table of a scorecard: whom it compares, at which work, with which target."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attribution.config.keys import Place, Section, Text
from attribution.config.located import LocatedError

__all__ = ["Scorecard"]


class Scorecard(Section):
    """Sites, vendors or moderators compared at the work each had; see `attribution.scorecard`."""

    kpi: Text = Field(description="The KPI of this file: its source, conditions and clusters.")
    entity: Text | list[Text] = Field(description="The columns that tell the entities.")
    adjust_for: list[Text] = Field(
        default=[], description="The columns whose crossing makes comparable work."
    )
    target: float | dict[str, float] | Place | None = Field(
        default=None,
        description="For all, per entity, or a table with the entity columns and `target`.",
    )
    min_n: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Entities of fewer rows are not judged."
    )
    overdispersion: Literal["multiplicative", "additive", "none"] = "multiplicative"

    @property
    def entities(self) -> list[str]:
        """The columns that tell the entities."""
        return [self.entity] if isinstance(self.entity, str) else list(self.entity)

    @property
    def columns(self) -> list[str]:
        """All columns that it groups by."""
        return [*self.entities, *self.adjust_for]

    def asked_for(self, message: str) -> str:
        """Return an error about the columns that are grouped by, under the key that has them.

        Examples
        --------
        >>> card = Scorecard(kpi="Accuracy", entity="site", adjust_for=["queue", "tenur"])
        >>> card.asked_for("by: no column 'tenur'.")
        "adjust_for[1]: no column 'tenur'."
        """
        key, _, said = message.partition(": ")
        if key != "by":
            return message
        listed = "entity" if isinstance(self.entity, str) else "entity[{}]"
        places = {c: listed.format(i) for i, c in enumerate(self.entities)}
        places |= {c: f"adjust_for[{i}]" for i, c in enumerate(self.adjust_for)}
        # What is wrong is named before what is allowed.
        named = {said.find(repr(c)): place for c, place in places.items() if repr(c) in said}
        return f"{named[min(named)] if named else 'entity'}: {said}"

    @model_validator(mode="after")
    def _apart(self) -> Scorecard:
        if not self.entities:
            raise LocatedError(("entity",), "an empty list; name at least one column.")
        if both := [c for c in self.adjust_for if c in self.entities]:
            raise LocatedError(
                ("adjust_for",),
                f"{both[0]!r} tells the entities; adjusting for it leaves no difference.",
            )
        return self
