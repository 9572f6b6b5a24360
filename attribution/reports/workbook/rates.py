"""The sheet of rates: coefficients of the fitted rates, shown to be a fit by formula.

The normal equations of weighted least squares: what the coefficients leave over sums to 0 in every
level, so that every margin and the KPI stay exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.reports.workbook.sheets import RATES, CellSheet, cell, column_range, put

if TYPE_CHECKING:
    from attribution.reports.workbook.sheets import Formats
    from attribution.result import Attribution

__all__ = ["coefficient_rows", "mean_cell", "term_code", "terms", "term_levels", "write_rates"]

_TOP = 5


def _paired(change: Attribution, d: int) -> bool:
    return any(d in pair for pair in change._ratio_parts.pairs)


def term_levels(change: Attribution) -> np.ndarray:
    """Return the level of each segment of S in each term, shape (S, terms)."""
    return change._ratio_parts.stages.rates.design.codes


def terms(change: Attribution) -> list[tuple[str, list[str]]]:
    """Return the terms of the rates in use, each with its levels: pairs, then single dimensions."""
    cube, parts = change.cube, change._ratio_parts
    members = [*parts.pairs, *((d,) for d in range(len(cube.dimensions)) if not _paired(change, d))]
    codes, found = cube.codes[parts.turnover.stayed], []
    for k, of in enumerate(members):
        if len(of) == 1:
            labels = list(cube.levels[of[0]])
        else:
            labels = [""] * parts.stages.rates.design.sizes[k]
            for code, row in zip(term_levels(change)[:, k], codes, strict=True):
                labels[code] = " × ".join(cube.levels[d][row[d]] for d in of)
        found.append((" × ".join(cube.dimensions[d] for d in of), labels))
    return found


def term_code(change: Attribution, k: int) -> str:
    """Return the column of the cells that holds the level of each segment in a term."""
    pairs = len(change._ratio_parts.pairs)
    if k < pairs:
        return f"term{k}"
    single = [d for d in range(len(change.cube.dimensions)) if not _paired(change, d)]
    return f"code{single[k - pairs]}"


def mean_cell(fit: int) -> str:
    """Return the address of the mean rate of a period's fit."""
    return cell(_TOP, 2 + fit, RATES)


def coefficient_rows(change: Attribution, fit: int) -> list[str]:
    """Return the addresses of the coefficients of each term, in the order of their levels."""
    return [column_range(2 + fit, first, last, RATES) for first, last in _rows(change)]


def _rows(change: Attribution) -> list[tuple[int, int]]:
    """The first and last row of each term."""
    rows, start = [], _TOP + 2
    for size in change._ratio_parts.stages.rates.design.sizes:
        rows.append((start, start + size - 1))
        start += size + 1
    return rows


def write_rates(sheet: Any, change: Attribution, formats: Formats, cells: CellSheet) -> None:
    """Write the coefficients of the fitted rates and show by formula that they are a fit.

    Parameters
    ----------
    sheet : xlsxwriter worksheet
    change : Attribution
    formats : Formats
    cells : CellSheet
    """
    parts = change._ratio_parts
    fits, design = parts.stages.rates.fits, parts.stages.rates.design
    plain, head = formats(), formats(bold=True, bottom=1, text_wrap=True, valign="top")
    number, zero = formats(num_format="0.0000000000"), formats(num_format="0.0E+00")
    put(
        sheet,
        0,
        0,
        f"Rates: fitted in each period ({parts.form})",
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
    header = ["#", "level", "baseline", "current", "left over, baseline", "left over, current"]
    for j, title in enumerate(header):
        put(sheet, _TOP - 1, j, title, head)
    put(sheet, _TOP, 1, "mean", plain)
    for t in (0, 1):
        put(sheet, _TOP, 2 + t, fits[t].mean, number)
        left = f"=SUM({cells.whole(f'left{t}')})"
        put(sheet, _TOP, 4 + t, 0.0, zero, left)
    for k, ((name, labels), (first, _)) in enumerate(
        zip(terms(change), _rows(change), strict=True)
    ):
        code = term_code(change, k)
        put(sheet, first - 1, 1, name, formats(bold=True))
        for i, label in enumerate(labels):
            put(sheet, first + i, 0, i + 1, plain)
            put(sheet, first + i, 1, label, plain)
            for t in (0, 1):
                alpha = fits[t].alpha[design.offsets[k] + i]
                put(sheet, first + i, 2 + t, float(alpha), number)
                of_level = f"{cells.whole(code)},{cell(first + i, 0)}"
                put(
                    sheet,
                    first + i,
                    4 + t,
                    0.0,
                    zero,
                    f"=SUMIFS({cells.whole(f'left{t}')},{of_level})",
                )
    sheet.freeze_panes(_TOP, 2)
    sheet.set_column(0, 0, 6)
    sheet.set_column(1, 1, 26)
    sheet.set_column(2, 5, 16)
