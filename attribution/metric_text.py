"""Metrics written as text: "correct / reviewed", "mean(seconds)", "quantile(minutes, 0.9)"."""

from __future__ import annotations

import re
from collections.abc import Callable

from attribution.errors import ColumnTypeError, OptionError
from attribution.functions import Total
from attribution.metrics import Mean, Metric, Quantile, Rate, Ratio

__all__ = ["as_metric", "called", "outside_split"]


def as_metric(metric: Metric | str) -> Metric:
    """Return a metric from a metric or its text form.

    Parameters
    ----------
    metric : Metric or str
        A metric object, ``"correct / reviewed"`` (a `Rate`), ``"ratio(a / b)"`` (a `Ratio`),
        ``"mean(x)"`` (a `Mean`), ``"quantile(x, 0.9)"`` (a `Quantile`) or ``"total(x)"``
        (a `Total`).

    Returns
    -------
    Metric

    Raises
    ------
    OptionError
        The text is not a metric.

    Examples
    --------
    >>> as_metric("correct / reviewed")
    Rate(successes='correct', trials='reviewed', name=None, better='higher', unit=None)
    >>> as_metric("ratio(seconds / decisions)").denominator
    'decisions'
    >>> as_metric("mean(seconds)").label
    'mean(seconds)'
    >>> as_metric("quantile(seconds, 0.9)").label
    'p90 of seconds'
    """
    if isinstance(metric, Metric):
        return metric
    if not isinstance(metric, str):
        raise ColumnTypeError(
            f"metric: {metric!r} is not a metric. "
            "Allowed: at.Rate(...), at.Ratio(...), at.Mean(...), at.Total(...), at.Quantile(...), "
            "at.FunctionOfSums(...), at.Product(...) or text such as "
            "'correct / reviewed', 'mean(seconds)' or 'quantile(seconds, 0.9)'."
        )
    kind, inside = called(metric)
    if kind in _FORMS:
        return _FORMS[kind](inside, metric)
    return _of_two(Rate, metric, metric)


def called(text: str) -> tuple[str, str]:
    """Split "mean(seconds)" into "mean" and what is inside; ("", text) for anything else.

    Parameters
    ----------
    text : str

    Returns
    -------
    (str, str)
    """
    call = re.fullmatch(r"\s*([^\W\d]\w*)\s*\((.*)\)\s*", text, flags=re.DOTALL)
    if call is None or not _encloses(call.group(2)):
        return "", text
    return call.group(1), call.group(2).strip()


def _encloses(inside: str) -> bool:
    """Whether the parentheses around a text belong to each other: not those of "(a) / (b)"."""
    depth, quote = 0, ""
    for char in inside:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        else:
            depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            return False
    return True


def _of_two(kind: type[Rate | Ratio], inside: str, text: str) -> Metric:
    parts = outside_split(inside, "/")
    if len(parts) != 2 or not all(parts):
        raise OptionError(
            f"metric: {text!r} is not a ratio of two expressions. Write 'correct / reviewed' for "
            "successes out of trials, 'ratio(seconds / decisions)' for any other ratio of sums "
            "(parentheses around a part that divides), 'mean(seconds)' for a mean over rows, "
            "'total(seconds)' for a sum, or "
            "at.Rate('correct') where each row is one trial."
        )
    return kind(*parts)


def _of_one(kind: Callable[[str], Metric], name: str) -> Callable[[str, str], Metric]:
    def read(inside: str, text: str) -> Metric:
        if not inside:
            raise OptionError(
                f"metric: {text!r} names nothing. Write '{name}(seconds)' with a column or an "
                "expression."
            )
        return kind(inside)

    return read


def _quantile(inside: str, text: str) -> Metric:
    value, _, q = inside.rpartition(",")
    try:
        return Quantile(value.strip(), float(q))
    except (ValueError, TypeError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(
            f"metric: {text!r} is not a quantile. Write 'quantile(minutes, 0.9)': a column or an "
            "expression, and a number between 0 and 1."
        ) from None


# The text forms: what is written before the parenthesis, and how the inside is read.
_FORMS: dict[str, Callable[[str, str], Metric]] = {
    "ratio": lambda inside, text: _of_two(Ratio, inside, text),
    "mean": _of_one(Mean, "mean"),
    "quantile": _quantile,
    "total": _of_one(Total, "total"),
}


def outside_split(text: str, mark: str) -> list[str]:
    """Split a text at a mark outside of parentheses, quotes and backticks.

    Parameters
    ----------
    text : str
    mark : str
        One character.

    Returns
    -------
    list of str

    Examples
    --------
    >>> outside_split("total(a), mean(b, c)", ",")
    ['total(a)', 'mean(b, c)']
    """
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == mark and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [*parts, text[start:].strip()]
