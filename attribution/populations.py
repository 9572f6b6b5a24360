"""standardize_factors: any function of factors in many populations, compared fairly."""

from __future__ import annotations

import html
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.cube import several
from attribution.decompose.factors import MOST_PLAYERS
from attribution.decompose.many import standardize_function
from attribution.errors import AttributionError, OptionError, check_option, listing
from attribution.formatting import Format, aligned
from attribution.formulas import as_function, mentioned, read_factors, used_of_tables
from attribution.labels import label_of, natural_key
from attribution.source import read_records

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StandardizedFactors", "standardize_factors"]

_MOST_POPULATIONS = 100


def standardize_factors(
    function: Callable[..., Any] | str,
    populations: Any,
    *,
    group: str | None = None,
    by: str | Sequence[str] = (),
    name: str | None = None,
    unit: str | None = None,
    better: str = "higher",
) -> StandardizedFactors:
    """Compare a function of factors in many populations, each factor apart.

    ``standardized_f(k) = level_f + (1/P) sum_i [S_f(k | i, k) - S_f(i | i, k)]``

    with S_f(k | i, k) the function where only factor f is that of k and the others are averaged
    over i and k (`Factors.standardized`), and level_f its mean over all pairs: what the function
    would be if populations differed in factor f alone. Effects of one population against another
    go through all P of them, so that A to B and B to C add up to A to C, and the effects of all
    factors add up to the difference of the function.

    Parameters
    ----------
    function : callable or str
        As in `attribution.factors`: a formula of names, numbers, ``+ - * /`` and ``sum(...)``, a
        callable, or "product".
    populations : mapping or table
        Population -> its factors, as `attribution.factors` takes a baseline. Or a table with a
        column `group` and a column for each factor that the formula or the callable names.
    group : str, optional
        The column of a table that tells populations apart.
    by : str or sequence of str, optional
        Columns of a table that name the elements of arrays; every population has the same ones.
        Without it a population with several rows has arrays in the order of its rows.
    name : str, optional
        What the result is called; by default the formula or the name of the callable.
    unit : str, optional
        Shown beside numbers.
    better : {"higher", "lower"}
        Which direction is good.

    Returns
    -------
    StandardizedFactors

    Raises
    ------
    OptionError
        Fewer than two populations or more than 100, more than 10 factors, names, shapes or
        elements that differ between populations, or a function without one finite number for some
        mixture of two populations.
    ColumnNotFoundError, ColumnTypeError, ExpressionError
        The table, a factor or the formula cannot be read.

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates: A User's Manual. Current
    Population Reports P23-186, U.S. Bureau of the Census, chapter 6.

    Examples
    --------
    >>> sites = standardize_factors(
    ...     "volume * aht * wage",
    ...     {
    ...         "Austin": {"volume": 1000, "aht": 0.10, "wage": 30},
    ...         "Dublin": {"volume": 1200, "aht": 0.11, "wage": 25},
    ...         "Manila": {"volume": 2000, "aht": 0.12, "wage": 10},
    ...     },
    ...     name="Cost", unit="EUR", better="lower",
    ... )
    >>> print(sites)
    Cost of 3 populations, each factor apart and the others at their average over all:
    <BLANKLINE>
            Austin  Dublin  Manila
    volume   2,293   2,866   4,463
    aht      2,840   3,140   3,409
    wage     4,552   3,979   1,214
    Crude    3,000   3,300   2,400
    (in EUR)
    """
    check_option("better", better, ["higher", "lower"])
    sides = _sides(function, populations, group, several(by))
    _check_number(sides)
    labels = list(sides)
    used = dict(zip(labels, used_of_tables(function, *sides.values()), strict=True))
    names, arrays = _read(used)
    if len(names) > MOST_PLAYERS:
        raise OptionError(
            f"populations: {len(names)} factors; at most {MOST_PLAYERS} (2^F values of the "
            "function for each pair). Name fewer in the function, or put some together in one "
            "array."
        )
    value, shown = as_function(function, names)
    found = standardize_function(value, names, arrays)
    return StandardizedFactors(
        name=name or shown,
        unit=unit or "",
        better=better,
        populations=tuple(labels),
        factors=names,
        crude=tuple(found.crude.tolist()),
        standardized=tuple(map(tuple, found.standardized.tolist())),
        effects=tuple(map(tuple, found.effects.tolist())),
    )


