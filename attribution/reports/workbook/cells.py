"""The sheet of cells: one row a segment, from its sums to its part of the bridge by formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attribution.metrics import Quantile
from attribution.reports.workbook.columns import cell_columns
from attribution.reports.workbook.numbers import head_row, number_cells, write_numbers
from attribution.reports.workbook.sheets import CellSheet, column_range, put

if TYPE_CHECKING:
    from attribution.privacy import Shown
    from attribution.reports.workbook.sheets import Book

__all__ = ["why_values", "write_cells"]

# Beyond this, opening the workbook would take minutes.
_MOST_CELLS, _MOST_LOOKUPS = 50_000, 50_000_000
_QUANTILE = "the effects of a quantile come from whole distributions, which no sums of cells hold"


def why_values(shown: Shown) -> str:
    """Return why a workbook cannot recompute the effects from the cells; "" where it can."""
    change = shown.change
    if isinstance(change.metric, Quantile):
        return _QUANTILE
    if shown.hidden:
        return f"the cells tell the levels of {', '.join(shown.hidden)} apart, who are people"
    if shown.privacy.min_n:
        return "the cells hold groups that are too small to be shown"
    cells, levels = len(change.cube.codes), change._parts.design.width
    if cells > _MOST_CELLS or cells * levels > _MOST_LOOKUPS:
        return f"opening formulas over {cells:,} cells would take minutes"
    return ""


def write_cells(book: Book, alphas: dict[int, tuple[str, str]]) -> CellSheet:
    """Write the sheet of cells.

    Parameters
    ----------
    book : Book
    alphas : dict
        Dimension -> the addresses of its level numbers and of their alpha.

    Returns
    -------
    CellSheet
    """
    sheet, change, formats = book.sheet(book.cells), book.change, book.formats
    columns = cell_columns(change, alphas, book.rates)
    head_at = head_row(change)
    first, last = head_at, head_at + len(change.cube.codes) - 1
    places = {c.name: j for j, c in enumerate(columns)}
    at = CellSheet(book.cells, places, number_cells(change), first, last)
    write_numbers(sheet, change, formats, at)
    fixed, letters = _fixed(at), _letters(at)

    def reference(name: str, row: int) -> str:
        return fixed[name] if name in fixed else f"{letters[name]}{row + 1}"

    styles = {
        "text": formats(),
        "whole": formats(num_format="0"),
        "number": formats(num_format="#,##0.###"),
        "share": formats(num_format="0.000000"),
        "effect": formats(num_format="+0.0000000000;−0.0000000000;0"),
    }
    for j, column in enumerate(columns):
        head = formats.head if column.style == "text" else formats.number_head
        put(sheet, head_at - 1, j, column.title, head)
        values = column.values.tolist() if isinstance(column.values, np.ndarray) else column.values
        for c, value in enumerate(values):
            row = head_at + c
            formula = ""
            if column.formula is not None:
                formula = column.formula(lambda name, row=row: reference(name, row), c)
            put(sheet, row, j, value, styles[column.style], formula)
    dimensions = len(change.cube.dimensions)
    sheet.freeze_panes(head_at, dimensions)
    sheet.autofilter(head_at - 1, 0, last, len(columns) - 1)
    sheet.set_row(head_at - 1, 44)
    sheet.set_column(0, max(dimensions - 1, 0), 16)
    sheet.set_column(dimensions, 2 * dimensions, 9)
    for j, column in enumerate(columns[2 * dimensions + 1 :], start=2 * dimensions + 1):
        sheet.set_column(j, j, 20 if column.style == "effect" else 13)
    return at


def _fixed(at: CellSheet) -> dict[str, str]:
    """What formulas of every row refer to in the same way: a number, a whole column ("N0:")."""
    columns = {f"{x}:": column_range(j, at.first, at.last) for x, j in at.columns.items()}
    return columns | at.numbers


def _letters(at: CellSheet) -> dict[str, str]:
    """What the value of a column in a formula's own row is called, before the number of the row."""
    from xlsxwriter.utility import xl_col_to_name

    return {x: xl_col_to_name(j, col_abs=True) for x, j in at.columns.items()}
