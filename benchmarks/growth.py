"""How CPU time after the scan grows: with segments, clusters, dimensions, levels of one dimension.

    uv run python benchmarks/growth.py

Each point is `explain(...).effects` and `levels` of the first dimension, with clusters, on a cube
of random sums. The exponent is the slope of log time over log size of the three largest sizes. The
table is printed and written to docs/explanation/growth.inc, the picture to docs/images.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"
PAIR = {"baseline": "2026-08", "current": "2026-09"}


def cube_of(sizes: tuple[int, ...], segments: int, clusters: int, entries: int):
    """Return a cube of some of the cells of its dimensions and random sums by cluster."""
    import attribution as at
    from attribution.cube import ClusterSums

    rng, D = np.random.default_rng(0), len(sizes)
    cells = int(np.prod(sizes))
    chosen = rng.choice(cells, segments, replace=False) if segments < cells else np.arange(cells)
    codes = np.stack(np.unravel_index(np.sort(chosen), sizes), axis=1).astype(np.int32)
    codes[: max(sizes)] = np.arange(max(sizes))[:, None] % sizes  # every level is there
    codes = np.unique(codes, axis=0)
    S = len(codes)
    # Every cell of both periods is observed, by some cluster; the other entries are by chance.
    period = np.concatenate([np.repeat([0, 1], S), rng.integers(0, 2, entries)]).astype(np.int32)
    segment = np.concatenate([np.tile(np.arange(S), 2), rng.integers(0, S, entries)])
    cluster = rng.integers(0, clusters, len(period)).astype(np.int32)
    reviewed = rng.integers(1, 20, len(period)).astype(float)
    split = {"correct": rng.binomial(reviewed.astype(int), 0.9).astype(float), "reviewed": reviewed}
    cell = period.astype(np.int64) * S + segment
    return at.Cube(
        metrics=(at.Rate("correct", "reviewed"),),
        dimensions=tuple(f"d{i}" for i in range(D)),
        levels=tuple(tuple(str(i) for i in range(size)) for size in sizes),
        periods=tuple(PAIR.values()),
        codes=codes,
        sums={k: np.bincount(cell, v, 2 * S).reshape(2, S) for k, v in split.items()},
        clusters=ClusterSums(("who",), cluster[None], period, segment.astype(np.int32), split),
    ), S  # fmt: skip


def seconds(cube) -> tuple[float, float]:
    """CPU seconds of the bridge, and of the levels of the first dimension."""
    start = time.process_time()
    change = cube.explain(**PAIR)
    _ = change.effects
    bridge = time.process_time() - start
    change.levels("d0")
    return bridge, time.process_time() - start - bridge


def sweeps() -> dict[str, list[tuple[int, tuple]]]:
    """What is varied, all else held: name -> (size, arguments of `cube_of`)."""

    def three(n: int) -> tuple[int, ...]:
        return (10, *[max(3, math.ceil((n / 2) ** (1 / 3)))] * 3)

    def equal(d: int) -> tuple[int, ...]:
        return (max(3, math.ceil(5_000 ** (1 / d))),) * d

    return {
        "segments": [
            (n, (three(n), n, 1_000, n)) for n in (100, 1_000, 10_000, 100_000, 1_000_000)
        ],
        "clusters": [
            (n, ((12, 8, 15, 4), 5_760, n, max(100_000, 2 * n)))
            for n in (100, 1_000, 10_000, 100_000, 1_000_000)
        ],
        "dimensions": [(d, (equal(d), 5_000, 1_000, 100_000)) for d in range(2, 9)],
        "levels": [(n, ((n, 10), 10 * n, 1_000, 100_000)) for n in (10, 100, 1_000, 10_000)],
    }


def main() -> None:
    """Measure, print, plot."""
    from matplotlib.figure import Figure

    seconds(cube_of((3, 3), 9, 10, 100)[0])  # pays for imports
    figure = Figure(figsize=(11, 3), layout="constrained")
    axes = figure.subplots(1, 4, sharey=True)
    lines = [
        "| what grows | size: CPU s, `effects` + `levels` | exponent of `effects` | of `levels` |",
        "|---|---|---|---|",
    ]
    for ax, (name, points) in zip(axes, sweeps().items(), strict=True):
        sizes, times = [], []
        for size, arguments in points:
            cube, S = cube_of(*arguments)
            sizes.append(S if name == "segments" else size)
            times.append(min(seconds(cube) for _ in range(1 if size > 100_000 else 2)))
            print(name, size, S, times[-1], flush=True)
        x, y = np.array(sizes, dtype=float), np.array(times)
        slope = [np.polyfit(np.log(x[-3:]), np.log(y[-3:, j]), 1)[0] for j in (0, 1)]
        shown = ", ".join(
            f"{n:,}: {a:.2g} + {b:.2g}" for n, (a, b) in zip(sizes, times, strict=True)
        )
        lines.append(f"| {name} | {shown} | {slope[0]:.2f} | {slope[1]:.2f} |")
        for j, label in enumerate(("effects", "levels")):
            ax.loglog(
                x, y[:, j], marker="o", markersize=3, label=f"{label}, exponent {slope[j]:.2f}"
            )
        if name == "dimensions":  # too few for decades
            ax.set_xscale("linear")
        ax.set_xlabel(name)
        ax.legend(fontsize="x-small", frameon=False)
    axes[0].set_ylabel("CPU seconds")
    figure.savefig(DOCS / "images" / "growth.png", dpi=110, metadata={"Software": None})
    text = "\n".join(lines) + "\n"
    (DOCS / "explanation" / "growth.inc").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
