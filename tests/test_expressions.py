"""One grammar: what it accepts means the same as in numpy, and everything else is refused."""

from __future__ import annotations

import operator
from collections.abc import Callable

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.errors import ColumnNotFoundError, ColumnTypeError, ExpressionError
from attribution.expressions import (
    Binary,
    Column,
    Compare,
    Expression,
    In,
    Literal,
    Logical,
    Not,
    columns_of,
    parse,
    to_sql,
)

COLUMNS = ["a", "b", "is correct", "tp", "fp", "queue"]
ROWS = pd.DataFrame(
    {
        "month": [1, 1, 2, 2],
        "tp": np.array([100, 90, 120, 5], dtype="int8"),
        "fp": np.array([100, 80, 7, 3], dtype="int8"),
        "queue": ["live", None, "video", "live"],
        "flag": [True, False, True, True],
        "digits": ["7", "7.4", "10", "8"],
        "score": [0.5, np.nan, 0.25, 1.0],
    }
)


def summed(metric: str, where: str | None = None) -> float:
    ratio = at.Ratio(metric, "tp * 0 + 1")
    cube = at.Cube.from_data(ROWS, ratio, [], period="month", where=where)
    return float(cube.metric_sums(ratio, "numerator").sum())


# -- what is accepted -------------------------------------------------------------------------


def test_an_exact_column_name_wins_over_the_grammar() -> None:
    for name in ("is correct", "a + b", "a b c", "`odd`", "lambda", "x) FROM t; DROP TABLE t; --"):
        assert parse(name, ["a", "b", name]) == Column(name)


def test_arithmetic_has_the_usual_precedence() -> None:
    a, b = Column("a"), Column("b")
    assert parse("a + b * 2", COLUMNS) == Binary("+", a, Binary("*", b, Literal(2)))
    assert parse("(a + b) * 2", COLUMNS) == Binary("*", Binary("+", a, b), Literal(2))
    assert parse("a - b - 1", COLUMNS) == Binary("-", Binary("-", a, b), Literal(1))
    assert parse("a / b / 2", COLUMNS) == Binary("/", Binary("/", a, b), Literal(2))
    assert parse("a -- b", COLUMNS) == Binary("-", a, Binary("-", Literal(0), b))
    assert parse("-a + -1", COLUMNS) == Binary("+", Binary("-", Literal(0), a), Literal(-1))


def test_conditions_have_the_usual_precedence() -> None:
    a, b = Column("a"), Column("b")
    expected = Logical(
        "or",
        (Compare(">", a, Literal(1)), Logical("and", (Not(Compare("==", b, Literal("x"))), a))),
    )
    assert parse("a > 1 or not b == 'x' and a", COLUMNS) == expected
    assert parse("1 < a <= b", COLUMNS) == Logical(
        "and", (Compare("<", Literal(1), a), Compare("<=", a, b))
    )
    assert parse("a not in ['x', None]", COLUMNS) == In(a, (Literal("x"), Literal(None)), True)
    assert parse("a in ('x', 'y')", COLUMNS) == In(a, (Literal("x"), Literal("y")), False)


def test_backticks_quote_names_but_not_inside_texts() -> None:
    assert parse("`is correct` == 1", COLUMNS) == Compare("==", Column("is correct"), Literal(1))
    assert parse("queue == '`a`'", COLUMNS) == Compare("==", Column("queue"), Literal("`a`"))
    assert parse("`a`+`b`", COLUMNS) == parse("a + b", COLUMNS)
    assert parse("`_quoted_0` + _quoted", ["_quoted_0", "_quoted"]) == Binary(
        "+", Column("_quoted_0"), Column("_quoted")
    )


def test_names_are_found_however_their_accents_are_composed() -> None:
    decomposed = "qualite\u0301"
    assert parse("qualité + 1", [decomposed]) == Binary("+", Column(decomposed), Literal(1))
    assert parse("qualité + 1", ["qualité", decomposed]).left == Column("qualité")


def test_columns_are_listed_once_in_order() -> None:
    expression = parse("not (b > a or b in [1]) and `is correct` == a / 2", COLUMNS)
    assert columns_of(expression) == ["b", "a", "is correct"]


def test_a_comparison_with_none_is_a_test_for_null() -> None:
    for text in ("queue == None", "None == queue", "queue is None"):
        assert to_sql(parse(text, COLUMNS)) == '("queue" IS NULL)'
    for text in ("queue != None", "None != queue", "queue is not None"):
        assert to_sql(parse(text, COLUMNS)) == '("queue" IS NOT NULL)'
    assert summed("queue == None") == 1
    assert summed("1 - (queue in ['live', None])") == 1
    assert summed("tp * 0 + 1", "queue not in ['live', None]") == 1
    assert summed("tp * 0 + 1", "queue in [None]") == 1


def test_a_null_operand_leaves_a_condition_undecided() -> None:
    assert summed("tp * 0 + 1", "queue == 'live'") == 2
    assert summed("tp * 0 + 1", "not queue == 'live'") == 1
    assert summed("tp * 0 + 1", "queue != 'live' or tp > 89") == 3


