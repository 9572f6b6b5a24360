"""Right-to-left text in sentences: isolated, so that it turns no sign or number beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["isolated"]

_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]"
# From the first to the last letter of a run; in between no letter that is written to the right.
_RUN = re.compile(rf"{_LETTER}(?:[^A-Za-z\u00c0-\u058f\u0900-\ufb1c]*{_LETTER})*")


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
