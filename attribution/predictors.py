"""The rows of a regression: read, checked, and arranged as outcome, groups and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attribution.cube import several
from attribution.decompose.regression import Category, Columns, Term, dependent
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    IdentificationError,
    OptionError,
    check_option,
    listing,
)
from attribution.labels import label_of
from attribution.source.rows import Rows, Wanted, read_rows

__all__ = ["Observations", "Request", "observe"]

_CONSTANT = "(constant)"
_MOST_COLUMNS = 1_000


@dataclass(frozen=True)
class Request:
    """What a regression reads; see `attribution.oaxaca` for the meaning of each."""

    outcome: str
    predictors: str | Sequence[str]
    group: str
    baseline: object
    current: object
    model: str = "linear"
    categorical: str | Sequence[str] = ()
    normalize: bool = True
    cluster: str | Sequence[str] | None = None
    weight: str | None = None
    where: str | None = None
    on_invalid: str = "raise"


@dataclass(frozen=True, eq=False)
class Observations:
    """The n rows of a regression.

    Attributes
    ----------
    y, w : ndarray, shape (n,)
        Outcomes and weights.
    side : ndarray of {0, 1}, shape (n,)
        The group of each row, 0 for the baseline.
    labels : (str, str)
        What the groups are called.
    predictors : dict of str to ndarray or Category
    columns : Columns
        The same as regression columns.
    clusters : dict of str to ndarray of int, shape (n,)
        The codes of each cluster column.
    rows : Rows
        What was read.
    """

    y: np.ndarray
    w: np.ndarray
    side: np.ndarray
    labels: tuple[str, str]
    predictors: dict[str, np.ndarray | Category]
    columns: Columns
    clusters: dict[str, np.ndarray]
    rows: Rows

    def term_name(self, term: Term) -> tuple[str, str | None]:
        """Return the dimension and the segment that a term is shown under."""
        if term.predictor is None:
            return _CONSTANT, None
        name = list(self.predictors)[term.predictor]
        return name, None if term.level is None else self.rows.labels[name].levels[term.level]


def observe(data: object, request: Request) -> Observations:
    """Read and check the rows of a regression.

    Parameters
    ----------
    data : table
        Anything `attribution.explain` takes.
    request : Request

    Returns
    -------
    Observations

    Raises
    ------
    AttributionError
        One of its kinds, as `attribution.oaxaca` lists them.
    """
    wanted, names, units = _wanted(request)
    rows = read_rows(
        data,
        wanted,
        group=request.group,
        values=[*several(request.baseline), *several(request.current)],
        where=request.where,
        on_invalid=request.on_invalid,
    )
    side, labels = _sides(rows, request)
    y = rows.numbers[request.outcome]
    if request.model == "logit":
        _check_binary(y, side, labels, request.outcome)
    predictors = {name: _predictor(rows, name) for name in names}
    _check_levels(rows, predictors, side, labels)
    w = np.ones(len(y)) if request.weight is None else rows.numbers[request.weight]
    columns = Columns.of(list(predictors.values()), request.normalize)
    clusters = {name: rows.labels[name].codes for name in units}
    found = Observations(y, w, side, labels, predictors, columns, clusters, rows)
    _check_determined(found)
    return found


def _wanted(request: Request) -> tuple[list[Wanted], list[str], list[str]]:
    """The columns to read, the names of the predictors and of the clusters."""
    names = _texts("predictors", request.predictors)
    levels, units = _texts("categorical", request.categorical), _texts("cluster", request.cluster)
    if not names:
        raise OptionError("predictors: an empty list. Name at least one.")
    for name in levels:
        check_option("categorical", name, names)
    if len(units) > 2:
        raise OptionError(f"cluster: {len(units)} columns; one, or two for two-way clustering.")
    for role in ("outcome", "group", "weight"):
        if getattr(request, role) in names:
            raise OptionError(f"predictors: {getattr(request, role)!r} is also the {role}.")
    wanted = [Wanted("outcome", text, "number") for text in _texts("outcome", [request.outcome])]
    weights = [] if request.weight is None else [request.weight]
    wanted += [Wanted("weight", text, "weight") for text in _texts("weight", weights)]
    wanted += [Wanted("cluster", name, "unit") for name in units]
    wanted += [Wanted("predictors", x, "level" if x in levels else "either") for x in names]
    return wanted, names, units


def _texts(parameter: str, given: object) -> list[str]:
    texts = [] if given is None else several(given)
    for text in texts:
        if not isinstance(text, str):
            raise ColumnTypeError(f"{parameter}: {text!r} is not text. Columns are named by text.")
        if texts.count(text) > 1:
            raise OptionError(f"{parameter}: {text!r} is named twice.")
    return texts


def _sides(rows: Rows, request: Request) -> tuple[np.ndarray, tuple[str, str]]:
    """Which group each row is in, 0 or 1, and what the groups are called."""
    sides = []
    for parameter in ("baseline", "current"):
        values = several(getattr(request, parameter))
        if not values:
            raise OptionError(f"{parameter}: an empty list of values of {request.group!r}.")
        sides.append(list(dict.fromkeys(rows.resolved[label_of(value)] for value in values)))
    if shared := [label for label in sides[0] if label in sides[1]]:
        raise OptionError(f"baseline and current overlap: {listing(shared)}.")
    in_current = np.array([level in sides[1] for level in rows.group.levels])
    return in_current[rows.group.codes].astype(int), (" + ".join(sides[0]), " + ".join(sides[1]))


def _check_binary(y: np.ndarray, side: np.ndarray, labels: tuple[str, str], outcome: str) -> None:
    """Refuse outcomes that a logit cannot have."""
    other = np.flatnonzero((y != 0) & (y != 1))
    if len(other):
        problem = "values other than 0 and 1"
        raise DataContractError(
            f"outcome: {problem} in {len(other):,} rows of {outcome!r} (first: {y[other[0]]:g}). "
            "A logit takes 0 and 1; use model='linear' for other numbers.",
            [{"column": outcome, "problem": problem, "count": len(other)}],
        )
    for t, label in enumerate(labels):
        if len(np.unique(y[side == t])) < 2:
            raise IdentificationError(
                f"outcome: {outcome!r} is {y[side == t][0]:g} in every row of {label!r}; a logit "
                "needs both 0 and 1. Use model='linear'."
            )


def _predictor(rows: Rows, name: str) -> np.ndarray | Category:
    if name in rows.numbers:
        return rows.numbers[name]
    return Category(rows.labels[name].codes, len(rows.labels[name].levels))


def _check_levels(
    rows: Rows,
    predictors: dict[str, np.ndarray | Category],
    side: np.ndarray,
    labels: tuple[str, str],
) -> None:
    """Refuse levels that one of the groups lacks, too many of them, and single ones."""
    sizes = {name: x.size for name, x in predictors.items() if isinstance(x, Category)}
    if sum(sizes.values()) > _MOST_COLUMNS:
        most = max(sizes, key=sizes.__getitem__)
        raise OptionError(
            f"predictors: {most!r} has {sizes[most]:,} levels; all predictors together may have "
            f"{_MOST_COLUMNS:,}. Leave it out, or pass it as cluster if it says who did the work."
        )
    lacking = []
    for name, size in sizes.items():
        column = rows.labels[name]
        if size == 1:
            raise IdentificationError(
                f"predictors: {name!r} is {column.levels[0]!r} in every row and explains nothing."
            )
        for t, label in enumerate(labels):
            seen = np.bincount(column.codes[side == t], minlength=size) > 0
            lacking += [
                f"{name} {level!r} in {label!r}"
                for level, s in zip(column.levels, seen, strict=True)
                if not s
            ]
    if lacking:
        raise IdentificationError(
            f"predictors: levels that a group lacks have no effect there: no "
            f"{', no '.join(lacking[:6])}{' ...' if len(lacking) > 6 else ''}. Merge them with "
            "others in the table, or leave their rows out (where=...)."
        )


def _check_determined(found: Observations) -> None:
    """Refuse predictors that others reproduce within a group, by name."""
    for t, label in enumerate(found.labels):
        own = found.columns.X[found.side == t]
        if len(columns := dependent(own)):
            of = [found.term_name(found.columns.term_of(int(c))) for c in columns]
            named = [name if level is None else f"{name} {level}" for name, level in of]
            raise IdentificationError(
                f"predictors: in {label!r} ({len(own):,} rows) the other predictors and the "
                f"constant determine {listing(named, most=6)}. Leave out what repeats them."
            )
