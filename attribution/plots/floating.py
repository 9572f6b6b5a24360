"""Rows of floating bars drawn either way: bars, numbers, whiskers, connectors, cut marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attribution.plots.layout import GAP, Axis, Layout, Row
from attribution.plots.page import PAD
from attribution.plots.text import Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# The part of its row that a bar fills.
THICK = 0.62


def draw(ax: Axes, rows: Sequence[Row], axis: Axis, layout: Layout, pen: Pen) -> None:
    """Draw rows; ``ax.patches`` are their bars, in order."""
    ax.set_axis_off()
    limits, places = (axis.low, axis.high), (-0.5, len(rows) - 0.5)
    if layout.horizontal:
        ax.set(xlim=limits, ylim=places[::-1])
    else:
        ax.set(xlim=places, ylim=limits)
    stage = Stage(ax, layout, pen)
    if not axis.cut:
        stage.origin((sum(row.apart for row in rows) - 0.5, places[1]))
    for i, row in enumerate(rows):
        stage.bar(i, axis.origin if row.total and not row.apart else row.start, row)
        if row.total and axis.cut:
            stage.cut(i, from_below=axis.origin > 0)
        if row.whisker:
            stage.whisker(i, row.whisker)
        if i + 1 < len(rows) and not row.apart:
            stage.connector(i, row.end)
        stage.number(i, row)
        stage.label(i, row)
    if any(row.interval for row in rows):
        stage.interval_column()


@dataclass(frozen=True)
class Stage:
    """Axes on which values run along one direction and places along the other."""

    ax: Axes
    layout: Layout
    pen: Pen

    def _xy(self, value: Any, place: Any) -> tuple[Any, Any]:
        return (value, place) if self.layout.horizontal else (place, value)

    def _line(self, values: Any, places: Any, color: str, width: float, role: str, **style) -> None:
        self.ax.plot(
            *self._xy(values, places),
            color=color,
            linewidth=width,
            label=f"_{role}",
            clip_on=False,
            **style,
        )

    def origin(self, places: tuple[float, float]) -> None:
        """Draw the line at 0."""
        self._line((0.0, 0.0), places, self.pen.theme.ink, 0.8, "origin", zorder=3)

    def bar(self, i: int, start: float, row: Row) -> None:
        """Draw a bar; its edge keeps a tiny one visible. A plan is outlined, a forecast hatched."""
        from matplotlib.patches import Rectangle

        solid = row.look == "solid"
        corner, size = self._xy(start, i - THICK / 2), self._xy(row.end - start, THICK)
        self.ax.add_patch(
            Rectangle(
                corner,
                *size,
                facecolor=row.color if solid else self.pen.theme.paper,
                edgecolor=row.color,
                linewidth=1.2,
                hatch="////" if row.look == "hatched" else None,
                label="_bar",
                zorder=2,
            )
        )

    def whisker(self, i: int, ends: tuple[float, float]) -> None:
        """Draw an interval, with a rim of paper so that it shows on dark bars."""
        theme = self.pen.theme
        marker = "|" if self.layout.horizontal else "_"
        for color, width, role in ((theme.paper, 2.2, "rim"), (theme.ink, 1.0, "whisker")):
            self._line(
                ends,
                (i, i),
                color,
                width,
                role,
                marker=marker,
                markersize=6.0,
                markeredgewidth=width,
                zorder=4,
            )

    def connector(self, i: int, value: float) -> None:
        """Draw the thin line from the end of a bar to the start of the next."""
        self._line(
            (value, value),
            (i + THICK / 2, i + 1 - THICK / 2),
            self.pen.theme.quiet,
            0.7,
            "connector",
            zorder=1,
        )

    def cut(self, i: int, from_below: bool) -> None:
        """Draw the mark that a bar does not start at 0: two slanted lines across its stub."""
        from matplotlib.transforms import offset_copy

        horizontal, theme = self.layout.horizontal, self.pen.theme
        inward = 16.0 if from_below else -16.0
        where = self.ax.get_yaxis_transform() if horizontal else self.ax.get_xaxis_transform()
        # A subfigure will do, whatever the stubs say.
        figure: Any = self.ax.figure
        moved = offset_copy(where, figure, *self._xy(inward, 0.0), units="points")
        half = THICK / 2 * self.layout.pitch + 3
        point = self._xy(0.0 if from_below else 1.0, i)
        gap = [(-4.5, -half), (0.5, half), (4.5, half), (-0.5, -half)]
        edges = [[gap[0], gap[1]], [gap[3], gap[2]]]
        for shape, color, width in (([gap], theme.paper, 0.0), (edges, theme.ink, 1.0)):
            self._marker(point, moved, shape, color, width)

    def _marker(self, point: Any, where: Any, strokes: list, color: str, width: float) -> None:
        from matplotlib.path import Path

        turned = [[self._xy(*p) for p in stroke] for stroke in strokes]
        vertices = [p for stroke in turned for p in stroke]
        codes = [Path.LINETO if k else Path.MOVETO for stroke in turned for k in range(len(stroke))]
        # Matplotlib scales a marker so that its farthest coordinate is half the marker size.
        size = 2 * max(abs(c) for p in vertices for c in p)
        self.ax.plot(
            [point[0]],
            [point[1]],
            marker=Path(vertices, codes),
            markersize=size,
            color=color,
            markeredgewidth=width,
            transform=where,
            clip_on=False,
            linestyle="none",
            label="_cut",
            zorder=5,
            markerfacecolor="none" if width else color,
        )

    def number(self, i: int, row: Row) -> None:
        """Write the value beyond the bar and its whisker, on the side where it points."""
        theme = self.pen.theme
        value = row.reach()[1 if row.forward else 0]
        away = GAP / 2 if row.forward else -GAP / 2
        if self.layout.horizontal:
            ha, va = "left" if row.forward else "right", "center_baseline"
        else:
            ha, va = "center", "bottom" if row.forward else "top"
        self.pen.write(
            self.ax,
            row.text,
            self._xy(value, i),
            self._xy(away, 0.0),
            size=theme.size,
            bold=not row.pale,
            color=theme.quiet if row.pale else theme.ink,
            ground=theme.paper,
            ha=ha,
            va=va,
            role="value",
        )

    def label(self, i: int, row: Row) -> None:
        """Write the label left of a bar or below a column, and the interval behind it."""
        theme, text = self.pen.theme, self.layout.labels[i]
        style = {"size": theme.size, "color": theme.ink, "bold": row.total, "role": "label"}
        small = {"size": theme.small_size, "color": theme.quiet, "role": "interval"}
        if self.layout.horizontal:
            across = self.ax.get_yaxis_transform()
            middle = "center" if "\n" in text else "center_baseline"
            self.pen.write(
                self.ax, text, (0, i), (-GAP, 0), coordinates=across, ha="right", va=middle, **style
            )
            offset = (self.layout.margins.right - PAD, 0)
            self.pen.write(
                self.ax,
                self.layout.intervals[i],
                (1, i),
                offset,
                coordinates=across,
                ha="right",
                va="center_baseline",
                **small,
            )
        else:
            across = self.ax.get_xaxis_transform()
            self.pen.write(
                self.ax, text, (i, 0), (0, -GAP), coordinates=across, ha="center", va="top", **style
            )
            self.pen.write(
                self.ax,
                self.layout.intervals[i],
                (i, 0),
                (0, -self.layout.below),
                coordinates=across,
                ha="center",
                va="top",
                **small,
            )

    def interval_column(self) -> None:
        """Write what the column (or the line) of intervals is."""
        theme, margins = self.pen.theme, self.layout.margins
        style = {
            "size": theme.small_size,
            "color": theme.quiet,
            "role": "interval",
            "coordinates": "axes fraction",
        }
        if self.layout.horizontal:
            self.pen.write(
                self.ax,
                "interval",
                (1, 1),
                (margins.right - PAD, 0),
                ha="right",
                va="bottom",
                **style,
            )
        else:
            self.pen.write(
                self.ax,
                "interval",
                (0, 0),
                (PAD - margins.left, -self.layout.below),
                ha="left",
                va="top",
                **style,
            )
