"""Pictures of results: each draws the same numbers as the tables, on matplotlib axes.

    theme       fonts and colors
    text        text made safe, measured, wrapped, written
    page        title lines, small print, margins, the file
    scale       limits of a value axis that leave room for words
    layout      rows of floating bars: where everything goes
    floating    rows of floating bars: drawn
    canvas      axes as a sheet of paper, in points
    grid        numbers on colored cells
    scaled      ticks, and labels that avoid each other
    waterfall   the bridge from baseline to current
    levels      mix and rate of every level of a dimension
    heatmap     pairs of levels of two dimensions
    time_axis   columns in time order and their labels
    trend_bars  contributions from period to period
    trend_line  the KPI over time
    funnel      entities by size, with the limits of chance
    caterpillar entities from best to worst
    cards       the pictures of a scorecard
    scatter     mix against rate of the levels of a dimension
    pathways    whose mix was pushed, through whose rates it acted
    individuals a KPI over time in its natural limits
    drivers     a KPI tree

A new picture is one new file and a method of `Plots`. It takes ``theme=None``, which `look` turns
into ``Theme.in_use()``, makes its artists in ``theme.context()``, writes by a `Pen`, and hands its
title lines and small print to `Words`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from attribution.errors import OptionError
from attribution.plots.page import save
from attribution.plots.theme import Theme, look
from attribution.privacy import protect, protect_trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.drivers import Factors
    from attribution.privacy import Privacy, Shown
    from attribution.result import Attribution
    from attribution.trends import Trend

__all__ = ["FactorPlots", "Plots", "TrendPlots", "save"]


@dataclass(frozen=True)
class Plots:
    """The pictures of an attribution, as ``change.plot``.

    Each takes `ax` (None makes a figure of a size that fits), `theme` (by default the one in use)
    and `style` ("ibcs" or "plain", by default that of the theme), and returns the axes. Levels that
    are people are hidden unless ``change.plot(privacy=...)`` says otherwise.
    """

    change: Attribution
    privacy: Privacy | None = None

    def __call__(self, *, privacy: Privacy) -> Plots:
        """Return the pictures with another rule for who may be seen.

        ``change.plot(privacy=at.Privacy(people="names")).levels("moderator_id")``
        """
        return replace(self, privacy=privacy)

    @property
    def _shown(self) -> Shown:
        return protect(self.change, self.privacy)

    def waterfall(
        self,
        ax: Axes | None = None,
        *,
        orientation: str = "horizontal",
        totals: str = "zoom",
        max_bars: int = 12,
        sort: str = "size",
        theme: Theme | None = None,
        style: str | None = None,
    ) -> Axes:
        """Draw the bridge from baseline to current; see `attribution.plots.waterfall`."""
        from attribution.plots.waterfall import waterfall

        return waterfall(
            self._shown.bridge,
            ax,
            orientation=orientation,
            totals=totals,
            max_bars=max_bars,
            sort=sort,
            theme=_look(theme, style),
        )

    def levels(
        self,
        dimension: str,
        ax: Axes | None = None,
        *,
        max_levels: int = 12,
        sort: str = "size",
        theme: Theme | None = None,
        style: str | None = None,
    ) -> Axes:
        """Draw mix and rate of every level of a dimension; see `attribution.plots.levels`."""
        from attribution.plots.levels import levels

        made = self._shown.breakdown(dimension)
        return levels(made, ax, max_levels=max_levels, sort=sort, theme=_look(theme, style))

    def heatmap(
        self,
        rows: str,
        columns: str,
        ax: Axes | None = None,
        *,
        part: str = "total",
        max_levels: int = 12,
        theme: Theme | None = None,
        style: str | None = None,
    ) -> Axes:
        """Draw what pairs of levels contributed; see `attribution.plots.heatmap`."""
        from attribution.plots.heatmap import heatmap

        made = self._shown.crossing(rows, columns, part)
        return heatmap(made, ax, max_levels=max_levels, theme=_look(theme, style))

    def scatter(
        self,
        dimension: str,
        ax: Axes | None = None,
        *,
        max_levels: int = 30,
        theme: Theme | None = None,
        style: str | None = None,
    ) -> Axes:
        """Draw mix against rate of every level; see `attribution.plots.scatter`."""
        from attribution.plots.scatter import scatter

        made = self._shown.breakdown(dimension)
        return scatter(made, ax, max_levels=max_levels, theme=_look(theme, style))

    def pathways(
        self, ax: Axes | None = None, *, theme: Theme | None = None, style: str | None = None
    ) -> Axes:
        """Draw the pathway matrix; see `attribution.plots.pathways`."""
        from attribution.plots.pathways import pathway_grid

        made = self.change.pathways()
        return pathway_grid(made, self._shown.bridge, ax, theme=_look(theme, style))

    def individuals(
        self,
        history: object,
        ax: Axes | None = None,
        *,
        lag: int = 1,
        theme: Theme | None = None,
        style: str | None = None,
    ) -> Axes:
        """Draw the change against past changes; see `attribution.plots.individuals`."""
        from attribution.plots.individuals import individuals

        made = self.change.context(history, lag=lag)
        return individuals(made, ax, theme=_look(theme, style))


@dataclass(frozen=True)
class TrendPlots:
    """The pictures of a trend, as ``trend.plot``.

    Levels that are people are hidden unless ``trend.plot(privacy=...)`` says otherwise.
    """

    trend: Trend
    privacy: Privacy | None = None

    def __call__(self, *, privacy: Privacy) -> TrendPlots:
        """Return the pictures with another rule for who may be seen."""
        return replace(self, privacy=privacy)

    def bars(self, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
        """Draw the stacked contributions over time; see `attribution.plots.trend_bars`.

        No level is named in it.
        """
        from attribution.plots.trend_bars import trend_bars

        return trend_bars(self.trend, ax, theme=theme)

    def line(self, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
        """Draw the KPI over time with its intervals; see `attribution.plots.trend_line`.

        No level is named in it.
        """
        from attribution.plots.trend_line import trend_line

        return trend_line(self.trend, ax, theme=theme)

    def individuals(self, ax: Axes | None = None, *, theme: Theme | None = None) -> Axes:
        """Draw the KPI in its natural limits; see `attribution.plots.individuals`.

        The last change is judged against those before it, of the periods of the trend: its steps
        have to lead from each period to the next. No level is named in it.
        """
        from attribution.plots.individuals import individuals

        changes = list(self.trend.steps.values())
        if self.trend.path != "chained" or not changes:
            raise OptionError(
                f"path: an individuals chart is of changes from period to period (path='chained'), "
                f"not of {self.trend.path!r}."
            )
        return individuals(changes[-1].context(self.trend.cube), ax, theme=theme)

    def waterfall(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw what the path adds up to as a bridge; see `attribution.plots.waterfall`."""
        from attribution.plots.waterfall import waterfall

        return waterfall(protect_trend(self.trend, self.privacy).bridge(), ax, **options)


@dataclass(frozen=True)
class FactorPlots:
    """The picture of factors, as ``change.plot``: a bridge, in which nobody has to be hidden."""

    factors: Factors

    def waterfall(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw what each factor contributed; see `attribution.plots.waterfall`."""
        from attribution.plots.waterfall import waterfall

        return waterfall(self.factors.bridge(), ax, **options)


def _look(theme: Theme | None, style: str | None) -> Theme:
    theme = look(None, theme)
    return theme if style is None else replace(theme, style=style)
