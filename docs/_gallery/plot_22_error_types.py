"""
Accuracy by its error types
===========================

Which kind of error, and by mix or by rate.
"""

import pandas as pd

import attribution as at

qa = pd.DataFrame(
    {
        "month": ["March", "March", "April", "April"],
        "queue": ["live", "comments"] * 2,
        "n": [3000, 5000, 4200, 5000],
        "over": [60, 90, 135, 95],
        "under": [120, 60, 170, 55],
    }
)
change = at.error_types(
    qa,
    "queue",
    {"Over-enforcement": "over / n", "Under-enforcement": "under / n"},
    period="month",
    baseline="March",
    current="April",
)
picture = change.plot.waterfall()
