"""What keys of all tables have in common: texts, conditions, places without secrets."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from attribution.config.environment import holds_secret
from attribution.errors import ColumnNotFoundError, ExpressionError
from attribution.expressions import parse

__all__ = ["Condition", "Place", "Positive", "Section", "Text"]

Text = Annotated[str, Field(min_length=1)]


def _no_secret(text: str) -> str:
    if holds_secret(text):
        raise ValueError("a password is written here; put it into the environment, as ${NAME}")
    return text


def _condition(text: str) -> str:
    """Refuse what compares and is no expression; columns are known when the source is read."""
    try:
        if re.search("[=<>]", text):
            parse(text, (), "where")
    except ColumnNotFoundError:
        return text
    except ExpressionError as error:
        raise ValueError(str(error).removeprefix("where: ")) from None
    return text


Condition = Annotated[Text, AfterValidator(_condition)]
Place = Annotated[Text, AfterValidator(_no_secret)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the configuration: unknown keys are refused, no number is infinite."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False
    )
