"""Steps: the changes of a trend, and what their lines add up to with the noise that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attribution.cube import Cube
from attribution.hypotheses import LineKey
from attribution.infer import Support
from attribution.joint import Joint
from attribution.metrics import Metric
from attribution.products import Composite
from attribution.resampled import Resampled
from attribution.result import Attribution
from attribution.tables import line_keys

__all__ = ["Contributions", "Step", "Sums", "segments_of"]


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
class Sums:
    """Sums of contributions: names, values, what each unit adds, what they rest on, replicates."""

    keys: Sequence[LineKey]
    estimate: np.ndarray
    rows: list[np.ndarray]
    support: Support
    draws: np.ndarray | None = None


def _as_it_is(key: LineKey) -> LineKey:
    return key


@dataclass(frozen=True, eq=False)
class Contributions:
    """The lines of all steps of a trend: what each adds to the total, and what units add to it.

    Attributes
    ----------
    cube : Cube
        The sums of all periods.
    metric : Metric
    path : str
        See `attribution.trends.Trend`.
    steps : tuple of Step
    joint : Joint
    resampled : Resampled, optional
        The replicates of a bootstrap.
    """

    cube: Cube
    metric: Metric
    path: str
    steps: tuple[Step, ...]
    joint: Joint
    resampled: Resampled | None = None

    def _moved(self, step: Step) -> float:
        """By how much the KPI changed in a step."""
        if step.change is not None:
            return step.change.total.change
        i, j = step.pair
        return float(self.joint.R[j] - self.joint.R[i])

    @cached_property
    def lines(self) -> list[tuple[LineKey, float, float, int]]:
        """Each line of each step: its key, what it adds to the total, its weight, its step."""
        found: list[tuple[LineKey, float, float, int]] = []
        weights, shift, R, K = self._year
        for k, step in enumerate(self.steps):
            if step.change is None:
                key = LineKey("gap", None, ", ".join(step.missing))
                found.append((key, self._moved(step), 1.0, k))
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
            ones = np.ones(len(self.steps))
            return ones, 0 * ones, 0 * ones, 0.0
        weights, shift, R, K = self._year_at(*self.joint.sums)
        return weights, shift, R, float(K)

    def _year_at(self, D: np.ndarray, N: np.ndarray) -> tuple[np.ndarray, ...]:
        """The same from sums of every period, the last axis of (..., P)."""
        D, N = D[..., self._pairs], N[..., self._pairs]
        w, R = D / D.sum(axis=-2, keepdims=True), N / D
        K = N.sum(axis=-2) / D.sum(axis=-2)
        return w.mean(axis=-1), w[..., 1] - w[..., 0], R.mean(axis=-1), K.mean(axis=-1)

    @property
    def _pairs(self) -> np.ndarray:
        return np.array([step.pair for step in self.steps])

    def psi(self, member: np.ndarray) -> list[np.ndarray]:
        """What each unit adds to sums of contributions, given as rows of weights (K, lines)."""
        joint, levels = self.joint, self.joint.levels()
        D = joint.totals()[0]
        summed = [np.zeros((len(x), len(member))) for x in D]
        of_step = np.array([k for *_, k in self.lines])
        weights, shift, R, K = self._year
        for k, step in enumerate(self.steps):
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

    def draws(self, member: np.ndarray) -> np.ndarray | None:
        """Sums of contributions in every replicate of a bootstrap, (B, K); None without one."""
        again = self.resampled
        if again is None:
            return None
        own, found = iter(again.steps), []
        yearly = self.path == "year-to-date"
        year = self._year_at(again.sums[:, 0], again.sums[:, 1]) if yearly else None
        for k, step in enumerate(self.steps):
            if step.change is None:
                i, j = step.pair
                found.append(again.R[:, [j]] - again.R[:, [i]])
                continue
            lines = next(own).estimates[:, 1 : 1 + len(step.change._parts.lines)]
            if year is not None:
                weights, shift, R, K = year
                found.append((shift[:, k] * (R[:, k] - K))[:, None])
                lines = weights[:, [k]] * lines
            found.append(lines)
        return np.hstack(found) @ member.T

    def _psi_of_year(self, D, levels, k: int) -> tuple[list, list, list]:
        """What each unit adds to a step's weight, its shift, and its KPI less that of the years."""
        pairs, w, moved, mean = self._pairs, [], [], []
        total = self.joint.sums[0][pairs].sum(axis=0)
        share = self.joint.sums[0][pairs] / total
        R = self.joint.R[pairs]
        for d, r in zip(D, levels, strict=True):
            in_share = (d[:, pairs] - share * d[:, pairs].sum(axis=1, keepdims=True)) / total
            in_year = (in_share * R + share * r[:, pairs]).sum(axis=1)
            w.append(in_share[:, k].mean(axis=1))
            moved.append(in_share[:, k, 1] - in_share[:, k, 0])
            mean.append(r[:, pairs][:, k].mean(axis=1) - in_year.mean(axis=1))
        return w, moved, mean

    def support(self, member: np.ndarray) -> Support:
        """The fewest units of any step that a sum rests on, and the most of any."""
        fewest, either = [], []
        for step in self.steps:
            if step.change is None:
                periods = np.isin(np.arange(len(self.cube.periods)), step.pair)[None, :]
                found = self.joint.support(periods)
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
        return Support(np.column_stack([least, least]), most)


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
