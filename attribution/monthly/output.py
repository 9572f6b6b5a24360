"""The files of one review: an index, pages per KPI, one deck, one workbook, pictures, tables.

Written to a temporary sibling and renamed, so that at any moment the previous output is whole. The
same inputs give the same bytes: nothing in the folder knows when or how fast it was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attribution.config import Kpi, ReviewConfig, concealed
from attribution.datasets.export import write_tables
from attribution.monthly.actions import Action, write_actions
from attribution.monthly.answers import KpiReview
from attribution.monthly.cards import CARD_TABLES, CardReview
from attribution.monthly.deck import write_deck
from attribution.monthly.index import index_page
from attribution.monthly.messages import as_dict
from attribution.monthly.pages import planned_pages, write_pages
from attribution.monthly.runs import privacy_of
from attribution.monthly.workbook import write_workbook
from attribution.privacy import Privacy
from attribution.privacy.rules import without_people
from attribution.reports.files import as_csv_text
from attribution.reports.folder import replace_folder
from attribution.reports.sections.page import write_page
from attribution.reports.tidy import tidy_files
from attribution.reports.xlsx import excel_file

if TYPE_CHECKING:
    import pandas as pd

    from attribution.monthly.job import Reviewed

__all__ = ["planned_files", "slug", "write_feed", "write_folder"]

Ahead = TypeVar("Ahead")

_PICTURES = ("png", "svg")
_TIDY = ("csv", "parquet")
_STATEMENT = re.compile(r"\s*(select|with|from)\b", re.IGNORECASE)
_ALWAYS = ("actions.csv", "index.html", "manifest.json", "review.json", "summary.md")


def slug(name: str) -> str:
    """Return a name that is safe as a file name on any system.

    Examples
    --------
    >>> slug("AHT (s) / p90"), slug("准确率")
    ('aht-s-p90', '准确率')
    """
    return re.sub(r"[^\w]+", "-", name.casefold()).strip("-")[:80] or "kpi"


def _slugs(labels: Iterable[str]) -> dict[str, str]:
    """A file name for every label, no two alike."""
    found: dict[str, str] = {}
    for label in labels:
        name, number = slug(label), 2
        while name in found.values():
            name, number = f"{slug(label)}-{number}", number + 1
        found[label] = name
    return found


def planned_files(config: ReviewConfig, kpis: Sequence[Kpi]) -> list[str]:
    """Return the files of a review in which every KPI has an answer.

    Parameters
    ----------
    config : ReviewConfig
    kpis : sequence of Kpi

    Returns
    -------
    list of str
    """
    slugs, wanted = _slugs(kpi.name for kpi in kpis), config.output
    names = list(slugs.values())
    files = [*_ALWAYS]
    files += [f"charts/{n}-bridge.{x}" for n in names for x in _PICTURES if wanted.charts]
    files += ["workbook.xlsx"] * wanted.xlsx + ["deck.pptx"] * wanted.pptx
    files += [page for kpi in kpis for page in planned_pages(kpi, slugs[kpi.name]) if wanted.html]
    files += [f"kpis/{n}.xlsx" for n in names if wanted.xlsx]
    chosen = {kpi.name for kpi in kpis}
    cards = [name for name, card in config.scorecards.items() if card.kpi in chosen]
    files += [f"scorecards/{n}.html" for n in _slugs(cards).values() if wanted.html]
    files += [f"tidy/{n}/" for n in names if wanted.tidy]
    files += [f"tidy/{n}.{x}" for n in CARD_TABLES for x in _TIDY if wanted.tidy and cards]
    return sorted(files)


def write_folder(
    done: Reviewed,
    each: Callable[..., Iterable],
    note: Callable[[str], None],
    ahead: Callable[[], Ahead],
) -> Ahead:
    """Write the folder of a period.

    Parameters
    ----------
    done : Reviewed
    each : callable
        Maps a function over arguments, as `map` does.
    note : callable
        Gets a line of text per part.
    ahead : callable
        Called when the files of the KPIs are under way: it hands out the work that comes next.

    Returns
    -------
    What `ahead` returned.
    """
    begun: list[Ahead] = []

    def write(folder: Path) -> None:
        config = done.config
        names = _slugs(k.kpi.name for k in done.kpis)
        answered = [k for k in done.kpis if k.main is not None]
        if config.output.charts:
            (folder / "charts").mkdir()
        slugs = [names[k.kpi.name] for k in answered]
        actions = [[a for a in done.actions if a.kpi in ("", k.kpi.name)] for k in answered]
        pending = each(_write_kpi, answered, repeat(folder), slugs, actions, repeat(config))
        begun.append(ahead())
        for name in pending:
            note(f"{name}: files written")
        with config.theme.drawn():
            if config.output.xlsx:
                write_workbook(done, folder / "workbook.xlsx")
            places = _write_cards(done, folder)
            if config.output.tidy:
                _write_tidy_cards(done.cards, folder / "tidy")
            if config.output.pptx:
                write_deck(done, folder / "deck.pptx")
                note("deck written")
            (folder / "summary.md").write_text(done.markdown() + "\n", encoding="utf-8")
            write_actions(done.actions, folder / "actions.csv")
            (folder / "review.json").write_text(_json(as_dict(done)), encoding="utf-8")
            (folder / "manifest.json").write_text(_json(_manifest(done)), encoding="utf-8")
            files = sorted(p.name for p in folder.iterdir() if p.is_file())
            (folder / "index.html").write_text(
                index_page(done, names, places, files), encoding="utf-8"
            )

    replace_folder(done.folder, write)
    return begun[0]


def write_feed(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write the tables of the history for dashboards, each as Parquet and as CSV.

    Parameters
    ----------
    tables : mapping of str to DataFrame
    folder : Path
        Replaced as a whole.
    """

    def write(fresh: Path) -> None:
        write_tables(tables, fresh, "parquet")
        write_tables({name: as_csv_text(table) for name, table in tables.items()}, fresh, "csv")

    replace_folder(folder, write)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _write_kpi(
    k: KpiReview, folder: Path, name: str, actions: Sequence[Action], config: ReviewConfig
) -> str:
    """Write the files of one KPI and return its name."""
    from attribution.plots import save
    from attribution.plots.waterfall import waterfall

    shown, wanted = k.shown, config.output
    if shown is None:
        return k.kpi.name
    with config.theme.drawn():
        if wanted.charts:
            drawn = waterfall(shown.bridge)
            for suffix in _PICTURES:
                save(drawn, folder / "charts" / f"{name}-bridge.{suffix}")
        if wanted.html:
            write_pages(k, folder, name, actions)
        if wanted.xlsx:
            excel_file(shown, folder / "kpis" / f"{name}.xlsx")
        if wanted.tidy:
            tidy = folder / "tidy" / name
            tidy.mkdir(parents=True, exist_ok=True)
            tidy_files(shown, tidy)
    return k.kpi.name


