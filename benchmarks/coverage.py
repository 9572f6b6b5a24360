"""Whether stated uncertainty holds: simulated worlds with a known truth, asked of the library.

    uv run python benchmarks/coverage.py [--simulations 2000] [--only PART ...] [--write]

Parts: coverage, forms, levels, quiet, families, power, jackknife, gradients. Their tables are
printed; `--write` puts them into docs/explanation/coverage.md, between the marks that name them.
The worlds are those of tests/infer/worlds.py.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

# One thread each: the processes share the cores. Has to be said before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import sparse

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "infer"))

from worlds import (  # noqa: E402
    NAMES,
    PERIODS,
    World,
    draw,
    holders,
    make_world,
    truth,
    without,
)

import attribution as at  # noqa: E402
from attribution.decompose import Decomposition, decompose  # noqa: E402
from attribution.decompose.kitagawa import METHODS  # noqa: E402
from attribution.evidence import Known  # noqa: E402
from attribution.infer import half_width  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "coverage.md"
SEED = 20250401
BATCH = 25  # worlds per task

# One factor varied at a time around the center.
CASES: dict[str, dict] = {
    "center": {},
    "1 row per cell": {"rows_per_cell": 1},
    "3 rows per cell": {"rows_per_cell": 3},
    "50 rows per cell": {"rows_per_cell": 50},
    "12 clusters": {"people": 12},
    "40 clusters": {"people": 40},
    "600 clusters": {"people": 600},
    "people alike": {"sd": 0.0},
    "people's sd 0.5": {"sd": 0.5},
    "other people in the second period": {"persistent": False},
    "interaction": {"interaction": 0.03},
    "interaction, 50 rows": {"interaction": 0.03, "rows_per_cell": 50},
    "nested": {"nested": True},
    "nested, 50 rows": {"nested": True, "rows_per_cell": 50},
    "nested, 40 clusters": {"nested": True, "people": 40},
}
LINES = ("total", "mix", "rate", *(f"mix {name}" for name in NAMES))
HOLDERS = ((6, 9), (10, 19), (20, 39), (40, 10_000))


def asked(cube: at.Cube, **options) -> at.Attribution:
    """The question of the benchmark."""
    return cube.explain(baseline=PERIODS[0], current=PERIODS[1], **options)


def batches(pool: ProcessPoolExecutor, function: Callable, runs: int, *arguments) -> list:
    """Run ``function(rng, *arguments)`` for so many seeds and return what each returned.

    Every case gets the same seeds: what differs between cases is not the luck of the draw.
    """
    seeds = np.random.SeedSequence(SEED).spawn(runs)
    tasks = [(function, seeds[k : k + BATCH], arguments) for k in range(0, runs, BATCH)]
    return [found for batch in pool.map(_batch, tasks) for found in batch]


def _batch(task: tuple[Callable, list[np.random.SeedSequence], tuple]) -> list:
    function, seeds, arguments = task
    return [function(np.random.default_rng(seed), *arguments) for seed in seeds]


def percent(hits: Iterable[bool]) -> str:
    """A share in percent with its Monte-Carlo standard error."""
    hits = np.asarray(hits, dtype=float)
    rate = hits.mean()
    return f"{100 * rate:.1f} ± {100 * np.sqrt(rate * (1 - rate) / len(hits)):.1f}"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [list(heads), *([str(x) for x in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return [f"| {' | '.join(line)} |" for line in lines]


# -- intervals of the lines -------------------------------------------------------------------


def line_intervals(change: at.Attribution) -> np.ndarray:
    """Return estimate, standard error and interval of `LINES`, shape (4, 7)."""
    parts, evidence, total = change._parts, change._evidence, change.total
    effects, found = [line.effect for line in parts.lines], evidence.lines.found
    of_mix = np.array([effect in ("mix", "joint") for effect in effects], dtype=float)
    mix = float(of_mix @ parts.estimate)
    error = float(np.sqrt(of_mix @ evidence.covariance @ of_mix))
    half = error * float(half_width(evidence.units.degrees_of_freedom, 0.95))
    whole = [total.change, total.std_error, total.conf_low, total.conf_high]
    own = [effects.index("rate"), *(i for i, effect in enumerate(effects) if effect == "mix")]
    lines = np.stack([found.estimate, found.std_error, found.conf_low, found.conf_high])[:, own]
    return np.column_stack([whole, [mix, error, mix - half, mix + half], lines])


def true_lines(parts: Decomposition) -> np.ndarray:
    """Return `LINES` of a world's expected sums."""
    change, rate = parts.R[1] - parts.R[0], parts.segment_parts["rate"].sum()
    return np.array([change, change - rate, rate, *parts.estimate[: len(parts.design.sizes)]])


