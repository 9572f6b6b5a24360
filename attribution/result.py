"""Attribution: the answer to one question, frozen, tidy, printable, and its frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.bridge import Bar, Bridge
from attribution.cube import Cube
from attribution.decompose import (
    Decomposition,
    Line,
    margin_rates,
    margin_shares,
    outside_shares,
)
from attribution.formatting import Format, significant
from attribution.gradient import Gradient
from attribution.infer import (
    Inference,
    UnitSums,
    adjusted_p_values,
    covariance,
    half_width,
    infer,
)
from attribution.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from attribution.plots import Plots

__all__ = ["Attribution", "Options", "Total"]

SCHEMA = "kpi-attribution/1"
_MOST_COVARYING = 500


@dataclass(frozen=True)
class Options:
    """How a question was asked; see `attribution.explain`."""

    method: str = "midpoint"
    mix: str = "adjusted"
    rates: str = "auto"
    inference: str = "analytic"
    conf_level: float = 0.95
    adjust: str | None = "holm"
    material: float | None = None


@dataclass(frozen=True)
class Total:
    """The change itself, in KPI units.

    Attributes
    ----------
    baseline, current, change : float
    std_error, conf_low, conf_high, p_value : float
        Of the change.
    """

    baseline: float
    current: float
    change: float
    std_error: float
    conf_low: float
    conf_high: float
    p_value: float

    @property
    def detectable(self) -> float:
        """The smallest change the data could show: 2.8 standard errors (80 % power, 5 % level)."""
        return 2.8 * self.std_error


@dataclass(frozen=True, eq=False)
class Attribution:
    """Why a KPI changed between two periods; made by `attribution.explain`.

    Attributes
    ----------
    cube : Cube
        The sums of the two periods, baseline first.
    metric : Metric
    options : Options
    total : Total
        The change with its interval.
    verdict : str
        "real": the interval excludes 0; "noise": it includes 0 and, where `material` is given,
        lies within ± material; else "inconclusive". It concerns the total only.
    """

    cube: Cube
    metric: Metric
    options: Options
    total: Total
    verdict: str
    _parts: Decomposition = field(repr=False)
    _units: UnitSums = field(repr=False)

    # -- frames ------------------------------------------------------------------------------

    @property
    def effects(self) -> pd.DataFrame:
        """The bridge: one row per bar; `estimate` adds up to the change.

        Columns: effect, dimension, segment, estimate, std_error, conf_low, conf_high, p_value,
        p_adjusted, share_of_change. Effects: "mix" (one row per dimension), "joint" (how the
        dimensions pair up), "rate", "interaction" (threefold only), "exit" and "entry" (one row
        per level that left or entered). `share_of_change` is null where it would mislead
        (a change within 2 standard errors, or within 10 % of the movement behind it).
        """
        import pandas as pd

        parts = self._parts
        found = self._infer(parts.estimate, parts.gradient)
        names = [self._names(line) for line in parts.lines]
        change, movement = self.total.change, np.abs(parts.estimate).sum()
        sound = abs(change) > 2 * self.total.std_error and abs(change) > 0.1 * movement
        return pd.DataFrame(
            {
                "effect": [line.effect for line in parts.lines],
                "dimension": pd.Series([d for d, _ in names], dtype=object),
                "segment": pd.Series([s for _, s in names], dtype=object),
                "estimate": found.estimate,
                "std_error": found.std_error,
                "conf_low": found.conf_low,
                "conf_high": found.conf_high,
                "p_value": found.p_value,
                "p_adjusted": adjusted_p_values(found.p_value, self.options.adjust),
                "share_of_change": parts.estimate / change if sound else np.nan,
            }
        )

    def levels(self, dimension: str) -> pd.DataFrame:
        """Return what each level of a dimension contributed.

        ``mix = (p_1(l) - p_0(l)) alpha(l)`` with alpha the level's rate advantage over comparable
        segments; ``rate = sum over its segments of p_c (r_1c - r_0c)``.

        Parameters
        ----------
        dimension : str

        Returns
        -------
        DataFrame
            `dimension, segment, n_baseline, n_current`, then `share_baseline, share_current,
            rate_baseline, rate_current, mix, rate, total` each with `_std_error, _conf_low,
            _conf_high`, and `_p_value, _p_adjusted` for the last three (`interaction` too for
            threefold). Mix sums to the dimension's row of `effects`, rate to the rate row.
            Levels that entered or left have their entry or exit in `total`, mix and rate null.

        Raises
        ------
        ColumnNotFoundError
            No such dimension.

        Notes
        -----
        Shares and rates are the observed ones of the whole population, while mix compares a level
        with comparable segments: mix cannot be recomputed from them, and with several dimensions
        the totals of one dimension need not add up to the change.
        """
        import pandas as pd
        from scipy import sparse

        d = self.cube.dimension_index(dimension)
        parts, block = self._parts, self._parts.design.block(d)
        member = parts.design.matrix[:, block].T
        names = pd.DataFrame({"dimension": dimension, "segment": list(self.cube.levels[d])})
        inside = parts.turnover.exists[:, block].all(axis=0)
        estimates = {
            part: (x[block], parts.level_gradient(part, block.start, block.stop))
            for part, x in parts.level_parts.items()
        }
        named = [
            (level - block.start, i)
            for i, line in enumerate(parts.lines)
            for level in line.levels
            if block.start <= level < block.stop
        ]
        at = np.array(named, dtype=int).reshape(-1, 2).T
        lines = sparse.csr_array(
            (np.ones(len(named)), (at[0], at[1])),
            shape=(block.stop - block.start, len(parts.lines)),
        )
        frame = self._table(names, member, estimates, lines, inside)
        # A level without any volume in either period has nothing to say.
        return frame[frame["share_baseline"].notna() | frame["share_current"].notna()].reset_index(
            drop=True
        )

    def segments(self) -> pd.DataFrame:
        """Return the same per segment: one column per dimension, then the columns of `levels`.

        ``mix`` is (p_1c - p_0c)(r_c - R), the segment's own, centred on the KPI.
        """
        import pandas as pd
        from scipy import sparse

        parts, cube = self._parts, self.cube
        labels = {
            d: np.array(levels, dtype=object)[cube.codes[:, i]]
            for i, (d, levels) in enumerate(zip(cube.dimensions, cube.levels, strict=True))
        }
        joined = [" × ".join(row) for row in zip(*labels.values(), strict=True)] or ["all"]
        names = pd.DataFrame({"dimension": " × ".join(cube.dimensions), "segment": joined} | labels)
        stayed = parts.turnover.stayed
        place = sparse.eye_array(len(stayed), format="csr")[:, stayed]
        estimates = {
            part: (place @ x, parts.segment_gradient(part).combine(place))
            for part, x in parts.segment_parts.items()
        }
        # A segment outside S holds a part of its turnover line, not the line.
        return self._table(
            names, sparse.eye_array(len(stayed), format="csr"), estimates, None, stayed
        )

    def _table(
        self,
        names: pd.DataFrame,
        member: Any,
        estimates: dict[str, tuple[np.ndarray, Gradient]],
        turnover_lines: Any,
        inside: Any,
    ) -> pd.DataFrame:
        """Counts, observed shares and rates, and parts with their intervals, one row per name."""
        import pandas as pd
        from scipy import sparse

        D, N = self._sums("denominator"), self._sums("numerator")
        n = member @ self._sums("count").T
        exists = (member @ D.T) > 0
        columns = {"n_baseline": n[:, 0], "n_current": n[:, 1]}
        for t, when in enumerate(("baseline", "current")):
            here = exists[:, t]
            columns |= self._columns(f"share_{when}", *margin_shares(D, member, t), known=here)
            columns |= self._columns(f"rate_{when}", *margin_rates(D, N, member, t), known=here)
        for name, (x, g) in estimates.items():
            columns |= self._columns(name, x, g, known=inside, tested=True)
        if turnover_lines is None:
            apart, in_apart = outside_shares(D, N, self._parts.turnover.stayed)
        else:
            apart = turnover_lines @ self._parts.estimate
            in_apart = self._parts.gradient.combine(turnover_lines)
        total = np.where(inside, sum(x for x, _ in estimates.values()), apart)
        gradient = in_apart.combine(sparse.diags_array((~inside).astype(float)))
        within = sparse.diags_array(inside.astype(float))
        for _, g in estimates.values():
            gradient = gradient + g.combine(within)
        columns |= self._columns(
            "total", total, gradient, known=inside | exists.any(axis=1), tested=True
        )
        return pd.concat([names, pd.DataFrame(columns)], axis=1)

    def _columns(
        self,
        name: str,
        estimate: np.ndarray,
        gradient: Gradient,
        known: np.ndarray,
        tested: bool = False,
    ) -> dict[str, np.ndarray]:
        """One estimated column and its interval columns; rows not known are null."""
        found = self._infer(estimate, gradient)
        columns = {
            name: found.estimate,
            f"{name}_std_error": found.std_error,
            f"{name}_conf_low": found.conf_low,
            f"{name}_conf_high": found.conf_high,
        }
        columns = {k: np.where(known, v, np.nan) for k, v in columns.items()}
        if tested:
            p = np.where(known, found.p_value, np.nan)
            columns[f"{name}_p_value"] = p
            columns[f"{name}_p_adjusted"] = adjusted_p_values(p, self.options.adjust)
        return columns

    # -- parts and checks --------------------------------------------------------------------

    def within(self, **levels: object) -> Attribution:
        """Return the attribution of one part alone, from the cube in memory.

        Parameters
        ----------
        **levels
            ``dimension=level`` or ``dimension=[levels]``.

        Returns
        -------
        Attribution
            Of the KPI within that part, over the remaining dimensions.

        Raises
        ------
        ColumnNotFoundError, OptionError
            No such dimension or level.
        PeriodError
            The part has no volume in one of the periods.
        """
        from attribution.analysis import explain_part

        return explain_part(self, levels)

    def check(self) -> pd.DataFrame:
        """Return the residual and every data-quality finding: `code, severity, message, facts`.

        Severities: "ok", "info", "warning".
        """
        import pandas as pd

        from attribution.quality import findings

        return pd.DataFrame(findings(self), columns=["code", "severity", "message", "facts"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: version, method, source, rows, SHA-256 of the sums."""
        from attribution import __version__

        return {
            "version": __version__,
            "metric": self.metric.label,
            "numerator": self.metric.numerator,
            "denominator": self.metric.denominator or "rows",
            "by": list(self.cube.dimensions),
            "baseline": self.cube.periods[0],
            "current": self.cube.periods[1],
            "method": self.options.method,
            "mix": self.options.mix,
            "rates": self._parts.form,
            "rates_because": self._parts.reason,
            "inference": self.options.inference,
            "units": self._units.count,
            "conf_level": self.options.conf_level,
            "adjust": self.options.adjust,
            "material": self.options.material,
            "path": "end-to-end",
            **{k: v for k, v in self.cube.provenance.items() if k not in ("values", "period")},
            "sha256": self.cube.digest(),
        }

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
        from attribution.summary import headline, notes

        parts, cube = self._parts, self.cube
        found = self._infer(parts.estimate, parts.gradient)
        p_adjusted = adjusted_p_values(found.p_value, self.options.adjust)
        # With additive rates the joint effect is 0 by construction: no bar.
        kept = [
            i
            for i, line in enumerate(parts.lines)
            if not (line.effect == "joint" and parts.form == "additive")
        ]
        bars = tuple(
            Bar(
                _bar_label(parts.lines[i].effect, *self._names(parts.lines[i])),
                *(float(x[i]) for x in (found.estimate, found.conf_low, found.conf_high)),
                p_adjusted=float(p_adjusted[i]),
                rows=(i,),
            )
            for i in kept
        )
        bridge = Bridge(
            metric=self.metric.label,
            unit=self.metric.display_unit,
            better=self.metric.better,
            baseline_label=cube.periods[0],
            current_label=cube.periods[1],
            baseline=self.total.baseline,
            current=self.total.current,
            bars=bars,
            notes=tuple(notes(self)),
            verdict=self.verdict,
            # Thousands of entries and exits: "other" then goes without an interval.
            covariance=covariance(parts.gradient, self._units)[np.ix_(kept, kept)]
            if len(parts.lines) <= _MOST_COVARYING
            else None,
            half_width=half_width(self._units.degrees_of_freedom, self.options.conf_level),
        )
        bridge = replace(bridge, message=headline(self, bridge))
        return bridge if max_bars is None else bridge.condensed(max_bars)

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        return Format.fitting(self.metric.display_unit, self.total.change)

    # -- showing and exporting ---------------------------------------------------------------

    def summary(self) -> str:
        """Return headline, verdict, bridge and findings as text."""
        from attribution.summary import summary

        return summary(self)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        f = self.format
        return (
            f"<Attribution {self.metric.label}: {f.level(self.total.baseline)} -> "
            f"{f.level(self.total.current)} ({f.change(self.total.change)}), {self.verdict}>"
        )

    def _repr_html_(self) -> str:
        from attribution.summary import summary_html

        return summary_html(self)

    @property
    def plot(self) -> Plots:
        """The pictures: ``change.plot.waterfall()``."""
        from attribution.plots import Plots

        return Plots(self)

    def to_frame(self) -> pd.DataFrame:
        """Return `effects` with the KPI and the two periods in front: one table per report."""
        frame = self.effects
        for i, (name, value) in enumerate(
            [
                ("metric", self.metric.label),
                ("baseline", self.cube.periods[0]),
                ("current", self.cube.periods[1]),
            ]
        ):
            frame.insert(i, name, value)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none."""
        return {
            "schema": SCHEMA,
            "metric": {
                "name": self.metric.label,
                "better": self.metric.better,
                "unit": self.metric.display_unit,
            },
            "baseline": self.cube.periods[0],
            "current": self.cube.periods[1],
            "total": _plain(vars(self.total)),
            "verdict": self.verdict,
            "effects": _records(self.effects),
            "levels": {d: _records(self.levels(d)) for d in self.cube.dimensions},
            "findings": _records(self.check()),
            "provenance": _plain(self.provenance),
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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attribution):
            return NotImplemented
        return (
            self.options == other.options
            and self.metric == other.metric
            and self.cube.digest() == other.cube.digest()
            and self.total == other.total
        )

    def __hash__(self) -> int:
        return hash((self.options, self.metric, self.cube.digest()))

    # -- inside ------------------------------------------------------------------------------

    def _infer(self, estimate: np.ndarray, gradient: Gradient) -> Inference:
        size = max(abs(self.total.baseline), abs(self.total.current))
        return infer(estimate, gradient, self._units, self.options.conf_level, size)

    def _sums(self, role: str) -> np.ndarray:
        return self.cube.metric_sums(self.metric, role)

    def _names(self, line: Line) -> tuple[str | None, str | None]:
        """The dimension and segment of a line; several levels are joined by a cross."""
        design, cube = self._parts.design, self.cube
        if line.dimension is not None:
            return cube.dimensions[line.dimension], None
        if not line.levels:
            return None, None
        of = [int(design.of_dimension[x]) for x in line.levels]
        segments = [
            cube.levels[d][x - design.offsets[d]] for d, x in zip(of, line.levels, strict=True)
        ]
        return " × ".join(cube.dimensions[d] for d in of), " × ".join(segments)


def _bar_label(effect: str, dimension: str | None, segment: str | None) -> str:
    if effect == "mix":
        return f"Mix: {dimension}"
    if effect in ("entry", "exit"):
        return f"{'New' if effect == 'entry' else 'Gone'}: {segment}"
    return {"joint": "Mix: jointly", "rate": "Rate", "interaction": "Interaction"}[effect]


def _plain(value: Any) -> Any:
    """Reduce a value to what JSON knows, floats to 12 significant digits."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return significant(float(value))
    return str(value)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in frame.to_dict(orient="records")]
