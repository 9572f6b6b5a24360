"""Trend: a KPI over many periods, each change a bridge, with what the steps add up to."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.analysis import explain_pair, verdict
from attribution.bridge import Bar, Bridge
from attribution.cube import Cube
from attribution.drawn import line_label, of_factor
from attribution.errors import OptionError
from attribution.evidence import Options
from attribution.formatting import Format, p_text, tiny
from attribution.hypotheses import LineKey
from attribution.infer import (
    Inference,
    Support,
    adjusted_p_values,
    half_width,
    infer,
)
from attribution.joint import Joint
from attribution.labels import plural
from attribution.metrics import Metric
from attribution.privacy import Privacy, Shown, protect, protect_trend
from attribution.products import Composite
from attribution.result import Attribution
from attribution.tables import line_keys
from attribution.total import Total

if TYPE_CHECKING:
    import pandas as pd

    from attribution.plots import TrendPlots

__all__ = ["Step", "Trend", "segments_of"]

# The order of bars over time; levels that left and entered come last.
_EFFECTS = (
    "volume", "mix", "joint", "rate", "interaction", "sampling", "phasing", "gap", "exit", "entry",
    "turnover",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Step:
    """One change of a trend.

    Attributes
    ----------
    pair : (int, int)
        The places of its baseline and current among the periods of the cube.
    change : Attribution or None
        None where periods are missing between the two and the gap is not to be bridged.
    missing : tuple of str
        The periods that are missing between.
    """

    pair: tuple[int, int]
    change: Attribution | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Trend:
    """A KPI over many periods; made by `attribution.trend`.

    Attributes
    ----------
    cube : Cube
        The sums of all periods.
    metric : Metric
    path : str
        What the effects add up along: "chained" (period to period, from the first to the last),
        "end-to-end" (first to last in one step), "year-to-date" (the year so far against the same
        periods of the year before), "year-over-year", "lag 3" or "as mapped" (comparisons that
        overlap and so add up to nothing).
    total : Total or None
        What the effects add up to; None where they add up to nothing.
    options : Options
        How the question was asked.
    findings : tuple of dict
        What choosing the periods noticed.
    """

    cube: Cube
    metric: Metric
    path: str
    total: Total | None
    options: Options
    findings: tuple[dict[str, Any], ...]
    _steps: tuple[Step, ...] = field(repr=False)
    _joint: Joint = field(repr=False)

    # -- steps -------------------------------------------------------------------------------

    @property
    def steps(self) -> dict[str, Attribution]:
        """The attribution of each change, by its current period; gaps have none."""
        return {self._label(s, 1): s.change for s in self._steps if s.change is not None}

    def _label(self, step: Step, side: int) -> str:
        return self.cube.periods[step.pair[side]]

    @cached_property
    def end_to_end(self) -> Attribution:
        """The last period against the first, in one step.

        Its total is that of the chained path; mix and rate divide it otherwise, because shares and
        rates in between do not matter to it.
        """
        periods = self.cube.periods
        pair = (0, len(periods) - 1)
        cube = self.cube.between(periods[0], periods[-1])
        there = segments_of(self.cube, self.metric, pair)
        units = self._joint.step_units(pair, there) if self._overlapping else None
        return explain_pair(cube, self.metric, self.options, units)

    @property
    def _overlapping(self) -> bool:
        """Whether periods are windows that share rows which belong to no cluster."""
        return "window" in self.cube.provenance and self.cube.clusters is None

    # -- frames ------------------------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """The KPI, one row per period.

        Columns: period, n, value, std_error, conf_low, conf_high, and of the change that ends
        there: baseline, change, change_std_error, change_conf_low, change_conf_high, p_value,
        verdict (null where no change ends).
        """
        import pandas as pd

        found, labels = self._levels, self.cube.periods
        frame = pd.DataFrame(
            {
                "period": list(labels),
                "n": self.cube.metric_sums(self.metric, "count").sum(axis=1),
                "value": found.estimate,
                "std_error": found.std_error,
                "conf_low": found.conf_low,
                "conf_high": found.conf_high,
            }
        )
        ends = {self._label(s, 1): self._step_total(s) for s in self._steps}
        rows = [ends.get(label) for label in labels]
        starts = {self._label(s, 1): self._label(s, 0) for s in self._steps}
        frame["baseline"] = pd.Series([starts.get(label) for label in labels], dtype=object)
        for name, source in (
            ("change", "change"),
            ("change_std_error", "std_error"),
            ("change_conf_low", "conf_low"),
            ("change_conf_high", "conf_high"),
            ("p_value", "p_value"),
        ):
            frame[name] = [np.nan if t is None else getattr(t, source) for t in rows]
        verdicts = {
            self._label(s, 1): None if s.change is None else s.change.verdict for s in self._steps
        }
        frame["verdict"] = pd.Series([verdicts.get(label) for label in labels], dtype=object)
        return frame

    @cached_property
    def _levels(self) -> Inference:
        """What is known of the KPI of each period."""
        joint, P = self._joint, len(self.cube.periods)
        R = joint.R
        support = joint.support(np.eye(P, dtype=bool))
        se = joint.std_errors(joint.levels())
        return infer(R, se, support, self.options.conf_level, float(np.abs(R).max()))

    def _step_total(self, step: Step) -> Total:
        if step.change is not None:
            return step.change.total
        return self._joint.change(step.pair, self.options.conf_level)

    @property
    def effects(self) -> pd.DataFrame:
        """The bridges of all changes, one row per change and bar.

        Columns: period (the change's name: its current period), baseline, current, then those of
        `Attribution.effects`; p-values are adjusted within a change. The rows of a period add up to
        its change, and all rows, where the path adds up, to `total`. Along the year-to-date path
        rows are weighted by the period's part of the year and "phasing" rows say what moving
        volume between periods did. The effect "gap" is a change over missing periods, left whole.
        """
        import pandas as pd

        if self.path == "year-to-date":
            return self._weighted_effects()
        frames = []
        for step in self._steps:
            frame = self._gap_row(step) if step.change is None else step.change.effects
            frames.append(self._named(frame, step))
        if len(frames) > 1:
            # Columns without any value would otherwise lose their type.
            frames = [f.astype({"dimension": object, "segment": object}) for f in frames]
        return pd.concat(frames, ignore_index=True)

    def _named(self, frame: pd.DataFrame, step: Step) -> pd.DataFrame:
        frame = frame.copy()
        labels = {"period": 1, "baseline": 0, "current": 1}
        for at, (name, side) in enumerate(labels.items()):
            frame.insert(at, name, self._label(step, side))
        return frame

    def _gap_row(self, step: Step) -> pd.DataFrame:
        import pandas as pd

        total = self._step_total(step)
        return pd.DataFrame(
            {
                "effect": ["gap"],
                "dimension": pd.Series([None], dtype=object),
                "segment": pd.Series([", ".join(step.missing)], dtype=object),
                "estimate": [total.change],
                **{k: [getattr(total, k)] for k in ("std_error", "conf_low", "conf_high")},
                "p_value": [total.p_value],
                "p_adjusted": [total.p_value],
                "share_of_change": [1.0 if abs(total.change) > 2 * total.std_error else np.nan],
            }
        )

    def _weighted_effects(self, name: Callable[[LineKey], LineKey] | None = None) -> pd.DataFrame:
        """The rows of the year-to-date path, inferred as one view."""
        name = name or _as_it_is
        lines = [(k, name(key)) for key, _, _, k in self._contributions]
        rows = list(dict.fromkeys(lines))
        found = self._added([key for _, key in rows], [[x == y for y in lines] for x in rows])
        frame = self._inferred(found)
        of = [self._steps[k] for k, _ in rows]
        for at, (column, side) in enumerate({"period": 1, "baseline": 0, "current": 1}.items()):
            frame.insert(at, column, [self._label(step, side) for step in of])
        return frame

    @property
    def summed(self) -> pd.DataFrame:
        """What the steps add up to: one row per bar, with the columns of `Attribution.effects`.

        ``estimate`` is the sum of a bar over all steps and adds up to `total`; its standard error
        is that of the sum, with the noise that steps share.

        Raises
        ------
        OptionError
            The path adds up to nothing.
        """
        return self._inferred(self._sums)

    @cached_property
    def _sums(self) -> _Sums:
        return self._sums_of(_as_it_is)

    def _sums_of(self, name: Callable[[LineKey], LineKey]) -> _Sums:
        """The sums over all steps of lines that are called the same."""
        if self.total is None:
            raise OptionError(
                f"path: the changes of {self.path!r} overlap and add up to nothing. Use the path "
                "'chained', or 'year-to-date' for the year as a whole."
            )
        keys = [name(key) for key, *_ in self._contributions]
        unique = sorted(
            dict.fromkeys(keys), key=lambda key: (_EFFECTS.index(key[0]), keys.index(key))
        )
        return self._added(unique, [[key == other for other in keys] for key in unique])

    def _added(self, keys: list[LineKey], member: list[list[bool]]) -> _Sums:
        values, chosen = (
            np.array([x for _, x, _, _ in self._contributions]),
            np.array(member, float),
        )
        support = Support(*self._support(chosen))
        return _Sums(keys, chosen @ values, self._psi(chosen), support)

    def _inferred(self, sums: _Sums) -> pd.DataFrame:
        import pandas as pd

        found, p_adjusted = self._inference(sums)
        change = self.total.change if self.total else np.nan
        se = self.total.std_error if self.total else np.nan
        sound = abs(change) > max(2 * se, 0.1 * float(np.abs(found.estimate).sum()))
        return pd.DataFrame(
            {
                "effect": [key.effect for key in sums.keys],
                "dimension": pd.Series([key.dimension for key in sums.keys], dtype=object),
                "segment": pd.Series([key.segment for key in sums.keys], dtype=object),
                "estimate": found.estimate,
                "std_error": found.std_error,
                "conf_low": found.conf_low,
                "conf_high": found.conf_high,
                "p_value": found.p_value,
                "p_adjusted": p_adjusted,
                "share_of_change": found.estimate / change if sound else np.nan,
            }
            | ({"factor": [key.factor for key in sums.keys]} if self._of_factors else {})
        )

    @property
    def _of_factors(self) -> bool:
        return isinstance(self.metric, Composite)

    def _inference(self, sums: _Sums) -> tuple[Inference, np.ndarray]:
        joint, options = self._joint, self.options
        size = float(np.abs(joint.R).max())
        se = joint.std_errors(sums.rows)
        found = infer(sums.estimate, se, sums.support, options.conf_level, size)
        p = np.where(found.few, np.nan, found.p_value)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = found.estimate / found.std_error
        adjusted = adjusted_p_values(p, t, sums.rows, joint.plain, options.adjust, options.seed)
        return found, adjusted

    def compare_paths(self) -> pd.DataFrame:
        """Return the bars of the chained and the end-to-end path side by side.

        Returns
        -------
        DataFrame
            `effect, dimension, segment, chained, end_to_end`; both add up to the same change.
            Null where a path has no such bar: a level that came and went is in the chain only.

        Raises
        ------
        OptionError
            The effects are of another path than "chained".
        """
        import pandas as pd

        if self.path != "chained":
            raise OptionError(f"path: paths can be compared for 'chained', not for {self.path!r}.")
        direct = self.end_to_end
        chained = dict(zip(self._sums.keys, self._sums.estimate, strict=True))
        other = dict(zip(line_keys(direct), direct._parts.estimate, strict=True))
        keys = list(dict.fromkeys([*chained, *other]))
        names = ["effect", "dimension", "segment", *(["factor"] if self._of_factors else [])]
        rows = [key[: len(names)] for key in keys]
        frame = pd.DataFrame(rows, columns=names, dtype=object)
        frame["chained"] = [chained.get(key, np.nan) for key in keys]
        frame["end_to_end"] = [other.get(key, np.nan) for key in keys]
        return frame

    # -- what each unit adds -----------------------------------------------------------------

    @cached_property
    def _contributions(self) -> list[tuple[LineKey, float, float, int]]:
        """Each line of each step: its key, what it adds to the total, its weight, its step."""
        found: list[tuple[LineKey, float, float, int]] = []
        weights, shift, R, K = self._year
        for k, step in enumerate(self._steps):
            if step.change is None:
                key = LineKey("gap", None, ", ".join(step.missing))
                found.append((key, self._step_total(step).change, 1.0, k))
                continue
            if self.path == "year-to-date":
                found.append((LineKey("phasing"), shift[k] * (R[k] - K), 1.0, k))
            lines = zip(line_keys(step.change), step.change._parts.estimate, strict=True)
            found += [(key, weights[k] * float(x), weights[k], k) for key, x in lines]
        return found

    @property
    def _year(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """The weight of each step, its shift, its mean KPI, and the mean KPI of the two years.

        ``K_1 - K_0 = sum_m (w_1m - w_0m)(R_m - K) + sum_m w_m (R_1m - R_0m)``, w_tm the period's
        part of the denominator of its year, w_m, R_m, K means over the two years.
        """
        if self.path != "year-to-date":
            ones = np.ones(len(self._steps))
            return ones, 0 * ones, 0 * ones, 0.0
        D, N = (x[self._pairs] for x in self._joint.sums)
        w, R, K = D / D.sum(axis=0), N / D, N.sum(axis=0) / D.sum(axis=0)
        return w.mean(axis=1), w[:, 1] - w[:, 0], R.mean(axis=1), float(K.mean())

    @property
    def _pairs(self) -> np.ndarray:
        return np.array([step.pair for step in self._steps])

    def _psi(self, member: np.ndarray) -> list[np.ndarray]:
        """What each unit adds to sums of contributions, given as rows of weights (K, lines)."""
        joint, levels = self._joint, self._joint.levels()
        D = joint.totals()[0]
        summed = [np.zeros((len(x), len(member))) for x in D]
        of_step = np.array([k for *_, k in self._contributions])
        weights, shift, R, K = self._year
        for k, step in enumerate(self._steps):
            own = member[:, of_step == k].T
            if step.change is None:
                i, j = step.pair
                rows = [x[:, [j]] - x[:, [i]] for x in levels]
            else:
                there = segments_of(self.cube, self.metric, step.pair)
                rows = joint.lines(step.change._parts, step.pair, there)
            if self.path == "year-to-date" and step.change is not None:
                w, moved, mean = self._psi_of_year(D, levels, k)
                lines = step.change._parts.estimate
                rows = [
                    np.column_stack(
                        [m * (R[k] - K) + shift[k] * r, weights[k] * x + np.outer(v, lines)]
                    )
                    for x, v, m, r in zip(rows, w, moved, mean, strict=True)
                ]
            summed = [total + x @ own for total, x in zip(summed, rows, strict=True)]
        return summed

    def _psi_of_year(self, D, levels, k: int) -> tuple[list, list, list]:
        """What each unit adds to a step's weight, its shift, and its KPI less that of the years."""
        pairs, w, moved, mean = self._pairs, [], [], []
        total = self._joint.sums[0][pairs].sum(axis=0)
        share = self._joint.sums[0][pairs] / total
        R = self._joint.R[pairs]
        for d, r in zip(D, levels, strict=True):
            in_share = (d[:, pairs] - share * d[:, pairs].sum(axis=1, keepdims=True)) / total
            in_year = (in_share * R + share * r[:, pairs]).sum(axis=1)
            w.append(in_share[:, k].mean(axis=1))
            moved.append(in_share[:, k, 1] - in_share[:, k, 0])
            mean.append(r[:, pairs][:, k].mean(axis=1) - in_year.mean(axis=1))
        return w, moved, mean

    def _support(self, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The fewest units of any step that a sum rests on, and the most of any."""
        fewest, either = [], []
        for step in self._steps:
            if step.change is None:
                periods = np.isin(np.arange(len(self.cube.periods)), step.pair)[None, :]
                found = self._joint.support(periods)
            else:
                parts = step.change._parts
                found = step.change._units.support(parts.members)
                if self.path == "year-to-date":  # its own line: phasing rests on all units
                    fewest.append(step.change._units.support(parts.everywhere).fewest)
                    either.append(step.change._units.support(parts.everywhere).either)
            fewest.append(found.fewest)
            either.append(found.either)
        used = member != 0
        least = np.where(used, np.concatenate(fewest), np.inf).min(axis=1)
        most = np.where(used, np.concatenate(either), 0.0).max(axis=1)
        return np.column_stack([least, least]), most

    # -- bridge, words, exports --------------------------------------------------------------

    def bridge(self, max_bars: int | None = None) -> Bridge:
        """Return the bars of `summed`, from the first level to the last, for every picture.

        Parameters
        ----------
        max_bars : int, optional
            Sum the smallest bars into "other" beyond this number.

        Returns
        -------
        Bridge

        Raises
        ------
        OptionError
            The path adds up to nothing.
        """
        bridge = self._bridge_of(self._sums)
        return bridge if max_bars is None else bridge.condensed(max_bars)

    def _bridge_of(self, sums: _Sums) -> Bridge:
        options = self.options
        found, p_adjusted = self._inference(sums)
        assert self.total is not None  # or there are no sums
        dust = 1e-12 * max(abs(self.total.baseline), abs(self.total.current))
        kept = [
            i
            for i, key in enumerate(sums.keys)
            if key[0] != "joint" or abs(found.estimate[i]) > dust
        ]
        values = (found.estimate, found.conf_low, found.conf_high)
        bars = tuple(
            Bar(
                bar_label(sums.keys[i]),
                *(float(x[i]) for x in values),
                p_adjusted=float(p_adjusted[i]),
                rows=(i,),
            )
            for i in kept
        )
        first, last = self._ends
        return Bridge(
            metric=self.metric.label,
            unit=self.metric.display_unit,
            better=self.metric.better,
            baseline_label=first,
            current_label=last,
            baseline=self.total.baseline,
            current=self.total.current,
            bars=bars,
            message=self.headline(),
            notes=tuple(self.notes()),
            verdict=verdict(self.total, options),
            covariance=self._joint.covariance([x[:, kept] for x in sums.rows]),
            half_width=float(half_width(self._joint.plain.degrees_of_freedom, options.conf_level)),
        )

    @property
    def _ends(self) -> tuple[str, str]:
        """What the total leads from and to."""
        sides = [[self._label(s, side) for s in self._steps] for side in (0, 1)]
        if self.path == "year-to-date":
            first, last = (f"{x[0]} to {x[-1]}" if len(x) > 1 else x[0] for x in sides)
            return first, last
        return self.cube.periods[0], self.cube.periods[-1]

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        moved = [abs(self._step_total(s).change) for s in self._steps]
        changes = [*moved, *([abs(self.total.change)] if self.total else [])]
        return Format.fitting(self.metric.display_unit, max(changes, default=0.0))

    def headline(self) -> str:
        """Return the message: from where to where, along which path."""
        f, name = self.format, self.metric.label
        if self.total is None:
            real = sum(c.verdict == "real" for c in self.steps.values())
            return f"{name}: {real} of {len(self._steps)} changes ({self.path}) are more than noise"
        total, (first, last) = self.total, self._ends
        levels = f"from {f.number(total.baseline)} to {f.level(total.current)}"
        moved = f"{levels} ({f.change(total.change)})"
        word = {"real": "rose" if total.change > 0 else "fell"}.get(verdict(total, self.options))
        stated = f"{name} {word} {moved}" if word else f"{name} {moved}: not more than noise"
        return (
            f"{stated}, {first} to {last}" if self.path != "year-to-date" else f"{stated}, {last}"
        )

    def notes(self) -> list[str]:
        """Return the lines of small print: path, n, method."""
        options, cube = self.options, self.cube
        n = cube.metric_sums(self.metric, "count").sum(axis=1)
        said = {
            "chained": f"Chained: the sum of {len(self._steps)} changes from period to period. "
            "End to end the same change divides otherwise.",
            "end-to-end": "End to end: the last period against the first, in one step.",
            "year-to-date": "Year to date: changes against the year before, weighted by each "
            "period's part of its year; phasing is volume that moved between periods.",
        }.get(self.path, f"Each period against an earlier one ({self.path}); the changes overlap.")
        units = self._joint.plain
        clusters = cube.clusters.names if cube.clusters is not None else ()
        counted = " and ".join(
            f"{way.count:,} {plural(name)}" for way, name in zip(units.ways, clusters, strict=False)
        )
        return [
            said,
            f"n = {n.min():,.0f} to {n.max():,.0f} a period; {counted or 'rows independent'}. "
            f"Method: {options.method}, {options.mix} mix by "
            f"{', '.join(cube.dimensions) or 'none'}; {100 * options.conf_level:g} % intervals.",
        ]

    def summary(self, *, privacy: Privacy | None = None) -> str:
        """Return headline, the KPI by period, what the path adds up to, and findings, as text.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        str
        """
        f, protected = self.format, protect_trend(self, privacy)
        rows = [("period", "KPI", "change", "interval", "largest part")]
        ends = {s.pair[1]: (s, x) for s, x in zip(self._steps, protected.steps, strict=True)}
        for t, (label, value) in enumerate(
            zip(self.cube.periods, self._levels.estimate, strict=True)
        ):
            row = (label, f.number(value), "", "", "")
            if t in ends:
                total = self._step_total(ends[t][0])
                interval = f.interval(total.conf_low, total.conf_high)
                row = (
                    *row[:2],
                    f.number(total.change, signed=True),
                    f"[{interval}]" if interval else "",
                    _largest(*ends[t], f),
                )
            rows.append(row)
        lines = [self.headline() + ".", "", *_table(rows)]
        if self.total is not None and len(self._steps) > 1:
            bridge = protected.bridge()
            texts = zip(bridge.bars, bridge.texts(), strict=True)
            rows = [(bridge.baseline_label, bridge.format.number(bridge.baseline), "", "")]
            for bar, text in texts:
                interval = bridge.format.interval(bar.conf_low, bar.conf_high)
                shown = f"[{interval}]" if interval and bar.conf_low != bar.conf_high else ""
                rows.append((f"  {bar.label}", text, shown, p_text(bar.p_adjusted)))
            rows.append((bridge.current_label, bridge.format.number(bridge.current), "", ""))
            lines += ["", f"Added up ({self.path}):", *_table(rows)]
        unit = f"(levels in {f.unit}, steps in {f.change_unit})" if f.unit else ""
        lines += [*([unit] if unit else []), "", *self.notes(), *protected.withheld]
        worth = [x for x in protected.findings if x["severity"] == "warning"]
        if worth:
            lines += ["", "Findings:", *(f"  [{x['severity']}] {x['message']}" for x in worth)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        first, last = self.cube.periods[0], self.cube.periods[-1]
        f = self.format
        moved = f" ({f.change(self.total.change)})" if self.total else ""
        return (
            f"<Trend {self.metric.label}: {len(self._steps)} changes, {first} → {last}{moved}, "
            f"{self.path}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    @property
    def plot(self) -> TrendPlots:
        """The pictures: ``trend.plot.bars()``, ``.line()`` and ``.waterfall()``.

        Levels that are people are hidden; ``trend.plot(privacy=...)`` says who may be seen.
        """
        from attribution.plots import TrendPlots

        return TrendPlots(self)

    def check(self) -> pd.DataFrame:
        """Return residuals and data-quality findings: `code, severity, message, facts`.

        Those of a change are named by its period.
        """
        import pandas as pd

        return pd.DataFrame(self._findings(), columns=["code", "severity", "message", "facts"])

    def _findings(self, shown: Sequence[Shown | None] | None = None) -> list[dict[str, Any]]:
        apart = max(
            abs(self._step_total(s).change - float(s.change._parts.estimate.sum()))
            if s.change is not None
            else 0.0
            for s in self._steps
        )
        message = (
            f"The bars of each period add up to its change; the largest residual is {tiny(apart)}."
        )
        facts = {"residual": apart}
        if self.total is not None:
            left = self.total.change - float(sum(x for _, x, _, _ in self._contributions))
            message += f" All bars add up to the total; the residual is {tiny(left)}."
            facts["total"] = left
        found = [
            {"code": "residual", "severity": "ok", "message": message, "facts": facts},
            *(dict(f) for f in self.findings),
            *(dict(f) for f in self.cube.findings),
        ]
        scanned = {f["code"] for f in self.cube.findings}
        checked = shown or [
            None if s.change is None else protect(s.change, Privacy(people="names"))
            for s in self._steps
        ]
        for step, one in zip(self._steps, checked, strict=True):
            label = self._label(step, 1)
            for row in one.findings if one is not None else []:
                if row["severity"] == "warning" and row["code"] not in scanned:
                    facts = {"period": label, **row["facts"]}
                    found.append({**row, "message": f"{label}: {row['message']}", "facts": facts})
        return found

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: path, method, source, rows, SHA-256 of the sums."""
        from attribution import __version__

        options = self.options
        return {
            "version": __version__,
            "path": self.path,
            "metric": self.metric.label,
            "numerator": self.metric.numerator,
            "denominator": self.metric.denominator or "rows",
            "by": list(self.cube.dimensions),
            "periods": list(self.cube.periods),
            "method": options.method,
            "mix": options.mix,
            "rates": options.rates,
            "conf_level": options.conf_level,
            "adjust": options.adjust,
            "seed": options.seed,
            **{k: v for k, v in self.cube.provenance.items() if k not in ("values", "period")},
            "sha256": self.cube.digest(),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return `effects` with the KPI and the path in front."""
        frame = self.effects
        frame.insert(0, "metric", self.metric.label)
        frame.insert(1, "path", self.path)
        return frame

    def to_dict(self, *, privacy: Privacy | None = None) -> dict[str, Any]:
        """Return everything as plain values; numbers have 12 significant digits, null for none.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        dict
        """
        return protect_trend(self, privacy).to_dict()

    def to_json(self, path: str | Path | None = None, *, privacy: Privacy | None = None) -> str:
        """Return (and write, if a path is given) `to_dict` as JSON.

        Parameters
        ----------
        path : str or Path, optional
        privacy : Privacy, optional
            Who may be seen; levels that are people are hidden by default.

        Returns
        -------
        str
        """
        text = json.dumps(self.to_dict(privacy=privacy), ensure_ascii=False, indent=1)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trend):
            return NotImplemented
        mine, others = ((x.metric, x.path, x.options, x.cube.digest()) for x in (self, other))
        return mine == others and [s.pair for s in self._steps] == [s.pair for s in other._steps]

    def __hash__(self) -> int:
        return hash((self.metric, self.path, self.options, self.cube.digest()))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of contributions: names, values, what each unit adds, what they rest on."""

    keys: Sequence[LineKey]
    estimate: np.ndarray
    rows: list[np.ndarray]
    support: Support


def _as_it_is(key: LineKey) -> LineKey:
    return key


def bar_label(key: LineKey) -> str:
    """Return the label of a bar over time."""
    if key.effect == "turnover":
        return str(key.segment)
    if key.effect == "gap":
        return f"Gap: {key.segment}"
    label = line_label(key.effect, key.dimension, key.segment)
    return label if key.factor is None else of_factor(key.factor, label)


def segments_of(cube: Cube, metric: Metric, pair: tuple[int, int]) -> np.ndarray:
    """Return the segments that either of two periods has: those its attribution is over.

    Parameters
    ----------
    cube : Cube
    metric : Metric
    pair : (int, int)
        The places of the periods.

    Returns
    -------
    ndarray of bool, shape (S,)
    """
    kpis = metric.kpis.values() if isinstance(metric, Composite) else [metric]
    found = np.zeros(len(cube.codes), dtype=bool)
    for kpi in kpis:
        volume = cube.metric_sums(kpi, "denominator") if cube.volume is None else cube.volume
        found |= np.asarray((volume[list(pair)] > 0).any(axis=0))
    return found


def _largest(step: Step, shown: Shown | None, f: Format) -> str:
    if step.change is None or shown is None:
        return f"not divided: {', '.join(step.missing)} missing"
    bars = shown.bridge.bars
    if step.change.verdict != "real":
        return "noise" if step.change.verdict == "noise" else "inconclusive"
    most = max(bars, key=lambda bar: abs(bar.value))
    return f"{most.label} {f.number(most.value, signed=True)}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = (1, 2) if len(rows[0]) == 5 else (1,)
    return [
        "  ".join(
            f"{x:>{w}}" if i in right else f"{x:<{w}}"
            for i, (x, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
