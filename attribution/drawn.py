"""What every picture and file draws of an answer: its bars, levels and pairs of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from attribution.breakdown import Breakdown
from attribution.breakdown import breakdown as broken_down
from attribution.bridge import Bar, Bridge
from attribution.crossing import Crossing
from attribution.crossing import crossing as crossed
from attribution.errors import check_option
from attribution.hypotheses import LineKey
from attribution.infer import half_width
from attribution.tables import line_keys, segments_estimates, too_few

if TYPE_CHECKING:
    import pandas as pd

    from attribution.result import Attribution

__all__ = ["line_label", "of_factor", "breakdown", "bridge", "crossing", "crossing_estimates"]

_MOST_COVARYING = 500
# Parts of the KPI below which an effect is 0 by construction, and its standard error too.
_DUST, _STILL = 1e-12, 1e-8


def bridge(self: Attribution, max_bars: int | None = None, *, causes: bool = False) -> Bridge:
    """Return the bars that every picture and file draws.

    Parameters
    ----------
    max_bars : int, optional
        Sum the smallest bars into "other" beyond this number.
    causes : bool
        Show the named causes, everywhere and the remainder in place of the rate effect.

    Returns
    -------
    Bridge
    """
    from attribution.summary import headline, notes, scope

    parts, cube, evidence = self._parts, self.cube, self._evidence
    found, p_adjusted = evidence.lines.found, evidence.lines_adjusted
    keys = line_keys(self)
    kept, labels = _bars(self, keys)
    bars = tuple(
        Bar(
            labels[i],
            *(float(x[i]) for x in (found.estimate, found.conf_low, found.conf_high)),
            p_adjusted=float(p_adjusted[i]),
            rows=(i,),
            note=too_few(cube) if found.few[i] else "",
            factor=keys[i].factor or "",
        )
        for i in kept
    )
    bridge = Bridge(
        metric=self.metric.label,
        unit=self.metric.display_unit,
        better=self.metric.better,
        scenarios=("previous" if cube.provenance.get("plan") is None else "plan", "actual"),
        baseline_label=self._ends[0],
        current_label=cube.periods[1],
        baseline=self.total.baseline,
        current=self.total.current,
        bars=bars,
        notes=tuple(notes(self)),
        verdict=self.verdict,
        scope=scope(self),
        # Thousands of entries and exits: "other" then goes without an interval.
        covariance=evidence.covariance[np.ix_(kept, kept)]
        if len(parts.lines) <= _MOST_COVARYING
        else None,
        half_width=float(half_width(self._units.degrees_of_freedom, self.options.conf_level)),
        mean=_mean(self),
    )
    bridge = replace(bridge, message=headline(self, bridge))
    if causes:
        from attribution.causes import with_causes

        rates = {i for i, line in enumerate(parts.lines) if line.effect == "rate"}
        bridge = with_causes(bridge, self.causes(), rates)
        bridge = replace(bridge, message=headline(self, bridge))
    return bridge if max_bars is None else bridge.condensed(max_bars)


def _bars(self: Attribution, keys: Sequence[LineKey]) -> tuple[list[int], dict[int, str]]:
    """The rows of `effects` that are bars, and their labels."""
    parts, found = self._parts, self._evidence.lines.found
    size = np.abs(parts.R).max()
    # With additive rates the joint effect is 0 by construction: no bar. Nor has a factor that
    # counts itself (decisions per decision) a mix or a rate.
    constant = (np.abs(parts.estimate) <= _DUST * size) & ~(found.std_error > _STILL * size)
    kept = [
        i
        for i, key in enumerate(keys)
        if not (constant[i] and (key.factor is not None or key.effect == "joint"))
    ] or list(range(len(keys)))
    planned = parts.form == "planned"
    labels = {i: line_label(*keys[i][:3], planned=planned) for i in kept}
    for name in {key.factor for key in keys if key.factor is not None}:
        own = [i for i in kept if keys[i].factor == name]
        for i in own:
            labels[i] = name if len(own) == 1 else of_factor(name, labels[i])
    return kept, labels


def _mean(self: Attribution) -> float | None:
    """The KPI per unit of volume in the current period, where it grows with the volume."""
    if not any(line.effect == "volume" for line in self._parts.lines):
        return None
    everyone = self._parts.everywhere[:, : len(self.cube.codes)]
    return float(self._parts.group_rates(everyone, 1)[0][0])


def breakdown(self: Attribution, dimension: str, max_levels: int | None = None) -> Breakdown:
    """Return the levels that every picture and file draws, displayed numbers adding up.

    Parameters
    ----------
    dimension : str
    max_levels : int, optional
        Sum the levels that moved least into "other" beyond this number.

    Returns
    -------
    Breakdown

    Raises
    ------
    ColumnNotFoundError
        No such dimension.
    """
    made = broken_down(dimension, self.levels(dimension), self.bridge())
    return made if max_levels is None else made.condensed(max_levels)


def crossing(self: Attribution, rows: str, columns: str, part: str = "total") -> Crossing:
    """Return the pairs of levels that every picture and file draws.

    Parameters
    ----------
    rows, columns : str
        Two dimensions.
    part : {"total", "mix", "rate"}
        Or "interaction", for threefold.

    Returns
    -------
    Crossing

    Raises
    ------
    ColumnNotFoundError, OptionError
        No such dimension, or the same twice, or no such part.
    """
    check_option("part", part, ["total", *self._parts.segment_parts])
    return _crossed(self, rows, columns, part, self.segments(by=[rows, columns]))


def crossing_estimates(self: Attribution, rows: str, columns: str) -> Crossing:
    """Return the totals of pairs of levels without their noise, at a tenth of the cost.

    For a table that shows numbers alone.

    Parameters
    ----------
    rows, columns : str
        Two dimensions.

    Returns
    -------
    Crossing
        Intervals and p-values are NaN.
    """
    places = [self.cube.dimension_index(d) for d in (rows, columns)]
    frame = segments_estimates(self.cube, self._evidence, places)
    return _crossed(self, rows, columns, "total", frame)


def _crossed(
    self: Attribution, rows: str, columns: str, part: str, frame: pd.DataFrame
) -> Crossing:
    levels = [self.cube.levels[self.cube.dimension_index(d)] for d in (rows, columns)]
    return crossed((rows, columns), (levels[0], levels[1]), frame, part, self.bridge())


def of_factor(factor: str, label: str) -> str:
    """Return the name of a bar of a factor: "AHT: mix tenure"; that of its volume is its own."""
    words = label.replace(": ", " ", 1)
    words = words[:1].lower() + words[1:]
    return factor if words == factor.casefold() else f"{factor}: {words}"


def line_label(
    effect: str, dimension: str | None, segment: str | None, planned: bool = False
) -> str:
    """Return the name of a bar: "Mix: tenure"."""
    if effect == "mix":
        return f"Mix: {dimension}"
    if effect in ("entry", "exit"):
        words = ("Unplanned", "Undelivered") if planned else ("New", "Gone")
        return f"{words[effect == 'exit']}: {segment}"
    return {"joint": "Mix: jointly"}.get(effect, effect.capitalize())
