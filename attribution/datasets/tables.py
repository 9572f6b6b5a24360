"""From arrays of codes to the data frames an operation would export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from attribution.datasets import world
from attribution.datasets.appeals import Appeals
from attribution.datasets.decisions import AT_HOME, DAY_SECONDS, NO_ERROR, Decisions, working_days
from attribution.datasets.events import Conditions, Event
from attribution.datasets.people import People, place
from attribution.datasets.reviews import DESIGNS, STRATA, Reviews

# Paid hours per day of a moderator whose home queue has the mean handle time; those of slower
# queues get more. Moderators give these queues part of their week.
DAY_HOURS = 0.90
GUIDELINES = ("2025.1", "2025.2")
_RISK_TIERS = ("standard", "high")


def named(codes: np.ndarray, names: Any, *, ordered: bool = False) -> pd.Categorical[Any]:
    """Return codes as a categorical; a code of -1 is null."""
    dtype = pd.CategoricalDtype([str(n) for n in names], ordered=ordered)
    return pd.Categorical.from_codes(codes, dtype=dtype)


def stamps(seconds: np.ndarray) -> np.ndarray:
    """Return seconds since the start of the year as time stamps."""
    return world.YEAR_START.astype("datetime64[s]") + seconds.astype("timedelta64[s]")


def _dates(days: np.ndarray) -> np.ndarray:
    return stamps(days.astype(np.int64) * DAY_SECONDS)


def _moderator_ids(people: People) -> list[str]:
    return [f"M{i + 1:05d}" for i in range(len(people.hired))]


def _where_done(made: Decisions, people: People, row: np.ndarray | slice, months: int) -> dict:
    """The columns that say when, by whom and on what a decision was made."""
    who, market = made.moderator[row], made.market[row]
    regions = sorted(set(world.REGION.tolist()))
    return {
        "month": named(made.month[row], world.MONTHS[:months], ordered=True),
        "moderator_id": named(who, _moderator_ids(people)),
        "queue": named(made.queue[row], world.QUEUES),
        "policy": named(made.policy[row], world.POLICIES),
        "market": named(market, world.MARKETS),
        "region": named(np.searchsorted(regions, world.REGION)[market], regions),
        "tenure": named(made.tenure[row], world.TENURES, ordered=True),
        "site": named(people.site[who], world.SITES),
        "vendor": named(people.vendor[who], world.VENDORS),
    }


def _rules(made: Decisions, row: np.ndarray | slice, refresh: Event | None) -> dict:
    """Risk tier and guideline version of a decision."""
    queue, policy, market = made.queue[row], made.policy[row], made.market[row]
    start = len(world.MONTHS) if refresh is None else refresh.start
    renewed = (policy == world.level(world.POLICIES, "minors")) & (made.month[row] >= start)
    return {
        "risk_tier": named(world.HIGH_RISK[queue, policy, market].astype(np.int8), _RISK_TIERS),
        "guideline_version": named(renewed.astype(np.int8), GUIDELINES),
    }


def decisions_frame(
    made: Decisions, people: People, months: int, refresh: Event | None
) -> pd.DataFrame:
    """One row per decision."""
    sla = world.SLA_HOURS[made.queue].astype(np.int64) * 3600
    return pd.DataFrame(
        {
            "decision_id": np.arange(1, len(made) + 1),
            **_where_done(made, people, slice(None), months),
            **_rules(made, slice(None), refresh),
            "enqueued_at": stamps(made.enqueued),
            "due_at": stamps(made.enqueued + sla),
            "decided_at": stamps(made.decided),
            "in_sla": (made.decided - made.enqueued <= sla).astype(np.int8),
            "handle_seconds": made.handle,
            "actioned": made.actioned.astype(np.int8),
        },
        copy=False,
    )


def reviews_frame(
    made: Decisions, found: Reviews, people: People, months: int, refresh: Event | None
) -> pd.DataFrame:
    """One row per review."""
    row, error = found.row, made.error[found.row]
    counted = ~found.void
    shown_error = np.where(counted & (error != NO_ERROR), error + 1, 0)
    monday = np.unique(world.week_of(made.day[row].astype(np.int64)), return_inverse=True)
    week_names = [str(d)[:10] for d in _dates(monday[0] * 7 - 2)]
    return pd.DataFrame(
        {
            "review_id": np.arange(1, len(row) + 1),
            "decision_id": row + 1,
            **_where_done(made, people, row, months),
            **_rules(made, row, refresh),
            "week": named(monday[1], week_names, ordered=True),
            "decided_at": stamps(made.decided[row]),
            "reviewed_at": stamps(found.reviewed),
            "design": named(found.design, DESIGNS),
            "stratum": named(found.stratum, STRATA),
            "inclusion_prob": found.inclusion,
            "weight": np.nan_to_num(1 / found.inclusion, nan=0.0),
            "void": found.void,
            "reviewed": counted.astype(np.int8),
            "correct": (counted & (error == NO_ERROR)).astype(np.int8),
            "error_type": named(shown_error, ("none", *world.ERRORS)),
            "second_correct": pd.array(found.second, dtype="Int8").copy(),
            "severity": world.SEVERITY[made.policy[row]].astype(np.int8),
            "actioned": made.actioned[row].astype(np.int8),
            "violating": made.violating[row].astype(np.int8),
        }
    ).assign(second_correct=lambda f: f["second_correct"].mask(f["second_correct"] < 0))


def appeals_frame(made: Decisions, filed: Appeals, people: People, months: int) -> pd.DataFrame:
    """One row per appeal; open at the end of the data: no date, not decided, not overturned."""
    row = filed.row
    closed = filed.decided < int(world.MONTH_STARTS[months]) * DAY_SECONDS
    decided_at = stamps(filed.decided)
    decided_at[~closed] = np.datetime64("NaT")
    return pd.DataFrame(
        {
            "appeal_id": np.arange(1, len(row) + 1),
            "decision_id": row + 1,
            **_where_done(made, people, row, months),
            "filed_at": stamps(filed.filed),
            "decided_at": decided_at,
            "decided": closed.astype(np.int8),
            "overturned": (closed & filed.overturned).astype(np.int8),
        }
    )


def open_items_frame(
    queue: np.ndarray, policy: np.ndarray, market: np.ndarray, enqueued: np.ndarray
) -> pd.DataFrame:
    """One row per item that waits when the data end."""
    sla = world.SLA_HOURS[queue].astype(np.int64) * 3600
    return pd.DataFrame(
        {
            "queue": named(queue, world.QUEUES),
            "policy": named(policy, world.POLICIES),
            "market": named(market, world.MARKETS),
            "enqueued_at": stamps(enqueued),
            "due_at": stamps(enqueued + sla),
        }
    )


def _load(home_queue: np.ndarray) -> np.ndarray:
    """Handle time of a moderator's usual work relative to the mean of a quiet day."""
    mean = world.HANDLE_SECONDS @ world.QUEUE_SHARE
    return (AT_HOME * world.HANDLE_SECONDS[home_queue] + (1 - AT_HOME) * mean) / mean


