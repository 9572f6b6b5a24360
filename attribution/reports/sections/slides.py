"""Sections as slides: native charts and tables that can be edited, the numbers in the notes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attribution.bridge import Bridge
from attribution.plots.funnel import Funnel
from attribution.plots.theme import Theme
from attribution.reports.deck.charts import funnel_chart, waterfall_chart
from attribution.reports.deck.page import Deck, open_deck
from attribution.reports.deck.slides import quality_slide
from attribution.reports.deck.table import table
from attribution.reports.pptx import describe_deck, save_deck
from attribution.reports.sections.section import Column, Picture, Section, Table, Tile, written

__all__ = ["add_slides", "write_slides"]

# Rows on slides, and how many slides a table goes on for.
_MOST_ROWS, _MOST_SLIDES = 200, 3
# Columns of a slide that can be read.
_MOST_COLUMNS = 14


def write_slides(
    sections: Sequence[Section],
    path: str | Path,
    title: str | None,
    *,
    template: str | Path | None = None,
    append_to: str | Path | None = None,
    layout: str | None = None,
) -> Path:
    """Write the deck; see `attribution.reports.sections.write_pptx`."""
    deck = open_deck(template, append_to, layout)
    if append_to is None:
        describe_deck(deck, title or sections[0].message)
    add_slides(deck, sections)
    return save_deck(deck, path)


def add_slides(deck: Deck, sections: Sequence[Section]) -> None:
    """Add the slides of sections to a deck.

    Parameters
    ----------
    deck : Deck
    sections : sequence of Section
    """
    for section in sections:
        for picture in section.pictures:
            _picture_slide(deck, section, picture)
        for one in section.tables:
            if one.message:
                _table_slide(deck, section, one)
        if section.findings:
            quality_slide(deck, section.findings, section.subtitle, section.withheld)


def _picture_slide(deck: Deck, section: Section, picture: Picture) -> None:
    if picture.subject is None:
        return
    slide = deck.slide(picture.message, section.subtitle, section.notes)
    if isinstance(picture.subject, Bridge):
        waterfall_chart(slide, slide.area, picture.subject)
    elif isinstance(picture.subject, Funnel):
        funnel_chart(slide, slide.area, picture.subject, picture.alternative)
    tiles = [
        f"{label}: {value} ({beside})".replace(" ()", "") for label, value, beside in section.tiles
    ]
    slide.note("\n".join([f"{picture.message}.", *tiles, picture.alternative, *section.notes]))


def _table_slide(deck: Deck, section: Section, one: Table) -> None:
    """The table on as many slides as it takes, up to three; the workbook has the rest."""
    theme = Theme.in_use()
    columns = one.on("page")[:_MOST_COLUMNS]
    cells = [[written(c, row, one.format) for c in columns] for row in one.rows[:_MOST_ROWS]]
    right = [j for j, c in enumerate(columns) if c.kind not in ("text", "word")]
    done = 0
    for number in range(1, _MOST_SLIDES + 1):
        rest = cells[done:]
        fills = {
            (i, j): theme.tint(theme.good if cell.tone == "better" else theme.bad, 0.55)
            for i, row in enumerate(rest)
            for j, cell in enumerate(row)
            if cell.tone
        }
        again = f" ({number})" if number > 1 else ""
        whole = f"{len(one.rows):,} rows; the workbook has all of them."
        notes = [*section.notes, *([whole] if number == _MOST_SLIDES else [])]
        slide = deck.slide(f"{one.message}{again}", section.subtitle, [one.title, *notes])
        count = table(
            slide,
            slide.area,
            [c.title for c in columns],
            [[cell.text for cell in row] for row in rest],
            [c.width for c in columns],
            right=right,
            size=11 if len(columns) <= 9 else 9,
            lines=2,
            fills=fills,
            alternative=one.title,
        )
        said = _words(columns, rest[:count])
        slide.note("\n".join([f"{one.message}.", one.title, *said]))
        done += count
        if done >= len(cells) or not count:
            break


def _words(columns: Sequence[Column], cells: Sequence[Sequence[Tile]]) -> list[str]:
    """The rows as sentences, for the speaker notes."""
    return [
        f"{row[0].text}: "
        + ", ".join(
            f"{c.title} {cell.text}"
            for c, cell in zip(columns[1:], row[1:], strict=True)
            if cell.text
        )
        + "."
        for row in cells
    ]
