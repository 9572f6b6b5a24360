"""CPU, wall time and memory of `explain` against DuckDB's own GROUP BY of the same columns.

    uv run python benchmarks/speed.py [--rows 10000000]

Each task runs in a process of its own, after a warm-up on a small file that pays for first-use
imports. The table is printed and written to docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BY = ["queue", "policy", "market", "tenure"]
REPORT = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"


def write_reviews(path: Path, rows: int, moderators: int = 3000) -> None:
    """Write reviews of moderators who each work in one market and two queues."""
    import duckdb

    duckdb.sql(f"""
        COPY (
            WITH r AS (SELECT hash(range * 7 + 1) a, hash(range * 11 + 2) b, hash(range * 13 + 3) c,
                              hash(range * 17 + 4) d FROM range({rows})),
                 m AS (SELECT *, b % {moderators} AS moderator FROM r)
            SELECT CASE WHEN a % 2 = 0 THEN '2026-08' ELSE '2026-09' END AS month,
                   'mod_' || moderator AS moderator_id,
                   'queue_' || ((moderator + c % 2 * 5) % 12) AS queue,
                   'policy_' || (c // 7 % 8) AS policy,
                   'market_' || (hash(moderator) % 15) AS market,
                   'tenure_' || ((moderator // 7 + a // 5 % 2) % 4) AS tenure,
                   (d % 1000 < 920)::INTEGER AS correct, 1 AS reviewed,
                   exp(3 + 0.8 * sqrt(-2 * ln((hash(a) % 1000003 + 1) / 1000004.0))
                             * cos(2 * pi() * (hash(b) % 1000003) / 1000003.0)) AS minutes
            FROM m
        ) TO '{path}' (FORMAT parquet)""")


def ask(path: str):
    """The question of the benchmark."""
    import attribution as at

    return at.explain(
        path, "correct / reviewed", by=BY, period="month", baseline="2026-08",
        current="2026-09", cluster="moderator_id",
    )  # fmt: skip


def run_floor(path: str) -> None:
    """DuckDB's GROUP BY of the same columns."""
    import duckdb

    keys = ", ".join(["month", *BY, "moderator_id"])
    duckdb.connect().execute(
        f"SELECT {keys}, sum(correct), sum(reviewed) FROM '{path}' GROUP BY ALL"
    ).fetchnumpy()


def run_explain(path: str) -> None:
    """The bridge with an interval on every line."""
    _ = ask(path).effects


def run_quantile_floor(path: str) -> None:
    """DuckDB's GROUP BY of the columns that a quantile reads."""
    import duckdb

    keys = ", ".join(["month", *BY, "moderator_id"])
    duckdb.connect().execute(
        f"SELECT {keys}, sum(minutes), count(*) FROM '{path}' GROUP BY ALL"
    ).fetchnumpy()


def run_quantile(path: str) -> None:
    """The bridge of p90 with an interval on every line."""
    import attribution as at

    _ = at.explain(
        path, "quantile(minutes, 0.9)", by=BY, period="month", baseline="2026-08",
        current="2026-09", cluster="moderator_id",
    ).effects  # fmt: skip


def run_views(path: str) -> None:
    """The bridge and every level of every dimension, with intervals."""
    change = ask(path)
    _ = change.effects
    for dimension in BY:
        change.levels(dimension)


TASKS = {
    "floor": run_floor,
    "explain": run_explain,
    "views": run_views,
    "quantile floor": run_quantile_floor,
    "quantile": run_quantile,
}


def measured(task: str, path: str, small: str) -> dict[str, float]:
    """Run one task in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--task", task, path, small],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def run_task(task: str, path: str, small: str) -> None:
    """Warm up, run, print CPU seconds, wall seconds and peak memory."""
    TASKS[task](small)
    cpu, wall = time.process_time(), time.perf_counter()
    TASKS[task](path)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": cpu, "wall": wall, "mib": peak}))


def after_the_scan(cells: int = 5760, clusters: int = 3000, rows: int = 1_000_000) -> dict:
    """CPU seconds of a cube of 12 x 8 x 15 x 4 cells, each cluster seen in a third of a percent."""
    import attribution as at
    from attribution.cube import ClusterSums, Cube

    rng = np.random.default_rng(0)
    sizes = (12, 8, 15, 4)
    codes = np.array(list(itertools.product(*map(range, sizes))), dtype=np.int32)
    # A moderator works in about 30 cells, as markets and queues divide the work.
    home = rng.integers(0, cells, (clusters, 30))
    cluster = rng.integers(0, clusters, rows)
    key = (cluster * 2 + rng.integers(0, 2, rows)) * cells + home[
        cluster, rng.integers(0, 30, rows)
    ]
    key, count = np.unique(key, return_counts=True)
    den = count.astype(float)
    num = rng.binomial(count, 0.92).astype(float)
    segment, period = key % cells, key // cells % 2
    sums = {}
    for name, values in (("correct", num), ("reviewed", den)):
        sums[name] = np.bincount(period * cells + segment, values, 2 * cells).reshape(2, cells)
    cube = Cube(
        metrics=(at.Rate("correct", "reviewed"),),
        dimensions=tuple(BY),
        levels=tuple(tuple(str(i) for i in range(s)) for s in sizes),
        periods=("2026-08", "2026-09"),
        codes=codes,
        sums=sums,
        clusters=ClusterSums(
            ("moderator_id",), (key // cells // 2)[None].astype(np.int32),
            period.astype(np.int32), segment.astype(np.int32),
            {"correct": num, "reviewed": den},
        ),
    )  # fmt: skip

    def ask_cube():
        change = cube.explain(baseline="2026-08", current="2026-09", rates="additive")
        _ = change.effects
        return change

    ask_cube()
    times = {"groups": float(len(key))}
    start = time.process_time()
    change = ask_cube()
    times["bridge"] = time.process_time() - start
    for dimension in BY:
        change.levels(dimension)
    times["bridge and levels"] = time.process_time() - start
    change.segments()
    times["and 5,760 segments"] = time.process_time() - start
    return times


def mix_methods() -> list[tuple[str, int, float]]:
    """CPU seconds of dividing a mix effect among four dimensions, from shares and rates alone."""
    from attribution.decompose import Design
    from attribution.decompose.dimensions import adjusted
    from attribution.decompose.kitagawa import METHODS
    from attribution.decompose.mixing import divided

    found = []
    for sizes, methods in (
        ((12, 8, 15, 4), ("adjusted", "shapley", "das_gupta")),
        ((50, 40, 25, 20), ("adjusted",)),
    ):
        cells, rng = int(np.prod(sizes)), np.random.default_rng(0)
        codes = np.stack(np.unravel_index(np.arange(cells), sizes), axis=1).astype(np.int32)
        p = rng.gamma(2.0, size=(2, cells))
        p, r = p / p.sum(axis=1, keepdims=True), rng.uniform(0.8, 1.0, (2, cells))
        for mix in methods:
            seconds = []
            for _ in range(3):  # the first pays for imports
                design, start = Design(codes, sizes), time.process_time()
                if mix == "adjusted":
                    adjusted(p, r, design, METHODS["midpoint"])
                else:
                    divided(mix, p, r, design, METHODS["midpoint"])
                seconds.append(time.process_time() - start)
            found.append((mix, cells, min(seconds)))
    return found


def mix_table() -> list[str]:
    """The lines of the page on the mix methods."""
    return [
        "", "The mix effect of four dimensions, estimates alone, best of three:",
        "", "| method | cells | CPU s |", "|---|---|---|",
        *(f"| `{mix}` | {cells:,} | {s:.2g} |" for mix, cells, s in mix_methods()),
    ]  # fmt: skip


def import_seconds() -> float:
    """The median time of `import attribution` over that of an empty interpreter."""

    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    empty = sorted(once("pass") for _ in range(5))[2]
    return sorted(once("import attribution") for _ in range(5))[2] - empty


def main() -> None:
    """Measure, print, and write the table that the documentation quotes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--task", nargs=3, metavar=("TASK", "FILE", "SMALL"))
    asked = parser.parse_args()
    if asked.task:
        run_task(*asked.task)
        return
    lines = [
        "# Speed", "",
        "Written by `benchmarks/speed.py`; compare ratios, not seconds, between machines.", "",
        f"Python {platform.python_version()}, 2 cores. First-use imports are paid before.", "",
        "| rows | task | CPU s | wall s | peak MiB | against the floor |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    names = {
        "floor": "floor: DuckDB GROUP BY month, 4 dimensions, moderator",
        "explain": "`explain(...).effects`",
        "views": "the same and `levels` of all 4 dimensions",
        "quantile floor": "floor: the same GROUP BY, of minutes",
        "quantile": "`explain(..., 'quantile(minutes, 0.9)').effects`",
    }
    with tempfile.TemporaryDirectory() as folder:
        small = str(Path(folder) / "small.parquet")
        write_reviews(Path(small), 20_000)
        for rows in sorted({min(asked.rows, 1_000_000), asked.rows}):
            path = str(Path(folder) / "reviews.parquet")
            write_reviews(Path(path), rows)
            found = {task: measured(task, path, small) for task in TASKS}
            for task, m in found.items():
                floor = "quantile floor" if "quantile" in task else "floor"
                ratio = m["cpu"] / found[floor]["cpu"]
                lines.append(
                    f"| {rows:,} | {names[task]} | {m['cpu']:.2f} | {m['wall']:.2f} | "
                    f"{m['mib']:.0f} | {ratio:.2f} |"
                )
    after = after_the_scan()
    lines += [
        "",
        f"After the GROUP BY, 5,760 cells x 3,000 clusters x 2 periods ({after.pop('groups'):,.0f} "
        "groups):",
        "", "| task | CPU s |", "|---|---|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in after.items()),
        f"| `import attribution`, wall | {import_seconds():.2f} |",
        *mix_table(),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