def both_truths(world: World) -> dict[str, Decomposition]:
    """Return what each form of the rates estimates."""
    return {form: truth(world, form) for form in ("saturated", "additive")}


def simulate(
    rng: np.random.Generator, world: World, true: dict[str, Decomposition], rates: str
) -> dict[str, np.ndarray | bool]:
    """Draw one world: errors, standard errors, and whether intervals hold the truth."""
    change = asked(draw(world, rng), rates=rates)
    estimate, error, low, high = line_intervals(change)
    mine, cells = (true_lines(true[form]) for form in (change._parts.form, "saturated"))
    return {
        "additive": change._parts.form == "additive",
        "holds": (low <= mine) & (mine <= high),
        "holds cell by cell": (low <= cells) & (cells <= high),
        "off": estimate - mine,
        "std_error": error,
    }


def collected(
    pool: ProcessPoolExecutor, runs: int, rates: str, options: dict
) -> dict[str, np.ndarray]:
    """Simulate a case."""
    world = make_world(**options)
    found = batches(pool, simulate, runs, world, both_truths(world), rates)
    return {key: np.array([one[key] for one in found]) for key in found[0]}


def coverage(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """The coverage of 95 % intervals, one factor varied at a time."""
    rows = []
    for case, options in CASES.items():
        found = collected(pool, runs, "auto", options)
        additive = f"{100 * found['additive'].mean():.0f} %"
        rows.append([case, f"{runs:,}", *(percent(x) for x in found["holds"].T), additive])
        say(rows[-1])
        if "interaction" in options and found["additive"].any():
            cells = (percent(x) for x in found["holds cell by cell"].T)
            rows.append([f"{case}: change cell by cell", f"{runs:,}", *cells, additive])
            say(rows[-1])
    return table(["", "worlds", *LINES, "additive in"], rows)


def forms(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """Both forms of the rates at 1 to 50 rows per cell, and where few people hold a cell."""
    runs, rows = max(runs // 2, 1), []
    for case in ("1 row per cell", "3 rows per cell", "center", "50 rows per cell", "nested"):
        for form in ("saturated", "additive"):
            found = collected(pool, runs, form, CASES[case])
            row = [case if case != "center" else "10 rows per cell", form]
            for i in (1, 2):
                off = 100 * found["off"][:, i]
                scale = found["std_error"][:, i].mean() / found["off"][:, i].std()
                bias = f"{off.mean():+.3f} ± {off.std() / np.sqrt(runs):.3f}"
                row += [percent(found["holds"][:, i]), bias, f"{scale:.2f}"]
            rows.append(row)
            say(row)
    of_line = ["coverage", "bias, pp", "std error / sd"]
    heads = ["", "rates", *(f"{line}: {x}" for line in LINES[1:3] for x in of_line)]
    return [f"{runs:,} worlds a row.", "", *table(heads, rows)]


# -- intervals of levels ----------------------------------------------------------------------


def level_lines(change: at.Attribution, start: int, stop: int) -> list[Known]:
    """Return what is known of mix, rate and total of a range of levels."""
    parts, evidence = change._parts, change._evidence
    member = parts.design.matrix[:, start:stop].T
    support = evidence.units.support(sparse.hstack([member, member], format="csr"))
    mix, rate = (
        (parts.level_parts[part][start:stop], parts.level_gradient(part, start, stop))
        for part in ("mix", "rate")
    )
    total = (mix[0] + rate[0], mix[1] + rate[1])
    return [evidence.of_lines(*line, support) for line in (mix, rate, total)]


def simulate_levels(
    rng: np.random.Generator, world: World, true: dict[str, Decomposition]
) -> np.ndarray:
    """Return (clusters that hold it, part, whether the interval holds) of every level."""
    change = asked(draw(world, rng))
    held = np.concatenate([holders(change.cube, d) for d in world.names])
    parts, rows = true[change._parts.form], []
    for i, part in enumerate(("mix", "rate")):
        known, value = level_lines(change, 0, len(held))[i].found, parts.level_parts[part]
        holds = (known.conf_low <= value) & (value <= known.conf_high)
        rows.append(np.column_stack([held, np.full(len(held), i), holds]))
    return np.concatenate(rows)


def levels(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """The coverage of level lines by the number of clusters that hold the level."""
    runs, rows = max(runs // 4, 1), []
    for case in ("center", "12 clusters", "nested", "nested, 50 rows", "nested, 40 clusters"):
        world = make_world(**CASES[case])
        found = batches(pool, simulate_levels, runs, world, both_truths(world))
        for low, high in HOLDERS:
            cells = [_share_per_world(found, i, low, high) for i in (0, 1)]
            if any(cells):
                rows.append(
                    [case, f"{low} to {high}" if high < 1_000 else f"{low} or more", *cells]
                )
                say(rows[-1])
    return [f"{runs:,} worlds a case.", "", *table(["", "clusters", "mix", "rate"], rows)]


def _share_per_world(found: list[np.ndarray], part: int, low: int, high: int) -> str:
    """A share over the levels of all worlds; levels of one world are not independent."""
    picked = [
        rows[(rows[:, 1] == part) & (low <= rows[:, 0]) & (rows[:, 0] <= high), 2] for rows in found
    ]
    hits, n = np.array([[x.sum(), len(x)] for x in picked]).T
    if n.sum() < len(found) / 4:
        return ""
    rate = hits.sum() / n.sum()
    error = np.sqrt(((hits - rate * n) ** 2).sum()) / n.sum()
    return f"{100 * rate:.1f} ± {100 * error:.1f}"


# -- nothing happened -------------------------------------------------------------------------


def named(change: at.Attribution) -> list[bool]:
    """Whether the total, the bridge, each table of levels, any of these views, or words do."""
    alpha, (headline, rest) = 1 - change.options.conf_level, change.summary().split("\n", 1)
    tables = [change.effects[["p_adjusted"]]]
    for dimension in change.cube.dimensions:
        frame = change.levels(dimension)
        tables.append(frame[[c for c in frame.columns if c.endswith("p_adjusted")]])
    claims = [bool((x < alpha).to_numpy().any()) for x in tables]
    words = any(x in headline for x in (", most of it in ", ", largest in "))
    words = words or "significant on their own: " in rest
    return [change.verdict == "real", *claims, any(claims), words]


def quiet_world(rng: np.random.Generator, world: World) -> list[bool]:
    """Ask a world in which nothing happened."""
    return named(asked(draw(world, rng)))


def placebo_months(rng: np.random.Generator) -> list[list[bool]]:
    """Ask the quiet pairs of months of a simulated operation, as a user would."""
    ops = at.datasets.simulate_moderation("small", months=3, seed=int(rng.integers(2**31)))
    return [named(asked_months(ops, *pair)) for pair in (("01", "02"), ("02", "03"))]


def asked_months(ops, baseline: str, current: str) -> at.Attribution:
    """The monthly question of a simulated operation."""
    return at.explain(
        ops.qa_reviews, at.Rate("correct", "reviewed"), by=NAMES, period="month",
        baseline=f"2025-{baseline}", current=f"2025-{current}", cluster="moderator_id",
        weight="weight", where="design != 'targeted'",
    )  # fmt: skip


def quiet(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """How often anything is named although nothing happened."""
    runs, found = max(runs // 5, 1), {}
    for queues in (3, 6, 12):
        world = make_world(sizes=(queues, 6, 4, 3), moved=False)
        found[f"{queues} queues"] = batches(pool, quiet_world, runs, world)
        say([f"{queues} queues", *(percent(x) for x in np.array(found[f"{queues} queues"]).T)])
    pairs = batches(pool, placebo_months, runs)
    for i, name in enumerate(("January to February", "February to March")):
        found[f"simulator, {name}"] = [pair[i] for pair in pairs]
    rows = [[name, *(percent(x) for x in np.array(flags).T)] for name, flags in found.items()]
    most = 5 + 260 * np.sqrt(0.05 * 0.95 / runs)
    heads = [
        "",
        "total",
        "`effects`",
        *(f"`levels` of {name}" for name in NAMES),
        "any view",
        "words",
    ]
    return [f"{runs:,} worlds a row; goal: at most {most:.1f}.", "", *table(heads, rows)]


def family(rng: np.random.Generator, world: World) -> list[bool]:
    """Whether `effects` and the levels of the first dimension hold a false claim, three ways."""
    change = asked(draw(world, rng))
    views, found = [[change._evidence.lines], level_lines(change, 0, world.sizes[0])], []
    for adjust in ("max-t", "holm", None):
        evidence = replace(change._evidence, options=replace(change.options, adjust=adjust))
        found += [bool((evidence.adjusted(*view) < 0.05).any()) for view in views]
    return found


def families(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """The family-wise error of adjusted p-values by the number of clusters."""
    runs, rows = max(runs // 4, 1), []
    for nested, people in ((False, 12), (False, 25), (False, 80), (True, 25), (True, 80)):
        world = make_world(people=people, nested=nested, moved=False)
        flags = np.array(batches(pool, family, runs, world))
        rows.append([f"{people}{', nested' * nested}", *(percent(x) for x in flags.T)])
        say(rows[-1])
    ways = ("max-t", "holm", "unadjusted")
    heads = ["clusters", *(f"`{view}`, {way}" for way in ways for view in ("effects", "levels"))]
    return [f"{runs:,} worlds a row.", "", *table(heads, rows)]


# -- something happened -----------------------------------------------------------------------


def wave(rng: np.random.Generator) -> list[bool]:
    """Ask a simulated operation about the month in which it hired."""
    ops = at.datasets.simulate_moderation("standard", months=4, seed=int(rng.integers(2**31)))
    change = asked_months(ops, "03", "04")
    tenure = change.effects.set_index("dimension")["p_adjusted"]["tenure"]
    in_words = "the mix of tenure" in change.summary().split("\n", 1)[0]
    return [change.verdict == "real", bool(tenure < 0.05), in_words]


def power(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """How often the hiring wave of the simulator is called what it is."""
    runs = max(runs // 20, 1)
    flags = np.array(batches(pool, wave, runs)).T
    heads = ["total called real", "mix of tenure significant, adjusted", "headline names tenure"]
    return [f"{runs:,} seeds.", "", *table(heads, [map(percent, flags)])]


# -- standard errors and gradients ------------------------------------------------------------


def jackknife_cubes() -> dict[str, tuple[at.Cube, dict]]:
    """Five cubes and how each is asked about."""
    flights = at.datasets.load_flights()
    flights = flights[flights["arr_delay"].notna() & flights["month"].isin([11, 12])]
    late = at.Cube.from_data(
        flights, "ratio(arr_delay / 1)", by=["origin", "carrier"], period="month", cluster="date"
    )
    rng = np.random.default_rng(SEED)
    drawn = {name: draw(make_world(**options), rng) for name, options in CASES.items()}
    thin, thick, nested = "3 rows per cell", "50 rows per cell", "nested, 40 clusters"
    return {
        "center, additive": (drawn["center"], {"rates": "additive"}),
        f"{thin}, saturated": (drawn[thin], {"rates": "saturated"}),
        f"{thick}, threefold": (drawn[thick], {"rates": "saturated", "method": "threefold"}),
        f"{nested}, additive": (drawn[nested], {"rates": "additive"}),
        "flights by origin and carrier": (late, {"rates": "saturated"}),
    }


def every_line(change: at.Attribution) -> np.ndarray:
    """The estimates and standard errors of the bridge and of mix and rate of all levels."""
    lines = [change._evidence.lines, *level_lines(change, 0, change._parts.design.width)[:2]]
    return np.hstack([[x.found.estimate, x.found.std_error] for x in lines])


def jackknife(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """Analytic standard errors against leaving one cluster out."""
    rows = []
    for name, (cube, options) in jackknife_cubes().items():
        ask = {"baseline": cube.periods[0], "current": cube.periods[1], **options}
        change = cube.explain(**ask)
        clusters = range(change._evidence.units.count)
        left_out = np.array([every_line(without(cube, g).explain(**ask))[0] for g in clusters])
        G, off = len(left_out), left_out - left_out.mean(axis=0)
        errors = np.sqrt((G - 1) / G * (off**2).sum(axis=0))
        ratio = np.divide(every_line(change)[1], errors, where=errors > 1e-9, out=errors * np.nan)
        kinds = np.split(ratio, [len(change._parts.lines)])
        spans = [f"{np.nanmin(x):.3f} to {np.nanmax(x):.3f}" for x in kinds]
        rows.append([name, G, np.isfinite(ratio).sum(), f"{np.nanmedian(ratio):.3f}", *spans])
        say(rows[-1])
    return table(["", "clusters", "lines", "median", "range: bridge", "range: levels"], rows)


def uneven_sums(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple]:
    """D, N, codes and sizes with empty cells, a level that leaves and one that enters."""
    sizes = (4, 3, 3)
    codes = np.indices(sizes).reshape(3, -1).T
    D = rng.integers(2, 200, (2, len(codes))).astype(float)
    D[rng.random(D.shape) < 0.15] = 0
    D[0, codes[:, 0] == 3] = 0
    D[1, codes[:, 1] == 2] = 0
    seen = D.sum(axis=0) > 0
    D = D[:, seen]
    return D, D * rng.uniform(0.5, 0.99, D.shape), codes[seen], sizes


def gradients(pool: ProcessPoolExecutor, runs: int) -> list[str]:
    """Gradients of every method and form against central differences."""
    rng = np.random.default_rng(SEED)
    D, N, codes, sizes = uneven_sums(rng)
    volume = np.where(D > 0, rng.integers(100, 5_000, D.shape), 0).astype(float)
    choices: dict[str, dict] = {
        "saturated": {"rates": "saturated"},
        "additive": {"rates": "additive"},
        "pairs": {"rates": "pairs", "pairs": [(0, 1)]},
        "saturated, known volumes": {"rates": "saturated", "volume": volume},
        "additive, known volumes": {"rates": "additive", "volume": volume},
    }
    rows = []
    for method in METHODS:
        worst = [_worst(D, N, codes, sizes, method=method, **x) for x in choices.values()]
        rows.append([method, *(f"{x:.0e}" for x in worst)])
        say(rows[-1])
    return table(["method", *choices], rows)


def _worst(D, N, codes, sizes, **options) -> float:
    """The largest error of a derivative, over the largest derivative of its kind."""
    start = np.concatenate([D.ravel(), N.ravel()])

    def decomposed(sums: np.ndarray) -> Decomposition:
        D, N = sums.reshape(2, 2, -1)
        return decompose(D, N, D, codes, sizes, **options)

    # With known volumes the gradients of levels and segments are those of residuals from the fit.
    of_parts = "volume" not in options

    def values(parts: Decomposition) -> list[np.ndarray]:
        own = [*parts.level_parts.values(), *parts.segment_parts.values()]
        return [parts.estimate, *(own if of_parts else [])]

    here = decomposed(start)
    exact = [here.gradient.toarray()]
    if of_parts:
        exact += [here.level_gradient(k, 0, sum(sizes)).toarray() for k in here.level_parts]
        exact += [here.segment_gradient(k).toarray() for k in here.segment_parts]
    worst, moving = 0.0, np.flatnonzero(np.tile(D.ravel() > 0, 2))
    for j in np.random.default_rng(SEED).choice(moving, 40, replace=False):
        step = np.zeros(len(start))
        step[j] = 1e-4 * start[j]
        ends = zip(values(decomposed(start + step)), values(decomposed(start - step)), strict=True)
        for (up, down), known in zip(ends, exact, strict=True):
            off = np.abs((up - down) / (2 * step[j]) - known[:, j]).max()
            worst = max(worst, off / np.abs(known).max())
    return worst


# -- the page ---------------------------------------------------------------------------------

PARTS = {
    part.__name__: part
    for part in (coverage, forms, levels, quiet, families, power, jackknife, gradients)
}
_START = time.perf_counter()


def say(row: Iterable[object]) -> None:
    """Print a row as soon as it is known, with the time so far."""
    print(f"{time.perf_counter() - _START:6.0f} s ", *row, sep="  ", file=sys.stderr, flush=True)


def main() -> None:
    """Simulate, print the tables, and put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        for part in options.only:
            lines = "\n".join(PARTS[part](pool, options.simulations))
            print(f"{part}\n\n{lines}\n", flush=True)
            if options.write:
                place = rf"(?<=<!-- {part} -->\n).*?(?=<!-- end -->)"
                page = PAGE.read_text(encoding="utf-8")
                page = re.sub(place, lines + "\n", page, count=1, flags=re.DOTALL)
                PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
