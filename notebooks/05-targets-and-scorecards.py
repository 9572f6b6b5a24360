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
# # 5. Targets and scorecards
#
# The quarter is over. Was the target met, why not, who stands out, and what can be asked for next quarter? The simulated
# operation had a wave of new hires in April, a migration between queues in June, and no bad site. So that there is
# somebody to find, one decision in fifteen of Site D is made wrong in June.

# %%
import numpy as np

import attribution as at

ops = at.datasets.simulate_moderation("standard", months=6)
reviews = ops.qa_reviews
spoilt = (reviews["site"] == "Site D") & (reviews["month"] == "2025-06")
spoilt &= np.random.default_rng(0).random(len(reviews)) < 1 / 15
reviews = reviews.assign(correct=reviews["correct"].where(~spoilt, 0))

rules = dict(period="month", cluster="moderator_id", weight="weight", where="design != 'targeted'")

# %% [markdown]
# ## Was the target met
#
# The plan has volumes and targets by queue and market; summed to queues it keeps its overall target.

# %%
plan = ops.targets.query("kpi == 'accuracy' and month == '2025-06'")
plan = plan.assign(hits=plan["planned_volume"] * plan["target"])
plan = plan.groupby("queue", as_index=False)[["planned_volume", "hits"]].sum()
plan["target"] = plan["hits"] / plan["planned_volume"]
done = at.targets.completion(reviews, plan, "accuracy", "queue", current="2025-06", **rules)
print(done)

# %% [markdown]
# Missed, and the two reasons add up exactly: most of it is performance, half a point is work in other queues than
# planned. By count and by volume tell different stories; most queues are not distinguishable from their target.

# %%
columns = [
    "segment",
    "n",
    "share",
    "planned_share",
    "actual",
    "target",
    "status",
    "performance",
    "mix",
]
done.frame[columns].sort_values("performance").head(4).round(4)

# %% [markdown]
# Live took a larger share than planned and was far below its target: the migration of June.
#
# ## Who stands out

# %%
card = at.scorecard(
    reviews, "accuracy", "site", adjust_for=["queue", "policy"], target=0.92, **rules
)
print(card)

# %%
picture = card.plot.caterpillar()

# %% [markdown]
# Each site is compared with what the others would have got from its own queues and policies. Five of the six rank intervals run
# from first to fifth or last: a league table would be a lottery. What changed since May, and was it the work or the site?

# %%
changes = card.changes()
changes[["entity", "baseline", "current", "mix", "performance", "verdict"]].round(4)

# %% [markdown]
# The mix got worse at every site, which is the migration. Site D lost six points in comparable work. In spring it was like the
# others:

# %%
picture = card.plot.status()

# %% [markdown]
# ## Moderators
#
# Some 30 reviews a month say little about one person: an interval of ± 10 pp. The funnel shows who is outside what
# chance does to so many, and `shrunk` is the better guess of what somebody's rate really is.

# %%
personal = {k: v for k, v in rules.items() if k != "cluster"}
people = at.scorecard(
    reviews, "accuracy", "moderator_id", adjust_for=["queue", "tenure"], **personal
)
frame = people.frame
judged = frame[frame["n"] >= people.min_n]
print(f"{len(judged)} judged, {judged['signal'].str.startswith('worse').sum()} worse than limits")
print(
    f"standard deviation of raw rates {judged['crude'].std():.3f}, shrunk {judged['shrunk'].std():.3f}"
)

# %% [markdown]
# Files hide people: `people.to_html("people.html")` says how many are where, names or pseudonyms are asked for by
# `privacy=at.Privacy(...)`.
#
# ## The next quarter
#
# An overall target of 92.5 %, divided by headroom. Targets are judged on three months together; still most queues would be asked
# for less than their sample could show. They are held, and the rest is asked of those where it can be seen.

# %%
quarter = reviews[reviews["month"].isin(["2025-04", "2025-05", "2025-06"])]
targets = at.targets.plan(
    quarter, "accuracy", "queue", overall=0.925, periods=3, effective="2025-07-01", **rules
)
targets.frame[["segment", "share", "n", "baseline", "target", "detectable", "n_needed"]].round(3)

# %%
rolled = float((targets.frame["share"] * targets.frame["target"]).sum())
print(f"the targets at the planned mix: {rolled:.6f}")

# %% [markdown]
# ## What if
#
# What would live alone bring, and what if its volume grew by half instead?

# %%
known = {k: v for k, v in rules.items() if k != "cluster"}
print(at.targets.whatif(reviews, "accuracy", "queue", rates=targets, reach=["live"], **known))
print()
print(at.targets.whatif(reviews, "accuracy", "queue", scale={"live": 1.5}, **known))

# %% [markdown]
# ## Headcount for the same volumes

# %%
staff = targets.capacity(110 / 3600, paid_hours=150, shrinkage=0.3, utilization=0.85)
staff.tail(4).round(2)

# %% [markdown]
# ## A composite, gates first

# %%
june = ops.decisions[ops.decisions["month"] == "2025-06"]
both = at.composite_scorecard(
    june,
    ["sla_attainment", "aht"],
    "site",
    adjust_for="queue",
    targets={"SLA attainment": 0.915, "AHT": 290},
    gates={"SLA attainment": 0.85},
)
print(both)

# %% [markdown]
# ## What to say
#
# Accuracy missed its target by more than noise, most of it in live, where work was moved to. One site fell by itself. Nobody
# else can be told from the others, and no list of the worst moderators follows from 30 reviews each.
# `card.to_pptx(...)`, `done.to_html(...)` and `targets.to_excel(...)` put it into the meeting.
