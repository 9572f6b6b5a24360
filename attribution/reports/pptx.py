"""The deck: one slide per question, native charts and tables, numbers and caveats in the notes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution.privacy import Privacy, Shown, protect
from attribution.reports.deck.page import Deck, open_deck
from attribution.reports.deck.slides import (
    bridge_slide,
    causes_slide,
    findings_slide,
    mix_slides,
    trend_slide,
)
from attribution.reports.files import DECK, repeatable, write_file

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["describe_deck", "new_deck", "pptx_file", "save_deck", "write_pptx"]


def write_pptx(
    change: Attribution,
    path: str | Path,
    *,
    template: str | Path | None = None,
    append_to: str | Path | None = None,
    layout: str | None = None,
    trend: Any = None,
    privacy: Privacy | None = None,
) -> Path:
    """Write a deck of native, editable charts and tables: bridge, mix, levels, causes, findings.

    Parameters
    ----------
    change : Attribution
    path : str or Path
    template : str or Path, optional
        A company's .pptx: its layouts and look are used, its sample slides are left out.
    append_to : str or Path, optional
        A deck whose slides stay in front of the new ones.
    layout : str, optional
        The name of the layout; "Title Only" by default. It needs a title.
    trend : Trend, optional
        A result of `attribution.trend`, for a slide of the KPI over time.
    privacy : Privacy, optional
        Who may be seen; people are hidden by default.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written; template and deck at once; no such layout: the message lists
        those that are there.
    """
    shown = protect(change, privacy)
    return pptx_file(
        shown, path, template=template, append_to=append_to, layout=layout, trend=trend
    )


def pptx_file(
    shown: Shown,
    path: str | Path,
    *,
    template: str | Path | None = None,
    append_to: str | Path | None = None,
    layout: str | None = None,
    trend: Any = None,
) -> Path:
    """Write the deck of what may be shown; see `write_pptx`."""
    deck = open_deck(template, append_to, layout)
    if append_to is None:
        describe_deck(deck, shown.bridge.message)
    _add(deck, shown, trend)
    return save_deck(deck, path)


def new_deck(title: str, template: str | Path | None) -> Deck:
    """Return a deck without slides, for whoever puts together their own.

    Parameters
    ----------
    title : str
        Of the file.
    template : str or Path or None
        A company's .pptx, as in `write_pptx`.

    Returns
    -------
    Deck

    Raises
    ------
    OptionError
        As in `write_pptx`.
    """
    deck = open_deck(template, None, None)
    describe_deck(deck, title)
    return deck


def save_deck(deck: Deck, path: str | Path) -> Path:
    """Write a deck; the same slides give the same bytes.

    Parameters
    ----------
    deck : Deck
    path : str or Path

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    return write_file(path, lambda fresh: _save(deck, fresh), suffixes=DECK)


def _add(deck: Deck, shown: Shown, trend: Any) -> None:
    bridge_slide(deck, shown)
    mix_slides(deck, shown)
    causes_slide(deck, shown)
    if trend is not None:
        trend_slide(deck, shown, trend)
    findings_slide(deck, shown)


def describe_deck(deck: Deck, title: str) -> None:
    """Set the title and author of a file."""
    properties = deck.presentation.core_properties
    properties.title, properties.author = title[:255], "kpi-attribution"
    properties.last_modified_by, properties.revision = "", 1


def _save(deck: Deck, path: Path) -> None:
    held = io.BytesIO()
    deck.presentation.save(held)
    path.write_bytes(repeatable(held.getvalue()))
