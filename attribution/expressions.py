"""The one expression grammar of metrics and `where`: parsed, checked, translated per engine.

An exact column name always wins, whatever characters it holds. Everything else is an expression
over column names, numbers and strings with ``+ - * /``, comparisons, ``and or not in`` and
``None``; a column whose name is no identifier is quoted with backticks: ```is correct` == 1``. The
text is never passed on: `ast` makes it a small tree, and the tree is written out for the engine
with every identifier and literal quoted.

A null operand makes the result null, as in SQL, and so does dividing by zero. ``x == None``,
``x != None`` and ``x in [1, None]`` test for null.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attribution.errors import ColumnNotFoundError, ExpressionError, listing, nearest

__all__ = [
    "Binary",
    "Column",
    "Compare",
    "Expression",
    "In",
    "Literal",
    "Logical",
    "Not",
    "columns_of",
    "parse",
    "quote_identifier",
    "quote_literal",
    "to_sql",
]


@dataclass(frozen=True)
class Column:
    """A column of the table, by name."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A number, string, boolean or None.

    A string that is compared with dates has the type of a date, "DATE" or "TIMESTAMP".
    """

    value: int | float | str | bool | None
    type: str = ""


@dataclass(frozen=True)
class Binary:
    """Arithmetic: left op right, op in + - * /."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Compare:
    """A comparison: left op right, op in == != < <= > >=."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class In:
    """Membership of a value in a list of literals."""

    value: Expression
    options: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True)
class Logical:
    """Two or more conditions joined by "and" or "or"."""

    op: str
    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Not:
    """The negation of a condition."""

    part: Expression


Expression = Column | Literal | Binary | Compare | In | Logical | Not

_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISON = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "==", ast.IsNot: "!=",
}  # fmt: skip
# Far above what anyone writes by hand, far below what the engine's parser and Python's stack allow.
_MOST_LEVELS = 100
_GRAMMAR = (
    "Allowed: column names (in `backticks` where they hold spaces or signs), numbers, strings, "
    "None, + - * /, comparisons, and, or, not, in."
)


def parse(text: str, columns: Sequence[str], parameter: str = "expression") -> Expression:
    """Parse `text` into an expression over `columns`.

    Parameters
    ----------
    text : str
        A column name, or an expression over column names.
    columns : sequence of str
        The columns the table has.
    parameter : str
        Named in errors.

    Returns
    -------
    Expression

    Raises
    ------
    ExpressionError
        The text is not in the grammar.
    ColumnNotFoundError
        A name is no column; the nearest one is proposed.

    Examples
    --------
    >>> parse("tp + fp", ["tp", "fp"])
    Binary(op='+', left=Column(name='tp'), right=Column(name='fp'))
    >>> parse("is correct", ["is correct"])
    Column(name='is correct')
    """
    if text in columns:
        return Column(text)
    source, quoted = _unquote_backticks(text, parameter)
    try:
        with warnings.catch_warnings():
            # An odd backslash in a string is the user's text, not a mistake in a program.
            warnings.simplefilter("ignore")
            tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(
            f"{parameter}: {_shown(text)} is neither a column nor an expression."
            f"{_assigned(text) or nearest(text, columns)} {_GRAMMAR}"
        ) from error
    if _levels(tree) > _MOST_LEVELS:
        raise ExpressionError(
            f"{parameter}: {_shown(text)} is nested more than {_MOST_LEVELS} levels deep."
        )
    return _Translator(text, columns, parameter, quoted).translate(tree)


def _assigned(text: str) -> str:
    """Say how to compare, where a single sign of equality stands outside quotes."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "", text)
    single = re.search(r"(?<![=!<>])=(?!=)", bare)
    return " Write == to compare, as in \"market == 'ID'\"." if single else ""


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 100 else repr(text[:100]) + " ..."


def _levels(tree: ast.expr) -> int:
    """Count the levels of a tree without recursion, which it may be too deep for."""
    level, count = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        count += 1
    return count


