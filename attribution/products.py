"""KPIs made of KPIs: a product of factors, and accuracy as one less its error types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from attribution.errors import ColumnTypeError, OptionError
from attribution.kpis import as_metric
from attribution.metric_text import outside_split
from attribution.metrics import Metric, Quantile, Rate, is_ratio
from attribution.moments import Contract, Moment, check_metric

__all__ = ["Composite", "ErrorTypes", "Product", "product_of"]

_MOST_FACTORS = 10
_TYPES = ("over_enforcement", "under_enforcement", "wrong_policy", "technical_errors")


@dataclass(frozen=True)
class Composite:
    """What KPIs made of KPIs share: all the sums of their factors, in one scan."""

    of_trials: ClassVar[bool] = False
    _joined_by: ClassVar[str]

    factors: Mapping[str, Metric | str] = field(hash=False)
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def _read(self) -> None:
        """Check the parts, and read factors that are text."""
        check_metric(self)
        object.__setattr__(self, "factors", _factors(type(self).__name__, self.factors))

    @property
    def kpis(self) -> dict[str, Metric]:
        """The factors, as KPIs."""
        return {name: as_metric(factor) for name, factor in self.factors.items()}

    @property
    def numerator(self) -> str:
        """The formula over the sums, as text."""
        return self._joined_by.join(
            f"({m.numerator}) / ({m.denominator or 'rows'})" if is_ratio(m) else f"({m.numerator})"
            for m in self.kpis.values()
        )

    @property
    def denominator(self) -> None:
        """None: each factor has its own."""
        return None

    @property
    def checked(self) -> Contract:
        """What its rows must satisfy: what those of every factor must."""
        own = [m.checked for m in self.kpis.values()]
        return Contract(
            tuple(dict.fromkeys(x for c in own for x in c.not_negative)),
            tuple(dict.fromkeys(x for c in own for x in c.trials)),
        )

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or " × ".join(self.factors)

    @property
    def display_unit(self) -> str:
        """The unit shown."""
        return self.unit or ""

    def moments(self, weighted: bool) -> dict[str, Moment]:
        """Return the sums it needs: one block after the other, their Gram, and its factors' own.

        Parameters
        ----------
        weighted : bool
            Whether rows carry weights.

        Returns
        -------
        dict of str to Moment
            "sum0", "sum1" ...: the sums of the first factor, then those of the second ...;
            "factor0.numerator" ...: what each factor asks for.
        """
        factors = [m.moments(weighted) for m in self.kpis.values()]
        blocks = [(j, r) for j, m in enumerate(self.kpis.values()) for r in sum_roles(m)]
        found = {"count": self._count(factors)}
        for i, (j, role) in enumerate(blocks):
            found[f"sum{i}"] = factors[j][role]
            for k in range(i, len(blocks)):
                product = self._together(factors, blocks[i], blocks[k])
                if product is not None:
                    found[f"sum{i}_sum{k}"] = Moment(product, 2 * weighted)
        own = {f"factor{j}.{r}": x for j, each in enumerate(factors) for r, x in each.items()}
        return {"numerator": found["sum1"], "denominator": found["sum0"], **found, **own}

    def _count(self, factors: list[dict[str, Moment]]) -> Moment:
        return Moment()

    def _together(
        self, factors: list[dict[str, Moment]], one: tuple[int, str], two: tuple[int, str]
    ) -> tuple[str, ...] | None:
        """The factors of a row's part in two sums; None where no row has a part in both."""
        return factors[one[0]][one[1]].factors + factors[two[0]][two[1]].factors


@dataclass(frozen=True)
class Product(Composite):
    """A product of KPIs: cost = volume x AHT x wage, appeal rate x overturn rate.

    ``F = f_1 f_2 ... f_P``, divided among the factors by Das Gupta's weights (the Shapley value)
    and within each factor into its mix and rate. It is a metric as any other:
    ``at.explain(data, at.Product({...}), by=...)``.

    Parameters
    ----------
    factors : mapping of str to Metric or str
        The name of each factor and a KPI of the same rows: ``{"AHT": "mean(seconds)"}``, a Rate,
        Ratio, Mean, Total, smooth function of sums, or a name of the KPI dictionary. 2 to 10.
    name : str, optional
        What the KPI is called in headlines.
    better : {"higher", "lower"}
        Which direction is good.
    unit : str, optional
        The unit shown; "%" shows percentage points.

    Raises
    ------
    ColumnTypeError, OptionError
        Fewer than 2 factors or more than 10, or one that is no KPI of sums.

    Notes
    -----
    As text: ``"product(volume = total(decisions), AHT = ratio(hours / decisions))"``; a factor
    without a name is called as its KPI. Without a cluster rows are the independent units, also
    those that count several trials.

    References
    ----------
    Das Gupta, P. (1993). Standardization and Decomposition of Rates. US Census Bureau P23-186.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> work = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["A", "B"] * 2,
    ...                      "decisions": [100, 100, 100, 200], "hours": [10., 20, 10, 40]})
    >>> hours = Product({"volume": at.Total("decisions", volume="decisions"),
    ...                  "AHT": "ratio(hours / decisions)"}, name="Hours", unit="h")
    >>> change = at.explain(work, hours, "queue", period="month", baseline=1, current=2)
    >>> change.factors[["factor", "baseline", "current", "estimate"]].round(3)
       factor  baseline  current  estimate
    0  volume    200.00  300.000    15.833
    1     AHT      0.15    0.167     4.167
    """

    _joined_by: ClassVar[str] = " * "

    def __post_init__(self) -> None:
        if not isinstance(self.factors, Mapping) or not 2 <= len(self.factors) <= _MOST_FACTORS:
            raise OptionError(
                f"Product: factors is {self.factors!r}; it maps 2 to {_MOST_FACTORS} names to "
                "KPIs, as in {'volume': 'total(decisions)', 'AHT': 'mean(seconds)'}."
            )
        self._read()


