"""The simulated decisions of a month: who decided what, rightly or not, how fast, how late."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

from attribution.datasets import world
from attribution.datasets.events import Conditions
from attribution.datasets.expected import segment_logit
from attribution.datasets.people import People, place

# Share of a moderator's work that comes from the home queue, and from the home market.
AT_HOME = 0.75
DAY_SECONDS = 86_400
NO_ERROR = -1
_OVER, _UNDER, _WRONG_POLICY, _TECHNICAL = range(len(world.ERRORS))


@dataclass(frozen=True)
class Decisions:
    """Decisions in order of time, one entry each; names of `world` as codes.

    Attributes
    ----------
    moderator, queue, policy, market, tenure : array of int
        Codes; `moderator` is a position in `People`.
    day, month : array of int
        Day number and month index of the decision.
    decided, enqueued : array of int
        Seconds since the start of the year.
    handle : array of int
        Handle time in seconds.
    error : array of int
        Code of `world.ERRORS`, or NO_ERROR: what a review would find.
    violating, actioned : array of bool
        What the item is, and what was done about it.
    """

    moderator: np.ndarray
    queue: np.ndarray
    policy: np.ndarray
    market: np.ndarray
    tenure: np.ndarray
    day: np.ndarray
    month: np.ndarray
    decided: np.ndarray
    enqueued: np.ndarray
    handle: np.ndarray
    error: np.ndarray
    violating: np.ndarray
    actioned: np.ndarray

    def __len__(self) -> int:
        return len(self.decided)

    @staticmethod
    def concatenate(parts: list[Decisions]) -> Decisions:
        """Join the decisions of several months."""
        return Decisions(
            *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Decisions))
        )


def working_days(people: People, days: np.ndarray) -> np.ndarray:
    """Return hours worked relative to a full day, shape (moderator, day); 0 when not there."""
    there = (people.joined[:, None] <= days) & (days < people.left[:, None])
    return there * people.attendance[:, world.week_of(days)] * world.DAY_WEIGHT[days]


def _drawn(rng: np.random.Generator, share: np.ndarray, home: np.ndarray) -> np.ndarray:
    """Levels of the decisions: mostly the moderator's home, else by share."""
    elsewhere = place(share, rng.random(len(home)))
    return np.where(rng.random(len(home)) < AT_HOME, home, elsewhere).astype(np.int8)


def _policies(rng: np.random.Generator, queue: np.ndarray, market: np.ndarray) -> np.ndarray:
    """Policies drawn given queue and market."""
    edges = np.cumsum(world.POLICY_SHARE, axis=-1)[..., :-1]
    return (rng.random(len(queue))[:, None] >= edges[queue, market]).sum(axis=1).astype(np.int8)


def _errors(
    rng: np.random.Generator, p: np.ndarray, p_before: np.ndarray, policy: np.ndarray
) -> np.ndarray:
    """Error codes given the probability correct with and without the policy's own shift.

    One uniform number decides: an error that only the shift makes is over-enforcement.
    """
    luck, kind = rng.random(len(p)), rng.random(len(p))
    edges = np.cumsum(world.ERROR_SHARES, axis=1)[:, :-1]
    error = (kind[:, None] >= edges[policy]).sum(axis=1)
    error[luck < p_before] = _OVER
    error[luck < p] = NO_ERROR
    return error.astype(np.int8)


