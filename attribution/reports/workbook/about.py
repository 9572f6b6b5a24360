"""The sheets that every workbook ends with: findings, and where the numbers come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attribution.reports.workbook.sheets import Formats, put_table

__all__ = ["FINDINGS", "PROVENANCE", "write_findings", "write_provenance"]

FINDINGS, PROVENANCE = "Findings", "Provenance"


def write_findings(sheet: Any, formats: Formats, findings: Iterable[dict[str, Any]]) -> None:
    """Write what a reader must know.

    Parameters
    ----------
    sheet : xlsxwriter worksheet
    formats : Formats
    findings : iterable of dict
    """
    plain, wrapped = formats(valign="top"), formats(text_wrap=True, valign="top")
    rows = [[f["severity"], f["code"], f["message"]] for f in findings]
    header = ["severity", "code", "what a reader must know"]
    last = put_table(sheet, 0, header, rows, [plain, plain, wrapped], formats.head)
    sheet.set_column(0, 0, 10)
    sheet.set_column(1, 1, 24)
    sheet.set_column(2, 2, 110)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last - 1, 2)


def write_provenance(sheet: Any, formats: Formats, rows: Sequence[tuple[str, Any]]) -> None:
    """Write where the numbers come from.

    Parameters
    ----------
    sheet : xlsxwriter worksheet
    formats : Formats
    rows : sequence of (str, value)
    """
    wrapped = formats(valign="top", text_wrap=True)
    shown = [[name, _written(value)] for name, value in rows]
    put_table(sheet, 0, ["what", "value"], shown, [wrapped, wrapped], formats.head)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 1, 100)


def _written(value: Any) -> str | float | None:
    if isinstance(value, str | float | int) and not isinstance(value, bool):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
