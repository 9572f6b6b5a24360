"""Sections as one HTML page: no network, works without scripts, follows the reader's dark mode."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attribution.bridge import Bridge
from attribution.isolated import isolated
from attribution.plots.page import save
from attribution.plots.theme import Theme
from attribution.reports.files import PAGE, write_file
from attribution.reports.html import colors_of, shortened_label, written_value
from attribution.reports.sections.section import Picture, Section, Table, written
from attribution.reports.svg import waterfall_svg

__all__ = ["write_page"]

_DPI = 110


def write_page(sections: Sequence[Section], path: str | Path, title: str | None) -> Path:
    """Write the page; see `attribution.reports.sections.write_html`."""
    text = _page(sections, title or sections[0].message)

    def write(fresh: Path) -> None:
        fresh.write_text(text, encoding="utf-8", newline="\n")

    return write_file(path, write, suffixes=PAGE)


def _page(sections: Sequence[Section], title: str) -> str:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("attribution.reports", "."),
                PackageLoader("attribution.reports.sections", "."),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["isolated"] = isolated
    theme = Theme.in_use()
    return environment.get_template("sections.html.j2").render(
        title=title,
        sections=[_content(section, i) for i, section in enumerate(sections)],
        colors=colors_of(theme),
        dark=colors_of(theme.dark()),
        shorten=shortened_label,
    )


def _content(section: Section, i: int) -> dict[str, Any]:
    return {
        "id": f"part-{i}",
        "name": section.name,
        "message": section.message,
        "subtitle": section.subtitle,
        "tiles": section.tiles,
        "pictures": [_picture(p, f"p{i}-{j}") for j, p in enumerate(section.pictures)],
        "tables": [_table(t, f"table-{i}-{j}") for j, t in enumerate(section.tables)],
        "notes": section.notes,
        "findings": section.findings,
        "withheld": section.withheld,
        "provenance": [(k, written_value(v)) for k, v in section.provenance.items()],
    }


def _picture(picture: Picture, name: str) -> dict[str, Any]:
    from markupsafe import Markup

    if isinstance(picture.subject, Bridge):
        drawn = Markup(waterfall_svg(picture.subject, name))
        return {"drawn": drawn, "light": "", "dark": "", "words": picture.alternative}
    theme = Theme.in_use()
    return {
        "drawn": "",
        "light": _embedded(picture, theme),
        "dark": _embedded(picture, theme.dark()),
        "words": picture.alternative,
    }


def _embedded(picture: Picture, theme: Theme) -> str:
    """The picture in one theme as an address that holds it; "" without one."""
    if picture.draw is None:
        return ""
    kind, media = (".png", "image/png") if picture.dense else (".svg", "image/svg+xml")
    with tempfile.TemporaryDirectory() as folder:
        # Message and small print stand on the page.
        file = save(
            picture.draw(replace(theme, style="plain")), Path(folder) / f"picture{kind}", dpi=_DPI
        )
        return f"data:{media};base64,{base64.b64encode(file.read_bytes()).decode()}"


def _table(table: Table, name: str) -> dict[str, Any]:
    columns = table.on("page")
    rows = []
    for row in table.rows[: table.most]:
        cells = [written(c, row, table.format) for c in columns]
        rows.append(
            [
                {
                    "text": cell.text,
                    "key": f"{cell.value:.6g}" if cell.value == cell.value else "",
                    "tone": cell.tone,
                    "left": column.kind in ("text", "word"),
                }
                for column, cell in zip(columns, cells, strict=True)
            ]
        )
    return {
        "id": name,
        "name": table.name,
        "title": table.title,
        "heat": any(c.kind == "tile" for c in columns),
        "header": [(c.title, c.kind in ("text", "word")) for c in columns],
        "rows": rows,
        "more": max(len(table.rows) - table.most, 0),
    }
