"""The pages of one KPI: one per comparison, one per drill-down, linked with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attribution.config import Comparison, Kpi
from attribution.monthly.actions import Action
from attribution.monthly.answers import KpiReview
from attribution.monthly.comparisons import drill_names
from attribution.monthly.messages import beside
from attribution.privacy import Shown
from attribution.reports.html import Beside, html_file

__all__ = ["Page", "pages", "planned_pages", "write_pages"]

# A drill-down of the review has a page of its own; within a page only the largest levels open.
_MOST_DRILLS, _MOST_PAIRS = 6, 3


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes
    ----------
    title : str
        As links call it.
    path : str
        Within the folder of the period.
    shown : Shown
    comparison : Comparison
    drill : bool
        Whether it is of a part of the KPI.
    """

    title: str
    path: str
    shown: Shown
    comparison: Comparison
    drill: bool = False


def pages(k: KpiReview, slug: str) -> list[Page]:
    """Return the pages of a KPI, that of its first answer in front.

    Parameters
    ----------
    k : KpiReview
    slug : str
        Its file name.

    Returns
    -------
    list of Page
    """
    found: list[Page] = []
    for answer in k.compared:
        if answer.shown is None:
            continue
        against = f"against the {answer.comparison.words}"
        path = _path(slug, "" if not found else answer.comparison.slug)
        found.append(Page(against, path, answer.shown, answer.comparison))
        first = path == _path(slug, "")
        for drill in answer.drills:
            if drill.shown is not None:
                title = drill.title + f", {against}" * (not first)
                name = drill.name if first else f"{answer.comparison.slug}-{drill.name}"
                path = _path(slug, name)
                found.append(Page(title, path, drill.shown, answer.comparison, True))
    # Comparisons in front of drill-downs.
    return sorted(found, key=lambda page: page.drill)


def planned_pages(kpi: Kpi, slug: str) -> Iterator[str]:
    """Yield the paths of the pages of a KPI in which everything has an answer.

    Parameters
    ----------
    kpi : Kpi
    slug : str

    Yields
    ------
    str
    """
    drills = [name for i, drill in enumerate(kpi.drill) for name in drill_names(i, drill)]
    for c, text in enumerate(kpi.compare):
        comparison = Comparison.of(text).slug if c else ""
        for page in ("", *drills):
            yield _path(slug, "-".join(x for x in (comparison, page) if x))


def _path(slug: str, page: str) -> str:
    return f"kpis/{slug}/{page}.html" if page else f"kpis/{slug}.html"


def write_pages(k: KpiReview, folder: Path, slug: str, actions: Sequence[Action]) -> None:
    """Write the pages of a KPI.

    Parameters
    ----------
    k : KpiReview
    folder : Path
        Of the period.
    slug : str
    actions : sequence of Action
        Those of the KPI.
    """
    found = pages(k, slug)
    for page in found:
        up = "../" * page.path.count("/")
        links = [("All KPIs", f"{up}index.html", False)]
        links += [(p.title, up + p.path, p is page) for p in found]
        remarks = () if page.drill else tuple(beside(k, page.comparison, actions))
        past = None if page.drill else k.past
        within = (0, 0) if page.drill else (_MOST_DRILLS, _MOST_PAIRS)
        around = Beside(tuple(links), remarks, past, *within)
        html_file(page.shown, folder / page.path, around)
