"""How numbers of a KPI are written: levels and changes in its unit, with fitting decimals."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Format", "aligned", "largest_remainder", "p_text", "significant", "tiny"]

MINUS = "\N{MINUS SIGN}"
# A number of doubles has no more digits than that; what is beyond it is written with its power.
_HUGE = 1e15


@dataclass(frozen=True)
class Format:
    """Writes levels ("92.66 %") and changes ("−1.23 pp") of one KPI.

    Parameters
    ----------
    unit : str
        "%" shows a ratio in percent and its changes in percentage points; anything else is shown
        behind the number.
    decimals : int
        Decimals of the shown number, after the factor of 100 where there is one.
    """

    unit: str
    decimals: int = 2

    @classmethod
    def fitting(cls, unit: str, change: float, level: float | None = None) -> Format:
        """Choose decimals so that the change shows at least three significant digits.

        Where the change may be noise, `level` is the KPI's level, which then shows at most five:
        nobody reads 294.0825 s for what may be anything from 293 to 295. Where nothing moved, it
        is the level that shows three, or the fewer that it has.

        Examples
        --------
        >>> Format.fitting("%", -0.0123).decimals, Format.fitting("s", 31.4).decimals
        (2, 1)
        >>> Format.fitting("s", 0.0852).decimals, Format.fitting("s", 0.0852, 294.1).decimals
        (4, 2)
        >>> Format.fitting("", 0.0, 3000.0).decimals, Format.fitting("s", 0.0, 0.05).decimals
        (0, 2)
        """
        percent = unit == "%"
        shown = abs(change or level or 0.0) * (100 if percent else 1)
        if not shown or not math.isfinite(shown):
            return cls(unit, 2)
        decimals = (2 if shown >= 0.095 else 3) if percent else 2 - _magnitude(shown)
        while not change and decimals > 0 and math.isclose(round(shown, decimals - 1), shown):
            decimals -= 1
        size = abs(level or 0.0) * (100 if percent else 1)
        if size and math.isfinite(size):
            decimals = min(decimals, 4 - _magnitude(size))
        return cls(unit, min(max(decimals, 2 if percent else 0), 6))

    @property
    def factor(self) -> float:
        """What a KPI value is multiplied by for showing."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def change_unit(self) -> str:
        """The unit of changes."""
        return "pp" if self.unit == "%" else self.unit

    def number(self, value: float, signed: bool = False) -> str:
        """Write the number alone, with a true minus sign.

        Examples
        --------
        >>> Format("", 0).number(-1234567.0), Format("", 0).number(2e300)
        ('−1,234,567', '2e+300')
        """
        if not math.isfinite(value):
            return "n/a"
        size = abs(value) * self.factor
        text = f"{size:,.{self.decimals}f}" if size < _HUGE else f"{size:.6g}"
        if float(text.replace(",", "")) == 0:
            return text
        return (MINUS if value < 0 else "+" if signed else "") + text

    def step(self, start: float, end: float) -> float:
        """Return the change between two levels as they are displayed, in the KPI's own unit.

        Levels and changes rounded each for itself need not fit: from 92.71 to 92.95 is +0.24, be
        it +0.248 before rounding.

        Examples
        --------
        >>> f = Format("%")
        >>> f.level(0.92706), f.level(0.92954), f.change(f.step(0.92706, 0.92954))
        ('92.71 %', '92.95 %', '+0.24 pp')
        """
        before, after = (round(x * self.factor, self.decimals) for x in (start, end))
        return (after - before) / self.factor

    def level(self, value: float) -> str:
        """Write a level of the KPI; what is not known has no unit.

        Examples
        --------
        >>> Format("%").level(0.92664), Format("%").level(float("nan"))
        ('92.66 %', 'n/a')
        """
        return f"{self.number(value)} {self.unit}".rstrip() if math.isfinite(value) else "n/a"

    def change(self, value: float) -> str:
        """Write a change of the KPI, with its sign; what is not known has no unit.

        Examples
        --------
        >>> Format("%").change(0.0123), Format("s", 1).change(0.02)
        ('+1.23 pp', '0.0 s')
        """
        if not math.isfinite(value):
            return "n/a"
        return f"{self.number(value, signed=True)} {self.change_unit}".rstrip()

    def interval(self, low: float, high: float) -> str:
        """Write an interval of changes, without the unit; "" where there is none.

        Examples
        --------
        >>> Format("%").interval(-0.0192, -0.0054)
        '−1.92 to −0.54'
        """
        if not (math.isfinite(low) and math.isfinite(high)):
            return ""
        return f"{self.number(low, signed=True)} to {self.number(high, signed=True)}"


def _magnitude(size: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(size))


def largest_remainder(values: list[float], total: float, decimals: int) -> list[float]:
    """Round values so that they add up to `total`, itself rounded to `decimals`.

    Each is rounded down and the units that are missing go to the largest remainders; of equal ones
    to that of the larger value, so that the order of the values does not show.

    Examples
    --------
    >>> largest_remainder([-0.545, -0.545, -0.545], -1.635, 2)
    [-0.54, -0.55, -0.55]
    >>> largest_remainder([4.75, 5.25], 10, 1), largest_remainder([5.25, 4.75], 10, 1)
    ([4.7, 5.3], [5.3, 4.7])
    """
    unit = 10.0**-decimals
    floors = [math.floor(v / unit) for v in values]
    missing = round(total / unit) - sum(floors)
    # A value that is already round keeps its figure as long as others have a remainder to give.
    remainder = [round(v / unit - f, 9) for v, f in zip(values, floors, strict=True)]
    order = sorted(range(len(values)), key=lambda i: (-remainder[i], -abs(values[i])))
    if order:
        each, more = divmod(missing, len(order))
        for rank, i in enumerate(order):
            floors[i] += each + (rank < more)
    return [round(f * unit, decimals) for f in floors]


def tiny(value: float) -> str:
    """Return what should be 0, as a power of ten with the minus of all other numbers.

    Examples
    --------
    >>> tiny(-2.2e-16)
    '−2.2e−16'
    """
    return f"{value:.1e}".replace("-", MINUS)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """Write rows of texts as lines whose columns stand below each other.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of the same length; at least one.
    right : collection of int
        The columns that end below each other, as numbers do; the others begin so.

    Returns
    -------
    list of str

    Examples
    --------
    >>> aligned([("queue", "n"), ("live", "120")], right=[1])
    ['queue    n', 'live   120']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{x:>{w}}" if i in right else f"{x:<{w}}"
            for i, (x, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def p_text(p: float) -> str:
    """Write a p-value.

    Examples
    --------
    >>> p_text(0.0004), p_text(0.0412), p_text(float("nan"))
    ('p < 0.001', 'p = 0.041', '')
    """
    if not math.isfinite(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def significant(value: float, digits: int = 12) -> float | None:
    """Round to significant digits for exports; NaN and infinities become None.

    Examples
    --------
    >>> significant(0.1 + 0.2), significant(float("nan"))
    (0.3, None)
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
