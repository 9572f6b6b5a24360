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
# # 3. The September artefact
#
# From September on, five of eight quality reviews per moderator and week come from high-risk work. The sample changed; the
# work did not. What does the KPI do?

# %%
import pandas as pd

import attribution as at

ops = at.datasets.simulate_moderation("standard", months=9)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
by = ["queue", "policy", "market", "tenure"]
question = dict(
    by=by,
    period="month",
    baseline="2025-08",
    current="2025-09",
    cluster="moderator_id",
    where="design != 'targeted'",
)
truth = ops.truth.kpis.set_index("month")["accuracy"]
print(f"true accuracy {100 * truth['2025-08']:.2f} -> {100 * truth['2025-09']:.2f} %")

# %% [markdown]
# ## The sample as it is

# %%
naive = at.explain(ops.qa_reviews, accuracy, **question)
picture = naive.plot.waterfall()
# %% [markdown]
# Three mix lines fall significantly. It is the mix *of the sample*: more live, more minors, more risky markets were reviewed.

# %%
risk = ops.qa_reviews.query("design != 'targeted' and reviewed == 1")
sampled = pd.crosstab(risk["month"], risk["risk_tier"], normalize="index").loc["2025-08":]
worked = pd.crosstab(ops.decisions["month"], ops.decisions["risk_tier"], normalize="index")
pd.concat({"sample": sampled, "work": worked.loc["2025-08":]}, axis=1).round(3)

# %% [markdown]
# ## Weights
#
# Each review stands for one over its probability of being drawn:

# %%
weighted = at.explain(ops.qa_reviews, accuracy, weight="1 / inclusion_prob", **question)
picture = weighted.plot.waterfall()
# %% [markdown]
# ## Weights and known volumes
#
# How many decisions there were per segment is known in full. Then the mix needs no sample at all:

# %%
counts = (
    ops.decisions.groupby(["month", *by], observed=True).size().rename("decisions").reset_index()
)
known = at.explain(ops.qa_reviews, accuracy, weight="1 / inclusion_prob", volume=counts, **question)
picture = known.plot.waterfall()
# %% [markdown]
# "Sampling" is what the sample itself did to the headline: it leads from the post-stratified change to the published one.
#
# ## Against the truth
#
# In pp, with the standard error of each line:

# %%
true = ops.truth.bridges.query("current == '2025-09'")
names = ["effect", "dimension"]
table = (100 * true.fillna({"dimension": ""}).set_index(names)["estimate"]).to_frame("truth")
for name, found in (("naive", naive), ("weighted", weighted), ("known volumes", known)):
    rows = found.effects.fillna({"dimension": ""}).set_index(names)
    table[name] = 100 * rows["estimate"]
    table[f"± {name}"] = 100 * rows["std_error"]
table.round(2)

# %% [markdown]
# The unweighted mix of policy is −0.72 pp where the truth is 0. Weights repair it; known volumes make the mix lines two
# to seventeen times more precise. The rate line stays as uncertain as the number of reviews makes it.
#
# The market line with known volumes is not −0.20 but −0.52, with a small error. Both are right: the truth column is what was
# expected, a new market that goes from 4 to 6 % of the work. Counted were 2.7 and 5.8 %: it was slower to start.
