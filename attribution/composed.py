"""KPIs made of KPIs: a product of factors, accuracy as one less its error types; every line exact.

All factors are sums of one scan. Each is explained as any KPI is, and its mix, rate, entry and
exit become lines of the whole (decompose/composed.py), with joint intervals over the same units.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from attribution.analysis import asked_options, explain_pair, verdict
from attribution.bridge import Bar, Bridge
from attribution.cube import Cube
from attribution.decompose import Composition, compose, product_worth
from attribution.drivers import shares_of_change
from attribution.errors import (
    ColumnTypeError,
    DataContractError,
    OptionError,
    PeriodError,
    listing,
)
from attribution.evidence import Evidence, Options
from attribution.formatting import Format, significant
from attribution.infer import Units, cluster_sum_units, half_width, row_sum_units
from attribution.kpis import as_metric
from attribution.metrics import Metric, Quantile, Rate, is_ratio
from attribution.moments import Contract, Moment, check_metric
from attribution.plain import SCHEMA, records
from attribution.result import Attribution
from attribution.tables import effects_table, line_names
from attribution.total import Total

if TYPE_CHECKING:
    import pandas as pd

    from attribution.hierarchy import Dimension
    from attribution.plots import Plots

__all__ = ["Composed", "Product", "error_types"]

_TYPES = ("over_enforcement", "under_enforcement", "wrong_policy", "technical_errors")
_MOST_FACTORS = 10
_ROUNDING = 1e-9
_DUST, _DUST_OF_ERRORS = 1e-12, 1e-8


@dataclass(frozen=True)
class Product:
    """A product of KPIs: cost = volume x AHT x wage, appeal rate x overturn rate.

    ``F = f_1 f_2 ... f_P``, divided among the factors by Das Gupta's weights (the Shapley value)
    and within each factor into its mix and rate.

    Parameters
    ----------
    factors : mapping of str to Metric or str
        The name of each factor and a KPI of the same rows: ``{"AHT": "mean(seconds)"}``, a Rate,
        Ratio, Mean, Total, smooth function of sums, or a name of the KPI dictionary.
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

    Examples
    --------
    >>> Product({"volume": "total(decisions)", "AHT": "ratio(hours / decisions)"}).label
    'volume × AHT'
    """

    factors: Mapping[str, Metric | str] = field(hash=False)
    _: KW_ONLY
    name: str | None = None
    better: str = "higher"
    unit: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.factors, Mapping) or not 2 <= len(self.factors) <= _MOST_FACTORS:
            raise OptionError(
                f"Product: factors is {self.factors!r}; it maps 2 to {_MOST_FACTORS} names to "
                "KPIs, as in {'volume': 'total(decisions)', 'AHT': 'mean(seconds)'}."
            )
        check_metric(self)
        object.__setattr__(self, "factors", _read("Product", self.factors))

    @property
    def label(self) -> str:
        """The name shown."""
        return self.name or " × ".join(self.factors)

    def explain(
        self,
        data: object,
        by: str | Dimension | Sequence[str | Dimension],
        *,
        period: str,
        baseline: object,
        current: object,
        cluster: str | Sequence[str] | None = None,
        weight: str | None = None,
        where: str | None = None,
        mapping: Mapping[str, Mapping[object, object]] | None = None,
        on_invalid: str = "raise",
        **options: Any,
    ) -> Composed:
        """Explain why the product changed: by factor, and within each by mix and rate.

        Parameters
        ----------
        data, by, period, baseline, current, cluster, weight, where, mapping, on_invalid
            As in `attribution.explain`.
        **options
            The options of `attribution.explain` from `method` on; inference is analytic.

        Returns
        -------
        Composed

        Raises
        ------
        AttributionError
            As `attribution.explain` does.

        Notes
        -----
        Without a cluster rows are the independent units, also those that count several trials.

        Examples
        --------
        >>> import pandas as pd
        >>> work = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["A", "B"] * 2,
        ...                      "decisions": [100, 100, 100, 200], "hours": [10., 20, 10, 40]})
        >>> cost = Product({"volume": "total(decisions)", "AHT": "ratio(hours / decisions)"})
        >>> change = cost.explain(work, "queue", period="month", baseline=1, current=2)
        >>> round(float(change.effects["estimate"].sum()), 6)
        20.0
        """
        found = _Metric(dict(self.factors), self.label, self.better, self.unit)  # pyright: ignore[reportArgumentType]
        asked = {"cluster": cluster, "weight": weight, "where": where, "mapping": mapping}
        cube = _scan(data, found, by, period, (baseline, current), on_invalid, asked)
        return _explained(cube.between(baseline, current), found, asked_options(**options))


def error_types(
    data: object,
    by: str | Dimension | Sequence[str | Dimension],
    types: Mapping[str, str] | Sequence[str] = _TYPES,
    *,
    period: str,
    baseline: object,
    current: object,
    name: str = "Accuracy",
    cluster: str | Sequence[str] | None = None,
    weight: str | None = None,
    where: str | None = None,
    mapping: Mapping[str, Mapping[object, object]] | None = None,
    on_invalid: str = "raise",
    **options: Any,
) -> Composed:
    """Explain accuracy by its error types: what each type's mix and rate did to it.

    ``accuracy = 1 - sum of the shares of the types``; a line of a type is minus that of its share,
    so that positive lines raise accuracy, and all lines add up to its change.

    Parameters
    ----------
    data, by
        As in `attribution.explain`.
    types : mapping of str to str, or sequence of str
        The name of each error type and its share: ``{"Over-enforcement": "over / reviewed"}``; or
        names of the KPI dictionary, by default its four. All count the same trials, of which each
        has one type at most; what no type holds counts as correct.
    period, baseline, current
        As in `attribution.explain`.
    name : str
    cluster, weight, where, mapping, on_invalid
        As in `attribution.explain`.
    **options
        The options of `attribution.explain` from `method` on; inference is analytic.

    Returns
    -------
    Composed

    Raises
    ------
    OptionError
        A type is no share, or they do not share their trials.
    DataContractError
        A segment has more errors than trials: types overlap.

    Examples
    --------
    >>> import pandas as pd
    >>> qa = pd.DataFrame({"month": [1, 1, 2, 2], "queue": ["A", "B"] * 2, "n": [100] * 4,
    ...                    "over": [2, 4, 6, 4], "under": [1, 1, 1, 3]})
    >>> change = error_types(qa, "queue", {"Over": "over / n", "Under": "under / n"},
    ...                      period="month", baseline=1, current=2)
    >>> change
    <Composed Accuracy: 96.00 % -> 93.00 % (−3.00 pp), noise>
    >>> change.factors["estimate"].round(4).tolist()
    [-0.02, -0.01]
    """
    if isinstance(types, str):
        types = [types]
    named: Any = types
    if not isinstance(types, Mapping):
        named = {as_metric(kpi).label: kpi for kpi in types}
    shares = _read("error_types", named)
    trials = {share.denominator for share in shares.values()}
    if not shares or not all(isinstance(x, Rate) for x in shares.values()) or len(trials) > 1:
        raise OptionError(
            f"types: {types!r} are not shares of the same trials, as in {{'Over': 'over / "
            "reviewed', 'Under': 'under / reviewed'}."
        )
    found = _Metric(shares, name, "higher", "%", shares=True)
    asked = {"cluster": cluster, "weight": weight, "where": where, "mapping": mapping}
    cube = _scan(data, found, by, period, (baseline, current), on_invalid, asked)
    return _explained(cube.between(baseline, current), found, asked_options(**options))


def _read(asker: str, factors: Mapping[str, Metric | str]) -> dict[str, Metric]:
    found = {}
    for name, given in factors.items():
        if not (isinstance(name, str) and name.strip()):
            raise ColumnTypeError(f"{asker}: {name!r} is no name of a factor (text).")
        metric = as_metric(given)
        if isinstance(metric, Quantile):
            raise OptionError(f"{asker}: {name!r} is a quantile, which is no KPI of sums.")
        found[name] = metric
    return found


@dataclass(frozen=True)
class _Metric:
    """All the sums of several KPIs, as one KPI of a scan; `shares`: one less shares of trials."""

    of_trials: ClassVar[bool] = False

    factors: Mapping[str, Metric] = field(hash=False)
    name: str
    better: str
    unit: str | None
    shares: bool = False

    @property
    def numerator(self) -> str:
        joined = " + " if self.shares else " * "
        text = joined.join(f"({m.numerator}) / ({m.denominator or 'rows'})" if is_ratio(m)
                           else f"({m.numerator})" for m in self.factors.values())  # fmt: skip
        return f"1 - ({text})" if self.shares else text

    @property
    def denominator(self) -> None:
        return None

    @property
    def checked(self) -> Contract:
        own = [m.checked for m in self.factors.values()]
        return Contract(
            tuple(dict.fromkeys(x for c in own for x in c.not_negative)),
            tuple(dict.fromkeys(x for c in own for x in c.trials)),
        )

    @property
    def label(self) -> str:
        return self.name

    @property
    def display_unit(self) -> str:
        return self.unit or ""

    @property
    def blocks(self) -> list[tuple[Metric, str]]:
        """The sums, block after block: whose they are, and their role there."""
        return [(m, role) for m in self.factors.values() for role in _roles(m)]

    def moments(self, weighted: bool) -> dict[str, Moment]:
        blocks = [(m, role, m.moments(weighted)) for m, role in self.blocks]
        first = next(iter(self.factors.values())).moments(weighted)
        found = {"count": first["count"] if self.shares else Moment()}
        for i, (one, role, own) in enumerate(blocks):
            found[f"sum{i}"] = own[role]
            for j, (two, other, beside) in enumerate(blocks[i:], start=i):
                counted = {"numerator", role, other} == {"numerator"}
                if self.shares and counted and one is not two:
                    continue  # a trial has one type at most
                if self.shares:
                    number = beside if other == "numerator" else own
                    of = "numerator" if "numerator" in (role, other) else "denominator"
                    parts = number[of].factors
                else:
                    parts = own[role].factors + beside[other].factors
                found[f"sum{i}_sum{j}"] = Moment(parts, 2 * weighted)
        return {"numerator": found["sum1"], "denominator": found["sum0"], **found}


def _roles(metric: Metric) -> list[str]:
    if is_ratio(metric):
        return ["denominator", "numerator"]
    return [r for r in metric.moments(False) if r.startswith("sum") and "_" not in r]


def _scan(
    data: object,
    metric: _Metric,
    by: str | Dimension | Sequence[str | Dimension],
    period: str,
    sides: tuple[object, object],
    on_invalid: str,
    asked: Mapping[str, Any],
) -> Cube:
    periods = [x for side in sides for x in (side if isinstance(side, list | tuple) else [side])]
    asked = {**asked, "periods": periods, "on_invalid": on_invalid}
    return Cube.from_data(data, [metric, *metric.factors.values()], by, period=period, **asked)


def _units(cube: Cube, metric: _Metric) -> Units:
    clusters, moments = cube.clusters, metric.moments(cube.weighted)
    M = len(metric.blocks)
    if clusters is not None:
        sums = [clusters.sums[moments[f"sum{i}"].key] for i in range(M)]
        where = clusters.codes, clusters.period, clusters.segment
        return cluster_sum_units(*where, sums, len(cube.codes))
    sums = np.stack([cube.metric_sums(metric, f"sum{i}") for i in range(M)])
    gram = np.zeros((M, *sums.shape))
    for i in range(M):
        for j in range(i, M):
            if f"sum{i}_sum{j}" in moments:
                gram[i, j] = gram[j, i] = cube.metric_sums(metric, f"sum{i}_sum{j}")
    return row_sum_units(sums, gram, cube.metric_sums(metric, "count"))


def _explained(cube: Cube, metric: _Metric, options: Options) -> Composed:
    if options.bootstrap is not None or options.finite_population:
        raise OptionError("inference: a KPI made of KPIs needs inference='analytic'.")
    changes = {
        name: explain_pair(cube, one, replace(options, material=None))
        for name, one in metric.factors.items()
    }
    there = [
        np.asarray((cube.metric_sums(m, "denominator") > 0).any(axis=0))
        for m in metric.factors.values()
    ]
    f = np.array([[c.total.baseline, c.total.current] for c in changes.values()]).T
    if metric.shares:
        _check_apart(cube, metric)
    R = 1 - f.sum(axis=1) if metric.shares else f.prod(axis=1)
    if not np.isfinite(R).all():
        raise PeriodError(f"baseline: {metric.label!r} has no value in a period.")

    def worth(f: np.ndarray) -> np.ndarray:
        return -1.0 + 0 * f[0] if metric.shares else product_worth(f)

    parts: Any = compose([c._parts for c in changes.values()], there, R, worth)
    evidence = Evidence(parts, _units(cube, metric), cube.metric_sums(metric, "count"), options)
    found = evidence.total.found
    names = ("std_error", "conf_low", "conf_high", "p_value")
    known = {name: float(getattr(found, name)[0]) for name in names}
    total = Total(float(R[0]), float(R[1]), float(R[1] - R[0]), **known)
    return Composed(metric.label, metric.display_unit, metric.better, total,
                    verdict(total, options), changes, cube, evidence)  # fmt: skip


def _check_apart(cube: Cube, metric: _Metric) -> None:
    """Refuse error types of which a trial has several: accuracy is no longer one less their sum."""
    kinds = list(metric.factors.values())
    errors = sum(cube.metric_sums(kind, "numerator") for kind in kinds)
    trials = cube.metric_sums(kinds[0], "denominator")
    over = np.argwhere(errors > trials * (1 + _ROUNDING))
    if len(over):
        named = [f"{cube.segment_name(c)} in {cube.periods[t]}" for t, c in over]
        raise DataContractError(
            f"types: more errors than trials in {len(over):,} segments: {listing(named, most=4)}. "
            "A trial has one error type at most; count the gravest.",
            [{"segment": name, "problem": "more errors than trials"} for name in named],
        )


@dataclass(frozen=True, eq=False)
class Composed:
    """Why a KPI made of KPIs changed; made by `Product.explain` and `error_types`.

    Attributes
    ----------
    name, unit, better : str
    total : Total
        The change with its interval.
    verdict : str
        As that of an `Attribution`.
    changes : dict of str to Attribution
        Each factor explained by itself, in its own unit: its levels, causes and findings.
    cube : Cube
    """

    name: str
    unit: str
    better: str
    total: Total
    verdict: str
    changes: dict[str, Attribution]
    cube: Cube
    _evidence: Evidence = field(repr=False)

    @property
    def _parts(self) -> Composition:
        parts: Any = self._evidence.parts
        return parts

    @property
    def effects(self) -> pd.DataFrame:
        """The bridge: the columns of `Attribution.effects` and `factor`; adds up to the change."""
        change, movement = self.total.change, np.abs(self._parts.estimate).sum()
        sound = abs(change) > 2 * self.total.std_error and abs(change) > 0.1 * movement
        lines = [x for c in self.changes.values() for x in line_names(c.cube, c._evidence)]
        frame, names = effects_table(lines, self._evidence, change, sound), list(self.changes)
        return frame.assign(factor=[names[j] for j in self._parts.factor])

    @property
    def factors(self) -> pd.DataFrame:
        """What each factor did, the sum of its lines, with the factor itself in both periods.

        Columns: factor, baseline, current, estimate, std_error, conf_low, conf_high, p_value,
        share_of_change.
        """
        import pandas as pd

        names = list(self.changes)
        weights = np.array([self._parts.factor == j for j in range(len(names))], dtype=float)
        found = self._evidence.combined(weights).found
        totals, estimates = [c.total for c in self.changes.values()], found.estimate.tolist()
        columns = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
        return pd.DataFrame(
            {
                "factor": names,
                "baseline": [t.baseline for t in totals],
                "current": [t.current for t in totals],
                **{column: getattr(found, column) for column in columns},
                "share_of_change": shares_of_change(estimates, self.total.change, estimates),
            }
        )

    @property
    def covariance(self) -> np.ndarray:
        """The joint covariance of the rows of `effects`."""
        return self._evidence.covariance

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        return Format.fitting(self.unit, self.total.change)

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
        frame, size = self.effects, float(np.abs(self._parts.R).max())
        # A ratio of a column to itself has no mix and no rate: no bar.
        kept = np.flatnonzero(
            (frame["estimate"].abs() > _DUST * size) | (frame["std_error"] > _DUST_OF_ERRORS * size)
        )
        rows = frame.to_dict(orient="records")
        names = ("estimate", "conf_low", "conf_high", "p_adjusted")
        bars = tuple(
            Bar(_bar_label(rows[i]), *(float(rows[i][x]) for x in names), rows=(int(i),))
            for i in kept
        )
        f, total = self.format, self.total
        ends = f"{f.level(total.baseline)} to {f.level(total.current)} ({f.change(total.change)})"
        message = {
            "real": f"{self.name} {'rose' if total.change > 0 else 'fell'} from {ends}",
            "noise": f"{self.name}: {ends} is not distinguishable from noise",
            "inconclusive": f"{self.name}: {ends} is inconclusive",
        }[self.verdict]
        dof = self._evidence.units.degrees_of_freedom
        bridge = Bridge(
            metric=self.name,
            unit=self.unit,
            better=self.better,
            baseline_label=self.cube.periods[0],
            current_label=self.cube.periods[1],
            baseline=total.baseline,
            current=total.current,
            bars=bars,
            message=message,
            notes=(f"Each of {len(self.changes)} factors divided into mix and rate.",),
            verdict=self.verdict,
            scenarios=("previous", "actual"),
            covariance=self.covariance[np.ix_(kept, kept)],
            half_width=float(half_width(dof, self._evidence.options.conf_level)),
        )
        return bridge if max_bars is None else bridge.condensed(max_bars)

    @property
    def plot(self) -> Plots:
        """The pictures: ``change.plot.waterfall()``."""
        from attribution.plots import Plots

        bridged: Any = self  # a waterfall asks for nothing but `bridge`
        return Plots(bridged)

    def summary(self) -> str:
        """Return the headline and the bridge as text."""
        bridge = self.bridge()
        f = bridge.format
        lines = [(bridge.baseline_label, f.number(bridge.baseline), "")]
        for bar, text in zip(bridge.bars, bridge.texts(), strict=True):
            lines.append((f"  {bar.label}", text, f.interval(bar.conf_low, bar.conf_high)))
        lines.append((bridge.current_label, f.number(bridge.current), ""))
        widths = [max(len(line[i]) for line in lines) for i in range(2)]
        table = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in lines]
        return "\n".join([f"{bridge.message}.", "", *table, "", *bridge.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none."""
        return {
            "schema": SCHEMA,
            "metric": {"name": self.name, "better": self.better, "unit": self.unit},
            "baseline": self.cube.periods[0],
            "current": self.cube.periods[1],
            "total": {k: significant(v) for k, v in vars(self.total).items()},
            "verdict": self.verdict,
            "effects": records(self.effects),
            "factors": records(self.factors),
            "changes": {name: change.to_dict() for name, change in self.changes.items()},
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return (and write, if a path is given) `to_dict` as JSON.

        Parameters
        ----------
        path : str or Path, optional

        Returns
        -------
        str
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        f, total = self.format, self.total
        return (
            f"<Composed {self.name}: {f.level(total.baseline)} -> {f.level(total.current)} "
            f"({f.change(total.change)}), {self.verdict}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def _bar_label(row: Mapping[Any, Any]) -> str:
    """``"AHT: mix queue"``: the factor, what moved, where."""
    effect = row["effect"]
    what = {"joint": "mix jointly", "entry": "new", "exit": "gone"}.get(effect, effect)
    where = row["dimension"] if effect == "mix" else row["segment"]
    return " ".join(x for x in (f"{row['factor']}:", what, where) if isinstance(x, str))
