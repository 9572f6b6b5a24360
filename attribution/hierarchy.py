"""Hierarchies: which dimension lies within which, declared once and checked against the data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from attribution.cube import Cube
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    OptionError,
    listing,
    nearest,
)
from attribution.labels import MISSING, label_of, natural_key

__all__ = ["Declared", "Dimension", "check_hierarchy", "declared", "with_hierarchy"]


@dataclass(frozen=True)
class Dimension:
    """A dimension of `by`, and the dimension that its levels lie within.

    ``by=[at.Dimension("market", within="region"), "queue"]`` adds region in front of market where
    `by` does not name it, and holds the data to it: a market in two regions is an error. The mix
    of region is then that between regions, the mix of market that within them (METHODS.md 2), and
    `Attribution.hierarchy` rolls markets up to regions.

    Parameters
    ----------
    name : str
        The column.
    within : str, optional
        The dimension above it, which may lie within another one: declare that one too.
    parents : dict, optional
        Level -> level of `within`, where the table has no such column: a lookup table as
        ``dict(zip(sites["market"], sites["region"]))``. It may hold more than the data do.

    Raises
    ------
    OptionError, ColumnTypeError
        A dimension within itself, parents of nothing, names that are not text.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> reviews = pd.DataFrame({
    ...     "month": ["2026-08"] * 3 + ["2026-09"] * 3,
    ...     "market": ["ID", "JP", "BR"] * 2,
    ...     "reviewed": [500, 300, 200, 300, 300, 400],
    ...     "correct": [480, 270, 160, 288, 270, 320],
    ... })
    >>> market = Dimension("market", within="region",
    ...                    parents={"ID": "APAC", "JP": "APAC", "BR": "LATAM"})
    >>> change = at.explain(reviews, "correct / reviewed", by=[market], period="month",
    ...                     baseline="2026-08", current="2026-09")
    >>> change.effects[["effect", "dimension", "estimate"]].round(4)
      effect dimension  estimate
    0    mix    region   -0.0269
    1    mix    market   -0.0051
    2  joint      None    0.0000
    3   rate      None    0.0000
    """

    name: str
    within: str | None = None
    parents: Mapping[object, object] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for what, given in (("by", self.name), ("within", self.within)):
            if given is not None and not isinstance(given, str):
                raise ColumnTypeError(f"{what}: {given!r} is not text. Columns are named by text.")
        if self.within == self.name:
            raise OptionError(f"within: {self.name!r} cannot lie within itself.")
        if self.parents is None:
            return
        if self.within is None:
            raise OptionError(
                f"parents: given for {self.name!r}, but not what they are. Name the dimension: "
                "within='region'."
            )
        if not isinstance(self.parents, Mapping):
            raise ColumnTypeError(
                f"parents: {self.parents!r} is not of the form {{'level': 'level above'}}."
            )


@dataclass(frozen=True)
class Declared:
    """What `by` declares.

    Attributes
    ----------
    dimensions : tuple of str
        All dimensions, in order.
    hierarchy : dict of str to str
        Dimension -> the one it lies within.
    lookups : dict of str to (str, dict)
        Dimension that is no column -> the dimension below it, and level -> level above.
    """

    dimensions: tuple[str, ...]
    hierarchy: dict[str, str]
    lookups: dict[str, tuple[str, Mapping[object, object]]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The dimensions that are columns of the table."""
        return tuple(d for d in self.dimensions if d not in self.lookups)


def declared(by: Iterable[Any]) -> Declared:
    """Return the dimensions, columns and hierarchy that a list of names and `Dimension` declares.

    A parent stands in front of its first child, named or not.

    Raises
    ------
    ColumnTypeError
        Neither text nor a `Dimension`.
    OptionError
        A dimension named twice, a hierarchy in a circle, or a parent looked up from two dimensions.

    Examples
    --------
    >>> declared(["queue", Dimension("market", "region"), Dimension("region", "world")]).dimensions
    ('queue', 'world', 'region', 'market')
    """
    given = [Dimension(d) if isinstance(d, str) else d for d in by]
    for d in given:
        if not isinstance(d, Dimension):
            raise ColumnTypeError(
                f"by: {d!r} is not text. Columns are named by text, or by at.Dimension('market', "
                "within='region')."
            )
    hierarchy = {d.name: d.within for d in given if d.within is not None}
    for start in hierarchy:
        above = _ancestors(hierarchy, start)
        if start in above:
            circle = " within ".join(repr(x) for x in (start, *above[: above.index(start) + 1]))
            raise OptionError(f"within: the hierarchy runs in a circle: {circle}.")
    lookups: dict[str, tuple[str, Mapping[object, object]]] = {}
    for d in given:
        if d.within is not None and d.parents is not None:
            if d.within in lookups:
                raise OptionError(
                    f"parents: {d.within!r} is looked up from {lookups[d.within][0]!r} and from "
                    f"{d.name!r}. Give the parents of one of them."
                )
            lookups[d.within] = d.name, d.parents
    names = [d.name for d in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"by: {twice[0]!r} is named twice.")
    placed = [[*_ancestors(hierarchy, name)[::-1], name] for name in names]
    dimensions = tuple(dict.fromkeys(itertools.chain.from_iterable(placed)))
    return Declared(dimensions, hierarchy, lookups)


