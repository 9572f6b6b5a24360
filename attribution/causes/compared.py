"""What is compared with what: rows of a cube, arranged for the search for causes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.errors import DataQualityWarning
from attribution.search import (
    Strata,
    counted_strata,
    dispersed,
    paired_strata,
    planned_strata,
    shrunk,
    standardized,
)

if TYPE_CHECKING:
    from attribution.result import Attribution

__all__ = ["rate_strata", "volume_strata"]


def _entries(change: Attribution, roles: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Cells, units and, per role, sums of shape (2, R): of each unit in each cell of S."""
    cube, metric = change.cube, change.metric
    stayed = change._parts.turnover.stayed
    place = np.cumsum(stayed) - 1
    moments = metric.moments(cube.weighted)
    clusters = cube.clusters
    if clusters is None:
        cell = np.arange(int(stayed.sum()))
        sums = [cube.metric_sums(metric, role)[:, stayed] for role in roles]
        return cell, np.full(len(cell), -1), sums
    inside = stayed[clusters.segment]
    code = clusters.codes[0][inside]
    segment = place[clusters.segment[inside]]
    key = code.astype(np.int64) * int(stayed.sum()) + segment
    unique, row = np.unique(key, return_inverse=True)
    at = clusters.period[inside].astype(np.int64) * len(unique) + row.ravel()
    sums = [
        np.bincount(at, clusters.sums[moments[role].key][inside], 2 * len(unique)).reshape(2, -1)
        for role in roles
    ]
    unit, cell = np.divmod(unique, max(int(stayed.sum()), 1))
    return cell, np.unique(unit, return_inverse=True)[1].ravel(), sums


def rate_strata(change: Attribution) -> tuple[Strata, tuple[str, ...]]:
    """Arrange who did what at which rate, with notes for the reader."""
    cube, metric = change.cube, change.metric
    cell, unit, (D, N, count) = _entries(change, ("denominator", "numerator", "count"))
    link = "odds" if metric.of_trials else "difference"
    target = _target(change)
    if cube.clusters is None:
        return _independent(change, cell, D, N, link, target)
    notes: list[str] = []
    if len(cube.clusters.names) > 1:
        notes.append(f"Units: {cube.clusters.names[0]}, the first of the cluster columns.")
    if link == "odds" and cube.weighted:
        # As many trials as there were, at the weighted rate: weights say who, not how many.
        rate = np.divide(N, D, out=np.zeros_like(D), where=D > 0)
        D, N = np.where(D > 0, count, 0.0), np.where(D > 0, count, 0.0) * rate
    strata = _arranged(change, D, N, cell, unit, link, target)
    if link == "difference" or cube.weighted:
        cells = int(change._parts.turnover.stayed.sum())
        strata = dispersed(strata, cells, alike=link == "odds")
    if link == "difference":
        strata = standardized(strata)
    who = str(cube.clusters.names[0])  # pyright: ignore[reportGeneralTypeIssues]
    if target is not None:
        notes.append(
            f"Against plan: targets are taken as known, and how far each {who} is from them by "
            "nature counts as noise."
        )
    elif not strata.paired.any():
        notes.append(
            f"No {who} is in the same segment in both periods: they are "
            "compared with each other, and what they differ by counts as noise. What is common "
            "to all and what is spread over the rest cannot be told apart then: read everywhere "
            "and the rest as one figure, their sum."
        )
    return strata, tuple(notes)


def _target(change: Attribution) -> np.ndarray | None:
    """The planned rate of each cell of S; None where two actual periods are compared."""
    if change.options.rates != "planned":
        return None
    stayed = change._parts.turnover.stayed
    D, N = (
        change.cube.metric_sums(change.metric, role)[0, stayed]
        for role in ("denominator", "numerator")
    )
    # Cells without planned volume have no target and are judged by none.
    return np.divide(N, D, out=np.full_like(D, np.nan), where=D > 0)


def _arranged(
    change: Attribution,
    D: np.ndarray,
    N: np.ndarray,
    cell: np.ndarray,
    unit: np.ndarray | None,
    link: str,
    target: np.ndarray | None,
) -> Strata:
    if target is None:
        codes = change.cube.codes[change._parts.turnover.stayed]
        return paired_strata(D, N, cell, unit, link, codes)
    aimed = np.isfinite(target)
    D = np.where(aimed[cell], D, 0.0)
    return planned_strata(D, N, cell, unit, link, np.where(aimed, target, 0.0))


def _independent(
    change: Attribution,
    cell: np.ndarray,
    D: np.ndarray,
    N: np.ndarray,
    link: str,
    target: np.ndarray | None,
) -> tuple[Strata, tuple[str, ...]]:
    cube, metric = change.cube, change.metric
    text = "Rows are taken as independent (no cluster): false alarms rise where people drift."
    warnings.warn(f"causes: {text}", DataQualityWarning, stacklevel=5)
    stayed = change._parts.turnover.stayed
    roles = ("den_den", "num_den", "num_num")
    DD, DN, NN = (cube.metric_sums(metric, role)[:, stayed] for role in roles)
    if link == "odds":
        if cube.weighted:
            # Kish's effective number of trials.
            effective = np.divide(D**2, DD, out=np.zeros_like(D), where=DD > 0)
            N = np.divide(N, D, out=np.zeros_like(D), where=D > 0) * effective
            D = effective
        return _arranged(change, D, N, cell, None, link, target), (text,)
    r = np.divide(N, D, out=np.zeros_like(D), where=D > 0)
    noise = np.divide(NN - 2 * r * DN + r**2 * DD, D**2, out=np.zeros_like(D), where=D > 0)
    strata = _arranged(change, D, N, cell, None, link, target)
    if target is None:
        both = D.sum(axis=0)
        half = np.divide(D[0] * D[1], both, out=np.zeros(len(cell)), where=both > 0)
    else:
        half = D[1]
    rows = cube.metric_sums(metric, "count")[:, stayed]
    scale = shrunk(rows.sum(axis=0) * noise.sum(axis=0) * half, np.maximum(rows - 1, 0).sum(axis=0))
    return standardized(replace(strata, scale=scale)), (text,)


def volume_strata(change: Attribution) -> Strata:
    """Cells by their volume: who does the work is what moves, so it is no unit here."""
    cube, stayed = change.cube, change._parts.turnover.stayed
    volume = cube.metric_sums(change.metric, "denominator") if cube.volume is None else cube.volume
    return counted_strata(volume[:, stayed])
