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
# # 8. Which decomposition?
#
# The methods side by side on real data: flights from New York, November to December 2013. A flight is on time if it arrives
# at most 15 minutes late. Days are the clusters: bad weather hits many flights at once.

# %%
import pandas as pd

import attribution as at

flights = at.datasets.load_flights()
flights.head(3)

# %%
by = ["origin", "carrier", "dest"]
question = dict(by=by, period="month", baseline=11, current=12, cluster="date")
change = at.explain(flights, at.Rate("on_time", "arrived", name="On time"), **question)
print("\n".join(change.summary().splitlines()[:10]))

# %% [markdown]
# ## How the mix effect is divided
#
# In pp. "adjusted" is the default. "ordered" depends on an order that somebody has to choose.

# %%
methods = change.compare_methods(order=by)
print(methods)

# %% [markdown]
# Where rates are additive, adjusted and Shapley agree. They differ in what they do with the pairing of dimensions and in
# cost: least squares on margins against raking for every coalition. The published Das Gupta form changes if a constant is
# added to all rates, which is why it is offered for comparison only.

# %% [markdown]
# ## Whose shares, whose rates

# %%
totals = {}
for method in ("midpoint", "threefold", "baseline", "current"):
    lines = at.explain(flights, at.Rate("on_time", "arrived"), method=method, **question).effects
    totals[method] = 100 * lines.groupby("effect", sort=False)["estimate"].sum()
pd.DataFrame(totals).T.round(3)

# %% [markdown]
# "baseline" and "current" answer different questions, and the sign of a small mix effect can depend on them; `check()` says
# so when it does. "threefold" keeps the interaction apart. "midpoint" divides it evenly and is the only one that mirrors if
# the periods are swapped.

# %% [markdown]
# ## Observed or fitted rates

# %%
rows = {}
for rates in ("saturated", "additive"):
    found = at.explain(flights, at.Rate("on_time", "arrived"), rates=rates, **question)
    sums = found.effects.groupby("effect", sort=False)["estimate"].sum()
    rows[rates] = 100 * sums
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# Many cells exist in one month only. A cell that is empty in one month has no rate change of its own, so observed rates
# call its part mix.

# %% [markdown]
# ## What to choose
#
# | situation | choice |
# |---|---|
# | two periods, nothing else | the defaults |
# | against a plan | `at.compare_to_plan` (the form "current") |
# | numbers must match a sheet with an interaction column | `method="threefold"` |
# | one dimension is decided before another (market, then queue) | `mix="ordered"` with that order |
# | a reviewer asks for Shapley values | `mix="shapley"`; compare first |
