"""The crossing: what each pair of levels contributed, displayed cells adding up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from attribution.breakdown import NOT_REAL, Part
from attribution.bridge import SIGNIFICANT, Bridge
from attribution.errors import OptionError
from attribution.formatting import Format, largest_remainder
from attribution.labels import shortened

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Crossing", "crossing"]


@dataclass(frozen=True)
class Crossing:
    """Pairs of levels of two dimensions with their part of the change.

    Attributes
    ----------
    dimensions : tuple of str
        That of the rows and that of the columns.
    part : str
        "total", "mix", "rate" or "interaction".
    rows, columns : tuple of str
        Levels.
    cells : tuple of tuple of Part or None
        One tuple per row; None where a pair has no volume in either period, a part without a number
        where it must not be shown.
    bridge : Bridge
        The bridge it is a view of: metric, periods, notes, verdict, format.
    """

    dimensions: tuple[str, str]
    part: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Part | None, ...], ...]
    bridge: Bridge

    @property
    def format(self) -> Format:
        """How its numbers are written: as in the bridge."""
        return self.bridge.format

    def text(self, part: Part) -> str:
        """Return a displayed number as text, with its sign."""
        return self.format.number(part.shown / self.format.factor, signed=True)

    @property
    def message(self) -> str:
        """The sentence above its picture: which pairs stand out."""
        of = f"{self.bridge.metric} by {self.dimensions[0]} and {self.dimensions[1]}"
        real, found = self.bridge.verdict == "real", []
        for row, cells in zip(self.rows, self.cells, strict=True):
            for column, part in zip(self.columns, cells, strict=True):
                if part is not None and part.p_adjusted < SIGNIFICANT:
                    found.append((f"{shortened(row)} × {shortened(column)}", part))
        if real:
            found = [x for x in found if x[1].value * self.bridge.change > 0]
        if not found:
            return f"{of}: no pair stands out from noise"
        found.sort(key=lambda x: -abs(x[1].value))
        unit = self.format.change_unit
        named = [f"{label} ({self.text(part)} {unit}".rstrip() + ")" for label, part in found]
        if real:
            return f"{of}: largest in {named[0]}"
        what = f"the change is {NOT_REAL[self.bridge.verdict]}"
        return f"{of}: {what}; offsetting movements: {', '.join(named[:3])}"

    def without(self, secret: Callable[[str, str], bool]) -> Crossing:
        """Return it without the numbers of pairs that must not be shown; sums leave them out too.

        Parameters
        ----------
        secret : callable
            Whether the pair of a row and a column must not be shown.
        """
        cells = tuple(
            tuple(
                c and (Part(math.nan, math.nan) if secret(row, column) else c)
                for column, c in zip(self.columns, cells, strict=True)
            )
            for row, cells in zip(self.rows, self.cells, strict=True)
        )
        return replace(self, cells=cells)._rounded()

    def condensed(self, most_rows: int, most_columns: int) -> Crossing:
        """Return at most so many rows and columns; levels that moved least go into "other".

        Parameters
        ----------
        most_rows, most_columns : int
            At least 2.

        Raises
        ------
        OptionError
            Fewer than 2.
        """
        if min(most_rows, most_columns) < 2:
            raise OptionError("max_levels: below 2, the least that leaves a comparison.")
        return self._merged(most_rows)._turned()._merged(most_columns)._turned()._rounded()

    def _turned(self) -> Crossing:
        cells = tuple(zip(*self.cells, strict=True))
        return replace(self, rows=self.columns, columns=self.rows, cells=cells)

    def _merged(self, most: int) -> Crossing:
        """Sum the rows that moved least into the last one."""
        if len(self.rows) <= most:
            return self
        moved = [sum(abs(c.value) for c in _known(row)) for row in self.cells]
        ranked = sorted(range(len(moved)), key=lambda i: -moved[i])
        kept, rest = sorted(ranked[: most - 1]), ranked[most - 1 :]
        other = tuple(_sum([self.cells[i][j] for i in rest]) for j in range(len(self.columns)))
        return replace(
            self,
            rows=(*(self.rows[i] for i in kept), f"other ({len(rest)})"),
            cells=(*(self.cells[i] for i in kept), other),
        )

    def _rounded(self) -> Crossing:
        """Round the cells so that they add up to their displayed sum."""
        factor, decimals = self.format.factor, self.format.decimals
        known = [c for row in self.cells for c in _known(row)]
        values = [c.value * factor for c in known]
        target = _line(self.bridge, self.part)
        total = sum(values)
        target = target if abs(target - total) <= 1.5 * 10.0**-decimals else total
        shown = iter(largest_remainder(values, target, decimals))
        cells = tuple(
            tuple(replace(c, shown=next(shown)) if c and _is_known(c) else c for c in row)
            for row in self.cells
        )
        return replace(self, cells=cells)


def crossing(
    dimensions: tuple[str, str],
    levels: tuple[Sequence[str], Sequence[str]],
    frame: pd.DataFrame,
    part: str,
    bridge: Bridge,
) -> Crossing:
    """Return the crossing of two dimensions.

    Parameters
    ----------
    dimensions : tuple of str
    levels : tuple of sequence of str
        Of each, in the order in which they are shown.
    frame : DataFrame
        As ``Attribution.segments(by=dimensions)`` returns it; without intervals and p-values the
        parts have none.
    part : str
    bridge : Bridge

    Returns
    -------
    Crossing
    """
    columns = [part, f"{part}_conf_low", f"{part}_conf_high", f"{part}_p_adjusted"]
    table = frame.reindex(columns=columns).to_numpy(float).tolist()
    keys = zip(frame[dimensions[0]], frame[dimensions[1]], strict=True)
    found = {
        key: Part(value, math.nan, low, high, p)
        for key, (value, low, high, p) in zip(keys, table, strict=True)
        if math.isfinite(value)
    }
    there = [{key[i] for key in found} for i in (0, 1)]
    rows, across = (
        tuple(x for x in of if x in seen) for of, seen in zip(levels, there, strict=True)
    )
    cells = tuple(tuple(found.get((row, column)) for column in across) for row in rows)
    return Crossing(dimensions, part, rows, across, cells, bridge)._rounded()


def _line(bridge: Bridge, part: str) -> float:
    """What the bridge displays for a part, all dimensions together."""
    start = "Mix: " if part == "mix" else part.capitalize()
    bars = zip(bridge.bars, bridge.shown(), strict=True)
    if part == "total":
        return sum(x for bar, x in bars if bar.label != "Sampling")
    return sum(x for bar, x in bars if bar.label.startswith(start))


def _sum(cells: Sequence[Part | None]) -> Part | None:
    known = _known(cells)
    if len(known) < 2:
        return next((c for c in (*known, *cells) if c), None)
    return Part(float(np.sum([c.value for c in known])), math.nan)


def _known(cells: Sequence[Part | None]) -> list[Part]:
    return [c for c in cells if c and _is_known(c)]


def _is_known(cell: Part) -> bool:
    return math.isfinite(cell.value)
