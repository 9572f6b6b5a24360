"""The facts that sentences quote: numbers of one attribution as cells, rounded to add up."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attribution.breakdown import Breakdown, Level
from attribution.bridge import Bar, Bridge
from attribution.drawn import line_label
from attribution.formatting import p_text
from attribution.privacy import Shown
from attribution.reports.sentences import Cell, Words
from attribution.tables import line_keys

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["Facts", "Line"]


@dataclass(frozen=True)
class Line:
    """One bar of the bridge with its displayed value, in displayed units.

    `plain` is its label without the factor it belongs to.
    """

    bar: Bar
    shown: float
    share: float
    plain: str

    @property
    def kind(self) -> str:
        """The effect: "Mix", "New", "Gone", "Rate" ..."""
        return self.plain.partition(": ")[0]

    @property
    def name(self) -> str:
        """What it is of: a dimension or a level; "" for the rate effect."""
        return self.plain.partition(": ")[2]

    @property
    def of(self) -> str:
        """The factor it belongs to, in words; "" unless the KPI is made of KPIs."""
        return f" in {self.bar.factor}" if self.bar.factor else ""


@dataclass(frozen=True)
class Facts:
    """What may be shown of an attribution, as its sentences see it."""

    shown: Shown

    @property
    def change(self) -> Attribution:
        """The attribution itself: for its totals and options."""
        return self.shown.change

    @property
    def bridge(self) -> Bridge:
        """The bars."""
        return self.shown.bridge

    @cached_property
    def lines(self) -> list[Line]:
        """The bars with their displayed values."""
        shares = self.change.effects["share_of_change"].tolist()
        keys, planned = line_keys(self.change), self.change._parts.form == "planned"
        pairs = zip(self.bridge.bars, self.bridge.shown(), strict=True)
        return [
            Line(
                bar, shown, shares[bar.rows[0]], line_label(*keys[bar.rows[0]][:3], planned=planned)
            )
            if len(bar.rows) == 1
            else Line(bar, shown, math.nan, bar.label)
            for bar, shown in pairs
        ]

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What `check` says."""
        return self.shown.findings

    @cached_property
    def breakdowns(self) -> dict[str, Breakdown]:
        """The levels of every dimension."""
        return {d: self.shown.breakdown(d) for d in self.shown.dimensions}

    # -- numbers -----------------------------------------------------------------------------

    def line(self, line: Line) -> Cell:
        """The displayed value of a bar, with its unit."""
        return Cell("effects", line.bar.rows, "estimate", line.bar.value, self.moved(line.shown))

    def summed(self, lines: Iterable[Line]) -> Cell:
        """The displayed sum of bars."""
        lines = list(lines)
        rows = tuple(row for x in lines for row in x.bar.rows)
        value = sum(x.bar.value for x in lines)
        return Cell("effects", rows, "estimate", value, self.moved(sum(x.shown for x in lines)))

    def moved(self, shown: float) -> str:
        """A displayed change as text with its unit."""
        f = self.bridge.format
        return f.change(shown / f.factor)

    def effect(self, line: Line) -> Words:
        """What a bar did in words: "worsened Accuracy by 1.17 pp"."""
        if line.shown == 0:
            return ("left ", self.bridge.metric, " where it was (", self.line(line), ")")
        word = "improved" if self.bridge.good(line.shown) else "worsened"
        size = self.line(line)
        return (f"{word} {self.bridge.metric} by ", size._replace(shown=size.shown.lstrip("+−")))

    def p(self, line: Line) -> Words:
        """The adjusted p-value of a bar in brackets, or nothing."""
        text = p_text(line.bar.p_adjusted)
        if not text:
            return ""
        return (" (", Cell("effects", line.bar.rows, "p_adjusted", line.bar.p_adjusted, text), ")")

    def share(self, line: Line) -> Words:
        """The share of the change, where one may be given."""
        if not line.share > 0:  # null, or against the change
            return ""
        text = f"{100 * line.share:.0f} %"
        cell = Cell("effects", line.bar.rows, "share_of_change", line.share, text)
        return (", ", cell, " of the change")

    def part(self, made: Breakdown, level: Level, name: str) -> Cell:
        """The displayed part of a level."""
        part = level.parts[made.parts.index(name)]
        table = f"levels:{made.dimension}"
        return Cell(table, level.rows, name, part.value, self.moved(part.shown))

    def ends(self, made: Breakdown, level: Level, what: str) -> tuple[Cell, Cell]:
        """Share or rate of a level in both periods."""
        values = level.share if what == "share" else level.rate
        f, table = self.bridge.rate_format, f"levels:{made.dimension}"
        text = [f"{100 * x:.1f} %" if what == "share" else f.level(x) for x in values]
        pairs = zip(("baseline", "current"), values, text, strict=True)
        first, second = (Cell(table, level.rows, f"{what}_{w}", x, t) for w, x, t in pairs)
        return first, second

    def total(self, column: str, text: str) -> Cell:
        """A number of the total."""
        return Cell("total", (0,), column, getattr(self.change.total, column), text)

    def finding(self, *codes: str) -> list[Cell]:
        """The messages of the findings of these codes."""
        return [
            Cell("findings", (i,), "message", math.nan, f["message"])
            for i, f in enumerate(self.findings)
            if f["code"] in codes
        ]

    @property
    def planned(self) -> bool:
        """Whether the baseline is a plan by segment, so that nothing moved: it differs."""
        return self.change._parts.form == "planned"

    # -- judgment ----------------------------------------------------------------------------

    @property
    def alpha(self) -> float:
        """The level below which a line is named for itself."""
        return 1 - self.change.options.conf_level

    def sure(self, p_adjusted: float) -> bool:
        """Whether a line may be named for itself."""
        return p_adjusted < self.alpha
