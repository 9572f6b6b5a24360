"""Trend: a KPI over many periods, each change a bridge, with what the steps add up to."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.analysis import explain_pair, verdict
from attribution.bridge import Bar, Bridge
from attribution.cube import Cube
from attribution.drawn import line_label, of_factor
from attribution.errors import OptionError
from attribution.evidence import Options
from attribution.filed import Filed
from attribution.formatting import Format, tiny
from attribution.hypotheses import LineKey
from attribution.infer import (
    Draws,
    Inference,
    adjusted_p_values,
    bootstrap_inference,
    half_width,
    infer,
    proportions,
)
from attribution.joint import Joint
from attribution.metrics import Metric
from attribution.privacy import Privacy, Shown, protect, protect_trend
from attribution.products import Composite
from attribution.resampled import Compared, Resampled, redrawn
from attribution.result import Attribution
from attribution.steps import Contributions, Step, Sums, segments_of
from attribution.tables import line_keys
from attribution.total import Total

if TYPE_CHECKING:
    import pandas as pd

    from attribution.plots import TrendPlots

__all__ = ["Trend"]

# The order of bars over time; levels that left and entered come last.
_EFFECTS = (
    "volume", "mix", "joint", "rate", "interaction", "sampling", "phasing", "gap", "exit", "entry",
    "turnover",
)  # fmt: skip


# Parts of the KPI below which a sum is 0 by construction, and its standard error too.
_DUST, _STILL = 1e-12, 1e-8


@dataclass(frozen=True, eq=False)
class Trend(Filed):
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
    _resampled: Resampled | None = field(default=None, repr=False)

    # -- steps -------------------------------------------------------------------------------

    @property
    def steps(self) -> dict[str, Attribution]:
        """The attribution of each change, by its current period; gaps have none."""
        return {self._label(s, 1): s.change for s in self._steps if s.change is not None}

    def _label(self, step: Step, side: int) -> str:
        return self.cube.periods[step.pair[side]]

    @cached_property
    def _over_steps(self) -> Contributions:
        told = (self.cube, self.metric, self.path, self._steps, self._joint, self._resampled)
        return Contributions(*told)

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
        again = self._resampled
        if again is None:
            return explain_pair(cube, self.metric, self.options, units)
        linear = replace(self.options, inference="analytic", bootstrap=None)
        change = explain_pair(cube, self.metric, linear, units)
        return redrawn(change, again.another(Compared(pair, there, change)), self.options)

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
        verdict (null where no change ends). The interval of the value of a `Rate` lies in [0, 1]:
        of its logit, and at 0 or 100 % Wilson's; that of a change is symmetric.
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
        if self._resampled is not None:
            return self._resampled.levels(joint)
        R = joint.R
        support = joint.support(np.eye(P, dtype=bool))
        se = joint.std_errors(joint.levels())
        found = infer(R, se, support, self.options.conf_level, float(np.abs(R).max()))
        if not self.metric.of_trials:
            return found
        n = self.cube.metric_sums(self.metric, "count").sum(axis=1)
        return proportions(found, self.options.conf_level, n, support.fewest)

    def _step_total(self, step: Step) -> Total:
        if step.change is not None:
            return step.change.total
        if self._resampled is not None:
            return self._resampled.change(step.pair, self._joint)
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
        lines = [(k, name(key)) for key, _, _, k in self._over_steps.lines]
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
    def _sums(self) -> Sums:
        return self._sums_of(_as_it_is)

    def _sums_of(self, name: Callable[[LineKey], LineKey]) -> Sums:
        """The sums over all steps of lines that are called the same."""
        if self.total is None:
            raise OptionError(
                f"path: the changes of {self.path!r} overlap and add up to nothing. Use the path "
                "'chained', or 'year-to-date' for the year as a whole."
            )
        keys = [name(key) for key, *_ in self._over_steps.lines]
        unique = sorted(
            dict.fromkeys(keys), key=lambda key: (_EFFECTS.index(key[0]), keys.index(key))
        )
        return self._added(unique, [[key == other for other in keys] for key in unique])

    def _added(self, keys: list[LineKey], member: list[list[bool]]) -> Sums:
        values, chosen = (
            np.array([x for _, x, _, _ in self._over_steps.lines]),
            np.array(member, float),
        )
        over = self._over_steps
        support, draws = over.support(chosen), over.draws(chosen)
        return Sums(keys, chosen @ values, over.psi(chosen), support, draws)

    def _inferred(self, sums: Sums) -> pd.DataFrame:
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

    def _inference(self, sums: Sums) -> tuple[Inference, np.ndarray]:
        joint, options = self._joint, self.options
        size = float(np.abs(joint.R).max())
        if sums.draws is None:
            se = joint.std_errors(sums.rows)
            found = infer(sums.estimate, se, sums.support, options.conf_level, size)
        else:
            draws, fewest = Draws(sums.draws), sums.support.fewest
            found = bootstrap_inference(sums.estimate, draws, options.conf_level, size, fewest)
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
            `effect, dimension, segment, chained, end_to_end`, the last two named as `end_to_end`
            above is, for the paths "chained" and "end-to-end"; both add up to the same change.
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

    def _bridge_of(self, sums: Sums) -> Bridge:
        options = self.options
        found, p_adjusted = self._inference(sums)
        assert self.total is not None  # or there are no sums
        size = max(abs(self.total.baseline), abs(self.total.current))
        # As in the bridge of one change: a factor that counts itself has no mix and no rate.
        still = (np.abs(found.estimate) <= _DUST * size) & ~(found.std_error > _STILL * size)
        kept = [
            i
            for i, key in enumerate(sums.keys)
            if not (still[i] and (key.factor is not None or key.effect == "joint"))
        ] or list(range(len(sums.keys)))
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
            covariance=self._covariance(sums, kept),
            half_width=float(half_width(self._joint.plain.degrees_of_freedom, options.conf_level)),
        )

    def _covariance(self, sums: Sums, kept: list[int]) -> np.ndarray:
        if sums.draws is not None:
            return np.atleast_2d(np.cov(sums.draws[:, kept], rowvar=False))
        return self._joint.covariance([x[:, kept] for x in sums.rows])

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

    from attribution.trend_words import headline, notes, summary

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        first, last = self.cube.periods[0], self.cube.periods[-1]
        f = self.format
        total = self.total
        moved = f" ({f.change(f.step(total.baseline, total.current))})" if total else ""
        return (
            f"<Trend {self.metric.label}: {len(self._steps)} changes, {first} → {last}{moved}, "
            f"{self.path}>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    @property
    def plot(self) -> TrendPlots:
        """The pictures: ``trend.plot.bars()``, ``.line()``, ``.waterfall()``, ``.individuals()``.

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
            left = self.total.change - float(sum(x for _, x, _, _ in self._over_steps.lines))
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
            "inference": options.inference,
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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trend):
            return NotImplemented
        mine, others = ((x.metric, x.path, x.options, x.cube.digest()) for x in (self, other))
        return mine == others and [s.pair for s in self._steps] == [s.pair for s in other._steps]

    def __hash__(self) -> int:
        return hash((self.metric, self.path, self.options, self.cube.digest()))


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
