"""The keys of a review's configuration: one model a table, each key declared and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from attribution.analysis import asked_options
from attribution.config.drills import Drilldown, check_drills
from attribution.config.environment import VARIABLE, holds_secret
from attribution.config.located import LocatedError, about_a_key
from attribution.errors import (
    AttributionError,
    ColumnNotFoundError,
    ExpressionError,
    OptionError,
    listing,
    nearest,
)
from attribution.expressions import parse
from attribution.kpis import as_metric, check_columns
from attribution.metrics import Metric
from attribution.plots import theme
from attribution.products import ErrorTypes, Product
from attribution.source import DUCKDB_ITSELF

__all__ = [
    "Breach",
    "Comparison",
    "Dimension",
    "Kpi",
    "Output",
    "Privacy",
    "Quality",
    "Review",
    "ReviewConfig",
    "Scorecard",
    "Source",
    "Theme",
]

_COMPARISON = re.compile(r"previous|year|plan|rolling ([2-9]|[1-9][0-9])")

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


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False
    )


class Review(_Section):
    """What the review is called, and where its folders and history go."""

    title: Text = "KPI review"
    folder: Text = Field(
        default="review", description="Output folders by period, history and cache."
    )
    conf_level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 0


class Source(_Section):
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


class Dimension(_Section):
    """How a dimension is shown, where it lies in a hierarchy, and which levels are one."""

    label: Text | None = Field(default=None, description="What files, texts and history call it.")
    within: Text | None = Field(
        default=None, description="The dimension above: market within region."
    )
    mapping: dict[str, str] = Field(default={}, description="Old level -> new level.")


class Breach(_Section):
    """What makes a KPI breach its threshold; any of them is enough."""

    below: float | None = Field(
        default=None, description="The KPI itself, in its unit (0.95 is 95 %)."
    )
    above: float | None = None
    worse_by: Positive | None = Field(
        default=None, description="A change for the worse beyond this."
    )
    only_real: bool = Field(
        default=True, description="`worse_by` counts only where the verdict is real."
    )


class Kpi(_Section):
    """One KPI, what it is compared with and what is drilled into."""

    name: Text
    metric: Text | None = Field(
        default=None,
        description='"correct / reviewed", "mean(x)", or a KPI of the dictionary; or one of the '
        "two below.",
    )
    factors: dict[str, Text] = Field(
        default={}, description="A product of KPIs: the name and metric of each factor."
    )
    types: dict[str, Text] = Field(
        default={},
        description='Accuracy by error types: name and share of each, "over / reviewed".',
    )
    source: Text | None = Field(default=None, description="Needed where there are several sources.")
    by: list[Text] = Field(min_length=1)
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="Default: the metric's own; higher for one written as text."
    )
    unit: str | None = None
    where: Condition | None = Field(default=None, description="A further condition on rows.")
    weight: Text | None = Field(
        default=None, description="Instead of the source's; an empty one is none."
    )
    cluster: Text | list[Text] | None = None
    volume: Place | None = Field(default=None, description="A table of full counts.")
    plan: Place | None = Field(default=None, description="A table of planned shares and targets.")
    target: float | None = None
    compare: list[Text] = Field(
        default=["previous"], min_length=1, description='"previous", "year", "plan", "rolling 3".'
    )
    drill: list[Text] = Field(default=[], description='"market=BR by policy", "top 3".')
    material: Positive | None = Field(default=None, description="The smallest change that matters.")
    method: Literal["midpoint", "threefold", "baseline", "current"] = Field(
        default="midpoint",
        description="Of all comparisons but those with a plan, as are `mix`, "
        "`order`, `rates` and `inference`; see `attribution.explain`.",
    )
    mix: Literal["adjusted", "shapley", "das_gupta", "ordered"] = Field(
        default="adjusted", description="How the mix effect is divided among the dimensions."
    )
    order: list[Text] | None = Field(
        default=None, description='For mix = "ordered": all of `by`, first what is decided first.'
    )
    rates: Literal["auto", "saturated", "additive", "pairs"] = "auto"
    inference: Literal["analytic", "bootstrap"] = "analytic"
    causes: bool = Field(default=True, description="Search for named causes of the rate effect.")
    breach: Breach = Breach()

    @field_validator("compare")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        allowed = ["previous", "year", "plan", "rolling 3"]
        if twice := [text for i, text in enumerate(given) if text in given[:i]]:
            raise ValueError(f"{twice[0]!r} is named twice")
        for text in given:
            if not _COMPARISON.fullmatch(text):
                raise ValueError(
                    f"{text!r} is not one of {listing(allowed)} (any number from 2 to 99)."
                    f"{nearest(text, allowed)}"
                )
        return given

    @field_validator("drill")
    @classmethod
    def _divisible(cls, given: list[str]) -> list[str]:
        for text in given:
            Drilldown.of(text)
        return given

    @field_validator("metric")
    @classmethod
    def _readable(cls, given: str | None) -> str | None:
        try:
            if given is not None:
                as_metric(given)
        except AttributionError as error:
            raise ValueError(str(error).removeprefix("metric: ")) from None
        return given

    @model_validator(mode="after")
    def _one_metric(self) -> Kpi:
        parts = {n: getattr(self, n) for n in ("metric", "factors", "types")}
        given = [name for name, part in parts.items() if part]
        if len(given) != 1:
            found = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"exactly one of metric, factors and types is needed; {found}")
        for name, text in {**self.factors, **self.types}.items():
            try:
                as_metric(text)
            except AttributionError as error:
                said = str(error).removeprefix("metric: ")
                raise LocatedError((given[0], name), said) from None
        try:
            self.measured({})
        except AttributionError as error:
            raise LocatedError((given[0],), str(error).removeprefix(f"{given[0]}: ")) from None
        return self

    def measured(self, columns: Mapping[str, str]) -> Metric:
        """Return the metric, or what is made of the factors or types.

        Parameters
        ----------
        columns : mapping of str to str
            What the source calls the columns of the KPI dictionary.

        Returns
        -------
        Metric
        """
        if self.metric is not None:
            return as_metric(self.metric, columns)
        kind, parts = (Product, self.factors) if self.factors else (ErrorTypes, self.types)
        return kind({name: as_metric(text, columns) for name, text in parts.items()})

    @property
    def options(self) -> dict[str, Any]:
        """How a change is divided and judged: the options of `attribution.explain`."""
        names = ("method", "mix", "order", "rates", "inference")
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _explainable(self) -> Kpi:
        try:
            asked = asked_options(**self.options)
        except OptionError as error:
            key, _, said = str(error).partition(": ")
            raise LocatedError((key,), said) from None
        if asked.order is not None and sorted(asked.order) != sorted(self.by):
            slips = [d for d in asked.order if d not in self.by]
            hint = nearest(slips[0], self.by) if slips else ""
            raise LocatedError(
                ("order",), f"{list(asked.order)!r} does not name each of {self.by!r} once.{hint}"
            )
        return self

    @model_validator(mode="after")
    def _planned(self) -> Kpi:
        if "plan" in self.compare and self.plan is None and self.target is None:
            raise ValueError("compare has 'plan', which needs plan (a table) or target (a number)")
        return self


class Scorecard(_Section):
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


class Output(_Section):
    """Which files a review writes, and their look."""

    html: bool = True
    pptx: bool = True
    xlsx: bool = True
    charts: bool = True
    tidy: bool = True
    template: Text | None = Field(default=None, description="A company's .pptx.")


class Privacy(_Section):
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


class Theme(_Section):
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


class Quality(_Section):
    """When the data of a month are not fit to be reviewed."""

    few_rows: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.6, description="Fewer rows than this part of the usual number: half-loaded."
    )
    half_loaded: Literal["finding", "error"] = "finding"
    duplicates: Literal["finding", "error"] = "finding"


class ReviewConfig(_Section):
    """A whole review; see ``attribution review --init`` for a commented one."""

    review: Review = Review()
    sources: dict[str, Source] = Field(min_length=1)
    columns: dict[str, Text] = Field(
        default={},
        description="For KPIs of the dictionary: its column -> the column or expression here.",
    )
    dimensions: dict[str, Dimension] = {}
    kpis: list[Kpi] = Field(min_length=1)
    scorecards: dict[str, Scorecard] = {}
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
