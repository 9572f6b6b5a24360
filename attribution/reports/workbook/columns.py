"""The columns of the sheet of cells: sums, then shares, rates and effects worked out from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.reports.workbook.rates import (
    coefficient_rows,
    mean_cell,
    term_code,
    term_levels,
    terms,
)

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["Column", "cell_columns"]

# What a formula is made from: addresses by name, in the row of the cell with a number.
Ref = Callable[[str], str]
Formula = Callable[[Ref, int], str]


@dataclass(frozen=True)
class Column:
    """A column of the sheet of cells: values, and how each row works them out from the others."""

    name: str
    title: str
    values: Any
    style: str = "number"
    formula: Formula | None = None


def cell_columns(change: Attribution, alphas: dict[int, tuple[str, str]]) -> list[Column]:
    """Every column of the sheet, in order."""
    parts, cube = change._ratio_parts, change.cube
    labels = [
        Column(f"label{d}", name, [cube.levels[d][c] for c in cube.codes[:, d]], "text")
        for d, name in enumerate(cube.dimensions)
    ]
    codes = [
        Column(f"code{d}", f"# {name}", cube.codes[:, d] + 1, "whole")
        for d, name in enumerate(cube.dimensions)
    ]
    crossed = [
        Column(f"term{k}", f"# {name}", _placed(change, term_levels(change)[:, k] + 1), "whole")
        for k, (name, _) in enumerate(terms(change))
        if k < len(parts.pairs)
    ]
    place = [
        Column(
            "S", "all its levels in both periods (1)", parts.turnover.stayed.astype(int), "whole"
        ),
        Column("line", "# entry or exit", parts.turnover.line_of + 1, "whole"),
    ]
    return [
        *labels,
        *codes,
        *crossed,
        *place,
        *_sums(change),
        *_shares_and_rates(change),
        *_effects(change),
        *(_misfit(change, alphas) if change.options.mix == "adjusted" else _shifts(change)),
        *(_left_over(change) if parts.stages.rates.fits else []),
    ]


def _placed(change: Attribution, of_S: np.ndarray, outside: float = 0.0) -> np.ndarray:
    """Values of the segments in S among those of all segments."""
    stayed = change._ratio_parts.turnover.stayed
    values = np.full(len(stayed), outside)
    values[stayed] = of_S
    return values


def _sums(change: Attribution) -> list[Column]:
    cube, volume = change.cube, change._ratio_parts.volume
    roles = (
        ("n", "count", "n"),
        ("D", "denominator", "denominator D"),
        ("N", "numerator", "numerator N"),
    )
    found = [
        Column(f"{symbol}{t}", f"{title}, {when}", cube.metric_sums(change.metric, role)[t])
        for symbol, role, title in roles
        for t, when in enumerate(("baseline", "current"))
    ]
    if volume is not None:
        found += [
            Column(f"V{t}", f"full count V, {when}", volume[t])
            for t, when in enumerate(("baseline", "current"))
        ]
    return found


def _shares_and_rates(change: Attribution) -> list[Column]:
    parts = change._ratio_parts
    p, r, source = parts.stages.shares.p, parts.stages.rates.r, parts.stages.rates.source
    V = "D" if parts.volume is None else "V"
    found = [
        Column(
            f"p{t}",
            f"share p, {when}",
            _placed(change, p[t]),
            "share",
            lambda ref, _, t=t: f"=IF({ref('S')}=1,{ref(f'{V}{t}')}/{ref(f'{V}S{t}')},0)",
        )
        for t, when in enumerate(("baseline", "current"))
    ]
    for t, when in enumerate(("baseline", "current")):
        title = f"rate r, {when}"
        if not parts.stages.rates.fits:
            formula = _observed_rate(t)
        else:
            found.append(
                Column(
                    f"source{t}",
                    f"fit of period (0, 1) that gives r, {when}",
                    _placed(change, source[t], np.nan),
                    "whole",
                )
            )
            formula = _fitted_rate(change, _placed(change, source[t], -1.0))
        found.append(Column(f"r{t}", title, _placed(change, r[t], np.nan), "share", formula))
    return found


def _observed_rate(t: int) -> Formula:
    """N / D; a segment empty in one period takes the other period's."""
    own, other = t, 1 - t
    return lambda ref, _: (
        f"=IF({ref('S')}=1,IF({ref(f'D{own}')}>0,{ref(f'N{own}')}/{ref(f'D{own}')},"
        f'{ref(f"N{other}")}/{ref(f"D{other}")}),"")'
    )


def _fitted_rate(change: Attribution, source: np.ndarray) -> Formula:
    """The mean and the coefficients of the levels, of the fit that predicts the segment."""
    codes = [
        term_code(change, k) for k in range(len(change._ratio_parts.stages.rates.design.sizes))
    ]
    rows = [coefficient_rows(change, fit) for fit in (0, 1)]

    def formula(ref: Ref, c: int) -> str:
        fit = int(source[c])
        if fit < 0:
            return ""
        added = [f"INDEX({x},{ref(code)})" for x, code in zip(rows[fit], codes, strict=True)]
        return "=" + "+".join([mean_cell(fit), *added])

    return formula


