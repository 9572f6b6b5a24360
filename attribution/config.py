"""The configuration of a monthly review: a TOML file, checked, with errors that name the line.

Every key is declared in a model below; an unknown one is refused with the nearest match. Secrets
stay in the environment: ``${NAME}`` in a source is read from there when the source is opened and
never written anywhere.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from attribution.errors import AttributionError, MissingFileError, OptionError, listing, nearest
from attribution.kpis import as_metric, check_columns

__all__ = [
    "Breach",
    "Comparison",
    "ConfigError",
    "Dimension",
    "Kpi",
    "Output",
    "Privacy",
    "Quality",
    "Review",
    "ReviewConfig",
    "Source",
    "config_schema",
    "example_config",
    "load_config",
    "resolved",
]

_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_COMPARISON = re.compile(r"previous|year|plan|rolling ([2-9]|[1-9][0-9])")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]


class ConfigError(OptionError):
    """The configuration of a review is wrong; the message lists every finding with its line."""


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

    data: Text | None = Field(default=None, description="A path, a glob, or one SELECT statement.")
    database: Text | None = Field(default=None, description="A DuckDB file; `query` reads it.")
    query: Text | None = Field(default=None, description="One SELECT statement for `database`.")
    period: Text = Field(description='A column, or "month of decided_at".')
    where: Text | None = Field(default=None, description="A condition on rows.")
    cluster: Text | list[Text] | None = Field(
        default=None, description="Units independent of each other."
    )
    weight: Text | None = Field(default=None, description="A column, or 1 / inclusion_prob.")
    key: Text | list[Text] | None = Field(default=None, description="Columns that tell rows apart.")
    on_invalid: Literal["raise", "drop"] = "raise"
    cache: bool | None = Field(
        default=None, description="Default: files are cached, databases are not."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.data is None) == (self.database is None):
            found = "neither is" if self.data is None else "both are"
            raise ValueError(f"exactly one of data and database is needed; {found} given")
        if (self.database is None) != (self.query is None):
            raise ValueError("database and query go together: query reads the database")
        return self


class Dimension(_Section):
    """How a dimension is shown, where it lies in a hierarchy, and which levels are one."""

    label: Text | None = None
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
    metric: Text = Field(description='"correct / reviewed", "mean(x)", or a KPI of the dictionary.')
    source: Text | None = Field(default=None, description="Needed where there are several sources.")
    by: list[Text] = Field(min_length=1)
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="Default: the metric's own; higher for one written as text."
    )
    unit: str | None = None
    where: Text | None = Field(default=None, description="A further condition on rows.")
    weight: Text | None = Field(
        default=None, description="Instead of the source's; an empty one is none."
    )
    cluster: Text | list[Text] | None = None
    volume: Text | None = Field(default=None, description="A table of full counts.")
    plan: Text | None = Field(default=None, description="A table of planned shares and targets.")
    target: float | None = None
    compare: list[Text] = Field(
        default=["previous"], min_length=1, description='"previous", "year", "plan", "rolling 3".'
    )
    drill: list[Text] = Field(default=[], description='"market=BR by policy", "top 3".')
    material: Positive | None = Field(default=None, description="The smallest change that matters.")
    rates: Literal["auto", "saturated", "additive", "pairs"] = "auto"
    causes: bool = Field(default=True, description="Search for named causes of the rate effect.")
    breach: Breach = Breach()

    @field_validator("compare")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        allowed = ["previous", "year", "plan", "rolling 3"]
        for text in given:
            if not _COMPARISON.fullmatch(text):
                raise ValueError(
                    f"{text!r} is not one of {listing(allowed)} (any number from 2 to 99)."
                    f"{nearest(text, allowed)}"
                )
        return given

    @field_validator("metric")
    @classmethod
    def _readable(cls, given: str) -> str:
        try:
            as_metric(given)
        except AttributionError as error:
            raise ValueError(str(error).removeprefix("metric: ")) from None
        return given

    @model_validator(mode="after")
    def _planned(self) -> Kpi:
        if "plan" in self.compare and self.plan is None and self.target is None:
            raise ValueError("compare has 'plan', which needs plan (a table) or target (a number)")
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
    min_n: Annotated[int, Field(ge=0)] = 0


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
    output: Output = Output()
    privacy: Privacy = Privacy()
    quality: Quality = Quality()
    actions: Text | None = Field(
        default=None, description="A CSV of cause, owner, priority, due, status."
    )

    @model_validator(mode="after")
    def _consistent(self) -> ReviewConfig:
        names = [kpi.name for kpi in self.kpis]
        for i, kpi in enumerate(self.kpis):
            if kpi.name in names[:i]:
                raise _at(("kpis", i, "name"), f"{kpi.name!r} is the name of an earlier KPI.")
            if kpi.source is None and len(self.sources) > 1:
                known = listing(self.sources)
                raise _at(("kpis", i), f"source: there are several; name one of {known}.")
            if kpi.source is not None and kpi.source not in self.sources:
                hint = nearest(kpi.source, self.sources)
                known = listing(self.sources)
                raise _at(("kpis", i, "source"), f"no source {kpi.source!r}.{hint} There: {known}.")
        for column, own in self.columns.items():
            try:
                check_columns({column: own})
            except AttributionError as error:
                said = str(error).removeprefix("columns: ")
                raise _at(("columns", column), said) from None
        used = {name for kpi in self.kpis for name in kpi.by}
        for name, dimension in self.dimensions.items():
            if name not in used:
                raise _at(("dimensions", name), f"no KPI has it in by.{nearest(name, used)}")
            if dimension.within is not None and dimension.within not in used:
                hint = nearest(dimension.within, used)
                raise _at(
                    ("dimensions", name, "within"), f"no KPI has {dimension.within!r} in by.{hint}"
                )
        return self

    def source_of(self, kpi: Kpi) -> str:
        """Return the name of the source that a KPI reads."""
        return kpi.source or next(iter(self.sources))


class _LocatedError(ValueError):
    """A finding that knows its place; pydantic keeps it as the cause of its own error."""

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


def _at(where: tuple[str | int, ...], message: str) -> _LocatedError:
    return _LocatedError(where, message)


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


def load_config(config: str | Path | Mapping[str, Any] | ReviewConfig) -> ReviewConfig:
    """Read and check the configuration of a review.

    Parameters
    ----------
    config : path, mapping or ReviewConfig
        A TOML file, or what one would hold.

    Returns
    -------
    ReviewConfig

    Raises
    ------
    MissingFileError
        No such file.
    ConfigError
        The file is not TOML, or a key is unknown, missing or has a value that is not allowed. All
        findings are listed, each with its line and key.

    Examples
    --------
    >>> config = load_config({
    ...     "sources": {"reviews": {"data": "reviews.parquet", "period": "month"}},
    ...     "kpis": [{"name": "Accuracy", "metric": "correct / reviewed", "by": ["queue"]}],
    ... })
    >>> config.kpis[0].compare
    ['previous']
    """
    if isinstance(config, ReviewConfig):
        return config
    name, lines = "config", {}
    if isinstance(config, Mapping):
        given: Any = dict(config)
    else:
        name, text = str(config), _text(Path(config))
        try:
            given = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}: not TOML. {error}.") from None
        lines = _lines(text)
    try:
        return ReviewConfig.model_validate(given)
    except ValidationError as error:
        found = [_finding(e, name, lines) for e in error.errors(include_url=False)]
        raise ConfigError("\n".join(found)) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise MissingFileError(f"config: no file {str(path)!r}.{nearest(path.name, beside)}") from (
            None
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: {str(path)!r} cannot be read ({error}).") from None


def _finding(error: Any, name: str, lines: Mapping[tuple, int]) -> str:
    """Write one finding of pydantic: file, line, key, what came, what is allowed."""
    cause = error.get("ctx", {}).get("error")
    where = tuple(error["loc"])
    if isinstance(cause, _LocatedError):
        where = (*where, *cause.where)
    # Branches of a union ("str", "list[...]") are no keys.
    where = tuple(x for x in where if isinstance(x, int) or not re.search(r"[\[(]|^str$|^list$", x))
    known = next((where[:k] for k in range(len(where), 0, -1) if where[:k] in lines), None)
    place = f"{name}, line {lines[known]}" if known else name
    return f"{place}: {_path(where)}: {_problem(error, where, cause)}"


def _problem(error: Any, where: tuple, cause: object) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        keys = _keys_at(where[:-1])
        return f"unknown key.{nearest(where[-1], keys)} Keys: {listing(keys, most=40)}."
    if kind == "missing":
        return "missing."
    if cause is not None:
        return str(cause) if str(cause)[-1:] in ".?" else f"{cause}."
    return f"{given!r} is not allowed. {error['msg']}."


def _keys_at(where: tuple) -> list[str]:
    """The keys that a section may hold."""
    model: Any = ReviewConfig
    for part in where:
        if isinstance(part, int):
            continue
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return []
        field = model.model_fields.get(part)
        if field is None:
            continue  # a name of the user's own: sources.reviews
        inner = [x for x in _types(field.annotation) if issubclass(x, BaseModel)]
        model = inner[0] if inner else None
    return list(model.model_fields) if model is not None else []


def _types(annotation: Any) -> Iterator[type]:
    """The classes in an annotation, however deep."""
    arguments = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and not arguments:
        yield annotation
    for argument in arguments:
        yield from _types(argument)


def _path(where: tuple) -> str:
    """``kpis[1].metric`` of a place."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _lines(text: str) -> dict[tuple, int]:
    """Where each table and key of a TOML file stands: path -> line, counted from 1.

    tomllib keeps no positions. A key inside an inline table has the line of the table.
    """
    lines: dict[tuple, int] = {}
    counts: dict[tuple, int] = {}
    table: tuple = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            parts = tuple(p.strip().strip("\"'") for p in header.group(2).split("."))
            array = header.group(1) == "[["
            if array:
                counts[parts] = counts.get(parts, -1) + 1
            table = ()
            for part in parts:
                table = (*table, part)
                named = tuple(x for x in table if isinstance(x, str))
                if named in counts:
                    table = (*table, counts[named])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            parts = tuple(p.strip().strip("\"'") for p in key.group(1).split("."))
            lines.setdefault((*table, *parts), number)
    return lines


