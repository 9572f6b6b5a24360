"""Other tools on the tasks of `speed.py` that they can do; run by it, each in its own environment.

    python benchmarks/peers.py PEER TASK FILE SMALL

The tasks are those of their documentation, from the Parquet file to the numbers: the change of a
rate between two months by queue ("one"), and by the cells of four dimensions ("four"). None of them
gives intervals for clusters. wise-pizza is asked for ten explaining segments ("causes").
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from pathlib import Path

BY = {"one": ["queue"], "four": ["queue", "policy", "market", "tenure"]}
BY["causes"] = BY["four"]

# PEERS.md's versions; what each of them can do.
PEERS = {
    "icanexplain": (["icanexplain==0.3.*", "ibis-framework[duckdb]"], ("one", "four")),
    "StatsPAI": (["StatsPAI==1.40.*", "pyarrow"], ("one", "four")),
    "metriclens": (["metriclens==0.1.*", "pyarrow"], ("one", "four")),
    "theseusplot": (["theseusplot==0.3.*", "pyarrow"], ("one",)),
    "wise-pizza": (["wise-pizza==0.2.9", "pyarrow"], ("causes",)),
}


def _frame(path, columns):
    import pandas as pd

    return pd.read_parquet(path, columns=["month", *columns])


def run_icanexplain(path, by):
    import ibis
    import icanexplain

    table = ibis.duckdb.connect().read_parquet(path)
    explainer = icanexplain.MeanExplainer(
        fact="correct", count="reviewed", period="month", group=by
    )
    return explainer(table).execute()


def run_statspai(path, by):
    import statspai

    rows = _frame(path, [*by, "correct"])
    # Its group is 0 or 1.
    rows["month"] = (rows["month"] == "2026-09").astype(int)
    return statspai.kitagawa_decompose(rows, rate="correct", group="month", by=by)


def run_metriclens(path, by):
    import metriclens

    rows = _frame(path, [*by, "correct", "reviewed"])
    rows["month"] = rows["month"] + "-01"
    lens = metriclens.MetricLens(
        rows, "month", ("2026-08-01", "2026-08-31"), ("2026-09-01", "2026-09-30"), by
    )
    return lens.analyze(metriclens.RatioMetric("correct", "reviewed"))


def run_theseusplot(path, by):
    import theseusplot

    rows = _frame(path, [*by, "correct"])
    before, after = (rows[rows["month"] == m] for m in ("2026-08", "2026-09"))
    return theseusplot.create_ship(before, after, y="correct").table(by[0])


def run_wise_pizza(path, by):
    from wise_pizza import explain_changes_in_average

    rows = _frame(path, [*by, "correct", "reviewed"])
    cells = rows.groupby(["month", *by], as_index=False)[["correct", "reviewed"]].sum()
    before, after = (cells[cells["month"] == m] for m in ("2026-08", "2026-09"))
    return explain_changes_in_average(
        before, after, by, "correct", "reviewed", max_depth=2, max_segments=10
    )


RUN = {
    "icanexplain": run_icanexplain,
    "StatsPAI": run_statspai,
    "metriclens": run_metriclens,
    "theseusplot": run_theseusplot,
    "wise-pizza": run_wise_pizza,
}


def main() -> None:
    """Run one task of one peer after a small one, and print what it took."""
    sys.path.insert(0, str(Path(__file__).parent))
    from measuring import report

    peer, task, path, small = sys.argv[1:]
    warnings.simplefilter("ignore")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        report_text = report(lambda file: RUN[peer](file, BY[task]), path, small)
    print(report_text)


if __name__ == "__main__":
    main()
