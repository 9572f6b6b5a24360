"""What a search for causes found: named segments, everywhere, the rest; its words, table, bars."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from attribution.bridge import Bar, Bridge
from attribution.formatting import Format, aligned, p_text, significant
from attribution.plain import plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Causes", "with_causes"]


@dataclass(frozen=True, eq=False)
class Causes:
    """The segments that carry an effect; made by `Attribution.causes`.

    Attributes
    ----------
    frame : DataFrame
        One row per cause, the largest contribution first: `segment` in words, one column per
        dimension (null where it is free), `order, n_baseline, n_current, rate_baseline,
        rate_current, odds_ratio, contribution, std_error, conf_low, conf_high, p_adjusted`.
        `odds_ratio` is the cause's own, beside everywhere and the other causes; null for ratios.
    everywhere : dict
        What all segments have in common: `contribution, std_error, conf_low, conf_high,
        odds_ratio, p_value`.
    remainder : float
        The effect less everything named: spread over the rest.
    none : str or None
        Where nothing is named: that no segment stands out, and what would have.
    effect : float
        What the contributions, everywhere and the remainder add up to, exactly.
    notes : tuple of str
        What a reader should know about the search.
    provenance : dict
    least : (float, float), optional
        Where nothing is named: the effect that would have been, in units of the KPI (for mix, the
        relative change of volume), and the share of the segment that would have had it.
    """

    frame: pd.DataFrame
    everywhere: Mapping[str, float]
    remainder: float
    none: str | None
    effect: float
    notes: tuple[str, ...]
    provenance: Mapping[str, Any] = field(repr=False)
    kind: str = "rate"
    least: tuple[float, float] | None = None
    _words: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        return Format.fitting(self._words["unit"], self.effect)

    def __repr__(self) -> str:
        if self.none:
            return f"<Causes of {self._words['metric']}: none stands out>"
        named = "; ".join(
            f"{row['segment']} ({self.format.change(row['contribution'])})" for row in self.rows()
        )
        return f"<Causes of {self._words['metric']}: {named}>"

    def __str__(self) -> str:
        return self.summary()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `frame`, each as a mapping."""
        return [{str(k): v for k, v in row.items()} for row in self.frame.to_dict("records")]

    def summary(self) -> str:
        """Return the causes, everywhere and the remainder as text that adds up."""
        f = self.format
        rows = [
            (
                row["segment"],
                f.number(row["contribution"], signed=True),
                f"[{f.interval(row['conf_low'], row['conf_high'])}]",
                p_text(row["p_adjusted"]),
            )
            for row in self.rows()
        ]
        common = self.everywhere
        interval = f.interval(common["conf_low"], common["conf_high"])
        rows.append(
            (
                "everywhere",
                f.number(common["contribution"], signed=True),
                f"[{interval}]" if interval else "",
                p_text(common["p_value"]),
            )
        )
        rows.append(("spread over the rest", f.number(self.remainder, signed=True), "", ""))
        rows.append((f"{self.kind} effect", f.number(self.effect, signed=True), "", ""))
        table = [f"  {line}" for line in aligned(rows, right=[1])]
        return "\n".join([self.message(), "", *table, "", *self.notes])

    def message(self) -> str:
        """Return the sentence above the table."""
        if self.none:
            return self.none
        f = self.format
        named = self.frame["contribution"].sum()
        count = len(self.frame)
        segments = "segment carries" if count == 1 else "segments carry"
        return (
            f"{count} {segments} {f.change(named)} of the {self.kind} effect of "
            f"{f.change(self.effect)} on {self._words['metric']}."
        )

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the causes as bars with their intervals; see `attribution.plots.causes`.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        Axes
        """
        from attribution.plots.causes import causes_plot

        return causes_plot(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none."""
        return {
            "kind": self.kind,
            "effect": significant(self.effect),
            "causes": [{k: plain(v) for k, v in row.items()} for row in self.rows()],
            "everywhere": {k: plain(v) for k, v in self.everywhere.items()},
            "remainder": significant(self.remainder),
            "none": self.none,
            "least": None if self.least is None else [significant(x) for x in self.least],
            "notes": list(self.notes),
            "provenance": {k: plain(v) for k, v in self.provenance.items()},
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Causes):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.provenance["sha256"], self.kind, significant(self.remainder)))


def with_causes(bridge: Bridge, causes: Causes, rates: Collection[int]) -> Bridge:
    """Return a bridge with the bars of the rate effect replaced by its causes.

    Parameters
    ----------
    bridge : Bridge
    causes : Causes
    rates : collection of int
        The rows of the rate effect, one for each factor.

    Returns
    -------
    Bridge
        The same where nothing is named.
    """
    if causes.none:
        return replace(bridge, notes=(*bridge.notes, causes.none))
    common = causes.everywhere
    columns = ("segment", "contribution", "conf_low", "conf_high", "p_adjusted")
    named = [Bar(*(row[c] for c in columns)) for row in causes.rows()]
    named.append(
        Bar(
            "Rate: everywhere",
            common["contribution"],
            common["conf_low"],
            common["conf_high"],
            common["p_value"],
        )
    )
    named.append(Bar("Rate: the rest", causes.remainder))
    of_rate = [bar for bar in bridge.bars if bar.rows and set(bar.rows) <= set(rates)]
    bars = [
        b
        for bar in bridge.bars
        if bar not in of_rate[1:]
        for b in (named if bar in of_rate[:1] else [bar])
    ]
    return replace(bridge, bars=tuple(bars), covariance=None)
