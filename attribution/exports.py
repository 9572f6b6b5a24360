"""The words and files of an answer: each is made by a module of `reports`, loaded on use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from great_tables import GT

    from attribution.causes import Causes
    from attribution.privacy import Privacy
    from attribution.reports.sentences import Narrative
    from attribution.result import Attribution
    from attribution.trends import Trend

__all__ = [
    "narrative",
    "summary",
    "table",
    "to_dict",
    "to_excel",
    "to_frame",
    "to_html",
    "to_json",
    "to_pptx",
    "to_prompt",
    "to_tidy",
]


def summary(self: Attribution, *, privacy: Privacy | None = None) -> str:
    """Return headline, verdict, bridge and findings as text.

    Parameters
    ----------
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    str
    """
    from attribution.privacy import protect
    from attribution.summary import summary

    shown = protect(self, privacy)
    return summary(shown.change, shown.bridge, shown.findings, shown.withheld)


def narrative(
    self: Attribution,
    length: str = "paragraph",
    format: str = "text",
    *,
    causes: Causes | None = None,
    privacy: Privacy | None = None,
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
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    Narrative
        A text. Its `sentences` keep the cells that their numbers come from.

    Raises
    ------
    OptionError
        Another length or format.
    """
    from attribution.privacy import protect
    from attribution.reports.narrative import narrative

    shown = protect(self, privacy)
    return narrative(shown, length, format, None if causes is None else shown.named(causes))


def to_prompt(self: Attribution, *, privacy: Privacy | None = None) -> str:
    """Return the answer as compact JSON for a language model: all it may quote, and how.

    Parameters
    ----------
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    str
        Numbers as displayed, with units; sentences; rules of reading; a `schema` version.
    """
    from attribution.privacy import protect
    from attribution.reports.prompt import to_prompt

    return to_prompt(protect(self, privacy))


def table(
    self: Attribution,
    dimension: str | None = None,
    *,
    max_rows: int = 12,
    privacy: Privacy | None = None,
) -> GT:
    """Return a table for a notebook or a page: the bridge, or the levels of a dimension.

    Parameters
    ----------
    dimension : str, optional
        None is the bridge.
    max_rows : int
        The smallest bars or levels are summed into "other" beyond this number.
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    great_tables.GT
        It shows itself in a notebook; ``as_raw_html()`` goes into any page. Displayed numbers add
        up; labels are escaped.

    Raises
    ------
    ColumnNotFoundError, OptionError
        No such dimension, or its levels are people; `max_rows` below 2.
    """
    from attribution.privacy import protect
    from attribution.reports.table import breakdown_table, bridge_table

    shown = protect(self, privacy)
    if dimension is None:
        return bridge_table(shown, max_rows)
    return breakdown_table(shown, shown.breakdown(dimension).condensed(max_rows))


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


def to_dict(self: Attribution, *, privacy: Privacy | None = None) -> dict[str, Any]:
    """Return everything as plain values; numbers have 12 significant digits, null for none.

    Parameters
    ----------
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    dict
        `schema, metric, baseline, current, total, verdict, effects, levels, findings, not_shown,
        provenance`.
    """
    from attribution.privacy import protect

    return protect(self, privacy).to_dict()


def to_json(
    self: Attribution, path: str | Path | None = None, *, privacy: Privacy | None = None
) -> str:
    """Return (and write, if a path is given) `to_dict` as JSON.

    Parameters
    ----------
    path : str or Path, optional
    privacy : Privacy, optional
        Who may be seen; levels that are people are hidden by default.

    Returns
    -------
    str

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    from attribution.reports.files import write_file

    text = json.dumps(self.to_dict(privacy=privacy), ensure_ascii=False, indent=1)

    def write(fresh: Path) -> None:
        fresh.write_text(text + "\n", encoding="utf-8")

    if path is not None:
        write_file(path, write)
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
