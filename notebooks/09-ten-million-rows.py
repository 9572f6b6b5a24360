# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. Ten million rows
#
# One `GROUP BY` where the data are, then sums only: what comes after the scan does not grow with the rows. A year of quality
# reviews of a large operation, written as Parquet by DuckDB in seconds, explained from the file.
#
# The number of rows is read from the environment variable `ROWS`. Unset it is ten million; set it lower for a small machine.

# %%
import os
import tempfile
import time
from pathlib import Path

import duckdb

import attribution as at

rows = int(os.environ.get("ROWS", "10_000_000"))
folder = Path(tempfile.mkdtemp())
file = folder / "reviews.parquet"


class Watch:
    """The clock, and the processor time of all cores, since it was started."""

    def __init__(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        clock, cpu = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
        return f"{clock:.1f} s by the clock, {cpu:.1f} s of processor time"


# %% [markdown]
# Three thousand moderators, each in one market and two queues; two months. In the second, the share of moderators in their first
# month doubles, and they err twice as often as others. Nothing else happens.

# %%
watch = Watch()
duckdb.sql(f"""
    COPY (
        WITH drawn AS (
            SELECT hash(range * 7 + 1) AS a, hash(range * 11 + 2) AS b, hash(range * 13 + 3) AS c,
                   hash(range * 17 + 4) AS d
            FROM range({rows})
        ), placed AS (
            SELECT CASE WHEN a % 2 = 0 THEN '2026-08' ELSE '2026-09' END AS month,
                   b % 3000 AS moderator, c, d
            FROM drawn
        ), staffed AS (
            SELECT *, hash(moderator + 5) % 100 < CASE month WHEN '2026-08' THEN 8 ELSE 16 END AS is_new
            FROM placed
        )
        SELECT month,
               'mod_' || moderator AS moderator_id,
               'queue_' || ((moderator + c % 2 * 5) % 12) AS queue,
               'policy_' || (c // 7 % 8) AS policy,
               'market_' || (hash(moderator) % 15) AS market,
               CASE WHEN is_new THEN '0-30' ELSE '31+' END AS tenure,
               (d % 1000 < CASE WHEN is_new THEN 880 ELSE 940 END)::INTEGER AS correct
        FROM staffed
    ) TO '{file}' (FORMAT parquet)
""")
print(f"{rows:,} rows, {file.stat().st_size / 1e6:.0f} MB, written in {watch}")

# %% [markdown]
# ## One scan
#
# The path is all that is handed over. DuckDB reads it in parallel, and no row ever becomes a Python object.

# %%
watch = Watch()
by = ["queue", "policy", "market", "tenure"]
cube = at.Cube.from_data(
    str(file), at.Rate("correct", name="Accuracy"), by, period="month", cluster="moderator_id"
)
print(cube)
print("scanned in", watch)

# %% [markdown]
# The cube holds sums per month, segment and moderator. What is asked of it from here on costs what their number costs, however
# many rows there were.

# %%
watch = Watch()
change = cube.explain(baseline="2026-08", current="2026-09")
print(change)
print("explained in", watch)

# %% [markdown]
# With this many rows one would call almost anything significant, if rows were independent. They are not: there are three thousand
# moderators, and they are what the interval counts.

# %%
watch = Watch()
picture = change.plot.waterfall()
for market in ("market_0", "market_1", "market_2"):
    print(market, change.within(market=market).narrative("headline"))
print("three drill-downs and a picture in", watch)

# %% [markdown]
# ## Keep the sums, not the rows
#
# A saved cube answers the same questions next month, next to nothing in size, without anybody's name in it.

# %%
saved = folder / "reviews.cube"
cube.save(saved)
again = at.Cube.load(saved).explain(baseline="2026-08", current="2026-09")
print(f"{saved.stat().st_size / 1e6:.1f} MB; the same answer: {again.total == change.total}")