def test_small_integers_do_not_overflow() -> None:
    assert summed("tp + fp") == 505
    assert summed("tp * fp") == 100 * 100 + 90 * 80 + 120 * 7 + 15
    assert summed("-tp - fp") == -505
    assert summed("tp * 0 + 1", "tp + fp > 150") == 2
    assert summed("tp * 0 + 1", "tp * tp * tp * tp > 99999999") == 2


def test_large_products_do_not_overflow() -> None:
    big = pd.DataFrame({"month": [1], "x": [2**62]})
    cube = at.Cube.from_data(big, at.Ratio("x * x", "x"), [], period="month")
    assert cube.sums["x * x"][0, 0] == 2.0**124


def test_division_is_true_division_and_by_zero_is_null() -> None:
    assert summed("(tp + 0) / 2") == 157.5
    assert summed("1 / 2") == 2
    assert summed("tp * 0 + 1", "1 / (tp - 5) > 0 or tp == 5") == 4
    assert summed("tp * 0 + 1", "not 1 / (tp - 90) > 0") == 1  # of -1/85; 1/0 is undecided


def test_conditions_count_as_numbers_in_arithmetic() -> None:
    assert summed("(queue == 'live') * 1 + (tp > 99)", "queue != None") == 4
    assert summed("flag + flag") == 6
    assert summed("flag") == 3
    assert summed("True + tp * 0") == 4


def test_a_text_column_compared_with_a_number_is_read_as_numbers() -> None:
    assert summed("tp * 0 + 1", "digits > 7") == 3  # 7.4 is not rounded to 7
    assert summed("tp * 0 + 1", "digits in [7, 8]") == 2
    assert summed("tp * 0 + 1", "digits == '7'") == 1


def test_odd_texts_stay_texts() -> None:
    for text in ("it's", 'say "x"', "back\\slash", "\n", "; DROP TABLE t --", "日本", "\x00", "{}"):
        frame = ROWS.assign(queue=[text, "a", "b", "c"])
        cube = at.Cube.from_data(
            frame, at.Rate("flag"), "queue", period="month", where=f"queue == {text!r}"
        )
        assert cube.levels == ((text,),)


def test_an_odd_backslash_is_no_warning() -> None:
    assert parse(r"queue == 'a\d'", COLUMNS) == Compare("==", Column("queue"), Literal(r"a\d"))


# -- what is refused --------------------------------------------------------------------------

REFUSED = [
    "abs(a)", "a.b", "a[0]", "lambda: a", "(a := 1)", "f'{a}'", "a ** 2", "a // 2", "a % 2", "a @ b",
    "a & b", "a | b", "a ^ b", "~a", "+a", "a << 1", "a if b else 1", "[a, b]", "(a, b)", "{a: 1}",
    "{a}", "[x for x in a]", "await a", "yield a", "*a", "1j", "b'x'", "...", "a == b'x'", "a in b",
    "a in []", "a in [b]", "a in 'xy'", "a in range(3)", "__import__('os')", "a; b", "a = 1",
    "a == 1; DROP TABLE t", "x) FROM t; DROP TABLE t", "a) FROM t --", "1 UNION SELECT 2", "a /* b */", "a # b", "a\nb", "", "   ", "a +", "(a", "`a", "a`", "``", "a === b", "a <> b",
    "a && b", "a = b", "NULL IS", "'a", "a == 'x' 'y' z", "a + None", "a + 'x'", "-'x'", "a < None",
    "None >= a", "a == '\\ud800'", "import os", "a and", "not", "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_everything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ExpressionError, match="^where: "):
        parse(text, COLUMNS, "where")


@pytest.mark.parametrize(
    "text",
    ["(" * 5000 + "a" + ")" * 5000, "not " * 5000 + "a", "-" * 5000 + "a", "a" + " + a" * 5000,
     "a" + " + a" * 300, "not " * 150 + "a", "a == " + "9" * 5000],
)  # fmt: skip
def test_monstrous_expressions_are_refused_in_a_short_message(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, COLUMNS)
    assert len(str(caught.value)) < 500


def test_long_conditions_are_fine() -> None:
    text = " or ".join(f"queue == 'q{i}'" for i in range(500))
    assert summed("tp * 0 + 1", f"{text} or queue == 'live'") == 2
    assert summed(" + ".join(["tp"] * 80)) == 315 * 80


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(ColumnNotFoundError) as caught:
        parse("tp / (tp + quue)", COLUMNS, "metric")
    assert str(caught.value).startswith("metric: no column 'quue' (in 'tp / (tp + quue)').")
    assert "Did you mean 'queue'?" in str(caught.value)
    assert str(caught.value).endswith("'fp', 'queue'.")
    with pytest.raises(ExpressionError, match="Did you mean 'is correct'"):
        parse("is corect", COLUMNS)


def test_types_that_do_not_fit_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ColumnTypeError, match=r"where: 'queue' is text; \+ takes numbers"):
        summed("tp", "queue + 1 > 2")
    with pytest.raises(ColumnTypeError, match=r"metric: 'queue' is text; \* takes numbers"):
        summed("queue * 2")
    with pytest.raises(ExpressionError, match="'tp' is a number and '9.5' a text"):
        summed("tp", "tp > '9.5'")
    with pytest.raises(ExpressionError, match="numbers or of texts, not of both"):
        summed("tp", "digits in [7, '8']")