def _effects(change: Attribution) -> list[Column]:
    parts = change._ratio_parts
    formulas: dict[str, Formula] = {
        "mix": lambda ref, _: (
            f"=IF({ref('S')}=1,({ref('p1')}-{ref('p0')})*"
            f"({ref('v0')}*{ref('r0')}+{ref('v1')}*{ref('r1')}-{ref('ref')}),0)"
        ),
        "rate": lambda ref, _: (
            f"=IF({ref('S')}=1,({ref('w0')}*{ref('p0')}+{ref('w1')}*{ref('p1')})*"
            f"({ref('r1')}-{ref('r0')}),0)"
        ),
        "interaction": lambda ref, _: (
            f"=IF({ref('S')}=1,({ref('p1')}-{ref('p0')})*({ref('r1')}-{ref('r0')}),0)"
        ),
    }
    found = [
        Column(part, f"{part} effect", _placed(change, x), "effect", formulas[part])
        for part, x in parts.segment_parts.items()
    ]
    known = parts.volume is not None
    outside = _outside_counted if known else _outside
    return [*found, Column("outside", "entry or exit", parts.outside[0], "effect", outside)]


def _outside(ref: Ref, _: int) -> str:
    """D_1c / D_1 (r_1c - R_1S) for one that entered, D_0c / D_0 (R_0S - r_0c) for one that left."""
    return (
        f"=IF({ref('S')}=1,0,IF({ref('D1')}>0,({ref('N1')}-{ref('RS1')}*{ref('D1')})/{ref('D_1')},"
        f"({ref('RS0')}*{ref('D0')}-{ref('N0')})/{ref('D_0')}))"
    )


def _outside_counted(ref: Ref, _: int) -> str:
    """The same with full counts; a segment without a sample has the rate of its line."""

    def rate(t: int) -> str:
        of_line = [f"SUMIFS({ref(f'{x}{t}:')},{ref('line:')},{ref('line')})" for x in ("N", "D")]
        line = f"IF({of_line[1]}>0,{of_line[0]}/{of_line[1]},{ref(f'RS{t}')})"
        return f"(IF({ref(f'D{t}')}>0,{ref(f'N{t}')}/{ref(f'D{t}')},{line})-{ref(f'RS{t}')})"

    return (
        f"=IF({ref('S')}=1,0,IF({ref('V1')}>0,{ref('V1')}/{ref('V_1')}*{rate(1)},"
        f"-{ref('V0')}/{ref('V_0')}*{rate(0)}))"
    )


def _misfit(change: Attribution, alphas: dict[int, tuple[str, str]]) -> list[Column]:
    """What alpha leaves over, weighted: by level it sums to 0, which is what makes alpha a fit."""
    parts = change._ratio_parts
    values = parts.stages.shares.p.mean(axis=0) * parts._adjusted.effects.residual

    def formula(ref: Ref, _: int) -> str:
        fitted = "".join(
            f"-SUMIFS({alpha},{number},{ref(f'code{d}')})+{ref('constant')}"
            for d, (number, alpha) in alphas.items()
        )
        rho = f"{ref('v0')}*{ref('r0')}+{ref('v1')}*{ref('r1')}"
        mean = f"({ref('p0')}+{ref('p1')})/2"
        return f"=IF({ref('S')}=1,{mean}*({rho}-{ref('mu')}{fitted}),0)"

    title = "mean share × rate left over by alpha"
    return [Column("misfit", title, _placed(change, values), "effect", formula)]


def _shifts(change: Attribution) -> list[Column]:
    """Shift of the share that each dimension made, by the mix method, and what it is worth."""
    parts, found = change._ratio_parts, []
    by_level: Any = parts._by_level
    tables, (p, r) = by_level._tables, (parts.stages.shares.p, parts.stages.rates.r)
    shift = tables.tables @ tables.coefficient
    value = r.mean(axis=0) - (p * r).sum() / 2
    for d, name in enumerate(change.cube.dimensions):
        title = f"shift of share made by {name} ({change.options.mix})"
        found.append(Column(f"shift{d}", title, _placed(change, shift[:, d]), "effect"))

        def formula(ref: Ref, _: int, d: int = d) -> str:
            rates = f"({ref('r0')}+{ref('r1')})/2-({ref('RS0')}+{ref('RS1')})/2"
            return f"=IF({ref('S')}=1,({rates})*{ref(f'shift{d}')},0)"

        valued = _placed(change, value * shift[:, d])
        found.append(Column(f"valued{d}", f"mix effect of {name}", valued, "effect", formula))
    return found


def _left_over(change: Attribution) -> list[Column]:
    """What each period's fit leaves over, weighted: by level it sums to 0."""
    parts, cube, found = change._ratio_parts, change.cube, []
    D, N = (cube.metric_sums(change.metric, role) for role in ("denominator", "numerator"))
    V = "D" if parts.volume is None else "V"
    volume = D if parts.volume is None else parts.volume
    for t, when in enumerate(("baseline", "current")):
        r = _placed(change, parts.stages.rates.r[t])
        seen = parts.turnover.stayed & (D[t] > 0)
        left = np.zeros(len(seen))
        left[seen] = volume[t][seen] * (N[t][seen] / D[t][seen] - r[seen])

        def formula(ref: Ref, _: int, t: int = t) -> str:
            observed = f"{ref(f'N{t}')}/{ref(f'D{t}')}-{ref(f'r{t}')}"
            return f"=IF({ref('S')}=1,IF({ref(f'D{t}')}>0,{ref(f'{V}{t}')}*({observed}),0),0)"

        found.append(Column(f"left{t}", f"left over by the fit, {when}", left, "effect", formula))
    return found
