"""
In the colors of a company
==========================

A theme holds for everything drawn within its block; ``dark()`` is the same on dark paper.
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
company = at.Theme(good="#00796b", bad="#c2410c", current="#00574b")
with company.dark():
    picture = change.plot.waterfall()
