"""The sheets of levels: one a dimension, recomputed from the cells, with filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.decompose.functions import FunctionDecomposition
from attribution.functions import Total
from attribution.metrics import Quantile
from attribution.reports.workbook.functions import kpi_formula
from attribution.reports.workbook.sheets import Book, CellSheet, cell, column_range, put

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["LevelSheet", "alpha_ranges", "effect_total", "write_levels"]

_TOP, _TOTAL = 6, 3
_EFFECTS = ("volume", "mix", "rate", "interaction")


@dataclass(frozen=True)
class LevelSheet:
    """Where the numbers of levels are: sheets of a KPI that is a factor of another refer to them.

    Attributes
    ----------
    sheet : str
    columns : dict of str to int
    rows : dict of str to int
    """

    sheet: str
    columns: dict[str, int]
    rows: dict[str, int]

    def holds(self, level: str, part: str) -> bool:
        """Return whether there is a number."""
        return level in self.rows and part in self.columns

    def address(self, level: str, part: str) -> str:
        """Return the address of a number."""
        return cell(self.rows[level], self.columns[part], self.sheet)


def write_levels(
    book: Book,
    dimension: str,
    cells: CellSheet | None,
    composed: Callable[[str, str, str], str] | None = None,
) -> LevelSheet:
    """Write the sheet of one dimension.

    Parameters
    ----------
    book : Book
    dimension : str
    cells : CellSheet or None
        None: what it would work out is written as values.
    composed : callable, optional
        Dimension, level and part -> its formula, of a KPI that is made of others.

    Returns
    -------
    LevelSheet
    """
    sheet, frame = book.sheet(book.level_sheets[dimension]), book.shown.levels[dimension]
    at = {name: j for j, name in enumerate(_columns(book))}
    bridge = book.shown.bridge
    title = f"{bridge.metric} by {dimension}: {bridge.baseline_label} to {bridge.current_label}"
    put(sheet, 0, 0, title, book.formats(bold=True, font_size=12))
    for i, line in enumerate(_note(book)):
        put(sheet, 1 + i, 0, line, book.quiet)
    titles = _titles(book)
    for name, j in at.items():
        head = book.head if name in ("level", "note") else book.formats.number_head
        put(sheet, _TOP - 1, j, titles.get(name, name), head)
    first, last = _rows(book, dimension)
    places = {}
    for r, row in enumerate(_values(book, dimension), start=first):
        places[row["level"]] = r
        formulas = _formulas(book, dimension, row, r, at, cells)
        if composed is not None and row.get("#") is not None:
            parts = [part for part in [*_parts(book), "total"] if row[part] == row[part]]
            formulas = {part: composed(dimension, row["level"], part) for part in parts}
        for name, j in at.items():
            put(sheet, r, j, row.get(name), _style(book, name), formulas.get(name, ""))
    put(sheet, _TOTAL, 1, "Sum of all levels: the effect on the bridge", book.formats(bold=True))
    for part in _parts(book):
        total, rows = (
            float(np.nansum(frame[part].astype(float))),
            column_range(at[part], first, last),
        )
        put(sheet, _TOTAL, at[part], total, book.effect, f"=SUM({rows})")
    sheet.freeze_panes(_TOP, 2)
    sheet.autofilter(_TOP - 1, 0, last, len(at) - 1)
    sheet.set_row(_TOP - 1, 72)
    sheet.set_column(0, 0, 5)
    sheet.set_column(1, 1, 28)
    sheet.set_column(2, len(at) - 1, 13)
    return LevelSheet(book.level_sheets[dimension], at, places)


def alpha_ranges(book: Book) -> dict[int, tuple[str, str]]:
    """Return for each dimension the addresses of its level numbers and of their alpha."""
    if not _adjusted(book):
        return {}
    names, found = _columns(book), {}
    for dimension, sheet in book.level_sheets.items():
        number, alpha = (
            column_range(names.index(name), *_rows(book, dimension), sheet)
            for name in ("#", "alpha")
        )
        found[book.change.cube.dimension_index(dimension)] = number, alpha
    return found


def effect_total(book: Book, dimension: str) -> str:
    """Return the address of the mix effect of a dimension: the sum of its levels."""
    return cell(_TOTAL, _columns(book).index("mix"), book.level_sheets[dimension])


def _adjusted(book: Book) -> bool:
    return book.divisible and book.change.options.mix == "adjusted"


def _parts(book: Book) -> list[str]:
    frames = list(book.shown.levels.values())
    return [p for p in _EFFECTS if frames and p in frames[0]]


def _rows(book: Book, dimension: str) -> tuple[int, int]:
    return _TOP, _TOP + len(book.shown.levels[dimension]) - 1


def _columns(book: Book) -> list[str]:
    """The columns, by the names that formulas know them by."""
    names = ["#", "level", "n0", "n1", "share0", "share1", "rate0", "rate1"]
    names += ["p0", "p1", "alpha"] if _adjusted(book) else []
    names += [*_parts(book), "total"]
    names += [f"{part}_conf_{end}" for part in [*_parts(book), "total"] for end in ("low", "high")]
    names += ["total_p_adjusted", "note"]
    return [*names, "check"] if _adjusted(book) and book.live else names


def _titles(book: Book) -> dict[str, str]:
    metric = book.shown.bridge.metric
    titles = {
        "n0": "n baseline", "n1": "n current", "share0": "share baseline",
        "share1": "share current", "rate0": f"{metric} baseline", "rate1": f"{metric} current",
        "p0": "share p0 within S", "p1": "share p1 within S",
        "alpha": "alpha: better than comparable segments by", "total": "total effect",
        "total_p_adjusted": "p of total, adjusted", "check": "left over by alpha (0)",
    }  # fmt: skip
    for part in [*_parts(book), "total"]:
        titles[part] = f"{part} effect"
        titles[f"{part}_conf_low"] = f"{part}: interval from"
        titles[f"{part}_conf_high"] = f"{part}: interval to"
    return titles


def _note(book: Book) -> list[str]:
    if isinstance(book.change.metric, Quantile):
        return ["Effects are values: they come from whole distributions, not from sums of cells."]
    if not book.divisible:
        said = "What each factor did in a level, times what a change of the factor is worth"
        where = ": sheet Factors." if book.live else ", in values."
        return [f"{said}{where}"]
    if not _adjusted(book):
        return [f"The mix effect is divided by {book.change.options.mix}; see the cells."]
    return [
        "mix = (p1 - p0) × alpha: alpha compares a level with comparable segments, so mix cannot "
        "be worked out from the observed rates beside it.",
        "S are the segments all of whose levels exist in both periods; totals of several "
        "dimensions are different views of one change.",
    ]


def _style(book: Book, name: str) -> Any:
    styles = {
        "n0": "#,##0", "n1": "#,##0", "share0": "0.00%", "share1": "0.00%", "p0": "0.00%",
        "p1": "0.00%", "alpha": "0.000000", "total_p_adjusted": "0.000", "#": "0",
    }  # fmt: skip
    if name in styles:
        return book.formats(num_format=styles[name])
    if name in ("level", "note"):
        return book.formats()
    return {"rate0": book.level, "rate1": book.level, "check": book.zero}.get(name, book.effect)


def _values(book: Book, dimension: str) -> list[dict[str, Any]]:
    """What each row holds; "#" is empty for sums and for what is suppressed."""
    cube = book.change.cube
    d = cube.dimension_index(dimension)
    alpha, margins = np.zeros(0), np.zeros((0, 2))
    if _adjusted(book):
        parts: Any = book.change._parts
        stayed = parts.turnover.stayed
        margins = parts.design.only([d]).matrix[stayed].T @ parts.valued[0].T
        alpha = parts.alpha[parts.design.block(d)]
    position = {level: i for i, level in enumerate(cube.levels[d])}
    rows = []
    for found in book.shown.levels[dimension].to_dict(orient="records"):
        row: dict[str, Any] = {str(name): value for name, value in found.items()}
        row |= {"level": row["segment"], "check": 0.0}
        for t, when in enumerate(("baseline", "current")):
            row |= {f"{name}{t}": row[f"{name}_{when}"] for name in ("n", "share", "rate")}
        place = position.get(row["segment"])
        if place is not None and row["note"] != "suppressed":
            row["#"] = place + 1
            if _adjusted(book):
                row |= {"p0": float(margins[place, 0]), "p1": float(margins[place, 1])}
                row["alpha"] = float(alpha[place])
        rows.append(row)
    return rows


def _formulas(
    book: Book,
    dimension: str,
    row: dict[str, Any],
    r: int,
    at: dict[str, int],
    cells: CellSheet | None,
) -> dict[str, str]:
    """What a row works out; without cells only from what the row itself holds."""
    if row.get("#") is None or not book.divisible:
        return {}
    parts, d = book.change._parts, book.change.cube.dimension_index(dimension)
    level = parts.design.offsets[d] + row["#"] - 1
    inside = bool(parts.turnover.exists[0, level] and parts.turnover.exists[1, level])
    here = {name: cell(r, j) for name, j in at.items()}
    found = {}
    if inside:
        found["total"] = "=" + "+".join(here[part] for part in _parts(book))
        if _adjusted(book):
            found["mix"] = f"=({here['p1']}-{here['p0']})*{here['alpha']}"
    if cells is None:
        return found

    def summed(column: str) -> str:
        return f"SUMIFS({cells.whole(column)},{cells.whole(f'code{d}')},{here['#']})"

    function = isinstance(parts, FunctionDecomposition)
    ratio = None if function else book.change._ratio_parts
    V = "V" if ratio is None or ratio.volume is not None else "D"
    for t in (0, 1):
        volume = summed(f"{V}{t}")
        found[f"n{t}"] = f"={summed(f'n{t}')}"
        found[f"share{t}"] = f'=IF({volume}>0,{volume}/{cells.number(f"{V}_{t}")},"")'
        found[f"rate{t}"] = _rate_of_level(book.change, summed, t)
        found[f"p{t}"] = f"={summed(f'p{t}')}"
    if not inside:
        return found | {"total": f"={summed('outside')}"}
    if _adjusted(book):
        found["check"] = f"={summed('misfit')}"
    else:
        # What a method's tables make of the whole population is spread over the levels by volume.
        mean = f"({cells.number('RS0')}+{cells.number('RS1')})/2"
        volume = f"({summed('p0')}+{summed('p1')})/2"
        spread = f"{mean}*{volume}*SUM({cells.whole(f'shift{d}')})"
        found["mix"] = f"={summed(f'valued{d}')}+{spread}"
        if function:
            found["mix"] += f"+{cells.number('centre')}*({summed('p1')}-{summed('p0')})"
    for part in ("rate", "interaction"):
        if part not in here:
            continue
        found[part] = f"={summed(part)}"
    return found


def _rate_of_level(change: Attribution, summed: Callable[[str], str], t: int) -> str:
    """The KPI of a level in a period; of a total the mean per unit of volume."""
    parts = change._parts
    if not isinstance(parts, FunctionDecomposition):
        D, N = summed(f"D{t}"), summed(f"N{t}")
        return f'=IF({D}>0,{N}/{D},"")'
    V, sums = summed(f"V{t}"), [summed(f"X{k}_{t}") for k in range(len(parts._rates))]
    if isinstance(change.metric, Total):
        return f'=IF({V}>0,{sums[0]}/{V},"")'
    formula = kpi_formula(change, sums).removeprefix("=")
    return f'=IF({V}>0,IFERROR({formula},""),"")' if formula else ""
