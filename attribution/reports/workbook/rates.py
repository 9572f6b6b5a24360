"""The sheet of rates: coefficients of the fitted rates, shown to be a fit by formula.

The normal equations of weighted least squares: what the coefficients leave over sums to 0 in every
level, so that every margin and the KPI stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from attribution.decompose.functions import FunctionDecomposition
from attribution.decompose.rates import Rates
from attribution.functions import FunctionOfSums, Total
from attribution.reports.workbook.sheets import CellSheet, cell, column_range, put

if TYPE_CHECKING:
    from attribution.reports.workbook.sheets import Book
    from attribution.result import Attribution

__all__ = [
    "CellRates",
    "coefficient_rows",
    "mean_cell",
    "rates_of",
    "sum_names",
    "term_code",
    "term_levels",
    "terms",
    "write_rates",
]

_TOP = 5
# Columns for each of the rates: coefficients and what they leave over, in both periods.
_WIDTH = 4


@dataclass(frozen=True)
class CellRates:
    """The rates of cells in both periods, and what the columns about them are called.

    Attributes
    ----------
    title : str
        What they are rates of; "" where there is one.
    rates : Rates
    rate, source, left : str
        Names of columns, before the number of the period.
    """

    title: str
    rates: Rates
    rate: str
    source: str
    left: str


def rates_of(change: Attribution) -> list[CellRates]:
    """Return the rates of one ratio, or of each sum that a function is of."""
    parts = change._parts
    if isinstance(parts, FunctionDecomposition):
        return [
            CellRates(name, rates, f"x{k}_", f"source{k}_", f"left{k}_")
            for k, (name, rates) in enumerate(zip(sum_names(change), parts._rates, strict=True))
        ]
    return [CellRates("", change._ratio_parts.stages.rates, "r", "source", "left")]


def sum_names(change: Attribution) -> list[str]:
    """Return what the sums of a function of sums are called, those after the volume."""
    metric = change.metric
    if isinstance(metric, FunctionOfSums):
        return list(metric.sums)
    if isinstance(metric, Total):
        return [metric.value]
    return [str(metric.numerator), str(metric.denominator)]


def _paired(change: Attribution, d: int) -> bool:
    return any(d in pair for pair in change._parts.pairs)


def term_levels(change: Attribution) -> np.ndarray:
    """Return the level of each segment of S in each term, shape (S, terms)."""
    return rates_of(change)[0].rates.design.codes


def terms(change: Attribution) -> list[tuple[str, list[str]]]:
    """Return the terms of the rates in use, each with its levels: pairs, then single dimensions."""
    cube, parts, design = change.cube, change._parts, rates_of(change)[0].rates.design
    members = [*parts.pairs, *((d,) for d in range(len(cube.dimensions)) if not _paired(change, d))]
    codes, found = cube.codes[parts.turnover.stayed], []
    for k, of in enumerate(members):
        if len(of) == 1:
            labels = list(cube.levels[of[0]])
        else:
            labels = [""] * design.sizes[k]
            for code, row in zip(term_levels(change)[:, k], codes, strict=True):
                labels[code] = " × ".join(cube.levels[d][row[d]] for d in of)
        found.append((" × ".join(cube.dimensions[d] for d in of), labels))
    return found


def term_code(change: Attribution, k: int) -> str:
    """Return the column of the cells that holds the level of each segment in a term."""
    pairs = len(change._parts.pairs)
    if k < pairs:
        return f"term{k}"
    single = [d for d in range(len(change.cube.dimensions)) if not _paired(change, d)]
    return f"code{single[k - pairs]}"


def mean_cell(sheet: str, fit: int, of: int = 0) -> str:
    """Return the address of the mean rate of a period's fit, of one of the rates."""
    return cell(_TOP, 2 + _WIDTH * of + fit, sheet)


def coefficient_rows(change: Attribution, sheet: str, fit: int, of: int = 0) -> list[str]:
    """Return the addresses of the coefficients of each term, in the order of their levels."""
    at = 2 + _WIDTH * of + fit
    return [column_range(at, first, last, sheet) for first, last in _rows(change)]


def _rows(change: Attribution) -> list[tuple[int, int]]:
    """The first and last row of each term."""
    rows, start = [], _TOP + 2
    for size in rates_of(change)[0].rates.design.sizes:
        rows.append((start, start + size - 1))
        start += size + 1
    return rows


def write_rates(book: Book, cells: CellSheet) -> None:
    """Write the coefficients of the fitted rates and show by formula that they are a fit.

    Parameters
    ----------
    book : Book
    cells : CellSheet
    """
    sheet, change, formats = book.sheet(book.rates), book.change, book.formats
    every, form = rates_of(change), change._parts.form
    design = every[0].rates.design
    plain, head = formats(), formats(bold=True, bottom=1, text_wrap=True, valign="top")
    number, zero = formats(num_format="0.0000000000"), formats(num_format="0.0E+00")
    put(
        sheet,
        0,
        0,
        f"Rates: fitted in each period ({form})",
        formats(bold=True, font_size=12),
    )
    for i, line in enumerate(
        (
            "Rate of a segment = mean + the coefficients of its levels (column r of the cells).",
            "They are the weighted least squares fit because what they leave over sums to 0 in "
            "every level (last columns, by formula): every margin and the KPI stay exact.",
        )
    ):
        put(sheet, 1 + i, 0, line, plain)
    put(sheet, _TOP - 1, 0, "#", head)
    put(sheet, _TOP - 1, 1, "level", head)
    put(sheet, _TOP, 1, "mean", plain)
    for of, one in enumerate(every):
        for t, when in enumerate(("baseline", "current")):
            at = 2 + _WIDTH * of + t
            put(sheet, _TOP - 1, at, f"{one.title} {when}".strip(), head)
            put(sheet, _TOP - 1, at + 2, f"{one.title} left over, {when}".strip(), head)
            put(sheet, _TOP, at, one.rates.fits[t].mean, number)
            put(sheet, _TOP, at + 2, 0.0, zero, f"=SUM({cells.whole(f'{one.left}{t}')})")
    for k, ((name, labels), (first, _)) in enumerate(
        zip(terms(change), _rows(change), strict=True)
    ):
        code = cells.whole(term_code(change, k))
        put(sheet, first - 1, 1, name, formats(bold=True))
        for i, label in enumerate(labels):
            r = first + i
            put(sheet, r, 0, i + 1, plain)
            put(sheet, r, 1, label, plain)
            for of, one in enumerate(every):
                for t in (0, 1):
                    at, alpha = 2 + _WIDTH * of + t, one.rates.fits[t].alpha[design.offsets[k] + i]
                    left = f"=SUMIFS({cells.whole(f'{one.left}{t}')},{code},{cell(r, 0)})"
                    put(sheet, r, at, float(alpha), number)
                    put(sheet, r, at + 2, 0.0, zero, left)
    sheet.freeze_panes(_TOP, 2)
    sheet.set_column(0, 0, 6)
    sheet.set_column(1, 1, 26)
    sheet.set_column(2, 1 + _WIDTH * len(every), 16)
