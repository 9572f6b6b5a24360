"""What scorecards get right: false alarms, finds, shrinkage, two real tables, speed.

    uv run python benchmarks/scorecards.py [--worlds 400]

Prints the table of docs/explanation/scorecards.md. Every world is drawn from a fixed seed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

import attribution as at
from attribution.cards.asking import card_of, scan
from attribution.errors import DataQualityWarning

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
SITES, MODERATORS, REVIEWS, QUEUES = 20, 40, 80, 6
# The standard deviation of moderators on the logit: a design effect of about 2.
SPREAD = 0.45


def world(seed: int, worse: float = 0.0) -> pd.DataFrame:
    """Sites of moderators with unlike work; none differs but the first, by `worse`."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(SITES), MODERATORS)
    share = rng.dirichlet(np.full(QUEUES, 3.0), SITES)
    n = np.stack([rng.multinomial(REVIEWS, share[s]) for s in site])
    level = rng.normal(2.7, 0.5, QUEUES) + rng.normal(0, SPREAD, len(site))[:, None]
    p = 1 / (1 + np.exp(-level))
    p[site == 0] = np.clip(p[site == 0] - worse, 0, 1)
    who, queue = np.nonzero(n)
    return pd.DataFrame(
        {
            "site": [f"S{s:02d}" for s in site[who]],
            "moderator_id": who,
            "queue": queue,
            "n": n[who, queue],
            "ok": rng.binomial(n, p)[who, queue],
        }
    )


FORMS = {
    "binomial, not widened": (False, None),
    "widened by √φ": (False, "multiplicative"),
    "moderators as clusters, widened by √φ": (True, "multiplicative"),
    "moderators as clusters, not widened": (True, None),
}


def outside(data: pd.DataFrame) -> np.ndarray:
    """Which sites are outside their 95 % limits, in each form, from one scan."""
    request = {"period": None, "cluster": ["moderator_id"]}
    cube, found = scan(data, "ok / n", ("site",), ("queue",), request), []
    for clustered, overdispersion in FORMS.values():
        frame = card(cube if clustered else replace(cube, clusters=None), overdispersion).table
        out = (frame.adjusted < frame.limit_low_95) | (frame.adjusted > frame.limit_high_95)
        found.append(out.to_numpy())
    return np.array(found)


def card(
    cube: at.Cube, overdispersion: str | None = "multiplicative", current: object = None
) -> at.Scorecard:
    """Score a cube whose first dimension tells the entities."""
    return card_of(
        cube, cube.metrics[0], cube.dimensions[:1], current=current, baseline=None, past=None,
        target=0.93, overdispersion=overdispersion, min_n=30, conf_level=0.95,
    )  # fmt: skip


def alarms(worlds: int) -> list[tuple[str, str, str]]:
    """False alarms without true differences, and finds of a site that is 3 pp worse."""
    false = np.array([outside(world(seed)).mean(axis=1) for seed in range(worlds)])
    found = np.array([outside(world(10_000 + seed, worse=0.03))[:, 0] for seed in range(worlds)])
    error = false.std(axis=0, ddof=1) / np.sqrt(worlds)
    return [
        (
            name,
            f"{100 * false[:, i].mean():.1f} % (± {100 * error[i]:.1f})",
            f"{100 * found[:, i].mean():.0f} %",
        )
        for i, name in enumerate(FORMS)
    ]


def shrinkage(worlds: int) -> list[tuple[str, str]]:
    """Mean squared error of shrunk over that of raw rates, by rows per entity."""
    rows = []
    for n in (30, 100, 300, 1000, 3000):
        truths, drawn = [], []
        for seed in range(worlds):
            rng = np.random.default_rng(20_000 + seed)
            truths.append(np.clip(rng.normal(0.92, 0.02, 40), 0.5, 0.999))
            drawn.append(rng.binomial(n, truths[-1]))
        data = pd.DataFrame(
            {
                "world": np.repeat(np.arange(worlds), 40),
                "who": np.tile(np.arange(40), worlds),
                "n": n,
                "ok": np.ravel(drawn),
            }
        )
        cube = scan(data, "ok / n", ("who",), (), {"period": "world"})
        raw, shrunk = [], []
        for world, truth in enumerate(truths):
            frame = card(cube, current=world).table
            truth = truth[frame["entity"].astype(int)]
            raw.append(((frame["crude"] - truth) ** 2).mean())
            shrunk.append(((frame["shrunk"] - truth) ** 2).mean())
        rows.append((f"{n:,}", f"{np.mean(shrunk) / np.mean(raw):.2f}"))
    return rows


