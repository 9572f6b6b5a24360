"""Targets: a plan with its versions, what it asks of whom, and what it needs of people."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import ColumnTypeError, OptionError, check_option, listing, nearest
from attribution.filed import Filed
from attribution.formatting import Format, aligned, tiny
from attribution.goals import Labels, day
from attribution.labels import label_of, plural
from attribution.metrics import Metric
from attribution.privacy.rules import without_names
from attribution.targets.shown import shown_of_plan

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from attribution.privacy import Privacy
    from attribution.privacy.entities import Protected

__all__ = ["Targets", "Version"]


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a plan.

    Attributes
    ----------
    number : int
        From 1.
    effective : datetime.date or None
        From when on it is in force; None: from the start.
    method : str
    overall : float
        What the targets roll up to at the planned mix.
    labels : tuple of tuple of str
        The levels of each segment.
    columns : dict of str to ndarray
        One value per segment; see `Targets.frame`.
    notes : tuple of str
        Why a target is where it is, "" where nothing is special.
    findings : tuple of dict
    """

    number: int
    effective: dt.date | None
    method: str
    overall: float
    labels: tuple[Labels, ...]
    columns: dict[str, np.ndarray]
    notes: tuple[str, ...]
    findings: tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Targets(Filed):
    """Targets per segment; made by `attribution.targets.plan` and `cascade`.

    Attributes
    ----------
    metric : Metric
    by : tuple of str
        The columns that tell the segments.
    versions : tuple of Version
        In the order in which they come into force.
    """

    metric: Metric
    by: tuple[str, ...]
    versions: tuple[Version, ...]

    @property
    def overall(self) -> float:
        """What the targets of the latest version roll up to at the planned mix."""
        return self.versions[-1].overall

    @cached_property
    def _frame(self) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for version in self.versions:
            labels = version.labels
            names = {d: [x[i] for x in labels] for i, d in enumerate(self.by)}
            frame = pd.DataFrame({"segment": [" × ".join(x) for x in labels]} | names)
            frame = pd.concat([frame, pd.DataFrame(version.columns)], axis=1)
            # Where nothing bounds a KPI there is no bound, and no infinite one.
            ends = frame[["floor", "bound"]]
            frame[["floor", "bound"]] = ends.where(np.isfinite(ends))
            frame["note"] = list(version.notes)
            frame["version"] = version.number
            frame["effective_from"] = pd.Series([version.effective] * len(frame), dtype=object)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per segment (and version).

        Columns: segment, one per column of `by`, volume and share (of the plan), n (rows of a plan
        period, from history), baseline and its std_error, target, change (target - baseline),
        floor and bound (null where there is none), detectable (the smallest change that n can
        show), n_needed (rows per period that would show `change`; 0 where none is asked for), note,
        version, effective_from.
        """
        return self._frame.copy()

    def at(self, date: object) -> Targets:
        """Return the version in force on a day.

        Parameters
        ----------
        date : date or str
            "2026-09-15", or "2026-09" for its first day.

        Returns
        -------
        Targets

        Raises
        ------
        OptionError
            No version is in force yet.
        """
        when = day(date, "date")
        there = [v for v in self.versions if v.effective is None or v.effective <= when]
        if not there:
            first = min(v.effective for v in self.versions if v.effective is not None)
            raise OptionError(f"date: {date!r} is before {first}, when the first version starts.")
        return replace(self, versions=there[-1:])

    def revised(self, newer: Targets, effective: object) -> Targets:
        """Return the plan with a newer version that takes over on a day.

        Parameters
        ----------
        newer : Targets
            A plan of one version, for the same metric and columns.
        effective : date or str

        Returns
        -------
        Targets

        Raises
        ------
        OptionError
            Another metric or other columns, or a day that is not after the latest version's.
        """
        if not isinstance(newer, Targets):
            raise ColumnTypeError(f"newer: {type(newer).__name__} is not a plan (at.targets.plan).")
        if (newer.metric, newer.by) != (self.metric, self.by):
            raise OptionError(
                f"newer: it is for {newer.metric.label!r} by {listing(newer.by)}, this plan for "
                f"{self.metric.label!r} by {listing(self.by)}."
            )
        if len(newer.versions) != 1:
            raise OptionError("newer: it has versions of its own; take one with .at(date).")
        when, last = day(effective, "effective"), self.versions[-1]
        if last.effective is not None and when <= last.effective:
            raise OptionError(f"effective: {when} is not after {last.effective}, the latest one.")
        version = replace(newer.versions[0], number=last.number + 1, effective=when)
        return replace(self, versions=(*self.versions, version))

    def to_plan(self) -> pd.DataFrame:
        """Return the plan as a table: the columns of `by`, planned_volume and target.

        Returns
        -------
        DataFrame
            Of the latest version; what `attribution.compare_to_plan` takes.
        """
        frame = replace(self, versions=self.versions[-1:])._frame
        plan = frame[[*self.by, "volume", "target"]]
        return plan.rename(columns={"volume": "planned_volume"}).reset_index(drop=True)

    def capacity(
        self,
        aht: float | Mapping[object, float],
        *,
        paid_hours: float,
        shrinkage: float | Mapping[object, float] = 0.0,
        utilization: float | Mapping[object, float] = 1.0,
    ) -> pd.DataFrame:
        """Return the headcount that the planned volumes need, segment by segment.

        ``headcount = volume * aht / (paid_hours (1 - shrinkage) utilization)``, the root of
        `attribution.capacity_tree` with productive hours = paid hours less shrinkage.

        Parameters
        ----------
        aht : float or mapping
            Average handle time in HOURS per item, for all or per segment.
        paid_hours : float
            Per full-time equivalent and plan period.
        shrinkage : float or mapping
            The part of paid hours lost to leave, training and breaks, from 0 to below 1.
        utilization : float or mapping
            The part of productive hours spent on items, above 0.

        Returns
        -------
        DataFrame
            `segment, volume, aht, hours, headcount`, and a last row "total".

        Raises
        ------
        OptionError
            A number out of its range, or a segment without one.
        """
        import pandas as pd

        last = self.versions[-1]
        volume = last.columns["volume"]
        hours = self._each(
            "aht", aht, lambda x: 0 < x < np.inf, "a positive number of hours per item"
        )
        lost = self._each("shrinkage", shrinkage, lambda x: 0 <= x < 1, "from 0 to below 1")
        used = self._each("utilization", utilization, lambda x: 0 < x <= 1, "above 0, at most 1")
        if not (isinstance(paid_hours, Real) and 0 < paid_hours < np.inf):
            raise OptionError(f"paid_hours: {paid_hours!r} is not a positive number of hours.")
        work = volume * hours
        heads = work / (float(paid_hours) * (1 - lost) * used)
        frame = pd.DataFrame(
            {
                "segment": [" × ".join(x) for x in last.labels],
                "volume": volume,
                "aht": hours,
                "hours": work,
                "headcount": heads,
            }
        )
        total = ["total", volume.sum(), work.sum() / volume.sum(), work.sum(), heads.sum()]
        frame.loc[len(frame)] = total
        return frame

    def _each(self, parameter: str, given: Any, allowed: Any, words: str) -> np.ndarray:
        """One number per segment of the latest version, checked."""
        labels = self.versions[-1].labels
        if isinstance(given, Mapping):
            keys = {
                tuple(map(label_of, k if isinstance(k, tuple) else (k,))): v
                for k, v in given.items()
            }
            if missing := [" × ".join(x) for x in labels if x not in keys]:
                raise OptionError(f"{parameter}: nothing for {listing(missing, most=8)}.")
            known = {" × ".join(x) for x in labels}
            if strange := [" × ".join(x) for x in keys if " × ".join(x) not in known]:
                raise OptionError(
                    f"{parameter}: the plan has no segment {listing(strange, most=8)}."
                    f"{nearest(strange[0], known)}"
                )
            values = [keys[x] for x in labels]
        else:
            values = [given] * len(labels)
        for value in values:
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not number or not allowed(float(value)):  # pyright: ignore[reportArgumentType]
                raise OptionError(f"{parameter}: {value!r} is not {words}.")
        return np.array(values, dtype=float)

    def check(self) -> pd.DataFrame:
        """Return the residual and every finding: `code, severity, message, facts`."""
        import pandas as pd

        found: list[dict[str, Any]] = []
        for version in self.versions:
            rolled = float(version.columns["share"] @ version.columns["target"])
            residual = abs(rolled - version.overall)
            found.append(
                {
                    "code": "residual",
                    "severity": "ok",
                    "message": f"Version {version.number}: the targets at the planned mix add up "
                    f"to the overall target; the residual is {tiny(residual)}.",
                    "facts": {"residual": residual, "version": version.number},
                }
            )
            found += [dict(f) for f in version.findings]
        return pd.DataFrame(found, columns=["code", "severity", "message", "facts"])

    def segment(self, labels: Sequence[str]) -> dict[str, float]:
        """Return the numbers of one segment of the latest version.

        Parameters
        ----------
        labels : sequence of str
            Its levels.

        Returns
        -------
        dict
        """
        last, wanted = self.versions[-1], tuple(map(label_of, labels))
        check_option("labels", wanted, last.labels)
        i = last.labels.index(wanted)
        return {name: float(values[i]) for name, values in last.columns.items()}

    def summary(self, *, privacy: Privacy | None = None) -> str:
        """Return the latest version as text, with what it cannot show.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; segments that are people are counted only by default.

        Returns
        -------
        str
        """
        kept = shown_of_plan(self, privacy)
        rows = _display_rows(self, kept)
        table = aligned(rows, right=range(1, len(rows[0]) - 1))
        findings = without_names(self.versions[-1].findings, kept.secret)
        notes = [*kept.said, *dict.fromkeys(f["message"] for f in findings)]
        return "\n".join([f"{self.message}.", "", *table, "", *notes]).rstrip()

    @property
    def message(self) -> str:
        """The headline."""
        last, form = self.versions[-1], self.format
        asked = int((np.abs(last.columns["change"]) > 0).sum())
        when = "" if last.effective is None else f", from {last.effective}"
        return (
            f"{self.metric.label}: {len(last.labels)} targets roll up to "
            f"{form.level(last.overall)}{when}; {asked} "
            f"{'asks' if asked == 1 else 'ask'} for a change"
        )

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        largest = float(np.abs(self.versions[-1].columns["change"]).max(initial=0.0))
        return Format.fitting(self.metric.display_unit, largest)

    def display_rows(self, *, privacy: Privacy | None = None) -> list[tuple[str, ...]]:
        """Return the latest version as it is shown, a header first.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; segments that are people are counted only by default.

        Returns
        -------
        list of tuple of str
        """
        return _display_rows(self, shown_of_plan(self, privacy))

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Targets {self.message}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Targets):
            return NotImplemented
        same = (self.metric, self.by) == (other.metric, other.by)
        return same and self._frame.equals(other._frame)

    def __hash__(self) -> int:
        return hash((self.metric, self.by, len(self.versions)))


def _display_rows(plan: Targets, kept: Protected) -> list[tuple[str, ...]]:
    last, form = plan.versions[-1], plan.format
    c = last.columns
    if kept.hidden:
        asked = int((np.abs(c["change"]) > 0).sum())
        nouns = plural(plan.by[0]) if len(plan.by) == 1 else "segments"
        counted = (("asked for a change", asked), ("held", len(last.labels) - asked))
        return [("", nouns, ""), *((words, f"{n:,}", "") for words, n in counted if n)]
    rows: list[tuple[str, ...]] = [
        ("", "share", "n", "baseline", "target", "change", "detectable", "n needed", "")
    ]
    for i in np.flatnonzero(~kept.mask):
        needed = c["n_needed"][i]
        rows.append(
            (
                kept.names[i],
                f"{100 * c['share'][i]:.1f} %",
                f"{c['n'][i]:,.0f}",
                form.level(float(c["baseline"][i])),
                form.level(float(c["target"][i])),
                form.change(float(c["change"][i])),
                form.change(float(c["detectable"][i])).lstrip("+"),
                "–" if needed == 0 else f"{needed:,.0f}",
                last.notes[i],
            )
        )
    return rows
