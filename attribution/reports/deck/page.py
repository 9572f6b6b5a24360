"""A slide: its message as title, lines below it, the area that is left; templates and layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution.errors import OptionError, listing, nearest
from attribution.isolated import marked
from attribution.plots.theme import Theme
from attribution.reports.textfit import clean, fitted, largest_size

__all__ = ["Area", "Deck", "Slide", "open_deck", "write_text"]

POINTS = 12_700  # EMU, the unit of PowerPoint, in a point
# Widescreen, 16:9, in points.
_WIDTH, _HEIGHT = 960.0, 540.0
_EDGE, _GAP = 28.0, 8.0
_TITLE_SIZES, _LEAST_TITLE = (28, 26, 24, 22, 20, 18), 52.0
_FOOT = 10.0
_DEFAULT_LAYOUT = "Title Only"


@dataclass(frozen=True)
class Area:
    """A rectangle on a slide, in points."""

    left: float
    top: float
    width: float
    height: float

    @property
    def emu(self) -> tuple[int, int, int, int]:
        """Left, top, width, height as PowerPoint counts."""
        return tuple(round(x * POINTS) for x in (self.left, self.top, self.width, self.height))  # pyright: ignore[reportReturnType]

    def columns(self, part: float, gap: float = 20.0) -> tuple[Area, Area]:
        """Return the left part of the area and the rest."""
        left = (self.width - gap) * part
        return (
            Area(self.left, self.top, left, self.height),
            Area(self.left + left + gap, self.top, self.width - gap - left, self.height),
        )


@dataclass(frozen=True)
class Slide:
    """One slide: what is on it so far, and the area for what comes."""

    page: Any
    area: Area

    def note(self, text: str) -> None:
        """Write the speaker notes."""
        lines = (clean(line) for line in text.split("\n"))
        self.page.notes_slide.notes_text_frame.text = "\n".join(lines)


@dataclass(frozen=True)
class Deck:
    """A presentation that slides are added to; `own` if it has no template of a company."""

    presentation: Any
    layout: Any
    own: bool = False

    def slide(self, message: str, subtitle: str, notes: Sequence[str]) -> Slide:
        """Add a slide.

        Parameters
        ----------
        message : str
            A sentence, with its number.
        subtitle : str
            What in which unit, when.
        notes : sequence of str
            The lines at the foot: source, n, method.
        """
        page = self.presentation.slides.add_slide(self.layout)
        width, height = (
            x / POINTS for x in (self.presentation.slide_width, self.presentation.slide_height)
        )
        title = page.shapes.title
        place = Area(*(x / POINTS for x in (title.left, title.top, title.width, title.height)))
        size, text = largest_size(
            message, place.width - 16, max(place.height - 8, _LEAST_TITLE), _TITLE_SIZES, bold=True
        )
        write_text(
            title.text_frame, [text], size=size, bold=True, align="left" if self.own else None
        )
        for shape in list(page.placeholders):
            if shape.placeholder_format.idx != title.placeholder_format.idx:
                shape._element.getparent().remove(shape._element)
        left, right = place.left, width - place.left - place.width
        side = max(_EDGE, min(left, right))
        inner, top = width - 2 * side, place.top + place.height
        box = Area(side, top, inner, 22)
        _text_box(page, box, [fitted(subtitle, inner - 14, 14)], 14, Theme.in_use().quiet)
        lines = [fitted(x, inner - 14, _FOOT) for x in notes if x][:4]
        depth = 1.25 * _FOOT * len(lines) + 6
        foot = Area(side, height - _EDGE / 2 - depth, inner, depth)
        if lines:
            _text_box(page, foot, lines, _FOOT, Theme.in_use().quiet)
        top += 22 + _GAP
        return Slide(page, Area(side, top, inner, foot.top - _GAP - top))


def open_deck(
    template: str | Path | None, append_to: str | Path | None, layout: str | None
) -> Deck:
    """Return the deck that slides go into.

    Parameters
    ----------
    template : path, optional
        A company's .pptx or .potx: its layouts are used, its slides are left out.
    append_to : path, optional
        A deck whose slides stay in front.
    layout : str, optional
        The name of the layout; "Title Only" by default.

    Returns
    -------
    Deck

    Raises
    ------
    OptionError
        Both are given, a file cannot be opened, or it has no such layout, or one without a title.
    """
    from pptx import Presentation

    if template is not None and append_to is not None:
        raise OptionError("append_to: a deck has its own layouts; leave template out.")
    given = ("template", template) if append_to is None else ("append_to", append_to)
    if given[1] is None:
        presentation = Presentation()
        _widen(presentation)
    else:
        presentation = _opened(*given)
    if template is not None:
        _without_slides(presentation)
    return Deck(presentation, _layout(presentation, layout, given[0]), given[1] is None)


def _opened(parameter: str, path: str | Path | None) -> Any:
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        return Presentation(str(path))
    except (PackageNotFoundError, OSError, KeyError, ValueError) as error:
        why = "is not there" if not Path(str(path)).exists() else "is not a PowerPoint file"
        raise OptionError(f"{parameter}: {str(path)!r} {why}. Name a .pptx.") from error


def _layout(presentation: Any, name: str | None, parameter: str) -> Any:
    """The layout of a name, in any of the masters."""
    layouts = [x for master in presentation.slide_masters for x in master.slide_layouts]
    named = {x.name: x for x in layouts}
    titled = [x.name for x in layouts if _has_title(x)]
    wanted = _DEFAULT_LAYOUT if name is None else name
    if wanted not in named:
        raise OptionError(
            f"layout: the {parameter} has no layout {wanted!r}.{nearest(wanted, titled)} "
            f"Layouts with a title: {listing(titled, most=40)}."
        )
    if wanted not in titled:
        raise OptionError(
            f"layout: {wanted!r} has no title, where the message goes. "
            f"Layouts with a title: {listing(titled, most=40)}."
        )
    return named[wanted]


def _has_title(layout: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    titles = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE)
    return any(x.placeholder_format.type in titles for x in layout.placeholders)


def _widen(presentation: Any) -> None:
    """Make python-pptx's own template, which is 4:3, widescreen, with a compact title."""
    from pptx.enum.shapes import PP_PLACEHOLDER
    from pptx.enum.text import MSO_ANCHOR

    factor = _WIDTH * POINTS / presentation.slide_width
    presentation.slide_width, presentation.slide_height = (
        round(x * POINTS) for x in (_WIDTH, _HEIGHT)
    )
    master = presentation.slide_master
    for holder in [master, *master.slide_layouts]:
        for shape in holder.placeholders:
            # What inherits its place has none of its own to widen.
            if shape._element.spPr.xfrm is not None:
                shape.left, shape.width = round(shape.left * factor), round(shape.width * factor)
    for holder in [master, *(x for x in master.slide_layouts if x.name == _DEFAULT_LAYOUT)]:
        for shape in holder.placeholders:
            if shape.placeholder_format.type == PP_PLACEHOLDER.TITLE:
                place = Area(_EDGE, 20, _WIDTH - 2 * _EDGE, 70)
                shape.left, shape.top, shape.width, shape.height = place.emu
                shape.text_frame.vertical_anchor = MSO_ANCHOR.BOTTOM


