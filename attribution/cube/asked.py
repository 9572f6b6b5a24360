"""What a scan is asked for, as lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attribution.errors import ColumnTypeError, OptionError

__all__ = ["check_mapping", "check_timeout", "names_of", "ordered", "several"]


def several(given: object) -> list[Any]:
    """Return one value, or any collection of values, as a list."""
    single = isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable)
    return [given] if single else list(given)  # pyright: ignore[reportArgumentType]


def ordered(parameter: str, given: object) -> list[Any]:
    """Return what has an order as a list; a set has none."""
    if isinstance(given, set | frozenset):
        raise ColumnTypeError(f"{parameter}: a set has no order; pass a list of column names.")
    return [] if given is None else several(given)


def names_of(parameter: str, given: object) -> tuple[str, ...]:
    """Return one name or several of columns."""
    names = ordered(parameter, given)
    for name in names:
        if not isinstance(name, str):
            raise ColumnTypeError(f"{parameter}: {name!r} is not text. Columns are named by text.")
    return tuple(names)


def check_mapping(mapping: object) -> None:
    """Refuse what is no dict of dicts."""
    merges = list(mapping.values()) if isinstance(mapping, Mapping) else [mapping]
    if mapping is not None and not all(isinstance(m, Mapping) for m in merges):
        raise ColumnTypeError(
            f"mapping: {mapping!r} is not of the form {{'queue': {{'old level': 'new level'}}}}."
        )


def check_timeout(timeout: object) -> None:
    """Refuse what is no positive number of seconds."""
    number = timeout if isinstance(timeout, int | float) else 0.0
    if timeout is not None and (timeout is True or not number > 0):
        raise OptionError(f"timeout: {timeout!r} is not a positive number of seconds.")
