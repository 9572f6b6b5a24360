"""What may be shown of an attribution: the rows that every file quotes, after privacy.

No file reads the attribution itself: bridge, tables, findings and provenance come from here, so
that what one file suppresses no other file gives away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.analysis import explain_pair
from attribution.breakdown import Breakdown, breakdown
from attribution.bridge import Bar, Bridge
from attribution.crossing import Crossing
from attribution.decompose import Decomposition
from attribution.drawn import crossing_estimates
from attribution.errors import IdentificationError, OptionError, PeriodError
from attribution.metrics import Mean, Rate, Ratio
from attribution.plain import SCHEMA, plain, records
from attribution.privacy.bars import without_secret_bars
from attribution.privacy.named import ShownCauses, shown_causes
from attribution.privacy.rules import Privacy, anonymous, without_names
from attribution.privacy.suppression import suppressed
from attribution.quality import findings
from attribution.summary import headline

if TYPE_CHECKING:
    import pandas as pd

    from attribution.causes import Causes
    from attribution.result import Attribution

__all__ = ["HIDDEN", "OTHER", "Shown", "protect"]

# Beyond this number of groups two-way tables are not shown, nor looked at for suppression.
_MOST_GROUPS = 3_000
HIDDEN = "(suppressed)"
OTHER = "other"
_SUMS = ("n_baseline", "n_current", "share_baseline", "share_current", "mix", "rate", "total")


@dataclass(frozen=True)
class Shown:
    """One attribution as it may be seen.

    Attributes
    ----------
    change : Attribution
        With pseudonyms where they were asked for. Its numbers may be more than may be shown.
    privacy : Privacy
    dimensions : tuple of str
        Those whose levels are shown.
    masks : dict of tuple to ndarray of bool
        The suppressed groups of each table: by one dimension (d,), by two (d, e).
    searched : bool
        Whether files name causes of the rate effect.
    """

    change: Attribution
    privacy: Privacy
    dimensions: tuple[str, ...]
    masks: Mapping[tuple[str, ...], np.ndarray]
    searched: bool = True

    @property
    def hidden(self) -> tuple[str, ...]:
        """The dimensions whose levels are people and are not shown."""
        return tuple(d for d in self.change.cube.dimensions if d not in self.dimensions)

    @property
    def whole(self) -> bool:
        """Whether every cell may be shown."""
        return not self.hidden and not self.privacy.min_n

    @property
    def ratio(self) -> bool:
        """Whether the KPI is a ratio of sums, whose effects follow from those of the cells."""
        known = isinstance(self.change.metric, Rate | Ratio | Mean)
        return known and isinstance(self.change._parts, Decomposition)

    @cached_property
    def bridge(self) -> Bridge:
        """The bridge, with entries and exits of people and of small groups in one bar."""
        return self._protected(self.change.bridge(), self.change)

    @property
    def merged_bars(self) -> list[Bar]:
        """The bars that stand for lines which are not shown by themselves."""
        own = {(bar.label, bar.rows) for bar in self.change.bridge().bars}
        return [bar for bar in self.bridge.bars if (bar.label, bar.rows) not in own]

    @cached_property
    def effects(self) -> pd.DataFrame:
        """The rows of `Attribution.effects`, those of one bar in one row."""
        import pandas as pd

        rows = self.change.effects
        merged = self.merged_bars
        gone = [r for bar in merged for r in bar.rows]
        rows = rows.drop(index=gone)
        for bar in merged:
            share = self.change.effects["share_of_change"].iloc[list(bar.rows)].sum(min_count=1)
            row = {
                "effect": "turnover",
                "segment": bar.label,
                "estimate": bar.value,
                "std_error": (bar.conf_high - bar.value) / self.bridge.half_width,
                "conf_low": bar.conf_low,
                "conf_high": bar.conf_high,
                "share_of_change": share,
            }
            rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
        return rows.reset_index(drop=True)

    @property
    def frame(self) -> pd.DataFrame:
        """`effects` with the KPI and the two periods in front, as `Attribution.to_frame`."""
        effects = self.effects
        front = self.change.to_frame()[["metric", "baseline", "current"]].iloc[: len(effects)]
        return front.join(effects)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; see `Attribution.to_dict`."""
        change, metric = self.change, self.change.metric
        return {
            "schema": SCHEMA,
            "metric": {
                "name": metric.label,
                "better": metric.better,
                "unit": metric.display_unit,
            },
            "baseline": self.bridge.baseline_label,
            "current": self.bridge.current_label,
            "total": plain(vars(change.total)),
            "verdict": change.verdict,
            "effects": records(self.effects),
            "levels": {d: records(frame) for d, frame in self.levels.items()},
            "findings": [plain(f) for f in self.findings],
            "not_shown": self.withheld,
            "provenance": plain(self.provenance),
        }

    @cached_property
    def levels(self) -> dict[str, pd.DataFrame]:
        """`Attribution.levels` of each shown dimension.

        Suppressed levels have no numbers; a row "(suppressed)" holds their sums.
        """
        return {d: self._levels(d) for d in self.dimensions}

    def largest(self, dimension: str, most: int) -> pd.DataFrame:
        """Return the levels that moved the KPI most, in their order, the rest in a row "other".

        Parameters
        ----------
        dimension : str
        most : int

        Returns
        -------
        DataFrame
        """
        frame = self.levels[dimension]
        moved = frame[["mix", "rate", "total"]].abs().max(axis=1).fillna(-1.0)
        if len(frame) <= most:
            return frame
        kept = moved.sort_values(ascending=False, kind="stable").index[: most - 1]
        rest = ~frame.index.isin(kept)
        # What is suppressed is in its row of sums already.
        counted = rest & frame["n_baseline"].notna()
        label = f"{OTHER} ({int(rest.sum()):,})"
        return _with_sum(frame[~rest], frame[counted], label)

    def breakdown(self, dimension: str) -> Breakdown:
        """Return the levels that pictures and words show; suppressed ones as their sum.

        Parameters
        ----------
        dimension : str

        Returns
        -------
        Breakdown

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension, or its levels are people.
        """
        self._check_shown(dimension)
        frame = self.levels[dimension]
        known = frame[frame["note"].ne("suppressed")].reset_index(drop=True)
        return breakdown(dimension, known, self.bridge)

    def crossing(self, rows: str, columns: str, part: str = "total") -> Crossing:
        """Return the pairs of levels that pictures and files show.

        Parameters
        ----------
        rows, columns : str
        part : str
            As in `Attribution.crossing`.

        Returns
        -------
        Crossing

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension, its levels are people, or the table is too large to be protected.
        """
        for dimension in (rows, columns):
            self._check_shown(dimension)
        return self._crossed(self.change.crossing(rows, columns, part))

    def crossing_estimates(self, rows: str, columns: str) -> Crossing:
        """Return the totals of pairs of levels without intervals and p-values; see `crossing`."""
        for dimension in (rows, columns):
            self._check_shown(dimension)
        return self._crossed(crossing_estimates(self.change, rows, columns))

    def _crossed(self, made: Crossing) -> Crossing:
        """A two-way table without the pairs that must not be shown."""
        rows, columns = made.dimensions
        if not self.privacy.min_n:
            return made
        if not {(rows, columns), (columns, rows)} & set(self.masks):
            raise OptionError(
                f"min_n: {rows!r} by {columns!r} is too large a table to be protected; ask for it "
                "with fewer levels, or without min_n."
            )

        def secret(row: str, column: str) -> bool:
            return self.suppressed(*self._ordered((rows, row), (columns, column)))

        return made.without(secret)

    @cached_property
    def causes(self) -> ShownCauses | None:
        """The named causes of the rate effect; None where the search has no answer.

        Without a cluster column too many segments would be named, so none is searched for.
        """
        if not self.searched or not self.change._units.clustered:
            return None
        try:
            found = self.change.causes()
        except (OptionError, IdentificationError):
            return None
        return self.named(found)

    def named(self, causes: Causes) -> ShownCauses:
        """Return what may be shown of causes that were searched for."""
        return shown_causes(causes, self.hidden, self.privacy.min_n)

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """The findings; those that name what is not shown say so instead."""
        people = self.privacy.columns or ()
        return without_names(findings(self.change), set(self.secret()), people)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from, and what was not shown."""
        known = dict(self.change.provenance)
        if self.privacy.min_n:
            known["min_n"] = self.privacy.min_n
        if any(mask.any() for mask in self.masks.values()):
            # Who knows nearly all sums could try the rest until the digest fits.
            known["sha256"] = "withheld: groups are suppressed"
        if self.hidden:
            known["not_shown"] = list(self.hidden)
        return known

    @cached_property
    def withheld(self) -> list[str]:
        """Sentences that say what a reader does not see."""
        said = [f"The levels of {d} are people and are not shown." for d in self.hidden]
        count = sum(int(mask.sum()) for key, mask in self.masks.items() if len(key) == 1)
        if count:
            said.append(
                f"{count:,} levels are suppressed: fewer than {self.privacy.min_n} rows in a "
                "period, or needed to protect such a level."
            )
        return said

    def suppressed(self, *labels: tuple[str, str]) -> bool:
        """Whether the group of one or two (dimension, level) must not be shown."""
        cube = self.change.cube
        key = tuple(d for d, _ in labels)
        if any(d in self.hidden for d in key):
            return True
        if not self.privacy.min_n:
            return False
        if key not in self.masks:
            return True
        place = [cube.level_index(d, x) for d, x in labels]
        sizes = [len(cube.levels[cube.dimension_index(d)]) for d in key]
        return bool(self.masks[key][np.ravel_multi_index(place, sizes)])

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs of dimensions whose two-way tables may be shown."""
        return [key for key in self.masks if len(key) == 2]

    def within(self, dimension: str, level: str) -> Bridge | None:
        """Return the bridge of one level alone, None where there is none or it is not shown."""
        if self.suppressed((dimension, level)):
            return None
        try:
            part = self.change.within(**{dimension: level})
        except (IdentificationError, OptionError, PeriodError):
            return None
        return self._protected(part.bridge(), part, (dimension, level))

    def part(self, change: Attribution, of: tuple[str, str]) -> Shown:
        """Return what may be shown of one (dimension, level) alone.

        Parameters
        ----------
        change : Attribution
            Of that level, over some of the other dimensions.
        of : (str, str)

        Returns
        -------
        Shown
        """
        left = tuple(d for d in change.cube.dimensions if d in self.dimensions)
        if not self.privacy.min_n:
            return replace(self, change=change, dimensions=left, masks=_masks(change, left, 0))
        # As in the tables of the whole, from which a part of a part could be worked out.
        levels = {d: change.cube.levels[change.cube.dimension_index(d)] for d in left}
        masks: dict[tuple[str, ...], np.ndarray] = {
            (d,): np.array([self.suppressed(*self._ordered(of, (d, x))) for x in levels[d]])
            for d in left
        }
        return replace(self, change=change, dimensions=left, masks=masks)

    # -- how ---------------------------------------------------------------------------------

    def _check_shown(self, dimension: str) -> None:
        self.change.cube.dimension_index(dimension)
        if dimension in self.hidden:
            raise OptionError(
                f"dimension: the levels of {dimension!r} are people and are not shown. Ask for "
                "them: privacy=at.Privacy(people='pseudonyms', key=...) or people='names'."
            )

    def _levels(self, dimension: str) -> pd.DataFrame:
        frame = self.change.levels(dimension)
        hidden = np.array([self.suppressed((dimension, x)) for x in frame["segment"]], dtype=bool)
        if not hidden.any():
            return frame
        numbers = [c for c in frame.columns if c not in ("dimension", "segment", "note")]
        shown = frame.copy()
        shown[numbers] = shown[numbers].astype(float)
        shown.loc[hidden, numbers] = np.nan
        shown.loc[hidden, "note"] = "suppressed"
        return _with_sum(shown, frame[hidden], HIDDEN)

    def _protected(
        self, bridge: Bridge, change: Attribution, within: tuple[str, str] | None = None
    ) -> Bridge:
        """Sum the bars of people and of small groups that entered or left."""
        members = [
            i for i, bar in enumerate(bridge.bars) if self._is_secret(bar.rows, change, within)
        ]
        if not members:
            return bridge
        small = self.privacy.min_n > 0
        merged = without_secret_bars(bridge, members, people=bool(self.hidden), small=small)
        return replace(merged, message=headline(change, merged))

    def _is_secret(
        self, rows: tuple[int, ...], change: Attribution, within: tuple[str, str] | None
    ) -> bool:
        parts, cube = change._parts, change.cube
        lines = [parts.lines[r] for r in rows]
        levels = [x for line in lines for x in line.levels]
        for x in levels:
            d = int(parts.design.of_dimension[x])
            label = (cube.dimensions[d], cube.levels[d][x - parts.design.offsets[d]])
            if self.suppressed(label) or (
                within and self.suppressed(*self._ordered(within, label))
            ):
                return True
        if not self.privacy.min_n or not levels:
            return False
        n = cube.metric_sums(change.metric, "count")
        return bool((parts.members[list(rows)] @ n.ravel() < self.privacy.min_n).any())

    def _ordered(self, *labels: tuple[str, str]) -> list[tuple[str, str]]:
        return sorted(labels, key=lambda label: self.change.cube.dimensions.index(label[0]))

    def secret(self) -> Iterator[str]:
        """How findings write the names of what is not shown."""
        cube = self.change.cube
        for d, levels in zip(cube.dimensions, cube.levels, strict=True):
            for level in levels:
                if self.suppressed((d, level)):
                    yield from (level, f"{d} {level}", f"New: {level}", f"Gone: {level}")


