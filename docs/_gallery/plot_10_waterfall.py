"""
The bridge
==========

Baseline to current: bars that add up, with their intervals; the longest first.
"""

import pandas as pd

import attribution as at

rows = pd.DataFrame(
    [
        ("March", "live", "new", 300, 252),
        ("March", "live", "experienced", 2700, 2514),
        ("March", "comments", "new", 250, 219),
        ("March", "comments", "experienced", 4750, 4538),
        ("April", "live", "new", 900, 757),
        ("April", "live", "experienced", 2400, 2232),
        ("April", "comments", "new", 600, 526),
        ("April", "comments", "experienced", 4400, 4198),
    ],
    columns=["month", "queue", "tenure", "reviewed", "correct"],
)
change = at.explain(
    rows,
    at.Rate("correct", "reviewed", name="Accuracy"),
    by=["queue", "tenure"],
    period="month",
    baseline="March",
    current="April",
)
picture = change.plot.waterfall()
