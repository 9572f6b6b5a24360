"""A column of the sheet of cells, and the rates that its rows hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.reports.workbook.rates import coefficient_rows, mean_cell, rates_of, term_code

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["Column", "Formula", "Ref", "fitted_rate", "observed_rate", "placed"]

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


def placed(change: Attribution, of_S: np.ndarray, outside: float = 0.0) -> np.ndarray:
    """Values of the segments in S among those of all segments."""
    stayed = change._parts.turnover.stayed
    values = np.full(len(stayed), outside)
    values[stayed] = of_S
    return values


def observed_rate(t: int, numerator: str = "N", denominator: str = "D") -> Formula:
    """A sum over another; a segment empty in one period takes the other period's."""

    def formula(ref: Ref, _: int) -> str:
        (own, D), (other, E) = (
            (ref(f"{numerator}{s}"), ref(f"{denominator}{s}")) for s in (t, 1 - t)
        )
        return f'=IF({ref("S")}=1,IF({D}>0,{own}/{D},{other}/{E}),"")'

    return formula


def fitted_rate(change: Attribution, sheet: str, source: np.ndarray, of: int = 0) -> Formula:
    """The mean and the coefficients of the levels, of the fit that predicts the segment."""
    sizes = rates_of(change)[of].rates.design.sizes
    codes = [term_code(change, k) for k in range(len(sizes))]
    rows = [coefficient_rows(change, sheet, fit, of) for fit in (0, 1)]

    def formula(ref: Ref, c: int) -> str:
        fit = int(source[c])
        if fit < 0:
            return ""
        added = [f"INDEX({x},{ref(code)})" for x, code in zip(rows[fit], codes, strict=True)]
        return "=" + "+".join([mean_cell(sheet, fit, of), *added])

    return formula
