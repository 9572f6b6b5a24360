"""A KPI made of KPIs: each factor on sheets of its own, and what a change of it is worth.

    F_1 - F_0 = sum over j of C_j (f_1j - f_0j),   f_1j - f_0j = sum of the lines of factor j

For a product C_j is Das Gupta's weight of the other factors, a formula over the factors in both
periods; for one less its error types it is -1. Every line and level of the KPI is that of a factor,
times C_j.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attribution.decompose.coalitions import shapley_weights
from attribution.decompose.composed import Composition
from attribution.privacy import protect
from attribution.products import ErrorTypes
from attribution.reports.workbook.cells import write_cells
from attribution.reports.workbook.levels import LevelSheet, alpha_ranges, write_levels
from attribution.reports.workbook.lines import line_formula
from attribution.reports.workbook.rates import rates_of, write_rates
from attribution.reports.workbook.sheets import (
    Book,
    CellSheet,
    cell,
    effect_format,
    level_format,
    prepare,
    put,
    sheet_names,
)

__all__ = ["FACTORS", "Factors", "factor_books", "write_factors"]

FACTORS = "Factors"
_TOP = 5
# With more factors what a change of one is worth is no formula that fits into a cell.
_MOST_TERMS = 64


@dataclass(frozen=True)
class Factors:
    """Where the factors of a KPI are: their sheets, and the columns of the sheet "Factors".

    Attributes
    ----------
    books : tuple of Book
        One a factor.
    cells : tuple of CellSheet
    levels : tuple of dict
        For each factor: dimension -> its sheet of levels.
    """

    books: tuple[Book, ...]
    cells: tuple[CellSheet, ...]
    levels: tuple[dict[str, LevelSheet], ...]

    def end(self, t: int) -> str:
        """Return the address of the KPI in a period."""
        return cell(_TOP + len(self.books), 1 + t, FACTORS)

    def worth(self, j: int) -> str:
        """Return the address of what a change of a factor is worth."""
        return cell(_TOP + j, 4, FACTORS)

    def line(self, i: int) -> str:
        """Return a line of the KPI as a formula: that of a factor, times what it is worth."""
        for j, (book, cells) in enumerate(zip(self.books, self.cells, strict=True)):
            own = len(book.change._parts.lines)
            if i < own:
                return f"{self.worth(j)}*({line_formula(book, cells, i)})"
            i -= own
        raise IndexError(i)

    def level(self, dimension: str, level: str, part: str) -> str:
        """Return a part of a level's effect as a formula; "" where no factor has it."""
        terms = [
            f"{self.worth(j)}*{sheets[dimension].address(level, part)}"
            for j, sheets in enumerate(self.levels)
            if sheets[dimension].holds(level, part)
        ]
        return "=" + "+".join(terms) if terms else ""


def factor_books(book: Book, taken: Sequence[str]) -> list[Book]:
    """Add the sheets of every factor to the workbook and return what they are about.

    Parameters
    ----------
    book : Book
        Of the KPI.
    taken : sequence of str
        Names of sheets that there are or will be.

    Returns
    -------
    list of Book
    """
    found, used = [], list(taken)
    for name, change in book.change.changes.items():
        shown = protect(change, book.shown.privacy)
        labels = [*shown.dimensions, "cells", "rates"]
        *levels, cells, rates = sheet_names("", [f"{name} {x}" for x in labels], used)
        used += [*levels, cells, rates]
        sheets = dict(zip(shown.dimensions, levels, strict=True))
        found.append(Book(book.file, shown, True, book.formats, sheets, cells, rates))
        fitted = bool(rates_of(change)[0].rates.fits)
        for sheet in [cells, *([rates] if fitted else []), *levels]:
            prepare(book.file.add_worksheet(sheet))
    return found


def write_factors(book: Book, books: Sequence[Book]) -> Factors:
    """Write the sheets of the factors, and the one that says what each is worth.

    Parameters
    ----------
    book : Book
        Of the KPI.
    books : sequence of Book
        As `factor_books` returned them.

    Returns
    -------
    Factors
    """
    every, levels = [], []
    for own in books:
        cells = write_cells(own, alpha_ranges(own))
        if rates_of(own.change)[0].rates.fits:
            write_rates(own, cells)
        levels.append({d: write_levels(own, d, cells) for d in own.level_sheets})
        every.append(cells)
    found = Factors(tuple(books), tuple(every), tuple(levels))
    _write(book, found)
    return found