def moderators_frame(made: Decisions, people: People, by_month: list[Conditions]) -> pd.DataFrame:
    """One row per moderator and month in which the moderator was there."""
    months, n = len(by_month), len(people.hired)
    end = world.MONTH_STARTS[months]
    cell = made.moderator.astype(np.int64) * months + made.month
    decided = np.bincount(cell, minlength=n * months).reshape(n, months)
    handled = np.bincount(cell, weights=made.handle, minlength=n * months).reshape(n, months) / 3600
    cohort = pd.DatetimeIndex(_dates(people.hired)).to_period("Q")
    cohorts = sorted(set(cohort))
    cohort_code = np.array([cohorts.index(q) for q in cohort])
    leave = _dates(people.left)
    leave[people.left >= end] = np.datetime64("NaT")
    frames = []
    for t, now in enumerate(by_month):
        days = np.arange(world.MONTH_STARTS[t], world.MONTH_STARTS[t + 1])
        there = (people.joined[:, None] <= days) & (days < people.left[:, None])
        who = np.flatnonzero(there.any(axis=1))
        last_day = np.minimum(people.left[who] - 1, days[-1])
        home_queue = place(now.queue_share, people.queue_place[who, t])
        home_market = place(now.market_share, people.market_place[who, t])
        hours = DAY_HOURS * _load(home_queue)
        paid = hours * (there[who] * world.DAY_WEIGHT[days]).sum(axis=1)
        # Whoever is busy for longer than rostered stays longer.
        attended = np.maximum(hours * working_days(people, days)[who].sum(axis=1), handled[who, t])
        columns = {
            "moderator_id": named(who, _moderator_ids(people)),
            "month": named(np.full(len(who), t), world.MONTHS[:months], ordered=True),
            "site": named(people.site[who], world.SITES),
            "vendor": named(people.vendor[who], world.VENDORS),
            "hire_date": _dates(people.hired[who]),
            "hire_cohort": named(cohort_code[who], [f"{q.year}-Q{q.quarter}" for q in cohorts]),
            "leave_date": leave[who],
            "tenure": named(
                world.band_of(last_day - people.hired[who]), world.TENURES, ordered=True
            ),
            "home_queue": named(home_queue, world.QUEUES),
            "home_market": named(home_market, world.MARKETS),
            "paid_hours": np.maximum(paid, attended),
            "attended_hours": attended,
            "productive_hours": handled[who, t],
            "decisions": decided[who, t],
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def events_frame(scales: Mapping[Event, float], months: int) -> pd.DataFrame:
    """The event log: one row per event that is on and begins within the data."""
    rows = [
        (e.name, e.label, world.MONTHS[e.start], e.dimension, e.segment, scale)
        for e, scale in scales.items()
        if scale and e.start < months
    ]
    columns = ["event", "label", "start", "dimension", "segment", "scale"]
    return pd.DataFrame(rows, columns=columns)
