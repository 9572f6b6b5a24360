"""Native tables whose text fits: columns as wide as they need, rows as high as their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attribution.plots.theme import Theme
from attribution.reports.deck.charts import describe
from attribution.reports.deck.page import Area, Slide, write_text
from attribution.reports.textfit import LINE_HEIGHT, clean, fitted, lines_of

__all__ = ["table"]

_PAD = 5.0


def table(
    slide: Slide,
    area: Area,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    parts: Sequence[float],
    *,
    right: Sequence[int] = (),
    size: float = 11,
    lines: int = 1,
    fills: Mapping[tuple[int, int], str] | None = None,
    alternative: str,
) -> int:
    """Write a table, as many rows as there is room for.

    Parameters
    ----------
    slide : Slide
    area : Area
    header : sequence of str
    rows : sequence of sequences of str
    parts : sequence of float
        The part of the width that each column gets.
    right : sequence of int
        Columns of numbers.
    size : float
        Of the text, in points.
    lines : int
        The most lines a cell may take; longer text loses its middle.
    fills : mapping, optional
        (row, column) -> the color of a cell.
    alternative : str

    Returns
    -------
    int
        How many rows were written.
    """
    from pptx.util import Pt

    widths = [area.width * x / sum(parts) for x in parts]
    heads = [fitted(x, w - 2 * _PAD, size, True, 2) for x, w in zip(header, widths, strict=True)]
    head_height = _height(heads, widths, size, True)
    kept: list[tuple[list[str], float]] = []
    used = head_height
    for row in rows:
        texts = [
            fitted(x, w - 2 * _PAD, size, lines=lines) for x, w in zip(row, widths, strict=True)
        ]
        height = _height(texts, widths, size, False)
        if used + height > area.height:
            break
        kept.append((texts, height))
        used += height
    place = Area(area.left, area.top, area.width, used)
    frame = slide.page.shapes.add_table(len(kept) + 1, len(header), *place.emu)
    frame.name = "Table"
    describe(frame, alternative)
    grid = frame.table
    grid.horz_banding, grid.first_row = False, True
    for j, width in enumerate(widths):
        grid.columns[j].width = Pt(width)
    for i, (texts, height) in enumerate([(heads, head_height), *kept]):
        grid.rows[i].height = Pt(height)
        for j, text in enumerate(texts):
            fill = (fills or {}).get((i - 1, j))
            _cell(grid.cell(i, j), text, size, i == 0, "right" if j in right else "left", fill)
    return len(kept)


def _height(texts: Sequence[str], widths: Sequence[float], size: float, bold: bool) -> float:
    deep = max(
        len(lines_of(x, w - 2 * _PAD, size, bold)) for x, w in zip(texts, widths, strict=True)
    )
    return deep * LINE_HEIGHT * size + 2 * 3.5


def _cell(cell: Any, text: str, size: float, head: bool, align: str, fill: str | None) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.text import MSO_ANCHOR
    from pptx.util import Pt

    theme = Theme.in_use()
    cell.margin_left = cell.margin_right = Pt(_PAD)
    cell.margin_top = cell.margin_bottom = Pt(3)
    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    cell.fill.solid()
    ground = theme.tint(theme.quiet, 0.15) if head else fill or theme.paper
    cell.fill.fore_color.rgb = RGBColor.from_string(ground.lstrip("#"))
    ink = theme.ink if fill is None else theme.on(fill)
    write_text(cell.text_frame, [clean(text)], size=size, bold=head, color=ink, align=align)
