"""Two entities of a cube as its two periods, so that one is explained against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attribution.cube import Cube

__all__ = ["as_periods", "unit_name"]


def as_periods(cube: Cube, entities: int, pair: Sequence[tuple[str, ...]]) -> Cube:
    """A cube of one period as one whose two periods are two of its entities."""
    own = [
        [levels.index(x) for levels, x in zip(cube.levels, labels, strict=False)] for labels in pair
    ]
    side = np.full(len(cube.codes), -1)
    for t, codes in enumerate(own):
        side[(cube.codes[:, :entities] == codes).all(axis=1)] = t
    kept = side >= 0
    codes, segment = np.unique(cube.codes[kept, entities:], axis=0, return_inverse=True)
    segment = segment.ravel()
    sums = {name: np.zeros((2, len(codes))) for name in cube.sums}
    for name, values in cube.sums.items():
        sums[name][side[kept], segment] = values[0, kept]
    clusters = cube.clusters
    if clusters is not None:
        place = np.full(len(kept), -1)
        place[kept] = segment
        clusters = clusters.take(kept[clusters.segment])
        clusters = replace(
            clusters,
            period=side[clusters.segment].astype(np.int32),
            segment=place[clusters.segment].astype(np.int32),
        )
    return replace(
        cube,
        dimensions=cube.dimensions[entities:],
        levels=cube.levels[entities:],
        periods=tuple(" × ".join(labels) for labels in pair),
        codes=codes,
        sums=sums,
        clusters=clusters,
        provenance={k: v for k, v in cube.provenance.items() if k != "values"},
    )


def unit_name(cube: Cube) -> str:
    """Return what the units of a cube's noise are called."""
    return "row" if cube.clusters is None else cube.clusters.names[0]
