"""factors: why any function of named numbers or arrays changed, one effect per factor.

The module is not called factors, because a lazy ``at.factors`` beside a module of that name would
turn into the module.
"""

from __future__ import annotations

import html
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.bridge import Bar, Bridge
from attribution.decompose.factors import MOST_PLAYERS, FactorEffects, Inputs, factor_effects
from attribution.errors import DataQualityWarning, OptionError, check_option
from attribution.filed import Filed
from attribution.formatting import aligned
from attribution.formulas import as_function, read_factors, used_of_tables

if TYPE_CHECKING:
    import pandas as pd

    from attribution.plots import FactorPlots

__all__ = ["FactorEffect", "FactorTotal", "Factors", "factors"]

# A residual is a row of its own beyond this part of the movement and of the levels.
_OF_MOVEMENT, _OF_LEVELS = 1e-6, 1e-12


def factors(
    function: Callable[..., Any] | str,
    baseline: Any,
    current: Any,
    *,
    method: str = "auto",
    elements: bool = False,
    name: str | None = None,
    unit: str | None = None,
    better: str = "higher",
    labels: tuple[str, str] = ("baseline", "current"),
) -> Factors:
    """Return what each factor of a function contributed to its change.

    ``effect_i = sum over A without i of |A|! (P - 1 - |A|)! / P! [f(A and i) - f(A)]``, the
    Shapley value, with f(A) the function where the factors in A are current and the others at
    baseline: Das Gupta's effects of P factors. Beyond 10 factors, and for elements, the line
    integral ``integral_0^1 df/dx_i (x_1i - x_0i) dλ`` (Horiuchi), its residual reported. The two
    agree wherever the function is linear in each factor, as products and sums of products are.

    Parameters
    ----------
    function : callable or str
        A callable that takes the factors by keyword (or in their order, if it calls all of them
        otherwise) and returns one number, found in any way, as the root of an equation is; a
        formula of names, numbers, ``+ - * /``, parentheses and ``sum(...)`` over the elements of
        arrays; or "product": the product of all factors, summed over the elements of arrays.
    baseline, current : mapping of str to number or array, table, or array
        The factors in the two periods: the same names, and the same shape in both. A Series is an
        array whose index names the elements. Two rows of a table (``table.loc["2026-09"]``), or two
        tables whose columns are the factors, will do; of a table only those that a formula or the
        callable names are used. One array, list or Series of numbered elements in place of names:
        the callable takes it whole, and each element has an effect.
    method : {"auto", "shapley", "integral"}
        "auto": Shapley up to 10 factors, the line integral beyond and for elements.
    elements : bool
        One effect for each element of an array.
    name : str, optional
        What the result is called; by default the formula or the name of the callable.
    unit : str, optional
        Shown beside numbers; "%" shows the result in % and its changes in pp.
    better : {"higher", "lower"}
        Which direction is good. It colors and words results, it never flips a sign.
    labels : (str, str)
        What the two sides are called: ("plan", "actual").

    Returns
    -------
    Factors

    Raises
    ------
    OptionError
        Names or shapes differ between the two sides, a value is not finite, the function fails or
        does not return one finite number at a mixture of baseline and current values, or there are
        more than 10 factors for "shapley".
    ExpressionError
        The formula is not in the grammar.
    ColumnTypeError
        The function, a side or a factor has a type that cannot be used.

    Warns
    -----
    DataQualityWarning
        The line integral leaves a residual, which is then a row of `effects`.

    References
    ----------
    Das Gupta 1993; Shorrocks 2013; Horiuchi, Wilmoth & Pletcher 2008.

    Examples
    --------
    >>> change = factors(
    ...     "volume * aht * wage",
    ...     {"volume": 1000, "aht": 0.10, "wage": 20},
    ...     {"volume": 1200, "aht": 0.11, "wage": 20},
    ...     name="Cost", unit="EUR", better="lower",
    ... )
    >>> change
    <Factors Cost: 2,000 EUR -> 2,640 EUR (+640 EUR)>
    >>> change.effects[["effect", "dimension", "estimate"]].round(6)
       effect dimension  estimate
    0  factor    volume     420.0
    1  factor       aht     220.0
    2  factor      wage       0.0
    """
    check_option("method", method, ["auto", "shapley", "integral"])
    check_option("better", better, ["higher", "lower"])
    if _is_vector(baseline) and _is_vector(current):
        called, elements = _parameter_of(function), True
        baseline, current = {called: baseline}, {called: current}
    baseline, current = used_of_tables(function, baseline, current)
    inputs, element_names = read_factors(baseline, current)
    value, shown = as_function(function, inputs.names)
    if method == "auto":
        few = len(inputs.names) <= MOST_PLAYERS and not elements
        method = "shapley" if few else "integral"
    found = factor_effects(value, inputs, method, elements)
    change = Factors(
        name=name or shown,
        unit=unit or "",
        better=better,
        labels=check_labels(labels),
        method=method,
        total=FactorTotal(found.baseline, found.current),
        rows=tuple(_rows(inputs, element_names, found, elements)),
        residual=found.residual,
    )
    if change.residual_shows:
        warnings.warn(
            f"function: the line integral leaves {change.residual:.6g} of a change of "
            f"{change.total.change:.6g} as a residual: the function jumps or grows without bound "
            "between baseline and current, or is known to few digits.",
            DataQualityWarning,
            stacklevel=2,
        )
    return change


