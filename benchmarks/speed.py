"""CPU, wall time and memory of the package against DuckDB's own GROUP BY, and against its peers.

    uv run python benchmarks/speed.py [--rows 10000000] [--without-peers]

Each task runs in a process of its own, after a warm-up on a small file that pays for first-use
imports; tasks take turns, and the least CPU of the rounds counts. Peers run in environments of
their own, which uv makes in a temporary folder. The table is printed and written to
docs/explanation/speed.inc, which the documentation includes.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from measuring import in_a_process, report
from peers import PEERS

BY = ["queue", "policy", "market", "tenure"]
REPORT = Path(__file__).parents[1] / "docs" / "explanation" / "speed.inc"
# Peers are slow where they can do it at all; ten million rows are enough to see.
PEER_ROWS = 10_000_000


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


PAIR = {"baseline": "2026-08", "current": "2026-09"}
CLUSTERED = {"by": BY, "period": "month", "cluster": "moderator_id"}


def explained(path: str, **options):
    """Four dimensions jointly, with clusters."""
    import attribution as at

    return at.explain(path, "correct / reviewed", **CLUSTERED, **PAIR, **options)


def floor(path: str, keys: list[str], sums: str) -> None:
    """DuckDB's GROUP BY of the same columns."""
    import duckdb

    listed = ", ".join(["month", *keys])
    duckdb.connect().execute(f"SELECT {listed}, {sums} FROM '{path}' GROUP BY ALL").fetchnumpy()


def run_one(path: str) -> None:
    """By queue, rows as units: the bridge and every level."""
    import attribution as at

    change = at.explain(path, "correct / reviewed", by="queue", period="month", **PAIR)
    _ = change.effects, change.levels("queue")


def run_four(path: str) -> None:
    """The bridge with an interval on every line."""
    _ = explained(path).effects


def run_alone(path: str) -> None:
    """What peers do of it: the bridge by four dimensions, rows as units."""
    import attribution as at

    _ = at.explain(path, "correct / reviewed", by=BY, period="month", **PAIR).effects


def run_views(path: str) -> None:
    """The bridge and every level of every dimension, with intervals."""
    change = explained(path)
    _ = change.effects
    for dimension in BY:
        change.levels(dimension)


def run_scan(path: str) -> None:
    """The scan alone."""
    import attribution as at

    at.Cube.from_data(path, "correct / reviewed", **CLUSTERED, periods=list(PAIR.values()))


def run_bootstrap(path: str) -> None:
    """The bridge from 1,000 replicates of the clusters."""
    _ = explained(path, inference="bootstrap", rng=0).effects


def run_causes(path: str) -> None:
    """The named causes."""
    _ = explained(path).causes().frame


def run_causes_alone(path: str) -> None:
    """The named causes with rows as units, as the peer takes them."""
    import attribution as at

    change = at.explain(path, "correct / reviewed", by=BY, period="month", **PAIR)
    with warnings.catch_warnings():  # of rows without clusters
        warnings.simplefilter("ignore")
        _ = change.causes().frame


def run_quantile(path: str) -> None:
    """The bridge of p90 with an interval on every line."""
    import attribution as at

    _ = at.explain(path, "quantile(minutes, 0.9)", **CLUSTERED, **PAIR).effects


COUNTED, WHO = "sum(correct), sum(reviewed)", [*BY, "moderator_id"]
# Task -> what it does, its floor, and the task of the peers that it is compared with.
TASKS = {
    "one floor": (lambda path: floor(path, ["queue"], COUNTED), "one floor", None),
    "one": (run_one, "one floor", "one"),
    "alone floor": (lambda path: floor(path, BY, COUNTED), "alone floor", None),
    "alone": (run_alone, "alone floor", "four"),
    "causes alone": (run_causes_alone, "alone floor", "causes"),
    "floor": (lambda path: floor(path, WHO, COUNTED), "floor", None),
    "scan": (run_scan, "floor", None),
    "four": (run_four, "floor", None),
    "views": (run_views, "floor", None),
    "bootstrap": (run_bootstrap, "floor", None),
    "causes": (run_causes, "floor", None),
    "quantile floor": (
        lambda path: floor(path, WHO, "sum(minutes), count(*)"), "quantile floor", None,
    ),
    "quantile": (run_quantile, "quantile floor", None),
}  # fmt: skip
NAMES = {
    "one floor": "floor: DuckDB's GROUP BY month, queue",
    "one": "`explain` by queue, `effects` and `levels`",
    "alone floor": "floor: GROUP BY month, 4 dimensions",
    "alone": "`explain` by 4 dimensions, `effects`; rows as units",
    "causes alone": "`explain` and `causes()`; rows as units",
    "floor": "floor: GROUP BY month, 4 dimensions, moderator",
    "scan": "`Cube.from_data`, 4 dimensions, moderators",
    "four": "`explain` by 4 dimensions, `effects` with intervals for moderators",
    "views": "the same and `levels` of all 4",
    "bootstrap": "`explain` with 1,000 bootstrap replicates of moderators",
    "causes": "`explain` and `causes()` with moderators",
    "quantile floor": "floor: the same GROUP BY, of minutes",
    "quantile": "`explain` of a p90, `effects` with intervals",
}


