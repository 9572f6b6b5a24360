"""One workbook of a review: scorecard, bridges, levels, causes, actions, findings of all KPIs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.monthly.answers import Compared, KpiReview
from attribution.reports.files import CREATED
from attribution.reports.sections.book import add_sheets
from attribution.reports.workbook.sheets import Formats, prepare, put, put_table

if TYPE_CHECKING:
    from attribution.monthly.job import Reviewed

__all__ = ["write_workbook"]

_SCORECARD = [
    "KPI", "value", "unit", "n", "against", "baseline", "change", "change low", "change high",
    "verdict", "status", "remarks",
]  # fmt: skip
_EFFECTS = ["effect", "dimension", "segment", "estimate", "conf_low", "conf_high", "p_adjusted"]
_LEVELS = [
    "dimension", "segment", "n_baseline", "n_current", "share_baseline", "share_current",
    "rate_baseline", "rate_current", "mix", "rate", "total", "mix_p_adjusted", "rate_p_adjusted",
]  # fmt: skip
_CAUSES = ["segment", "contribution", "conf_low", "conf_high", "p_adjusted"]


def write_workbook(done: Reviewed, path: Path) -> None:
    """Write the workbook; every sheet is one table that can be filtered.

    Parameters
    ----------
    done : Reviewed
    path : Path
    """
    import xlsxwriter

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options) as file:
        title = f"{done.config.review.title}, {done.period}"
        file.set_properties({"title": title[:255], "created": CREATED, "author": "kpi-attribution"})
        formats = Formats(file)
        tables = {
            "Scorecard": (_SCORECARD, list(_scores(done))),
            "Effects": (["KPI", "against", *_EFFECTS], list(_effects(done))),
            "Levels": (["KPI", "against", *_LEVELS], list(_levels(done))),
            "Causes": (["KPI", "against", *_CAUSES], list(_causes(done))),
            "Actions": (
                ["KPI", "cause", "owner", "priority", "due", "status"],
                [tuple(vars(action).values()) for action in done.actions],
            ),
            "Findings": (
                ["KPI", "severity", "code", "message"],
                [
                    (k.kpi.name, f["severity"], f["code"], f["message"])
                    for k in done.kpis
                    for f in k.findings
                ],
            ),
        }
        for name, (header, rows) in tables.items():
            _sheet(file.add_worksheet(name), title, header, rows, formats)
        cards = [(card.name, card.section) for card in done.cards if card.section is not None]
        labels = [f"{name} {table.name}" for name, section in cards for table in section.tables]
        add_sheets(file, formats, [section for _, section in cards], labels)


def _sheet(sheet: Any, title: str, header: list[str], rows: list[tuple], formats: Formats) -> None:
    top = 2
    prepare(sheet)
    sheet.repeat_rows(top)
    put(sheet, 0, 0, title, formats(bold=True, font_size=14))
    # KPIs of several units share a column: general numbers, as precise as they are.
    styles = [formats(num_format="#,##0.######")] * len(header)
    put_table(sheet, top, header, rows, styles, formats.head)
    for j, column in enumerate(header):
        if any(isinstance(row[j], int | float) for row in rows):
            put(sheet, top, j, column, formats.number_head)
    sheet.freeze_panes(top + 1, 1)
    if rows:
        sheet.autofilter(top, 0, top + len(rows), len(header) - 1)
    for j, column in enumerate(header):
        longest = max([len(column), *(len(_shown(row[j])) for row in rows[:200])])
        sheet.set_column(j, j, min(max(longest + 2, 10), 60))


def _shown(value: object) -> str:
    """A cell as long as it looks."""
    return f"{value:,.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _scores(done: Reviewed) -> Iterator[tuple]:
    for k in done.kpis:
        unit = k.metric.display_unit
        remarks = "; ".join([*k.breaches, *(f.message for f in k.failures)])
        for answer in k.compared or (None,):
            yield (
                k.kpi.name, k.value, unit, k.n, *_of_change(answer), k.status, remarks,
            )  # fmt: skip


def _of_change(answer: Compared | None) -> tuple:
    if answer is None:
        return ("", None, None, None, None, "")
    if answer.change is None:
        return (answer.comparison.words, None, None, None, None, "no answer")
    total, verdict = answer.change.total, answer.change.verdict
    known = (total.baseline, total.change, total.conf_low, total.conf_high)
    return (answer.comparison.words, *known, verdict)


def _answers(done: Reviewed) -> Iterator[tuple[KpiReview, Compared]]:
    for k in done.kpis:
        for answer in k.compared:
            if answer.shown is not None:
                yield k, answer


def _effects(done: Reviewed) -> Iterator[tuple]:
    for k, answer in _answers(done):
        if answer.shown is not None:
            for row in answer.shown.effects[_EFFECTS].itertuples(index=False):
                yield (k.kpi.name, answer.comparison.words, *_plain(row))


def _levels(done: Reviewed) -> Iterator[tuple]:
    for k, answer in _answers(done):
        if answer.shown is not None:
            for frame in answer.shown.levels.values():
                for row in frame[_LEVELS].itertuples(index=False):
                    yield (k.kpi.name, answer.comparison.words, *_plain(row))


def _causes(done: Reviewed) -> Iterator[tuple]:
    for k, answer in _answers(done):
        if answer.causes is not None:
            for row in answer.causes.named:
                yield (k.kpi.name, answer.comparison.words, *_plain(row[c] for c in _CAUSES))


def _plain(row: Iterable) -> list:
    """A row with empty cells for nulls."""
    return [None if x != x else x for x in row]
