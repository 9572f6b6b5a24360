"""What functions of factors are given as: named numbers and arrays, formulas, callables."""

from __future__ import annotations

import inspect
import keyword
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from attribution.decompose.factors import Inputs
from attribution.errors import ColumnTypeError, ExpressionError, OptionError, listing, nearest
from attribution.expressions import Binary, Column, Expression, Literal, columns_of, parse
from attribution.labels import label_of

__all__ = [
    "Formula",
    "as_function",
    "mentioned",
    "named_values",
    "read_factors",
    "read_formulas",
    "used_of_tables",
]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


@dataclass(frozen=True)
class Formula:
    """A formula of named numbers or arrays, parsed once.

    Attributes
    ----------
    text : str
    expression : Expression
        Arithmetic over names; a sum over elements stands in it as a name of its own.
    sums : tuple of (str, Formula)
        What is summed, by the name that stands for it.
    """

    text: str
    expression: Expression
    sums: tuple[tuple[str, Formula], ...] = ()

    @classmethod
    def of(cls, text: str, names: Sequence[str], parameter: str = "function") -> Formula:
        """Parse a formula.

        Parameters
        ----------
        text : str
            Names, numbers, ``+ - * /``, parentheses, ``sum(...)``; a name that is no identifier
            is quoted with backticks.
        names : sequence of str
            What may be named.
        parameter : str
            Named in errors.

        Returns
        -------
        Formula

        Raises
        ------
        OptionError
            A name is none of `names`.
        ExpressionError
            The text is not in the grammar.

        Examples
        --------
        >>> mean = Formula.of("sum(share * rate) / sum(share)", ["share", "rate"])
        >>> float(mean.value({"share": np.array([1.0, 3.0]), "rate": np.array([0.8, 0.4])}))
        0.5
        """
        if text in names:
            return cls(text, Column(text))
        unknown = [x for x in mentioned(text) if x not in names]
        if unknown:
            raise OptionError(
                f"{parameter}: {unknown[0]!r} in {text!r} is no factor."
                f"{nearest(unknown[0], names)} Factors: {listing(names)}."
            )
        rest, sums = _split_sums(text, names, parameter)
        try:
            expression = parse(rest, [*names, *(name for name, _ in sums)], parameter)
        except ExpressionError as error:
            raise _no_formula(text, parameter) from error
        if not (_arithmetic(expression) and columns_of(expression)):
            raise _no_formula(text, parameter)
        return cls(text, expression, tuple(sums))

    @property
    def names(self) -> list[str]:
        """The names it uses, in order of first use."""
        inner, found = dict(self.sums), []
        for column in columns_of(self.expression):
            found += inner[column].names if column in inner else [column]
        return list(dict.fromkeys(found))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return the value of the formula, elementwise over arrays.

        Parameters
        ----------
        values : mapping of str to number or array

        Returns
        -------
        float or ndarray

        Raises
        ------
        OptionError
            Arrays of shapes that cannot be combined.
        """
        known = {**values, **{name: np.sum(part.value(values)) for name, part in self.sums}}
        try:
            return _value(self.expression, known)
        except ValueError as error:
            raise _mismatch(self.text, {name: values[name] for name in self.names}) from error


def _mismatch(text: str, values: Mapping[str, Any]) -> OptionError:
    shapes = ", ".join(f"{name} {np.shape(x)}" for name, x in values.items() if np.ndim(x))
    return OptionError(f"function: {text!r} cannot combine arrays of these shapes: {shapes}.")


def _no_formula(text: str, parameter: str) -> ExpressionError:
    return ExpressionError(
        f"{parameter}: {text!r} is no formula. Allowed: names (at least one), numbers, + - * /, "
        "parentheses and sum(...) over the elements of arrays."
    )


def mentioned(text: str) -> list[str]:
    """Return the names a formula mentions, in order; what is called like a function is not one.

    Examples
    --------
    >>> mentioned("sum(volume * `handle time`) / 1e3")
    ['volume', 'handle time']
    """
    found = re.findall(r"`([^`]+)`|(?<![\w.])([^\W\d]\w*)(?!\w|\s*\()", text)
    return list(dict.fromkeys(a or b for a, b in found if a or not keyword.iskeyword(b)))


def read_formulas(lines: str | Sequence[str]) -> dict[str, str]:
    """Return name -> formula of lines "cost = volume * aht", given as a list or as one text.

    Parameters
    ----------
    lines : str or sequence of str
        Blank lines are skipped.

    Returns
    -------
    dict of str to str

    Raises
    ------
    ColumnTypeError
        A line is not text.
    OptionError
        A line without "=", without a name, or with a name of an earlier line.
    ExpressionError
        A formula is not in the grammar. The line is named by its number, from 1.

    Examples
    --------
    >>> read_formulas("cost = volume * aht\\nvolume = inflow - backlog_change")
    {'cost': 'volume * aht', 'volume': 'inflow - backlog_change'}
    """
    found: dict[str, str] = {}
    at: dict[str, int] = {}
    listed = lines.splitlines() if isinstance(lines, str) else lines
    for i, line in enumerate(listed, start=1):
        where = f"formulas, line {i}"
        if not isinstance(line, str):
            raise ColumnTypeError(
                f"{where}: {line!r:.80} is not text, as in 'cost = volume * aht'."
            )
        if not line.strip():
            continue
        name, equals, formula = (x.strip() for x in line.partition("="))
        name = name.strip("`")
        if not (name and equals):
            raise OptionError(
                f"{where}: {line.strip()!r} is not of the form 'cost = volume * aht'."
            )
        if name in at:
            raise OptionError(f"{where}: {name!r} has a formula already, in line {at[name]}.")
        Formula.of(formula, mentioned(formula), where)
        found[name], at[name] = formula, i
    return found


def _split_sums(
    text: str, names: Sequence[str], parameter: str
) -> tuple[str, list[tuple[str, Formula]]]:
    """Replace each ``sum(...)`` by a quoted name that stands for it."""
    rest, sums, start = "", [], 0
    while call := re.compile(r"\bsum\s*\(").search(text, start):
        depth, end = 1, call.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if depth:
            raise _no_formula(text, parameter)
        name = f"sum #{len(sums) + 1}"  # "#" is in no name that is used without quotes
        sums.append((name, Formula.of(text[call.end() : end - 1].strip(), names, parameter)))
        rest += f"{text[start : call.start()]}`{name}`"
        start = end
    return rest + text[start:], sums


def _arithmetic(expression: Expression) -> bool:
    match expression:
        case Column():
            return True
        case Literal(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Binary(left=left, right=right):
            return _arithmetic(left) and _arithmetic(right)
    return False


def _value(expression: Expression, values: Mapping[str, Any]) -> Any:
    match expression:
        case Column(name=name):
            return values[name]
        case Binary(op=op, left=left, right=right):
            return _OPERATORS[op](_value(left, values), _value(right, values))
        case Literal(value=value):
            return value
    raise AssertionError(expression)


# -- the values of factors, and functions of them --------------------------------------------


def read_factors(
    baseline: Mapping[str, Any], current: Mapping[str, Any]
) -> tuple[Inputs, dict[str, list[str]]]:
    """Return the factors as arrays, and the names of the elements of those that are arrays.

    Parameters
    ----------
    baseline, current : mapping of str to number or array

    Returns
    -------
    Inputs, dict of str to list of str

    Raises
    ------
    OptionError
        See `Inputs.of`; or a Series with other labels in one period than in the other.
    ColumnTypeError
        A side is no mapping, or a value no number or array of numbers.
    """
    baseline, current = named_values(baseline, current)
    inputs = Inputs.of(
        {name: _array("baseline", name, value) for name, value in baseline.items()},
        {name: _array("current", name, value) for name, value in current.items()},
    )
    elements = {
        name: _element_names(name, baseline[name], current[name], array.shape)
        for name, array in zip(inputs.names, inputs.baseline, strict=True)
        if array.ndim
    }
    for (one, first), (other, second) in combinations(elements.items(), 2):
        if first != second and sorted(first) == sorted(second):
            raise OptionError(
                f"baseline: {one!r} and {other!r} hold the same elements in different orders, "
                f"{listing(first, most=3)} and {listing(second, most=3)}."
            )
    return inputs, elements


def named_values(*sides: object) -> list[Mapping[str, Any]]:
    """Return baseline and current as mappings: they are, or are the row or columns of a table.

    Raises
    ------
    ColumnTypeError
        A side maps no names to values.
    """
    found = []
    for side, given in zip(("baseline", "current"), sides, strict=True):
        items: Any = getattr(given, "items", None)
        if not callable(items):
            raise ColumnTypeError(
                f"{side}: {type(given).__name__} is not a mapping of names to values, as in "
                "{'volume': 1200, 'aht': 95}."
            )
        pairs: Any = items()
        values = dict(pairs)
        for name in values:
            if not isinstance(name, str):
                raise ColumnTypeError(f"{side}: the name {name!r} is not text.")
        found.append(values)
    return found


def _array(side: str, name: str, value: Any) -> np.ndarray:
    try:
        found = np.asarray(value)
        # Texts of digits would turn into numbers without a word.
        if found.dtype.kind in "fiub" or (
            found.dtype.kind == "O" and not any(isinstance(x, str) for x in found.flat)
        ):
            return found.astype(float)
    except (TypeError, ValueError):
        pass  # a ragged list, or objects that are no numbers
    raise ColumnTypeError(
        f"{side}: {name!r} is {value!r:.80}, which is not a number or an array of numbers."
    )


def _element_names(name: str, before: Any, after: Any, shape: tuple[int, ...]) -> list[str]:
    """The labels of two Series, else positions."""
    sides = [x for x in (before, after) if hasattr(x, "reindex") and len(shape) == 1]
    labels = [list(x.index) for x in sides]
    if len(labels) == 2 and labels[0] != labels[1]:
        # Whole numbers are often only the rows a table was cut at; in another order they are not.
        positions = all(isinstance(x, int | np.integer) for of in labels for x in of)
        if not positions or set(labels[0]) == set(labels[1]):
            first = next(i for i, (a, b) in enumerate(zip(*labels, strict=True)) if a != b)
            raise OptionError(
                f"current: element {first} of {name!r} is {labels[1][first]!r}, at baseline "
                f"{labels[0][first]!r}. Both must hold the same elements in the same order."
            )
    if labels and all(of == labels[0] for of in labels):
        return [
            " × ".join(map(label_of, x)) if isinstance(x, tuple) else label_of(x) for x in labels[0]
        ]
    return [", ".join(map(str, place)) for place in np.ndindex(shape)]


def as_function(
    function: Callable[..., Any] | str, names: Sequence[str]
) -> tuple[Callable[[Sequence[Any]], Any], str]:
    """Return the function of the factors in their order, and what it is called.

    Parameters
    ----------
    function : callable or str
        A callable that takes the factors by keyword, or, where none of its arguments has the name
        of a factor, in their order; a formula, or "product".
    names : sequence of str
        The factors.

    Returns
    -------
    callable, str

    Raises
    ------
    OptionError
        The callable does not take these names.
    ColumnTypeError
        It is none of the three.

    Examples
    --------
    >>> value, name = as_function(lambda volume, aht: volume * aht, ["volume", "aht"])
    >>> value([120, 5])
    600
    """
    if isinstance(function, str):
        if function == "product":
            return partial(_product, names), " * ".join(names)
        formula = Formula.of(function, names)
        return lambda point: formula.value(dict(zip(names, point, strict=True))), function
    if not callable(function):
        raise ColumnTypeError(
            f"function: {function!r:.80} is neither a callable, a formula such as 'volume * aht', "
            "nor 'product'."
        )
    called = getattr(function, "__name__", "result")
    shown = "result" if called == "<lambda>" else called
    by_keyword = partial(_by_keyword, function, names)
    try:
        signature = inspect.signature(function)
    except ValueError:
        return by_keyword, shown  # a compiled function need not tell its signature
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        if _takes_in_order(signature, names):
            return lambda point: function(*point), shown
        one = len(names) > 1 and _takes_in_order(signature, names[:1])
        hint = f" As one argument: lambda **factors: {called}(factors)." if one else ""
        raise OptionError(
            f"function: {called} cannot be called with the factors by keyword "
            f"({', '.join(f'{name}=...' for name in names)}): {error}.{hint}"
        ) from error
    return by_keyword, shown


def _by_keyword(function: Callable[..., Any], names: Sequence[str], point: Sequence[Any]) -> Any:
    return function(**dict(zip(names, point, strict=True)))


def _takes_in_order(signature: inspect.Signature, names: Sequence[str]) -> bool:
    """Whether a callable takes as many arguments, under names of its own."""
    if set(signature.parameters) & set(names):
        return False  # some are meant by name, and one is misspelled
    try:
        signature.bind(*names)
    except TypeError:
        return False
    return True


def used_of_tables(function: Callable[..., Any] | str, *sides: object) -> tuple[Any, ...]:
    """Return the factors of tables that a function uses: not the columns that name its rows.

    Mappings are taken as they are. A table of one row is that row.

    Parameters
    ----------
    function : callable or str
    *sides : mapping or table

    Returns
    -------
    tuple
    """
    names = None
    if isinstance(function, str):
        names = None if function == "product" else mentioned(function)
    elif callable(function):
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            parameters = ()
        if not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
            names = [p.name for p in parameters]
    found = []
    for side in sides:
        given: Any = side
        if isinstance(side, Mapping) or not callable(getattr(side, "items", None)):
            found.append(side)
            continue
        if getattr(given, "ndim", 1) == 2 and len(given) == 1:
            given = given.iloc[0]
        values = dict(given.items())
        used = names is not None and set(names) <= set(values)
        found.append({name: values[name] for name in names} if used and names else values)
    return tuple(found)


def _product(names: Sequence[str], point: Sequence[Any]) -> Any:
    try:
        return np.sum(math.prod(point))
    except ValueError as error:
        raise _mismatch("product", dict(zip(names, point, strict=True))) from error