def _unquote_backticks(text: str, parameter: str) -> tuple[str, dict[str, str]]:
    """Replace each `quoted name` outside string literals by an identifier that stands for it."""
    quoted: dict[str, str] = {}
    stem = "_quoted"
    while stem in text:
        stem += "_"

    def replace(match: re.Match) -> str:
        if match.group(1) is None:  # a string literal: leave it as it is
            return match.group(0)
        placeholder = f"{stem}_{len(quoted)}"
        quoted[placeholder] = match.group(1)
        return f" {placeholder} "

    strings = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    source = re.sub(rf"{strings}|`([^`]+)`", replace, text)
    bare = re.sub(strings, "", source)
    if "`" in bare:
        raise ExpressionError(f"{parameter}: a backtick in {_shown(text)} is not closed.")
    if "#" in bare:  # Python would take the rest for a comment
        raise ExpressionError(
            f"{parameter}: '#' in {_shown(text)} is not part of the grammar; a column with such a "
            "name is quoted with backticks."
        )
    return source, quoted


@dataclass(frozen=True)
class _Translator:
    """One parse: what the text was and which names it may use."""

    text: str
    columns: Sequence[str]
    parameter: str
    quoted: dict[str, str]

    def translate(self, node: ast.expr) -> Expression:
        match node:
            case ast.Name(id=name):
                return self.column(self.quoted.get(name, name))
            case ast.Constant(value=bool() | int() | float() | None as value):
                return Literal(value)
            case ast.Constant(value=str() as value) if value.isascii() or _encodable(value):
                return Literal(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return Literal(-value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Binary("-", Literal(0), self.operand(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.translate(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return Binary(_ARITHMETIC[type(op)], self.operand(left), self.operand(right))
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return Logical(name, tuple(self.translate(v) for v in values))
            case ast.Compare():
                return self.comparison(node)
        raise self.refuse(ast.unparse(node))

    def operand(self, node: ast.expr) -> Expression:
        """One side of an arithmetic operation: not a text, not None."""
        operand = self.translate(node)
        if isinstance(operand, Literal) and isinstance(operand.value, str | None):
            raise ExpressionError(
                f"{self.parameter}: {operand.value!r} in {_shown(self.text)} is not a number; "
                "+ - * / take numbers."
            )
        return operand

    def column(self, name: str) -> Column:
        if name not in self.columns:
            # Python composes the letters of names ("e" + accent), tables need not.
            same = [c for c in self.columns if unicodedata.normalize("NFKC", c) == name]
            if len(same) == 1:
                return Column(same[0])
            raise ColumnNotFoundError(
                f"{self.parameter}: no column {name!r} (in {_shown(self.text)})."
                f"{nearest(name, self.columns)} Columns: {listing(self.columns, most=30)}."
            )
        return Column(name)

    def comparison(self, node: ast.Compare) -> Expression:
        operands = [node.left, *node.comparators]
        parts: list[Expression] = []
        for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
            if isinstance(op, ast.In | ast.NotIn):
                parts.append(
                    In(self.translate(left), self.options(right), isinstance(op, ast.NotIn))
                )
            elif type(op) in _COMPARISON:
                name = _COMPARISON[type(op)]
                parts.append(self.compared(name, self.translate(left), self.translate(right)))
        return parts[0] if len(parts) == 1 else Logical("and", tuple(parts))

    def compared(self, op: str, left: Expression, right: Expression) -> Compare:
        if left == Literal(None):
            left, right = right, left
        if right == Literal(None) and op not in ("==", "!="):
            raise ExpressionError(
                f"{self.parameter}: None in {_shown(self.text)} has no order. "
                "Write == None or != None."
            )
        return Compare(op, left, right)

    def options(self, node: ast.expr) -> tuple[Literal, ...]:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            literals = [self.translate(e) for e in node.elts]
            if literals and all(isinstance(x, Literal) for x in literals):
                return tuple(x for x in literals if isinstance(x, Literal))
        raise ExpressionError(
            f"{self.parameter}: 'in' takes a list of values, as in \"market in ['ID', 'BR']\"; "
            f"got {ast.unparse(node)!r}."
        )

    def refuse(self, part: str) -> ExpressionError:
        return ExpressionError(
            f"{self.parameter}: {_shown(part)} in {_shown(self.text)} is not part of the grammar. "
            f"{_GRAMMAR}"
        )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def columns_of(expression: Expression) -> list[str]:
    """Return the columns an expression reads, in order of first use.

    Examples
    --------
    >>> columns_of(parse("2 * tp / (tp + fp)", ["tp", "fp"]))
    ['tp', 'fp']
    """
    match expression:
        case Column(name=name):
            found = [name]
        case Binary(left=left, right=right) | Compare(left=left, right=right):
            found = columns_of(left) + columns_of(right)
        case In(value=part) | Not(part=part):
            found = columns_of(part)
        case Logical(parts=parts):
            found = [c for part in parts for c in columns_of(part)]
        case _:
            found = []
    return list(dict.fromkeys(found))


def quote_identifier(name: str) -> str:
    """Quote a column name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str | float | bool | None) -> str:
    """Write a Python value as a SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"'{value!r}'::DOUBLE" if isinstance(value, float) else repr(value)


def to_sql(
    expression: Expression,
    references: Mapping[str, str] | None = None,
    numbers: Mapping[str, str] | None = None,
) -> str:
    """Write an expression as DuckDB SQL.

    Parameters
    ----------
    expression : Expression
        A parsed expression.
    references : mapping of str to str, optional
        The SQL that stands for a column, where it is not just its quoted name.
    numbers : mapping of str to str, optional
        The SQL that stands for a column in arithmetic, where small integers would overflow.

    Returns
    -------
    str

    Examples
    --------
    >>> print(to_sql(parse("design == 'random' and n > 0", ["design", "n"])))
    (("design" = 'random') AND ("n" > 0))
    """
    references = references or {}
    numbers = numbers or references

    def write(e: Expression) -> str:
        match e:
            case Column(name=name):
                return references.get(name) or quote_identifier(name)
            case Literal(value=value, type=kind):
                return f"CAST({quote_literal(value)} AS {kind})" if kind else quote_literal(value)
            case Binary(op="/", left=left, right=right):
                return f"({number(left)}::DOUBLE / nullif({number(right)}, 0))"
            case Binary(op="*", left=left, right=right):  # a product of integers may overflow
                return f"({number(left)}::DOUBLE * {number(right)})"
            case Binary(op=op, left=left, right=right):
                return f"({number(left)} {op} {number(right)})"
            case Compare(op=("==" | "!=") as op, left=left, right=Literal(value=None)):
                return f"({write(left)} IS {'NOT ' if op == '!=' else ''}NULL)"
            case Compare(op=op, left=left, right=right):
                return f"({write(left)} {'=' if op == '==' else op} {write(right)})"
            case In():
                return membership(e)
            case Logical(op=op, parts=parts):
                return "(" + f" {op.upper()} ".join(write(p) for p in parts) + ")"
            case Not(part=part):
                return f"(NOT {write(part)})"
        raise AssertionError(e)

    def number(e: Expression) -> str:
        match e:
            case Column(name=name):
                return numbers.get(name) or quote_identifier(name)
            case Literal(value=bool() as value):
                return str(int(value))
            # Conditions count as 0 or 1: "(a == b) + (c == d)".
            case Compare() | In() | Logical() | Not():
                return f"{write(e)}::INTEGER"
        return write(e)

    def membership(e: In) -> str:
        value = write(e.value)
        tests = []
        listed = ", ".join(write(o) for o in e.options if o.value is not None)
        if listed:
            tests.append(f"{value} {'NOT ' if e.negated else ''}IN ({listed})")
        if any(o.value is None for o in e.options):  # IN never finds a null
            tests.append(f"{value} IS {'NOT ' if e.negated else ''}NULL")
        return f"({(' AND ' if e.negated else ' OR ').join(tests)})"

    return write(expression)