@dataclass(frozen=True)
class FactorTotal:
    """The result in both periods, without sampling error.

    Attributes
    ----------
    baseline, current : float
    """

    baseline: float
    current: float

    @property
    def change(self) -> float:
        """current - baseline."""
        return self.current - self.baseline


@dataclass(frozen=True)
class FactorEffect:
    """What one factor, or one element of it, contributed.

    Attributes
    ----------
    factor : str
    element : str or None
        The element of an array, where elements were asked for.
    baseline, current : float or None
        Its values; None for a whole array.
    estimate : float
        In units of the function.
    standardized : (float, float) or None
        The function in both periods with all other factors averaged over both; see
        `Factors.standardized`.
    """

    factor: str
    element: str | None
    baseline: float | None
    current: float | None
    estimate: float
    standardized: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """The name on a bar."""
        return self.factor if self.element is None else f"{self.factor}: {self.element}"


@dataclass(frozen=True)
class Factors(Filed):
    """Why a function of factors changed; made by `attribution.factors`.

    Attributes
    ----------
    name, unit, better : str
    labels : (str, str)
        What the two sides are called.
    method : str
        "shapley" or "integral".
    total : FactorTotal
        `baseline`, `current` and `change` of the function.
    rows : tuple of FactorEffect
        One per factor, in the order given, or one per element.
    residual : float
        The change less the sum of the effects: rounding for Shapley, the error of the integral.
    """

    name: str
    unit: str
    better: str
    labels: tuple[str, str]
    method: str
    total: FactorTotal
    rows: tuple[FactorEffect, ...]
    residual: float

    @property
    def residual_shows(self) -> bool:
        """Whether the residual is more than rounding, and so a row and a bar of its own."""
        return residual_shows(self.residual, [row.estimate for row in self.rows], self.total)

    @property
    def effects(self) -> pd.DataFrame:
        """The bridge, with the columns of `Attribution.effects`; `estimate` adds up to the change.

        One row per factor: `effect` is "factor", `dimension` its name, `segment` the element if
        elements were asked for. A residual that is more than rounding is a row "residual". Numbers
        without sampling error have null `std_error`, intervals and p-values; `share_of_change` is
        null where the change is within 10 % of the movement behind it.
        """
        import pandas as pd

        rows = [("factor", row.factor, row.element, row.estimate) for row in self.rows]
        left = [("residual", None, None, self.residual)] if self.residual_shows else []
        effect, factor, element, estimate = zip(*rows, *left, strict=True)
        return pd.DataFrame(
            {
                "effect": effect,
                "dimension": pd.Series(factor, dtype=object),
                "segment": pd.Series(element, dtype=object),
                "estimate": estimate,
                **dict.fromkeys(("std_error", "conf_low", "conf_high"), np.nan),
                **dict.fromkeys(("p_value", "p_adjusted"), np.nan),
                "share_of_change": shares_of_change(estimate, self.total.change, estimate),
            }
        )

    @property
    def standardized(self) -> pd.DataFrame:
        """The function standardized for all factors but one, a row for each: Das Gupta's rates.

        ``S_i(x) = sum over A without i of |A|! (P - 1 - |A|)! / P! f(A current, i at x)``, f where
        only factor i has its value of the period and the others are averaged over both.

        Columns: dimension (the factor), segment, baseline, current, estimate; `estimate` is
        current - baseline, the effect. The line integral has none and raises `OptionError`.
        """
        import pandas as pd

        found = [row.standardized for row in self.rows]
        if any(ends is None for ends in found):
            raise OptionError(
                f"standardized: the line integral has effects only; method='shapley', of at most "
                f"{MOST_PLAYERS} factors, has standardized values too."
            )
        return pd.DataFrame(
            {
                "dimension": pd.Series([row.factor for row in self.rows], dtype=object),
                "segment": pd.Series([row.element for row in self.rows], dtype=object),
                "baseline": [ends[0] for ends in found if ends],
                "current": [ends[1] for ends in found if ends],
                "estimate": [row.estimate for row in self.rows],
            }
        )

    def bridge(self, max_bars: int | None = None) -> Bridge:
        """Return the bars that every picture and file draws.

        Parameters
        ----------
        max_bars : int, optional
            Sum the smallest bars into "other" beyond this number.

        Returns
        -------
        Bridge
        """
        bars = [Bar(row.label, row.estimate, rows=(i,)) for i, row in enumerate(self.rows)]
        if self.residual_shows:
            bars.append(Bar("Residual", self.residual, rows=(len(bars),)))
        how = {"shapley": "Shapley", "integral": "line integral"}[self.method]
        what = "factor" if all(row.element is None for row in self.rows) else "element"
        what += "s" if len(self.rows) > 1 else ""
        note = f"Method: {how} over {len(self.rows)} {what}."
        bridge = exact_bridge(
            self.name, self.unit, self.better, self.labels, self.total, bars, note
        )
        return bridge if max_bars is None else bridge.condensed(max_bars)

    @property
    def plot(self) -> FactorPlots:
        """The picture: ``change.plot.waterfall()``."""
        from attribution.plots import FactorPlots

        return FactorPlots(self)

    def summary(self) -> str:
        """Return the headline and the bridge as text."""
        bridge = self.bridge()
        format = bridge.format
        lines = [(bridge.baseline_label, format.number(bridge.baseline), "")]
        for bar, text in zip(bridge.bars, bridge.texts(), strict=True):
            lines.append((f"  {bar.label}", text, self._values(bar)))
        lines.append((bridge.current_label, format.number(bridge.current), ""))
        table = aligned(lines, right=[1])
        units = dict.fromkeys(u for u in (format.unit, format.change_unit) if u)
        unit = [f"({', steps in '.join(units)})"] if units else []
        return "\n".join([f"{bridge.message}.", "", *table, *unit, "", *bridge.notes])

    def _values(self, bar: Bar) -> str:
        """The factor itself, from baseline to current."""
        row = self.rows[bar.rows[0]] if bar.rows[0] < len(self.rows) else None
        if row is None or row.baseline is None or row.current is None:
            return ""
        return f"{row.baseline:,.6g} -> {row.current:,.6g}"

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Factors {in_short(self.bridge())}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def check_labels(labels: object) -> tuple[str, str]:
    """Return what the two sides are called, or raise `OptionError`."""
    match labels:
        case (str() as before, str() as after):
            return before, after
    raise OptionError(f"labels: {labels!r} is not two texts, as in ('plan', 'actual').")