def _without_slides(presentation: Any) -> None:
    """Take out a template's sample slides: a part that nothing refers to is not saved."""
    ids = presentation.slides._sldIdLst
    for entry in list(ids):
        presentation.part.drop_rel(entry.rId)
        ids.remove(entry)


def _text_box(page: Any, area: Area, lines: Sequence[str], size: float, color: str) -> None:
    box = page.shapes.add_textbox(*area.emu)
    box.name = "Text: " + (lines[0][:40] if lines else "")
    write_text(box.text_frame, lines, size=size, color=color)


def write_text(
    frame: Any,
    lines: Sequence[str],
    *,
    size: float,
    bold: bool = False,
    color: str | None = None,
    align: str | None = None,
) -> None:
    """Write lines into a text frame, in the template's font.

    Parameters
    ----------
    frame : pptx text frame
    lines : sequence of str
    size : float
        In points.
    bold : bool
    color : str, optional
        The template's by default.
    align : {"left", "right", "center"}, optional
    """
    from pptx.dml.color import RGBColor
    from pptx.enum.text import PP_ALIGN
    from pptx.util import Pt

    frame.word_wrap = True
    for i, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
        run = paragraph.add_run()
        run.text = marked(clean(line))
        run.font.size, run.font.bold = Pt(size), bold
        if color is not None:
            run.font.color.rgb = RGBColor.from_string(color.lstrip("#"))
        if align is not None:
            paragraph.alignment = getattr(PP_ALIGN, align.upper())