def protect(change: Attribution, privacy: Privacy | None) -> Shown:
    """Return what may be shown of an attribution.

    Parameters
    ----------
    change : Attribution
    privacy : Privacy, optional
        None hides the levels of people and suppresses nothing.

    Returns
    -------
    Shown
    """
    privacy = Privacy() if privacy is None else privacy
    if not isinstance(privacy, Privacy):
        raise OptionError(f"privacy: {privacy!r} is not an at.Privacy(...).")
    if privacy not in change._kept:
        change._kept[privacy] = _protected(change, privacy)
    return change._kept[privacy]


def _protected(change: Attribution, privacy: Privacy) -> Shown:
    dimensions = change.cube.dimensions
    people = privacy.people_in([*dimensions, *change.cube.provenance.get("part", {})])
    cube = anonymous(change.cube, privacy)
    if privacy.people == "pseudonyms" and set(people) & set(dimensions):
        change = explain_pair(cube, change.metric, change.options)
    elif cube.provenance != change.cube.provenance:
        change = replace(change, cube=cube)
    shown = tuple(d for d in dimensions if privacy.people != "hidden" or d not in people)
    return Shown(change, privacy, shown, _masks(change, shown, privacy.min_n))


def _masks(
    change: Attribution, dimensions: tuple[str, ...], min_n: int
) -> dict[tuple[str, ...], np.ndarray]:
    """The suppressed groups of the tables by one dimension, and by two where they are shown."""
    cube = change.cube
    sizes = {d: len(cube.levels[cube.dimension_index(d)]) for d in dimensions}
    keys: list[tuple[str, ...]] = [(d,) for d in dimensions]
    pairs = list(itertools.combinations(dimensions, 2))
    if sum(sizes.values()) + sum(sizes[a] * sizes[b] for a, b in pairs) <= _MOST_GROUPS:
        keys += pairs
    shapes = [tuple(sizes[d] for d in key) for key in keys]
    if not min_n:
        return {k: np.zeros(int(np.prod(s)), bool) for k, s in zip(keys, shapes, strict=True)}
    tables = [
        np.ravel_multi_index([cube.codes[:, cube.dimension_index(d)] for d in key], shape)
        for key, shape in zip(keys, shapes, strict=True)
    ]
    found = suppressed(tables, cube.metric_sums(change.metric, "count"), min_n)
    masks = {}
    for key, shape, mask in zip(keys, shapes, found, strict=True):
        # Groups behind the last one with rows are missing from the mask: they are empty.
        masks[key] = np.pad(mask, (0, int(np.prod(shape)) - len(mask)))
    return masks


def _with_sum(kept: pd.DataFrame, summed: pd.DataFrame, label: str) -> pd.DataFrame:
    """Append one row with the sums of others."""
    import pandas as pd

    row: dict[str, Any] = {"dimension": kept["dimension"].iloc[0], "segment": label, "note": ""}
    for column in (*_SUMS, "interaction", "volume"):
        if column in summed:
            row[column] = summed[column].sum(min_count=1)
    for when in ("baseline", "current"):
        n, rate = summed[f"n_{when}"], summed[f"rate_{when}"]
        weight = summed[f"share_{when}"].where(rate.notna(), 0.0)
        weight = weight if weight.sum() > 0 else n.where(rate.notna(), 0.0)
        if weight.sum() > 0:
            row[f"rate_{when}"] = float((weight * rate.fillna(0.0)).sum() / weight.sum())
    return pd.concat([kept, pd.DataFrame([row])], ignore_index=True)