def _outcomes(
    rng: np.random.Generator, error: np.ndarray, policy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (violating, actioned), consistent with the errors."""
    violating = rng.random(len(error)) < world.PREVALENCE[policy]
    violating[error == _OVER] = False
    violating[(error == _UNDER) | (error == _WRONG_POLICY)] = True
    actioned = violating.copy()
    actioned[error == _OVER] = True
    actioned[error == _UNDER] = False
    technical = np.flatnonzero(error == _TECHNICAL)
    actioned[technical] = rng.random(len(technical)) < 0.5
    return violating, actioned


def turnaround(rng: np.random.Generator, queue: np.ndarray, now: Conditions) -> np.ndarray:
    """Return the seconds from entering the queue to the decision."""
    typical = 3600 * world.SLA_HOURS * world.TURNAROUND_SHARE * now.turnaround
    return typical[queue] * np.exp(rng.normal(0.0, world.TURNAROUND_SD, len(queue)))


def decide(
    rng: np.random.Generator, month: int, now: Conditions, people: People, quiet_volume: float
) -> Decisions:
    """Return the decisions of one month.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    month : int
        Month index.
    now : Conditions
        What holds in the month.
    people : People
        The moderators.
    quiet_volume : float
        Expected decisions in a quiet month.
    """
    days = np.arange(world.MONTH_STARTS[month], world.MONTH_STARTS[month + 1])
    band = world.band_of(np.maximum(days - people.hired[:, None], 0))
    capacity = working_days(people, days) * world.TENURE_SPEED[band] * people.pace[:, None]
    expected = quiet_volume * now.volume * now.market_share.sum() * capacity / capacity.sum()
    counts = rng.poisson(expected)
    who, when = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), len(days))
    second = rng.integers(0, DAY_SECONDS, len(who))
    order = np.argsort(when * DAY_SECONDS + second, kind="stable")
    who, when, second = who[order], when[order], second[order]

    queue = _drawn(rng, now.queue_share, place(now.queue_share, people.queue_place[:, month])[who])
    market = _drawn(
        rng, now.market_share, place(now.market_share, people.market_place[:, month])[who]
    )
    policy = _policies(rng, queue, market)
    tenure = band[who, when].astype(np.int8)

    logit = segment_logit(now)[queue, policy, market, tenure] + people.effect[who]
    taken_over = people.vendor[who] == world.VENDORS.index(world.SUCCESSOR)
    logit += now.successor_logit * taken_over
    error = _errors(rng, expit(logit + now.policy_logit[policy]), expit(logit), policy)
    violating, actioned = _outcomes(rng, error, policy)

    handle = (world.HANDLE_SECONDS * now.handle)[queue] * world.TENURE_HANDLE[tenure]
    # The variance is taken off so that the mean of the factor is 1.
    noise = rng.normal(-(world.HANDLE_SD**2) / 2, world.HANDLE_SD, len(who))
    handle = np.maximum(handle / people.pace[who] * np.exp(noise), 1).round().astype(np.int32)
    decided = days[when] * DAY_SECONDS + second
    waited = np.maximum(turnaround(rng, queue, now).astype(np.int64), handle)
    return Decisions(
        moderator=who.astype(np.int32),
        queue=queue,
        policy=policy,
        market=market,
        tenure=tenure,
        day=days[when].astype(np.int16),
        month=np.full(len(who), month, dtype=np.int8),
        decided=decided,
        enqueued=decided - waited,
        handle=handle,
        error=error,
        violating=violating,
        actioned=actioned,
    )


def still_open(
    rng: np.random.Generator, month: int, now: Conditions, quiet_volume: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (queue, policy, market, enqueued) of the items that wait when a month ends.

    The month goes on for two weeks that nobody sees; what was enqueued before it ended is open.
    """
    horizon = 14
    end = int(world.MONTH_STARTS[month + 1])
    length = end - int(world.MONTH_STARTS[month])
    volume = quiet_volume * now.volume * now.market_share.sum() * horizon / length
    n = rng.poisson(volume)
    queue = place(now.queue_share, rng.random(n)).astype(np.int8)
    decided = end * DAY_SECONDS + rng.integers(0, horizon * DAY_SECONDS, n)
    enqueued = decided - turnaround(rng, queue, now).astype(np.int64)
    waiting = enqueued < end * DAY_SECONDS
    queue, enqueued = queue[waiting], enqueued[waiting]
    order = np.argsort(enqueued, kind="stable")
    queue, enqueued = queue[order], enqueued[order]
    market = place(now.market_share, rng.random(len(queue))).astype(np.int8)
    return queue, _policies(rng, queue, market), market, enqueued
