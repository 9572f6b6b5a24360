"""
The KPI over time
=================

With the interval of every month.
"""

import numpy as np
import pandas as pd

import attribution as at

rng = np.random.default_rng(4)
months = [f"2026-{m:02}" for m in range(1, 10)]
rows = pd.DataFrame(
    [
        (month, queue, n, rng.binomial(n, rate))
        for t, month in enumerate(months)
        for queue, n, rate in (
            ("live", 4000 + 600 * t, 0.90 - 0.02 * (t > 5)),
            ("comments", 9000, 0.95),
            ("ads", 2500, 0.93),
        )
    ],
    columns=["month", "queue", "reviewed", "correct"],
)
accuracy = at.Rate("correct", "reviewed", name="Accuracy")
picture = at.trend(rows, accuracy, "queue", period="month").plot.line()
