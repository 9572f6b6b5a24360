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
# # 2. Deep dive: why did accuracy fall in April
#
# What a careful analyst asks after the first bridge: do simpler views say the same, through what did the shift act, does a
# single segment stand out, and what does it look like in one market.

# %%
import pandas as pd

import attribution as at

ops = at.datasets.simulate_moderation("standard", months=4)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
by = ["queue", "policy", "market", "tenure"]
question = dict(
    period="month",
    baseline="2025-03",
    current="2025-04",
    cluster="moderator_id",
    weight="weight",
    where="design != 'targeted'",
)
change = at.explain(ops.qa_reviews, accuracy, by, **question)

# %% [markdown]
# ## One dimension at a time
#
# Four bridges by one dimension each, in pp:

# %%
alone = {d: at.explain(ops.qa_reviews, accuracy, d, **question).effects for d in by}
views = pd.DataFrame({d: 100 * e.set_index("effect")["estimate"] for d, e in alone.items()}).T
views.round(2)

# %% [markdown]
# Three of the four call the fall "rate". Nothing is miscalculated: a dimension that is not listed is in the rate effect.
# Whoever reports by queue tells the teams that they did worse.
#
# The rows are views of one change. They must not be added up.

# %% [markdown]
# ## All dimensions, each adjusted for the others

# %%
lines = change.effects
shown = ["effect", "dimension", "estimate", "conf_low", "conf_high", "p_adjusted"]
lines[shown].round(4)

# %% [markdown]
# These add up:

# %%
print(f"sum of the bars {lines['estimate'].sum():+.5f}, change {change.total.change:+.5f}")
picture = change.plot.levels("tenure")
# %% [markdown]
# ## Through what did it act
#
# The pathway matrix: rows are the dimension whose shares were pushed, columns the dimension through whose rate differences
# that acted. In pp:

# %%
pathways = change.pathways()
(100 * pathways.frame).round(2)

# %% [markdown]
# The shift of tenure acted through tenure. Had volume moved to queues that are staffed by new hires, the entry in row
# "queue", column "tenure" would be large.

# %% [markdown]
# ## Does one segment stand out

# %%
print(change.causes())

# %% [markdown]
# No. The rate effect has no named cause, and the answer says how large one would have to be to be seen.

# %% [markdown]
# ## One market, by policy

# %%
market = change.within(market="BR")
print("\n".join(market.summary().splitlines()[:9]))

# %%
policy = market.levels("policy").set_index("segment")
policy[["n_current", "rate_baseline", "rate_current", "rate", "rate_p_adjusted"]].round(3)

# %% [markdown]
# The fall in Brazil is real and mostly tenure again. No policy's rate moved by more than noise: a list of the worst
# policies would be a list of the unluckiest.
#
# ## What to say
#
# Accuracy fell by 1.4 pp because a class of new hires took a sixth of the work. Comparable work was done as well as before.
# It will pass as they gain experience. No action on queues, policies or markets follows from these data.
