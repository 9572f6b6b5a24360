"""What happens to the operation, month by month: the events of the story and those on request.

An event turns the `Conditions` of a month into other conditions. Scale 0 switches it off, 2 applies
it twice: heads, logits and launched volume are multiplied by the scale, factors raised to it. The
order of application does not matter: logits add, factors multiply, and no two events that move
shares move them in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from attribution.datasets.world import (
    MARKET_SHARE,
    MARKETS,
    POLICIES,
    QUEUE_SHARE,
    QUEUES,
    level,
)


@dataclass(frozen=True)
class Conditions:
    """What holds during one month; the defaults are a quiet month.

    Attributes
    ----------
    queue_share : array (queue)
        Share of the volume.
    market_share : array (market)
        Volume relative to a quiet month; it exceeds 1 in sum once a market is launched.
    volume : float
        Decisions relative to a quiet month.
    queue_logit, market_logit, policy_logit : array
        Shift of the logit. A policy's shift makes only over-enforcement errors.
    logit : float
        Shift of the logit everywhere.
    wave : float
        Extra moderators hired on 1 April, as a fraction of the seats.
    successor_logit : float
        Shift of the logit at the sites of the vendor that was replaced.
    handle : float
        Handle time relative to a quiet month.
    turnaround : array (queue)
        Turnaround relative to a quiet month.
    """

    queue_share: np.ndarray
    market_share: np.ndarray
    queue_logit: np.ndarray
    policy_logit: np.ndarray
    market_logit: np.ndarray
    turnaround: np.ndarray
    volume: float = 1.0
    logit: float = 0.0
    wave: float = 0.0
    successor_logit: float = 0.0
    handle: float = 1.0


QUIET = Conditions(
    queue_share=QUEUE_SHARE,
    market_share=MARKET_SHARE,
    queue_logit=np.zeros(len(QUEUES)),
    policy_logit=np.zeros(len(POLICIES)),
    market_logit=np.zeros(len(MARKETS)),
    turnaround=np.ones(len(QUEUES)),
)


@dataclass(frozen=True)
class Event:
    """One thing that happens.

    Attributes
    ----------
    name, label : str
        The key in `events=`, and what a reader is told.
    start : int
        Month index (0 = January) in which it begins.
    duration : int
        Months it lasts.
    dimension, segment : str
        Where it strikes.
    apply : callable
        (conditions, scale, months since the start) -> conditions.
    """

    name: str
    label: str
    start: int
    duration: int
    dimension: str
    segment: str
    apply: Callable[[Conditions, float, int], Conditions]

    def active(self, month: int) -> bool:
        """Whether the event is under way in a month."""
        return self.start <= month < self.start + self.duration


def _one(names: np.ndarray, **values: float) -> np.ndarray:
    """Zeros, except at the named levels."""
    return sum((np.where(names == n, v, 0.0) for n, v in values.items()), np.zeros(len(names)))


def _held(values: tuple[float, ...], age: int) -> float:
    """The value at an age; the last one holds for good."""
    return values[min(age, len(values) - 1)]


# Calibrated so that the expected accuracies of the story hold (docs/explanation/simulator.md).
WAVE_HEADS = 0.25
# What is left of the class: half of it does not pass the probation of 61 days.
WAVE_PROBATION_DAYS, WAVE_KEPT = 61, 0.5
MIGRATED, UNFAMILIAR, MIGRATED_TURNAROUND = 0.54, -0.52, 1.5
REFRESH = -0.92
LAUNCH_SHARE, LAUNCH_LEARNED = (0.040, 0.060, 0.076), (0.0, 0.0, 0.0, 0.23, 0.35)
SPIKE_LOGIT, SPIKE_VOLUME = (-0.115, -0.108), (1.25, 1.22)
SPIKE_HANDLE, SPIKE_TURNAROUND = (0.84, 0.86), (1.55, 1.40)
REVERSAL_VIDEO, REVERSAL_COMMENTS, REVERSAL_LOGIT = 0.6, 0.6, 0.07
OFFSET_DOWN, OFFSET_UP = -0.35, 0.452
SUCCESSOR_LOGIT = -0.30


def _move(share: np.ndarray, source: str, target: str, kept: float) -> np.ndarray:
    """Shares after a queue passes all but a fraction of its work to another."""
    moved = float(share[level(QUEUES, source)]) * (1 - kept)
    return share + _one(QUEUES, **{source: -moved, target: moved})


def _wave(c: Conditions, scale: float, age: int) -> Conditions:
    return replace(c, wave=c.wave + WAVE_HEADS * scale)


def _migration(c: Conditions, scale: float, age: int) -> Conditions:
    strength = scale * 0.5**age
    return replace(
        c,
        queue_share=_move(c.queue_share, "video", "live", (1 - MIGRATED) ** scale),
        queue_logit=c.queue_logit + _one(QUEUES, live=UNFAMILIAR * strength),
        turnaround=c.turnaround * np.where(QUEUES == "live", MIGRATED_TURNAROUND**strength, 1.0),
    )


def _refresh(c: Conditions, scale: float, age: int) -> Conditions:
    shift = _one(POLICIES, minors=REFRESH * scale * 0.5**age)
    return replace(c, policy_logit=c.policy_logit + shift)


def _launch(c: Conditions, scale: float, age: int) -> Conditions:
    share = _held(LAUNCH_SHARE, age)
    learned = _one(MARKETS, NG=_held(LAUNCH_LEARNED, age))
    return replace(
        c,
        market_share=c.market_share + _one(MARKETS, NG=scale * share / (1 - share)),
        market_logit=c.market_logit + learned,
    )


def _sampling(c: Conditions, scale: float, age: int) -> Conditions:
    return c  # the sample changes, the work does not


def _spike(c: Conditions, scale: float, age: int) -> Conditions:
    return replace(
        c,
        volume=c.volume * _held(SPIKE_VOLUME, age) ** scale,
        logit=c.logit + _held(SPIKE_LOGIT, age) * scale,
        handle=c.handle * _held(SPIKE_HANDLE, age) ** scale,
        turnaround=c.turnaround * _held(SPIKE_TURNAROUND, age) ** scale,
    )


def _reversal(c: Conditions, scale: float, age: int) -> Conditions:
    share = _move(c.queue_share, "video", "live", (1 - REVERSAL_VIDEO) ** scale)
    share = _move(share, "comments", "live", (1 - REVERSAL_COMMENTS) ** scale)
    return replace(c, queue_share=share, logit=c.logit + REVERSAL_LOGIT * scale)


def _offsetting(c: Conditions, scale: float, age: int) -> Conditions:
    shift = _one(MARKETS, BR=OFFSET_DOWN * scale, ID=OFFSET_UP * scale)
    return replace(c, market_logit=c.market_logit + shift)


def _vendor_swap(c: Conditions, scale: float, age: int) -> Conditions:
    return replace(c, successor_logit=c.successor_logit + SUCCESSOR_LOGIT * scale)


STORY = (
    Event("wave", "New-hire wave", 3, 12, "tenure", "0-30", _wave),
    Event("migration", "Queue migration", 5, 12, "queue", "live", _migration),
    Event("refresh", "Policy refresh", 6, 12, "policy", "minors", _refresh),
    Event("launch", "Market launch", 7, 12, "market", "NG", _launch),
    Event("sampling", "QA turns risk-weighted", 8, 12, "design", "risk_weighted", _sampling),
    Event("spike", "Volume spike", 10, 2, "everywhere", "", _spike),
)
ON_REQUEST = (
    Event("reversal", "Every queue up, total down", 2, 1, "queue", "live", _reversal),
    Event("offsetting_pair", "Two markets that cancel", 2, 1, "market", "BR, ID", _offsetting),
    Event("vendor_swap", "Vendor replaced", 2, 12, "vendor", "Vendor 4", _vendor_swap),
)


def conditions(month: int, scales: Mapping[Event, float]) -> Conditions:
    """Return what holds in a month under the events that are on, at their scales."""
    now = QUIET
    for event, scale in scales.items():
        if scale and event.active(month):
            now = event.apply(now, scale, month - event.start)
    return now
