"""A section of a file: a message, its pictures and tables, what a reader must know.

What is shown is decided here once; the page, the deck and the workbook write the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attribution.bridge import Bridge
from attribution.formatting import MINUS, Format, largest_remainder
from attribution.plots.funnel import Funnel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from attribution.plots.theme import Theme

__all__ = [
    "UNKNOWN",
    "Check",
    "Column",
    "Picture",
    "Section",
    "Table",
    "Tile",
    "adding_up",
    "unknown",
    "written",
]

UNKNOWN = "n/a"
_BETTER = ("better", "met")
_WORSE = ("worse", "missed", "failed")


@dataclass(frozen=True)
class Tile:
    """A cell with a color: a value, its text, whether it is good news."""

    text: str
    tone: str = ""
    value: float = math.nan


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key : str
        What its values are called in a row.
    title : str
    kind : str
        "text"; "word" (a status, with its color); "count"; "level", "change" (KPI units);
        "percent"; "number"; "interval" (low, high); "rank" (low, high); "tile".
    where : str
        "both", or only on a "page" (and a slide), or only in the "book".
    formula : str
        What the workbook works it out from, other columns in braces.
    format : Format, optional
        Of its KPI, where that is not the table's.
    width : float
        The part of a slide's width.
    """

    key: str
    title: str
    kind: str = "text"
    where: str = "both"
    formula: str = ""
    format: Format | None = None
    width: float = 1.0


@dataclass(frozen=True)
class Check:
    """A number that the workbook works out from whole columns: what the rows add up to.

    Attributes
    ----------
    label : str
    kind : str
        As of a column.
    value : float
    formula : str
        Columns in braces, as ranges.
    """

    label: str
    kind: str
    value: float
    formula: str


@dataclass(frozen=True)
class Table:
    """Rows to be read.

    Attributes
    ----------
    name : str
        Of its sheet.
    title : str
        What it holds.
    columns : tuple of Column
    rows : tuple of dict
        Values by key. "_texts": what is shown of some of them; "_values": keys without a formula.
    format : Format
        Of the KPI.
    message : str
        The title of its slide; "" shows it on no slide.
    checks : tuple of Check
    most : int
        Rows on a page; the workbook has all.
    bars : tuple of str
        Keys of the columns that a chart of the workbook draws beside each other, by the first one.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    format: Format
    message: str = ""
    checks: tuple[Check, ...] = ()
    most: int = 400
    bars: tuple[str, ...] = ()

    def on(self, where: str) -> tuple[Column, ...]:
        """Return the columns of a "page" or of the "book"."""
        return tuple(c for c in self.columns if c.where in ("both", where))


@dataclass(frozen=True)
class Picture:
    """A picture with its words.

    Attributes
    ----------
    message : str
    alternative : str
        For those who do not see it.
    subject : Bridge, Funnel or None
        What native charts draw; a picture without one is on the page only.
    draw : callable, optional
        Draws it with a theme; a bridge is drawn by the page itself.
    dense : bool
        Whether it has so many marks that the page holds it as pixels.
    """

    message: str
    alternative: str
    subject: Bridge | Funnel | None = None
    draw: Callable[[Theme], Axes] | None = None
    dense: bool = False


@dataclass(frozen=True)
class Section:
    """All that one result has to say.

    Attributes
    ----------
    name : str
        Of its tab: "Accuracy by site".
    message, subtitle : str
    tiles : tuple of (str, str, str)
        Label, value, beside it.
    pictures : tuple of Picture
    tables : tuple of Table
    notes : tuple of str
    findings : tuple of dict
    withheld : tuple of str
        What a reader does not see.
    provenance : dict
    """

    name: str
    message: str
    subtitle: str
    tiles: tuple[tuple[str, str, str], ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    withheld: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def unknown(value: Any) -> bool:
    """Whether a value is none, not a number, or infinite."""
    if value is None:
        return True
    try:
        return not math.isfinite(value)
    except TypeError:  # pandas' NA
        return not isinstance(value, str)


def adding_up(values: dict[str, Any], total: float, format: Format) -> dict[str, str]:
    """Return parts as texts whose displayed numbers add up to the displayed total.

    Parameters
    ----------
    values : dict of str to float
    total : float
        As it is displayed, KPI units.
    format : Format

    Returns
    -------
    dict of str to str
        For the `_texts` of a row; empty where a part is not known.
    """
    if unknown(total) or any(unknown(x) for x in values.values()):
        return {}
    parts = [float(x) * format.factor for x in values.values()]
    shown = largest_remainder(parts, total * format.factor, format.decimals)
    texts = [format.number(x / format.factor, signed=True) for x in shown]
    return dict(zip(values, texts, strict=True))


def written(column: Column, row: dict[str, Any], format: Format) -> Tile:
    """Return a cell as it is shown: its text, its tone, what it is sorted by.

    Parameters
    ----------
    column : Column
    row : dict
    format : Format

    Returns
    -------
    Tile
        What is not known is "n/a", never a number.
    """
    value, format = row.get(column.key), column.format or format
    if column.kind == "tile":
        return value if isinstance(value, Tile) else Tile("")
    if column.kind in ("text", "word"):
        text = "" if value is None else str(value)
        return Tile(text, _tone(text) if column.kind == "word" else "")
    if column.kind in ("interval", "rank"):
        low, high = value if value is not None else (math.nan, math.nan)
        if unknown(low) or unknown(high):
            return Tile(UNKNOWN)
        if column.kind == "rank":
            return Tile(f"{low:.0f}–{high:.0f}" if low < high else f"{low:.0f}", "", float(low))
        return Tile(f"{format.number(low)} to {format.number(high)}", "", float(high - low))
    if value is None or unknown(value):
        return Tile(UNKNOWN)
    number = float(value)
    if column.key in row.get("_texts", ()):
        return Tile(row["_texts"][column.key], "", number)
    text = {
        "count": lambda: f"{number:,.0f}",
        "level": lambda: format.number(number),
        "change": lambda: format.number(number, signed=True),
        "percent": lambda: f"{100 * number:.1f}",
        "number": lambda: f"{number:,.2f}",
    }[column.kind]()
    return Tile(text.replace("-", MINUS), "", number)


def _tone(text: str) -> str:
    word = text.split(":")[0].split(" (")[0]
    return "better" if word in _BETTER else "worse" if word in _WORSE else ""
