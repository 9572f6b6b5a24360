"""Cells of a worksheet: text that stays text, formulas with their values, addresses, names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attribution.decompose.composed import Composition
from attribution.metrics import Quantile

if TYPE_CHECKING:
    from attribution.formatting import Format
    from attribution.privacy import Shown
    from attribution.result import Attribution

__all__ = [
    "AS_TEXT",
    "CELLS",
    "RATES",
    "Book",
    "CellSheet",
    "Formats",
    "cell",
    "column_range",
    "effect_format",
    "level_format",
    "prepare",
    "put",
    "put_table",
    "quoted",
    "sheet_names",
]

_FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_LONGEST_NAME = 31
# What a cell can hold.
_LONGEST_TEXT = 32_767
# Options of a workbook whose text stays text.
AS_TEXT = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
# The sheets that others refer to.
CELLS, RATES = "Cells", "Rates"


@dataclass(frozen=True)
class CellSheet:
    """Where things are on a sheet of cells: columns by name, single numbers by name."""

    sheet: str
    columns: dict[str, int]
    numbers: dict[str, str]
    first: int
    last: int

    def whole(self, name: str) -> str:
        """Return the address of a column, as other sheets write it."""
        return column_range(self.columns[name], self.first, self.last, self.sheet)

    def number(self, name: str) -> str:
        """Return the address of a single number, as other sheets write it."""
        return f"{quoted(self.sheet)}!{self.numbers[name]}"


class Formats:
    """The formats of one workbook, made on first use.

    Parameters
    ----------
    book : xlsxwriter.Workbook
    """

    def __init__(self, book: Any) -> None:
        self._book, self._made = book, {}

    def __call__(self, **properties: Any) -> Any:
        if "num_format" in properties:
            properties["num_format"] = _signed(properties["num_format"])
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format(
                {"font_name": "Arial", "font_size": 10, **properties}
            )
        return self._made[key]

    @property
    def head(self) -> Any:
        """The format of headers of text."""
        return self(bold=True, bottom=1, text_wrap=True, valign="top")

    @property
    def number_head(self) -> Any:
        """The format of headers of numbers: they stand where the numbers do."""
        return self(bold=True, bottom=1, text_wrap=True, valign="top", align="right", indent=1)

    @property
    def quiet(self) -> Any:
        """The format of small print."""
        return self(font_color="#595959")


def _signed(number: str) -> str:
    """A number format with a true minus, and a gap to text that follows in the next column."""
    parts = number.split(";")
    parts = [number, f"−{number}"] if len(parts) == 1 else parts
    gap = "" if "E+" in number else "_)"  # LibreOffice drops a digit of the exponent for it
    return ";".join(part.replace("-", "−") + gap for part in parts)


@dataclass(frozen=True)
class Book:
    """One workbook while it is written: what its sheets are about, and how they look.

    Attributes
    ----------
    file : xlsxwriter.Workbook
    shown : Shown
    live : bool
        Whether there is a sheet of cells that everything is recomputed from.
    formats : Formats
    level_sheets : dict
        Dimension -> the name of its sheet of levels.
    cells, rates : str
        The names of the sheet of cells and of that of fitted rates.
    """

    file: Any
    shown: Shown
    live: bool
    formats: Formats
    level_sheets: dict[str, str]
    cells: str = CELLS
    rates: str = RATES

    @property
    def change(self) -> Attribution:
        """The attribution."""
        return self.shown.change

    @property
    def divisible(self) -> bool:
        """Whether the lines follow from sums of the segments: not of quantiles, nor of products."""
        of_sums = not isinstance(self.change.metric, Quantile)
        return of_sums and not isinstance(self.change._parts, Composition)

    def sheet(self, name: str) -> Any:
        """Return a sheet by its name."""
        return self.file.get_worksheet_by_name(name)

    @property
    def head(self) -> Any:
        """The format of table headers."""
        return self.formats.head

    @property
    def quiet(self) -> Any:
        """The format of small print."""
        return self.formats.quiet

    @property
    def level(self) -> Any:
        """The format of levels of the KPI."""
        return self.formats(num_format=level_format(self.shown.bridge.format))

    @property
    def step(self) -> Any:
        """The format of effects in displayed units: the decimals of every other surface."""
        places = "." + "0" * self.shown.bridge.format.decimals
        places = places if self.shown.bridge.format.decimals else ""
        return self.formats(num_format=f"+#,##0{places};−#,##0{places};0{places}")

    @property
    def effect(self) -> Any:
        """The format of effects in KPI units."""
        return self.formats(num_format=effect_format(self.shown.bridge.format))

    @property
    def zero(self) -> Any:
        """The format of what should be 0."""
        return self.formats(num_format="0.0E+00")


def level_format(format: Format) -> str:
    """Return the number format of levels of a KPI."""
    return "0.00%" if format.factor == 100 else "#,##0.00##"


def effect_format(format: Format) -> str:
    """Return the number format of effects, in KPI units."""
    if format.factor == 100:
        return "+0.000%;−0.000%;0.000%"
    places = "#" * (format.decimals + 3)
    return f"+#,##0.{places};−#,##0.{places};0"


def prepare(sheet: Any) -> None:
    """Make a fresh sheet quick to write and fit to print."""
    # XlsxWriter searches every formula for some thirty functions of newer spreadsheets, which
    # takes longer than all the rest; these formulas use none of them.
    sheet._prepare_formula = _without_sign
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


def _without_sign(formula: str, *_: Any) -> str:
    return formula.removeprefix("=")


def put(
    sheet: Any, row: int, column: int, value: Any, format: Any = None, formula: str = ""
) -> None:
    """Write a value, or a formula with the value it has.

    Text is written as text whatever it begins with: a label of the data never becomes a formula or
    a link.

    Parameters
    ----------
    sheet : xlsxwriter worksheet
    row, column : int
    value : float, int, str or None
        NaN and None leave the cell empty.
    format : xlsxwriter format
    formula : str
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        if formula:
            sheet.write_formula(row, column, formula, format, "")
        else:
            sheet.write_blank(row, column, None, format)
    elif formula:
        sheet.write_formula(row, column, formula, format, value)
    elif isinstance(value, str):
        sheet.write_string(row, column, value[:_LONGEST_TEXT], format)
    else:
        sheet.write_number(row, column, float(value), format)


