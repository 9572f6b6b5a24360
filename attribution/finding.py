"""A finding: what a reader should know of an answer, as every `check()` and report lists it."""

from __future__ import annotations

from typing import Any

__all__ = ["finding"]


def finding(code: str, severity: str, message: str, **facts: Any) -> dict[str, Any]:
    """Return one finding: what is the case, how grave it is, and the figures its message quotes.

    Parameters
    ----------
    code : str
        What is the case, for programs.
    severity : {"ok", "info", "warning"}
    message : str
        The same for readers, and what to do.
    **facts
        The figures of the message.

    Returns
    -------
    dict
    """
    return {"code": code, "severity": severity, "message": message, "facts": facts}
