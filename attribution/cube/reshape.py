"""A cube from a cube: parts, roll-ups, merged levels, pooled periods. No sum is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from attribution.cube.asked import several
from attribution.errors import AttributionError, OptionError, PeriodError, listing
from attribution.labels import label_of, natural_key

if TYPE_CHECKING:
    from attribution.cube.cube import Cube

__all__ = [
    "between",
    "keep_segments",
    "merge_levels",
    "pool",
    "rollup",
    "select",
    "without_empty_levels",
]


def select(cube: Cube, **levels: object) -> Cube:
    """Return the part of the cube at given levels."""
    keep = np.ones(len(cube.codes), dtype=bool)
    for dimension, chosen in levels.items():
        d = cube.dimension_index(dimension)
        several = chosen if isinstance(chosen, list | tuple | set) else [chosen]
        wanted = [cube.level_index(dimension, level) for level in several]
        keep &= np.isin(cube.codes[:, d], wanted)
    if not keep.any():
        chosen_text = ", ".join(f"{d}={v!r}" for d, v in levels.items())
        raise OptionError(f"select: no segment has {chosen_text} together.")
    chosen_levels = {
        d: [label_of(x) for x in v] if isinstance(v, list | tuple | set) else label_of(v)
        for d, v in levels.items()
    }
    part = {**cube.provenance.get("part", {}), **chosen_levels}
    kept = without_empty_levels(cube.keep_segments(keep))
    return replace(kept, provenance={**cube.provenance, "part": part})


def keep_segments(cube: Cube, keep: np.ndarray) -> Cube:
    """Return the cube with some of its segments."""
    if keep.all():
        return cube
    clusters, cells = cube.clusters, np.tile(keep, len(cube.periods))
    if clusters is not None:
        renumbered = np.cumsum(keep, dtype=np.int32) - 1
        clusters = clusters.take(keep[clusters.segment])
        clusters = replace(clusters, segment=renumbered[clusters.segment])
    return replace(
        cube,
        codes=cube.codes[keep],
        sums={k: v[:, keep] for k, v in cube.sums.items()},
        clusters=clusters,
        sketches={k: x.take(cells) for k, x in cube.sketches.items()},
    )


def rollup(cube: Cube, dimensions: Sequence[str]) -> Cube:
    """Return the cube summed to fewer dimensions."""
    kept = [cube.dimension_index(d) for d in dimensions]
    rolled = _regrouped(
        cube, tuple(dimensions), tuple(cube.levels[d] for d in kept), cube.codes[:, kept]
    )
    above = {d: [a for a in cube.ancestors(d) if a in dimensions] for d in dimensions}
    return replace(rolled, hierarchy={d: found[0] for d, found in above.items() if found})


def merge_levels(cube: Cube, dimension: str, mapping: Mapping[object, object]) -> Cube:
    """Return the cube with levels of one dimension renamed or merged."""
    d = cube.dimension_index(dimension, "mapping")
    renamed = {
        cube.levels[d][cube.level_index(dimension, old, "mapping")]: label_of(new)
        for old, new in mapping.items()
    }
    new_of = [renamed.get(level, level) for level in cube.levels[d]]
    labels = sorted(set(new_of), key=natural_key)
    position = {label: i for i, label in enumerate(labels)}
    rank = np.array([position[x] for x in new_of], dtype=np.int32)
    codes = cube.codes.copy()
    codes[:, d] = rank[codes[:, d]]
    levels = (*cube.levels[:d], tuple(labels), *cube.levels[d + 1 :])
    merged = _regrouped(cube, cube.dimensions, levels, codes)
    from attribution.hierarchy import check_hierarchy

    check_hierarchy(merged)
    used = {**cube.provenance.get("mapping", {})}
    used[dimension] = {**used.get(dimension, {}), **renamed}
    return replace(merged, provenance={**merged.provenance, "mapping": used})


def pool(cube: Cube, groups: Mapping[str, Sequence[str]]) -> Cube:
    """Return the cube with its periods summed into groups."""
    target = np.full(len(cube.periods), -1)
    for g, members in enumerate(groups.values()):
        for member in members:
            t = cube.period_index(member)
            if target[t] >= 0:
                raise PeriodError(f"periods: {member!r} is in two groups.")
            target[t] = g
    if len(target) == len(groups) and np.array_equal(target, np.arange(len(target))):
        return replace(cube, periods=tuple(groups))
    sums = {
        k: np.stack([v[target == g].sum(axis=0) for g in range(len(groups))])
        for k, v in cube.sums.items()
    }
    clusters = cube.clusters
    if clusters is not None:
        keep = target[clusters.period] >= 0
        clusters = clusters if keep.all() else clusters.take(keep)
        if not np.array_equal(target, np.arange(len(target))):
            clusters = replace(clusters, period=target[clusters.period].astype(np.int32))
        if any(len(members) > 1 for members in groups.values()):
            clusters = clusters.summed()
    S = len(cube.codes)
    cell = np.where(target[:, None] >= 0, target[:, None] * S + np.arange(S), -1).ravel()
    sketches = {k: x.added(cell, len(groups) * S) for k, x in cube.sketches.items()}
    pooled = replace(cube, periods=tuple(groups), sums=sums, clusters=clusters, sketches=sketches)
    _check_conserved(cube, pooled, target)
    return pooled


def between(cube: Cube, baseline: object, current: object) -> Cube:
    """Return the cube of two periods, baseline first."""
    sides = []
    for parameter, given in (("baseline", baseline), ("current", current)):
        found = [cube.period_index(v, parameter) for v in several(given)]
        if not found:
            raise PeriodError(f"{parameter}: an empty list of periods.")
        sides.append([cube.periods[t] for t in dict.fromkeys(found)])
    if shared := [x for x in sides[0] if x in sides[1]]:
        raise PeriodError(
            f"baseline and current overlap: {listing(shared)}. A period belongs to one side."
        )
    names = [" + ".join(labels) for labels in sides]
    return cube.pool(dict(zip(names, sides, strict=True)))


def without_empty_levels(cube: Cube) -> Cube:
    """Return the cube with the levels that some segment has."""
    codes, levels = cube.codes.copy(), []
    for d, labels in enumerate(cube.levels):
        used, codes[:, d] = np.unique(cube.codes[:, d], return_inverse=True)
        levels.append(tuple(labels[u] for u in used))
    return replace(cube, codes=codes, levels=tuple(levels))


def _regrouped(
    cube: Cube, dimensions: tuple[str, ...], levels: tuple[tuple[str, ...], ...], codes: np.ndarray
) -> Cube:
    """Sum segments that have become the same."""
    unique, target = np.unique(codes, axis=0, return_inverse=True)
    target = target.reshape(-1)
    sums = {}
    for name, values in cube.sums.items():
        sums[name] = np.stack([np.bincount(target, row, len(unique)) for row in values])
    clusters = cube.clusters
    if clusters is not None:
        clusters = replace(clusters, segment=target[clusters.segment].astype(np.int32))
        clusters = clusters.summed()
    P = len(cube.periods)
    cell = (np.arange(P)[:, None] * len(unique) + target).ravel()
    regrouped = replace(
        cube,
        dimensions=dimensions,
        levels=levels,
        codes=unique,
        sums=sums,
        clusters=clusters,
        sketches={k: x.added(cell, P * len(unique)) for k, x in cube.sketches.items()},
    )
    _check_conserved(cube, regrouped, np.arange(len(cube.periods)))
    return regrouped


def _check_conserved(before: Cube, after: Cube, target: np.ndarray) -> None:
    """Raise unless every sum is the same: of all segments, and of all clusters, in every period.

    `target` is the period of `after` that each period of `before` went into, -1 for none.
    """
    for name, values in before.sums.items():
        kinds = [("segments", values.sum(axis=1), after.sums[name].sum(axis=1))]
        if before.clusters is not None and name in before.clusters.sums:
            kinds.append(("clusters", _of_clusters(before, name), _of_clusters(after, name)))
        for kind, held, found in kinds:
            wanted = np.bincount(target[target >= 0], held[target >= 0], len(after.periods))
            if not np.allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(values).sum()):
                raise AttributionError(
                    f"cube: the sum {name!r} over {kind} is {found} and should be {wanted}."
                )
    for name, sketch in before.sketches.items():
        kept = np.repeat(target >= 0, len(before.codes))
        wanted = sketch.weight[kept].sum(axis=0)
        if not np.allclose(after.sketches[name].weight.sum(axis=0), wanted, rtol=1e-9):
            raise AttributionError(f"cube: the distribution of {name!r} is not conserved.")


def _of_clusters(cube: Cube, name: str) -> np.ndarray:
    """A sum over clusters in each period; that of a planned period is 0."""
    split = cube.clusters
    if split is None:
        return np.zeros(len(cube.periods))
    return np.bincount(split.period, split.sums[name], len(cube.periods))
