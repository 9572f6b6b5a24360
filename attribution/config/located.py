"""Where a configuration is wrong: the findings of its models with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from attribution.errors import OptionError, listing, nearest
from attribution.source.secrets import redacted

__all__ = ["ConfigError", "LocatedError", "about_a_key", "finding"]

# The keys that a parameter may come from, beside the one of its own name.
_WRITTEN_AS: dict[tuple[str | int, ...], tuple[tuple[str, ...], ...]] = {
    ("metric",): (("factors",), ("types",)),
    ("data",): (("query",), ("database",), ("warehouse",)),
    ("plan",): (("target",),),
}
_BRANCH = re.compile(r"[\[(]|^(str|list|float|dict)$")


class ConfigError(OptionError):
    """The configuration of a review is wrong; the message lists every finding with its line."""


class LocatedError(ValueError):
    """A finding that knows its place; pydantic keeps it as the cause of its own error.

    Parameters
    ----------
    where : tuple of str or int
        The path to the key.
    message : str
    """

    def __init__(self, where: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


def finding(
    error: Any, model: type[BaseModel], name: str, lines: Mapping[tuple[Any, ...], int]
) -> str:
    """Write one finding of pydantic: file, line, key, what came, what is allowed.

    Parameters
    ----------
    error : dict
        One of ``ValidationError.errors()``.
    model : type
        Of the whole file.
    name : str
        Of the file.
    lines : mapping
        See `attribution.config.positions.lines_of`.

    Returns
    -------
    str
    """
    cause = error.get("ctx", {}).get("error")
    where = tuple(error["loc"])
    if isinstance(cause, LocatedError):
        where = (*where, *cause.where)
    # Branches of a union ("str", "list[...]") are no keys.
    where = tuple(x for x in where if isinstance(x, int) or not _BRANCH.search(x))
    known = next((where[:k] for k in range(len(where), 0, -1) if where[:k] in lines), None)
    place = f"{name}, line {lines[known]}" if known else name
    return f"{place}: {_path(where)}: {_problem(error, where, cause, model)}"


def about_a_key(
    message: str,
    file: str,
    lines: Mapping[tuple[Any, ...], int],
    *tables: tuple[Any, ...],
) -> str:
    """Return the message of an error with file, line and key, where it is about one.

    Some texts may be the name of a column, so that only the source can tell that they are wrong:
    "metric: no column 'correct +'" is then about ``kpis[0].metric``.

    Parameters
    ----------
    message : str
        It begins with the name of a parameter and a colon.
    file : str
    lines : mapping
        See `attribution.config.positions.lines_of`.
    *tables : tuple
        The places of the tables whose keys the error may be about, the first of them first: a
        KPI's before its source's.

    Returns
    -------
    str

    Examples
    --------
    >>> lines = {("kpis", 0, "metric"): 7}
    >>> about_a_key("metric: no column 'x'.", "r.toml", lines, ("kpis", 0), ("sources", "qa"))
    "r.toml, line 7: kpis[0].metric: no column 'x'."
    """
    key, _, said = message.partition(": ")
    # An element of a list, "entity[1]", and a key with its table, "privacy.key".
    at = tuple(int(x) if x.isdecimal() else x for x in re.split(r"[.\[]", key.rstrip("]")))
    places = [(*table, *x) for table in tables for x in (at, *_WRITTEN_AS.get(at, ()))]
    places += [(*table, *at[:-1]) for table in tables if len(at) > 1]
    places.append(at)
    place = next((x for x in places if x in lines), None)
    return message if place is None else f"{file}, line {lines[place]}: {_path(place)}: {said}"


def _problem(error: Any, where: tuple, cause: object, model: type[BaseModel]) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        keys = _keys_at(where[:-1], model)
        return f"unknown key.{nearest(where[-1], keys)} Keys: {listing(keys, most=40)}."
    if kind == "missing":
        return "missing."
    if cause is not None:
        return str(cause) if str(cause)[-1:] in ".?" else f"{cause}."
    # pydantic speaks of Python's types.
    expected = {"model_type": "It is a table.", "dict_type": "It is a table."}
    expected["list_type"] = 'It is a list, as in ["one", "another"].'
    return f"{redacted(repr(given))} is not allowed. {expected.get(kind, error['msg'] + '.')}"


def _keys_at(where: tuple, whole: type[BaseModel]) -> list[str]:
    """The keys that a section may hold."""
    model: Any = whole
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
