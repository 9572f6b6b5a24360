"""The text of a linear hypothesis about the lines of a bridge, as matrices: R b = q.

"mix[tenure] = 0"                       one line
"mix[queue] + mix[tenure] = rate"       sums on both sides
"2 * rate = -0.01"                      coefficients; numbers in KPI units, -0.01 is -1 pp
"mix = 0"                               a bare effect is the sum of its lines
"entry[market: ID] = 0", "entry[ID] = 0"
"mix[queue] = 0, mix[tenure] = 0"       tested jointly
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from attribution.errors import ColumnTypeError, OptionError, listing, nearest

__all__ = ["LineKey", "line_name", "linear_test"]


class LineKey(NamedTuple):
    """A line of a bridge, as the columns of `Attribution.effects` name it."""

    effect: str
    dimension: str | None = None
    segment: str | None = None
    factor: str | None = None


_QUOTED = r"(?:'[^']*'|\"[^\"]*\")"
# Quotes count where a name begins: an apostrophe inside a name is a letter of it.
_INSIDE = rf"(?:(?:\s*{_QUOTED}\s*|[^\]'\":]*):)?\s*{_QUOTED}\s*|\s*{_QUOTED}\s*:[^\]]*|[^\]]*"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<effect>[^\W\d]\w*)(?:\s*\[(?P<inside>{_INSIDE})\])?
      | (?P<mark>[-+*=,−])
    )""",
    re.VERBOSE,
)
_PARTS = re.compile(
    rf"\s*(?:(?P<first>{_QUOTED}|[^:'\"][^:]*?)\s*:\s*)?(?P<last>{_QUOTED}|.*?)\s*", re.S
)

_HOW = "Write a hypothesis as in 'mix[tenure] = 0' or 'mix[queue] + mix[tenure] = rate'."


def line_name(line: tuple[Any, ...]) -> str:
    """Return how a hypothesis names a line.

    Parameters
    ----------
    line : LineKey
        Or a tuple of effect, dimension, segment.

    Returns
    -------
    str

    Examples
    --------
    >>> line_name(("mix", "tenure", None)), line_name(("entry", "market", "ID"))
    ('mix[tenure]', 'entry[market: ID]')
    >>> line_name(("mix", "tenure", None, "AHT"))
    'mix[AHT: tenure]'
    """
    effect, dimension, segment, factor = _key(line)
    parts = [_quoted(part) for part in (factor, dimension, segment) if part is not None]
    return f"{effect}[{': '.join(parts)}]" if parts else effect


def _key(line: tuple[Any, ...]) -> LineKey:
    """A line that may be given by effect, dimension and segment alone."""
    return LineKey(*line)


