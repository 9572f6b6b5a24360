"""A section as plain values: the rows of its tables, its findings, where it comes from."""

from __future__ import annotations

from typing import Any

from attribution.plain import SCHEMA, plain
from attribution.reports.sections.section import Section, Tile

__all__ = ["section_values"]


def section_values(section: Section, kind: str) -> dict[str, Any]:
    """Return a section as values that JSON knows; numbers have 12 significant digits.

    Parameters
    ----------
    section : Section
    kind : str
        Of the result.

    Returns
    -------
    dict
    """
    tables = {
        table.name: [
            {column.key: _value(row.get(column.key)) for column in table.on("book")}
            for row in table.rows
        ]
        for table in section.tables
    }
    return {
        "schema": SCHEMA,
        "kind": kind,
        "name": section.name,
        "message": section.message,
        "tables": tables,
        "notes": list(section.notes),
        "findings": [plain(x) for x in section.findings],
        "not_shown": list(section.withheld),
        "provenance": plain(section.provenance),
    }


def _value(value: Any) -> Any:
    if isinstance(value, Tile):
        known = plain(value.value)
        return {"text": value.text, "value": known}
    return plain(value)
