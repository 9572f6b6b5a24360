"""The bridge: ordered bars from baseline to current, numbers only; every picture and file draws it.

Displayed bars add up to the displayed change: the totals are rounded first and the bars by largest
remainder to their difference, so that no reader finds parts of -1.63 that add to -1.64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from attribution.errors import OptionError
from attribution.formatting import Format, largest_remainder

__all__ = ["SIGNIFICANT", "Bar", "Bridge"]

# Below this adjusted p-value a line is named in words and drawn in full color whatever the total.
SIGNIFICANT = 0.05
# What a level can be, as IBCS abbreviates it.
_SCENARIOS = {"actual": "AC", "previous": "PP", "plan": "PL", "forecast": "FC"}


@dataclass(frozen=True)
class Bar:
    """One step of a bridge.

    Attributes
    ----------
    label : str
    value : float
        In KPI units; positive raises the KPI.
    conf_low, conf_high : float
        The interval, NaN where there is none.
    p_adjusted : float
    rows : tuple of int
        The rows of `effects` it stands for; several for "other".
    note : str
        What a reader must know beside the number: "too few moderators".
    factor : str
        The factor that it belongs to, of a KPI made of KPIs.
    """

    label: str
    value: float
    conf_low: float = float("nan")
    conf_high: float = float("nan")
    p_adjusted: float = float("nan")
    rows: tuple[int, ...] = ()
    note: str = ""
    factor: str = ""


@dataclass(frozen=True)
class Bridge:
    """Bars that lead from the baseline to the current level of a KPI.

    Attributes
    ----------
    metric : str
        The KPI's name.
    unit : str
        Its unit ("%": changes are shown in pp).
    better : str
        "higher" or "lower".
    baseline_label, current_label : str
        The two periods.
    baseline, current : float
        The KPI in them.
    bars : tuple of Bar
        Their values add up to current - baseline.
    message : str
        The sentence above the picture.
    notes : tuple of str
        The lines below it: source, n, method.
    verdict : str
        "real", "noise" or "inconclusive".
    scenarios : tuple of str
        What the two levels are: "actual", "previous", "plan" or "forecast".
    scope : str
        The part of the operation that it is about; "" for all.
    covariance : ndarray, shape (bars, bars)
        Of the bars, for the interval of "other".
    half_width : float
        The half width of an interval in standard errors.
    mean : float or None
        The KPI per unit of volume, of a sum, whose rates are such means; None for any other.
    """

    metric: str
    unit: str
    better: str
    baseline_label: str
    current_label: str
    baseline: float
    current: float
    bars: tuple[Bar, ...]
    message: str = ""
    notes: tuple[str, ...] = ()
    verdict: str = "real"
    scenarios: tuple[str, str] = ("previous", "actual")
    scope: str = ""
    covariance: np.ndarray | None = field(default=None, repr=False, compare=False)
    half_width: float = field(default=float("nan"), repr=False, compare=False)
    mean: float | None = None

    @property
    def change(self) -> float:
        """current - baseline."""
        return self.current - self.baseline

    @property
    def format(self) -> Format:
        """How its numbers are written."""
        level = None if self.verdict == "real" else max(abs(self.baseline), abs(self.current))
        return Format.fitting(self.unit, self.change, level)

    @property
    def rate_format(self) -> Format:
        """How the rates of levels are written: as the KPI, or to four digits of a sum's mean."""
        if self.mean is None:
            return self.format
        return Format.fitting("", self.mean / 10)

    @property
    def when(self) -> str:
        """The two periods with what they are: "2026-09 (AC) against 2026-08 (PP)".

        A comparison with a plan says so in the labels themselves: "AC 2026-09 against PL 2026-09".
        """
        labels = self.baseline_label, self.current_label
        codes = (_SCENARIOS[scenario] for scenario in self.scenarios)
        baseline, current = (
            label if label.split()[:1] == [code] else f"{label} ({code})"
            for label, code in zip(labels, codes, strict=True)
        )
        return f"{current} against {baseline}"

    def good(self, value: float) -> bool:
        """Whether a step of this sign is good news; a step of 0 is neither."""
        return value > 0 if self.better == "higher" else value < 0

    def shown(self) -> list[float]:
        """Return the displayed values of the bars, in displayed units, adding up as displayed."""
        format = self.format
        ends = [round(x * format.factor, format.decimals) for x in (self.baseline, self.current)]
        return largest_remainder(
            [bar.value * format.factor for bar in self.bars], ends[1] - ends[0], format.decimals
        )

    def texts(self) -> list[str]:
        """Return the displayed values of the bars as text, with signs."""
        format = self.format
        return [format.number(x / format.factor, signed=True) for x in self.shown()]

    def remarks(self) -> list[str]:
        """Return the notes of the bars, each once: "too few moderators"."""
        return list(dict.fromkeys(bar.note for bar in self.bars if bar.note))

    def starts(self) -> list[float]:
        """Return the level each bar starts from."""
        levels = self.baseline + np.cumsum([0.0, *(bar.value for bar in self.bars)])
        return [float(x) for x in levels[:-1]]

    def by_size(self) -> Bridge:
        """Return the bridge with its bars sorted by size, "other" last."""
        bars, known = self.bars, self.covariance
        order = sorted(
            range(len(bars)), key=lambda i: (len(bars[i].rows) > 1, -abs(bars[i].value), i)
        )
        moved = None if known is None else known[np.ix_(order, order)]
        return replace(self, bars=tuple(bars[i] for i in order), covariance=moved)

    def condensed(self, most: int) -> Bridge:
        """Return the bridge with at most `most` bars, the smallest summed into "other".

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
            raise OptionError(f"max_bars: {most} is below 2, the least that leaves a bridge.")
        if len(self.bars) <= most:
            return self
        ranked = sorted(range(len(self.bars)), key=lambda i: -abs(self.bars[i].value))
        rest = sorted(ranked[most - 1 :])
        return self.merged(rest, f"other ({len(rest)})")

    def merged(self, members: Sequence[int], label: str) -> Bridge:
        """Return the bridge with some of its bars summed into one, which comes last.

        Parameters
        ----------
        members : sequence of int
            Positions among the bars.
        label : str
            Of the sum.
        """
        kept = [i for i in range(len(self.bars)) if i not in set(members)]
        bars = (*(self.bars[i] for i in kept), self._sum(members, label))
        if self.covariance is None:
            return replace(self, bars=bars)
        sums = np.zeros((len(bars), len(self.bars)))
        sums[np.arange(len(kept)), kept] = 1.0
        sums[-1, list(members)] = 1.0
        # A bar without a known error must not make the others unknown.
        unknown = np.isnan(self.covariance)
        covariance = sums @ np.where(unknown, 0.0, self.covariance) @ sums.T
        covariance[sums @ unknown @ sums.T > 0] = np.nan
        return replace(self, bars=bars, covariance=covariance)

    def _sum(self, members: Sequence[int], label: str) -> Bar:
        value = float(sum(self.bars[i].value for i in members))
        rows = tuple(r for i in members for r in self.bars[i].rows)
        notes = list(dict.fromkeys(self.bars[i].note for i in members if self.bars[i].note))
        if self.covariance is None:
            return Bar(label, value, rows=rows, note=", ".join(notes))
        chosen = self.covariance[np.ix_(members, members)]
        half = self.half_width * float(np.sqrt(max(chosen.sum(), 0.0)))
        return Bar(label, value, value - half, value + half, rows=rows, note=", ".join(notes))