def linear_test(
    lines: Sequence[tuple[Any, ...]], text: str | Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return R and q of the hypotheses ``R b = q`` that a text states about lines b.

    Parameters
    ----------
    lines : sequence of LineKey
        The K lines, or tuples of effect, dimension, segment.
    text : str or sequence of str
        Hypotheses, separated by commas or one by one.

    Returns
    -------
    R : ndarray, shape (k, K)
        One row per hypothesis.
    q : ndarray, shape (k,)
        The right sides, KPI units.

    Raises
    ------
    OptionError, ColumnTypeError
        The text does not follow the grammar, names no line, or says nothing about the lines.

    Examples
    --------
    >>> lines = [("mix", "queue", None), ("mix", "tenure", None), ("rate", None, None)]
    >>> R, q = linear_test(lines, "mix[queue] = 2 * rate - 0.01, mix = 0")
    >>> R
    array([[ 1.,  0., -2.],
           [ 1.,  1.,  0.]])
    >>> q
    array([-0.01,  0.  ])
    """
    texts = [text] if isinstance(text, str) else text
    if not (isinstance(texts, list | tuple) and texts and all(isinstance(x, str) for x in texts)):
        raise ColumnTypeError(f"hypothesis: {text!r} is not text or a list of texts. {_HOW}")
    rows, sides, lines = [], [], [_key(line) for line in lines]
    for one in texts:
        for tokens in _split(_tokens(one), ",", one):
            row, constant = _hypothesis(lines, tokens, one)
            if not row.any():
                raise OptionError(
                    f"hypothesis: {one!r} says nothing about a line: its terms cancel. {_HOW}"
                )
            rows.append(row)
            sides.append(-constant)
    return np.array(rows), np.array(sides) + 0.0


def _hypothesis(
    lines: Sequence[LineKey], tokens: list[re.Match], text: str
) -> tuple[np.ndarray, float]:
    """Left minus right side: coefficients of the lines, and a constant."""
    sides = _split(tokens, "=", text)
    if len(sides) != 2:
        raise OptionError(f"hypothesis: {text!r} needs one '=' in each hypothesis. {_HOW}")
    (left, left_constant), (right, right_constant) = (_sum(lines, side, text) for side in sides)
    return left - right, left_constant - right_constant


def _sum(lines: Sequence[LineKey], tokens: list[re.Match], text: str) -> tuple[np.ndarray, float]:
    """A sum of terms: signs, then a number, an effect or number * effect."""
    row, constant, i = np.zeros(len(lines)), 0.0, 0
    while i < len(tokens):
        factor, signs = 1.0, 0
        while i < len(tokens) and tokens[i]["mark"] in ("+", "-", "−"):
            factor *= 1.0 if tokens[i]["mark"] == "+" else -1.0
            i, signs = i + 1, signs + 1
        if i > 0 and not signs:
            raise _unexpected(tokens[i], text)
        if i < len(tokens) and tokens[i]["number"]:
            factor *= float(tokens[i]["number"])
            i += 1
            if i == len(tokens) or tokens[i]["mark"] != "*":
                constant += factor
                continue
            i += 1
        if i == len(tokens):
            raise OptionError(f"hypothesis: {text!r} ends where a line should follow. {_HOW}")
        if not tokens[i]["effect"]:
            raise _unexpected(tokens[i], text)
        row[_matching(lines, tokens[i])] += factor
        i += 1
    return row, constant


def _matching(lines: Sequence[LineKey], token: re.Match) -> list[int]:
    """The lines that a name means: all of an effect, or the one in brackets."""
    effect, inside = token["effect"], token["inside"]
    found = [i for i, line in enumerate(lines) if line[0] == effect]
    if inside is not None:
        wanted = _unquoted(inside)
        found = [i for i in found if wanted in _spellings(lines[i])]
        if len(found) > 1:
            named = [line_name(lines[i]) for i in found]
            raise OptionError(
                f"hypothesis: {token[0].strip()!r} could be {listing(named, most=6)}. Name the "
                "dimension too."
            )
    if not found:
        names = [line_name(line) for line in lines]
        allowed = list(dict.fromkeys([*names, *(line[0] for line in lines)]))
        given = token[0].strip()
        raise OptionError(
            f"hypothesis: no line {given!r}.{nearest(given, allowed)} "
            f"Lines: {listing(names, most=20)}."
        )
    return found


def _spellings(line: LineKey) -> set[str]:
    """What may stand in the brackets of a line."""
    named = [x for x in (line.dimension, line.segment) if x is not None]
    if line.factor is not None:
        return {_tight(":".join([line.factor, *named])), _tight(line.factor)}
    if line.segment is None:
        return {_tight(x) for x in named}
    return {_tight(line.segment), _tight(":".join(named))}


def _unquoted(inside: str) -> str:
    parts = _PARTS.fullmatch(inside)
    given = [part for part in (parts.groups() if parts else (inside,)) if part is not None]
    return _tight(":".join(x[1:-1] if re.fullmatch(_QUOTED, x) else x for x in given))


def _tight(name: str) -> str:
    """The name with no spaces around it or its colons: "market: ID" and "market:ID" are one."""
    return re.sub(r"\s*:\s*", ":", name.strip())


def _quoted(name: str) -> str:
    if not re.search(r"[\]'\":]", name):
        return name
    return f'"{name}"' if "'" in name else f"'{name}'"


def _tokens(text: str) -> list[re.Match]:
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        token = _TOKEN.match(stripped, at)
        if token is None:
            rest = stripped[at:].strip()
            hint = "Two-sided tests only: one '='. " if rest[0] in "<>!" else ""
            raise OptionError(f"hypothesis: {text!r} is not understood at {rest!r}. {hint}{_HOW}")
        tokens.append(token)
        at = token.end()
    return tokens


def _split(tokens: list[re.Match], mark: str, text: str) -> list[list[re.Match]]:
    """The tokens between marks; none of the parts is empty."""
    parts: list[list[re.Match]] = [[]]
    for token in tokens:
        if token["mark"] == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    if not all(parts):
        where = f"beside {mark!r}" if len(parts) > 1 else "in it"
        raise OptionError(f"hypothesis: {text!r} has nothing {where}. {_HOW}")
    return parts


def _unexpected(token: re.Match, text: str) -> OptionError:
    return OptionError(
        f"hypothesis: {text!r} is not understood at {token[0].strip()!r}: signs stand between "
        f"terms, and a term is a number, a line, or number * line. {_HOW}"
    )
