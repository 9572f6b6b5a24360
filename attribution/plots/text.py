"""Text of pictures: made safe for the fonts at hand, measured in points, wrapped and shortened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from attribution.isolated import marked
from attribution.labels import LEFT_TO_RIGHT, runs_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.plots.theme import Theme

__all__ = ["MISSING", "MISSING_NOTE", "Pen", "measure", "printable", "wrapped"]

MISSING = "\N{WHITE SQUARE}"

MISSING_NOTE = f"{MISSING} stands for a character that no installed font has."
SCREEN = 100

# Lines break after spaces and after the joints of technical names, not inside a date or between
# a number and its unit.
_BREAKS = re.compile(r"(?<=[_/])|(?<=-)(?!\d)|(?<= )(?<!\d )|(?<=\d )(?!%|pp\b)")

# A number with its sign behind a word: its sign stays in front of it.
_SIGNED = re.compile(r"(?<=\s)(?=\(?[+\u2212]\d)")


@dataclass(frozen=True)
class Pen:
    """Measures, breaks and writes text in one theme."""

    theme: Theme
    families: tuple[str, ...]

    @classmethod
    def of(cls, theme: Theme) -> Pen:
        """Return the pen for the fonts that are installed."""
        return cls(theme, tuple(theme.families()))

    def width(self, text: str, size: float, bold: bool = False) -> float:
        """Return the width of a line in points."""
        return measure(text, size, bold, needed(text, self.families))

    def wrap(
        self, text: str, limit: float, most: int, size: float, bold: bool = False
    ) -> list[str]:
        """Break any text into at most `most` lines of `limit` points."""
        clean = printable(text, self.families)
        return wrapped(clean, limit, most, lambda line: self.width(line, size, bold))

    def longest_word(self, text: str, size: float, bold: bool = False) -> float:
        """Return the width of the widest part that is not broken where there is room."""
        pieces = _BREAKS.split(printable(text, self.families))
        return max((self.width(piece.rstrip(), size, bold) for piece in pieces), default=0.0)

    def lacks(self, texts: Iterable[str]) -> bool:
        """Return whether a text has characters that are drawn as squares."""
        return any(MISSING in printable(text.replace(MISSING, ""), self.families) for text in texts)

    def write(
        self,
        ax: Axes,
        text: str,
        at: tuple[float, float],
        offset: tuple[float, float],
        *,
        size: float,
        color: str,
        ha: str,
        va: str,
        role: str,
        bold: bool = False,
        coordinates: Any = "data",
        ground: str = "none",
        rotation: str = "horizontal",
    ) -> None:
        """Write text beside a point; `role` is the artist's label, `ground` what it hides."""
        if role == "words":
            # Sentences in English, whatever the KPI and its levels are called.
            text = marked(text)
        elif runs_left(text):
            text = _SIGNED.sub(LEFT_TO_RIGHT, text)
        # A patch behind a text is laid out and drawn with it: only where it hides something.
        hides = {"bbox": {"facecolor": ground, "edgecolor": "none", "pad": 0.8}}
        ax.annotate(
            text,
            at,
            offset,
            xycoords=coordinates,
            textcoords="offset points",
            ha=ha,
            va=va,
            size=size,
            color=color,
            weight="bold" if bold else "normal",
            linespacing=1.15,
            annotation_clip=False,
            rotation=rotation,
            family=list(needed(text, self.families)),
            **(hides if ground != "none" else {}),
            # Labels are data: a dollar sign is a dollar sign.
            parse_math=False,
            # An underscore keeps the artist out of the caller's legend.
            label=f"_{role}",
        )


def printable(text: str, families: Sequence[str]) -> str:
    """Return the text on one line, with a square for each character that no font has.

    Matplotlib would draw the same square and warn, at a time when the caller draws the figure.

    Examples
    --------
    >>> printable("Spam\\n\\x00 & fraud", ["DejaVu Sans"])
    'Spam & fraud'
    """
    known = [_characters(family) for family in families]
    shown = (c for c in " ".join(text.split()) if c.isprintable())
    return "".join(c if any(ord(c) in k for k in known) else MISSING for c in shown)


@cache
def _characters(family: str) -> frozenset[int]:
    from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont(family)).get_charmap())


@lru_cache(maxsize=4096)
def needed(text: str, families: tuple[str, ...]) -> tuple[str, ...]:
    """Return the families that the characters of a text come from.

    Matplotlib looks up every family that a text names, each time it is measured or drawn.
    """
    missing, found = {ord(c) for c in text}, []
    for family in families:
        here = missing & _characters(family)
        if here:
            found.append(family)
            missing -= here
    return tuple(found) or families[-1:]


@lru_cache(maxsize=4096)
def measure(text: str, size: float, bold: bool, families: tuple[str, ...]) -> float:
    """Return the width of one line of `printable` text in points."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=list(families), size=size, weight="bold" if bold else "normal")

    def at(dpi: int) -> float:
        pixels = RendererAgg(1, 1, dpi).get_text_width_height_descent(text, font, ismath=False)[0]
        return pixels * 72 / dpi

    # Letters on a screen are rounded to whole pixels, in print and vector files they are not.
    return 1.02 * max(at(SCREEN), at(10 * SCREEN))


def wrapped(text: str, limit: float, most: int, width: Callable[[str], float]) -> list[str]:
    """Break text into at most `most` lines of width `limit`, its middle left out if need be.

    The end stays, because long labels of one hierarchy differ there.

    Parameters
    ----------
    text : str
    limit : float
    most : int
    width : callable
        The width of a line.

    Returns
    -------
    list of str

    Examples
    --------
    >>> wrapped("Mix: content category", 12, 2, len)
    ['Mix: content', 'category']
    >>> wrapped("Mix: content_category_of_video", 12, 2, len)
    ['Mix:', 'conten…video']
    """
    lines = _broken(text, limit, width, most)
    if len(lines) <= most:
        return lines
    fits, fails = 0, min(len(text), int(most * limit / width("i")) + 1)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if len(_broken(_shortened(text, middle), limit, width, most)) <= most:
            fits = middle
        else:
            fails = middle
    return _broken(_shortened(text, fits), limit, width, most)


def _shortened(text: str, keep: int) -> str:
    tail = keep // 3
    return text[: keep - tail].rstrip() + "…" + text[len(text) - tail :].lstrip()


def _broken(text: str, limit: float, width: Callable[[str], float], most: int) -> list[str]:
    """Break into lines of this width; after more than `most` of them nobody wants the rest."""
    lines = [""]
    for piece in _BREAKS.split(text):
        if len(lines) > most:
            break
        if width((lines[-1] + piece).rstrip()) <= limit:
            lines[-1] += piece
            continue
        if lines[-1]:
            lines.append("")
        if width(piece.rstrip()) <= limit:
            lines[-1] = piece
            continue
        while piece and len(lines) <= most:
            # Measuring is what takes time: the longest start that fits is found by halves.
            fits, fails = 1, len(piece) + 1
            while fails - fits > 1:
                middle = (fits + fails) // 2
                if width(piece[:middle]) <= limit:
                    fits = middle
                else:
                    fails = middle
            lines[-1], piece = piece[:fits], piece[fits:]
            if piece:
                lines.append("")
    return [line.rstrip() for line in lines]
