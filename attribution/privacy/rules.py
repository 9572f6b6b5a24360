"""The rules: who may be named, under what name, and how small a group may be."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attribution.cube import Cube
from attribution.errors import ColumnNotFoundError, OptionError, check_option, listing, nearest
from attribution.labels import names_people
from attribution.quality.coding import is_recoding

__all__ = ["Privacy", "anonymous", "pseudonyms", "without_names", "without_people"]

PEOPLE = ("hidden", "pseudonyms", "names")
_LEAST_KEY = 8
# From the worst.
_SEVERITIES = ("warning", "info", "ok")
# Texts and numbers of a condition; what stands in backticks is a column.
_VALUE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|(?<![\w.`])\d[\w.]*(?![\w`])")
_CONDITION = re.compile(r"\b(where|having|on|when|qualify|filter)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Privacy:
    """Who may be seen in a file.

    Parameters
    ----------
    people : {"hidden", "pseudonyms", "names"}
        What becomes of dimensions whose levels are people: left out, under a pseudonym that `key`
        makes, or as they are.
    key : str, optional
        For pseudonyms: a secret of at least 8 characters. The same key gives the same pseudonym
        in every file; without it nobody can tell who is meant.
    min_n : int
        Groups with fewer rows (trials) than this in a period are suppressed, others with them so
        that no difference shows them. 0 suppresses nothing.
    columns : sequence of str, optional
        The dimensions whose levels are people. None: those that are named like it
        ("moderator_id", "reviewer", "agent_email").

    Raises
    ------
    OptionError
        An option is not one of the above.

    Examples
    --------
    >>> Privacy(min_n=30).people
    'hidden'
    >>> Privacy(people="pseudonyms")
    Traceback (most recent call last):
    ...
    attribution.errors.OptionError: key: pseudonyms need a secret of at least 8 characters; the \
