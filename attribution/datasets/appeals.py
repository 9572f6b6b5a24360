"""The simulated appeals against actions: filed within a month, decided later, some not yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.datasets.decisions import DAY_SECONDS, Decisions

# Probability that an action is appealed, and that an appeal is upheld, when the item was benign
# and when it was violating: about 5 % of actions are appealed and somewhat less than half of these
# overturned.
FILED = (0.36, 0.028)
OVERTURNED = (0.85, 0.08)
WINDOW_DAYS, MEAN_DAYS = 30, 5


@dataclass(frozen=True)
class Appeals:
    """Appeals in order of the decisions, one entry each.

    Attributes
    ----------
    row : array of int
        Position of the decision.
    filed, decided : array of int
        Seconds since the start of the year; `decided` lies after the end of the data if the
        appeal is still open.
    overturned : array of bool
        What the appeal will come to.
    """

    row: np.ndarray
    filed: np.ndarray
    decided: np.ndarray
    overturned: np.ndarray


def appeal(rng: np.random.Generator, made: Decisions, days: int) -> Appeals:
    """Return the appeals filed before the data end.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    made : Decisions
        All decisions of the simulation.
    days : int
        Its length: what is filed later is not in the data.
    """
    chance = np.where(made.violating, FILED[1], FILED[0]) * made.actioned
    row = np.flatnonzero(rng.random(len(made)) < chance)
    # Exponential, cut at the end of the window in which an appeal may be filed.
    within = 1 - np.exp(-WINDOW_DAYS / MEAN_DAYS)
    lag = -MEAN_DAYS * np.log1p(-within * rng.random(len(row)))
    filed = made.decided[row] + (lag * DAY_SECONDS).astype(np.int64)
    decided = filed + (rng.gamma(2.0, 3.0, len(row)) * DAY_SECONDS).astype(np.int64)
    overturned = rng.random(len(row)) < np.where(made.violating[row], OVERTURNED[1], OVERTURNED[0])
    seen = filed < days * DAY_SECONDS
    return Appeals(row[seen], filed[seen], decided[seen], overturned[seen])
