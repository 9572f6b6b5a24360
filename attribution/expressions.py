"""The one expression grammar of metrics and `where`: parsed with `ast`, checked, translated per engine.

An exact column name always wins, whatever characters it holds. Everything else is an expression
over column names, numbers and strings with ``+ - * /``, comparisons, ``and or not in`` and ``None``;
a column whose name is no identifier is quoted with backticks: ```is correct` == 1``. The text is
never passed on: it becomes a small tree, and the tree is written out for the engine with every
identifier and literal quoted.

A null operand makes the result null, as in SQL. ``x == None`` and ``x != None`` test for null.
"""

from __future__ import annotations

import ast
import re
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
    """A number, string, boolean or None."""

    value: int | float | str | bool | None


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
_GRAMMAR = "Allowed: column names, numbers, strings, None, + - * /, comparisons, and, or, not, in."


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
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(
            f"{parameter}: {text!r} is neither a column nor an expression."
            f"{nearest(text, columns)} {_GRAMMAR}"
        ) from error
    return _Translator(text, columns, parameter, quoted).translate(tree)


def _unquote_backticks(text: str, parameter: str) -> tuple[str, dict[str, str]]:
    """Replace each `quoted name` outside string literals by an identifier that stands for it."""
    quoted: dict[str, str] = {}

    def replace(match: re.Match) -> str:
        if match.group(1) is None:  # a string literal: leave it as it is
            return match.group(0)
        placeholder = f"_quoted_{len(quoted)}_"
        quoted[placeholder] = match.group(1)
        return f" {placeholder} "

    strings = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
    source = re.sub(rf"{strings}|`([^`]+)`", replace, text)
    if "`" in re.sub(strings, "", source):
        raise ExpressionError(f"{parameter}: a backtick in {text!r} is not closed.")
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
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return Literal(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return Literal(-value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Binary("-", Literal(0), self.translate(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(self.translate(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return Binary(_ARITHMETIC[type(op)], self.translate(left), self.translate(right))
            case ast.BoolOp(op=op, values=values):
                name = "and" if isinstance(op, ast.And) else "or"
                return Logical(name, tuple(self.translate(v) for v in values))
            case ast.Compare():
                return self.comparison(node)
        raise self.refuse(ast.unparse(node))

    def column(self, name: str) -> Column:
        if name not in self.columns:
            raise ColumnNotFoundError(
                f"{self.parameter}: no column {name!r} (in {self.text!r})."
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
                parts.append(Compare(name, self.translate(left), self.translate(right)))
        return parts[0] if len(parts) == 1 else Logical("and", tuple(parts))

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
            f"{self.parameter}: {part!r} in {self.text!r} is not part of the grammar. {_GRAMMAR}"
        )


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


def quote_literal(value: str | int | float | bool | None) -> str:
    """Write a Python value as a SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value)) + "::DOUBLE" if isinstance(value, float) else repr(value)


def to_sql(expression: Expression, references: Mapping[str, str] | None = None) -> str:
    """Write an expression as DuckDB SQL.

    Parameters
    ----------
    expression : Expression
        A parsed expression.
    references : mapping of str to str, optional
        The SQL that stands for a column, where it is not just its quoted name (a cast, say).

    Returns
    -------
    str

    Examples
    --------
    >>> print(to_sql(parse("design == 'random' and n > 0", ["design", "n"])))
    (("design" = 'random') AND ("n" > 0))
    """
    references = references or {}

    def write(e: Expression) -> str:
        match e:
            case Column(name=name):
                return references.get(name) or quote_identifier(name)
            case Literal(value=value):
                return quote_literal(value)
            case Binary(op="/", left=left, right=right):
                return f"({write(left)}::DOUBLE / {write(right)})"
            case Binary(op=op, left=left, right=right):
                return f"({_numeric(left, write)} {op} {_numeric(right, write)})"
            case Compare(op=("==" | "!=") as op, left=left, right=Literal(value=None)):
                return f"({write(left)} IS {'NOT ' if op == '!=' else ''}NULL)"
            case Compare(op=op, left=left, right=right):
                return f"({write(left)} {'=' if op == '==' else op} {write(right)})"
            case In(value=value, options=options, negated=negated):
                listed = ", ".join(write(o) for o in options)
                return f"({write(value)} {'NOT ' if negated else ''}IN ({listed}))"
            case Logical(op=op, parts=parts):
                return "(" + f" {op.upper()} ".join(write(p) for p in parts) + ")"
            case Not(part=part):
                return f"(NOT {write(part)})"
        raise AssertionError(e)

    return write(expression)


def _numeric(e: Expression, write) -> str:
    """Conditions count as 0 or 1 in arithmetic: "(a == b) + (c == d)"."""
    conditional = isinstance(e, Compare | In | Logical | Not)
    return f"{write(e)}::INTEGER" if conditional else write(e)
