"""The tidy table of a scorecard, and the one of its entities' changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import AttributionError
from attribution.goals import Labels, completion, status
from attribution.numbering import numbered

if TYPE_CHECKING:
    import pandas as pd

    from attribution.cards.card import Scorecard

__all__ = ["CHANGE_COLUMNS", "card_table", "change_row", "without_denominator"]

_PARTS = {
    "mix": ("mix", "joint"),
    "performance": ("rate", "interaction"),
    "turnover": ("entry", "exit"),
}
CHANGE_COLUMNS = [
    "entity",
    "baseline",
    "current",
    *(
        f"{x}{y}"
        for x in ("change", *_PARTS)
        for y in ("", "_std_error", "_conf_low", "_conf_high")
    ),
    "verdict",
    "note",
]


def card_table(card: Scorecard) -> pd.DataFrame:
    import pandas as pd

    s = card.scores
    found, R = s.found, s.center
    some = found.volume > 0
    (low95, high95), (low998, high998) = s.limits(0.95, 0.998)
    rank_low, rank_high = s.ranks(card.conf_level, card.higher)
    adjusted = R + found.difference
    target = _targets(card, s.labels)
    low, high = _within(s.trials, adjusted, R + s.conf_low, R + s.conf_high)
    wide = _within(s.trials, adjusted, R + low95, R + high95)
    widest = _within(s.trials, adjusted, R + low998, R + high998)
    judged = status(low, high, target, card.higher, s.enough)
    judged[~some] = "no reference"
    ratio = np.divide(
        found.observed, found.expected, out=np.full(len(s.n), np.nan), where=found.expected > 0
    )
    columns = {
        "entity": np.array(s.names, dtype=object),
        "n": np.rint(s.n).astype(np.int64),
        "observed": found.observed,
        "expected": found.expected,
        "ratio": ratio,
        "adjusted": adjusted,
        "std_error": np.sqrt(s.noise.observed),
        "conf_low": low,
        "conf_high": high,
        "limit_low_95": wide[0],
        "limit_high_95": wide[1],
        "limit_low_998": widest[0],
        "limit_high_998": widest[1],
        "shrunk": R + s.shrunk,
        "rank_low": pd.array(rank_low, dtype="Int64"),
        "rank_high": pd.array(rank_high, dtype="Int64"),
        "target": target,
        "completion": completion(adjusted, target, card.higher),
        "status": judged,
        "crude": s.crude,
        "reference": R,
        "compared": s.compared,
        "z": s.z,
        "signal": _signals(card, found.difference, (low95, high95), (low998, high998)),
    }
    frame = pd.DataFrame(columns)
    nothing = ["observed", "expected", "ratio", "adjusted", "std_error", "conf_low"]
    nothing += [c for c in frame.columns if c.startswith("limit_")]
    nothing += ["conf_high", "shrunk", "rank_low", "rank_high", "completion", "z"]
    frame.loc[~some, nothing] = None
    frame.loc[~some, "signal"] = "n/a"
    if len(card.entity) > 1:
        for i, name in enumerate(card.entity):
            frame[name] = [x[i] for x in s.labels]
    # Who is not judged has no rank, and the ranks count only those who are.
    frame.loc[~s.enough, ["rank_low", "rank_high"]] = None
    absent = card.absent
    if absent:
        rows = pd.DataFrame(
            {
                "entity": [" × ".join(x) for x in absent],
                "n": 0,
                "target": _targets(card, absent),
                "status": "no data",
                "signal": "n/a",
                "compared": 0.0,
                **(
                    {name: [x[i] for x in absent] for i, name in enumerate(card.entity)}
                    if len(card.entity) > 1
                    else {}
                ),
            }
        ).reindex(columns=frame.columns)
        rows = rows.astype({c: frame.dtypes[c] for c in frame.columns})
        frame = pd.concat([frame, rows], ignore_index=True)
    return frame


def _within(
    trials: bool, adjusted: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keep bounds of a rate in [0, 1]; beyond only as far as the adjusted rate itself is.

    An adjusted rate that lies within its bounds, or outside them, still does.
    """
    if not trials:
        return low, high
    return np.maximum(low, np.minimum(adjusted, 0.0)), np.minimum(high, np.maximum(adjusted, 1.0))


def _targets(card: Scorecard, labels: Sequence[Labels]) -> np.ndarray:
    goals = card.goals
    if goals is None:
        return np.full(len(labels), np.nan)
    if not isinstance(goals, dict):
        return np.full(len(labels), goals)
    return np.array([goals.get(x, np.nan) for x in labels], dtype=float)


def without_denominator(card: Scorecard) -> list[Labels]:
    """Return the entities of a card's data whose denominator is 0; see `Scorecard.empty`."""
    cube, depth = card.cube, len(card.entity)
    D = cube.metric_sums(card.metric, "denominator")
    now, before = (
        D[[cube.periods.index(p) for p in periods]].sum(axis=0)
        for periods in (card.current, card.baseline)
    )
    if (now > 0).all():
        return []
    sizes = [len(levels) for levels in cube.levels[:depth]]
    first, entity = numbered(list(cube.codes.T[:depth]), sizes)
    scored, before, ever = (
        np.bincount(entity, x, len(first)) > 0 for x in (now, before, D.sum(axis=0))
    )
    # A row of zeros is all that an entity without a denominator in any period can have.
    there = first[~scored & (before | ~ever)]
    return [
        tuple(levels[c] for levels, c in zip(cube.levels, row, strict=False))
        for row in cube.codes[there, :depth].tolist()
    ]


def _signals(
    card: Scorecard,
    difference: np.ndarray,
    wide: tuple[np.ndarray, np.ndarray],
    widest: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    above, below = ("better", "worse") if card.higher else ("worse", "better")
    found = np.full(len(difference), "as expected", dtype=object)
    for (low, high), level in ((wide, "95 %"), (widest, "99.8 %")):
        found[difference > high] = f"{above} ({level})"
        found[difference < low] = f"{below} ({level})"
    found[~card.scores.enough] = "too few"
    return found


def change_row(card: Scorecard, labels: Labels) -> dict[str, Any]:
    name = " × ".join(labels)
    try:
        change = card.change(labels)
    except AttributionError as error:
        if not card.baseline:
            raise
        return {"entity": name, "verdict": "n/a", "note": str(error)}
    total = change.total
    row: dict[str, Any] = {
        "entity": name,
        "baseline": total.baseline,
        "current": total.current,
        "change": total.change,
        "change_std_error": total.std_error,
        "change_conf_low": total.conf_low,
        "change_conf_high": total.conf_high,
        "verdict": change.verdict,
        "note": "",
    }
    for part in change.combined(_PARTS).to_dict(orient="records"):
        name = str(part["part"])
        row[name] = part["estimate"]
        row |= {f"{name}_{x}": part[x] for x in ("std_error", "conf_low", "conf_high")}
    return row
