"""The expected segments and KPIs of a month: the model of the simulator without its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from attribution.datasets import world
from attribution.datasets.events import (
    WAVE_KEPT,
    WAVE_PROBATION_DAYS,
    Conditions,
)

WAVE_DAY = int(world.MONTH_STARTS[3])
SUCCESSOR_SHARE = float(
    world.SITE_SHARE[world.SITE_VENDOR == world.REPLACED_VENDOR].sum() / world.SITE_SHARE.sum()
)
KPIS = ("accuracy", "volume", "aht_seconds", "sla")
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


@dataclass(frozen=True)
class Expected:
    """Expected volume and probability correct per segment.

    Attributes
    ----------
    volume, rate : array (queue, policy, market, tenure)
        Decisions, and the probability that one is correct.
    kpis : array (4)
        accuracy, volume, handle seconds, share within SLA: the order of `KPIS`.
    """

    volume: np.ndarray
    rate: np.ndarray
    kpis: np.ndarray


def stationary_bands() -> np.ndarray:
    """Return the shares of moderators per tenure band when nothing has happened."""
    still_there = (1 - world.LEAVING) ** np.append(world.TENURE_START, np.inf)
    return still_there[:-1] - still_there[1:]


def tenure_share(month: int, wave: float) -> np.ndarray:
    """Return the share of the month's decisions per tenure band.

    Seats keep the stationary distribution; the class of 1 April (`wave`, per seat) ages together.
    """
    days = np.arange(world.MONTH_STARTS[month], world.MONTH_STARTS[month + 1])
    weight = world.DAY_WEIGHT[days]
    heads = stationary_bands() * weight.sum()
    age = days - WAVE_DAY
    if wave and age[-1] >= 0:
        kept = np.where(age < WAVE_PROBATION_DAYS, 1.0, WAVE_KEPT)
        heads = heads + wave * np.bincount(
            world.band_of(age), weights=weight * kept, minlength=len(heads)
        )
    work = heads * world.TENURE_SPEED
    return work / work.sum()


def marginal(logit: np.ndarray) -> np.ndarray:
    """Return E[expit(logit + u)], u ~ N(0, MODERATOR_SD²), by Gauss-Hermite quadrature."""
    total = np.zeros_like(logit)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total += weight * expit(logit + world.MODERATOR_SD * node)
    return total / _WEIGHTS.sum()


def segment_logit(now: Conditions) -> np.ndarray:
    """Return the logit per segment, the policies' own shift left out (see `decisions`)."""
    return (
        world.BASE_LOGIT
        + now.logit
        + now.queue_logit[:, None, None, None]
        + now.market_logit[:, None]
    )


def expect(month: int, now: Conditions, quiet_volume: float) -> Expected:
    """Return the expected segments of a month.

    Parameters
    ----------
    month : int
        Month index, 0 = January.
    now : Conditions
        What holds in the month.
    quiet_volume : float
        Decisions in a quiet month.
    """
    by_work = now.queue_share[:, None, None] * now.market_share[:, None] * world.POLICY_SHARE
    share = tenure_share(month, now.wave)
    volume = quiet_volume * now.volume * np.swapaxes(by_work, 1, 2)[..., None] * share
    logit = segment_logit(now) + now.policy_logit[:, None, None]
    rate = marginal(logit)
    if now.successor_logit:
        theirs = marginal(logit + now.successor_logit)
        rate = (1 - SUCCESSOR_SHARE) * rate + SUCCESSOR_SHARE * theirs
    total = volume.sum()
    handle = world.HANDLE_SECONDS @ now.queue_share * (world.TENURE_HANDLE @ share) * now.handle
    slack = -np.log(world.TURNAROUND_SHARE * now.turnaround) / world.TURNAROUND_SD
    sla = ndtr(slack) @ now.queue_share
    return Expected(volume, rate, np.array([(volume * rate).sum() / total, total, handle, sla]))
