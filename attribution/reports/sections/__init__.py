"""Files about scorecards, targets and comparisons: what is shown is decided once.

section     message, pictures, tables, findings of one result
scorecard, composite, targets, compared   the sections of each kind of result
page, slides, book   one HTML page, one deck, one workbook of several sections
values      one section as plain values
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.cards import CompositeScorecard, Scorecard
from attribution.drivers import Factors
from attribution.errors import ColumnTypeError, OptionError
from attribution.groups import Standardized
from attribution.reports.sections.book import write_book
from attribution.reports.sections.compared import (
    factors_section,
    standardized_section,
    tree_section,
    trend_section,
)
from attribution.reports.sections.composite import composite_section
from attribution.reports.sections.page import write_page
from attribution.reports.sections.scorecard import scorecard_section
from attribution.reports.sections.section import Section
from attribution.reports.sections.slides import write_slides
from attribution.reports.sections.targets import (
    completion_section,
    plan_section,
    whatif_section,
)
from attribution.reports.sections.values import section_values
from attribution.targets import Completion, Targets, WhatIf
from attribution.tree_change import TreeChange
from attribution.trends import Trend

if TYPE_CHECKING:
    from attribution.privacy import Privacy

__all__ = ["plain_values", "sections_of", "write_excel", "write_html", "write_pptx"]

_MADE_BY: dict[type, Any] = {
    Scorecard: scorecard_section,
    CompositeScorecard: composite_section,
    Targets: plan_section,
    Completion: completion_section,
    WhatIf: whatif_section,
    Factors: factors_section,
    TreeChange: tree_section,
    Trend: trend_section,
    Standardized: standardized_section,
}


def sections_of(results: Sequence[Any], privacy: Privacy | None = None) -> list[Section]:
    """Return what files show of scorecards, plans, completions, trends, factors and groups.

    Parameters
    ----------
    results : sequence
        What this returned stays as it is: made once, it can be written to several files.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    list of Section

    Raises
    ------
    OptionError
        There is none.
    ColumnTypeError
        One of them is something else.
    """
    if not results:
        raise OptionError("results: there is none to write.")
    found = []
    for result in results:
        if isinstance(result, Section):
            found.append(result)
            continue
        make = _MADE_BY.get(type(result))
        if make is None:
            names = ", ".join(kind.__name__ for kind in _MADE_BY)
            raise ColumnTypeError(f"results: a {type(result).__name__} is none of {names}.")
        found.append(make(result, privacy))
    return found


def plain_values(result: Any, privacy: Privacy | None = None) -> dict[str, Any]:
    """Return what files show of a result, as values that JSON knows.

    Parameters
    ----------
    result : object
        As in `sections_of`.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    dict
    """
    (section,) = sections_of([result], privacy)
    return section_values(section, type(result).__name__)


def write_html(
    results: Sequence[Any],
    path: str | Path,
    *,
    title: str | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write one self-contained page: a tab per result, data quality, method and provenance.

    Parameters
    ----------
    results : sequence
        Scorecards, composite scorecards, plans, completions, suppositions, trends, factors,
        driver trees, standardized groups.
    path : str or Path
    title : str, optional
        Of the page; by default the message of the first result.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    return write_page(sections_of(results, privacy), path, title)


def write_pptx(
    results: Sequence[Any],
    path: str | Path,
    *,
    title: str | None = None,
    template: str | Path | None = None,
    append_to: str | Path | None = None,
    layout: str | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write a deck of native charts and tables, one slide per question.

    Parameters
    ----------
    results : sequence
        As in `write_html`.
    path : str or Path
    title : str, optional
        Of the file.
    template, append_to, layout
        As in `Attribution.to_pptx`.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written, or there is no such layout.
    """
    sections = sections_of(results, privacy)
    return write_slides(
        sections, path, title, template=template, append_to=append_to, layout=layout
    )


def write_excel(
    results: Sequence[Any],
    path: str | Path,
    *,
    title: str | None = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write a workbook: a sheet per table, with filters, ratios and sums as live formulas.

    Parameters
    ----------
    results : sequence
        As in `write_html`.
    path : str or Path
    title : str, optional
        Of the file.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    return write_book(sections_of(results, privacy), path, title)