@dataclass(frozen=True)
class ErrorTypes(Composite):
    """Accuracy as one less the shares of its error types; see `attribution.error_types`.

    Parameters
    ----------
    factors : mapping of str to Metric or str
        The name of each error type and its share, a `Rate` of the same trials.
    name, better, unit
        As in `Product`.

    Raises
    ------
    OptionError
        A type is no share, or they do not share their trials.
    """

    _joined_by: ClassVar[str] = " + "

    factors: Mapping[str, Metric | str] = field(
        default_factory=lambda: {as_metric(kpi).label: kpi for kpi in _TYPES}, hash=False
    )
    _: KW_ONLY
    name: str | None = "Accuracy"
    unit: str | None = "%"

    def __post_init__(self) -> None:
        if isinstance(self.factors, Mapping):
            self._read()
        shares = self.kpis if isinstance(self.factors, Mapping) else {}
        trials = {share.denominator for share in shares.values()}
        if not all(isinstance(x, Rate) for x in shares.values()) or len(trials) != 1:
            raise OptionError(
                f"types: {self.factors!r} are not shares of the same trials, as in {{'Over': 'over "
                "/ reviewed', 'Under': 'under / reviewed'}."
            )

    @property
    def numerator(self) -> str:
        """The formula over the sums, as text."""
        return f"1 - ({super().numerator})"

    def _count(self, factors: list[dict[str, Moment]]) -> Moment:
        return factors[0]["count"]

    def _together(
        self, factors: list[dict[str, Moment]], one: tuple[int, str], two: tuple[int, str]
    ) -> tuple[str, ...] | None:
        # A trial has one type at most and is its own square: products of counts are counts.
        if one[0] != two[0] and one[1] == two[1] == "numerator":
            return None
        which = one if one[1] == "numerator" else two
        return factors[which[0]][which[1]].factors


def sum_roles(metric: Metric) -> list[str]:
    """Return the roles of the sums that a KPI is a function of, its volume or denominator first.

    Parameters
    ----------
    metric : Metric

    Returns
    -------
    list of str
    """
    if is_ratio(metric):
        return ["denominator", "numerator"]
    return [r for r in metric.moments(False) if r.startswith("sum") and "_" not in r]


def product_of(inside: str, text: str) -> Product:
    """Return the product that stands between the parentheses of ``product(...)``.

    Parameters
    ----------
    inside : str
        ``"volume = total(decisions), AHT = ratio(hours / decisions)"``.
    text : str
        All of it, for errors.

    Returns
    -------
    Product

    Raises
    ------
    OptionError
        A factor is no KPI, has no text, or two have the same name.
    """
    factors: dict[str, Metric | str] = {}
    for part in outside_split(inside, ","):
        named = re.fullmatch(r"\s*([^=()'\"`]*[^=()'\"`<>!\s])\s*=(?!=)\s*(.*)", part, re.DOTALL)
        name, kpi = named.groups() if named else ("", part)
        if not kpi.strip():
            raise OptionError(
                f"metric: {text!r} has a factor without a KPI. Write 'product(volume = "
                "total(decisions), AHT = ratio(hours / decisions))'."
            )
        name = name.strip() or as_metric(kpi.strip()).label
        if name in factors:
            raise OptionError(f"metric: {text!r} has two factors {name!r}. Name them: 'a = ...'.")
        factors[name] = kpi.strip()
    return Product(factors)


def _factors(asker: str, factors: Mapping[str, Metric | str]) -> dict[str, Metric]:
    found = {}
    for name, given in factors.items():
        if not (isinstance(name, str) and name.strip()):
            raise ColumnTypeError(f"{asker}: {name!r} is no name of a factor (text).")
        metric = as_metric(given)
        if isinstance(metric, Quantile):
            raise OptionError(f"{asker}: {name!r} is a quantile, which is no KPI of sums.")
        if isinstance(metric, Composite):
            raise OptionError(f"{asker}: {name!r} is made of KPIs itself; list its factors here.")
        found[name] = metric
    return found
