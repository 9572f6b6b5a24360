"""Passwords and keys are taken out of whatever is shown: errors, provenance, kept SQL."""

from __future__ import annotations

import re

__all__ = ["redacted"]

_USER = re.compile(r"(\b[\w+.-]+://[^\s:/@'\"]*):[^\s'\"]+@")
_NAMED = re.compile(
    r"\b(\w*(?:password|passwd|pwd|secret|token|api_?key|access_?key)\w*)"
    r"(\s*(?:=>|:=|=|:)\s*|\s+(?='))"
    r"('(?:[^']|'')*'|\"[^\"]*\"|[^\s;&,)'\"]+)",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return a text without the passwords in its addresses and connection settings.

    Examples
    --------
    >>> redacted("postgresql://ops:hunter2@db.example/reviews")
    'postgresql://ops:***@db.example/reviews'
    >>> redacted("host=db.example password=hunter2 dbname=reviews")
    'host=db.example password=*** dbname=reviews'
    """
    return _NAMED.sub(r"\1\2***", _USER.sub(r"\1:***@", text))
