"""What history says of the segments of a plan, and how far the target of each may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from attribution.cube import Cube
from attribution.errors import DataContractError, OptionError, listing
from attribution.finding import finding
from attribution.goals import Labels, check_target, numbers_by_segment
from attribution.infer.power import detectable_factor
from attribution.metrics import Metric
from attribution.targets.scan import labels_of
from attribution.targets.variance import segment_variance

__all__ = ["Asked", "Segments", "limits_of", "segments_of"]


@dataclass(frozen=True)
class Asked:
    metric: Metric
    method: str
    alpha: float
    power: float


@dataclass(frozen=True, eq=False)
class Segments:
    """What history says of S segments; arrays of shape (S,)."""

    labels: tuple[Labels, ...]
    volume: np.ndarray
    n_history: np.ndarray
    n: np.ndarray
    base: np.ndarray
    variance: np.ndarray
    findings: tuple[dict[str, Any], ...] = ()

    def part(self, keep: np.ndarray, volume: np.ndarray) -> Segments:
        return Segments(
            labels=tuple(x for x, k in zip(self.labels, keep, strict=True) if k),
            volume=volume,
            n_history=self.n_history[keep],
            n=self.n[keep],
            base=self.base[keep],
            variance=self.variance[keep],
        )


def segments_of(cube: Cube, metric: Metric, volumes: object, periods: int) -> Segments:
    count = cube.metric_sums(metric, "count")
    active = np.maximum((count > 0).sum(axis=0), 1)
    pooled = cube.pool({"history": cube.periods})
    D, N, n = (pooled.metric_sums(metric, r)[0] for r in ("denominator", "numerator", "count"))
    if (stray := (D == 0) & (N != 0)).any():
        named = [cube.segment_name(int(c)) for c in np.flatnonzero(stray)]
        raise DataContractError(
            f"history: a numerator and no denominator in {listing(named, most=8)}.",
            [{"segment": name, "problem": "numerator without denominator"} for name in named],
        )
    labels = labels_of(cube)
    keep, findings = D > 0, [dict(f) for f in cube.findings]
    volume = D / len(cube.periods)
    if volumes is not None:
        planned = numbers_by_segment(
            volumes, cube.dimensions, ("volume", "planned_volume"), "volumes"
        )
        there = {x for x, d in zip(labels, D, strict=True) if d > 0}
        if unknown := [" × ".join(x) for x in planned if x not in there]:
            raise OptionError(
                f"volumes: {listing(unknown, most=8)} without history, so without a baseline. Plan "
                "such a segment apart, at the level it is expected to start from."
            )
        if bad := [" × ".join(x) for x, v in planned.items() if not v > 0]:
            raise OptionError(f"volumes: {listing(bad, most=8)}: not a positive number.")
        volume = np.array([planned.get(x, 0.0) for x in labels])
        left = [" × ".join(x) for x, v, k in zip(labels, volume, keep, strict=True) if k and not v]
        keep &= volume > 0
        if left:
            message = f"{listing(left, most=8)}: history, but no planned volume; without a target."
            findings.append(finding("not_planned", "warning", message, segments=left))
    pooled = pooled.keep_segments(keep)
    base = N[keep] / D[keep]
    return Segments(
        labels=tuple(x for x, k in zip(labels, keep, strict=True) if k),
        volume=volume[keep],
        n_history=n[keep],
        n=periods * (count.sum(axis=0) / active)[keep],
        base=base,
        variance=segment_variance(pooled, metric),
        findings=tuple(findings),
    )


def limits_of(
    segments: Segments, asked: Asked, floor: Any, stretch: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The floor and bound of each segment, and its detectable change, KPI units."""
    metric, base = asked.metric, segments.base
    sign = 1.0 if metric.better == "higher" else -1.0
    per_row = segments.variance * (1 / segments.n_history + 1 / segments.n)
    detectable = detectable_factor(asked.alpha, asked.power) * np.sqrt(per_row)
    detectable = np.where(np.isfinite(detectable), detectable, 0.0)
    least, best = (0.0, 1.0) if metric.of_trials else (-np.inf, np.inf)
    worst = least if sign > 0 else best
    low = _per_segment("floor", floor, segments.labels, metric, np.full(len(base), worst))
    peers = float(np.quantile(sign * base, 0.75)) * sign
    reach = sign * np.maximum(sign * peers, sign * base + 2 * detectable)
    # Sums of a time or a cost do not fall below 0 either.
    reach = np.clip(reach, 0.0 if (base >= 0).all() else -np.inf, best)
    high = _per_segment("stretch", stretch, segments.labels, metric, reach)
    if (crossed := sign * low > sign * high).any():
        named = [" × ".join(segments.labels[i]) for i in np.flatnonzero(crossed)]
        raise OptionError(
            f"floor: it is beyond what can be achieved (stretch) in {listing(named, most=8)}."
        )
    return low, high, detectable


def _per_segment(
    parameter: str, given: Any, labels: Sequence[Labels], metric: Metric, default: np.ndarray
) -> np.ndarray:
    if given is None:
        return default
    if isinstance(given, Real) and not isinstance(given, bool):
        return np.full(len(labels), check_target(metric, given, "all", parameter))
    found = numbers_by_segment(given, [""] * len(labels[0]), (parameter, "target"), parameter)
    if unknown := [" × ".join(x) for x in found if x not in labels]:
        raise OptionError(f"{parameter}: no segment {listing(unknown, most=8)} in the history.")
    values = default.copy()
    for i, x in enumerate(labels):
        if x in found:
            values[i] = check_target(metric, found[x], repr(" × ".join(x)), parameter)
    return values
