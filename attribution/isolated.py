"""Right-to-left text in sentences: isolated, so that it turns no sign or number beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["isolated", "marked"]

# As in `labels`: modules of this layer do not import each other.
LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"

_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]"
# From the first to the last letter of a run; in between no letter that is written to the right, but
# the ellipsis of a shortened name.
_RUN = re.compile(rf"{_LETTER}(?:[^A-Za-z\u00c0-\u058f\u0900-\u2025\u2027-\ufb1c]*{_LETTER})*")

# "Spam 25" in Arabic: the number belongs to the name, and stands on its left.
_NUMBERED = re.compile(r"\s\d+$")


def isolated(text: object) -> Markup:
    """Return a text as HTML with each run of right-to-left letters in a `bdi` of its own.

    Examples
    --------
    >>> print(isolated("Located in \u0628\u062b: \u22120.10 pp, a < b"))
    Located in <bdi>\u0628\u062b</bdi>: \u22120.10 pp, a &lt; b
    """
    from markupsafe import Markup, escape

    if isinstance(text, Markup):
        return text
    shown, found, end = str(text), Markup(""), 0
    for run in _RUN.finditer(shown):
        found += escape(shown[end : run.start()]) + Markup("<bdi>") + escape(run.group())
        found += Markup("</bdi>")
        end = run.end()
    return found + escape(shown[end:])


def marked(text: str) -> str:
    """Return plain text whose runs of right-to-left letters end in a mark of direction.

    For what has no `bdi`, pictures and slides. A sentence that begins with such a run begins with
    a mark, since its first letter would turn all of it; a name by itself stays as it is.

    Examples
    --------
    >>> marked("In \u0628: +1") == "In \u0628\u200e: +1"
    True
    >>> marked("\u0628\u2026\u062b 25") == "\u0628\u2026\u062b 25"
    True
    >>> marked("\u0628 fell") == "\u200e\u0628\u200e fell", marked("\u0628 25") == "\u0628 25"
    (True, True)
    """
    found, end = "", 0
    for run in _RUN.finditer(text):
        rest = text[run.end() :]
        if rest and not _NUMBERED.fullmatch(rest) and not rest.startswith(LEFT_TO_RIGHT):
            found += text[end : run.end()] + LEFT_TO_RIGHT
            end = run.end()
    found += text[end:]
    return LEFT_TO_RIGHT + found if end and _RUN.match(text) else found
