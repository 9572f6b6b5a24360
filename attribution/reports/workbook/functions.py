"""A total, a ratio with its own volume, a function of sums: their numbers and columns by formula.

With shares p of the volume and x_k = X_k / V, as decompose/coefficients.py has it:

    mix_c  = (p_1c - p_0c) (sum_k a_0k x_k0c + a_1k x_k1c - ref)
    rate_c = sum_k (b_0k p_0c + b_1k p_1c) (x_k1c - x_k0c)

What shares and rates are worth, a, b, h, follows from a few totals: in closed form for a total and
a ratio. For any other function they are its mean slopes between the two periods, an integral that
no spreadsheet works out: values, and a formula that shows that, times the step, they give the
change of the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from attribution.decompose.functions import FunctionDecomposition
from attribution.expressions import Binary, Expression, Literal
from attribution.expressions import Column as Name
from attribution.functions import FunctionOfSums, Total
from attribution.reports.workbook.column import (
    Column,
    Formula,
    Ref,
    fitted_rate,
    observed_rate,
    placed,
)
from attribution.reports.workbook.rates import rates_of, sum_names

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["FunctionNumbers", "Number", "function_columns", "kpi_formula"]

_WHEN = ("baseline", "current")
# A cell holds no longer formula.
_LONGEST = 8_000


@dataclass(frozen=True)
class Number:
    """A single number above the cells: its name, its value, how it is worked out."""

    name: str
    value: float
    formula: str = ""


@dataclass(frozen=True)
class FunctionNumbers:
    """The single numbers of a function of sums.

    Attributes
    ----------
    change : Attribution
    at : mapping of str to str
        The address of each number by its name; empty while these are not known.
    columns : mapping of str to str
        The address of each column.
    """

    change: Attribution
    at: Mapping[str, str]
    columns: Mapping[str, str]

    @cached_property
    def parts(self) -> FunctionDecomposition:
        parts = self.change._parts
        assert isinstance(parts, FunctionDecomposition)
        return parts

    def _n(self, name: str) -> str:
        return self.at.get(name, "")

    def _sum(self, name: str, within: bool = False) -> str:
        column = self.columns.get(name, "")
        return f"=SUMIFS({column},{self.columns.get('S', '')},1)" if within else f"=SUM({column})"

    def rows(self) -> list[tuple[str, list[Number]]]:
        """Return the rows: a label, and its numbers."""
        parts, names = self.parts, sum_names(self.change)
        totals, K = parts._totals, len(names)
        rows = [
            (
                "volume V, all segments",
                [Number(f"V_{t}", totals.V[t], self._sum(f"V{t}")) for t in (0, 1)],
            ),
            (
                "volume within S (levels in both periods)",
                [Number(f"VS{t}", totals.v[t], self._sum(f"V{t}", within=True)) for t in (0, 1)],
            ),
        ]
        for k, name in enumerate(names):
            rows.append(
                (
                    f"{name}, all segments",
                    [Number(f"XS{k}_{t}", totals.X[t, k], self._sum(f"X{k}_{t}")) for t in (0, 1)],
                )
            )
        for k, name in enumerate(names):
            means = [
                Number(
                    f"m{k}_{s}{t}",
                    totals.m[s, t, k],
                    f"=SUMPRODUCT({self.columns.get(f'p{s}', '')},"
                    f"{self.columns.get(f'x{k}_{t}', '')})",
                )
                for s in (0, 1)
                for t in (0, 1)
            ]
            title = f"{name} per volume: shares 0, rates 0; 0, 1; 1, 0; 1, 1"
            rows.append((title, means))
        ends = [Number(f"R_{t}", float(parts.R[t]), self._end(t)) for t in (0, 1)]
        rows.append(("KPI", ends))
        rows += self._worth(K, names)
        return [*rows, *self._valued()]

    def _end(self, t: int) -> str:
        return kpi_formula(
            self.change, [self._n(f"XS{k}_{t}") for k in range(len(self.parts._rates))]
        )

    # -- what shares and rates are worth ----------------------------------------------------------

    def _worth(self, K: int, names: list[str]) -> list[tuple[str, list[Number]]]:
        worth, metric = self.parts._worth, self.change.metric
        formulas: dict[str, str] = {}
        rows: list[tuple[str, list[Number]]] = []
        if isinstance(metric, Total):
            for t in (0, 1):
                own = f"={self._n(f'VS{t}')}/3+{self._n(f'VS{1 - t}')}/6"
                formulas |= {f"a0_{t}": own, f"b0_{t}": own}
            m = {f"{s}{t}": self._n(f"m0_{s}{t}") for s in (0, 1) for t in (0, 1)}
            volume = (
                f"=({self._n('VS1')}-{self._n('VS0')})*"
                f"(({m['00']}+{m['11']})/3+({m['01']}+{m['10']})/6)"
            )
            line = Number("volume", float(worth.volume[0]), volume)
            rows.append(("line volume: more or less work at the same mix and rates", [line]))
        elif not isinstance(metric, FunctionOfSums):
            formulas |= self._ratio_formulas()
        centre = " + ".join(
            f"{self._n(f'a{k}_{t}')}*{self._n(f'm{k}_{t}{t}')}" for k in range(K) for t in (0, 1)
        ).replace(" + ", "+")
        is_ratio = not isinstance(metric, Total | FunctionOfSums)
        for symbol, values, said in (
            ("a", worth.a, "what a share is worth for each of"),
            ("b", worth.b, "what a rate is worth, of each share, for"),
        ):
            for k, name in enumerate(names):
                found = [
                    Number(
                        f"{symbol}{k}_{t}",
                        float(values[t, k]),
                        formulas.get(f"{symbol}{k}_{t}", ""),
                    )
                    for t in (0, 1)
                ]
                rows.append((f"{symbol}: {said} {name}", found))
        outside = ["V", *names]
        for j, name in enumerate(outside):
            found = [
                Number(f"h{j}_{t}", float(worth.h[t, j]), self._outside(j, t, formulas))
                for t in (0, 1)
            ]
            rows.append((f"h: what a segment outside S adds for each of {name}", found))
        value = float(np.real(worth.centre))
        rows.append(("centre", [Number("centre", value, f"={centre}" if is_ratio else "")]))
        if isinstance(metric, FunctionOfSums):
            rows += self._proofs()
        return rows

    def _ratio_formulas(self) -> dict[str, str]:
        """Of N / D: g = (1, -mean KPI of S) / mean D per volume."""
        m = {f"{k}{t}": self._n(f"m{k}_{t}{t}") for k in (0, 1) for t in (0, 1)}
        scale = f"(({m['10']}+{m['11']})/2)"
        mean = f"(({m['00']}/{m['10']}+{m['01']}/{m['11']})/2)"
        found = {}
        for t in (0, 1):
            for symbol in ("a", "b"):
                found[f"{symbol}0_{t}"] = f"=1/{scale}/2"
                found[f"{symbol}1_{t}"] = f"=-{mean}/{scale}/2"
            found[f"h1_{t}"] = f"=1/{self._n(f'XS1_{t}')}"
            found[f"h2_{t}"] = f"=-{m[f'0{t}']}/{m[f'1{t}']}/{self._n(f'XS1_{t}')}"
        return found

    def _outside(self, j: int, t: int, formulas: dict[str, str]) -> str:
        if j == 0 and isinstance(self.change.metric, FunctionOfSums):
            K = len(self.parts._rates)
            added = "+".join(
                f"{self._n(f'h{k + 1}_{t}')}*{self._n(f'm{k}_{t}{t}')}" for k in range(K)
            )
            return f"=-({added})"
        return formulas.get(f"h{j}_{t}", "")

    def _proofs(self) -> list[tuple[str, list[Number]]]:
        """Mean slopes times the step, less the change of the function: 0."""
        K = len(self.parts._rates)

        def point(s: int, t: int) -> list[str]:
            return [self._n(f"m{k}_{s}{t}") for k in range(K)]

        def left(slopes: list[str], first: list[str], last: list[str]) -> str:
            steps = "+".join(
                f"2*{g}*({b}-{a})" for g, a, b in zip(slopes, first, last, strict=True)
            )
            ends = [kpi_formula(self.change, x).removeprefix("=") for x in (last, first)]
            formula = f"={steps}-(({ends[0]})-({ends[1]}))"
            return formula if all(ends) and len(formula) < _LONGEST else ""

        of_a = [
            left([self._n(f"a{k}_{t}") for k in range(K)], point(0, t), point(1, t)) for t in (0, 1)
        ]
        of_b = [
            left([self._n(f"b{k}_{s}") for k in range(K)], point(s, 0), point(s, 1)) for s in (0, 1)
        ]
        rows = []
        for symbol, formulas in (("a", of_a), ("b", of_b)):
            proved = [Number(f"proof_{symbol}{t}", 0.0, x) for t, x in enumerate(formulas) if x]
            if proved:
                title = f"{symbol} × the step it is for, less the change of the function (0)"
                rows.append((title, proved))
        return rows

    def _valued(self) -> list[tuple[str, list[Number]]]:
        """The rates that value shares, as the cells and levels use them."""
        p, r, _ = self.parts.valued
        centre = float(np.real(self.parts._worth.centre))
        rs = [float(p[t] @ r[t]) for t in (0, 1)]
        mu = float(p.mean(axis=0) @ r.mean(axis=0))
        ref = sum(rs) / 2 - centre
        products = "+".join(
            f"SUMPRODUCT({self.columns.get(f'p{t}', '')},{self.columns.get(f'r{s}', '')})/4"
            for s in (0, 1)
            for t in (0, 1)
        )
        reference = f"=({self._n('RS0')}+{self._n('RS1')})/2-{self._n('centre')}"
        difference = f"={self._n('mu')}-{self._n('ref')}"
        return [
            (
                "mean of the rate that values shares",
                [
                    Number(
                        f"RS{t}",
                        rs[t],
                        f"=SUMPRODUCT({self.columns.get(f'p{t}', '')},"
                        f"{self.columns.get(f'r{t}', '')})",
                    )
                    for t in (0, 1)
                ],
            ),
            ("weight of each period's", [Number(f"v{t}", 0.5) for t in (0, 1)]),
            (
                "mean rate so valued; what it is compared with; difference",
                [
                    Number("mu", mu, f"={products}"),
                    Number("ref", ref, reference),
                    Number("constant", mu - ref, difference),
                ],
            ),
        ]


def kpi_formula(change: Attribution, sums: list[str]) -> str:
    """Return the KPI of sums as a formula: "" where it is too long for a cell.

    Parameters
    ----------
    change : Attribution
    sums : list of str
        Addresses of sums, or of means per volume, in the order of the sums.
    """
    metric = change.metric
    if isinstance(metric, Total):
        return f"={sums[0]}"
    if not isinstance(metric, FunctionOfSums):
        return f"={sums[0]}/{sums[1]}"
    # Doubling all sums changes nothing, so that sums will do for means.
    formula = "=" + _written(metric._expression, dict(zip(metric.sums, sums, strict=True)))
    return formula if len(formula) < _LONGEST else ""


def _written(expression: Expression, addresses: Mapping[str, str]) -> str:
    match expression:
        case Name(name=name):
            return addresses[name]
        case Literal(value=value):
            return repr(float(value)) if isinstance(value, float) else str(value)
        case Binary(op=op, left=left, right=right):
            return f"({_written(left, addresses)}{op}{_written(right, addresses)})"
    raise AssertionError(expression)


def function_columns(change: Attribution, sheet: str) -> list[Column]:
    """Return sums, shares, rates and effects of the segments; `sheet` is that of fitted rates."""
    parts = change._parts
    assert isinstance(parts, FunctionDecomposition)
    names, K = sum_names(change), len(parts._rates)
    n = change.cube.metric_sums(change.metric, "count")
    p, valued, _ = parts.valued
    found = [Column(f"n{t}", f"n, {when}", n[t]) for t, when in enumerate(_WHEN)]
    found += [
        Column(f"V{t}", f"volume V, {when}", parts.sums[0, t]) for t, when in enumerate(_WHEN)
    ]
    for k, name in enumerate(names):
        found += [
            Column(f"X{k}_{t}", f"{name}, {when}", parts.sums[1 + k, t])
            for t, when in enumerate(_WHEN)
        ]
    found += [
        Column(
            f"p{t}",
            f"share p, {when}",
            placed(change, p[t]),
            "share",
            lambda ref, _, t=t: f"=IF({ref('S')}=1,{ref(f'V{t}')}/{ref(f'VS{t}')},0)",
        )
        for t, when in enumerate(_WHEN)
    ]
    for k, one in enumerate(rates_of(change)):
        for t, when in enumerate(_WHEN):
            formula = observed_rate(t, f"X{k}_", "V")
            if one.rates.fits:
                source, title = one.rates.source[t], f"fit (0, 1) that gives {one.title}, {when}"
                whole = placed(change, source, np.nan)
                found.append(Column(f"{one.source}{t}", title, whole, "whole"))
                formula = fitted_rate(change, sheet, placed(change, source, -1.0), k)
            x = placed(change, one.rates.r[t], np.nan)
            title = f"{one.title} per volume, {when}"
            found.append(Column(f"{one.rate}{t}", title, x, "share", formula))
    for t, when in enumerate(_WHEN):
        title = f"rate that values shares, {when}"
        formula = _valued_rate(K, t)
        found.append(Column(f"r{t}", title, placed(change, valued[t], np.nan), "share", formula))
    mix, rate = (placed(change, parts.segment_parts[part]) for part in ("mix", "rate"))
    return [
        *found,
        Column("mix", "mix effect", mix, "effect", _mix),
        Column("rate", "rate effect", rate, "effect", _rate(K)),
        Column("outside", "entry or exit", parts.outside[0], "effect", _outside(K)),
    ]


def _valued_rate(K: int, t: int) -> Formula:
    def formula(ref: Ref, _: int) -> str:
        added = "+".join(f"{ref(f'a{k}_{t}')}*{ref(f'x{k}_{t}')}" for k in range(K))
        return f'=IF({ref("S")}=1,2*({added}),"")'

    return formula


def _mix(ref: Ref, _: int) -> str:
    worth = f"{ref('v0')}*{ref('r0')}+{ref('v1')}*{ref('r1')}-{ref('ref')}"
    return f"=IF({ref('S')}=1,({ref('p1')}-{ref('p0')})*({worth}),0)"


def _rate(K: int) -> Formula:
    def formula(ref: Ref, _: int) -> str:
        added = "+".join(
            f"({ref(f'b{k}_0')}*{ref('p0')}+{ref(f'b{k}_1')}*{ref('p1')})"
            f"*({ref(f'x{k}_1')}-{ref(f'x{k}_0')})"
            for k in range(K)
        )
        return f"=IF({ref('S')}=1,{added},0)"

    return formula


def _outside(K: int) -> Formula:
    def formula(ref: Ref, _: int) -> str:
        now, before = (
            "+".join(
                [
                    f"{ref(f'h0_{t}')}*{ref(f'V{t}')}",
                    *(f"{ref(f'h{k + 1}_{t}')}*{ref(f'X{k}_{t}')}" for k in range(K)),
                ]
            )
            for t in (1, 0)
        )
        return f"=IF({ref('S')}=1,0,({now})-({before}))"

    return formula