def real() -> list[str]:
    """Two published tables, where they lie beside the project."""
    if not SHARED.exists():
        return ["(the real data are not here)"]
    workers = pd.read_csv(SHARED / "adult_content_mturk" / "gold_labels.csv")
    card = at.scorecard(workers, at.Rate("correct"), "worker_id", adjust_for="gold", min_n=25)
    frame = card.frame[card.frame["n"] >= 25]
    flights = pd.read_csv(SHARED / "nycflights13" / "on_time_by_segment.csv")
    league = at.scorecard(flights, "on_time / flights", "carrier", adjust_for="dep_hour_band")
    crude = league.frame.set_index("entity")["crude"]
    rate = league.compare("9E", "WN").effects.set_index("effect").loc["rate"]
    return [
        f"workers: {len(frame)} with n >= 25, {(frame['z'].abs() > 3.09).sum()} beyond 3.09 "
        f"standard deviations, {frame['signal'].str.contains('99.8').sum()} outside the 99.8 % "
        f"limits after φ = {card.phi:.2f}",
        f"flights: 9E {100 * crude['9E']:.1f} %, WN {100 * crude['WN']:.1f} %; at equal hours "
        f"WN is {100 * rate['estimate']:+.2f} pp (SE {100 * rate['std_error']:.2f})",
    ]


def speed() -> list[str]:
    """100,000 moderators in 50 cells, asked in public calls, over the engine's bare GROUP BY."""
    rng = np.random.default_rng(0)
    moderators, cells = 100_000, 50
    n = rng.integers(1, 6, (moderators, cells))
    numbers = pd.DataFrame(
        {
            "moderator_id": np.repeat(np.arange(moderators), cells),
            "cell": np.tile(np.arange(cells), moderators),
            "n": n.ravel(),
            "ok": rng.binomial(n, 0.93).ravel(),
        }
    )
    texts = numbers.assign(
        moderator_id=np.repeat([f"m{i:06d}" for i in range(moderators)], cells),
        cell=np.tile([f"queue {i:02d}" for i in range(cells)], moderators),
    )
    found = []
    for name, data in {"numbers": numbers, "texts": texts}.items():
        floor, ours = [], []
        for _ in range(3):
            floor.append(_timed(partial(_group_by, data)))
            ours.append(_timed(partial(_whole_card, data)))
        (wall, cpu), (least, least_cpu) = min(ours), min(floor)
        found.append(
            f"{len(data):,} rows, ids as {name}: scan and table {cpu:.1f} s CPU ({wall:.1f} s), "
            f"{cpu / least_cpu:.1f} times a bare GROUP BY of {least_cpu:.1f} s CPU ({least:.1f} s)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)  # a dimension of people
        cube = at.Cube.from_data(numbers, "ok / n", by=["moderator_id", "cell"], period=None)
    wall, cpu = _timed(lambda: card(cube).table)
    return [*found, f"table of the cube in memory: {cpu:.1f} s CPU ({wall:.1f} s)"]


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _group_by(data: pd.DataFrame) -> None:
    with duckdb.connect() as engine:
        engine.execute("SET enable_progress_bar = false")
        engine.register("source", data)
        engine.execute(
            "CREATE TABLE t AS SELECT moderator_id, cell, sum(n) AS n, sum(ok) AS ok "
            "FROM source GROUP BY ALL"
        )


def _whole_card(data: pd.DataFrame) -> pd.DataFrame:
    return at.scorecard(data, "ok / n", entity="moderator_id", adjust_for=["cell"]).frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=400)
    worlds = parser.parse_args().worlds
    print("\n".join(real()), flush=True)
    print("\n".join(speed()), flush=True)
    print("\n| limits | outside 95 %, no true difference | 3 pp worse found |\n|---|---|---|")
    for row in alarms(worlds):
        print("| " + " | ".join(row) + " |", flush=True)
    print("\n| n per entity | MSE of shrunk / raw |\n|---|---|")
    for row in shrinkage(worlds):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
