"""Completion: how far targets were met, by which segments, and why they were missed."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from attribution.bridge import Bar, Bridge
from attribution.decompose.against import PARTS, Against
from attribution.errors import listing
from attribution.filed import Filed
from attribution.formatting import Format, tiny
from attribution.goals import Labels, status
from attribution.goals import completion as ratio_reached
from attribution.gradient import Gradient
from attribution.infer import Inference, Units, infer, proportions, std_errors
from attribution.labels import plural
from attribution.metrics import Metric
from attribution.privacy.rules import without_names
from attribution.targets.shown import JOINED, gives_away, shown_of_completion

if TYPE_CHECKING:
    import pandas as pd

    from attribution.privacy import Privacy

__all__ = ["Completion", "Reached"]


@dataclass(frozen=True)
class Reached:
    """The whole against its plan, KPI units.

    Attributes
    ----------
    planned : float
        The targets at the planned mix.
    adjusted : float
        The targets at the actual mix.
    actual, std_error, conf_low, conf_high : float
    completion : float or None
        actual / planned; planned / actual where lower is better. None where it means nothing.
    completion_adjusted : float or None
        The same against `adjusted`: at the work that there was.
    gap_closed : float or None
        (actual - baseline) / (planned - baseline).
    status, status_adjusted : str
        Against `planned` and against `adjusted`.
    """

    planned: float
    adjusted: float
    actual: float
    std_error: float
    conf_low: float
    conf_high: float
    completion: float | None
    completion_adjusted: float | None
    gap_closed: float | None
    status: str
    status_adjusted: str


@dataclass(frozen=True, eq=False)
class Completion(Filed):
    """How far targets were met; made by `attribution.targets.completion`.

    Attributes
    ----------
    metric : Metric
    by : tuple of str
    period : str
        What was judged.
    conf_level : float
    min_n : int
    labels : tuple of tuple of str
        The levels of each of S segments.
    n, volume, rate, target, baseline : ndarray, shape (S,)
    planned_volume : ndarray or None
    against : Against
    units : Units
    findings : tuple of dict
    """

    metric: Metric
    by: tuple[str, ...]
    period: str
    conf_level: float
    min_n: int
    labels: tuple[Labels, ...]
    n: np.ndarray
    volume: np.ndarray
    planned_volume: np.ndarray | None
    rate: np.ndarray
    target: np.ndarray
    baseline: np.ndarray
    against: Against
    units: Units
    findings: tuple[dict[str, Any], ...]

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.metric.better == "higher"

    def _inferred(self, estimate: np.ndarray, gradient: np.ndarray, cells: np.ndarray) -> Inference:
        """Infer lines from their slopes over (D, N); `cells` (K, S) are what they rest on."""
        S, K = len(self.labels), len(estimate)
        slopes = np.zeros((K, 4 * S))
        slopes[:, :S], slopes[:, 2 * S : 3 * S] = gradient[:, :S], gradient[:, S:]
        se = std_errors(Gradient.of(np.eye(K), slopes), self.units)
        found = self.units.support(np.hstack([cells, np.zeros((K, S))]))
        return infer(estimate, se, found, self.conf_level, abs(self.against.actual))

    @cached_property
    def _lines(self) -> Inference:
        """Actual, actual less adjusted target, and the four parts."""
        a = self.against
        estimate = np.array([a.actual, a.actual - a.adjusted, *a.estimate])
        cells = np.tile((self.volume > 0).astype(float), (len(estimate), 1))
        return self._inferred(estimate, a.gradient, cells)

    @cached_property
    def _segments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standard error and interval of each segment's rate."""
        there = self.volume > 0
        D = np.where(there, self.volume, 1.0)
        r = np.where(there, self.rate, 0.0)
        slopes = np.hstack(
            [np.diag(np.where(there, -r / D, 0)), np.diag(np.where(there, 1 / D, 0))]
        )
        cells = np.diag(there.astype(float))
        found = self._inferred(r, slopes, cells)
        if self.metric.of_trials and self.units.clustered:
            units = self.units.support(np.hstack([cells, np.zeros_like(cells)])).fewest
            found = proportions(found, self.conf_level, np.where(there, self.n, 0.0), units)
        se, low, high = found.std_error, found.conf_low, found.conf_high
        if self.metric.of_trials and not self.units.clustered:
            # Wilson's interval: a segment without a failure is not known for certain.
            z = float(special.ndtri((1 + self.conf_level) / 2))
            n = np.maximum(self._effective_n, 1e-9)
            center = (r + z**2 / (2 * n)) / (1 + z**2 / n)
            half = z / (1 + z**2 / n) * np.sqrt(r * (1 - r) / n + z**2 / (4 * n**2))
            se, low, high = half / z, center - half, center + half
        nothing = np.where(there, 1.0, np.nan)
        return se * nothing, low * nothing, high * nothing

    @property
    def _effective_n(self) -> np.ndarray:
        """Trials of each segment, fewer where they are weighted."""
        S = len(self.labels)
        squares = np.asarray(self.units.ways[0].sums[:, :S].power(2).sum(axis=0)).ravel()
        return np.divide(self.volume**2, squares, out=np.zeros(S), where=squares > 0)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per segment.

        Columns: segment, one per column of `by`, n, share and planned_share (of the volume),
        actual, std_error, conf_low, conf_high, target, baseline, completion (A / T; T / A where
        lower is better), gap_closed ((A - base) / (T - base); null where T = base or the baseline
        is not positive), status, and what the segment added to the distance from the plan:
        performance and mix, which add up to the rows of `effects`.

        Statuses: met, missed, not distinguishable, too few, no target, no data.
        """
        import pandas as pd

        se, low, high = self._segments
        share = self.volume / self.volume.sum()
        planned = self._planned_share
        performance, mix = self._contributions
        names = {d: [x[i] for x in self.labels] for i, d in enumerate(self.by)}
        return pd.DataFrame(
            {
                "segment": [" × ".join(x) for x in self.labels],
                **names,
                "n": np.rint(self.n).astype(np.int64),
                "share": share,
                "planned_share": planned,
                "actual": self.rate,
                "std_error": se,
                "conf_low": low,
                "conf_high": high,
                "target": self.target,
                "baseline": self.baseline,
                "completion": ratio_reached(self.rate, self.target, self.higher),
                "gap_closed": _closed(self.rate, self.target, self.baseline),
                "status": self._statuses(low, high),
                "performance": performance,
                "mix": mix,
            }
        )

    @property
    def _planned_share(self) -> np.ndarray:
        weight = self.volume if self.planned_volume is None else self.planned_volume
        weight = np.where(np.isnan(self.target), 0.0, weight)
        return weight / weight.sum()

    @property
    def _contributions(self) -> tuple[np.ndarray, np.ndarray]:
        """p_c (r_c - T_c), and (p_c - w_c)(T_c - R_0S), 0 outside the segments in both."""
        both = ~np.isnan(self.target) & (self.volume > 0) & (self._planned_share > 0)
        if not both.any():
            zero = np.zeros(len(both))
            return zero, zero.copy()
        p, w = np.where(both, self.volume, 0.0), np.where(both, self._planned_share, 0.0)
        p, w = p / p.sum(), w / w.sum()
        T, r = np.where(both, self.target, 0.0), np.where(both, self.rate, 0.0)
        return p * (r - T), (p - w) * (T - w @ T) * both

    def _statuses(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        enough = self.n >= self.min_n
        if self.units.clustered:
            enough &= np.isfinite(low)
        found = status(low, high, self.target, self.higher, enough)
        found[self.volume <= 0] = "no data"
        return found

    @property
    def effects(self) -> pd.DataFrame:
        """Why the plan was missed: performance, mix, entry, exit, adding up to actual - planned.

        Columns: effect, estimate, std_error, conf_low, conf_high, p_value. entry: segments without
        a target; exit: targets without data.
        """
        import pandas as pd

        names = ("estimate", "std_error", "conf_low", "conf_high", "p_value")
        columns = {name: getattr(self._lines, name)[2:] for name in names}
        return pd.DataFrame({"effect": list(PARTS), **columns})

    @property
    def total(self) -> Reached:
        """The whole against its plan."""
        a, lines = self.against, self._lines
        low, high = lines.conf_low[:2], lines.conf_high[:2]
        goal = np.array([a.planned, 0.0])
        enough = np.array([self.n.sum() >= self.min_n] * 2) & np.isfinite(low)
        judged = status(low, high, goal, self.higher, enough)
        done = ratio_reached(np.full(2, a.actual), np.array([a.planned, a.adjusted]), self.higher)
        w, base = self._planned_share, self.baseline
        known = not np.isnan(base[w > 0]).any()
        start = float(w[w > 0] @ base[w > 0]) if known else np.nan
        closed = _closed(np.array([a.actual]), np.array([a.planned]), np.array([start]))[0]
        return Reached(
            planned=a.planned,
            adjusted=a.adjusted,
            actual=a.actual,
            std_error=float(lines.std_error[0]),
            conf_low=float(low[0]),
            conf_high=float(high[0]),
            completion=_known(done[0]),
            completion_adjusted=_known(done[1]),
            gap_closed=_known(closed),
            status=str(judged[0]),
            status_adjusted=str(judged[1]),
        )

    @property
    def rates(self) -> pd.DataFrame:
        """How many targets are met: by count of segments and by volume.

        Columns: status, segments, share_of_segments, volume, share_of_volume. Over all segments
        with a target; those without data have no volume.
        """
        import pandas as pd

        frame = self.frame
        rated = frame[frame["status"] != "no target"].assign(
            volume=self.volume[~np.isnan(self.target)]
        )
        order = ["met", "missed", "not distinguishable", "too few", "no data"]
        grouped = (
            rated.groupby("status")["volume"].agg(["size", "sum"]).reindex(order, fill_value=0)
        )
        total, volume = max(int(grouped["size"].sum()), 1), float(grouped["sum"].sum())
        return pd.DataFrame(
            {
                "status": order,
                "segments": grouped["size"].to_numpy(dtype=np.int64),
                "share_of_segments": grouped["size"].to_numpy() / total,
                "volume": grouped["sum"].to_numpy(dtype=float),
                "share_of_volume": grouped["sum"].to_numpy() / (volume or 1.0),
            }
        )

    def check(self) -> pd.DataFrame:
        """Return the residual and every finding: `code, severity, message, facts`."""
        import pandas as pd

        a, frame = self.against, self.frame
        residual = abs(float(a.estimate.sum()) - (a.actual - a.planned))
        found = [
            {
                "code": "residual",
                "severity": "ok",
                "message": "Performance, mix, entry and exit add up to the distance from the plan; "
                f"the residual is {tiny(residual)}.",
                "facts": {"residual": residual},
            },
            *(dict(f) for f in self.findings),
        ]
        for code, wanted, words in (
            ("target_without_data", "no data", "a target, but no data in the period judged"),
            ("data_without_target", "no target", "data, but no target"),
            ("too_few", "too few", f"fewer than {self.min_n} rows (or one cluster); not judged"),
        ):
            named = frame.loc[frame["status"] == wanted, "segment"].tolist()
            if named:
                message = f"{listing(named, most=8)}: {words}."
                facts = {"segments": named}
                found.append(
                    {"code": code, "severity": "warning", "message": message, "facts": facts}
                )
        if self.planned_volume is None:
            message = "No volumes are planned; the actual ones stand in, so that mix is 0."
            found.append(
                {"code": "no_planned_volume", "severity": "info", "message": message, "facts": {}}
            )
        return pd.DataFrame(found, columns=["code", "severity", "message", "facts"])

    @property
    def format(self) -> Format:
        """How numbers of this KPI are written."""
        gap = self.against.actual - self.against.planned
        return Format.fitting(self.metric.display_unit, gap)

    @property
    def message(self) -> str:
        """The headline."""
        t, form = self.total, self.format
        gap = t.actual - t.planned
        words = {
            "met": "met its target",
            "missed": "missed its target",
            "too few": "has too few rows to be judged",
        }.get(t.status, "is not distinguishable from its target")
        text = f"{self.metric.label} {words}: {form.level(t.actual)} against "
        text += f"{form.level(t.planned)} ({form.change(gap)})"
        parts = self.against.estimate
        along = [i for i in range(len(PARTS)) if parts[i] * gap > 0]
        if t.status in ("met", "missed") and along:
            largest = max(along, key=lambda i: abs(parts[i]))
            named = {"mix": "the mix against plan"}.get(PARTS[largest], PARTS[largest])
            text += f", most of it {named}"
        return text

    def bridge(self, *, privacy: Privacy | None = None) -> Bridge:
        """Return the bars from plan to actual, for `attribution.plots.waterfall`.

        Parameters
        ----------
        privacy : Privacy, optional
            Who may be seen: where a segment that is not shown may be all that "no target" or "no
            data" stands for, these bars and that of the mix are one.

        Returns
        -------
        Bridge
        """
        found, names = self._lines, ("Performance", "Mix against plan", "No target", "No data")
        bars = [
            Bar(
                name,
                float(found.estimate[i]),
                float(found.conf_low[i]),
                float(found.conf_high[i]),
                p_adjusted=float(found.p_value[i]),
                rows=(i - 2,),
            )
            for i, name in enumerate(names, start=2)
            if i < 4 or found.estimate[i] != 0
        ]
        whole = Bridge(
            metric=self.metric.label,
            unit=self.metric.display_unit,
            better=self.metric.better,
            baseline_label="plan",
            current_label=self.period,
            baseline=self.against.planned,
            current=self.against.actual,
            bars=tuple(bars),
            notes=tuple(self.notes()),
            verdict="real" if self.total.status in ("met", "missed") else "inconclusive",
            message=self.message,
        )
        if not gives_away(self, shown_of_completion(self, privacy)):
            return whole
        return whole.merged(range(1, len(bars)), JOINED.capitalize())

    def notes(self) -> list[str]:
        """Return the small print."""
        units = "rows" if not self.units.clustered else "clusters"
        t, form = self.total, self.format
        return [
            f"Targets at the actual mix: {form.level(t.adjusted)} ({t.status_adjusted}). "
            f"n = {int(self.n.sum()):,}, {100 * self.conf_level:g} % intervals over "
            f"{plural(units)}; targets have no noise."
        ]

    def summary(self, *, privacy: Privacy | None = None) -> str:
        """Return headline, why, how many, and findings as text.

        Parameters
        ----------
        privacy : Privacy, optional
            Whom findings may name; segments that are people are not named by default.

        Returns
        -------
        str
        """
        form, effects, rates = self.format, self.effects, self.rates
        kept = shown_of_completion(self, privacy)
        lines = [f"{self.message}.", ""]
        rows = effects[effects["estimate"] != 0].to_dict(orient="records")
        joined = gives_away(self, kept)
        for row in rows:
            if joined and row["effect"] != "performance":
                continue
            interval = form.interval(row["conf_low"], row["conf_high"])
            lines.append(f"  {row['effect']:<12} {form.change(row['estimate']):>12}  [{interval}]")
        if joined:
            rest = sum(row["estimate"] for row in rows if row["effect"] != "performance")
            lines.append(f"  {JOINED}: {form.change(rest)}")
        lines.append("")
        for row in rates.to_dict(orient="records"):
            if row["segments"]:
                text = (
                    f"  {row['status']}: {row['segments']} segment{'s' * (row['segments'] > 1)} "
                    f"({100 * row['share_of_segments']:.0f} %)"
                )
                if not kept.mask.any():
                    # A status of one segment would give its volume away.
                    text += f", {100 * row['share_of_volume']:.0f} % of the volume"
                lines.append(text)
        found = without_names(self.check().to_dict(orient="records"), kept.secret)
        worth = dict.fromkeys(f["message"] for f in found if f["severity"] in ("warning", "info"))
        return "\n".join([*lines, "", *self.notes(), *kept.said, *worth])

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<Completion {self.message}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Completion):
            return NotImplemented
        same = (self.metric, self.by, self.period, self.conf_level, self.min_n, self.labels)
        theirs = (other.metric, other.by, other.period, other.conf_level, other.min_n, other.labels)
        return same == theirs and self.frame.equals(other.frame)

    def __hash__(self) -> int:
        return hash((self.metric, self.by, self.period, self.labels))


def _closed(actual: np.ndarray, target: np.ndarray, base: np.ndarray) -> np.ndarray:
    """(A - base) / (T - base), NaN where there was no gap or the baseline is not positive."""
    gap = target - base
    with np.errstate(invalid="ignore"):
        sound = (base > 0) & (np.abs(gap) > 1e-9 * np.abs(base))
    return np.divide(actual - base, gap, out=np.full(np.shape(gap), np.nan), where=sound)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
