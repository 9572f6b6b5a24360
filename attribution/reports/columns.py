"""A bridge as stacked columns, for charts that know no waterfall: Excel's and PowerPoint's.

Every column is an invisible base and one visible part, each with a twin for what lies below 0; a
last invisible series carries the label above the column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attribution.bridge import Bridge
from attribution.plots.theme import Theme

__all__ = ["KINDS", "SIGNIFICANT", "Stacked", "colors", "stacked"]

SIGNIFICANT = 0.05
KINDS = ("baseline", "current", "better", "worse", "no change")
# A cut has to save at least this part of the axis, or it is not worth its mark.
_WORTH_A_CUT = 0.5


@dataclass(frozen=True)
class Stacked:
    """The columns of a waterfall, in displayed units.

    Attributes
    ----------
    categories : tuple of str
    labels : tuple of str
        What is written above each column.
    ends : ndarray, shape (columns, 2)
        Where each column starts and ends; a total starts at 0.
    kinds : tuple of str
        The series each column belongs to: "baseline", "better" ...
    pale : tuple of bool
        Steps that cannot be told from noise, where the total cannot either.
    floor, ceiling : float
        The limits of the axis; a floor other than 0 is a cut.
    """

    categories: tuple[str, ...]
    labels: tuple[str, ...]
    ends: np.ndarray
    kinds: tuple[str, ...]
    pale: tuple[bool, ...]
    floor: float
    ceiling: float

    @property
    def cut(self) -> bool:
        """Whether the axis does not start at 0."""
        return self.floor != 0 and self.ceiling != 0

    def series(self) -> dict[str, list[float]]:
        """Return the values of every series above 0 and, named "... below", of its twin."""
        low, high = self.ends.min(axis=1), self.ends.max(axis=1)
        parts = {}
        for sign, suffix in ((1, ""), (-1, " below")):
            near = np.maximum(sign * (low if sign > 0 else high), 0)
            far = np.maximum(sign * (high if sign > 0 else low), 0)
            parts[f"base{suffix}"] = sign * near
            for kind in KINDS:
                mine = np.array([k == kind for k in self.kinds])
                parts[f"{kind}{suffix}"] = np.where(mine, sign * (far - near), 0.0)
        used = {k: x for k, x in parts.items() if not k.endswith("below") or np.any(x)}
        return {k: [float(v) for v in x] for k, x in used.items()}


def colors(theme: Theme) -> dict[str, str]:
    """Return the color of each kind of column, as pictures have it.

    Parameters
    ----------
    theme : Theme

    Returns
    -------
    dict of str to str
    """
    found = (theme.current, theme.good, theme.bad, theme.neutral)
    return dict(zip(KINDS, (theme.baseline, *found), strict=True))


def stacked(bridge: Bridge, most: int = 12) -> Stacked:
    """Lay out a bridge as stacked columns, the largest step first.

    Parameters
    ----------
    bridge : Bridge
    most : int
        Steps beyond this number are summed into "other".

    Returns
    -------
    Stacked
    """
    format, shown = bridge.format, bridge.condensed(most).by_size()
    factor = format.factor
    kinds = ["baseline"]
    for value in shown.shown():
        kinds.append("no change" if value == 0 else "better" if bridge.good(value) else "worse")
    kinds.append("current")
    starts = np.array([0.0, *shown.starts(), 0.0]) * factor
    steps = np.array([bar.value for bar in shown.bars])
    ends = np.array([bridge.baseline, *(np.array(shown.starts()) + steps), bridge.current]) * factor
    labels = [format.level(bridge.baseline), *shown.texts(), format.level(bridge.current)]
    categories = [bridge.baseline_label, *(bar.label for bar in shown.bars), bridge.current_label]
    floor, ceiling = _limits(np.column_stack([starts, ends]))
    return Stacked(
        tuple(categories),
        tuple(labels),
        np.column_stack([starts, ends]),
        tuple(kinds),
        (
            False,
            *(bridge.verdict != "real" and not b.p_adjusted < SIGNIFICANT for b in shown.bars),
            False,
        ),
        floor,
        ceiling,
    )


def _limits(ends: np.ndarray) -> tuple[float, float]:
    """Limits of the axis with room for labels: from 0, or cut where steps would be too small."""
    inner = np.concatenate([ends[1:-1].ravel(), ends[[0, -1], 1]])
    low, high = float(inner.min()), float(inner.max())
    spread = high - low or abs(high) or 1.0
    if low > 0 and high - low < (1 - _WORTH_A_CUT) * high:
        step = _nice(spread)
        floor = max(math.floor((low - 0.35 * spread) / step) * step, 0.0)
        return _tidy(floor, step), _tidy(math.ceil((high + 0.25 * spread) / step) * step, step)
    low, high = min(low, 0.0), max(high, 0.0)
    spread = high - low or 1.0
    step = _nice(spread)
    top = math.ceil((high + 0.15 * spread) / step) * step
    return _tidy(math.floor(low / step) * step, step), _tidy(top, step)


def _nice(spread: float) -> float:
    """A round step of which four to ten fit into a spread."""
    size = 10.0 ** math.floor(math.log10(spread / 4))
    return next(m * size for m in (1, 2, 5, 10) if spread / (m * size) <= 8)


def _tidy(value: float, step: float) -> float:
    return round(value, max(0, 1 - math.floor(math.log10(step))))
