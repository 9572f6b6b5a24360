"""Findings on cells: levels without a name, thin and one-period cells, what is not identified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.decompose import Decomposed
from attribution.errors import listing
from attribution.evidence import THIN_ROWS
from attribution.finding import finding
from attribution.labels import MISSING
from attribution.quality.displayed import displayed

if TYPE_CHECKING:
    from attribution.cube import Cube
    from attribution.result import Attribution

__all__ = ["cells", "counts", "identification", "missing_levels", "unplanned"]


def missing_levels(cube: Cube, volume: np.ndarray) -> list[dict[str, Any]]:
    """Work whose level is unknown, and whether there is more of it than before."""
    found = []
    for d, (name, levels) in enumerate(zip(cube.dimensions, cube.levels, strict=True)):
        if MISSING not in levels:
            continue
        rows = cube.codes[:, d] == levels.index(MISSING)
        shares = volume[:, rows].sum(axis=1) / volume.sum(axis=1)
        grew = abs(shares[1] - shares[0]) > 0.02
        found.append(
            finding(
                "missing_level",
                "warning" if shares.max() > 0.05 or grew else "info",
                f"{name}: {100 * shares[0]:.1f} % of the volume has no level in the baseline, "
                f"{100 * shares[1]:.1f} % in the current period; it is kept as {MISSING!r}.",
                dimension=name,
                share_baseline=shares[0],
                share_current=shares[1],
            )
        )
    return found


def unplanned(parts: Decomposed, cube: Cube, V: np.ndarray) -> list[dict[str, Any]]:
    """What was done without a plan, and what was planned and not done."""
    if parts.form != "planned":
        return []
    found = []
    for code, t, words in (("unplanned", 1, "actual"), ("undelivered", 0, "planned")):
        alone = np.flatnonzero((V[t] > 0) & (V[1 - t] == 0))
        if len(alone):
            share = float(V[t][alone].sum() / V[t].sum())
            named = [cube.segment_name(c) for c in alone[np.argsort(-V[t][alone], kind="stable")]]
            side = "without a plan" if t else "without an actual"
            found.append(
                finding(
                    code,
                    "warning" if share > 0.05 else "info",
                    f"{len(alone):,} segment{'s' * (len(alone) > 1)} {side} "
                    f"({100 * share:.1f} % of the {words} volume): {listing(named, most=6)}.",
                    segments=named,
                    share=share,
                )
            )
    return found


def cells(change: Attribution, volume: np.ndarray, n: np.ndarray) -> list[dict[str, Any]]:
    """Thin cells, cells of one period, cells of one unit, rates borrowed from the other period."""
    parts = change._parts
    stayed, found = parts.turnover.stayed, []
    n_S, volume_S = n[:, stayed], volume[:, stayed]
    total, saturated = volume_S.sum(), parts.form == "saturated"
    one = (n_S > 0).sum(axis=0) == 1
    if one.any():
        share = float(volume_S[:, one].sum() / total)
        found.append(
            finding(
                "one_period_cells",
                "warning" if saturated and share > 0.02 else "info",
                f"{int(one.sum()):,} of {len(one):,} segments were seen in one period only "
                f"({100 * share:.1f} % of the volume)"
                + (
                    "; with saturated rates their rate change is counted as mix." * saturated or "."
                ),
                segments=int(one.sum()),
                of=len(one),
                share=share,
            )
        )
    thin = (n_S > 0) & (n_S < THIN_ROWS)
    if thin.any():
        share = float(volume_S[thin].sum() / total)
        found.append(
            finding(
                "thin_cells",
                "warning" if saturated and share > 0.05 else "info",
                f"{int(thin.sum()):,} of {int((n_S > 0).sum()):,} observed cells have fewer than "
                f"{THIN_ROWS} rows ({100 * share:.1f} % of the volume).",
                cells=int(thin.sum()),
                share=share,
            )
        )
    alone = np.logical_or.reduce([way.in_cell[:, stayed] == 1 for way in change._units.ways])
    if saturated and alone.any():
        share = float(volume_S[alone].sum() / total)
        found.append(
            finding(
                "cells_of_one_unit",
                "warning" if share > 0.02 else "info",
                f"{int(alone.sum()):,} cells ({100 * share:.1f} % of the volume) rest on a single "
                f"{_unit(change)} in a period: their observed rates have noise that no standard "
                "error can see.",
                cells=int(alone.sum()),
                share=share,
            )
        )
    borrowed = parts.borrowed
    if borrowed.any() and not saturated:
        found.append(
            finding(
                "borrowed_rates",
                "info",
                f"{int(borrowed.sum()):,} cells cannot be predicted in their period and take the "
                "other period's fitted rate.",
                cells=int(borrowed.sum()),
            )
        )
    return found


def _unit(change: Attribution) -> str:
    clusters = change.cube.clusters
    return "row" if clusters is None else " or ".join(clusters.names)


def counts(change: Attribution, D: np.ndarray) -> list[dict[str, Any]]:
    """What known volumes changed: the KPI of the counts, and counted cells never sampled."""
    volume, parts, format = change.cube.volume, change._parts, change.format
    if volume is None:
        return []
    shares = [float(volume[t][D[t] <= 0].sum() / volume[t].sum()) for t in (0, 1)]
    sampling = sum(
        float(x)
        for line, x in zip(parts.lines, parts.estimate, strict=True)
        if line.effect == "sampling"
    )
    return [
        finding(
            "known_volumes",
            "warning" if max(shares) > 0.2 else "info",
            f"The mix is that of the full counts. {100 * shares[0]:.1f} % of them in the baseline "
            f"and {100 * shares[1]:.1f} % in the current period lie in segments without a sample, "
            f"whose rates are predicted. How the sample differs from the counts moved the KPI by "
            f"{format.change(displayed(change)['sampling'])}.",
            unsampled_baseline=shares[0],
            unsampled_current=shares[1],
            sampling=sampling,
        )
    ]


def identification(parts: Decomposed, cube: Cube) -> list[dict[str, Any]]:
    """Dimensions that lie in one another, and levels that occur only together."""
    found = []
    stayed = parts.turnover.stayed
    nested = parts.design.at(stayed).parents
    for child, parents in enumerate(nested):
        # Of market within region within world, "market within world" says nothing more.
        further = {a for parent in parents for a in nested[parent]}
        for parent in (a for a in parents if a not in further):
            inner, outer = cube.dimensions[child], cube.dimensions[parent]
            declared = outer in cube.ancestors(inner)
            found.append(
                finding(
                    "nested",
                    "info",
                    f"Each {inner} lies in one {outer}: the mix of {outer} is between its levels, "
                    f"the mix of {inner} within them."
                    + f" Declare it: at.Dimension({inner!r}, within={outer!r})."
                    * (not declared),
                    child=inner,
                    parent=outer,
                    declared=declared,
                )
            )
    aliased = {
        name: [cube.levels[d][i] for i in np.flatnonzero(parts.aliased[parts.design.block(d)])]
        for d, name in enumerate(cube.dimensions)
    }
    aliased = {name: levels for name, levels in aliased.items() if levels}
    if aliased:
        listed = " and ".join(
            f"{name} {', '.join(levels[:4])}{' ...' if len(levels) > 4 else ''}"
            for name, levels in aliased.items()
        )
        found.append(
            finding(
                "aliased_levels",
                "warning",
                f"The split between {listed} is not identified: they occur only together. Their "
                "common effect is shared out by the smallest effects that fit.",
                levels=aliased,
            )
        )
    return found
