"""The audit workbook: the bridge in live formulas over the cells, chart, level tables, findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.bridge import Bar
from attribution.functions import FunctionOfSums
from attribution.isolated import marked
from attribution.privacy import Privacy, Shown, protect
from attribution.reports.files import CREATED, WORKBOOK, write_file
from attribution.reports.workbook.about import (
    FINDINGS,
    PROVENANCE,
    write_findings,
    write_provenance,
)
from attribution.reports.workbook.cells import why_values, write_cells
from attribution.reports.workbook.chart import CHART, write_chart
from attribution.reports.workbook.composed import FACTORS, factor_books, write_factors
from attribution.reports.workbook.levels import alpha_ranges, write_levels
from attribution.reports.workbook.lines import end_formula, line_formula
from attribution.reports.workbook.rates import rates_of, write_rates
from attribution.reports.workbook.sheets import (
    AS_TEXT,
    CELLS,
    RATES,
    Book,
    Formats,
    cell,
    column_range,
    prepare,
    put,
    sheet_names,
)
from attribution.summary import verdict_text

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["excel_file", "write_excel"]

BRIDGE = "Bridge"
_TOP = 8
# Of the rows of a bridge thousands may be entries; a workbook shows these and the sum of the rest.
_MOST_ROWS = 400
_TITLES = (
    "interval from",
    "interval to",
    "p, adjusted",
    "share of change",
    "effect",
    "dimension",
    "segment",
    "note",
)
# The columns of numbers; those of words stand around them.
_NUMBERS = range(1, 8)


def write_excel(change: Attribution, path: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write an audit workbook in which formulas recompute the bridge from the sums of the cells.

    Parameters
    ----------
    change : Attribution
    path : str or Path
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.

    Notes
    -----
    Sheets: "Bridge" (message, table, reconciliation, chart), "Levels ..." (one a dimension, with
    filters), "Cells" and "Rates" (what everything is recomputed from), "Findings", "Provenance".
    Of a KPI made of KPIs each factor has sheets of levels, cells and rates of its own, and
    "Factors" works out what a change of it is worth: lines and levels are those of the factors,
    times that. Totals, ratios with a volume of their own and functions of sums are formulas like a
    ratio; of a function that is no ratio its mean slopes are values, which a formula proves.
    Coefficients of fits are values whose normal equations are shown to be 0 by formula; intervals
    and p-values are values. Where people or small groups are hidden, or there are more than 50,000
    segments, there is no sheet of cells: effects are values, and their sum is a formula.
    """
    return excel_file(protect(change, privacy), path)


def excel_file(shown: Shown, path: str | Path) -> Path:
    """Write the workbook of what may be shown; see `write_excel`."""
    return write_file(path, lambda fresh: _write(shown, fresh), suffixes=WORKBOOK)


def _write(shown: Shown, path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), AS_TEXT) as file:
        file.set_properties(
            {"title": shown.bridge.message[:255], "created": CREATED, "author": "kpi-attribution"}
        )
        fixed = [BRIDGE, CHART, FINDINGS, PROVENANCE, CELLS, RATES, FACTORS]
        names = sheet_names("Levels ", shown.dimensions, fixed)
        level_sheets = dict(zip(shown.dimensions, names, strict=True))
        book = Book(file, shown, not why_values(shown), Formats(file), level_sheets)
        _write_sheets(book)


def _write_sheets(book: Book) -> None:
    """Write all sheets, those a reader looks at first in front."""
    joined = book.live and not book.divisible
    fitted = book.live and not joined and bool(rates_of(book.change)[0].rates.fits)
    sheets = [BRIDGE, *book.level_sheets.values()]
    sheets += [FACTORS] * joined + [CELLS] * (book.live and not joined) + [RATES] * fitted
    last = [FINDINGS, PROVENANCE, CHART]
    for name in sheets:
        prepare(book.file.add_worksheet(name))
    books = factor_books(book, [*sheets, *last]) if joined else []
    for name in last:
        prepare(book.file.add_worksheet(name))
    worked = _Worked()
    cells = composed = None
    if joined:
        factors = write_factors(book, books)
        worked, composed = _Worked(factors.end, factors.line), factors.level
    elif book.live:
        cells = write_cells(book, alpha_ranges(book))
        if fitted:
            write_rates(book, cells)
        worked = _Worked(partial(end_formula, cells), partial(line_formula, book, cells))
    for dimension in book.level_sheets:
        write_levels(book, dimension, cells, composed)
    _bridge(book, worked)
    write_findings(book.sheet(FINDINGS), book.formats, book.shown.findings)
    write_provenance(book.sheet(PROVENANCE), book.formats, _provenance(book))


@dataclass(frozen=True)
class _Worked:
    """What works out the KPI in a period and a line of its change; None where they are values."""

    end: Callable[[int], str] | None = None
    line: Callable[[int], str] | None = None


