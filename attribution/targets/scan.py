"""The table behind targets as a cube of segments, and the period that is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attribution.cube import Cube, several
from attribution.errors import OptionError
from attribution.goals import Labels, require_ratio
from attribution.metrics import Metric

__all__ = ["judged", "labels_of", "scan"]


def scan(
    data: object, metric: Metric | str, by: str | Sequence[str], request: dict[str, Any]
) -> Cube:
    """Scan a table into a cube of one KPI that has a level, by one column at least.

    Parameters
    ----------
    data : table
    metric : Metric or str
    by : str or sequence of str
    request : dict
        What `Cube.from_data` takes besides.

    Returns
    -------
    Cube

    Raises
    ------
    AttributionError
        One of its kinds, as `attribution.explain` lists them.
    """
    cube = Cube.from_data(data, require_ratio(metric), by, **request)
    if not cube.dimensions:
        raise OptionError("by: an empty list. Name at least one column of segments.")
    return cube


def judged(cube: Cube, current: object) -> tuple[Cube, list[str]]:
    """Return the cube of the periods that are judged together, and which they are.

    Parameters
    ----------
    cube : Cube
    current : value or list of values, optional
        None: the last period.

    Returns
    -------
    Cube, list of str
    """
    now = cube.periods[-1:] if current is None else several(current)
    now = list(dict.fromkeys(cube.periods[cube.period_index(p, "current")] for p in now))
    if not now:
        raise OptionError("current: an empty list of periods.")
    return cube.pool({" + ".join(now): now}), now


def labels_of(cube: Cube) -> list[Labels]:
    """Return the levels of each segment of a cube."""
    return [
        tuple(levels[c] for levels, c in zip(cube.levels, row, strict=True)) for row in cube.codes
    ]
