"""A trend as it may be seen: the rows that its text, pictures and JSON quote, after privacy.

Only levels that enter or leave are named in a trend. Those that must not be are one row, in every
step and in what the steps add up to; a level that is secret in one step is so in the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attribution.errors import OptionError
from attribution.hypotheses import LineKey
from attribution.plain import SCHEMA, plain, records
from attribution.privacy.rules import Privacy, anonymous, pseudonyms, without_names
from attribution.privacy.shown import Shown, protect
from attribution.tables import line_keys

if TYPE_CHECKING:
    import pandas as pd

    from attribution.bridge import Bridge
    from attribution.trends import Trend

__all__ = ["ShownTrend", "protect_trend"]


@dataclass(frozen=True)
class ShownTrend:
    """A trend and what may be shown of it.

    Attributes
    ----------
    trend : Trend
    privacy : Privacy
    """

    trend: Trend
    privacy: Privacy

    @cached_property
    def steps(self) -> list[Shown | None]:
        """What may be shown of each step; None of a gap."""
        return [
            None if step.change is None else protect(step.change, self.privacy)
            for step in self.trend._steps
        ]

    @cached_property
    def _merged(self) -> dict[LineKey, LineKey]:
        """Each line that is not shown by itself, pseudonyms in its name -> what it is part of."""
        found: dict[LineKey, LineKey] = {}
        for shown in self.steps:
            if shown is None:
                continue
            keys = line_keys(shown.change)
            for bar in shown.merged_bars:
                found |= {keys[i]: LineKey("turnover", None, bar.label) for i in bar.rows}
        label = next((key.segment for key in found.values()), None)
        found = {key: LineKey("turnover", None, label) for key in found}
        if len(found) == 1 and self.privacy.min_n and self.trend.total is not None:
            # Alone it would be its own sum: the smallest other line goes with it.
            sums = self.trend._sums
            keys = [self._renamed(key) for key in sums.keys]
            others = [i for i, key in enumerate(keys) if key not in found]
            if others:
                least = min(others, key=lambda i: abs(sums.estimate[i]))
                found[keys[least]] = next(iter(found.values()))
        return found

    def name(self, key: LineKey) -> LineKey:
        """Return what a line is called here.

        Parameters
        ----------
        key : LineKey
        """
        renamed = self._renamed(key)
        return self._merged.get(renamed, renamed)

    def _renamed(self, key: LineKey) -> LineKey:
        """A line with pseudonyms in place of people."""
        if self.privacy.key is None or key.effect not in ("entry", "exit"):
            return key
        dimensions, labels = str(key.dimension).split(" × "), str(key.segment).split(" × ")
        people = self.privacy.people_in(self.trend.cube.dimensions)
        if not set(dimensions) & set(people) or len(dimensions) != len(labels):
            return key
        named = [
            pseudonyms(d, [x], self.privacy.key)[0] if d in people else x
            for d, x in zip(dimensions, labels, strict=True)
        ]
        return key._replace(segment=" × ".join(named))

    @property
    def effects(self) -> pd.DataFrame:
        """The rows of `Trend.effects`; lines that are not shown by themselves are one row."""
        import pandas as pd

        trend = self.trend
        if trend.path == "year-to-date":
            return trend._weighted_effects(self.name)
        frames = []
        for step, shown in zip(trend._steps, self.steps, strict=True):
            frame = trend._gap_row(step) if shown is None else shown.effects
            frames.append(trend._named(frame, step))
        if len(frames) > 1:
            frames = [f.astype({"dimension": object, "segment": object}) for f in frames]
        return pd.concat(frames, ignore_index=True)

    @property
    def summed(self) -> pd.DataFrame:
        """The rows of `Trend.summed`, likewise."""
        return self.trend._inferred(self.trend._sums_of(self.name))

    def bridge(self) -> Bridge:
        """Return the bars of `summed`."""
        return self.trend._bridge_of(self.trend._sums_of(self.name))

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """The findings; those that name what is not shown say so instead."""
        secret = {x for shown in self.steps if shown is not None for x in shown.secret()}
        people = self.privacy.columns or ()
        return without_names(self.trend._findings(self.steps), secret, people)

    @property
    def withheld(self) -> list[str]:
        """Sentences that say what a reader does not see."""
        said = [x for shown in self.steps if shown is not None for x in shown.withheld]
        return list(dict.fromkeys(said))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from, and what was not shown."""
        cube, known = self.trend.cube, self.trend.provenance
        if self.privacy.people != "names":
            own = anonymous(cube, self.privacy).provenance
            known = {k: v for k, v in known.items() if k not in cube.provenance or k in own}
            # The wording of the scan holds the condition on rows.
            known |= {k: v for k, v in own.items() if k in known}
            known.pop("sql", None)
        shown = [x for x in self.steps if x is not None]
        if self.privacy.min_n:
            known["min_n"] = self.privacy.min_n
        if any(mask.any() for x in shown for mask in x.masks.values()):
            known["sha256"] = "withheld: groups are suppressed"
        if hidden := list(dict.fromkeys(d for x in shown for d in x.hidden)):
            known["not_shown"] = hidden
        return known

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; see `Trend.to_dict`."""
        trend, total = self.trend, self.trend.total
        return {
            "schema": SCHEMA,
            "kind": "trend",
            "path": trend.path,
            "metric": {
                "name": trend.metric.label,
                "better": trend.metric.better,
                "unit": trend.metric.display_unit,
            },
            "periods": records(trend.frame),
            "total": None if total is None else plain(vars(total)),
            "effects": records(self.effects),
            "summed": None if total is None else records(self.summed),
            "findings": [plain(f) for f in self.findings],
            "not_shown": self.withheld,
            "provenance": plain(self.provenance),
        }


def protect_trend(trend: Trend, privacy: Privacy | None) -> ShownTrend:
    """Return what may be shown of a trend.

    Parameters
    ----------
    trend : Trend
    privacy : Privacy, optional
        None hides the levels of people and suppresses nothing.

    Returns
    -------
    ShownTrend

    Raises
    ------
    OptionError
        Not an `at.Privacy`.
    """
    privacy = Privacy() if privacy is None else privacy
    if not isinstance(privacy, Privacy):
        raise OptionError(f"privacy: {privacy!r} is not an at.Privacy(...).")
    return ShownTrend(trend, privacy)
