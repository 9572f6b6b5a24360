"""Named causes where there are few cells: one or two small dimensions, 200 people, 40,000 reviews.

    uv run python benchmarks/causes_small.py [--worlds 200]

Quiet worlds, in which people drift by 0.2 on the log odds and cells by 0, 0.1 or 0.2, say how often
something is named where nothing happened; in the others one cell, or one level, is 12 pp worse, and
the share is that of worlds in which just this segment is named. ± one Monte-Carlo standard error.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import attribution as at
from attribution.cube import ClusterSums

PEOPLE = 200
REVIEWS = 40_000
SHAPES = ((3, 4), (5, 6), (4,), (8,))
DRIFTS = (0.0, 0.1, 0.2)
FALL = 0.12


def cube_of(
    rng: np.random.Generator, shape: tuple[int, ...], cells: float, fallen: str | None
) -> tuple[at.Cube, dict[str, str]]:
    """Return a world's cube and the levels of the segment that fell, none if none did."""
    codes = np.indices(shape).reshape(len(shape), -1).T
    S = len(codes)
    names = tuple("ab"[: len(shape)])
    levels = tuple(tuple(f"{d}{i}" for i in range(m)) for d, m in zip(names, shape, strict=True))
    share = rng.dirichlet(np.full(S, 4.0)) * (rng.random((PEOPLE, S)) < 0.6)
    w = rng.gamma(4.0, 0.25, PEOPLE)[:, None] * share
    n = rng.poisson(REVIEWS * np.stack([w, w]) / w.sum()).astype(float)
    eta = 2.0 + rng.normal(0, 0.3, PEOPLE)[:, None]
    eta = eta + sum(rng.normal(0, 0.3, m)[codes[:, d]] for d, m in enumerate(shape))
    drift = rng.normal(0, 0.2, PEOPLE)[:, None] + cells * rng.standard_normal(S)
    p = [1 / (1 + np.exp(-e)) for e in (eta, eta + drift + rng.normal(0, 0.05))]
    segment: dict[str, str] = {}
    if fallen:
        fixed = range(len(shape)) if fallen == "cell" else range(1)
        at_cell = codes[int(rng.integers(S))]
        inside = (codes[:, list(fixed)] == at_cell[list(fixed)]).all(axis=1)
        p[1] = np.where(inside, np.maximum(p[1] - FALL, 0.02), p[1])
        segment = {names[d]: levels[d][at_cell[d]] for d in fixed}
    k = np.stack([rng.binomial(n[t].astype(int), p[t]) for t in (0, 1)]).astype(float)
    period, person, cell = np.nonzero(n)
    clusters = ClusterSums(
        names=("moderator",), codes=person[None, :].astype(np.int32),
        period=period.astype(np.int32), segment=cell.astype(np.int32),
        sums={"correct": k[n > 0], "reviewed": n[n > 0]},
    )  # fmt: skip
    cube = at.Cube(
        metrics=(at.Rate("correct", "reviewed"),), dimensions=names, levels=levels,
        periods=("before", "after"), codes=codes.astype(np.int32),
        sums={"correct": k.sum(axis=1), "reviewed": n.sum(axis=1)}, clusters=clusters,
    )  # fmt: skip
    return cube, segment


def share(shape: tuple[int, ...], cells: float, fallen: str | None, worlds: int) -> str:
    """Return how often something, or exactly what fell, is named."""
    hits = 0
    for seed in range(worlds):
        rng = np.random.default_rng([9, seed])
        cube, segment = cube_of(rng, shape, cells, fallen)
        found = cube.explain(baseline="before", current="after").causes()
        named = [{d: row[d] for d in cube.dimensions if row[d]} for row in found.rows()]
        hits += named == [segment] if segment else bool(named)
    part = hits / worlds
    return f"{100 * part:.1f} ± {100 * np.sqrt(part * (1 - part) / worlds):.1f} %"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    started = time.process_time()
    print(
        "| cells | quiet, no drift of cells | drift .1 | drift .2 | a cell falls | a level falls |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    for shape in SHAPES:
        row = [share(shape, cells, None, worlds) for cells in DRIFTS]
        row += [share(shape, 0.0, "cell", worlds // 2)]
        row += [share(shape, 0.0, "level", worlds // 2) if len(shape) > 1 else ""]
        print(f"| {' x '.join(map(str, shape))} | {' | '.join(row)} |", flush=True)
    print(f"{time.process_time() - started:.0f} CPU s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
