"""The lines of a bridge from the sheets that work them out."""

from __future__ import annotations

from attribution.reports.workbook.levels import effect_total
from attribution.reports.workbook.sheets import Book, CellSheet

__all__ = ["end_formula", "line_formula"]


def end_formula(cells: CellSheet, t: int) -> str:
    """Return the first or last level of a bridge as a formula: the KPI, or the target it is of.

    Parameters
    ----------
    cells : CellSheet
    t : {0, 1}

    Returns
    -------
    str
    """
    return cells.number("target" if t == 0 and "target" in cells.numbers else f"R_{t}")


def line_formula(book: Book, cells: CellSheet, i: int) -> str:
    """Return a line of one KPI as a formula, without the sign of equality.

    Parameters
    ----------
    book : Book
    cells : CellSheet
    i : int
        The number of the line, of the rows of `effects`.

    Returns
    -------
    str
    """
    parts, dimensions = book.change._parts, book.change.cube.dimensions
    line, first_of_turnover = parts.lines[i], len(parts.lines) - len(parts.turnover.lines)
    if line.effect == "mix" and line.dimension is not None:
        return effect_total(book, dimensions[line.dimension])
    if line.effect == "joint":
        by_dimension = "+".join(effect_total(book, d) for d in dimensions)
        return f"SUM({cells.whole('mix')})-({by_dimension})"
    if line.effect == "volume":
        return cells.number("volume")
    if line.effect == "sampling":
        of_counts = f"{cells.number('RS1')}-{cells.number('RS0')}+SUM({cells.whole('outside')})"
        return f"{cells.number('R_1')}-{cells.number('R_0')}-({of_counts})"
    if line.effect == "stretch":
        return f"{cells.number('R_0')}-{cells.number('target')}"
    if line.effect in ("entry", "exit"):
        number = i - first_of_turnover + 1
        return f"SUMIFS({cells.whole('outside')},{cells.whole('line')},{number})"
    return f"SUM({cells.whole(line.effect)})"
