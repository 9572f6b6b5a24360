"""The words and files of an answer: each is made by a module of `reports`, loaded on use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.plain import SCHEMA, plain, records

if TYPE_CHECKING:
    import pandas as pd

    from attribution.causes import Causes
    from attribution.reports.privacy import Privacy
    from attribution.reports.sentences import Narrative
    from attribution.result import Attribution
    from attribution.trends import Trend

__all__ = [
    "narrative",
    "to_dict",
    "to_excel",
    "to_frame",
    "to_html",
    "to_json",
    "to_pptx",
    "to_prompt",
    "to_tidy",
]


def narrative(
    self: Attribution,
    length: str = "paragraph",
    format: str = "text",
    *,
    causes: Causes | None = None,
) -> Narrative:
    """Say in plain English why the KPI changed, where, and what cannot be said.

    Parameters
    ----------
    length : {"headline", "paragraph", "page"}
        One sentence; a paragraph; a page with what moved, what to check first and what cannot
        be said.
    format : {"text", "markdown", "html"}
        Labels are escaped.
    causes : Causes, optional
        As `causes` returned them. Without them a page searches for them, which takes longest;
        a paragraph leaves them out.

    Returns
    -------
    Narrative
        A text. Its `sentences` keep the cells that their numbers come from.

    Raises
    ------
    OptionError
        Another length or format.
    """
    from attribution.reports.narrative import narrative

    return narrative(self, length, format, causes)


def to_prompt(self: Attribution) -> str:
    """Return the answer as compact JSON for a language model: all it may quote, and how.

    Returns
    -------
    str
        Numbers as displayed, with units; sentences; rules of reading; a `schema` version.
    """
    from attribution.reports.prompt import to_prompt

    return to_prompt(self)


def to_frame(self: Attribution) -> pd.DataFrame:
    """Return `effects` with the KPI and the two periods in front: one table per report."""
    frame = self.effects
    for i, (name, value) in enumerate(
        [
            ("metric", self.metric.label),
            ("baseline", self._ends[0]),
            ("current", self.cube.periods[1]),
        ]
    ):
        frame.insert(i, name, value)
    return frame


def to_dict(self: Attribution) -> dict[str, Any]:
    """Return everything as plain values; numbers have 12 significant digits, null for none."""
    return {
        "schema": SCHEMA,
        "metric": {
            "name": self.metric.label,
            "better": self.metric.better,
            "unit": self.metric.display_unit,
        },
        "baseline": self._ends[0],
        "current": self.cube.periods[1],
        "total": plain(vars(self.total)),
        "verdict": self.verdict,
        "effects": records(self.effects),
        "levels": {d: records(self.levels(d)) for d in self.cube.dimensions},
        "findings": records(self.check()),
        "provenance": plain(self.provenance),
    }


def to_json(self: Attribution, path: str | Path | None = None) -> str:
    """Return (and write, if a path is given) `to_dict` as JSON.

    Parameters
    ----------
    path : str or Path, optional

    Returns
    -------
    str
    """
    text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
    if path is not None:
        Path(path).write_text(text + "\n", encoding="utf-8")
    return text


def to_excel(self: Attribution, path: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write an audit workbook: the bridge in live formulas over the sums of the cells.

    Parameters
    ----------
    path : str or Path
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    from attribution.reports.xlsx import write_excel

    return write_excel(self, path, privacy=privacy)


def to_html(self: Attribution, path: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write a self-contained HTML report: bridge, levels, drill-down, causes, findings.

    Parameters
    ----------
    path : str or Path
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    from attribution.reports.html import write_html

    return write_html(self, path, privacy=privacy)


def to_pptx(
    self: Attribution,
    path: str | Path,
    *,
    template: str | Path | None = None,
    append_to: str | Path | None = None,
    layout: str | None = None,
    trend: Trend | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write a deck of native charts and tables, numbers and caveats in the speaker notes.

    Parameters
    ----------
    path : str or Path
    template : str or Path, optional
        A company's .pptx: its layouts are used, its sample slides left out.
    append_to : str or Path, optional
        A deck whose slides stay in front.
    layout : str, optional
        The name of a layout that has a title; "Title Only" by default.
    trend : Trend, optional
        A result of `attribution.trend`, for a slide of the KPI over time.
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written, or there is no such layout: the message lists them.
    """
    from attribution.reports.pptx import write_pptx

    return write_pptx(
        self,
        path,
        template=template,
        append_to=append_to,
        layout=layout,
        trend=trend,
        privacy=privacy,
    )


def to_tidy(self: Attribution, folder: str | Path, *, privacy: Privacy | None = None) -> Path:
    """Write a star schema for Tableau and Power BI, as Parquet and CSV.

    fact_change, fact_effect, fact_level, fact_cell; dim_metric, dim_period (dates), dim_level,
    dim_segment; finding, provenance. See `attribution.reports.tidy`.

    Parameters
    ----------
    folder : str or Path
        Made, or replaced as a whole if it is an earlier output.
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The folder cannot be written, or holds files that are no earlier output.
    """
    from attribution.reports.tidy import write_tidy

    return write_tidy(self, folder, privacy=privacy)
