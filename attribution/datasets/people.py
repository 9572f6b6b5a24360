"""The simulated moderators: who sits where, from when to when, how good, how fast, on what work.

A seat never stays empty: its holder leaves on any day with probability LEAVING and the successor
starts the next morning, which keeps the tenure mix stationary until an event changes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attribution.datasets import world
from attribution.datasets.events import WAVE_KEPT, WAVE_PROBATION_DAYS
from attribution.datasets.expected import WAVE_DAY

# Every month this share of the moderators is given other work.
MOVING = 0.02
PACE_SD = 0.35
# Share of weeks a moderator is away, and the range of attendance in the others.
AWAY, ATTENDANCE = 0.06, (0.80, 1.00)
_NEVER = 10_000


@dataclass(frozen=True)
class Stints:
    """Who is there from when to when, one entry per moderator.

    Attributes
    ----------
    hired, joined, left : array of int
        Day tenure counts from, first day at work here, first day no longer here.
    site : array of int
        Code of the site.
    queue_place, market_place : array of float
        Place in [0, 1) on the cumulated shares of the queues and of the markets.
    """

    hired: np.ndarray
    joined: np.ndarray
    left: np.ndarray
    site: np.ndarray
    queue_place: np.ndarray
    market_place: np.ndarray


@dataclass(frozen=True)
class People:
    """The moderators of a simulation in order of hiring, one entry each.

    Attributes
    ----------
    hired, joined, left : array of int
        As in `Stints`; `left` may lie beyond the simulation.
    site, vendor : array of int
        Codes.
    effect : array of float
        Random effect on the logit, sd `world.MODERATOR_SD`.
    pace : array of float
        Decisions per hour relative to others of the same tenure, mean 1.
    attendance : array (moderator, week)
        Hours relative to a full week; 0 when away.
    queue_place, market_place : array (moderator, month)
        The level at this place of the month's cumulated shares is the moderator's home. When
        shares move, the moderators near a border move with them.
    """

    hired: np.ndarray
    joined: np.ndarray
    left: np.ndarray
    site: np.ndarray
    vendor: np.ndarray
    effect: np.ndarray
    pace: np.ndarray
    attendance: np.ndarray
    queue_place: np.ndarray
    market_place: np.ndarray


def spread(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return n uniform numbers, one in each n-th of [0, 1), in random order."""
    return (rng.permutation(n) + rng.random(n)) / max(n, 1)


def place(share: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the level at a place in [0, 1) of cumulated shares (which need not sum to 1)."""
    edges = np.cumsum(share)
    return np.searchsorted(edges[:-1], where * edges[-1], side="right")


def _tenure_so_far(rng: np.random.Generator, n: int) -> np.ndarray:
    """Stationary tenures in days: the inverse of the geometric distribution function."""
    return (np.log1p(-spread(rng, n)) / np.log1p(-world.LEAVING)).astype(int)


def _is_replaced(site: np.ndarray) -> np.ndarray:
    return world.SITE_VENDOR[site] == world.REPLACED_VENDOR


def _seat_holders(rng: np.random.Generator, seats: int, days: int, swap_day: int) -> Stints:
    """Everybody who holds a seat on one of the days.

    On `swap_day` the seats of the replaced vendor get new holders, of stationary tenure again.
    """
    site = place(world.SITE_SHARE, spread(rng, seats))
    queue_place, market_place = spread(rng, seats), spread(rng, seats)
    seat, joined = np.arange(seats), np.zeros(seats, dtype=int)
    hired = -_tenure_so_far(rng, seats)
    holders = []
    while len(seat):
        left = joined + rng.geometric(world.LEAVING, len(seat))
        swapped = _is_replaced(site[seat]) & (joined < swap_day) & (left >= swap_day)
        left = np.where(swapped, swap_day, left)
        holders.append((seat, hired, joined, left))
        hired = np.where(swapped, swap_day - _tenure_so_far(rng, len(seat)), left)
        goes_on = left < days
        seat, hired, joined = seat[goes_on], hired[goes_on], left[goes_on]
    seat, hired, joined, left = (np.concatenate(c) for c in zip(*holders, strict=True))
    return Stints(hired, joined, left, site[seat], queue_place[seat], market_place[seat])


def _wave(rng: np.random.Generator, heads: float, swap_day: int) -> Stints:
    """The class of 1 April; those at the sites of the replaced vendor change over on `swap_day`."""
    n = int(heads + rng.random()) if heads else 0  # rounded at random: the expected size is exact
    stays = spread(rng, n) < WAVE_KEPT
    joined, left = np.full(n, WAVE_DAY), np.where(stays, _NEVER, WAVE_DAY + WAVE_PROBATION_DAYS)
    site = place(world.SITE_SHARE, spread(rng, n))
    queue_place, market_place = spread(rng, n), spread(rng, n)
    swapped = np.flatnonzero(_is_replaced(site) & (joined < swap_day) & (left > swap_day))
    row = np.append(np.arange(n), swapped)
    joined, left = joined[row], left[row]
    left[swapped], joined[n:] = swap_day, swap_day
    hired = np.full(len(row), WAVE_DAY)
    return Stints(hired, joined, left, site[row], queue_place[row], market_place[row])


def _moving(rng: np.random.Generator, start: np.ndarray, months: int) -> np.ndarray:
    """The places of moderators month by month, a few redrawn each month."""
    places = np.empty((len(start), months))
    places[:, 0] = start
    for t in range(1, months):
        moves = rng.random(len(start)) < MOVING
        places[:, t] = np.where(moves, rng.random(len(start)), places[:, t - 1])
    return places


def hire(
    rng: np.random.Generator, seats: int, months: int, wave: float, swap_month: int | None
) -> People:
    """Return the moderators of a simulation.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    seats : int
        Moderators at work on a quiet day.
    months : int
        Length of the simulation.
    wave : float
        Size of the class of 1 April per seat; 0 if it does not come.
    swap_month : int or None
        Month in which another vendor takes over from the replaced one.
    """
    days = int(world.MONTH_STARTS[months])
    swap_day = _NEVER if swap_month is None else int(world.MONTH_STARTS[swap_month])
    if days <= WAVE_DAY:
        wave = 0.0
    groups = [_seat_holders(rng, seats, days, swap_day), _wave(rng, wave * seats, swap_day)]
    order = np.argsort(np.concatenate([g.hired for g in groups]), kind="stable")
    hired, joined, left, site, queue_place, market_place = (
        np.concatenate([getattr(g, name) for g in groups])[order]
        for name in ("hired", "joined", "left", "site", "queue_place", "market_place")
    )
    n = len(order)
    weeks = int(world.week_of(np.array(days - 1))) + 1
    vendor = np.searchsorted(world.VENDORS, world.SITE_VENDOR[site])
    vendor[_is_replaced(site) & (joined >= swap_day)] = world.VENDORS.index(world.SUCCESSOR)
    present = rng.random((n, weeks)) >= AWAY
    return People(
        hired=hired,
        joined=joined,
        left=left,
        site=site,
        vendor=vendor,
        effect=rng.normal(0.0, world.MODERATOR_SD, n),
        pace=rng.gamma(1 / PACE_SD**2, PACE_SD**2, n),
        attendance=present * rng.uniform(*ATTENDANCE, (n, weeks)),
        queue_place=_moving(rng, queue_place, months),
        market_place=_moving(rng, market_place, months),
    )
