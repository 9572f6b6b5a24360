"""What a period is compared with: "previous", "year", "plan", "rolling 3"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from attribution.errors import listing, nearest

__all__ = ["Comparison", "check_comparisons"]

_COMPARISON = re.compile(r"previous|year|plan|rolling ([2-9]|[1-9][0-9])")


class Comparison(BaseModel):
    """What a period is compared with."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    kind: Literal["previous", "year", "plan", "rolling"]
    periods: int = 1

    @classmethod
    def of(cls, text: str) -> Comparison:
        """Read ``"rolling 3"`` and its kin."""
        kind, _, number = text.partition(" ")
        return cls(kind=kind, periods=int(number or 1))  # pyright: ignore[reportArgumentType]

    @property
    def words(self) -> str:
        """How a reader calls it."""
        named = {
            "previous": "previous period",
            "year": "same period last year",
            "plan": "plan",
            "rolling": f"mean of the {self.periods} periods before",
        }
        return named[self.kind]

    @property
    def slug(self) -> str:
        """How files call it: "rolling-3"."""
        return f"rolling-{self.periods}" if self.kind == "rolling" else self.kind


def check_comparisons(given: Sequence[str]) -> None:
    """Refuse what is no comparison, and one that is named twice.

    Parameters
    ----------
    given : sequence of str

    Raises
    ------
    ValueError
        The message names what is allowed, and the nearest.
    """
    allowed = ["previous", "year", "plan", "rolling 3"]
    if twice := [text for i, text in enumerate(given) if text in given[:i]]:
        raise ValueError(f"{twice[0]!r} is named twice")
    for text in given:
        if not _COMPARISON.fullmatch(text):
            raise ValueError(
                f"{text!r} is not one of {listing(allowed)} (any number from 2 to 99)."
                f"{nearest(text, allowed)}"
            )
