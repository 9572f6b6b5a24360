"""Axes as a sheet of paper: coordinates in points from the top left, for pictures without scales.

Tables with bars, grids and trees are laid out word by word; a point of a plan is a point of paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attribution.errors import OptionError
from attribution.plots.page import PAD, POINTS_PER_INCH, Margins, Words, new_axes, set_margins
from attribution.plots.text import Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Canvas", "body", "open_canvas", "too_small"]


@dataclass(frozen=True)
class Canvas:
    """Axes of `width` times `height` points, y pointing down."""

    ax: Axes
    pen: Pen
    width: float
    height: float

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        role: str,
        size: float | None = None,
        color: str | None = None,
        bold: bool = False,
        ha: str = "left",
        va: str = "center_baseline",
        ground: str = "none",
        rotation: str = "horizontal",
    ) -> None:
        """Write text at a point; `va` "center_baseline" is for one line, "center" for several."""
        theme = self.pen.theme
        self.pen.write(
            self.ax,
            text,
            (x, y),
            (0, 0),
            size=size or theme.size,
            color=color or theme.ink,
            bold=bold,
            ha=ha,
            va="center" if "\n" in text and va == "center_baseline" else va,
            role=role,
            ground=ground,
            rotation=rotation,
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        face: str,
        *,
        role: str,
        edge: str | None = None,
        line: float = 0.0,
        hatch: str | None = None,
        zorder: float = 2,
    ) -> None:
        """Draw a rectangle whose upper left corner is (x, y)."""
        from matplotlib.patches import Rectangle

        self.ax.add_patch(
            Rectangle(
                (x, y),
                width,
                height,
                facecolor=face,
                edgecolor=edge or face,
                linewidth=line,
                hatch=hatch,
                label=f"_{role}",
                zorder=zorder,
                clip_on=False,
            )
        )

    def disc(
        self, x: float, y: float, radius: float, face: str, *, role: str, edge: str | None = None
    ) -> None:
        """Draw a disc; it stays round only while the picture keeps its proportions."""
        from matplotlib.patches import Circle

        self.ax.add_patch(
            Circle(
                (x, y),
                radius,
                facecolor=face,
                edgecolor=edge or face,
                linewidth=0.9,
                label=f"_{role}",
                zorder=3,
                clip_on=False,
            )
        )

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        color: str,
        width: float,
        *,
        role: str,
        zorder: float = 1,
        dash: str = "-",
        **style: Any,
    ) -> None:
        """Draw a line through points."""
        self.ax.plot(
            xs,
            ys,
            color=color,
            linewidth=width,
            label=f"_{role}",
            clip_on=False,
            zorder=zorder,
            linestyle=dash,
            solid_capstyle="butt",
            **style,
        )

    def whisker(self, low: float, high: float, y: float) -> None:
        """Draw an interval with a rim of paper, so that it shows on dark bars."""
        theme = self.pen.theme
        for color, width, role in ((theme.paper, 2.2, "rim"), (theme.ink, 1.0, "whisker")):
            ends = {"marker": "|", "markersize": 5.0, "markeredgewidth": width}
            self.line((low, high), (y, y), color, width, role=role, zorder=4, **ends)


def open_canvas(ax: Axes | None, size: tuple[float, float], words: Words, pen: Pen) -> Canvas:
    """Return axes laid out in points, new ones if there are none, with the words written."""
    width, height = size
    if ax is None:
        ax = new_axes(width, height, pen.theme)
    bare = Margins(0.0, 0.0, 0.0, 0.0)
    set_margins(ax, bare)
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, 0))
    words.write(ax, pen, bare, width)
    return Canvas(ax, pen, width, height)


def too_small(size: tuple[float, float], what: str, asked: str) -> OptionError:
    """Return the error that axes have no room for a picture."""
    width, height = (side / POINTS_PER_INCH for side in size)
    return OptionError(
        f"ax: {width:.1f} x {height:.1f} inches is too small for {what} and their words. Give it "
        f"about {asked}, or leave it out."
    )


def body(words: Words, pen: Pen, width: float) -> tuple[float, float]:
    """Return the room in points that words and edges take above and below the drawing."""
    above, below = words.heights(pen, width)
    return PAD + above, below + PAD
