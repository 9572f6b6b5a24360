"""Secrets of a configuration: read from the environment where they are used, and nowhere shown."""

from __future__ import annotations

import os
import re
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel

from attribution.config.located import ConfigError
from attribution.source.secrets import redacted

__all__ = ["VARIABLE", "concealed", "holds_secret", "resolved"]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Shorter values are no secrets, and would be found inside ordinary words.
_SHORTEST = 4

Value = TypeVar("Value")


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
        Holds secrets; it is never to be shown without `concealed`.

    Raises
    ------
    ConfigError
        A variable is not set; the message names it, never its value.

    Examples
    --------
    >>> resolved("reviews.parquet", "data")
    'reviews.parquet'
    """
    missing = [name for name in VARIABLE.findall(text) if name not in os.environ]
    if missing:
        raise ConfigError(f"{key}: the environment variable {missing[0]!r} is not set.")
    return VARIABLE.sub(lambda match: os.environ[match.group(1)], text)


def holds_secret(text: str) -> bool:
    """Return whether a password or key is written out in a text.

    Examples
    --------
    >>> holds_secret("postgresql://ops:hunter2@db/qa"), holds_secret("postgresql://ops:${PW}@db/qa")
    (True, False)
    """
    plain = VARIABLE.sub("", text)
    return redacted(plain) != plain


def concealed(value: Value, config: BaseModel) -> Value:
    """Return a value in whose texts what the environment holds is its ``${NAME}`` again.

    Parameters
    ----------
    value : str, or list, tuple or dict of such
    config : BaseModel
        Names the variables.

    Returns
    -------
    the same type
    """
    return _concealed(value, _secrets(config))  # pyright: ignore[reportReturnType]


def _secrets(config: BaseModel) -> dict[str, str]:
    """What must not be shown -> what stands for it, the longest first."""
    found: dict[str, str] = {}
    for name in VARIABLE.findall(config.model_dump_json()):
        value = os.environ.get(name, "")
        # A driver may show the password of an address apart from it, and decoded.
        try:
            password = urlsplit(value).password or ""
        except ValueError:
            password = ""
        for text in (value, password):
            for form in (text, unquote(text), quote(text, safe="")):
                if len(form) >= _SHORTEST:
                    found.setdefault(form, f"${{{name}}}")
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _concealed(value: object, secrets: dict[str, str]) -> object:
    if isinstance(value, str):
        for secret, name in secrets.items():
            value = value.replace(secret, name)
        return value
    if isinstance(value, dict):
        return {k: _concealed(v, secrets) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_concealed(v, secrets) for v in value)
    return value