def _write_cards(done: Reviewed, folder: Path) -> dict[str, str]:
    """Write the pages of the scorecards and return where each is."""
    if not done.config.output.html:
        return {}
    places = {}
    for name, place in _slugs(card.name for card in done.cards).items():
        section = next(card.section for card in done.cards if card.name == name)
        if section is not None:
            places[name] = f"scorecards/{place}.html"
            title = f"{done.config.review.title}, {done.period}: {name}"
            write_page([section], folder / places[name], title)
    return places


def _write_tidy_cards(cards: Sequence[CardReview], folder: Path) -> None:
    """Write the rows of all scorecards, as in the history, below each other."""
    import pandas as pd

    answered = [card.tables for card in cards if card.tables]
    if not answered:
        return
    tables = {
        name: pd.concat([x[name] for x in answered], ignore_index=True) for name in CARD_TABLES
    }
    write_tables(tables, folder, "parquet")
    write_tables({name: as_csv_text(table) for name, table in tables.items()}, folder, "csv")


def _manifest(done: Reviewed) -> dict[str, Any]:
    """Everything that the folder depends on, and how far parts are from their totals."""
    from attribution import __version__

    residuals = {
        k.kpi.name: max(
            abs(float(c.change.effects["estimate"].sum()) - c.change.total.change)
            for c in k.compared
            if c.change is not None
        )
        for k in done.kpis
        if k.main is not None
    }
    return {
        "version": __version__,
        "period": done.period,
        "seed": done.config.review.seed,
        "inputs": list(done.inputs),
        "residuals": {name: float(f"{x:.1g}") for name, x in residuals.items()},
        # As written in the file: variables of the environment by their names.
        "config": _nameless(concealed(done.config.model_dump(mode="json"), done.config), done),
    }


def _nameless(config: dict[str, Any], done: Reviewed) -> dict[str, Any]:
    """The configuration without the people whom its conditions, SQL, levels and targets name."""
    privacy = privacy_of(done.config)
    if privacy.people == "names":
        return config
    # The columns of people are told one by one: `columns` may name some that are not asked about.
    people = set(privacy.columns) if privacy.columns else None

    def of_people(column: str) -> bool:
        return column in people if people is not None else bool(Privacy().people_in([column]))

    def without(value: Any) -> Any:
        if isinstance(value, list):
            return [without(x) for x in value]
        if not isinstance(value, dict):
            return value
        found = {key: without(x) for key, x in value.items()}
        if isinstance(found.get("where"), str):
            found |= without_people({"where": found["where"]}, privacy)
        for key in ("data", "query"):
            text = found.get(key)
            if isinstance(text, str) and _STATEMENT.match(text):
                found[key] = without_people({"source": "sql", "name": text}, privacy)["name"]
        return found

    config = without(config)
    for column, dimension in (config.get("dimensions") or {}).items():
        if of_people(column) and dimension.get("mapping"):
            dimension["mapping"] = {}
    for card in (config.get("scorecards") or {}).values():
        columns = [card["entity"]] if isinstance(card["entity"], str) else card["entity"]
        if any(map(of_people, columns)) and isinstance(card.get("target"), dict):
            card["target"] = f"{len(card['target'])} of them"
    return config