def _ancestors(hierarchy: Mapping[str, str], dimension: str) -> list[str]:
    """The dimensions above one, nearest first, each once."""
    above: list[str] = []
    while (dimension := hierarchy.get(dimension, "")) and dimension not in above:
        above.append(dimension)
    return above


def with_hierarchy(cube: Cube, asked: Declared) -> Cube:
    """Return the cube with its declared hierarchy, checked, and the dimensions looked up.

    Parameters
    ----------
    cube : Cube
        Of the columns of `asked`.
    asked : Declared

    Returns
    -------
    Cube

    Raises
    ------
    OptionError
        A level without a parent in the lookup.
    DataContractError
        A level with two parents.
    """
    waiting = dict(asked.lookups)
    while waiting:
        # A region looked up from a country that is itself looked up from the market comes second.
        parent = next(p for p, (child, _) in waiting.items() if child not in waiting)
        cube = _looked_up(cube, parent, *waiting.pop(parent))
    if asked.lookups:
        cube = cube.rollup(asked.dimensions)
    cube = replace(cube, hierarchy=asked.hierarchy)
    check_hierarchy(cube)
    return cube


def _looked_up(cube: Cube, parent: str, child: str, lookup: Mapping[object, object]) -> Cube:
    """The cube with one more dimension, a function of another one."""
    d = cube.dimension_index(child)
    above = {label_of(level): label_of(of) for level, of in lookup.items()}
    above.setdefault(MISSING, MISSING)
    if orphans := [level for level in cube.levels[d] if level not in above]:
        raise OptionError(
            f"parents: no {parent} is given for {listing(orphans)} of {child!r}."
            f"{nearest(orphans[0], [x for x in above if x != MISSING])}"
        )
    labels = sorted({above[level] for level in cube.levels[d]}, key=natural_key)
    position = {label: i for i, label in enumerate(labels)}
    of_level = np.array([position[above[level]] for level in cube.levels[d]], dtype=np.int32)
    return replace(
        cube,
        dimensions=(*cube.dimensions, parent),
        levels=(*cube.levels, tuple(labels)),
        codes=np.column_stack([cube.codes, of_level[cube.codes[:, d]]]),
    )


def check_hierarchy(cube: Cube) -> None:
    """Refuse levels that lie within two levels of the dimension above.

    Parameters
    ----------
    cube : Cube

    Raises
    ------
    DataContractError
        With all such levels, their parents, and where each is seen.
    """
    there = np.any([values != 0 for values in cube.sums.values()], axis=0)
    for child, parent in cube.hierarchy.items():
        c, p = (cube.dimensions.index(d) for d in (child, parent))
        pairs = np.unique(cube.codes[there.any(axis=0)][:, [c, p]], axis=0)
        level, count = np.unique(pairs[:, 0], return_counts=True)
        if (count < 2).all():
            continue
        found = []
        for code in level[count > 1]:
            seen = {}
            for above in pairs[pairs[:, 0] == code, 1]:
                cells = (cube.codes[:, c] == code) & (cube.codes[:, p] == above)
                times = there[:, cells].any(axis=1)
                seen[cube.levels[p][above]] = [cube.periods[t] for t in np.flatnonzero(times)]
            found.append({"dimension": child, "level": cube.levels[c][code], "parents": seen})
        raise DataContractError(_two_parents(child, parent, found), found)


def _two_parents(child: str, parent: str, found: Sequence[dict[str, Any]]) -> str:
    named = []
    for one in found[:6]:
        of = [f"{above!r} ({', '.join(times[:3])})" for above, times in one["parents"].items()]
        named.append(f"{one['level']!r} is in {' and '.join(of)}")
    more = f"; and {len(found) - 6} more" if len(found) > 6 else ""
    plural = f"{len(found):,} levels have" if len(found) > 1 else "a level has"
    return (
        f"by: {child!r} does not lie within {parent!r}, {plural} several parents: "
        f"{'; '.join(named)}{more}. Correct the table, give one parent each (parents=...), or name "
        f"{child!r} and {parent!r} without within."
    )