# -- the engine agrees with numpy -------------------------------------------------------------

NUMBERS = st.integers(-4, 4) | st.sampled_from([0.5, -1.25, 1e3])
OPERATIONS: dict[str, Callable] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
VALUES = st.sampled_from(["x", "y", "b"]).map(Column) | NUMBERS.map(Literal)
ARITHMETIC = st.recursive(
    VALUES,
    lambda inner: st.builds(Binary, st.sampled_from("+-*/"), inner, inner),
    max_leaves=6,
)
CONDITIONS = st.recursive(
    st.builds(Compare, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), ARITHMETIC, ARITHMETIC)
    | st.builds(
        In, ARITHMETIC, st.lists(NUMBERS.map(Literal), min_size=1).map(tuple), st.booleans()
    ),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(
            Logical,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
        )
    ),
    max_leaves=4,
)
DATA = {
    "x": np.array([-3, 0, 1, 4, 100], dtype="int8"),
    "y": np.array([0.5, -2.0, 0.0, 7.25, 0.25]),
    "b": np.array([127, -128, 0, 1, 2], dtype="int8"),
}


def text_of(e: Expression) -> str:
    match e:
        case Column(name=name):
            return name
        case Literal(value=value):
            return f"({value})"
        case Binary(op=op, left=left, right=right) | Compare(op=op, left=left, right=right):
            return f"({text_of(left)} {op} {text_of(right)})"
        case In(value=value, options=options, negated=negated):
            listed = ", ".join(text_of(o) for o in options)
            return f"({text_of(value)} {'not ' if negated else ''}in [{listed}])"
        case Logical(op=op, parts=parts):
            return "(" + f" {op} ".join(map(text_of, parts)) + ")"
        case Not(part=part):
            return f"(not {text_of(part)})"
    raise AssertionError(e)


def numpy_value(e: Expression) -> np.ma.MaskedArray:
    """Evaluate in float64; a masked value is a null."""
    match e:
        case Column(name=name):
            return np.ma.array(DATA[name].astype(float))
        case Literal(value=value):
            return np.ma.array(np.full(5, float(value)))
        case Binary(op="/", left=left, right=right):
            a, b = numpy_value(left), numpy_value(right)
            mask = np.ma.getmaskarray(a) | np.ma.getmaskarray(b) | (b.data == 0)
            with np.errstate(all="ignore"):
                return np.ma.array(np.where(mask, 1, a.data / b.data), mask=mask)
        case Binary(op=op, left=left, right=right) | Compare(op=op, left=left, right=right):
            a, b = numpy_value(left), numpy_value(right)
            mask = np.ma.getmaskarray(a) | np.ma.getmaskarray(b)
            return np.ma.array(OPERATIONS[op](a.data, b.data), mask=mask)
        case In(value=value, options=options, negated=negated):
            a = numpy_value(value)
            inside = np.isin(a.data, [float(o.value) for o in options])
            return np.ma.array(inside ^ negated, mask=np.ma.getmaskarray(a))
        case Not(part=part):
            a = numpy_value(part)
            return np.ma.array(~a.data, mask=np.ma.getmaskarray(a))
        case Logical(op=op, parts=parts):
            all_values = [numpy_value(p) for p in parts]
            decisive = op == "or"  # one true decides an "or", one false an "and"
            decided = np.zeros(5, dtype=bool)
            null = np.zeros(5, dtype=bool)
            for a in all_values:
                decided |= ~np.ma.getmaskarray(a) & (a.data == decisive)
                null |= np.ma.getmaskarray(a)
            return np.ma.array(np.where(decided, decisive, not decisive), mask=null & ~decided)
    raise AssertionError(e)


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (i INTEGER, x TINYINT, y DOUBLE, b TINYINT)")
    rows = zip(range(5), *(values.tolist() for values in DATA.values()), strict=True)
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [list(row) for row in rows])
    return connection


@settings(max_examples=150, deadline=None)
@given(expression=ARITHMETIC | CONDITIONS)
def test_the_engine_evaluates_as_numpy_does(
    engine: duckdb.DuckDBPyConnection, expression: Expression
) -> None:
    parsed = parse(text_of(expression), ["x", "y", "b"])
    numbers = {"x": "x::BIGINT", "y": "y", "b": "b::BIGINT"}
    sql = to_sql(parsed, numbers=numbers)
    found = [row[0] for row in engine.sql(f"SELECT {sql} FROM t ORDER BY i").fetchall()]
    wanted = numpy_value(expression)
    for value, expected, null in zip(found, wanted.data, np.ma.getmaskarray(wanted), strict=True):
        if null:
            assert value is None
        else:
            assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)
