"""What is true in a simulated operation: expected KPIs, effects of the events, true bridges.

An oracle for the engine, so it shares no code with it: it works on dense arrays of the expected
segments and solves its least squares with numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from attribution.datasets import world
from attribution.datasets.events import Event, conditions
from attribution.datasets.expected import KPIS, Expected, expect

DIMENSIONS = ("queue", "policy", "market", "tenure")
# effect, dimension, segment, estimate
Row = tuple[str, str | None, str | None, float]
_LEVELS = (world.QUEUES, world.POLICIES, world.MARKETS, world.TENURES)


@dataclass(frozen=True, eq=False)
class Truth:
    """The expected figures behind a simulation; no noise in any of them.

    Attributes
    ----------
    kpis : DataFrame
        month, accuracy (share correct), volume (decisions), aht_seconds, sla (share in SLA).
    effects : DataFrame
        month, event and the event's effect on each KPI, in KPI units: exact Shapley values over
        the on/off toggles of the events. They add up to (the month) - (the month without events).
    cells : DataFrame
        month, queue, policy, market, tenure, volume (expected decisions), correct (expected
        correct decisions): the toolkit run on it must reproduce `bridges`.
    bridges : DataFrame
        For every two consecutive months the midpoint bridge of accuracy: baseline, current,
        effect (mix, joint, rate, entry), dimension, segment, estimate (share of 1).
    """

    kpis: pd.DataFrame
    effects: pd.DataFrame
    cells: pd.DataFrame
    bridges: pd.DataFrame


def shapley(
    players: tuple[Event, ...], value: Callable[[frozenset[Event]], np.ndarray]
) -> dict[Event, np.ndarray]:
    """Return the exact Shapley value of each player.

    phi_i = sum over A without i of |A|! (n - |A| - 1)! / n! (v(A + i) - v(A))

    Parameters
    ----------
    players : tuple of Event
        The toggles.
    value : callable
        The figures when these players are on.
    """
    n = len(players)
    v = {
        frozenset(on): value(frozenset(on))
        for size in range(n + 1)
        for on in combinations(players, size)
    }
    return {
        i: np.sum(
            [
                factorial(len(a)) * factorial(n - len(a) - 1) / factorial(n) * (v[a | {i}] - v[a])
                for a in v
                if i not in a
            ],
            axis=0,
        )
        for i in players
    }


def bridge(baseline: Expected, current: Expected) -> list[Row]:
    """Return the rows of one true midpoint bridge.

    Mix is split between the dimensions by the adjusted rule: with weights p̄_c the midpoint rates
    are fitted additively, r̄_c = mu + sum_d alpha_d(l_d(c)) + e_c, and

        mix_d = sum_l Δp_d(l) alpha_d(l),   joint = sum_c Δp_c e_c,   rate = sum_c p̄_c Δr_c.

    A market without volume in the baseline is entry; nothing in this world ever leaves.
    """
    new = (baseline.volume.sum(axis=(0, 1, 3)) == 0) & (current.volume.sum(axis=(0, 1, 3)) > 0)
    stays = ~new[:, None] & (baseline.volume + current.volume > 0)
    n0, n1, r0, r1 = (
        x[stays] for x in (baseline.volume, current.volume, baseline.rate, current.rate)
    )
    p0, p1 = n0 / n0.sum(), n1 / n1.sum()
    weight, rate, moved = (p0 + p1) / 2, (r0 + r1) / 2, p1 - p0
    dummies = [
        np.eye(size)[code] for size, code in zip(stays.shape, np.nonzero(stays), strict=True)
    ]
    design = np.hstack([np.ones((len(rate), 1)), *dummies])
    root = np.sqrt(weight)
    fit = np.linalg.lstsq(design * root[:, None], rate * root, rcond=None)[0]
    alphas = np.split(fit[1:], np.cumsum([d.shape[1] for d in dummies])[:-1])
    rows: list[Row] = [
        ("mix", name, None, float(moved @ dummy @ alpha))
        for name, dummy, alpha in zip(DIMENSIONS, dummies, alphas, strict=True)
    ]
    rows.append(("joint", None, None, float(moved @ (rate - design @ fit))))
    rows.append(("rate", None, None, float(weight @ (r1 - r0))))
    for market in np.flatnonzero(new):
        volume, theirs = current.volume[:, :, market], current.rate[:, :, market]
        gap = (volume * (theirs - p1 @ r1)).sum() / current.volume.sum()
        rows.append(("entry", "market", str(world.MARKETS[market]), float(gap)))
    return rows


def _cells(month: int, expected: Expected) -> pd.DataFrame:
    """The expected segments of a month that have volume, one row each."""
    filled = expected.volume > 0
    codes = dict(zip(DIMENSIONS, np.nonzero(filled), strict=True))
    frame = {"month": np.full(int(filled.sum()), world.MONTHS[month])}
    frame |= {d: levels[codes[d]] for d, levels in zip(DIMENSIONS, _LEVELS, strict=True)}
    frame["volume"] = expected.volume[filled]
    frame["correct"] = (expected.volume * expected.rate)[filled]
    return pd.DataFrame(frame)


def true_figures(months: int, scales: Mapping[Event, float], quiet_volume: float) -> Truth:
    """Return the truth of a simulation.

    Parameters
    ----------
    months : int
        How many months, from January.
    scales : mapping
        Event -> scale, as for `events.conditions`.
    quiet_volume : float
        Decisions in a quiet month.
    """
    by_month, effects = [], []
    for t in range(months):
        players = tuple(e for e, scale in scales.items() if scale and e.active(t))
        # Toggling an event that is not under way changes nothing: only the others are players.
        phi = shapley(
            players,
            lambda on, t=t: (
                expect(
                    t, conditions(t, {e: s for e, s in scales.items() if e in on}), quiet_volume
                ).kpis
            ),
        )
        by_month.append(expect(t, conditions(t, scales), quiet_volume))
        nothing = np.zeros(len(KPIS))
        effects += [(world.MONTHS[t], e.name, *phi.get(e, nothing)) for e in scales]
    kpis = pd.DataFrame([e.kpis for e in by_month], columns=list(KPIS))
    kpis.insert(0, "month", list(world.MONTHS[:months]))
    bridges = [
        (world.MONTHS[t - 1], world.MONTHS[t], *row)
        for t in range(1, months)
        for row in bridge(by_month[t - 1], by_month[t])
    ]
    return Truth(
        kpis=kpis,
        effects=pd.DataFrame(effects, columns=["month", "event", *KPIS]),
        cells=pd.concat([_cells(t, e) for t, e in enumerate(by_month)], ignore_index=True),
        bridges=pd.DataFrame(
            bridges,
            columns=["baseline", "current", "effect", "dimension", "segment", "estimate"],
        ),
    )
