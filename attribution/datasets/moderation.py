"""`simulate_moderation`: a year of content-moderation operations whose causes are known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from attribution.datasets import world
from attribution.datasets.appeals import appeal
from attribution.datasets.decisions import Decisions, decide, still_open
from attribution.datasets.events import conditions
from attribution.datasets.export import write_tables
from attribution.datasets.options import FAULTS, read_events, read_options
from attribution.datasets.people import hire
from attribution.datasets.plan import targets
from attribution.datasets.reviews import review
from attribution.datasets.tables import (
    appeals_frame,
    decisions_frame,
    events_frame,
    moderators_frame,
    open_items_frame,
    reviews_frame,
)
from attribution.datasets.truth import Truth, true_figures
from attribution.errors import OptionError, check_option
from attribution.progress import progress


@dataclass(frozen=True, eq=False, repr=False)
class Moderation:
    """A simulated operation: seven tables and what is true about them.

    Attributes
    ----------
    moderators : DataFrame
        One row per moderator and month: site, vendor, hire and leave dates, hire cohort, tenure
        band at the end of the month, home queue and market, paid, attended and productive hours,
        decisions.
    decisions : DataFrame
        One row per decision: month, moderator, segment, risk tier, guideline version, the stamps
        enqueued_at, due_at and decided_at, in_sla, handle_seconds, actioned.
    qa_reviews : DataFrame
        One row per review of a decision. `correct` / `reviewed` is accuracy; void reviews are 0 in
        both. `weight` is 1 / inclusion_prob; it is 0 for targeted (coaching) reviews, which have
        no inclusion probability and represent nobody. `second_correct` is null unless a second
        reviewer labeled the decision too.
    appeals : DataFrame
        One row per appeal, by the month of the action: overturn rate = overturned / decided. The
        last cohorts are not mature: open appeals have no decided_at.
    targets : DataFrame
        The plan: volume and target per month, kpi, queue and market.
    events : DataFrame
        The event log.
    open_items : DataFrame
        What waits in the queues when the data end; with `decisions` it makes SLA attainment by due
        date and the backlog of every moment computable.
    truth : Truth
        Expected figures, effects of the events, expected segments, true bridges.
    """

    moderators: pd.DataFrame
    decisions: pd.DataFrame
    qa_reviews: pd.DataFrame
    appeals: pd.DataFrame
    targets: pd.DataFrame
    events: pd.DataFrame
    open_items: pd.DataFrame
    truth: Truth

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by name, those of the truth as "truth_kpis", "truth_effects" ..."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "truth"}
        return own | {f"truth_{f.name}": getattr(self.truth, f.name) for f in fields(self.truth)}

    def write(self, folder: str | os.PathLike[str], format: str = "parquet") -> list[Path]:
        """Write all tables as files.

        Parameters
        ----------
        folder : path
            Made if it is not there; files of the same names are replaced.
        format : {"parquet", "csv", "duckdb"}
            A file per table, or the one database "moderation.duckdb".

        Returns
        -------
        list of Path
            The files written.

        Raises
        ------
        OptionError
            The format is not one of the three.
        """
        return write_tables(self.tables(), folder, format)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Moderation):
            return NotImplemented
        theirs = other.tables()
        return all(frame.equals(theirs[name]) for name, frame in self.tables().items())

    def __repr__(self) -> str:
        months = self.truth.kpis["month"]
        moderators = self.moderators["moderator_id"].nunique()
        return (
            f"<Moderation {months.iloc[0]} to {months.iloc[-1]}: {len(self.decisions):,} "
            f"decisions, {len(self.qa_reviews):,} reviews, {moderators:,} moderators>"
        )


def simulate_moderation(
    size: str = "small",
    months: int = 12,
    seed: int = 0,
    *,
    events: Iterable[str] | Mapping[str, float] | None = None,
    options: Iterable[str] | Mapping[str, str] | None = None,
) -> Moderation:
    r"""Simulate a year (2025) of content-moderation operations with known causes.

    A decision is correct with probability p,

    .. math:: \operatorname{logit} p = 2.84 + queue + policy + market + tenure + moderator + events

    with a moderator effect of standard deviation 0.25. Quality assurance reviews eight decisions
    per moderator and week, so inclusion probabilities differ between moderators: weight by
    `weight`. From September 2025 the sample is risk-weighted as well.

    Parameters
    ----------
    size : {"small", "standard", "large"}
        6,000, 60,000 or 400,000 decisions in a quiet month.
    months : int
        1 to 12, from January 2025.
    seed : int
        The same seed gives the same frames, and the same bytes in CSV files.
    events : iterable of str, or mapping of str to float, optional
        The story: "wave", "migration", "refresh", "launch", "sampling", "spike". None: all of them.
        An iterable: only these. A mapping: these at the given scale, 0 (off) to 5, the others at 1.
        Scale 2 applies an event twice (double the heads, logits, launched volume; factors squared).
    options : iterable of str, or mapping of str to str, optional
        On request, each in a quiet month or in the month a mapping names. They change the
        operation and its truth: "reversal" (every queue better, the total worse, for a month),
        "offsetting_pair" (two markets that cancel, for a month), "vendor_swap" (a vendor is
        replaced by a less accurate one). They spoil the tables and leave the truth alone:
        "policy_code_split" (most of a policy is recorded under a new code), "duplicates" (rows of
        the month loaded twice), "missing_tenure" (null at one site), "missing_month" (not loaded).

    Returns
    -------
    Moderation
        Frozen, with the tables as data frames and `truth`; `write(folder, format)` makes files.

    Raises
    ------
    OptionError
        An argument is not one of the allowed values; the message names them.

    Notes
    -----
    Data come from `numpy.random.Generator`\ s spawned from one `SeedSequence`; global random state
    is neither read nor changed. Expected values, effects and the calibration are in
    docs/explanation/simulator.md.

    Examples
    --------
    >>> import attribution as at
    >>> ops = at.datasets.simulate_moderation("small", months=4, seed=1)
    >>> ops.truth.kpis[["month", "accuracy"]].round(4)
         month  accuracy
    0  2025-01    0.9265
    1  2025-02    0.9265
    2  2025-03    0.9265
    3  2025-04    0.9142
    """
    check_option("size", size, list(world.VOLUME))
    if isinstance(months, bool) or months not in range(1, 13):
        raise OptionError(f"months: {months!r} is not a whole number from 1 to 12.")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(f"seed: {seed!r} is not a whole number of 0 or more.")
    months = int(months)
    scales = read_events(events)
    on_request, faults = read_options(options, months)
    scales |= on_request
    active = {e.name: (e, s) for e, s in scales.items() if s}

    quiet_volume = float(world.VOLUME[size])
    by_month = [conditions(t, scales) for t in range(months)]
    days = int(world.MONTH_STARTS[months])
    # One stream per purpose and month: switching one thing leaves the luck of the others alone.
    people_seed, work_seed, review_seed, appeal_seed, open_seed, fault_seed = (
        np.random.SeedSequence(int(seed)).spawn(6)
    )
    swap = active.get("vendor_swap")
    people = hire(
        np.random.default_rng(people_seed),
        world.SEATS[size],
        months,
        max(c.wave for c in by_month),
        swap[0].start if swap else None,
    )
    month_seeds = work_seed.spawn(12)
    each = (
        decide(np.random.default_rng(month_seeds[t]), t, by_month[t], people, quiet_volume)
        for t in range(months)
    )
    made = Decisions.concatenate(list(progress(each, months, "months simulated")))
    sampling = active.get("sampling")
    found = review(
        np.random.default_rng(review_seed),
        made,
        days,
        sampling[0].start if sampling else len(world.MONTHS),
        sampling[1] if sampling else 0.0,
    )
    filed = appeal(np.random.default_rng(appeal_seed), made, days)
    waiting = still_open(np.random.default_rng(open_seed), months - 1, by_month[-1], quiet_volume)
    refresh = active["refresh"][0] if "refresh" in active else None
    tables = {
        "moderators": moderators_frame(made, people, by_month),
        "decisions": decisions_frame(made, people, months, refresh),
        "qa_reviews": reviews_frame(made, found, people, months, refresh),
        "appeals": appeals_frame(made, filed, people, months),
        "targets": targets(months, scales, quiet_volume),
        "events": events_frame(scales, months),
        "open_items": open_items_frame(*waiting),
    }
    fault_seeds = dict(zip(FAULTS, fault_seed.spawn(len(FAULTS)), strict=True))
    for name, month in faults.items():
        tables = FAULTS[name](np.random.default_rng(fault_seeds[name]), tables, month)
    return Moderation(**tables, truth=true_figures(months, scales, quiet_volume))