def _bridge(book: Book, worked: _Worked) -> None:
    sheet, bridge = book.sheet(BRIDGE), book.shown.bridge.condensed(_MOST_ROWS)
    format, bold = bridge.format, book.formats(bold=True)
    put(sheet, 0, 0, marked(bridge.message), book.formats(bold=True, font_size=14))
    put(sheet, 1, 0, verdict_text(book.change), book.formats())
    said = [f"Effects are {_effects_are(book)}.", *bridge.notes, *book.shown.withheld]
    for i, line in enumerate(said[: _TOP - 3]):
        put(sheet, 2 + i, 0, line, book.quiet)
    unit = f" ({format.change_unit})" if format.change_unit else ""
    for j, title in enumerate(["bar", f"shown{unit}", f"effect{unit}", "in KPI units", *_TITLES]):
        head = book.formats.number_head if j in _NUMBERS else book.head
        put(sheet, _TOP - 1, j, title, head)
    first = _TOP + 1
    last = first + len(bridge.bars) - 1
    ends = (
        (_TOP, bridge.baseline_label, bridge.baseline),
        (last + 1, bridge.current_label, bridge.current),
    )
    for t, (r, label, value) in enumerate(ends):
        put(sheet, r, 0, label, bold)
        put(sheet, r, 3, value, book.level, f"={worked.end(t)}" if worked.end else "")
    change = f"{cell(last + 1, 3)}-{cell(_TOP, 3)}"
    for r, (bar, value) in enumerate(zip(bridge.bars, bridge.shown(), strict=True), start=first):
        put(sheet, r, 0, bar.label, book.formats())
        put(sheet, r, 1, value, book.step)
        put(sheet, r, 2, bar.value * format.factor, book.step, f"={cell(r, 3)}*{format.factor:g}")
        line = worked.line if len(bar.rows) == 1 else None
        put(sheet, r, 3, bar.value, book.effect, f"={line(bar.rows[0])}" if line else "")
        _beside(book, r, bar, change)
    _reconcile(book, last + 3, first, last, change)
    sheet.set_row(_TOP - 1, 28)
    sheet.set_column(0, 0, 40)
    sheet.set_column(1, 3 + len(_TITLES), 13)
    sheet.freeze_panes(_TOP, 1)
    addresses = [cell(r, 3, BRIDGE) for r in range(_TOP, last + 2)]
    write_chart(book, sheet, last + 8, bridge, addresses)


def _beside(book: Book, r: int, bar: Bar, change: str) -> None:
    """The interval of a bar and the row of `effects` it stands for."""
    sheet, rows = book.sheet(BRIDGE), book.change.effects
    put(sheet, r, 4, bar.conf_low, book.effect)
    put(sheet, r, 5, bar.conf_high, book.effect)
    put(sheet, r, 6, bar.p_adjusted, book.formats(num_format="0.000"))
    put(sheet, r, 11, bar.note, book.formats())
    if len(bar.rows) != 1:
        return
    row = rows.iloc[bar.rows[0]]
    share = float(row["share_of_change"])
    formula = f"={cell(r, 3)}/({change})" if share == share else ""
    put(sheet, r, 7, share, book.formats(num_format="0%"), formula)
    for j, name in enumerate(("effect", "dimension", "segment"), start=8):
        put(sheet, r, j, row[name] if isinstance(row[name], str) else None, book.formats())


def _reconcile(book: Book, r: int, first: int, last: int, change: str) -> None:
    """The change, the sum of the bars, and what they leave over."""
    sheet, bridge, bold = book.sheet(BRIDGE), book.shown.bridge, book.formats(bold=True)
    format = bridge.format
    shown = round(sum(bridge.shown()), format.decimals)
    of_shown = f"=ROUND(SUM({column_range(1, first, last)}),{format.decimals})"
    put(sheet, r, 0, "Change: current − baseline", bold)
    put(sheet, r, 1, shown, book.step, of_shown)
    put(sheet, r, 2, bridge.change * format.factor, book.step, f"={cell(r, 3)}*{format.factor:g}")
    put(sheet, r, 3, bridge.change, book.effect, f"={change}")
    put(sheet, r + 1, 0, "Sum of the bars", bold)
    put(sheet, r + 1, 3, bridge.change, book.effect, f"=SUM({column_range(3, first, last)})")
    put(sheet, r + 2, 0, "Reconciliation: what the bars leave over", bold)
    put(sheet, r + 2, 3, 0.0, book.zero, f"={cell(r, 3)}-{cell(r + 1, 3)}")
    size = max(abs(bridge.baseline), abs(bridge.current))
    test = f"ABS({cell(r + 2, 3)})<=0.000000001*{size!r}"
    beside = book.formats(bold=True, indent=1)
    put(sheet, r + 2, 4, "adds up", beside, f'=IF({test},"adds up","DOES NOT ADD UP")')


def _provenance(book: Book) -> list[tuple[str, Any]]:
    return [
        ("effects in this workbook", _effects_are(book)),
        *book.shown.provenance.items(),
        *(("not shown", x) for x in book.shown.withheld),
    ]


def _effects_are(book: Book) -> str:
    reason = why_values(book.shown)
    if reason:
        return f"values, no formulas: {reason}"
    said = "live formulas over the cells"
    if not book.divisible:
        said += " of each factor, times what a change of the factor is worth"
    if isinstance(book.change.metric, FunctionOfSums):
        said += "; only the mean slopes of the function are values, with their proof beside them"
    return said