def residual_shows(residual: float, estimates: Sequence[float], total: FactorTotal) -> bool:
    """Return whether a residual is more than the rounding of effects and levels."""
    movement = sum(abs(x) for x in estimates)
    levels = abs(total.baseline) + abs(total.current)
    return abs(residual) > max(_OF_MOVEMENT * movement, _OF_LEVELS * levels)


def shares_of_change(
    estimates: Sequence[float], change: float, bars: Sequence[float]
) -> np.ndarray:
    """Return estimates over the change; null where it is within 10 % of the bars' movement."""
    sound = abs(change) > 0.1 * sum(abs(x) for x in bars)
    return np.asarray(estimates) / change if sound else np.full(len(estimates), np.nan)


def exact_bridge(
    name: str,
    unit: str,
    better: str,
    labels: tuple[str, str],
    total: FactorTotal,
    bars: Sequence[Bar],
    note: str,
) -> Bridge:
    """Return the bridge of numbers without sampling error, with its message."""
    bridge = Bridge(
        metric=name,
        unit=unit,
        better=better,
        baseline_label=labels[0],
        current_label=labels[1],
        baseline=total.baseline,
        current=total.current,
        bars=tuple(bars),
        notes=(note,),
        scenarios=(_scenario(labels[0], "previous"), _scenario(labels[1], "actual")),
    )
    return replace(bridge, message=_headline(bridge))


