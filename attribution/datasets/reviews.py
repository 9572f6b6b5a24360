"""What quality assurance sees of the decisions: samples with known probabilities, and coaching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.datasets import world
from attribution.datasets.decisions import DAY_SECONDS, NO_ERROR, Decisions

PER_WEEK = 8
# Of the eight, how many are taken from high-risk work once the sample is risk-weighted.
FROM_HIGH_RISK = 5
DESIGNS = ("random", "risk_weighted", "targeted")
STRATA = ("all", "high_risk", "standard_risk", "coaching")
_RANDOM, _RISK_WEIGHTED, _TARGETED = range(3)
_ALL, _HIGH, _STANDARD, _COACHING = range(4)
COACHING_SHARE = 0.10
VOID, SECOND_LABEL = 0.02, 0.10
# Probability that the second reviewer agrees with a decision that is right, and that is wrong.
SECOND_AGREES = (0.975, 0.18)


@dataclass(frozen=True)
class Reviews:
    """Reviews in order of the decisions, one entry each.

    Attributes
    ----------
    row : array of int
        Position of the decision.
    design, stratum : array of int
        Codes of DESIGNS and STRATA.
    inclusion : array of float
        Probability of being in the sample; NaN for coaching, which nobody drew.
    void : array of bool
        The review came to nothing (the item is gone, the case is out of scope).
    second : array of int
        The second reviewer's verdict, 1 or 0; -1 if there was none.
    reviewed : array of int
        Seconds since the start of the year.
    """

    row: np.ndarray
    design: np.ndarray
    stratum: np.ndarray
    inclusion: np.ndarray
    void: np.ndarray
    second: np.ndarray
    reviewed: np.ndarray


def draw(
    rng: np.random.Generator, group: np.ndarray, take: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw without replacement inside groups.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    group : array of int (row)
        The group of each row.
    take : array of int (group)
        How many to draw; all, if the group is smaller.

    Returns
    -------
    rows : array of int
        The rows drawn, in order.
    inclusion : array of float
        min(take / rows in the group, 1) of each row drawn.
    """
    size = np.bincount(group, minlength=len(take))
    order = np.argsort(group + rng.random(len(group)))
    rank = np.arange(len(group)) - (np.cumsum(size) - size)[group[order]]
    rows = np.sort(order[rank < take[group[order]]])
    return rows, np.minimum(take / np.maximum(size, 1), 1.0)[group[rows]]


def _per_week(days: int) -> np.ndarray:
    """Reviews per moderator in each week; fewer in a week that the window cuts."""
    length = np.bincount(world.week_of(np.arange(days)))
    return np.maximum(np.rint(PER_WEEK * length / 7), 1).astype(int)


def _allocation(size: np.ndarray, n: np.ndarray, high_share: float) -> np.ndarray:
    """How many of n to take from (high, standard) risk, shape (group, 2).

    What one stratum lacks the other gives; a stratum that has decisions is never left out, or
    its decisions would have an inclusion probability of 0.
    """
    wanted = np.clip(np.rint(n * high_share), 1, None)
    high = np.minimum(size[:, 0], wanted)
    standard = np.minimum(size[:, 1], np.maximum(n - high, 1))
    high = np.minimum(size[:, 0], np.maximum(n - standard, high))
    return np.column_stack([high, standard]).astype(int)


def _sample(
    rng: np.random.Generator, made: Decisions, days: int, from_month: int, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (row, stratum, inclusion) of the sample per moderator and week.

    From `from_month` on it is stratified by risk; the month of the story, September 2025, begins
    on a Monday, so no week has two designs.
    """
    n = _per_week(days)
    cell = made.moderator.astype(np.int64) * len(n) + world.week_of(made.day.astype(np.int64))
    cells = int(cell.max()) + 1
    reviews = np.tile(n, -(-cells // len(n)))[:cells]
    stratified = made.month >= from_month
    low_risk = ~world.HIGH_RISK[made.queue, made.policy, made.market]
    half = np.where(stratified & low_risk, 1, 0)
    size = np.bincount(2 * cell + half, minlength=2 * cells).reshape(cells, 2)
    take = np.column_stack([reviews, np.zeros(cells, dtype=int)])
    high_share = min(FROM_HIGH_RISK * scale / PER_WEEK, 1.0)
    is_stratified = np.bincount(cell, weights=stratified, minlength=cells) > 0
    take[is_stratified] = _allocation(size, reviews, high_share)[is_stratified]
    rows, inclusion = draw(rng, 2 * cell + half, take.ravel())
    stratum = np.where(stratified[rows], np.where(low_risk[rows], _STANDARD, _HIGH), _ALL)
    return rows, stratum, inclusion


def _coaching(rng: np.random.Generator, made: Decisions, sampled: np.ndarray) -> np.ndarray:
    """Rows picked by team leads: new moderators, risky work and complaints come first."""
    appeal = np.ones(len(made))
    appeal[made.tenure <= 1] *= 4
    appeal[world.HIGH_RISK[made.queue, made.policy, made.market]] *= 2
    appeal[made.error != NO_ERROR] *= 3
    # The smallest of n exponential waiting times: sampling with unequal chances.
    waiting = rng.exponential(size=len(made)) / appeal
    waiting[sampled] = np.inf
    k = min(int(COACHING_SHARE * len(sampled)), len(made) - len(sampled))
    return np.sort(np.argpartition(waiting, k)[:k]) if k else np.zeros(0, dtype=int)


def review(
    rng: np.random.Generator, made: Decisions, days: int, from_month: int, scale: float
) -> Reviews:
    """Return the reviews of the decisions.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    made : Decisions
        All decisions of the simulation.
    days : int
        Its length.
    from_month : int
        Month index from which the sample is risk-weighted; beyond the last one if never.
    scale : float
        Multiplies the share taken from high-risk work.
    """
    sampled, stratum, inclusion = _sample(rng, made, days, from_month, scale)
    coached = _coaching(rng, made, sampled)
    row = np.concatenate([sampled, coached])
    order = np.argsort(row, kind="stable")
    row = row[order]
    stratum = np.append(stratum, np.full(len(coached), _COACHING))[order]
    inclusion = np.append(inclusion, np.full(len(coached), np.nan))[order]
    design = np.array([_RANDOM, _RISK_WEIGHTED, _RISK_WEIGHTED, _TARGETED])[stratum]

    n = len(row)
    void = rng.random(n) < VOID
    agrees = rng.random(n) < np.where(made.error[row] == NO_ERROR, *SECOND_AGREES)
    labeled = (rng.random(n) < SECOND_LABEL) & ~void
    wait = (3600 + rng.exponential(2 * DAY_SECONDS, n)).astype(np.int64)
    return Reviews(
        row=row,
        design=design,
        stratum=stratum,
        inclusion=inclusion,
        void=void,
        second=np.where(labeled, agrees, -1).astype(np.int8),
        reviewed=made.decided[row] + wait,
    )
