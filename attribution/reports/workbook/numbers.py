"""The single numbers above the cells: totals, the KPI, the weights of the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attribution.decompose.functions import FunctionDecomposition
from attribution.reports.workbook.functions import FunctionNumbers
from attribution.reports.workbook.sheets import CellSheet, cell, column_range, put

if TYPE_CHECKING:
    from attribution.reports.workbook.sheets import Formats
    from attribution.result import Attribution

__all__ = ["head_row", "number_cells", "write_numbers"]

_TOP, _LEAST_HEAD = 1, 12


def _number_rows(change: Attribution) -> list[tuple[str, tuple[str, ...]]]:
    if isinstance(change._parts, FunctionDecomposition):
        rows = FunctionNumbers(change, {}, {}).rows()
        return [(label, tuple(x.name for x in numbers)) for label, numbers in rows]
    known = change._ratio_parts.volume is not None
    counts = [("full counts V, all segments", ("V_0", "V_1")), ("within S", ("VS0", "VS1"))]
    within = [] if known else [("denominators within S (levels in both periods)", ("DS0", "DS1"))]
    goal = [] if change._ratio_parts.target is None else [("target", ("target",))]
    return [
        ("denominators D, all segments", ("D_0", "D_1")),
        ("numerators N, all segments", ("N_0", "N_1")),
        *(counts if known else within),
        ("KPI = N / D", ("R_0", "R_1")),
        ("KPI of the shares and rates in use, within S", ("RS0", "RS1")),
        (f"method {change.options.method}: shares that weigh rate changes", ("w0", "w1")),
        (f"method {change.options.method}: rates that value share changes", ("v0", "v1")),
        ("mean rate so valued; KPI it is compared with; difference", ("mu", "ref", "constant")),
        *goal,
    ]


def number_cells(change: Attribution) -> dict[str, str]:
    """Return the address of each number by its name."""
    start = _number_column(change)
    return {
        name: cell(_TOP + i, start + j)
        for i, (_, names) in enumerate(_number_rows(change))
        for j, name in enumerate(names)
    }


def head_row(change: Attribution) -> int:
    """Return how many rows are above the first cell: the numbers, and a header."""
    return max(_LEAST_HEAD, _TOP + len(_number_rows(change)) + 2)


def _number_column(change: Attribution) -> int:
    # Right of the frozen columns, so that they can be seen.
    return 2 * len(change.cube.dimensions) + 4


def write_numbers(sheet: Any, change: Attribution, formats: Formats, at: CellSheet) -> None:
    """Write the numbers with their formulas over the columns of the cells."""

    def total(name: str) -> str:
        return column_range(at.columns[name], at.first, at.last)

    if isinstance(change._parts, FunctionDecomposition):
        columns = {name: total(name) for name in at.columns}
        made = [x for _, row in FunctionNumbers(change, at.numbers, columns).rows() for x in row]
        values = {x.name: x.value for x in made}
        formulas = {x.name: x.formula for x in made}
    else:
        values, formulas = _values(change), _formulas(change, at, total)
    start = _number_column(change)
    put(
        sheet,
        0,
        0,
        "Cells: the sums that the data hold, and what each formula makes of them",
        formats(bold=True, font_size=12),
    )
    right = formats(align="right", font_color="#595959")
    number = formats(num_format="#,##0.########")
    for i, (label, names) in enumerate(_number_rows(change)):
        put(sheet, _TOP + i, start - 1, label, right)
        for j, name in enumerate(names):
            put(sheet, _TOP + i, start + j, values[name], number, formulas.get(name, ""))


def _formulas(change: Attribution, at: CellSheet, total: Callable[[str], str]) -> dict[str, str]:
    V = "D" if change._ratio_parts.volume is None else "V"
    formulas = {}
    for t in (0, 1):
        for symbol in ("D", "N", *(["V"] if V == "V" else [])):
            formulas[f"{symbol}_{t}"] = f"=SUM({total(f'{symbol}{t}')})"
        formulas[f"{V}S{t}"] = f"=SUMIFS({total(f'{V}{t}')},{total('S')},1)"
        formulas[f"R_{t}"] = f"={at.numbers[f'N_{t}']}/{at.numbers[f'D_{t}']}"
        formulas[f"RS{t}"] = f"=SUMPRODUCT({total(f'p{t}')},{total(f'r{t}')})"
    crossed = "+".join(
        f"{at.numbers[f'v{s}']}*SUMPRODUCT({total(f'p{t}')},{total(f'r{s}')})/2"
        for s in (0, 1)
        for t in (0, 1)
    )
    formulas["mu"] = f"={crossed}"
    formulas["ref"] = "=" + "+".join(
        f"{at.numbers[f'v{t}']}*{at.numbers[f'RS{t}']}" for t in (0, 1)
    )
    formulas["constant"] = f"={at.numbers['mu']}-{at.numbers['ref']}"
    return formulas


def _values(change: Attribution) -> dict[str, float]:
    parts, cube = change._ratio_parts, change.cube
    stayed, (p, r), v = (
        parts.turnover.stayed,
        (parts.stages.shares.p, parts.stages.rates.r),
        parts._weights.v,
    )
    sums = {
        "D": cube.metric_sums(change.metric, "denominator"),
        "N": cube.metric_sums(change.metric, "numerator"),
    }
    if parts.volume is not None:
        sums["V"] = parts.volume
    goal = {} if parts.target is None else {"target": parts.target}
    found = {f"{name}_{t}": x[t].sum() for name, x in sums.items() for t in (0, 1)}
    V = "D" if parts.volume is None else "V"
    for t in (0, 1):
        found[f"{V}S{t}"] = sums[V][t][stayed].sum()
        found[f"R_{t}"] = found[f"N_{t}"] / found[f"D_{t}"]
        found[f"RS{t}"] = p[t] @ r[t]
    rho = v[0] * r[0] + v[1] * r[1]
    found["mu"] = p.mean(axis=0) @ rho
    found["ref"] = v[0] * found["RS0"] + v[1] * found["RS1"]
    found["constant"] = found["mu"] - found["ref"]
    w = parts._weights
    found |= {"w0": w.w[0], "w1": w.w[1], "v0": w.v[0], "v1": w.v[1], **goal}
    return {name: float(x) for name, x in found.items()}
