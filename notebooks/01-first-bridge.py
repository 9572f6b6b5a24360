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
# # 1. The first bridge in five minutes
#
# Accuracy of a content-moderation operation fell in April. Why? The operation is simulated, so the answer is known; we look
# it up at the end.

# %%
import attribution as at

ops = at.datasets.simulate_moderation("standard", months=4)
reviews = ops.qa_reviews
ops

# %% [markdown]
# One row is one quality review. `correct` out of `reviewed` is accuracy. Coaching reviews ("targeted") are no sample and not
# part of the KPI; `weight` is one over the probability of being drawn.

# %%
change = at.explain(
    reviews,
    at.Rate("correct", "reviewed", name="Accuracy"),
    by=["queue", "policy", "market", "tenure"],
    period="month",
    baseline="2025-03",
    current="2025-04",
    cluster="moderator_id",
    weight="weight",
    where="design != 'targeted'",
)
print(change)

# %% [markdown]
# Read from the top: the fall is real (the interval of the total excludes 0). One bar carries it: the mix of tenure. The rate
# bar is small and cannot be told from noise, so nobody did worse at comparable work.

# %%
picture = change.plot.waterfall()
# %% [markdown]
# Which tenure band?

# %%
tenure = change.levels("tenure").set_index("segment")
tenure[["share_baseline", "share_current", "rate_baseline", "rate_current", "mix", "rate"]].round(4)

# %% [markdown]
# Moderators in their first 30 days went from 2.7 % to 17.9 % of the work; their accuracy is the same as before.
#
# For the meeting:

# %%
print(change.narrative())

# %% [markdown]
# `change.to_html`, `to_pptx`, `to_excel` and `to_tidy` write the same bridge into files.
#
# And the truth, which only a simulator knows:

# %%
truth = ops.truth.bridges.query("current == '2025-04'")
truth.assign(pp=(100 * truth["estimate"]).round(2))[["effect", "dimension", "pp"]]