def resolved(text: str, key: str) -> str:
    """Return a text with each ``${NAME}`` replaced by the environment variable.

    Parameters
    ----------
    text : str
    key : str
        Named in the error.

    Returns
    -------
    str
        Holds secrets; it is never to be printed.

    Raises
    ------
    ConfigError
        A variable is not set; the message names it, never its value.

    Examples
    --------
    >>> resolved("reviews.parquet", "data")
    'reviews.parquet'
    """
    missing = [name for name in _ENVIRONMENT.findall(text) if name not in os.environ]
    if missing:
        raise ConfigError(f"{key}: the environment variable {missing[0]!r} is not set.")
    return _ENVIRONMENT.sub(lambda match: os.environ[match.group(1)], text)


def config_schema() -> str:
    """Return the JSON schema of the configuration, for editors.

    Examples
    --------
    >>> json.loads(config_schema())["title"]
    'ReviewConfig'
    """
    return json.dumps(ReviewConfig.model_json_schema(), indent=1, ensure_ascii=False)


def example_config() -> str:
    """Return a commented configuration over the files of ``attribution demo``.

    Examples
    --------
    >>> load_config(tomllib.loads(example_config())).kpis[0].name
    'Accuracy'
    """
    return (files("attribution.monthly") / "review.toml").read_text(encoding="utf-8")