def _write(book: Book, factors: Factors) -> None:
    sheet, parts, formats = book.sheet(FACTORS), book.change._parts, book.formats
    assert isinstance(parts, Composition)
    types, P = isinstance(book.change.metric, ErrorTypes), len(factors.books)
    put(sheet, 0, 0, f"{book.shown.bridge.metric}: its factors", formats(bold=True, font_size=14))
    said = "1 less the sum of the shares below" if types else "the product of the factors below"
    put(sheet, 1, 0, f"It is {said}; each has sheets of its own.", book.quiet)
    worth = "A change of a factor is worth C: its lines, times C, are those of the bridge."
    put(sheet, 2, 0, worth, book.quiet)
    titles = ("factor", "baseline", "current", "change", "worth C", "effect: C × change")
    for j, title in enumerate(titles):
        put(sheet, _TOP - 1, j, title, formats.number_head if j else book.head)
    first, last = _TOP, _TOP + P - 1
    ends = [[cell(first + j, 1 + t) for j in range(P)] for t in (0, 1)]
    number = formats(num_format="#,##0.########")
    for j, (name, own) in enumerate(zip(book.change.changes, factors.books, strict=True)):
        r, f = first + j, own.shown.bridge.format
        values = [float(parts.parts[j].R[t]) for t in (0, 1)]
        put(sheet, r, 0, name, formats())
        for t in (0, 1):
            of_cells = f"={factors.cells[j].number(f'R_{t}')}"
            put(sheet, r, 1 + t, values[t], formats(num_format=level_format(f)), of_cells)
        moved = f"={cell(r, 2)}-{cell(r, 1)}"
        put(sheet, r, 3, values[1] - values[0], formats(num_format=effect_format(f)), moved)
        formula = "" if types else _worth(j, lambda t, k: ends[t][k], P)
        put(sheet, r, 4, float(parts.worth[j]), number, formula)
        effect = float(parts.worth[j]) * (values[1] - values[0])
        put(sheet, r, 5, effect, book.effect, f"={cell(r, 4)}*{cell(r, 3)}")
    put(sheet, last + 1, 0, book.shown.bridge.metric, formats(bold=True))
    for t in (0, 1):
        own = f"{ends[t][0]}:{ends[t][-1]}"
        formula = f"=1-SUM({own})" if types else f"=PRODUCT({own})"
        put(sheet, last + 1, 1 + t, float(parts.R[t]), book.level, formula)
    whole = f"={cell(last + 1, 2)}-{cell(last + 1, 1)}"
    put(sheet, last + 1, 3, float(parts.R[1] - parts.R[0]), book.effect, whole)
    effects = f"=SUM({cell(first, 5)}:{cell(last, 5)})"
    put(sheet, last + 1, 5, float(parts.R[1] - parts.R[0]), book.effect, effects)
    sheet.freeze_panes(_TOP, 1)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, len(titles) - 1, 16)


def _worth(j: int, end: Callable[[int, int], str], P: int) -> str:
    """Das Gupta's weight of a factor of a product; "" where there are too many terms.

    ``C_j = sum over A of |A|! (P - 1 - |A|)! / P! prod of f_1k in A, f_0k outside``, the sums of
    subsets of one size in parentheses of their own.
    """
    others, weights = [k for k in range(P) if k != j], shapley_weights(P)
    if 2 ** len(others) > _MOST_TERMS:
        return ""
    by_size: dict[int, list[str]] = {}
    for now in itertools.product((0, 1), repeat=len(others)):
        term = "*".join(end(t, k) for t, k in zip(now, others, strict=True))
        by_size.setdefault(sum(now), []).append(term)
    return "=" + "+".join(
        f"({'+'.join(terms)})/{round(1 / weights[size])}" for size, terms in by_size.items()
    )
