"""
Named causes
============

The few segments that carry the rate effect, what moved everywhere, and the rest.
"""

import numpy as np
import pandas as pd

import attribution as at

rng = np.random.default_rng(2)
n = 40_000
rows = pd.DataFrame(
    {
        "month": rng.choice(["March", "April"], n),
        "moderator": rng.integers(0, 200, n),
        "queue": rng.choice(["live", "comments", "ads"], n),
        "market": rng.choice(["BR", "ID", "JP", "US", "VN"], n),
        "policy": rng.choice(["minors", "violence", "spam", "hate"], n),
    }
)
changed = (rows["month"] == "April") & (rows["policy"] == "minors") & (rows["queue"] == "live")
rows["correct"] = (rng.random(n) < np.where(changed, 0.82, 0.94)).astype(int)
change = at.explain(
    rows,
    at.Rate("correct", name="Accuracy"),
    by=["queue", "market", "policy"],
    period="month",
    baseline="March",
    current="April",
    cluster="moderator",
)
picture = change.causes().plot()
