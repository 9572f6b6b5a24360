"""What a caller may ask for: `events=` and `options=` checked, and the faults of the tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from attribution.datasets.events import ON_REQUEST, STORY, Event
from attribution.datasets.world import MONTHS, SITES
from attribution.errors import OptionError, check_option, listing

Tables = dict[str, pd.DataFrame]

LARGEST_SCALE = 5.0
SPLIT_POLICY, SPLIT_CODE, SPLIT_SHARE = "harassment", "bullying", 0.7
DUPLICATED_SHARE = 0.03
SITE_WITHOUT_TENURE = str(SITES[0])


def _policy_code_split(rng: np.random.Generator, tables: Tables, month: str) -> Tables:
    """From the month on most harassment is recorded under a code of its own."""
    decisions = tables["decisions"]
    recoded = (decisions["policy"] == SPLIT_POLICY) & (decisions["month"] >= month)
    ids = decisions.loc[recoded & (rng.random(len(decisions)) < SPLIT_SHARE), "decision_id"]

    def recode(frame: pd.DataFrame) -> pd.DataFrame:
        policy = frame["policy"].cat.add_categories(SPLIT_CODE)
        return frame.assign(policy=policy.mask(frame["decision_id"].isin(ids), SPLIT_CODE))

    return {n: recode(f) if "decision_id" in f else f for n, f in tables.items()}


def _duplicates(rng: np.random.Generator, tables: Tables, month: str) -> Tables:
    """Some decisions of the month, and their reviews, were loaded twice."""
    decisions = tables["decisions"]
    again = (decisions["month"] == month) & (rng.random(len(decisions)) < DUPLICATED_SHARE)
    ids = decisions.loc[again, "decision_id"]

    def twice(frame: pd.DataFrame) -> pd.DataFrame:
        rows = np.repeat(np.arange(len(frame)), 1 + frame["decision_id"].isin(ids))
        return frame.iloc[rows].reset_index(drop=True)

    return tables | {name: twice(tables[name]) for name in ("decisions", "qa_reviews")}


def _missing_tenure(rng: np.random.Generator, tables: Tables, month: str) -> Tables:
    """From the month on the staff records of one site do not arrive."""

    def without(frame: pd.DataFrame) -> pd.DataFrame:
        lost = (frame["site"] == SITE_WITHOUT_TENURE) & (frame["month"] >= month)
        return frame.assign(tenure=frame["tenure"].mask(lost))

    return {n: without(f) if "tenure" in f else f for n, f in tables.items()}


def _missing_month(rng: np.random.Generator, tables: Tables, month: str) -> Tables:
    """The month was never loaded; targets and the event log do not depend on loads."""

    def without(frame: pd.DataFrame) -> pd.DataFrame:
        kept = frame[frame["month"] != month].reset_index(drop=True)
        return kept.assign(month=kept["month"].cat.remove_unused_categories())

    loaded = ("moderators", "decisions", "qa_reviews", "appeals")
    return tables | {name: without(tables[name]) for name in loaded}


FAULTS: dict[str, Callable[[np.random.Generator, Tables, str], Tables]] = {
    "policy_code_split": _policy_code_split,
    "duplicates": _duplicates,
    "missing_tenure": _missing_tenure,
    "missing_month": _missing_month,
}
# The second month: the quiet quarter goes on around it.
FAULT_MONTH = MONTHS[1]


def _names(parameter: str, given: Any, allowed: list[str]) -> Collection[str]:
    """Return the names given, as a mapping if they came as one; one name alone may be a string."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        try:
            given = list(given)
        except TypeError:
            raise OptionError(
                f"{parameter}: {given!r} is neither None nor names out of {listing(allowed)}."
            ) from None
    for name in given:
        check_option(parameter, name, allowed)
    return given


def read_events(events: Iterable[str] | Mapping[str, float] | None) -> dict[Event, float]:
    """Return the story's events with their scales, as `simulate_moderation` documents them."""
    if events is None:
        return dict.fromkeys(STORY, 1.0)
    events = _names("events", events, [e.name for e in STORY])
    if not isinstance(events, Mapping):
        chosen = set(events)
        return {e: float(e.name in chosen) for e in STORY}
    for name, scale in events.items():
        number = isinstance(scale, (int, float, np.integer)) and not isinstance(scale, bool)
        if not number or not math.isfinite(scale) or not 0 <= scale <= LARGEST_SCALE:
            raise OptionError(
                f"events: the scale of {name!r} is {scale!r}; allowed are numbers from 0 (off) "
                f"to {LARGEST_SCALE:g}."
            )
    return {e: float(events.get(e.name, 1.0)) for e in STORY}


def read_options(
    options: Iterable[str] | Mapping[str, str] | None, months: int
) -> tuple[dict[Event, float], dict[str, str]]:
    """Return (events on request, faults with their months) as `simulate_moderation` documents."""
    on_request = {e.name: e for e in ON_REQUEST}
    start = {n: MONTHS[e.start] for n, e in on_request.items()} | dict.fromkeys(FAULTS, FAULT_MONTH)
    options = _names("options", () if options is None else options, list(start))
    chosen = dict(options) if isinstance(options, Mapping) else {n: start[n] for n in options}
    for name, month in chosen.items():
        if month not in MONTHS[:months]:
            raise OptionError(
                f"options: {name!r} strikes in {month!r}, which is not one of the simulated months "
                f"{MONTHS[0]!r} to {MONTHS[months - 1]!r}; give another as {{{name!r}: month}}."
            )
    extra = {
        replace(event, start=MONTHS.index(chosen[name])): 1.0
        for name, event in on_request.items()
        if name in chosen
    }
    return extra, {name: chosen[name] for name in FAULTS if name in chosen}
