"""
Against a plan
==============

Too much of the wrong work, or worse than planned at the right work?
"""

import pandas as pd

import attribution as at

plan = pd.DataFrame(
    {
        "queue": ["ads", "live", "spam"],
        "planned_share": [0.5, 0.2, 0.3],
        "target": [0.95, 0.88, 0.97],
    }
)
month = pd.DataFrame(
    {
        "queue": ["ads", "live", "spam", "shop"],
        "reviewed": [8400, 6000, 4800, 800],
        "correct": [8024, 5344, 4664, 680],
    }
)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
picture = at.compare_to_plan(month, plan, accuracy, by="queue").plot.waterfall()