def environments(folder: Path) -> dict[str, str]:
    """Make an environment for each peer: its Python, or why there is none."""
    folder.mkdir()
    found = {}
    for peer, (requirement, _) in PEERS.items():
        python = folder / peer / "bin" / "python"
        commands = (
            ["uv", "venv", "-q", str(folder / peer)],
            ["uv", "pip", "install", "-q", "--python", str(python), *requirement],
        )
        try:
            for command in commands:  # where the pins of this project do not hold
                subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
            found[peer] = str(python)
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            found[peer] = f"not installed: {said[-1][:100]}"
    return found


def measured(paths: list[str], pythons: dict[str, str], rounds: int, tasks: list[str]) -> dict:
    """Run all tasks in turns: (tool, task) -> what it took, least CPU of the rounds, or why not."""
    jobs = {("", task): [sys.executable, __file__, "--task", task, *paths] for task in tasks}
    script = str(Path(__file__).with_name("peers.py"))
    for peer, python in pythons.items():
        for task in PEERS[peer][1]:
            jobs[peer, task] = [python, script, peer, task, *paths]
    found: dict = {}
    for _ in range(rounds):
        for job, command in jobs.items():
            if not Path(command[0]).exists():
                found[job] = command[0]
                continue
            took = in_a_process(command)
            print(job, took, file=sys.stderr, flush=True)
            before = found.get(job)
            if isinstance(took, str) or before is None or isinstance(before, str):
                found[job] = took if before is None else before
            else:
                found[job] = {k: min(took[k], before[k]) for k in took}
    return found


def table(rows: int, found: dict) -> list[str]:
    """The lines of one size: each task of ours, its peers below it."""
    lines = []
    for task in (task for tool, task in found if not tool):
        took, (_, base, peers) = found["", task], TASKS[task]
        floor_cpu = found["", base]["cpu"]
        lines.append(_line(rows, NAMES[task], took, floor_cpu))
        for (peer, of), other in found.items():
            if peer and of == peers:
                name = f"{peer}, {'ten segments' if of == 'causes' else 'no intervals'}"
                lines.append(_line(rows, f"&nbsp; {name}", other, floor_cpu))
    return lines


def _line(rows: int, name: str, took: dict | str, floor_cpu: float) -> str:
    if isinstance(took, str):
        return f"| {rows:,} | {name} | {took} | | | |"
    return (
        f"| {rows:,} | {name} | {took['cpu']:.2f} | {took['wall']:.2f} | {took['mib']:.0f} | "
        f"{took['cpu'] / floor_cpu:.2f} |"
    )


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


def starts() -> dict[str, float]:
    """Median CPU seconds of the import, over an empty interpreter, and of the command."""

    def once(*command: str) -> float:
        before = sum(_children())
        subprocess.run(command, check=True, capture_output=True)
        return sum(_children()) - before

    def median(*command: str) -> float:
        return sorted(once(*command) for _ in range(5))[2]

    empty = median(sys.executable, "-c", "pass")
    return {
        "`import attribution`": median(sys.executable, "-c", "import attribution") - empty,
        "`attribution --help`": median(
            str(Path(sys.executable).with_name("attribution")), "--help"
        ),
    }


def _children() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


def main() -> None:
    """Measure, print, and write the table that the documentation includes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="The largest table.")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--task", nargs=3, metavar=("TASK", "FILE", "SMALL"))
    asked = parser.parse_args()
    if asked.task:
        task, path, small = asked.task
        print(report(TASKS[task][0], path, small))
        return
    lines = [
        f"Written by `benchmarks/speed.py`. Python {platform.python_version()}, 2 cores that other "
        "programs used too: compare CPU seconds, and ratios rather than seconds. First-use imports "
        "are paid before.",
        "", "| rows | task | CPU s | wall s | peak MiB | CPU against the floor |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        pythons = {} if asked.without_peers else environments(Path(folder) / "peers")
        small, path = (str(Path(folder) / f"{name}.parquet") for name in ("small", "reviews"))
        write_reviews(Path(small), 20_000)
        for rows in (r for r in (10**5, 10**6, 10**7, 10**8) if r <= asked.rows):
            write_reviews(Path(path), rows)
            rounds = 2 if rows <= 10**7 else 1
            peers = pythons if rows <= PEER_ROWS else {}
            tasks = list(TASKS) if rows <= PEER_ROWS else ["floor", "scan", "four"]
            lines += table(rows, measured([path, small], peers, rounds, tasks))
    after = after_the_scan()
    lines += [
        "",
        f"After the GROUP BY, 5,760 cells x 3,000 clusters x 2 periods ({after.pop('groups'):,.0f} "
        "groups), and starting:",
        "", "| task | CPU s |", "|---|---|",
        *(f"| {name} | {seconds:.2f} |" for name, seconds in {**after, **starts()}.items()),
        *mix_table(),
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