same one gives the same pseudonyms next month.
    """

    people: str = "hidden"
    key: str | None = None
    min_n: int = 0
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_option("people", self.people, PEOPLE)
        if self.people == "pseudonyms" and len(self.key or "") < _LEAST_KEY:
            raise OptionError(
                f"key: pseudonyms need a secret of at least {_LEAST_KEY} characters; the same one "
                "gives the same pseudonyms next month."
            )
        if self.key is not None and self.people != "pseudonyms":
            raise OptionError(
                f"key: it is used with people='pseudonyms' only, not {self.people!r}."
            )
        if isinstance(self.min_n, bool) or not isinstance(self.min_n, int) or self.min_n < 0:
            raise OptionError(
                f"min_n: {self.min_n!r} is not a number of rows, as in 30; 0 is none."
            )
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    # A secret must not end up in a notebook's output.
    def __repr__(self) -> str:
        return f"Privacy(people={self.people!r}, min_n={self.min_n})"

    def people_in(self, dimensions: Sequence[str]) -> tuple[str, ...]:
        """Return the dimensions whose levels are people.

        Parameters
        ----------
        dimensions : sequence of str

        Returns
        -------
        tuple of str

        Raises
        ------
        ColumnNotFoundError
            One of `columns` is no dimension.
        """
        if self.columns is None:
            return tuple(d for d in dimensions if names_people(d))
        for column in self.columns:
            if column not in dimensions:
                raise ColumnNotFoundError(
                    f"columns: no dimension {column!r}.{nearest(column, dimensions)} "
                    f"Dimensions: {listing(dimensions)}."
                )
        return tuple(self.columns)


def anonymous(cube: Cube, privacy: Privacy) -> Cube:
    """Return the cube without names of people: in its levels under pseudonyms, in its provenance.

    A pseudonym is the start of HMAC-SHA-256(key, dimension and level). Levels are sorted by it:
    in the order of their names, a reader with a roster could tell them apart by position. Levels
    of people that are hidden stay: it is for the files to leave them out.

    Parameters
    ----------
    cube : Cube
    privacy : Privacy

    Returns
    -------
    Cube
    """
    if privacy.people == "names":
        return cube
    part, mapping = (cube.provenance.get(name, {}) for name in ("part", "mapping"))
    people = privacy.people_in([*cube.dimensions, *part])
    if privacy.key is not None:
        for d in people:
            if d in cube.dimensions:
                levels = cube.levels[cube.dimension_index(d)]
                names = pseudonyms(d, levels, privacy.key)
                cube = cube.merge_levels(d, dict(zip(levels, names, strict=True)))
    # What was renamed or merged, and into what, is the very secret.
    known = without_people(cube.provenance, privacy)
    kept = {d: merged for d, merged in mapping.items() if d not in people}
    named = {d: _nameless(d, x, privacy.key) if d in people else x for d, x in part.items()}
    provenance = {k: v for k, v in known.items() if k not in ("mapping", "part")}
    provenance |= ({"mapping": kept} if kept else {}) | ({"part": named} if named else {})
    return replace(cube, provenance=provenance)


def without_people(provenance: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    """Return provenance whose condition, and whose SQL, name no people.

    Where a condition speaks of a column of people, all its values are withheld: which of them are
    names cannot be told from the text.

    Parameters
    ----------
    provenance : mapping
    privacy : Privacy

    Returns
    -------
    dict

    Examples
    --------
    >>> without_people({"where": "moderator_id != 'm17' and reviewed > 0"}, Privacy())
    {'where': "moderator_id != '…' and reviewed > '…'"}
    """
    known = dict(provenance)
    if privacy.people == "names":
        return known
    if isinstance(known.get("where"), str):
        known["where"] = _without_values(known["where"], privacy)
    if known.get("source") == "sql" and isinstance(known.get("name"), str):
        # What is read stands before the first condition.
        first = _CONDITION.search(known["name"])
        place = first.start() if first else len(known["name"])
        known["name"] = known["name"][:place] + _without_values(known["name"][place:], privacy)
    return known


def _without_values(condition: str, privacy: Privacy) -> str:
    words = re.findall(r"\w+", _VALUE.sub(" ", condition)) + re.findall(
        r"[`\"](.+?)[`\"]", condition
    )
    secret = {*words} & {*(privacy.columns or ())} or any(map(names_people, words))
    return _VALUE.sub("'…'", condition) if secret else condition


def _nameless(dimension: str, levels: str | list[str], key: str | None) -> str | list[str]:
    """The levels of a part that was asked for, without their names."""
    several = [levels] if isinstance(levels, str) else levels
    if key is None:
        return "one" if len(several) == 1 else f"{len(several)} of them"
    found = pseudonyms(dimension, several, key)
    return found[0] if isinstance(levels, str) else found


def pseudonyms(dimension: str, levels: Sequence[str], key: str) -> list[str]:
    """Return what levels of people are called: the same key gives the same names in every file.

    Parameters
    ----------
    dimension : str
    levels : sequence of str
    key : str

    Returns
    -------
    list of str
    """
    return [
        "p-" + hmac.new(key.encode(), f"{dimension}\0{x}".encode(), hashlib.sha256).hexdigest()[:10]
        for x in levels
    ]


def without_names(
    findings: Iterable[dict[Any, Any]], secret: Collection[str], people: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return findings; one, "withheld", stands for all that name what is not shown.

    It is as severe as the worst of them, and is where the first of them was.

    Parameters
    ----------
    findings : iterable of dict
        `code, severity, message, facts`.
    secret : collection of str
        Names, as facts write them.
    people : collection of str
        Dimensions whose levels are people: that one left and another came is no change of coding.

    Returns
    -------
    list of dict
    """
    findings = [f for f in findings if not (is_recoding(f) and _dimensions(f) & set(people))]
    named = [not _texts(f["facts"]).isdisjoint(secret) for f in findings]
    if not any(named):
        return findings
    severities = [f["severity"] for f, gone in zip(findings, named, strict=True) if gone]
    joined = {
        "code": "withheld",
        "severity": min(severities, key=_SEVERITIES.index),
        "message": "Withheld: it names groups that are not shown here.",
        "facts": {},
    }
    first = named.index(True)
    known = [f for f, gone in zip(findings, named, strict=True) if not gone]
    return [*known[:first], joined, *known[first:]]


def _dimensions(finding: Mapping[Any, Any]) -> set[str]:
    """The dimensions that a finding on codes is about."""
    facts = finding["facts"]
    return {facts["dimension"]} if "dimension" in facts else set(facts.get("mapping", ()))


def _texts(value: Any) -> set[str]:
    """All texts in a finding's facts, with the parts of joined names."""
    if isinstance(value, str):
        return {value, *value.split(" × ")}
    if isinstance(value, Mapping):
        return set().union(*(_texts(k) | _texts(v) for k, v in value.items()), set())
    if isinstance(value, list | tuple):
        return set().union(*(_texts(v) for v in value), set())
    return set()
