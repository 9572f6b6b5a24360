"""The configuration of a review: read from TOML and checked, its schema, a commented example."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from attribution.config.located import ConfigError, finding
from attribution.config.positions import lines_of
from attribution.config.whole import ReviewConfig
from attribution.errors import MissingFileError, nearest

__all__ = ["config_schema", "example_config", "load_config"]


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
            raise ConfigError(_not_toml(name, str(error))) from None
        lines = lines_of(text)
    try:
        # Of the file only its name: what is written does not depend on where it lies.
        return ReviewConfig.model_validate(given).read_from(Path(name).name, lines)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found = [finding(e, ReviewConfig, name, lines) for e in errors]
        raise ConfigError("\n".join(found)) from None


def _not_toml(name: str, problem: str) -> str:
    """What tomllib says, with the line where all findings have it."""
    said, _, place = problem.partition(" (at ")
    line = re.match(r"line \d+", place)
    where = f"{name}, {line.group()}" if line else name
    return f"{where}: not TOML. {said}" + (f" ({place}." if place else ".")


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