@dataclass(frozen=True)
class StandardizedFactors:
    """A function of factors in many populations; made by `attribution.standardize_factors`.

    Attributes
    ----------
    name, unit, better : str
    populations : tuple of str
    factors : tuple of str
    crude : tuple of float
        The function in each population.
    standardized : tuple of tuple of float
        For each factor: the function in each population if they differed in that factor alone.
    effects : tuple of tuple of float
        For each factor: what it adds to each population against the average one.
    """

    name: str
    unit: str
    better: str
    populations: tuple[str, ...]
    factors: tuple[str, ...]
    crude: tuple[float, ...]
    standardized: tuple[tuple[float, ...], ...]
    effects: tuple[tuple[float, ...], ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per population and factor: `group, dimension, crude, standardized, effect`.

        `dimension` is the factor, `effect` what it adds to the population against the average one:
        those of a population add up to its value less the mean of all.
        """
        import pandas as pd

        F, P = len(self.factors), len(self.populations)
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(self.populations, dtype=object), F),
                "dimension": list(self.factors) * P,
                "crude": np.repeat(self.crude, F),
                "standardized": np.array(self.standardized).T.ravel(),
                "effect": np.array(self.effects).T.ravel(),
            }
        )

    @property
    def table(self) -> pd.DataFrame:
        """The standardized values as tables print them: a row per factor, then the crude value.

        A column per population.
        """
        import pandas as pd

        rows = [*self.standardized, self.crude]
        index = pd.Index([*self.factors, "crude"], name="dimension")
        return pd.DataFrame(rows, index=index, columns=list(self.populations))

    @property
    def pairs(self) -> pd.DataFrame:
        """The effects that lead from each population to each later one, a row per factor.

        Columns: baseline, current, effect ("factor"), dimension, estimate. The rows of a pair add
        up to the difference of the function; each factor adds up along any chain of populations.
        """
        import pandas as pd

        effects = np.array(self.effects)
        both = list(itertools.combinations(range(len(self.populations)), 2))
        rows = [
            (
                self.populations[i],
                self.populations[j],
                "factor",
                factor,
                effects[f, j] - effects[f, i],
            )
            for i, j in both
            for f, factor in enumerate(self.factors)
        ]
        return pd.DataFrame(
            rows, columns=["baseline", "current", "effect", "dimension", "estimate"]
        )

    def summary(self) -> str:
        """Return the table of standardized values as text."""
        every = np.array([*self.standardized, self.crude])
        spread = float(np.ptp(every, axis=1).max())
        format = Format.fitting(self.unit, spread, float(np.abs(every).max()))
        head = ("", *self.populations)
        rows = [
            (label, *(format.number(x) for x in values))
            for label, values in zip([*self.factors, "Crude"], every.tolist(), strict=True)
        ]
        lines = aligned([head, *rows], right=range(1, len(head)))
        unit = [f"(in {format.unit})"] if format.unit else []
        title = (
            f"{self.name} of {len(self.populations)} populations, each factor apart and the others "
            "at their average over all:"
        )
        return "\n".join([title, "", *lines, *unit])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        low, high = min(self.crude), max(self.crude)
        format = Format.fitting(self.unit, high - low, max(abs(low), abs(high)))
        return (
            f"<StandardizedFactors {self.name}: {len(self.populations)} populations, "
            f"{format.level(low)} to {format.level(high)}, by {listing(self.factors, most=6)}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


# -- reading -----------------------------------------------------------------------------------


def _sides(
    function: Callable[..., Any] | str, populations: Any, group: str | None, by: Sequence[str]
) -> dict[str, Any]:
    """Population -> its factors."""
    if isinstance(populations, Mapping) and group is None:
        if by:
            raise OptionError("by: it names columns of a table; name its column of groups too.")
        found = {label_of(key): side for key, side in populations.items()}
        if len(found) < len(populations):
            raise OptionError(f"populations: two are called the same in {listing(populations)}.")
        return found
    if group is None:
        raise OptionError(
            "group: name the column that tells the populations of the table apart, or give a "
            "mapping of population to factors."
        )
    return _of_table(populations, _factors_of(function), group, by)


def _factors_of(function: Callable[..., Any] | str) -> list[str]:
    """The columns of a table that a function names."""
    names: list[str] = []
    if isinstance(function, str) and function != "product":
        names = mentioned(function)
    elif callable(function):
        try:
            names = [
                p.name
                for p in inspect.signature(function).parameters.values()
                if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            ]
        except ValueError:
            names = []
    if not names:
        raise OptionError(
            f"function: {function!r:.80} names no columns of the table. Write the formula out "
            "('volume * aht'), or give a mapping of population to factors."
        )
    return names


def _of_table(data: Any, factors: Sequence[str], group: str, by: Sequence[str]) -> dict[str, Any]:
    """The factors of each value of `group`, in natural order: numbers, or arrays by element."""
    if clash := [x for x in (group, *by) if x in factors]:
        raise OptionError(f"function: {clash[0]!r} is a factor and names populations or elements.")
    read = read_records(data, [*factors, group, *by], parameter="populations", labels=[group, *by])
    keys = [tuple(map(label_of, x)) for x in zip(*(read[c] for c in by), strict=True)]
    at: dict[str, list[int]] = {}
    for row, value in enumerate(read[group]):
        at.setdefault(label_of(value), []).append(row)
    sides: dict[str, Any] = {}
    first: list[tuple[str, ...]] | None = None
    for label in sorted(at, key=natural_key):
        rows = at[label]
        if by:
            rows = sorted(rows, key=lambda row: tuple(map(natural_key, keys[row])))
            own = [keys[row] for row in rows]
            if twice := [x for x, y in itertools.pairwise(own) if x == y]:
                raise OptionError(f"by: {label!r} has several rows of {' × '.join(twice[0])!r}.")
            first = own if first is None else first
            if odd := sorted(set(own) ^ set(first)):
                raise OptionError(
                    f"by: {label!r} and {next(iter(sides))!r} have not the same elements: "
                    f"{listing([' × '.join(x) for x in odd], most=6)}."
                )
        elif len(rows) != len(known := next(iter(at.values()))):
            raise OptionError(
                f"by: {label!r} has {_rows(rows)}, {next(iter(at))!r} {_rows(known)}; name the "
                "columns that tell the elements of a population apart with by=, or keep one row "
                "of each."
            )
        values = {x: [read[x][row] for row in rows] for x in factors}
        sides[label] = {x: v[0] if len(v) == 1 else v for x, v in values.items()}
    return sides


def _rows(rows: Sequence[int]) -> str:
    return f"{len(rows)} row{'s' * (len(rows) > 1)}"


def _check_number(sides: Mapping[str, Any]) -> None:
    P = len(sides)
    if not 2 <= P <= _MOST_POPULATIONS:
        raise OptionError(
            f"populations: {P} given; 2 to {_MOST_POPULATIONS} can be compared, each with each."
        )


def _read(sides: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[np.ndarray, ...]]]:
    """The names of the factors, and their values in each population, of the same shapes."""
    (reference, one), *others = sides.items()
    names: tuple[str, ...] = ()
    arrays: list[tuple[np.ndarray, ...]] = []
    for label, side in others:
        try:
            inputs, _ = read_factors(one, side)
        except AttributionError as error:
            text = str(error).replace("at baseline", f"in {reference!r}")
            text = text.replace("the baseline", repr(reference))
            text = text.replace("the current", repr(label))
            for called, population in (("baseline:", reference), ("current:", label)):
                text = text.replace(called, f"populations, {population!r}:", 1)
            error.args = (text, *error.args[1:])
            raise
        names = inputs.names
        arrays = arrays or [inputs.baseline]
        arrays.append(inputs.current)
    return names, arrays
