"""Which rows about entities may be shown, and under which name.

People are hidden unless they are asked for, and then by name or by pseudonym. With `min_n`, an
entity with fewer rows is suppressed, with as many others as it takes that the total less what is
shown does not give it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attribution.errors import OptionError
from attribution.labels import plural
from attribution.privacy.rules import Privacy, pseudonyms
from attribution.privacy.suppression import suppressed

__all__ = ["ASK", "Protected", "protected"]

ASK = (
    " Ask for them: privacy=at.Privacy(people='pseudonyms', key=...) or at.Privacy(people='names')."
)


@dataclass(frozen=True)
class Protected:
    """What may be shown of K entities.

    Attributes
    ----------
    hidden : bool
        Whether entities are people that nobody asked for.
    mask : ndarray of bool, shape (K,)
        Those that are not shown.
    names : tuple of str
        What each is called, joined.
    renamed : bool
        Whether the names are pseudonyms.
    withheld : tuple of str
        Sentences that say what a reader does not see.
    secret : frozenset of str
        True names that must not appear, as findings write them.
    """

    hidden: bool
    mask: np.ndarray
    names: tuple[str, ...]
    renamed: bool
    withheld: tuple[str, ...]
    secret: frozenset[str]

    @property
    def said(self) -> list[str]:
        """Sentences for a reader who can ask again: what is not shown, and how to see it."""
        return [x + ASK if self.hidden else x for x in self.withheld]


def protected(
    privacy: Privacy | None,
    columns: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    counts: np.ndarray,
) -> Protected:
    """Return what may be shown of entities.

    Parameters
    ----------
    privacy : Privacy, optional
        None hides people and suppresses nothing.
    columns : sequence of str
        The columns that tell the entities.
    labels : sequence of tuple of str, length K
    counts : ndarray, shape (P, K)
        Rows of each entity in each of the tables that are shown beside their total.

    Returns
    -------
    Protected

    Raises
    ------
    OptionError
        Not an `at.Privacy`.
    """
    privacy = Privacy() if privacy is None else privacy
    if not isinstance(privacy, Privacy):
        raise OptionError(f"privacy: {privacy!r} is not an at.Privacy(...).")
    people = privacy.people_in(columns)
    K = len(labels)
    hidden = bool(people) and privacy.people == "hidden"
    mask, said = np.zeros(K, dtype=bool), []
    if hidden:
        mask[:] = True
        said.append(f"{', '.join(people)}: people, who are not shown.")
    elif privacy.min_n and K:
        mask = suppressed([np.arange(K)], np.atleast_2d(counts), privacy.min_n)[0]
        if mask.any():
            noun = plural(columns[0]) if len(columns) == 1 else "entities"
            said.append(
                f"{int(mask.sum()):,} of {K:,} {noun} are suppressed: fewer than "
                f"{privacy.min_n} rows, or needed to protect one that has fewer."
            )
    names, renamed = list(labels), False
    if privacy.key is not None and people:
        names, renamed = _renamed(columns, labels, people, privacy.key), True
    gone = {x for x, m in zip(labels, mask, strict=True) if m or renamed}
    own = {part for x in gone for part in (" × ".join(x),)}
    for d, column in enumerate(columns):
        # A level of several columns is secret where it is a person, or where all of it is gone.
        shown = {x[d] for x in labels if x not in gone}
        own |= {x[d] for x in gone if column in people or x[d] not in shown}
    joined = tuple(" × ".join(x) for x in names)
    return Protected(hidden, mask, joined, renamed, tuple(said), frozenset(own))


def _renamed(
    columns: Sequence[str], labels: Sequence[tuple[str, ...]], people: Sequence[str], key: str
) -> list[tuple[str, ...]]:
    by_column = [
        pseudonyms(column, [x[d] for x in labels], key)
        if column in people
        else [x[d] for x in labels]
        for d, column in enumerate(columns)
    ]
    return list(zip(*by_column, strict=True))
