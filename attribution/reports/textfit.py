"""Text that fits: cleaned, measured without fonts, shortened; for files drawn elsewhere."""

from __future__ import annotations

import math
import unicodedata

from attribution.plots.text import wrapped

__all__ = ["clean", "fitted", "largest_size", "lines_of", "text_width"]

_NARROW, _WIDE = "iljtfrI.,:;|!'()[]- ", "mwMW%@—"
LINE_HEIGHT = 1.2


def clean(text: str) -> str:
    """Return a label on one line, without what no file may hold.

    Examples
    --------
    >>> clean("Spam\\n\\x00 & fraud")
    'Spam & fraud'
    """
    # Marks of direction are no letters and no less part of a text that runs from the right.
    kept = (c for c in text if c.isspace() or c.isprintable() or c in "\u200e\u200f\u200c\u200d")
    return " ".join("".join(kept).split())


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return about how wide a line is in points, rather more than less.

    The font is that of a reader's template and machine. Where
    that font is missing a wider one takes its place: a usual letter of DejaVu Sans is 0.6 of its
    size, one of Calibri 0.5, a Chinese one 1.
    """
    width = 0.0
    for c in text:
        if unicodedata.east_asian_width(c) in "WF":
            width += 1.0
        elif unicodedata.combining(c):
            continue
        elif c in _NARROW:
            width += 0.34
        elif c in _WIDE:
            width += 0.9
        else:
            width += 0.72 if c.isupper() else 0.61
    return width * size * (1.08 if bold else 1.0)


def lines_of(text: str, width: float, size: float, bold: bool = False, most: int = 99) -> list[str]:
    """Break a text into at most `most` lines of a width in points, leaving out its middle."""
    return wrapped(clean(text), width, most, lambda line: text_width(line, size, bold))


def fitted(text: str, width: float, size: float, bold: bool = False, lines: int = 1) -> str:
    """Return the text, its middle left out if it would take more than so many lines.

    Examples
    --------
    >>> fitted("a label of a level that goes on and on", 90, 10)
    'a label of…nd on'
    """
    cleaned = clean(text)
    broken = lines_of(cleaned, width, size, bold)
    return cleaned if len(broken) <= lines else " ".join(lines_of(text, width, size, bold, lines))


def largest_size(
    text: str, width: float, height: float, sizes: tuple[float, ...], bold: bool = False
) -> tuple[float, str]:
    """Return the first of some sizes at which a text fits, and the text, shortened at the last."""
    for size in sizes:
        if len(lines_of(text, width, size, bold)) * LINE_HEIGHT * size <= height:
            return size, clean(text)
    size = sizes[-1]
    lines = max(1, math.floor(height / (LINE_HEIGHT * size)))
    return size, fitted(text, width, size, bold, lines)
