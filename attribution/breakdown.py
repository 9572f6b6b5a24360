"""The breakdown: what each level of a dimension contributed, as pictures, tables and words show it.

It is to `levels` what the bridge is to `effects`: displayed rows add up to the displayed totals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from attribution.bridge import SIGNIFICANT, Bridge
from attribution.errors import OptionError
from attribution.formatting import Format, largest_remainder
from attribution.labels import shortened

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOT_REAL", "Breakdown", "Level", "Part", "breakdown"]

NOT_REAL = {"noise": "not distinguishable from noise", "inconclusive": "inconclusive"}


@dataclass(frozen=True)
class Part:
    """One number of a level: its mix, its rate effect or their total.

    Attributes
    ----------
    value : float
        KPI units; NaN where the level has no such part.
    shown : float
        As displayed, in displayed units.
    conf_low, conf_high, p_adjusted : float
        NaN where there is none.
    """

    value: float
    shown: float
    conf_low: float = float("nan")
    conf_high: float = float("nan")
    p_adjusted: float = float("nan")


@dataclass(frozen=True)
class Level:
    """One level of a dimension, or several as "other".

    Attributes
    ----------
    label : str
    parts : tuple of Part
        In the order of `Breakdown.parts`.
    n, share, rate : tuple of float
        In baseline and current; NaN where the level did not exist.
    status : str
        "", "new" or "gone".
    note : str
        What a reader must know beside it: "too few moderators".
    rows : tuple of int
        The rows of `levels` it stands for; several for "other".
    """

    label: str
    parts: tuple[Part, ...]
    n: tuple[float, float]
    share: tuple[float, float]
    rate: tuple[float, float]
    status: str = ""
    note: str = ""
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Breakdown:
    """The levels of one dimension with their parts of the change.

    Attributes
    ----------
    dimension : str
    parts : tuple of str
        The names of the parts, "total" last.
    levels : tuple of Level
    sums : tuple of Part
        Over all levels.
    bridge : Bridge
        The bridge it is a view of: metric, periods, notes, verdict, format.
    """

    dimension: str
    parts: tuple[str, ...]
    levels: tuple[Level, ...]
    sums: tuple[Part, ...]
    bridge: Bridge

    @property
    def format(self) -> Format:
        """How its numbers are written: as in the bridge."""
        return self.bridge.format

    def text(self, part: Part) -> str:
        """Return a displayed number as text, with its sign; "" where there is none."""
        if not math.isfinite(part.shown):
            return ""
        return self.format.number(part.shown / self.format.factor, signed=True)

    @property
    def message(self) -> str:
        """The sentence above its picture: which levels stand out.

        Where the change itself is not real, levels that stand out are offsetting movements.
        """
        of = f"{self.bridge.metric} by {self.dimension}"
        totals = [(level, level.parts[-1]) for level in self.levels]
        sure = [(level, part) for level, part in totals if part.p_adjusted < SIGNIFICANT]
        if self.bridge.verdict == "real":
            sure = [x for x in sure if x[1].value * self.bridge.change > 0]
        if not sure:
            return f"{of}: no level stands out from noise"
        sure.sort(key=lambda x: -abs(x[1].value))
        named = [
            f"{shortened(level.label)} ({self.text(part)} {self.format.change_unit}".rstrip() + ")"
            for level, part in sure[: 1 if self.bridge.verdict == "real" else 3]
        ]
        if self.bridge.verdict == "real":
            return f"{of}: largest in {named[0]}"
        what = f"the change is {NOT_REAL[self.bridge.verdict]}"
        return f"{of}: {what}; offsetting movements: {', '.join(named)}"

    def by_size(self) -> Breakdown:
        """Return the levels sorted by how much they moved, "other" last."""
        levels = sorted(
            self.levels, key=lambda level: (len(level.rows) > 1, -_size(level), level.rows)
        )
        return replace(self, levels=tuple(levels))

    def condensed(self, most: int) -> Breakdown:
        """Return at most `most` levels, those that moved least summed into "other".

        Parameters
        ----------
        most : int
            At least 2.

        Raises
        ------
        OptionError
            Fewer than 2.
        """
        if most < 2:
            raise OptionError(f"max_levels: {most} is below 2, the least that leaves a comparison.")
        if len(self.levels) <= most:
            return self
        ranked = sorted(range(len(self.levels)), key=lambda i: -_size(self.levels[i]))
        kept = [self.levels[i] for i in sorted(ranked[: most - 1])]
        rest = [self.levels[i] for i in sorted(ranked[most - 1 :])]
        return replace(self, levels=(*kept, _other(rest)))


def breakdown(dimension: str, frame: pd.DataFrame, bridge: Bridge) -> Breakdown:
    """Return the breakdown of a table of levels.

    Parameters
    ----------
    dimension : str
    frame : DataFrame
        As `Attribution.levels` returns it.
    bridge : Bridge
        Its bars give the displayed totals of the columns.

    Returns
    -------
    Breakdown
    """
    columns = [str(x) for x in frame]
    names = [x for x in columns if f"{x}_p_adjusted" in columns and x != "total"]
    lines = {x: f"Mix: {dimension}" if x == "mix" else x.capitalize() for x in names}
    targets = dict(zip((bar.label for bar in bridge.bars), bridge.shown(), strict=True))
    factor, decimals = bridge.format.factor, bridge.format.decimals
    shown = {
        name: _rounded(frame[name].to_numpy() * factor, targets.get(lines[name]), decimals)
        for name in names
    }
    inside = frame[names].notna().any(axis=1).to_numpy()
    sums = np.nansum([shown[name] for name in names], axis=0)
    apart = np.round(frame["total"].to_numpy() * factor, decimals)
    shown["total"] = np.round(np.where(inside, sums, apart), decimals)
    names.append("total")
    parts = [_parts(frame, name, shown[name]) for name in names]
    ends = ("baseline", "current")
    pairs = [
        frame[[f"{what}_{end}" for end in ends]].to_numpy(float) for what in ("n", "share", "rate")
    ]
    levels = [
        Level(
            label=frame["segment"].iloc[i],
            parts=tuple(part[i] for part in parts),
            n=_pair(pairs[0][i]),
            share=_pair(pairs[1][i]),
            rate=_pair(pairs[2][i]),
            status="" if inside[i] else "new" if math.isnan(pairs[1][i, 0]) else "gone",
            note=str(frame["note"].iloc[i]),
            rows=(i,),
        )
        for i in range(len(frame))
    ]
    summed = tuple(
        Part(float(np.nansum(frame[name])), round(float(np.nansum(shown[name])), decimals))
        for name in names
    )
    return Breakdown(dimension, tuple(names), tuple(levels), summed, bridge)


def _rounded(values: np.ndarray, target: float | None, decimals: int) -> np.ndarray:
    """Round a column so that it adds up to the displayed line of the bridge."""
    found = np.full(len(values), np.nan)
    known = np.isfinite(values)
    total = float(values[known].sum())
    # With a share of levels apart, a column need not be the whole line; it then adds up to itself.
    near = target is not None and abs(target - total) <= 1.5 * 10.0**-decimals
    found[known] = largest_remainder(
        values[known].tolist(), target if near and target is not None else total, decimals
    )
    return found


def _parts(frame: pd.DataFrame, name: str, shown: np.ndarray) -> list[Part]:
    columns = [name, f"{name}_conf_low", f"{name}_conf_high", f"{name}_p_adjusted"]
    table = frame[columns].to_numpy(float).tolist()
    return [
        Part(value, float(x), low, high, p)
        for (value, low, high, p), x in zip(table, shown, strict=True)
    ]


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _size(level: Level) -> float:
    """The movement of a level; mix and rate that offset each other count too."""
    return max((abs(p.value) for p in level.parts if math.isfinite(p.value)), default=0.0)


def _other(levels: Sequence[Level]) -> Level:
    parts = tuple(
        Part(
            float(np.nansum([p.value for p in column])),
            float(np.nansum([p.shown for p in column])),
        )
        for column in zip(*(level.parts for level in levels), strict=True)
    )
    share = np.array([level.share for level in levels])
    rate = np.array([level.rate for level in levels])
    total = np.nansum(share, axis=0)
    weighed = np.nansum(share * rate, axis=0)
    notes = list(dict.fromkeys(level.note for level in levels if level.note))
    return Level(
        label=f"other ({len(levels)})",
        parts=parts,
        n=_pair(np.nansum([level.n for level in levels], axis=0)),
        share=_pair(total),
        rate=_pair(np.divide(weighed, total, out=np.full(2, np.nan), where=total > 0)),
        note=", ".join(notes),
        rows=tuple(row for level in levels for row in level.rows),
    )
