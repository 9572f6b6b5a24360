"""Sentences that know where their numbers come from, and texts made of them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Cell", "Narrative", "Section", "Sentence", "Words", "joined", "sentence", "written"]


class Cell(NamedTuple):
    """One number of a sentence: where it stands, what it is, how it is written.

    Attributes
    ----------
    table : str
        "total", "effects", "levels:queue", "findings", "causes" ...
    rows : tuple of int
        Its row in that table; several for their sum.
    column : str
    value : float
        In the units of the table.
    shown : str
        As it stands in the sentence. Parts of a sum are rounded so that they add up, so the last
        digit can be one off.
    """

    table: str
    rows: tuple[int, ...]
    column: str
    value: float
    shown: str

    def __str__(self) -> str:
        return self.shown


# What a sentence is put together from.
Words = str | Cell | Sequence["Words"]


@dataclass(frozen=True)
class Sentence:
    """A sentence and the cells its numbers come from.

    Attributes
    ----------
    text : str
    cells : tuple of Cell
    """

    text: str
    cells: tuple[Cell, ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Section:
    """Sentences under a heading: one paragraph, or a list with an item for each.

    Attributes
    ----------
    title : str
    sentences : tuple of Sentence
    listed : bool
    """

    title: str
    sentences: tuple[Sentence, ...]
    listed: bool = False


class Narrative(str):
    """A text whose numbers can be traced; it is the text itself.

    Attributes
    ----------
    sections : tuple of Section
    """

    __slots__ = ("sections",)
    sections: tuple[Section, ...]

    def __new__(cls, text: str, sections: tuple[Section, ...]) -> Narrative:  # noqa: PYI034
        made = super().__new__(cls, text)
        made.sections = sections
        return made

    def __getnewargs__(self) -> tuple[str, tuple[Section, ...]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return str(self), self.sections

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """All sentences in order, each with the cells of its numbers."""
        return tuple(s for section in self.sections for s in section.sentences)

    def _repr_html_(self) -> str:
        return written(self.sections, "html")


def sentence(*words: Words) -> Sentence:
    """Put a sentence together and keep its cells.

    Examples
    --------
    >>> mix = Cell("effects", (0,), "estimate", -0.012, "−1.2 pp")
    >>> made = sentence("Mix moved it by ", mix, ".")
    >>> made.text, made.cells[0].rows
    ('Mix moved it by −1.2 pp.', (0,))
    """
    parts = list(_flat(words))
    return Sentence("".join(map(str, parts)), tuple(x for x in parts if isinstance(x, Cell)))


def joined(items: Sequence[Words], last: str = " and ") -> list[Words]:
    """List items in words: "a, b and c"."""
    made: list[Words] = []
    for i, item in enumerate(items):
        made += [item] if i == 0 else [last if i == len(items) - 1 else ", ", item]
    return made


def _flat(words: Words):
    if isinstance(words, str | Cell):
        yield words
        return
    for part in words:
        yield from _flat(part)


def written(sections: Sequence[Section], format: str) -> str:
    """Write sections as "text", "markdown" or "html"; what data bring along is shown as it is.

    A section without a title is a paragraph.
    """
    write = {"text": _text, "markdown": _markdown, "html": _html}[format]
    return {"html": "\n"}.get(format, "\n\n").join(write(s) for s in sections if s.sentences)


def _text(section: Section) -> str:
    title = [section.title] if section.title else []
    if section.listed:
        return "\n".join([*title, *(f"- {s}" for s in section.sentences)])
    return "\n".join([*title, " ".join(map(str, section.sentences))])


def _markdown(section: Section) -> str:
    title = [f"## {section.title}"] if section.title else []
    shown = [_escaped(s.text) for s in section.sentences]
    if section.listed:
        return "\n\n".join([*title, "\n".join(f"- {s}" for s in shown)])
    return "\n\n".join([*title, " ".join(shown)])


def _escaped(text: str) -> str:
    """Escape what Markdown would take for markup; an underscore inside a word is none."""
    text = re.sub(r"([\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w))", r"\\\1", text.replace("&", "&amp;"))
    return re.sub(r"^(#|[+-](?=\s)|\d+(?=[.)]\s))", r"\\\1", text)


def _html(section: Section) -> str:
    title = f"<h3>{html.escape(section.title)}</h3>" if section.title else ""
    shown = [html.escape(s.text) for s in section.sentences]
    if section.listed:
        return f"{title}<ul>{''.join(f'<li>{s}</li>' for s in shown)}</ul>"
    return f"{title}<p>{' '.join(shown)}</p>"
