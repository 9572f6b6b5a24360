"""Pictures of results: each draws the same numbers as the tables, on matplotlib axes.

    theme       fonts and colors
    text        text made safe, measured, wrapped, written
    page        title lines, small print, margins, the file
    scale       limits of a value axis that leave room for words
    layout      rows of floating bars: where everything goes
    floating    rows of floating bars: drawn
    waterfall   the bridge from baseline to current

A new picture is one new file and a method of `Plots`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.plots.page import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.result import Attribution

__all__ = ["Plots", "save"]


@dataclass(frozen=True)
class Plots:
    """The pictures of an attribution, as ``change.plot``."""

    change: Attribution

    def waterfall(
        self,
        ax: Axes | None = None,
        *,
        orientation: str = "horizontal",
        totals: str = "zoom",
        max_bars: int = 12,
        sort: str = "size",
    ) -> Axes:
        """Draw the bridge from baseline to current; see `attribution.plots.waterfall`."""
        from attribution.plots.waterfall import waterfall

        return waterfall(
            self.change.bridge(),
            ax,
            orientation=orientation,
            totals=totals,
            max_bars=max_bars,
            sort=sort,
        )