def put_table(
    sheet: Any,
    row: int,
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    formats: Sequence[Any],
    head: Any,
) -> int:
    """Write a header and rows of values; return the row after the last one."""
    for j, name in enumerate(header):
        put(sheet, row, j, name, head)
    for values in rows:
        row += 1
        for j, value in enumerate(values):
            put(sheet, row, j, value, formats[j])
    return row + 1


def cell(row: int, column: int, sheet: str = "") -> str:
    """Return the absolute address of a cell: "$B$3"."""
    from xlsxwriter.utility import xl_rowcol_to_cell

    address = xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True)
    return f"{quoted(sheet)}!{address}" if sheet else address


def column_range(column: int, first: int, last: int, sheet: str = "") -> str:
    """Return the absolute address of a part of a column."""
    addresses = f"{cell(first, column)}:{cell(last, column)}"
    return f"{quoted(sheet)}!{addresses}" if sheet else addresses


def quoted(sheet: str) -> str:
    """Return a sheet's name as formulas write it.

    Examples
    --------
    >>> quoted("Levels it's")
    "'Levels it''s'"
    """
    return "'" + sheet.replace("'", "''") + "'"


def sheet_names(prefix: str, labels: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return a name for each label that a spreadsheet accepts, all different.

    Examples
    --------
    >>> sheet_names("Levels ", ["queue", "a/b", "A*B"])
    ['Levels queue', 'Levels a b', 'Levels A B 2']
    """
    used, names = {x.casefold() for x in taken}, []
    for label in labels:
        text = " ".join(_FORBIDDEN.sub(" ", label).split()).strip("'") or "unnamed"
        base, count = (prefix + text)[:_LONGEST_NAME].rstrip(" '"), 1
        name = base
        while name.casefold() in used:
            count += 1
            tail = f" {count}"
            name = base[: _LONGEST_NAME - len(tail)] + tail
        used.add(name.casefold())
        names.append(name)
    return names