def _scenario(label: str, otherwise: str) -> str:
    """What a side is, by what it is called."""
    named = {"plan": "plan", "budget": "plan", "target": "plan", "forecast": "forecast"}
    return named.get(label.casefold(), otherwise)


def _headline(bridge: Bridge) -> str:
    """Say what moved, by how much, and the largest bar along with it."""
    format, change = bridge.format, bridge.change
    if not change:
        return f"{bridge.metric} stayed at {format.level(bridge.current)}"
    # The change as the displayed levels give it, so that words and totals agree.
    ends = [round(x * format.factor, format.decimals) for x in (bridge.baseline, bridge.current)]
    moved = (
        f"{bridge.metric} {'rose' if change > 0 else 'fell'} from {format.level(bridge.baseline)} "
        f"to {format.level(bridge.current)} ({format.change((ends[1] - ends[0]) / format.factor)})"
    )
    along = [bar for bar in bridge.bars if bar.value * change > 0]
    if not along:
        return moved
    largest = max(along, key=lambda bar: abs(bar.value))
    most = abs(largest.value) > 0.5 * abs(sum(bar.value for bar in along))
    return f"{moved}, {'most of it in' if most else 'largest in'} {largest.label}"


def in_short(bridge: Bridge) -> str:
    """Return the levels and the change, for a `repr`."""
    format = bridge.format
    return (
        f"{bridge.metric}: {format.level(bridge.baseline)} -> {format.level(bridge.current)} "
        f"({format.change(bridge.change)})"
    )


def _is_vector(side: object) -> bool:
    """Whether factors are given as one array: nothing names its elements in words."""
    if isinstance(side, list | tuple | np.ndarray):
        return True
    if isinstance(side, Mapping) or getattr(side, "ndim", 0) != 1:
        return False
    index: Any = getattr(side, "index", None)
    return index is not None and not any(isinstance(label, str) for label in index)


def _parameter_of(function: object) -> str:
    """What a callable calls its first argument."""
    try:
        return next(iter(inspect.signature(function).parameters))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, StopIteration):
        return "x"


def _rows(
    inputs: Inputs, element_names: Mapping[str, list[str]], found: FactorEffects, elements: bool
) -> Iterator[FactorEffect]:
    estimates = iter(found.effects.tolist())
    alone = iter([None] * len(found.effects))
    if found.standardized is not None:
        alone = iter([(float(a), float(b)) for a, b in found.standardized])
    for name, before, after in zip(inputs.names, inputs.baseline, inputs.current, strict=True):
        if elements and before.ndim:
            for element, a, b in zip(element_names[name], before.flat, after.flat, strict=True):
                yield FactorEffect(name, element, float(a), float(b), next(estimates), next(alone))
        else:
            ends = (None, None) if before.ndim else (float(before), float(after))
            yield FactorEffect(name, None, *ends, next(estimates), next(alone))
