"""The columns of the sheet of cells: sums, then shares, rates and effects worked out from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from attribution.decompose.functions import FunctionDecomposition
from attribution.reports.workbook.column import (
    Column,
    Formula,
    Ref,
    fitted_rate,
    observed_rate,
    placed,
)
from attribution.reports.workbook.functions import function_columns
from attribution.reports.workbook.rates import rates_of, term_levels, terms

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["cell_columns"]


def cell_columns(
    change: Attribution, alphas: dict[int, tuple[str, str]], rates: str
) -> list[Column]:
    """Every column of the sheet, in order; `rates` is the sheet of the fitted rates."""
    parts, adjusted = change._parts, change.options.mix == "adjusted"
    fitted = bool(rates_of(change)[0].rates.fits)
    if isinstance(parts, FunctionDecomposition):
        own = function_columns(change, rates)
    else:
        own = [*_sums(change), *_shares_and_rates(change, rates), *_effects(change)]
    return [
        *_places(change),
        *own,
        *(_misfit(change, alphas) if adjusted else _shifts(change)),
        *(_left_over(change) if fitted else []),
    ]


def _places(change: Attribution) -> list[Column]:
    """Which segment a row is, and where it belongs."""
    parts, cube = change._parts, change.cube
    labels = [
        Column(f"label{d}", name, [cube.levels[d][c] for c in cube.codes[:, d]], "text")
        for d, name in enumerate(cube.dimensions)
    ]
    codes = [
        Column(f"code{d}", f"# {name}", cube.codes[:, d] + 1, "whole")
        for d, name in enumerate(cube.dimensions)
    ]
    crossed = [
        Column(f"term{k}", f"# {name}", placed(change, term_levels(change)[:, k] + 1), "whole")
        for k, (name, _) in enumerate(terms(change))
        if k < len(parts.pairs)
    ]
    place = [
        Column(
            "S", "all its levels in both periods (1)", parts.turnover.stayed.astype(int), "whole"
        ),
        Column("line", "# entry or exit", parts.turnover.line_of + 1, "whole"),
    ]
    return [*labels, *codes, *crossed, *place]


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


def _shares_and_rates(change: Attribution, rates: str) -> list[Column]:
    parts = change._ratio_parts
    p, r, source = parts.stages.shares.p, parts.stages.rates.r, parts.stages.rates.source
    V = "D" if parts.volume is None else "V"
    found = [
        Column(
            f"p{t}",
            f"share p, {when}",
            placed(change, p[t]),
            "share",
            lambda ref, _, t=t: f"=IF({ref('S')}=1,{ref(f'{V}{t}')}/{ref(f'{V}S{t}')},0)",
        )
        for t, when in enumerate(("baseline", "current"))
    ]
    for t, when in enumerate(("baseline", "current")):
        title = f"rate r, {when}"
        if not parts.stages.rates.fits:
            formula = observed_rate(t)
        else:
            found.append(
                Column(
                    f"source{t}",
                    f"fit of period (0, 1) that gives r, {when}",
                    placed(change, source[t], np.nan),
                    "whole",
                )
            )
            formula = fitted_rate(change, rates, placed(change, source[t], -1.0))
        found.append(Column(f"r{t}", title, placed(change, r[t], np.nan), "share", formula))
    return found


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
        Column(part, f"{part} effect", placed(change, x), "effect", formulas[part])
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
    parts = change._parts
    if isinstance(parts, FunctionDecomposition):
        residual, p = cast("Any", parts._by_level).effects.residual, parts._shares.p
    else:
        ratio = change._ratio_parts
        residual, p = ratio._adjusted.effects.residual, ratio.stages.shares.p
    values = p.mean(axis=0) * residual

    def formula(ref: Ref, _: int) -> str:
        fitted = "".join(
            f"-SUMIFS({alpha},{number},{ref(f'code{d}')})+{ref('constant')}"
            for d, (number, alpha) in alphas.items()
        )
        rho = f"{ref('v0')}*{ref('r0')}+{ref('v1')}*{ref('r1')}"
        mean = f"({ref('p0')}+{ref('p1')})/2"
        return f"=IF({ref('S')}=1,{mean}*({rho}-{ref('mu')}{fitted}),0)"

    title = "mean share × rate left over by alpha"
    return [Column("misfit", title, placed(change, values), "effect", formula)]


def _shifts(change: Attribution) -> list[Column]:
    """Shift of the share that each dimension made, by the mix method, and what it is worth."""
    parts: Any = change._parts
    by_level, found = parts._by_level, []
    tables, (p, r, _) = by_level._tables, parts.valued
    shift = tables.tables @ tables.coefficient
    value = r.mean(axis=0) - (p * r).sum() / 2
    for d, name in enumerate(change.cube.dimensions):
        title = f"shift of share made by {name} ({change.options.mix})"
        found.append(Column(f"shift{d}", title, placed(change, shift[:, d]), "effect"))

        def formula(ref: Ref, _: int, d: int = d) -> str:
            rates = f"({ref('r0')}+{ref('r1')})/2-({ref('RS0')}+{ref('RS1')})/2"
            return f"=IF({ref('S')}=1,({rates})*{ref(f'shift{d}')},0)"

        valued = placed(change, value * shift[:, d])
        found.append(Column(f"valued{d}", f"mix effect of {name}", valued, "effect", formula))
    return found


def _left_over(change: Attribution) -> list[Column]:
    """What each period's fit leaves over, weighted: by level it sums to 0."""
    found = []
    for k, one in enumerate(rates_of(change)):
        for t, when in enumerate(("baseline", "current")):
            D, N, V, symbols = _fitted_sums(change, k)
            r = placed(change, one.rates.r[t])
            seen = change._parts.turnover.stayed & (D[t] > 0)
            left = np.zeros(len(seen))
            left[seen] = V[t][seen] * (N[t][seen] / D[t][seen] - r[seen])

            def formula(
                ref: Ref, _: int, t: int = t, rate: str = one.rate, names: Any = symbols
            ) -> str:
                D, N, V = (ref(f"{x}{t}") for x in names)
                return f"=IF({ref('S')}=1,IF({D}>0,{V}*({N}/{D}-{ref(f'{rate}{t}')}),0),0)"

            title = f"{one.title} left over by the fit, {when}".strip()
            found.append(Column(f"{one.left}{t}", title, left, "effect", formula))
    return found


def _fitted_sums(
    change: Attribution, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, str, str]]:
    """Denominator, numerator and weight of one of the rates, and what their columns are called."""
    parts, cube = change._parts, change.cube
    if isinstance(parts, FunctionDecomposition):
        V = parts.sums[0]
        return V, parts.sums[1 + k], V, ("V", f"X{k}_", "V")
    D, N = (cube.metric_sums(change.metric, role) for role in ("denominator", "numerator"))
    volume = change._ratio_parts.volume
    return (D, N, D, ("D", "N", "D")) if volume is None else (D, N, volume, ("D", "N", "V"))
