"""The smaller tables: where rows come from, what is written, its look, and who may be seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from attribution.config.environment import VARIABLE
from attribution.config.keys import Condition, Place, Positive, Section, Text
from attribution.config.located import LocatedError
from attribution.errors import OptionError, listing
from attribution.plots import theme
from attribution.source import DUCKDB_ITSELF

__all__ = ["Dimension", "Output", "Privacy", "Quality", "Review", "Source", "Theme"]


class Review(Section):
    """What the review is called, and where its folders and history go."""

    title: Text = "KPI review"
    folder: Text = Field(
        default="review", description="Output folders by period, history and cache."
    )
    conf_level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 0


class Source(Section):
    """Where rows come from, and what holds for all KPIs that read them."""

    data: Place | None = Field(default=None, description="A path, a glob, or one SELECT statement.")
    database: Place | None = Field(default=None, description="A DuckDB file; `query` reads it.")
    warehouse: Place | None = Field(
        default=None, description="An address for Ibis; `table` or `query` reads it."
    )
    table: Text | None = Field(
        default=None, description="In the warehouse; with a schema: qa.reviews."
    )
    query: Place | None = Field(
        default=None, description="One SELECT statement for `database` or `warehouse`."
    )
    period: Text = Field(description='A column, or "month of decided_at".')
    where: Condition | None = Field(default=None, description="A condition on rows.")
    cluster: Text | list[Text] | None = Field(
        default=None, description="Units independent of each other."
    )
    weight: Text | None = Field(default=None, description="A column, or 1 / inclusion_prob.")
    key: Text | list[Text] | None = Field(default=None, description="Columns that tell rows apart.")
    on_invalid: Literal["raise", "drop"] = "raise"
    cache: bool | None = Field(
        default=None,
        description="Default: files are cached until they change, databases are not; true keeps "
        "what a database answered until the end of the day (UTC).",
    )
    timeout: Positive | None = Field(
        default=None, description="Seconds after which a statement is stopped."
    )

    @field_validator("warehouse")
    @classmethod
    def _of_ibis(cls, given: str | None) -> str | None:
        if given is not None and given.casefold().startswith("duckdb:"):
            raise ValueError(DUCKDB_ITSELF)
        return given

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        places = {n: getattr(self, n) for n in ("data", "database", "warehouse")}
        given = [name for name, place in places.items() if place is not None]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"exactly one of data, database and warehouse is needed; {found}")
        reads = [n for n in ("table", "query") if getattr(self, n) is not None]
        allowed = {"data": [[]], "database": [["query"]], "warehouse": [["table"], ["query"]]}
        if reads not in allowed[given[0]]:
            said = {
                "data": "data stands alone: it is a path, a glob or a SELECT statement",
                "database": "database needs query, a SELECT statement that reads it",
                "warehouse": "warehouse needs either table or query",
            }
            raise ValueError(f"{said[given[0]]}; given: {listing([*given, *reads])}")
        return self


class Dimension(Section):
    """How a dimension is shown, where it lies in a hierarchy, and which levels are one."""

    label: Text | None = Field(default=None, description="What files, texts and history call it.")
    within: Text | None = Field(
        default=None, description="The dimension above: market within region."
    )
    mapping: dict[str, str] = Field(default={}, description="Old level -> new level.")


class Output(Section):
    """Which files a review writes, and their look."""

    html: bool = True
    pptx: bool = True
    xlsx: bool = True
    charts: bool = True
    tidy: bool = True
    template: Text | None = Field(default=None, description="A company's .pptx.")


class Privacy(Section):
    """Who may be seen; see `attribution.privacy`."""

    people: Literal["hidden", "pseudonyms", "names"] = "hidden"
    key: Text | None = Field(default=None, description="Of pseudonyms, as in ${REVIEW_KEY}.")
    min_n: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Groups of fewer rows are suppressed."
    )
    columns: list[Text] | None = Field(
        default=None, description="Dimensions that are people; default: known by their names."
    )

    @field_validator("key")
    @classmethod
    def _from_environment(cls, given: str | None) -> str | None:
        if given is not None and not VARIABLE.fullmatch(given):
            raise ValueError("a key is a secret; name a variable of the environment, as ${NAME}")
        return given

    @model_validator(mode="after")
    def _keyed(self) -> Privacy:
        if (self.people == "pseudonyms") != (self.key is not None):
            raise ValueError("people = 'pseudonyms' and key go together")
        return self


class Theme(Section):
    """The look of pictures, pages and decks; see `attribution.Theme`."""

    fonts: list[Text] | None = Field(default=None, description="The preferred family first.")
    title_size: Positive | None = Field(default=None, description="In points, as all sizes.")
    size: Positive | None = None
    small_size: Positive | None = None
    good: Text | None = Field(default=None, description='A color, "#1f6fb4", as all below.')
    bad: Text | None = None
    neutral: Text | None = None
    current: Text | None = None
    baseline: Text | None = None
    ink: Text | None = None
    quiet: Text | None = None
    paper: Text | None = None

    @model_validator(mode="after")
    def _drawable(self) -> Theme:
        for name, value in self.model_dump(exclude_none=True).items():
            try:
                theme.Theme(**{name: value})
            except OptionError as error:
                raise LocatedError((name,), str(error).removeprefix(f"{name}: ")) from None
        return self

    def drawn(self) -> theme.Theme:
        """Return the theme that pictures are drawn in."""
        return theme.Theme(**self.model_dump(exclude_none=True))


class Quality(Section):
    """When the data of a month are not fit to be reviewed."""

    few_rows: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.6, description="Fewer rows than this part of the usual number: half-loaded."
    )
    half_loaded: Literal["finding", "error"] = "finding"
    duplicates: Literal["finding", "error"] = "finding"
