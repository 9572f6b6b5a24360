"""The surroundings of every picture: its figure, the words above and below, the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attribution.errors import OptionError, check_option
from attribution.plots.text import Pen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    from attribution.plots.theme import Theme

__all__ = ["PAD", "Key", "Margins", "Words", "new_axes", "place_size", "save", "set_margins"]

POINTS_PER_INCH = 72
LINE_HEIGHT = 1.4
# Between the words and the edge of the picture, in points.
PAD = 14.0


class Margins(NamedTuple):
    """Room around the drawing area, in points."""

    left: float
    right: float
    top: float
    bottom: float


class Key(NamedTuple):
    """What a symbol means."""

    symbol: str
    color: str
    meaning: str


@dataclass(frozen=True)
class Words:
    """The lines above a picture and the small print below it.

    Attributes
    ----------
    title : str
        The message, with its number. Not written in the style "plain".
    subtitle : str
        Who, what in which unit, when: a line each.
    keys : tuple of Key
    notes : tuple of str
        Source, n, method. Not written in the style "plain".
    remarks : tuple of str
        What a reader must know to read the picture right, in any style.
    """

    title: str
    subtitle: str
    keys: tuple[Key, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def plus(self, *keys: Key) -> Words:
        """Return the words with more keys."""
        return replace(self, keys=(*self.keys, *keys))

    def heights(self, pen: Pen, width: float) -> tuple[float, float]:
        """Return the points that the lines above and below take in a picture of this width."""
        return _height(self._above(pen, width)), _height(self._below(pen, width))

    def write(self, ax: Axes, pen: Pen, margins: Margins, width: float) -> None:
        """Write the lines into the margins."""
        above, below = self._above(pen, width), self._below(pen, width)
        left, lift = PAD - margins.left, PAD - margins.bottom
        _write_lines(ax, pen, above, (0, 1), left, margins.top - PAD)
        _write_lines(ax, pen, below, (0, 0), left, lift + _height(below))

    def _above(self, pen: Pen, width: float) -> list[Line]:
        theme, limit = pen.theme, width - 2 * PAD
        title = self.title if theme.style == "ibcs" else ""
        title = pen.wrap(title, limit, 3, theme.title_size, bold=True)
        lines = self.subtitle.split("\n")
        subtitle = [x for line in lines for x in pen.wrap(line, limit, 2, theme.size)]
        return [
            *([Span(x, theme.title_size, theme.ink, bold=True)] for x in title if x),
            *([Span(x, theme.size, theme.quiet)] for x in subtitle if x),
            *_key_lines(self.keys, limit, pen),
        ]

    def _below(self, pen: Pen, width: float) -> list[Line]:
        size = pen.theme.small_size
        notes = (*(self.notes if pen.theme.style == "ibcs" else ()), *self.remarks)
        lines = [x for note in notes for x in pen.wrap(note, width - 2 * PAD, 5, size)]
        return [[Span(x, size, pen.theme.quiet)] for x in lines]


@dataclass(frozen=True)
class Span:
    """A run of text in one style."""

    text: str
    size: float
    color: str
    bold: bool = False


Line = Sequence[Span]


def _key_lines(keys: Sequence[Key], limit: float, pen: Pen) -> list[list[Span]]:
    theme = pen.theme
    lines: list[list[Span]] = []
    used = limit
    for key in keys:
        spans = [
            Span(f"{key.symbol} ", theme.size, key.color, bold=True),
            Span(f"{key.meaning}      ", theme.small_size, theme.quiet),
        ]
        width = sum(pen.width(s.text, s.size, s.bold) for s in spans)
        if used + width > limit:
            lines.append([])
            used = 0.0
        lines[-1] += spans
        used += width
    return lines


def _height(lines: Sequence[Line]) -> float:
    return sum(LINE_HEIGHT * max(span.size for span in line) for line in lines)


def _write_lines(
    ax: Axes, pen: Pen, lines: Sequence[Line], corner: tuple[float, float], x: float, y: float
) -> None:
    """Write lines downward from a corner of the axes, moved by (x, y) points."""
    for line in lines:
        at = x
        y -= _height([line])
        for span in line:
            pen.write(
                ax,
                span.text.rstrip(),
                corner,
                (at, y + 0.3 * span.size),
                size=span.size,
                color=span.color,
                bold=span.bold,
                ha="left",
                va="baseline",
                role="words",
                coordinates="axes fraction",
            )
            at += pen.width(span.text, span.size, span.bold)


def new_axes(width: float, height: float, theme: Theme) -> Axes:
    """Return axes that fill a new figure of this size in points.

    Pyplot gets to know the figure only where it shows figures by itself, as in notebooks;
    elsewhere it would hold every figure until the process ends.
    """
    import matplotlib as mpl

    size = (width / POINTS_PER_INCH, height / POINTS_PER_INCH)
    backend = mpl.get_backend(auto_select=False) or ""
    if mpl.is_interactive() or "inline" in backend:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=size, facecolor=theme.paper)
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, facecolor=theme.paper)
        FigureCanvasAgg(figure)
    return figure.add_axes((0.0, 0.0, 1.0, 1.0))


def place_size(ax: Axes) -> tuple[float, float]:
    """Return width and height in points of the place that a picture may fill."""
    box = _place(ax).transformed(ax.figure.transSubfigure)
    scale = POINTS_PER_INCH / ax.figure.dpi
    return box.width * scale, box.height * scale


def _place(ax: Axes) -> Bbox:
    """Return the cell of a subplot up to its neighbors, as there are no ticks that need a gap.

    The top of a grid stays where it is: above it is the caller's title of the figure.
    """
    from matplotlib.gridspec import GridSpec, SubplotSpec

    # A subfigure will do, whatever the stubs say.
    figure: Any = ax.figure
    spec = ax.get_subplotspec()
    grid = spec.get_gridspec() if spec else None
    if spec is None or type(grid) is not GridSpec or figure.get_layout_engine() is not None:
        return ax.get_position()
    whole = GridSpec(
        *grid.get_geometry(),
        left=0,
        right=1,
        bottom=0,
        wspace=0,
        hspace=0,
        top=grid.get_subplot_params(figure).top,
        width_ratios=grid.get_width_ratios(),
        height_ratios=grid.get_height_ratios(),
    )
    return SubplotSpec(whole, spec.num1, spec.num2).get_position(figure)


def set_margins(ax: Axes, margins: Margins) -> None:
    """Shrink axes so that what is written around them stays in their place.

    A layout engine, where the figure has one, does the same when it draws.
    """
    if ax.figure.get_layout_engine() is not None:
        return
    (width, height), box = place_size(ax), _place(ax)
    x, y = box.width / width, box.height / height
    left, right, top, bottom = margins
    ax.set_position(
        (
            box.x0 + left * x,
            box.y0 + bottom * y,
            (width - left - right) * x,
            (height - top - bottom) * y,
        )
    )
    # Axes with a position of their own are left out of "tight" files, unless they say otherwise.
    ax.set_in_layout(True)


def save(picture: Axes | Figure, path: str | Path, dpi: float = 200) -> Path:
    """Write a picture so that the same picture gives the same bytes.

    Parameters
    ----------
    picture : Axes or Figure
    path : str or Path
        Ends in .png, .svg or .pdf.
    dpi : float
        Of a PNG.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        Another ending, or axes that were removed from their figure.
    """
    import matplotlib as mpl

    path = Path(path)
    # No dates and no random ids.
    metadata = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    check_option("path", path.suffix.lower(), list(metadata))
    figure = picture.get_figure(root=True)
    if figure is None:
        raise OptionError("picture: these axes belong to no figure any more.")
    with mpl.rc_context({"svg.hashsalt": "attribution", "savefig.bbox": "standard"}):
        figure.savefig(path, dpi=dpi, metadata=metadata[path.suffix.lower()])
    return path
