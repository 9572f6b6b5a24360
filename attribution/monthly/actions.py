"""Actions: what somebody does about a cause, carried from month to month until its effect is gone.

A CSV with the columns cause, owner, priority (P0 to P2), due, status and optionally kpi. An action
stands beside the level or cause it names. It is closed when what it names no longer stands out.
What stands out and has no action yet is proposed, the largest first, for owners to be filled in.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attribution.errors import DataContractError, MissingFileError, listing, nearest
from attribution.monthly.answers import KpiReview

__all__ = ["Action", "followed_up", "read_actions", "standing_out", "write_actions"]

_COLUMNS = ("cause", "owner", "priority", "due", "status")
_PRIORITIES = ("P0", "P1", "P2", "")  # empty until an owner has decided
_MOST_PROPOSED = 5
_GONE = "closed: no longer stands out"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Action:
    """One line of the list.

    Attributes
    ----------
    kpi : str
        Empty where it concerns any.
    cause : str
        As the review writes it: "policy = minors", "market: BR".
    owner, priority, due, status : str
    """

    kpi: str
    cause: str
    owner: str
    priority: str
    due: str
    status: str


def read_actions(path: str | Path) -> list[Action]:
    """Read the list of actions.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of Action

    Raises
    ------
    MissingFileError
        No such file.
    DataContractError
        A column is missing, or a priority is none of P0, P1, P2; all findings are listed.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            rows = [{k.strip(): _plain(v) for k, v in row.items() if k} for row in reader]
    except FileNotFoundError:
        raise MissingFileError(f"actions: no file {str(path)!r}.") from None
    if missing := [c for c in _COLUMNS if c not in names]:
        raise DataContractError(
            f"actions: {str(path)!r} lacks the column {missing[0]!r}."
            f"{nearest(missing[0], names)} Columns: {listing(names)}."
        )
    wrong = [
        f"line {i}: priority {row['priority']!r}"
        for i, row in enumerate(rows, start=2)
        if row["priority"] not in _PRIORITIES
    ]
    if wrong:
        raise DataContractError(
            f"actions: {str(path)!r}: {'; '.join(wrong)}. Allowed: {listing(_PRIORITIES)}."
        )
    return [Action(row.get("kpi", ""), **{c: row[c] for c in _COLUMNS}) for row in rows]


def followed_up(actions: Sequence[Action], reviews: Sequence[KpiReview]) -> list[Action]:
    """Carry actions forward: close those whose cause is gone, propose what has none.

    Parameters
    ----------
    actions : sequence of Action
    reviews : sequence of KpiReview

    Returns
    -------
    list of Action
        The old ones in their order, then the proposals.
    """
    there = {r.kpi.name: standing_out(r) for r in reviews if r.failure is None}
    anywhere = [cause for causes in there.values() for cause in causes]
    carried = []
    for action in actions:
        # A KPI that failed, or is not in this run, says nothing about its actions.
        judged = not action.kpi or action.kpi in there
        gone = judged and action.cause not in there.get(action.kpi, anywhere)
        open_still = gone and not action.status.startswith("closed")
        carried.append(replace(action, status=_GONE) if open_still else action)
    taken = {(a.kpi, a.cause) for a in actions}
    proposed = [
        Action(kpi, cause, owner="", priority="", due="", status="proposed")
        for kpi, causes in there.items()
        for cause in list(causes)[:_MOST_PROPOSED]
        if (kpi, cause) not in taken and ("", cause) not in taken
    ]
    return carried + proposed


def standing_out(review: KpiReview) -> dict[str, float]:
    """Return what moved a KPI for the worse and stands out from noise, and by how much.

    Named causes of the rate effect and levels whose mix did; without a search for causes, levels.

    Parameters
    ----------
    review : KpiReview

    Returns
    -------
    dict of str to float
        ``"policy = minors"``, ``"mix of tenure: 0-30"``; the largest first, in KPI units.
    """
    answer = next((c for c in review.compared if c.change is not None), None)
    if answer is None or answer.change is None or answer.shown is None:
        return {}
    alpha = 1 - answer.change.options.conf_level
    sign = 1 if review.metric.better == "higher" else -1
    # Where causes were searched for they are the word on rates: levels of several dimensions show
    # the same fall again.
    part = "total" if answer.causes is None else "mix"
    found = []
    if answer.causes is not None:
        found = [
            (row["segment"], row["contribution"])
            for row in answer.causes.named
            if sign * row["contribution"] < 0
        ]
    for dimension, frame in answer.shown.levels.items():
        worse = frame[(frame[f"{part}_p_adjusted"] < alpha) & (sign * frame[part] < 0)]
        kind = "" if answer.causes is None else "mix of "
        named = zip(worse["segment"], worse[part], strict=True)
        found += [(f"{kind}{dimension}: {segment}", moved) for segment, moved in named]
    return dict(sorted(found, key=lambda item: (-abs(item[1]), item[0])))


def write_actions(actions: Sequence[Action], path: Path) -> None:
    """Write the list for owners to fill in.

    Parameters
    ----------
    actions : sequence of Action
    path : Path
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kpi", *_COLUMNS])
        for a in actions:
            cells = (a.kpi, a.cause, a.owner, a.priority, a.due, a.status)
            writer.writerow([_text(cell) for cell in cells])


def _text(cell: str) -> str:
    """A cell that a spreadsheet shows and does not compute."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _plain(cell: object) -> str:
    """A cell as it was before `_text`."""
    text = cell.strip() if isinstance(cell, str) else ""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
